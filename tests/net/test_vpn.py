"""The watcher of tunnels: what it makes of the kernel's word, and when it looks."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from zope.interface import implementer

from gatewayd.config import BindConfig, Config, SmscConfig, VpnConfig
from gatewayd.errors import ConfigError, PeerError
from gatewayd.net.rtnetlink import Device
from gatewayd.net.vpn import BURST, POLL, Down, Path, Tunnel, Up, VpnWatcher, check

TUN = Device(7, up=True, running=True)


def smsc(name: str = "a", **fields: Any) -> SmscConfig:
    fields.setdefault("hosts", ("10.200.5.10",))
    fields.setdefault("vpn", VpnConfig("tun0"))
    fields.setdefault("binds", (BindConfig(f"{name}/0"),))
    return SmscConfig(name, name, **fields)


class FakeKernel:
    """A machine with one tunnel that works."""

    def __init__(self) -> None:
        self.devices = {"tun0": TUN}
        self.own = [(1, "192.0.2.2"), (7, "10.66.0.2")]
        self.routes = {"10.200.5.10"}
        self.asked: list[tuple[str, int, str]] = []
        self.error: Exception | None = None
        self.notices = 0
        self.closed = False

    def fileno(self) -> int:
        return 9

    def drain(self) -> None:
        self.notices = 0

    def close(self) -> None:
        self.closed = True

    def device(self, name: str) -> Device | None:
        if self.error is not None:
            raise self.error
        return self.devices.get(name)

    def addresses(self) -> list[tuple[int, str]]:
        return self.own

    def has_route(self, to: str, index: int, source: str) -> bool:
        self.asked.append((to, index, source))
        return to in self.routes


class Reactor(Clock):
    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)


class Watch:
    """A watcher with its kernel."""

    def __init__(self, *smscs: SmscConfig) -> None:
        self.kernel = FakeKernel()
        self.reactor = Reactor()
        self.told: list[tuple[str, Path]] = []
        self.learned: dict[str, list[str]] = {}
        self.watcher = VpnWatcher(
            smscs or (smsc(),),
            self.reactor,
            lambda: 1000.0 + self.reactor.seconds(),
            lambda name, path: self.told.append((name, path)),
            lambda name: self.learned.get(name, ()),
            lambda: self.kernel,
        )

    def start(self) -> Watch:
        self.watcher.startService()
        return self

    def notice(self) -> None:
        (reader,) = self.reactor.readers
        reader.doRead()

    def news(self) -> list[tuple[str, Path]]:
        told, self.told = self.told, []
        return told


@pytest.fixture
def lines() -> Iterator[list[str]]:
    found: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if str(event.get("log_namespace")).startswith("gatewayd.net.vpn"):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


# ---- one look


def look(kernel: FakeKernel, *learned: str, **fields: Any) -> Path:
    return Tunnel(smsc(**fields)).look(kernel, learned)


def test_a_path_is_device_address_and_route() -> None:
    kernel = FakeKernel()
    assert look(kernel) == Up("10.66.0.2", 7)
    assert kernel.asked == [("10.200.5.10", 7, "")]


def test_a_device_that_is_gone_down_or_idle_is_no_path() -> None:
    kernel = FakeKernel()
    kernel.devices = {}
    assert look(kernel) == Down("tun0 does not exist")
    kernel.devices = {"tun0": TUN._replace(up=False, running=False)}
    assert look(kernel) == Down("tun0 is down")
    kernel.devices = {"tun0": TUN._replace(running=False)}
    assert look(kernel) == Down("tun0 is served by nobody (no carrier)")


def test_a_device_without_address_is_no_path() -> None:
    kernel = FakeKernel()
    kernel.own = [(1, "192.0.2.2")]
    assert look(kernel) == Down("tun0 has no address")


def test_the_source_address_must_be_there_on_whatever_device() -> None:
    kernel = FakeKernel()
    assert look(kernel, source_address="192.0.2.2") == Up("192.0.2.2", 7)
    assert kernel.asked == [("10.200.5.10", 7, "192.0.2.2")]
    assert look(kernel, source_address="10.9.9.9") == Down(
        "this machine lacks the source-address 10.9.9.9"
    )


def test_without_a_route_to_any_host_there_is_no_path() -> None:
    kernel = FakeKernel()
    hosts = ("10.1.1.1", "10.2.2.2")
    assert look(kernel, hosts=hosts) == Down("no route to 10.1.1.1 or 10.2.2.2 through tun0")
    kernel.routes = {"10.2.2.2"}
    assert look(kernel, hosts=hosts) == Up("10.66.0.2", 7)


def test_hosts_of_binds_count_too() -> None:
    kernel = FakeKernel()
    kernel.routes = {"10.3.3.3"}
    binds = (BindConfig("a/0", host="10.3.3.3"),)
    assert look(kernel, hosts=(), binds=binds) == Up("10.66.0.2", 7)


def test_of_a_host_name_the_address_that_is_reached_counts() -> None:
    kernel = FakeKernel()
    hosts = ("smsc.example.net",)
    assert look(kernel, hosts=hosts) == Up("10.66.0.2", 7), "device and address have to do"
    assert look(kernel, "10.4.4.4", hosts=hosts) == Down("no route to 10.4.4.4 through tun0")


# ---- when it looks


def test_without_tunnels_nothing_is_opened() -> None:
    watch = Watch(smsc(vpn=VpnConfig())).start()
    assert watch.reactor.readers == []
    assert watch.told == []
    assert not watch.reactor.getDelayedCalls()
    watch.watcher.stopService()


def test_the_first_look_tells_of_every_tunnel() -> None:
    watch = Watch(smsc("a"), smsc("b", hosts=("10.1.1.1",)), smsc("c", vpn=VpnConfig())).start()
    assert watch.news() == [
        ("a", Up("10.66.0.2", 7)),
        ("b", Down("no route to 10.1.1.1 through tun0")),
    ]


def test_a_change_is_told_in_the_same_turn_as_its_notice() -> None:
    """G12: at most 0.1 s from the device's end to `path down`."""
    watch = Watch().start()
    watch.news()
    watch.reactor.advance(1)
    watch.kernel.devices = {}
    watch.notice()
    assert watch.news() == [("a", Down("tun0 does not exist"))]


def test_a_notice_without_a_change_tells_nothing() -> None:
    watch = Watch().start()
    watch.news()
    watch.reactor.advance(1)
    watch.notice()
    assert watch.news() == []


def test_a_burst_of_notices_is_answered_by_few_looks() -> None:
    watch = Watch().start()
    watch.reactor.advance(1)
    watch.kernel.asked.clear()
    for _ in range(1000):
        watch.notice()
        watch.reactor.advance(BURST / 500)
    watch.reactor.advance(BURST)
    assert len(watch.kernel.asked) <= 4


def test_the_last_change_of_a_burst_is_seen() -> None:
    watch = Watch().start()
    watch.news()
    watch.reactor.advance(1)
    watch.notice()
    watch.kernel.devices = {}
    watch.notice()
    assert watch.news() == []
    watch.reactor.advance(BURST)
    assert watch.news() == [("a", Down("tun0 does not exist"))]


def test_a_change_without_any_notice_is_seen_by_the_clock() -> None:
    watch = Watch().start()
    watch.news()
    watch.kernel.devices = {}
    watch.reactor.advance(POLL)
    assert watch.news() == [("a", Down("tun0 does not exist"))]
    watch.kernel.devices = {"tun0": TUN}
    watch.reactor.advance(POLL)
    assert watch.news() == [("a", Up("10.66.0.2", 7))]


def test_a_device_made_anew_is_another_path() -> None:
    watch = Watch().start()
    watch.news()
    watch.reactor.advance(1)
    watch.kernel.devices = {"tun0": TUN._replace(number=8)}
    watch.kernel.own = [(8, "10.66.0.2")]
    watch.notice()
    assert watch.news() == [("a", Up("10.66.0.2", 8))]


@pytest.mark.parametrize(
    "error", [OSError(errno.EPERM, "not permitted"), PeerError("odd", fatal=True)]
)
def test_a_kernel_that_cannot_be_asked_means_down(error: Exception) -> None:
    watch = Watch().start()
    watch.news()
    watch.reactor.advance(1)
    watch.kernel.error = error
    watch.notice()
    ((_, path),) = watch.news()
    assert isinstance(path, Down)
    assert path.reason.startswith("the kernel cannot be asked")


def test_where_netlink_is_closed_every_path_is_down() -> None:
    watch = Watch()

    def closed() -> FakeKernel:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported")

    watcher = VpnWatcher(
        [smsc()], watch.reactor, lambda: 0.0, lambda *told: watch.told.append(told), kernel=closed
    )
    watcher.startService()
    ((_, path),) = watch.news()
    assert isinstance(path, Down)
    watcher.stopService()
    assert not watch.reactor.getDelayedCalls()


def test_one_line_is_logged_for_each_change_and_none_for_a_look(lines: list[str]) -> None:
    watch = Watch().start()
    for devices in ({}, {}, {"tun0": TUN}, {"tun0": TUN}):
        watch.kernel.devices = devices
        for _ in range(5):
            watch.reactor.advance(1)
            watch.notice()
    assert lines == [
        "a: the path through tun0 is up, from 10.66.0.2",
        "a: path down: tun0 does not exist",
        "a: the path through tun0 is up, from 10.66.0.2",
    ]


def test_another_reason_is_passed_on_but_is_no_change(lines: list[str]) -> None:
    """A device that comes up has no route for some milliseconds."""
    watch = Watch().start()
    for devices, own in (({}, []), ({"tun0": TUN}, []), ({"tun0": TUN}, [(7, "10.66.0.2")])):
        watch.kernel.devices, watch.kernel.own = devices, own
        watch.reactor.advance(1)
        watch.notice()
    assert [path for _, path in watch.news()] == [
        Up("10.66.0.2", 7),
        Down("tun0 does not exist"),
        Down("tun0 has no address"),
        Up("10.66.0.2", 7),
    ]
    assert watch.watcher.tunnels["a"].changes == 2
    assert len([line for line in lines if "path down" in line]) == 2, "the second one is debug"


def test_changes_are_counted_and_dated() -> None:
    watch = Watch().start()
    tunnel = watch.watcher.tunnels["a"]
    assert (tunnel.up, tunnel.changes, tunnel.changed_at) == (True, 0, 1000.0)
    watch.reactor.advance(5)
    watch.kernel.devices = {}
    watch.notice()
    assert (tunnel.up, tunnel.changes, tunnel.changed_at) == (False, 1, 1005.0)


def test_a_listener_that_breaks_does_not_stop_the_watch() -> None:
    watch = Watch(smsc("a"), smsc("b"))
    told = []

    def breaks(name: str, path: Path) -> None:
        told.append(name)
        raise ValueError(name)

    watcher = VpnWatcher(
        [smsc("a"), smsc("b")], watch.reactor, lambda: 0.0, breaks, kernel=lambda: watch.kernel
    )
    watcher.startService()
    assert told == ["a", "b"]


def test_stopping_gives_everything_back() -> None:
    watch = Watch().start()
    watch.watcher.stopService()
    assert watch.kernel.closed
    assert watch.reactor.readers == []
    assert not watch.reactor.getDelayedCalls()


def test_other_smscs_take_over_what_has_not_changed() -> None:
    watch = Watch(smsc("a"), smsc("b")).start()
    watch.news()
    watch.watcher.replace([smsc("a"), smsc("c")])
    assert watch.news() == [("c", Up("10.66.0.2", 7))]
    assert list(watch.watcher.tunnels) == ["a", "c"]


def test_a_first_tunnel_opens_the_watch() -> None:
    watch = Watch(smsc("a", vpn=VpnConfig())).start()
    watch.watcher.replace([smsc("a")])
    assert watch.news() == [("a", Up("10.66.0.2", 7))]
    assert len(watch.reactor.readers) == 1


# ---- what the machine must be able to do


def complaint(config: Config, **parts: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        check(config, **{"bind": lambda: None, "kernel": FakeKernel, **parts})
    return str(caught.value)


def raises(number: int) -> Any:
    def call() -> Any:
        raise OSError(number, {errno.EPERM: "Operation not permitted"}.get(number, "no"))

    return call


def test_a_machine_that_can_is_not_complained_about() -> None:
    check(Config(smscs=(smsc(),)), lambda: None, FakeKernel)
    check(Config(smscs=(smsc(vpn=VpnConfig()),)), raises(errno.EPERM), raises(errno.EPERM))
    check(
        Config(smscs=(smsc(vpn=VpnConfig("tun0", require=False)),)),
        raises(errno.EPERM),
        raises(errno.EPERM),
    )


def test_without_the_right_to_bind_to_a_device_the_start_is_refused() -> None:
    text = complaint(Config(smscs=(smsc(),)), bind=raises(errno.EPERM))
    assert "CAP_NET_RAW" in text
    assert "require: false" in text
    text = complaint(Config(smscs=(smsc(vpn=VpnConfig(), bind_device="eth0"),)), bind=raises(92))
    assert "needs Linux" in text


def test_without_netlink_the_start_is_refused() -> None:
    text = complaint(Config(smscs=(smsc(),)), kernel=raises(errno.EAFNOSUPPORT))
    assert "AF_NETLINK" in text
