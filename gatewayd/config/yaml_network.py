"""The keys that say which way the packets to an SMSC take: `vpn`, `tcp` and `bind-device`."""

from __future__ import annotations

import re

from yaml.nodes import ScalarNode

from gatewayd.config.model import TcpConfig, VpnConfig
from gatewayd.config.values import boolean, duration, integer, shown
from gatewayd.config.yaml_keys import (
    MISSING,
    Section,
    Value,
    blank_or,
    demand,
    fill,
    merged,
    parsed,
    scalar,
    table,
    text,
)

# IFNAMSIZ is 16 with the NUL; the kernel refuses what a path in /sys could not hold.
_DEVICE = re.compile(r"(?!\.{1,2}$)[!-.0-9;-~]{1,15}")


def device(written: str) -> str:
    """The name of a network device."""
    if not _DEVICE.fullmatch(written):
        raise ValueError(f"{shown(written)} is not a device (tun0, wg0 ...: 1-15 characters)")
    return written


maybe_device = text(blank_or(device))

VPN = table(device=text(device), require=scalar(boolean))

TCP = table(
    keepalive=scalar(duration(0, 32767)),
    keepalive_interval=scalar(duration(1, 32767)),
    keepalive_probes=scalar(integer(1, 127)),
    user_timeout=scalar(duration(0, 86400)),
)

tcp = Section(TcpConfig(), TCP)


def vpn(value: Value) -> object:
    """`off`, or a section of keys that names the tunnel's device."""
    if isinstance(value.node, ScalarNode) and value.node.value:
        on = parsed(value, boolean, strict=False)
        if on is True:
            return value.complain("is off, or a section with the tunnel's device: tun0")
        return VpnConfig() if on is False else MISSING
    keys = fill(value, VPN)
    if keys is None:
        return MISSING
    demand(value, "device")
    return merged(VpnConfig(), keys)
