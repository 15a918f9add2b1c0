"""The daemon's whole life as a service manager sees it: a socket of the test's is the manager."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live.harness import PORTS, Gateway, http_get, until
from tests.live.processes import Running, run

pytestmark = pytest.mark.live

CONFIG = """\
smscs:
  - id: op
    host: 127.0.0.1
    port: {smsc}
    system-id: demo
    password: secret
    smpp: {{unbind-timeout: 60}}
users:
  - {{username: demo, password: demo-password}}
http:
  sendsms: 127.0.0.1:{sendsms}
  admin: 127.0.0.1:{admin}
  admin-password: an-admin-password
limits: {{drain: {drain}}}
store: {{path: {folder}/store.sqlite3}}
"""


class Unit:
    """A daemon under a service manager that writes down what it is told, as lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._end = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._end.bind(str(folder / "notify"))
        self._end.settimeout(0.05)
        self.smsc, sendsms, self.admin = (PORTS.take() for _ in range(3))
        self.text = CONFIG.format(
            smsc=self.smsc, sendsms=sendsms, admin=self.admin, folder=folder, drain=60
        )
        self.gateway = Gateway(
            folder, self.text, suffix=".yaml", admin_port=self.admin, sendsms_port=sendsms
        )
        self.gateway.configuration.chmod(0o600)

    def spawn(self, watchdog: float = 0.0) -> None:
        env = {"NOTIFY_SOCKET": str(self.folder / "notify")}
        if watchdog:
            env["WATCHDOG_USEC"] = str(int(watchdog * 1_000_000))
        self.gateway.spawn(env)

    def hears(self, what: Callable[[str], bool], timeout: float = 30.0) -> bool:
        """Whether a line that was not there yet comes in time; later ones are left for later."""

        def came() -> bool:
            with contextlib.suppress(TimeoutError):
                self.lines += self._end.recv(65536).decode().split("\n")
            while self.lines:
                if what(self.lines.pop(0)):
                    return True
            return False

        return until(came, timeout)

    def says(self, line: str, timeout: float = 30.0) -> bool:
        return self.hears(lambda heard: heard == line, timeout)

    def shows(self, words: str) -> bool:
        return self.hears(lambda heard: heard.startswith("STATUS=") and words in heard)

    def signal(self, number: int) -> None:
        assert self.gateway.process is not None
        self.gateway.process.send_signal(number)

    def write(self, text: str) -> None:
        self.gateway.configuration.write_text(text)

    def close(self) -> None:
        self.gateway.kill()
        self._end.close()


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    made = Unit(tmp_path)
    yield made
    made.close()


def test_ready_means_that_both_listeners_answer_and_the_status_says_how_it_is(unit: Unit) -> None:
    unit.spawn()
    assert unit.says("READY=1"), unit.gateway.tail()
    assert unit.gateway.healthy()
    assert unit.shows("0 of 1 binds up; 0 MT, 0 MO, 0 reports wait; op/0: ")
    with Running(unit.folder, "smsc", "simulate", "smpp", "--port", str(unit.smsc)):
        assert unit.shows("1 of 1 binds up; 0 MT, 0 MO, 0 reports wait")
        unit.signal(signal.SIGTERM)
        assert unit.says("STOPPING=1")
        assert unit.hears(lambda line: line.startswith("EXTEND_TIMEOUT_USEC="))
        assert unit.gateway.process is not None
        assert unit.gateway.process.wait(20) == 0


def test_a_daemon_that_cannot_listen_is_never_ready(unit: Unit) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", unit.admin))
        taken.listen()
        unit.spawn()
        assert unit.gateway.process is not None
        assert unit.gateway.process.wait(30) == 1
    assert not unit.says("READY=1", timeout=0.5)


def test_the_watchdog_is_fed_from_the_reactor(unit: Unit) -> None:
    """What feeds it stops with the reactor: SIGSTOP here, a hang in the service lab."""
    unit.spawn(watchdog=1.0)
    assert unit.says("READY=1"), unit.gateway.tail()
    for _ in range(5):
        assert unit.says("WATCHDOG=1", timeout=10.0)


def test_a_reload_is_told_with_its_error_which_stays_until_it_is_mended(unit: Unit) -> None:
    unit.spawn()
    assert unit.says("READY=1"), unit.gateway.tail()
    unit.write(unit.text + "no-such-key: 1\n")
    unit.signal(signal.SIGHUP)
    assert unit.says("RELOADING=1")
    assert unit.hears(lambda line: line.startswith("MONOTONIC_USEC="))
    assert unit.says("READY=1")
    assert unit.shows("no-such-key")
    unit.write(unit.text.replace("drain: 60", "drain: 1"))
    unit.signal(signal.SIGHUP)
    assert unit.says("RELOADING=1")
    assert unit.says("READY=1")
    assert unit.hears(lambda line: line.startswith("STATUS=0 of 1 binds up"))
    assert http_get(unit.admin, "/healthz")[0] == 200


def test_a_sighup_while_it_starts_does_not_end_it(unit: Unit) -> None:
    unit.spawn()
    assert unit.shows("reading the store")
    unit.signal(signal.SIGHUP)
    assert unit.says("READY=1"), unit.gateway.tail()
    assert unit.gateway.running


def test_a_second_sigterm_skips_the_drain(unit: Unit) -> None:
    """The SMSC answers no submit and the drain is a minute: only the second one ends it early."""
    silent = ("simulate", "smpp", "--port", str(unit.smsc), "--silent", "100%")
    with Running(unit.folder, "smsc", *silent) as smsc:
        unit.spawn()
        assert unit.shows("1 of 1 binds up"), unit.gateway.tail()
        conf = str(unit.gateway.configuration)
        code, out, err = run("send", "-c", conf, "--from", "1", "--to", "255700000001", "hello")
        assert code == 0, out + err
        assert smsc.says("submit")
        unit.signal(signal.SIGTERM)
        assert unit.says("STOPPING=1")
        for _ in range(3):  # it waits, and asks for the time
            assert unit.hears(lambda line: line.startswith("EXTEND_TIMEOUT_USEC="))
        assert unit.gateway.running
        began = time.monotonic()
        unit.signal(signal.SIGTERM)
        assert unit.gateway.process is not None
        assert unit.gateway.process.wait(30) == 0
        assert time.monotonic() - began < 10.0
    unit.spawn()
    assert unit.shows("1 MT, 0 MO"), "the message that was never answered waits on disk"
