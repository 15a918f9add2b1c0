"""Devices, addresses and routes of the real kernel, in a network namespace of the test's own.

Needs root; the namespace is made by a child process (`ip netns exec`), nothing of this machine's
own network is touched.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.live


def cannot() -> str:
    """Why no namespace can be made here; "" when one can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip (iproute2) is not installed"
    name = f"gatewayd-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return "" if made.returncode == 0 else "no network namespace can be made here"


class Space:
    """A namespace with a tunnel-like device: one end of a veth pair, the SMSC at its other end."""

    def __init__(self) -> None:
        self.name = f"gatewayd-test-{os.getpid()}"
        self.far = f"{self.name}-far"
        self._call("netns", "add", self.name)
        self._call("netns", "add", self.far)
        self.ip("link", "set", "lo", "up")
        # IPv6 speaks of its own accord, and packets are counted here.
        self.python("open('/proc/sys/net/ipv6/conf/default/disable_ipv6', 'w').write('1')")

    def _call(self, *argv: str) -> None:
        subprocess.run(["ip", *argv], check=True, capture_output=True)

    def ip(self, *argv: str) -> None:
        self._call("-n", self.name, *argv)

    def close(self) -> None:
        for name in (self.name, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def tunnel(self) -> None:
        """tun0 10.66.0.2 with a route to 10.200.5.0/24, and eth9 with the default route."""
        for device, net in (("tun0", "10.66.0"), ("eth9", "10.99.0")):
            far = f"far-{device}"
            peer = ("peer", "name", far, "netns", self.far)
            self.ip("link", "add", device, "type", "veth", *peer)
            self._call("-n", self.far, "addr", "add", f"{net}.1/24", "dev", far)
            self._call("-n", self.far, "link", "set", far, "up")
            self.ip("addr", "add", f"{net}.2/24", "dev", device)
            self.ip("link", "set", device, "up")
        self._call("-n", self.far, "addr", "add", "10.200.5.10/32", "dev", "far-tun0")
        self.ip("route", "add", "default", "via", "10.99.0.1")
        self.ip("route", "add", "10.200.5.0/24", "via", "10.66.0.1")

    def python(self, code: str) -> str:
        """What a program prints that runs inside."""
        argv = ["ip", "netns", "exec", self.name, sys.executable, "-c", textwrap.dedent(code)]
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def space() -> Iterator[Space]:
    if reason := cannot():
        pytest.skip(reason)
    made = Space()
    try:
        yield made
    finally:
        made.close()


LOOK = """
    from gatewayd.config import BindConfig, SmscConfig, VpnConfig
    from gatewayd.net.rtnetlink import Kernel
    from gatewayd.net.vpn import Tunnel

    smsc = SmscConfig("a", "a", hosts=("10.200.5.10",), vpn=VpnConfig("tun0"))
    kernel = Kernel()
    print(Tunnel(smsc).look(kernel, ()))
"""


def test_what_ip_does_to_a_tunnel_is_seen(space: Space) -> None:
    """Also: the default route beside it is no path, and neither is an unreachable one."""
    assert "tun0 does not exist" in space.python(LOOK)
    space.tunnel()
    assert "Up(address='10.66.0.2'" in space.python(LOOK)
    space.ip("route", "del", "10.200.5.0/24")
    assert "no route to 10.200.5.10 through tun0" in space.python(LOOK)
    space.ip("route", "add", "unreachable", "10.200.5.0/24", "metric", "4000")
    assert "no route to 10.200.5.10 through tun0" in space.python(LOOK)
    space.ip("route", "add", "10.200.5.0/24", "via", "10.66.0.1")
    assert "Up(address='10.66.0.2'" in space.python(LOOK)
    space.ip("addr", "flush", "dev", "tun0")
    assert "tun0 has no address" in space.python(LOOK)
    space.ip("link", "set", "tun0", "down")
    assert "tun0 is down" in space.python(LOOK)
    space.ip("link", "del", "tun0")
    assert "tun0 does not exist" in space.python(LOOK)


def test_the_watcher_hears_of_a_change_within_a_tenth_of_a_second(space: Space) -> None:
    """G12, in the real reactor."""
    space.tunnel()
    out = space.python(
        """
        import subprocess, time
        from twisted.internet import reactor
        from gatewayd.config import SmscConfig, VpnConfig
        from gatewayd.net.vpn import VpnWatcher

        smsc = SmscConfig("a", "a", hosts=("10.200.5.10",), vpn=VpnConfig("tun0"))
        struck = 0.0

        def changed(name, path):
            print(type(path).__name__, time.monotonic() - struck < 0.1 or not struck)
            if struck:
                reactor.stop()

        def strike():
            global struck
            struck = time.monotonic()
            subprocess.Popen(["ip", "link", "del", "tun0"])

        watcher = VpnWatcher([smsc], reactor, time.time, changed)
        reactor.callWhenRunning(watcher.startService)
        reactor.callLater(0.3, strike)
        reactor.callLater(8, reactor.stop)
        reactor.run()
        """
    )
    assert out.split() == ["Up", "True", "Down", "True"]


CONNECT = """
    import socket
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol
    from gatewayd.config import SmscConfig, VpnConfig
    from gatewayd.net.connect import Connector

    smsc = SmscConfig("a", "a", connect_timeout=2.0, vpn=VpnConfig("tun0"))

    def connected(protocol):
        made = protocol.transport.getHandle()
        print("connected", made.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16))
        print(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        print(made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))

    endpoint = Connector(reactor).endpoint(smsc, HOST, 2775)
    attempt = endpoint.connect(Factory.forProtocol(Protocol))
    attempt.addCallbacks(connected, lambda failure: print("failed", failure.getErrorMessage()))
    attempt.addBoth(lambda _: reactor.stop())
    reactor.run()
"""


LISTEN = """
import socket, sys
server = socket.create_server(('10.200.5.10', 2775))
print('on', flush=True)
sys.stdin.read()
"""


@contextmanager
def listening(space: Space, code: str = LISTEN) -> Iterator[None]:
    """Somebody listens at the tunnel's far end."""
    argv = ["ip", "netns", "exec", space.far, sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as smsc:
        try:
            assert smsc.stdout is not None
            smsc.stdout.readline()
            yield
        finally:
            smsc.kill()


def test_t05_a_socket_is_bound_to_the_tunnel_before_its_first_packet(space: Space) -> None:
    space.tunnel()
    with listening(space):
        out = space.python(CONNECT.replace("HOST", '"10.200.5.10"'))
    assert out.split() == ["connected", r"b'tun0\x00'", "50000", "60"]


def test_t05_without_its_tunnel_nothing_leaves_by_the_default_route(space: Space) -> None:
    """G15: the connection fails at once, and not one packet was sent on the other device."""
    space.tunnel()
    space.ip("link", "del", "tun0")
    count = "print(open('/sys/class/net/eth9/statistics/tx_packets').read())"
    before = space.python(count)
    out = space.python(CONNECT.replace("HOST", '"10.200.5.10"'))
    assert out.startswith("failed")
    assert "No such device" in out
    assert space.python(count) == before


ABORT = """
    import subprocess
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol
    from gatewayd.config import SmscConfig, VpnConfig
    from gatewayd.net.connect import Connector

    def packets():
        return open("/sys/class/net/eth9/statistics/tx_packets").read()

    def connected(protocol):
        before = packets()
        subprocess.run(FAULT, check=True)
        protocol.transport.write(b"for the SMSC alone")
        reactor.callLater(0.3, protocol.transport.abortConnection)
        reactor.callLater(0.8, lambda: print(packets() == before))
        reactor.callLater(0.9, reactor.stop)

    smsc = SmscConfig("a", "a", vpn=VpnConfig("tun0"))
    endpoint = Connector(reactor).endpoint(smsc, "10.200.5.10", 2775)
    endpoint.connect(Factory.forProtocol(Protocol)).addCallback(connected)
    reactor.callLater(20, reactor.stop)
    reactor.run()
"""


@pytest.mark.parametrize(
    "fault",
    ["link del tun0", "link set tun0 down", "addr flush dev tun0", "route del 10.200.5.0/24"],
)
def test_what_is_written_or_aborted_on_a_lost_path_does_not_go_beside_it(
    space: Space, fault: str
) -> None:
    """G15: neither the data nor the reset of a link that was up when its path went."""
    space.tunnel()
    with listening(space):
        out = space.python(ABORT.replace("FAULT", repr(["ip", *fault.split()])))
    assert out == "True\n"


RETURN = """
    import subprocess
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory, Protocol
    from gatewayd.config import SmscConfig, VpnConfig
    from gatewayd.net.connect import Connector
    from gatewayd.net.sockets import keep_open

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    def packets():
        return int(open("/sys/class/net/eth9/statistics/tx_packets").read())

    def connected(protocol):
        reactor.callLater(0.3, lost, protocol.transport)

    def lost(transport):
        ip("link", "set", "tun0", "down")
        kept = keep_open(transport) if KEEP else None
        transport.abortConnection()
        reactor.callLater(0.5, back, kept)

    def back(kept):
        before = packets()
        ip("link", "set", "tun0", "up")  # which does not bring the SMSC's route back
        reactor.callLater(4, told, kept, before)

    def told(kept, before):
        print(packets() - before)
        reactor.stop()

    smsc = SmscConfig("a", "a", vpn=VpnConfig("tun0"))
    endpoint = Connector(reactor).endpoint(smsc, "10.200.5.10", 2775)
    endpoint.connect(Factory.forProtocol(Protocol)).addCallback(connected)
    reactor.callLater(20, reactor.stop)
    reactor.run()
"""

TALK = """
import socket, time
server = socket.create_server(('10.200.5.10', 2775))
print('on', flush=True)
made, _ = server.accept()
while True:
    made.send(b'x')
    time.sleep(0.05)
"""


@pytest.mark.parametrize("keep", [True, False])
def test_the_kernel_resets_no_connection_beside_the_tunnel_while_its_socket_is_open(
    space: Space, keep: bool
) -> None:
    """The SMSC's packets come with the device, before its route; without the socket they do."""
    space.tunnel()
    with listening(space, TALK):
        out = space.python(RETURN.replace("KEEP", str(keep)))
    assert (int(out) == 0) is keep


CHECK = """
    import ctypes
    from gatewayd.config import Config, SmscConfig, VpnConfig
    from gatewayd.errors import ConfigError
    from gatewayd.net.vpn import check

    smsc = SmscConfig("a", "a", hosts=("10.200.5.10",), vpn=VpnConfig("tun0"))
    try:
        check(Config(smscs=(smsc,)))
        print("may start")
    except ConfigError as error:
        print(error)
"""


def test_this_kernel_lets_the_gateway_start(space: Space) -> None:
    assert space.python(CHECK) == "may start\n"


CONFIGURATION = """\
smscs:
  - id: operator
    host: 10.200.5.10
    system-id: x
    password: ${PW}
    vpn: {device: tun0}
http:
  sendsms: off
  admin: 127.0.0.1:13000
"""

ASK = """
    import json, time, urllib.error, urllib.request

    def get(path):
        try:
            with urllib.request.urlopen("http://127.0.0.1:13000" + path) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def until(wanted):
        for _ in range(200):
            try:
                told = json.loads(get("/readyz"))
                if wanted in (told["paths"]["operator"]["reason"] or "up"):
                    return told
            except OSError:
                pass
            time.sleep(0.05)
        raise SystemExit(get("/readyz"))
"""


def test_the_gateway_names_the_tunnel_in_readyz_metrics_and_log(
    space: Space, tmp_path: Path
) -> None:
    """One line in the log for each change, and none for any attempt."""
    file = tmp_path / "gatewayd.yaml"
    file.write_text(CONFIGURATION)
    argv = ["ip", "netns", "exec", space.name, sys.executable, "-m", "gatewayd", "run", "-c"]
    environ = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "PW": "secret"}
    log = tmp_path / "log"
    with (
        log.open("wb") as out,
        subprocess.Popen([*argv, str(file)], stderr=out, env=environ, cwd=ROOT) as gateway,
    ):
        try:
            told = space.python(ASK + "    print(until('does not exist'))")
            assert "operator: path down: tun0 does not exist" in told
            space.tunnel()
            metrics = space.python(ASK + "    until('up')\n    print(get('/metrics'))")
            assert 'gatewayd_vpn_up{smsc="operator"} 1.0' in metrics
            assert 'gatewayd_vpn_changes_total{smsc="operator"} 1.0' in metrics
            last = re.search(r"^gatewayd_vpn_last_change_time_seconds.* (\S+)$", metrics, re.M)
            assert last is not None
            assert 0 <= time.time() - float(last[1]) < 60
            space.ip("link", "del", "tun0")
            space.python(ASK + "    until('does not exist')")
        finally:
            gateway.terminate()
    lines = [line for line in log.read_text().splitlines() if "path" in line]
    assert [line.partition("operator: ")[2] for line in lines] == [
        "path down: tun0 does not exist",
        "the path through tun0 is up, from 10.66.0.2",
        "path down: tun0 does not exist",
    ]


def probed(space: Space, file: Path) -> dict[str, Any]:
    """What `gatewayd probe` says of the one bind."""
    argv = ["ip", "netns", "exec", space.name, sys.executable, "-m", "gatewayd"]
    done = subprocess.run(
        [*argv, "probe", "--json", "-c", str(file)],
        env={**os.environ, "PW": "secret"},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    [bind] = json.loads(done.stdout)["binds"]
    told: dict[str, Any] = bind
    return told


def test_a_probe_walks_the_tunnel_and_ends_at_the_step_that_fails(
    space: Space, tmp_path: Path
) -> None:
    """Device, address, route, connect: each is the last one told, with what to ask and whom."""
    file = tmp_path / "gatewayd.yaml"
    file.write_text(CONFIGURATION)

    def steps() -> list[str]:
        told = probed(space, file)["steps"]
        assert [step["ok"] for step in told] == [True] * (len(told) - 1) + [False]
        assert told[-1]["means"]
        assert told[-1]["ask"]
        return [step["step"] for step in told]

    assert steps() == ["device"]
    space.tunnel()
    space.ip("addr", "flush", "dev", "tun0")
    assert steps() == ["device", "address"]
    space.ip("addr", "add", "10.66.0.2/24", "dev", "tun0")
    assert steps() == ["device", "address", "resolve", "route"]
    space.ip("route", "add", "10.200.5.0/24", "via", "10.66.0.1")
    assert steps() == ["device", "address", "resolve", "route", "connect"]


def test_a_gateway_that_may_not_watch_its_tunnel_does_not_start(tmp_path: Path) -> None:
    """Without netlink, as under RestrictAddressFamilies=AF_INET."""
    file = tmp_path / "gatewayd.yaml"
    file.write_text(CONFIGURATION)
    code = f"""
import socket, sys
def refuse(*arguments, **named):
    raise OSError(97, "Address family not supported by protocol")
from gatewayd.net import rtnetlink, vpn
check = vpn.check
vpn.check = lambda config: check(config, kernel=refuse)
from gatewayd.cli import main
sys.argv = ["gatewayd", "run", "-c", {str(file)!r}]
sys.exit(main())
"""
    environ = {**os.environ, "STATE_DIRECTORY": str(tmp_path), "PW": "secret"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "RestrictAddressFamilies" in done.stderr
    assert not list(tmp_path.glob("*.sqlite3"))
