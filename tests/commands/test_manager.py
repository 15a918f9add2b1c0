"""What the service manager is told of the daemon's life, on a clock of the test's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from gatewayd.commands.manager import ServiceManager, summary
from gatewayd.net.notify import Notifier
from gatewayd.web.status import BindEntry, PathEntry, Snapshot


class Life:
    """A daemon's service manager, both ends of it. What was told since the last look is `heard`."""

    def __init__(self, folder: Path, watchdog: float = 0.0) -> None:
        self.folder = folder
        self.clock = Clock()
        self.text = "1 of 1 binds up"
        self.end = self.listen()
        self.manager = ServiceManager(
            Notifier(str(folder / "notify"), watchdog), self.clock, lambda: self.text
        )

    def listen(self) -> socket.socket:
        self.end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.end.setblocking(False)
        self.end.bind(str(self.folder / "notify"))
        return self.end

    def deafen(self) -> None:
        self.end.close()
        (self.folder / "notify").unlink()

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.end.recv(4096).decode().split("\n")
            except BlockingIOError:
                return lines

    def pass_time(self, seconds: float, step: float = 0.25) -> list[str]:
        self.clock.pump([step] * round(seconds / step))
        return self.heard()


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    made = Life(tmp_path)
    yield made
    made.end.close()


def test_nothing_but_patience_is_asked_for_before_it_is_ready(life: Life) -> None:
    life.manager.starting("reading the store")
    assert life.heard() == ["STATUS=reading the store", "EXTEND_TIMEOUT_USEC=300000000"]
    assert life.pass_time(5) == []
    life.manager.ready()
    assert life.heard() == ["READY=1", "STATUS=1 of 1 binds up"]


def test_the_summary_is_told_when_it_changes_and_once_a_second_at_most(life: Life) -> None:
    life.manager.ready()
    life.heard()
    assert life.pass_time(10) == []
    told: list[str] = []
    for number in range(40):  # it changes four times a second, for ten seconds
        life.text = f"{number} MT wait"
        told += life.pass_time(0.25)
    assert 9 <= len(told) <= 10
    assert told[-1] == "STATUS=39 MT wait"


def test_the_watchdog_is_fed_at_least_twice_in_its_time(tmp_path: Path) -> None:
    life = Life(tmp_path, watchdog=3.0)
    assert life.pass_time(10) == [], "it counts from READY=1 on"
    life.manager.ready()
    pauses, last = [], life.clock.seconds()
    for _ in range(120):
        if "WATCHDOG=1" in life.pass_time(0.25):
            pauses.append(life.clock.seconds() - last)
            last = life.clock.seconds()
    assert len(pauses) > 10
    assert max(pauses) <= 1.5
    life.end.close()


def test_without_a_watchdog_none_is_fed(life: Life) -> None:
    life.manager.ready()
    assert "WATCHDOG=1" not in life.pass_time(60)


def test_a_reload_is_told_and_its_error_stays_until_a_good_one(life: Life) -> None:
    life.manager.ready()
    life.heard()
    life.manager.reloading()
    first = life.heard()
    assert first[0] == "RELOADING=1"
    assert first[1].startswith("MONOTONIC_USEC=")
    life.manager.reloaded("gatewayd.yaml:5: smscs[0].port: 70000 is not a port")
    assert life.heard() == [
        "READY=1",
        "STATUS=reload failed, the old configuration stays: "
        "gatewayd.yaml:5: smscs[0].port: 70000 is not a port; 1 of 1 binds up",
    ]
    life.text = "0 of 1 binds up"
    (still,) = life.pass_time(5)
    assert "70000 is not a port; 0 of 1" in still
    life.manager.reloading()
    life.manager.reloaded(None)
    assert life.heard()[-2:] == ["READY=1", "STATUS=0 of 1 binds up"]


def test_a_stop_asks_for_patience_as_long_as_it_may_take_and_no_longer(life: Life) -> None:
    life.manager.ready()
    life.heard()
    life.manager.stopping(20.0)
    assert life.heard() == [
        "STOPPING=1",
        "STATUS=stopping; 1 of 1 binds up",
        "EXTEND_TIMEOUT_USEC=10000000",
    ]
    for _ in range(4):
        asked = life.pass_time(4.75)
        assert len(asked) >= 4
        assert set(asked) == {"EXTEND_TIMEOUT_USEC=10000000"}
    life.pass_time(1)
    assert life.pass_time(60) == []


def test_a_ready_that_did_not_arrive_is_said_again(life: Life) -> None:
    life.deafen()
    life.manager.ready()
    life.clock.advance(1.0)
    life.listen()
    assert life.pass_time(1) == ["READY=1", "STATUS=1 of 1 binds up"]
    assert life.pass_time(5) == []


def test_a_summary_that_cannot_be_made_stops_neither_watchdog_nor_later_summaries(
    tmp_path: Path,
) -> None:
    life = Life(tmp_path, watchdog=3.0)
    broken = True

    def describe() -> str:
        if broken:
            raise ZeroDivisionError
        return "well again"

    life.manager = ServiceManager(Notifier(str(tmp_path / "notify"), 3.0), life.clock, describe)
    life.manager.ready()
    assert "WATCHDOG=1" in life.pass_time(5)
    broken = False
    assert "STATUS=well again" in life.pass_time(2)
    life.end.close()


def test_without_a_service_manager_nothing_is_timed(tmp_path: Path) -> None:
    clock = Clock()
    manager = ServiceManager(Notifier(), clock, lambda: "well")
    manager.starting("reading the store")
    manager.ready()
    manager.reloading()
    manager.reloaded("wrong")
    manager.stopping(20.0)
    assert clock.getDelayedCalls() == []


# ---- the summary


def test_the_summary_counts_binds_and_queues() -> None:
    binds = tuple(BindEntry(f"operator/{number}", True) for number in range(4))
    assert summary(Snapshot(binds=binds), 0, 0, 0) == (
        "4 of 4 binds up; 0 MT, 0 MO, 0 reports wait"
    )


def test_the_summary_names_a_path_once_instead_of_its_binds() -> None:
    snapshot = Snapshot(
        binds=(
            BindEntry("operator/0", False, "waits for tun0"),
            BindEntry("operator/1", False, "waits for tun0"),
            BindEntry("other/0", True),
        ),
        paths=(
            PathEntry("operator", "tun0", False, reason="tun0 does not exist"),
            PathEntry("other", "wg0", True, address="10.0.0.2"),
        ),
    )
    assert summary(snapshot, 120, 0, 3) == (
        "1 of 3 binds up; 120 MT, 0 MO, 3 reports wait; operator: path down, tun0 does not exist"
    )


def test_the_summary_says_what_is_wrong_and_how_much_more_is() -> None:
    snapshot = Snapshot(
        state="suspended",
        binds=tuple(BindEntry(f"op/{number}", False, "connection refused") for number in range(5)),
        problem="the store fails",
    )
    assert summary(snapshot, 1, 2, 3) == (
        "suspended; 0 of 5 binds up; 1 MT, 2 MO, 3 reports wait; the store fails; "
        "op/0: connection refused; op/1: connection refused; op/2: connection refused; and 2 more"
    )
