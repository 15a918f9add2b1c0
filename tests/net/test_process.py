"""Commands that answer an MO: what they print, how they end, and what they may not do."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gatewayd.config import ChannelConfig
from gatewayd.model import HttpAnswer, Mo
from gatewayd.net.process import LONGEST, execute
from gatewayd.platforms.replies import command_of


class Child:
    """A process that does what the test says."""

    pid = 1

    def __init__(self) -> None:
        self.signals: list[str | int] = []
        self.closed = False

    def signalProcess(self, signal: str | int) -> None:
        self.signals.append(signal)

    def closeStdin(self) -> None:
        self.closed = True

    def loseConnection(self) -> None:
        pass

    def closeStdout(self) -> None:
        pass

    def closeStderr(self) -> None:
        pass

    def closeChildFD(self, descriptor: int) -> None:
        pass

    def writeToChild(self, child: int, data: bytes) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def writeSequence(self, data: Any) -> None:
        pass


class Machine(Clock):
    """A reactor whose only process is `child`."""

    def __init__(self) -> None:
        super().__init__()
        self.child = Child()
        self.given: tuple[Any, ...] = ()
        self.answers: list[HttpAnswer] = []

    def spawnProcess(self, protocol: Any, *given: Any, **more: Any) -> Child:
        self.protocol, self.given = protocol, given
        protocol.makeConnection(self.child)
        return self.child

    def run(self, command: str = "true") -> None:
        execute(self, command, 10.0, self.answers.append)

    def end(self, how: Exception | None = None) -> None:
        self.protocol.processEnded(Failure(how or ProcessDone(0)))


def test_what_a_command_prints_is_its_answer() -> None:
    machine = Machine()
    machine.run("echo hello")
    assert machine.given[:2] == ("/bin/sh", ["/bin/sh", "-c", "echo hello"])
    assert set(machine.given[2]) == {"PATH", "LANG"}
    assert machine.child.closed
    machine.protocol.outReceived(b"hel")
    machine.protocol.outReceived(b"lo\n")
    machine.protocol.errReceived(b"noise")
    machine.end()
    (answer,) = machine.answers
    assert (answer.status, answer.body) == (200, b"hello\n")
    assert answer.header("content-type") == "text/plain; charset=UTF-8"
    assert not machine.getDelayedCalls()


def test_a_command_that_fails_has_no_answer() -> None:
    machine = Machine()
    machine.run()
    machine.protocol.outReceived(b"half")
    machine.end(ProcessTerminated(1))
    assert [(answer.status, answer.body) for answer in machine.answers] == [(0, b"")]


def test_a_command_that_does_not_end_is_killed() -> None:
    machine = Machine()
    machine.run()
    machine.advance(10.0)
    assert machine.child.signals == ["KILL"]
    machine.end(ProcessTerminated(signal=9))
    (answer,) = machine.answers
    assert answer.error == "no end after 10 s"


def test_a_command_that_prints_for_ever_is_killed() -> None:
    machine = Machine()
    machine.run()
    machine.protocol.outReceived(b"x" * LONGEST)
    assert not machine.child.signals
    machine.protocol.outReceived(b"x")
    assert machine.child.signals == ["KILL"]
    machine.end(ProcessTerminated(signal=9))
    assert machine.answers[0].status == 0


@pytest.mark.parametrize(
    ("template", "command"),
    [
        ("echo hello %s", "echo hello arg%3Bid"),
        ("run %S", "run arg%3Bid"),
        ("run '%a'", "run 'exe+arg%3Bid+%27+%24%28x%29+%60y%60'"),
        ("run %p", "run %2D-rf"),
        ("run %d", "run -1"),
    ],
)
def test_nothing_that_was_sent_means_anything_to_the_shell(template: str, command: str) -> None:
    text = b"exe arg;id ' $(x) `y`"
    mo = Mo(id=1, smsc="s", source="--rf", destination="2", payload=text)
    assert command_of(mo, ChannelConfig("c", exec=template), "UUID") == command
