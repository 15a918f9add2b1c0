"""The daemon's life as its service manager is told it: ready, reloading, stopping, alive, and how.

While the daemon starts, the manager waits for `ready`. From then on the reactor feeds the watchdog:
a reactor that turns no more is a daemon that is replaced. Once a second the summary is told again,
if it has changed. While it stops, the manager is asked for patience as long as there is a reason.

A word that says where the daemon stands (READY, RELOADING, STOPPING) and did not go is said again
with the next second's; a watchdog's or a summary's follows anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gatewayd.net import notify
from gatewayd.net.notify import Notifier
from gatewayd.web.status import Snapshot

TELL = 1.0  # seconds between two summaries
PATIENCE = 10.0  # seconds asked for at a time: a stop that hangs is noticed after so many
START = 300.0  # seconds for reading a store that holds very much
SHOWN = 3  # binds and paths that are named


class ServiceManager:
    """Speaks through `notifier`; `describe` gives the summary, or "" when there is none."""

    log = Logger()

    def __init__(self, notifier: Notifier, clock: Any, describe: Callable[[], str]) -> None:
        self._notifier = notifier
        self._clock = clock
        self._describe = describe
        self._unsaid: list[str] = []
        self._told = ""
        self._error = ""
        self._stopping_until: float | None = None
        self._loops = [(LoopingCall(self._tell), TELL)]
        if notifier.watchdog:
            # Twice in the time that is given would do; a third one allows for a late reactor.
            self._loops.append((LoopingCall(self._feed), notifier.watchdog / 3))

    def starting(self, what: str) -> None:
        """Something long begins before `ready` can be said."""
        self._notifier.send(notify.status(what), notify.extend(START))

    def ready(self) -> None:
        """The store is read and the listeners are open; from here on the reactor speaks."""
        self._say(notify.READY)
        if self._notifier.enabled:
            for loop, seconds in self._loops:
                loop.clock = self._clock
                loop.start(seconds).addErrback(
                    lambda failure: self.log.failure("The service manager is not told", failure)
                )

    def reloading(self) -> None:
        """A SIGHUP has come; `reloaded` must follow."""
        self._say(notify.reloading())

    def reloaded(self, error: str | None) -> None:
        """The file is in force, or `error` says why the old one stays: shown until it is mended."""
        self._error = f"reload failed, the old configuration stays: {error}; " if error else ""
        self._say(notify.READY)

    def stopping(self, seconds: float) -> None:
        """A stop in order begins, which may take `seconds` in all and has patience for no more."""
        self._stopping_until = self._clock.seconds() + seconds
        self._say(notify.STOPPING)

    # -- what is said ----------------------------------------------------------------------------

    def _say(self, word: str) -> None:
        """A word that must arrive, and the summary as it is with it."""
        self._unsaid.append(word)
        self._told = ""
        self._tell()

    def _tell(self) -> None:
        while self._unsaid and self._notifier.send(self._unsaid[0]):
            del self._unsaid[0]
        if not self._notifier.enabled:
            return
        words = []
        text = self._status()
        if text and text != self._told:
            words.append(notify.status(text))
        if self._stopping_until is not None and self._clock.seconds() < self._stopping_until:
            words.append(notify.extend(PATIENCE))
        if words and self._notifier.send(*words):
            self._told = text

    def _status(self) -> str:
        try:
            text = self._describe()
        except Exception:  # noqa: BLE001 - a summary that cannot be made must not end the loop
            self.log.failure("The summary for the service manager cannot be made")
            text = ""
        if self._stopping_until is not None:
            return f"stopping; {text}" if text else "stopping"
        return self._error + text

    def _feed(self) -> None:
        self._notifier.send(notify.WATCHDOG)


def summary(snapshot: Snapshot, mt: int, mo: int, reports: int) -> str:
    """The gateway in one line: what is up, what waits, and what is in the way.

    ``1 of 2 binds up; 120 MT, 0 MO, 3 reports wait; operator: path down, tun0 does not exist``
    """
    up = sum(bind.ready for bind in snapshot.binds)
    said = [] if snapshot.state == "running" else [snapshot.state]
    said.append(f"{up} of {len(snapshot.binds)} binds up")
    said.append(f"{mt} MT, {mo} MO, {reports} reports wait")
    if snapshot.problem:
        said.append(snapshot.problem)
    cut = {path.smsc for path in snapshot.paths if not path.up}
    wrong = [f"{path.smsc}: path down, {path.reason}" for path in snapshot.paths if not path.up]
    wrong += [
        f"{bind.name}: {bind.reason}"
        for bind in snapshot.binds
        if not bind.ready and bind.name.rpartition("/")[0] not in cut
    ]
    said += wrong[:SHOWN]
    if len(wrong) > SHOWN:
        said.append(f"and {len(wrong) - SHOWN} more")
    return "; ".join(said)
