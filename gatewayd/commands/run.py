"""`gatewayd run`: the daemon in the foreground."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ClassVar

from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.logger import Logger

from gatewayd import log
from gatewayd.app import Gateway
from gatewayd.commands import configuration
from gatewayd.commands.manager import ServiceManager, summary
from gatewayd.commands.reloads import Reloads
from gatewayd.config import Config, LoggingConfig
from gatewayd.errors import ConfigError, GatewayError
from gatewayd.net.notify import Notifier

SWITCH_INTERVAL = 0.0005  # seconds; the store's thread must not wait long for the interpreter

# What lives long is not tracked (see model.py); the rest dies young and without cycles, so looking
# for cycles at Python's usual rate only costs.
GC_THRESHOLD = (20_000, 50, 100)

AFTER_DRAIN = 30.0  # seconds for all of a stop that is not the drain


class Daemon:
    """Runs one gateway after another: a restart makes a new one from the file as it is then."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(self, path: str, reactor: Any) -> None:
        self._path = path
        self._reactor = reactor
        self._gateway: Gateway | None = None
        self._output: log.Output | None = None
        self._ending = False
        self.manager = ServiceManager(
            Notifier.take(os.environ, os.getpid()), reactor, self._described
        )
        self.reloads = Reloads(path, lambda: self._gateway)
        self.reloads.reloading = self.manager.reloading
        self.reloads.reloaded = self.manager.reloaded
        self.status = 0

    def run(self) -> int:
        """Blocks until the daemon ends; the exit code comes back."""
        self._on_signal("SIGHUP", self.reloads.ask)  # first: its default is to end the process
        try:
            config = configuration.read(self._path)
        except ConfigError as error:
            configuration.complain(error)
            return 2
        logging = config.logging
        self._output = log.begin(logging.level, logging.format, logging.file, logging.numbers)
        for warning in config.warnings:
            self.log.warn("{warning}", warning=warning)
        self.manager.starting("reading the store")
        try:
            self._start(config)
        except (GatewayError, CannotListenError, OSError) as error:
            self.log.error("{reason}", reason=str(error))
            return 1
        sys.setswitchinterval(SWITCH_INTERVAL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold every password
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLD)
        reactor = self._reactor
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        for name in ("SIGTERM", "SIGINT"):  # after Twisted's own, which would not take a second
            reactor.callWhenRunning(self._on_signal, name, self._terminate)
        reactor.callWhenRunning(self.manager.ready)
        reactor.run()
        return self.status

    def _on_signal(self, name: str, call: Callable[[], object]) -> None:
        """Have the reactor make the call, now or as soon as it runs."""
        if number := getattr(signal, name, None):
            signal.signal(number, lambda *_: self._reactor.callFromThread(call))

    def _described(self) -> str:
        """What the service manager shows of the gateway."""
        gateway = self._gateway
        if gateway is None:
            return ""
        return summary(
            gateway.control.snapshot(),
            gateway.backlog.waiting,
            len(gateway.calls),
            len(gateway.reports),
        )

    def _start(self, config: Config) -> None:
        gateway = Gateway(
            config,
            self._reactor,
            environ=os.environ,
            on_end=self._end,
            apply_logging=self._log_as,
        )
        if self._output is not None:
            gateway.control.set_level = self._output.threshold.set
        gateway.control.reload = self.reloads.ask
        gateway.control.admin_ids = self._admin_ids
        try:
            gateway.startService()
        except (CannotListenError, OSError):
            gateway.store.close()
            raise
        self._gateway = gateway

    def _log_as(self, logging: LoggingConfig) -> None:
        """Raises OSError when the log cannot go where it shall."""
        if self._output is not None:
            self._output.change(logging.level, logging.format, logging.file, logging.numbers)
            self._output.reopen()

    def _admin_ids(self) -> frozenset[str]:
        """Which SMSCs the file names now."""
        try:
            config = configuration.read(self._path)
        except ConfigError:
            return frozenset()
        return frozenset(smsc.admin_id or smsc.id for smsc in config.smscs)

    def _terminate(self) -> None:
        """SIGTERM: stop in order. A second one: without waiting for SMSCs and platforms."""
        if not self._ending:
            self._ending = True
            with suppress(ReactorNotRunning):  # the admin was faster
                self._reactor.stop()
        elif self._gateway is not None:
            self.log.warn("Asked again to stop: not waiting any more")
            self._gateway.hurry()

    def _stop(self) -> Any:
        self._ending = True
        gateway = self._gateway
        drain = gateway.config.limits.drain if gateway is not None else 0.0
        self.manager.stopping(drain + AFTER_DRAIN)
        return gateway.stopService() if gateway is not None else None

    def _end(self, how: str) -> None:
        """The admin asked for an end."""
        if how == "stop":
            self._reactor.callLater(0, self._reactor.stop)
        else:
            self._reactor.callLater(0, self._restart)

    def _restart(self) -> None:
        """Begin anew within the process, with the file as it is; a broken one changes nothing."""
        if self._ending:
            return
        self.manager.reloading()
        try:
            config = configuration.read(self._path)
        except ConfigError as error:
            for problem in error.problems:
                self.log.error("{problem}", problem=str(problem))
            self.log.error("The configuration is wrong; the old one stays")
            self.manager.reloaded(str(error.problems[0]))
            return
        gateway = self._gateway
        if gateway is None:
            return
        self.log.info("Restarting with the configuration as it is now")
        self._gateway = None

        def stopped(_: object) -> None:
            try:
                self._log_as(config.logging)
                self._start(config)
            except (GatewayError, CannotListenError, OSError) as error:
                self.log.error("{reason}", reason=str(error))
                self.status = 1
                self._reactor.stop()
            else:
                self.manager.reloaded(None)

        gateway.stopService().addCallback(stopped)


def run(path: str, reactor: Any) -> int:
    return Daemon(path, reactor).run()
