"""A VPN on one machine: three network namespaces, joined by a real OpenVPN or WireGuard tunnel.

    gw  (the gateway)  --veth--  wan (userspace relay)  --veth--  op (operator, SMSC)
       tun0 10.66.0.2  ===== OpenVPN or userspace WireGuard =====  10.66.0.1
                                                      SMSC address 10.200.5.10 (on lo)

The SMSC's network is routed through the tunnel alone, but a default route leads into `wan` as well:
what leaves beside the tunnel is seen there. All datagrams of the tunnel pass the relay, which loses
and delays them on command; so neither netem nor a packet filter is needed. Nothing outside the
three namespaces is touched.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

PORT = 22390  # of the relay, and of both ends
GW_TUN, OP_TUN = "10.66.0.2", "10.66.0.1"
SMSC, SMSC_NET = "10.200.5.10", "10.200.5.0/24"
GW_WAN, WAN_GW = "192.0.2.2", "192.0.2.1"
OP_WAN, WAN_OP = "198.51.100.2", "198.51.100.1"
ROOT = Path(__file__).resolve().parents[2]
SIDES = ("gw", "wan", "op")
_COUNT = itertools.count()  # several labs may run in one process
PROGRAMS = {"openvpn": ("openvpn", "openssl"), "wireguard": ("wireguard-go", "wg")}


def missing(kind: str) -> str:
    """Why the lab cannot run here; "" when it can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    for program in ("ip", *PROGRAMS[kind]):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        _run("ip", "netns", "add", "gatewayd-try")
        _run("ip", "netns", "del", "gatewayd-try")
    except subprocess.CalledProcessError as error:
        return f"no network namespace can be made: {error.stderr.strip()}"
    return ""


def _run(*argv: str, text: str = "") -> str:
    """Standard output; raises CalledProcessError."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=text).stdout


class VpnLab:
    """One lab; leaving it ends every process and namespace that it made."""

    def __init__(self, folder: Path, kind: str = "openvpn", keepalive: tuple[int, int] = (1, 4)):
        self.folder = folder
        self.kind = kind
        self.keepalive = keepalive
        tag = f"gwd{os.getpid() % 100000}x{next(_COUNT)}"
        self.spaces = {side: f"{tag}-{side}" for side in SIDES}
        # wireguard-go keeps one control socket per device name for the whole machine
        self._devices = {
            side: "tun0" if kind == "openvpn" else f"{tag}-{side}"[:15] for side in SIDES
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def device(self) -> str:
        """The tunnel's device on the gateway's side."""
        return self._devices["gw"]

    def __enter__(self) -> VpnLab:
        try:
            self._build()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    # -- processes -------------------------------------------------------------------------------

    def argv(self, side: str, argv: Sequence[str]) -> list[str]:
        return ["ip", "netns", "exec", self.spaces[side], *argv]

    def spawn(self, name: str, side: str, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process in a namespace; its output goes to NAME.log in the folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                self.argv(side, argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )
        self._processes[name] = process
        return process

    def python(self, name: str, side: str, module: str, *args: str) -> subprocess.Popen[bytes]:
        return self.spawn(name, side, sys.executable, "-m", module, *args)

    def send(self, name: str, number: signal.Signals) -> None:
        process = self._processes[name]
        if process.poll() is None:
            process.send_signal(number)

    def end(self, name: str, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Signal a process and wait for its end; its exit status comes back."""
        process = self._processes.pop(name, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(number)
        try:
            return process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def ip(self, side: str, *argv: str) -> str:
        return _run("ip", "-n", self.spaces[side], *argv)

    # -- up and down -----------------------------------------------------------------------------

    def _build(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for space in self.spaces.values():
            _run("ip", "netns", "add", space)
        for side in SIDES:
            self.ip(side, "link", "set", "lo", "up")
        for side, mine, his, device in (
            ("gw", GW_WAN, WAN_GW, "togw"),
            ("op", OP_WAN, WAN_OP, "toop"),
        ):
            peer = ("peer", "name", "wan0", "netns", self.spaces[side])
            self.ip("wan", "link", "add", device, "type", "veth", *peer)
            self.ip("wan", "addr", "add", f"{his}/30", "dev", device)
            self.ip("wan", "link", "set", device, "up")
            self.ip(side, "addr", "add", f"{mine}/30", "dev", "wan0")
            self.ip(side, "link", "set", "wan0", "up")
            self.ip(side, "route", "add", "default", "via", his)
        self.ip("op", "addr", "add", f"{SMSC}/32", "dev", "lo")
        self.faults()
        self.python("relay", "wan", "tests.lab.relay", str(self.folder / "faults.json"))
        if self.kind == "openvpn":
            self._openvpn_files()
        else:
            self._wireguard_keys()
        self.start("op")
        self.start("gw")
        if not self.wait_up():
            raise RuntimeError(f"the tunnel did not come up\n{self.logs()}")

    def logs(self, lines: int = 8) -> str:
        """The end of everybody's output, for an error."""
        ends = []
        for path in sorted(self.folder.glob("*.log")):
            ends += [f"== {path.stem}", *path.read_text(errors="replace").splitlines()[-lines:]]
        return "\n".join(ends)

    def down(self) -> None:
        for name in list(self._processes):
            self.end(name, signal.SIGKILL)
        for side, space in self.spaces.items():
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
            self._forget_control(side)

    def _forget_control(self, side: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"/var/run/wireguard/{self._devices[side]}.sock")

    def _openvpn_files(self) -> None:
        prints = {}
        for side in ("gw", "op"):
            key, certificate = self.folder / f"{side}.key", self.folder / f"{side}.crt"
            _run(
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "3650"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN=lab-{side}"),
                *("-keyout", str(key), "-out", str(certificate)),
            )
            argv = ("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", str(certificate))
            prints[side] = _run(*argv).strip().split("=")[1]
        common = ["dev tun0", "dev-type tun", "proto udp4", f"port {PORT}", "verb 3", "persist-key"]
        common += ["persist-tun", "keepalive {} {}".format(*self.keepalive), "connect-retry 1 2"]
        common += ["data-ciphers AES-256-GCM", "disable-dco"]
        own = {
            "gw": [
                *("tls-client", "nobind", f"remote {WAN_GW}", f"ifconfig {GW_TUN} {OP_TUN}"),
                "up-delay",  # as with `client`: address and route come when the far end answers
                f"route {SMSC_NET.split('/', maxsplit=1)[0]} 255.255.255.0",
            ],
            "op": ["tls-server", "dh none", "float", f"ifconfig {OP_TUN} {GW_TUN}"],
        }
        for side, other in (("gw", "op"), ("op", "gw")):
            identity = [f"cert {side}.crt", f"key {side}.key", f"peer-fingerprint {prints[other]}"]
            text = "\n".join([*common, *identity, *own[side], ""])
            (self.folder / f"{side}.ovpn").write_text(text)

    def _wireguard_keys(self) -> None:
        for side in ("gw", "op"):
            key = _run("wg", "genkey")
            path = self.folder / f"{side}.key"
            path.touch(0o600)
            path.write_text(key)
            (self.folder / f"{side}.pub").write_text(_run("wg", "pubkey", text=key).strip())

    def start(self, side: str) -> None:
        """Start one end of the tunnel."""
        if self.kind == "openvpn":
            argv = ("openvpn", "--cd", str(self.folder), "--config", f"{side}.ovpn")
            self.spawn(f"vpn-{side}", side, *argv)
            return
        device, other = self._devices[side], "op" if side == "gw" else "gw"
        allowed = f"{OP_TUN}/32,{SMSC_NET}" if side == "gw" else f"{GW_TUN}/32"
        peer = ["peer", (self.folder / f"{other}.pub").read_text(), "allowed-ips", allowed]
        if side == "gw":
            peer += ["endpoint", f"{WAN_GW}:{PORT}", "persistent-keepalive", str(self.keepalive[0])]
        key = str(self.folder / f"{side}.key")
        own = ["listen-port", str(PORT), "private-key", key]
        configure = self.argv(side, ["wg", "set", device, *own, *peer])
        for _ in range(200):
            # The device of a process that was killed goes some time after it, and is in the way.
            if f"vpn-{side}" not in self._processes or self._processes[f"vpn-{side}"].poll():
                self._forget_control(side)
                self.spawn(f"vpn-{side}", side, "wireguard-go", "-f", device)
            if subprocess.run(configure, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.02)
        else:
            raise RuntimeError(f"wireguard-go does not start\n{self.logs()}")
        mine, his = (GW_TUN, OP_TUN) if side == "gw" else (OP_TUN, GW_TUN)
        self.ip(side, "addr", "add", mine, "peer", his, "dev", device)
        self.ip(side, "link", "set", device, "mtu", "1420", "up")
        if side == "gw":
            self.ip(side, "route", "add", SMSC_NET, "dev", device)

    def wait_up(self, limit: float = 20.0) -> bool:
        """Whether something behind the tunnel answers within `limit` seconds."""
        ask = (
            "import socket, sys\n"
            f"try: socket.create_connection(('{SMSC}', 9), 1)\n"
            "except ConnectionRefusedError: sys.exit(0)\n"
            "except OSError: sys.exit(1)\n"
        )
        end = time.monotonic() + limit
        while time.monotonic() < end:
            argv = self.argv("gw", [sys.executable, "-c", ask])
            if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
                return True
            time.sleep(0.05)
        return False

    # -- faults ----------------------------------------------------------------------------------

    def faults(self, **what: float) -> None:
        """What the relay does from now on: drop=1, loss=.3, delay=.6, jitter=.2; nothing: clear."""
        new = self.folder / "faults.new"
        new.write_text(json.dumps(what))
        new.rename(self.folder / "faults.json")
        if "relay" in self._processes:
            self.send("relay", signal.SIGHUP)

    def kill_vpn(self, side: str, number: signal.Signals = signal.SIGKILL) -> None:
        self.end(f"vpn-{side}", number)

    def delete_device(self) -> None:
        self.ip("gw", "link", "del", self.device)

    def guard(self) -> None:
        """The last way to the SMSC's network is none: what no tunnel takes goes nowhere."""
        self.ip("gw", "route", "add", "unreachable", SMSC_NET, "metric", "4278198272")

    def set_link(self, state: str) -> None:
        """Set the tunnel's device down or up, with its route, which the kernel forgets."""
        self.ip("gw", "link", "set", self.device, state)
        if state == "up":
            self.set_route("replace")

    def set_route(self, what: str) -> None:
        """Delete the route to the SMSC's network, or put it back."""
        self.ip("gw", "route", what, SMSC_NET, "dev", self.device)
