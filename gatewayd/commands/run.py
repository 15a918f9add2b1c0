"""`gatewayd run`: the daemon in the foreground."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gatewayd import log
from gatewayd.app import Gateway
from gatewayd.commands import configuration
from gatewayd.commands.reloads import Reloads
from gatewayd.config import Config, LoggingConfig
from gatewayd.errors import ConfigError, GatewayError

SWITCH_INTERVAL = 0.0005  # seconds; the store's thread must not wait long for the interpreter

# What lives long is not tracked (see model.py); the rest dies young and without cycles, so looking
# for cycles at Python's usual rate only costs.
GC_THRESHOLD = (20_000, 50, 100)


class Daemon:
    """Runs one gateway after another: a restart makes a new one from the file as it is then."""

    log = Logger()

    def __init__(self, path: str, reactor: Any) -> None:
        self._path = path
        self._reactor = reactor
        self._gateway: Gateway | None = None
        self._output: log.Output | None = None
        self.reloads = Reloads(path, lambda: self._gateway)
        self.status = 0

    def run(self) -> int:
        """Blocks until the daemon ends; the exit code comes back."""
        try:
            config = configuration.read(self._path)
        except ConfigError as error:
            configuration.complain(error)
            return 2
        logging = config.logging
        self._output = log.begin(logging.level, logging.format, logging.file, logging.numbers)
        for warning in config.warnings:
            self.log.warn("{warning}", warning=warning)
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
        if hasattr(signal, "SIGHUP"):
            reactor.callWhenRunning(
                signal.signal, signal.SIGHUP, lambda *_: reactor.callFromThread(self.reloads.ask)
            )
        reactor.run()
        return self.status

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

    def _stop(self) -> Any:
        return self._gateway.stopService() if self._gateway is not None else None

    def _end(self, how: str) -> None:
        """The admin asked for an end."""
        if how == "stop":
            self._reactor.callLater(0, self._reactor.stop)
        else:
            self._reactor.callLater(0, self._restart)

    def _restart(self) -> None:
        """Begin anew within the process, with the file as it is; a broken one changes nothing."""
        try:
            config = configuration.read(self._path)
        except ConfigError as error:
            for problem in error.problems:
                self.log.error("{problem}", problem=str(problem))
            self.log.error("The configuration is wrong; the old one stays")
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

        gateway.stopService().addCallback(stopped)


def run(path: str, reactor: Any) -> int:
    return Daemon(path, reactor).run()
