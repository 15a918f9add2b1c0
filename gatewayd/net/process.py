"""Runs a command and hands back what it printed: for services that answer an MO by `exec`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from gatewayd.model import HttpAnswer

LONGEST = 65536  # octets of output; more ends the command
SHELL = "/bin/sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TEXT = (("Content-Type", "text/plain; charset=UTF-8"),)


class _Output(ProcessProtocol):
    def __init__(self, reactor: Any, seconds: float, done: Callable[[HttpAnswer], None]) -> None:
        self._done = done
        self._output = b""
        self._trouble = ""
        self._timer = reactor.callLater(seconds, self._end, f"no end after {seconds:g} s")

    def outReceived(self, data: bytes) -> None:
        if len(self._output) + len(data) > LONGEST:
            self._end(f"printed more than {LONGEST} octets")
        else:
            self._output += data

    def _end(self, trouble: str) -> None:
        self._trouble = self._trouble or trouble
        try:
            assert self.transport is not None
            self.transport.signalProcess("KILL")
            self.transport.loseConnection()
        except ProcessExitedAlready:
            return

    def processEnded(self, reason: Failure) -> None:
        if self._timer.active():
            self._timer.cancel()
        if not self._trouble and not reason.check(ProcessDone):
            self._trouble = reason.getErrorMessage()
        if self._trouble:
            self._done(HttpAnswer(0, error=self._trouble))
        else:
            self._done(HttpAnswer(200, _TEXT, self._output))


def execute(reactor: Any, command: str, seconds: float, done: Callable[[HttpAnswer], None]) -> None:
    """Give `command` to the shell; `done` hears its output as an answer of status 200, or 0.

    The command gets no input and an environment of PATH and LANG alone; what it writes on its
    standard error goes nowhere. After `seconds` it is killed. What stands in `command` must be
    trusted: values from outside are for the caller to make harmless.
    """
    environ = {"PATH": PATH, "LANG": os.environ.get("LANG", "C.UTF-8")}
    protocol = _Output(reactor, seconds, done)
    reactor.spawnProcess(
        protocol, SHELL, [SHELL, "-c", command], environ, childFDs={0: "w", 1: "r", 2: "r"}
    )
    assert protocol.transport is not None
    protocol.transport.closeStdin()
