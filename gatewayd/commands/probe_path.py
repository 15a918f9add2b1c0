"""The first steps of a probe, where a tunnel is configured: device, address, route."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from gatewayd.commands.probe_advice import Advice
from gatewayd.config import SmscConfig
from gatewayd.errors import PeerError
from gatewayd.net.rtnetlink import Kernel
from gatewayd.net.vpn import Down, Oracle, Tunnel, Up

_ADVICE = {
    "device": Advice(
        "the tunnel is not there: our own VPN is not running, was not let in by the operator's "
        "gateway, or names its device otherwise (`ip link` shows what there is)",
        "Do you see our VPN client, and do its credentials and address still count?",
    ),
    "address": Advice(
        "the tunnel has no address of ours: its far end assigns none, or the VPN's configuration "
        "lacks it (`ip addr` shows it)",
        "Which address inside the tunnel is ours?",
    ),
    "route": Advice(
        "the tunnel is up but leads elsewhere: the SMSC's network is not among its routes "
        "(WireGuard: AllowedIPs; OpenVPN: route; `ip route get {host}` shows the way)",
        "Which networks are behind the tunnel? Is {target} in one of them?",
    ),
}


class PathStep(NamedTuple):
    """`advice` is there when the step failed and the tunnel is required."""

    name: str
    detail: str
    advice: Advice | None = None


def path_steps(
    smsc: SmscConfig, addresses: Sequence[str], kernel: Callable[[], Oracle] = Kernel
) -> Iterator[PathStep]:
    """Device and address when there are no `addresses` of the SMSC yet, then the route to them.

    The last one is the one that failed. A tunnel that is not required fails nothing.
    """
    if not smsc.vpn.device:
        return
    source = replace(smsc, hosts=tuple(addresses), binds=())
    try:
        asked = kernel()
        try:
            path = Tunnel(source).look(asked, ())
        finally:
            asked.close()
    except (OSError, PeerError) as error:
        path = Down(f"the kernel cannot be asked: {error}", "device")
    for name in ("route",) if addresses else ("device", "address"):
        if isinstance(path, Up):
            told = {"device": f"{smsc.vpn.device} is up", "address": path.address}
            yield PathStep(name, told.get(name, f"through {smsc.vpn.device}"))
        elif path.step != name and not addresses:
            yield PathStep(name, f"{smsc.vpn.device} is up")
        elif smsc.vpn.require:
            yield PathStep(name, path.reason, _ADVICE[path.step])
            return
        else:
            yield PathStep(name, f"{path.reason}, and not required")
            return
