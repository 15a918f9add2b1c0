"""Datagrams to the service manager: what is sent, where to, and that nothing waits for it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayd.net import notify
from gatewayd.net.notify import Notifier

PID = 4711


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's end, at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(5.0)
        end.bind(str(tmp_path / "notify"))
        yield end


def address(manager: socket.socket) -> str:
    return str(manager.getsockname())


def test_assignments_go_as_the_lines_of_one_datagram(manager: socket.socket) -> None:
    assert Notifier(address(manager)).send(notify.READY, notify.status("all is well"))
    assert manager.recv(4096) == b"READY=1\nSTATUS=all is well"


def test_an_at_sign_stands_for_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.settimeout(5.0)
        end.bind(f"\0gatewayd-test-{os.getpid()}")
        assert Notifier(f"@gatewayd-test-{os.getpid()}").send(notify.WATCHDOG)
        assert end.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize("where", ["", "vsock:2:1234", "relative/path"])
def test_without_a_manager_words_go_nowhere_and_that_is_no_failure(where: str) -> None:
    notifier = Notifier(where, watchdog=3.0)
    assert not notifier.enabled
    assert notifier.watchdog == 0.0
    assert notifier.send(notify.READY)


def test_a_manager_that_is_gone_or_does_not_read_is_told_apart_and_not_waited_for(
    tmp_path: Path, manager: socket.socket
) -> None:
    assert not Notifier(str(tmp_path / "nobody")).send(notify.READY)
    full = Notifier(address(manager))
    sent = 0
    while full.send(notify.WATCHDOG):
        sent += 1
        assert sent < 1_000_000
    assert sent > 0
    manager.recv(4096)
    assert full.send(notify.READY)


def test_the_variables_are_taken_out_so_that_no_child_inherits_them(manager: socket.socket) -> None:
    environ = {
        "NOTIFY_SOCKET": address(manager),
        "WATCHDOG_USEC": "3000000",
        "WATCHDOG_PID": str(PID),
        "LANG": "C.UTF-8",
    }
    notifier = Notifier.take(environ, PID)
    assert environ == {"LANG": "C.UTF-8"}
    assert notifier.enabled
    assert notifier.watchdog == 3.0


@pytest.mark.parametrize(
    ("microseconds", "owner", "seconds"),
    [
        ("500000", "", 0.5),
        ("500000", str(PID), 0.5),
        ("500000", "1", 0.0),  # of the process that started us
        ("", str(PID), 0.0),
        ("soon", str(PID), 0.0),
        ("-5", str(PID), 0.0),
    ],
)
def test_a_watchdog_counts_only_for_the_process_it_is_meant_for(
    microseconds: str, owner: str, seconds: float
) -> None:
    environ = {
        "NOTIFY_SOCKET": "/run/notify",
        "WATCHDOG_USEC": microseconds,
        "WATCHDOG_PID": owner,
    }
    assert Notifier.take(environ, PID).watchdog == seconds


def test_a_status_is_one_line_of_bounded_length() -> None:
    assert notify.status("a\nREADY=1\r\n b") == "STATUS=a READY=1 b"
    assert len(notify.status("x" * 5000)) == len("STATUS=") + notify.LONGEST


def test_a_reload_carries_the_monotonic_clock_in_microseconds() -> None:
    word, _, stamp = notify.reloading().partition("\n")
    assert word == "RELOADING=1"
    name, _, value = stamp.partition("=")
    assert name == "MONOTONIC_USEC"
    assert 0 <= time.monotonic_ns() // 1000 - int(value) < 60_000_000


def test_time_is_asked_for_in_microseconds() -> None:
    assert notify.extend(1.5) == "EXTEND_TIMEOUT_USEC=1500000"
