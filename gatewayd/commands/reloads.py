"""SIGHUP and `ctl reload`: the file is read again, and the running gateway goes on by it."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gatewayd.app import Gateway
from gatewayd.commands import configuration
from gatewayd.config import Config
from gatewayd.errors import ConfigError
from gatewayd.outcome import PARTLY, REFUSED, Outcome

_LINE = re.compile(r":\d+:")  # where a warning stands in the file; another line is no other one


class Reloads:
    """One reading after another. Who asks while one is under way waits for the next, which comes
    at once: the file may have changed since it was read.

    `reloading` is called when one begins, `reloaded` when it has ended, with what went wrong (None:
    nothing did): so a service manager can be told.
    """

    log = Logger()

    def __init__(self, path: str, gateway: Callable[[], Gateway | None]) -> None:
        self._path = path
        self._gateway = gateway
        self._running = False
        self._waiting: list[Deferred[Outcome]] = []
        self.reloading: Callable[[], None] = _nothing
        self.reloaded: Callable[[str | None], None] = _nobody

    def ask(self) -> Deferred[Outcome]:
        """Read the file and change what differs; fires with what came of it, and never fails."""
        told: Deferred[Outcome] = Deferred()
        self._waiting.append(told)
        if not self._running:
            self._begin()
        return told

    def _begin(self) -> None:
        self._running = True
        waiting, self._waiting = self._waiting, []

        def ended(result: Outcome | Failure) -> None:
            if isinstance(result, Failure):
                self.log.failure("A reload broke", result)
                result = Outcome(PARTLY, f"a fault of gatewayd ({result.value}); restart it")
            self.reloaded(result.error)
            self._running = False
            for told in waiting:
                told.callback(result)
            if self._waiting and not self._running:
                self._begin()

        self.reloading()
        Deferred.fromCoroutine(self._reload()).addBoth(ended)

    async def _reload(self) -> Outcome:
        gateway = self._gateway()
        if gateway is None or gateway.stopping:
            return Outcome(REFUSED, "the gateway is stopping")
        try:
            config: Config = configuration.read(self._path)
        except ConfigError as error:
            for problem in error.problems:
                self.log.error("{problem}", problem=str(problem))
            outcome = Outcome(REFUSED, _mistakes(error))
            gateway.note_reload(outcome)
            return outcome
        known = {_LINE.sub(":", warning) for warning in gateway.config.warnings}
        for warning in config.warnings:
            if _LINE.sub(":", warning) not in known:
                self.log.warn("{warning}", warning=warning)
        return await gateway.reload(config)


def _mistakes(error: ConfigError) -> str:
    """The first mistake in a line, and how many there are."""
    count = len(error.problems)
    more = f" (and {count - 1} more)" if count > 1 else ""
    return f"the configuration is wrong, the old one stays: {error.problems[0]}{more}"


def _nothing() -> None:
    """Nobody wants to know that a reload begins."""


def _nobody(error: str | None) -> None:
    """Nobody wants to know how it ended."""
