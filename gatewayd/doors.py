"""The listeners of a running gateway, who answers behind them, and how both change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from gatewayd.access import AccessLog
from gatewayd.config import Config, ListenerConfig
from gatewayd.config.difference import LISTENERS, listener
from gatewayd.errors import ConfigError, GatewayError
from gatewayd.net.connect import Connector
from gatewayd.web.admin import Admin
from gatewayd.web.ctl import Ctl
from gatewayd.web.external import External
from gatewayd.web.intake import Intake
from gatewayd.web.request import Handler, unknown_request
from gatewayd.web.sendota import SendOta
from gatewayd.web.sendsms import SendSms

if TYPE_CHECKING:
    from gatewayd.app import Gateway


@dataclass(slots=True)
class _Behind:
    """Who answers behind a listener."""

    routes: dict[str, Handler] = field(default_factory=dict)
    default: Handler = unknown_request
    puts: Sequence[str] = ()


@dataclass(slots=True)
class Prepared:
    """What was made ready for another configuration, and not used yet."""

    config: Config
    behind: dict[str, _Behind]
    sendsms: SendSms | None
    opened: dict[str, tuple[Intake, IListeningPort]] = field(default_factory=dict)


class Doors:
    """Opens, changes and closes the listeners."""

    log = Logger()

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._reactor = gateway.reactor
        self._connector = Connector(gateway.reactor)
        self.config = gateway.config  # as it stands
        self.listeners: list[tuple[str, IListeningPort]] = []
        self.intakes: dict[str, Intake] = {}
        self.sendsms: SendSms | None = None
        self._admin: Admin | None = None

    def open(self) -> None:
        """Open all, sendsms last. Raises CannotListenError, OSError, GatewayError."""
        prepared = Prepared(self.config, *self._handlers(self.config, self._gateway.access))
        for name in LISTENERS:
            self._open(prepared, name)
            if name in prepared.opened:
                self._stand(name, prepared)
        self.use(prepared)

    def _open(self, prepared: Prepared, name: str) -> None:
        at = listener(prepared.config, name)
        if at is not None:
            behind = prepared.behind[name]
            intake = Intake(
                prepared.config.http,
                behind.routes,
                self._reactor,
                default=behind.default,
                puts=behind.puts,
            )
            prepared.opened[name] = intake, self._connector.listen(at, intake)

    def _handlers(
        self, config: Config, access: AccessLog | None
    ) -> tuple[dict[str, _Behind], SendSms | None]:
        gateway, http = self._gateway, config.http
        if self._admin is None or http != self.config.http:
            ctl = Ctl(http, gateway.desk, self._reactor)
            admin = Admin(http, gateway.control, self._reactor, gateway.metrics.render, ctl)
        else:
            admin = self._admin
        behind = {"admin": _Behind(default=admin)}
        if http.sendsms is None:
            return behind, None
        accept = gateway.control.accept
        sendsms = SendSms(
            config,
            accept,
            gateway.wall,
            access,
            now=self._reactor.seconds,
            run=self._elsewhere,
            before=self.sendsms,
        )
        routes: dict[str, Handler] = {http.sendsms_path: sendsms}
        if http.external_path:
            routes[http.external_path] = External(config, sendsms, accept, gateway.keys.uuid)
        if http.sendota_path:
            routes[http.sendota_path] = SendOta(config, sendsms, accept)
        behind["sendsms"] = _Behind(routes, puts=[http.external_path])
        return behind, sendsms

    def _elsewhere(self, job: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Run what takes long in a thread of the reactor's."""

        def failed(failure: Any) -> None:
            self.log.failure("A password could not be checked", failure)
            done(False)

        pool = self._reactor.getThreadPool()
        deferToThreadPool(self._reactor, pool, job).addCallbacks(done, failed)

    # -- another configuration -------------------------------------------------------------------

    def prepare(self, config: Config, access: AccessLog | None) -> Prepared:
        """Make ready what `config` wants: whatever can fail does so here, and changes nothing.

        A listener with a port of its own is open when this returns. Raises CannotListenError,
        OSError, GatewayError.
        """
        prepared = Prepared(config, *self._handlers(config, access))
        try:
            for name in LISTENERS:
                old, new = listener(self.config, name), listener(config, name)
                if new is None or new == old:
                    continue
                if new.tls.enabled:
                    from gatewayd.net.tls import ServerContext  # noqa: PLC0415 - see net.tls_later

                    ServerContext(new.tls)
                if not _same_port(old, new):
                    self._open(prepared, name)
        except BaseException:
            self.drop(prepared)
            raise
        return prepared

    def drop(self, prepared: Prepared) -> None:
        """It will not be used."""
        for _, port in prepared.opened.values():
            port.stopListening()

    def use(self, prepared: Prepared) -> None:
        """Answer by what was prepared, from this moment on."""
        config = prepared.config
        self.config = config
        self.sendsms = prepared.sendsms
        default = prepared.behind["admin"].default
        self._admin = default if isinstance(default, Admin) else None
        for name, intake in self.intakes.items():
            behind = prepared.behind.get(name, _Behind())
            intake.configure(config.http, behind.routes, behind.default, behind.puts)

    async def move(self, prepared: Prepared, old: Config) -> list[str]:
        """Put the new listeners in the place of the old ones; what could not be done comes back.

        One that keeps its port, but with other TLS or on another interface, must close before it
        can open again; should that fail, the old one is opened again. `config` then says what
        stands, so that the next reload finds the difference.
        """
        problems = []
        stands: dict[str, Any] = {}
        for name in LISTENERS:
            before, after = listener(old, name), listener(prepared.config, name)
            if before == after:
                continue
            if name in prepared.opened:
                await self._replace(name, prepared)
                continue
            await self._close(name)
            if after is None:
                continue
            for config, trouble in (
                (prepared.config, "cannot listen as configured"),
                (old, "cannot listen as before either, and is closed"),
            ):
                try:
                    self._open(replace(prepared, config=config), name)
                except (CannotListenError, OSError, GatewayError) as error:
                    problems.append(f"{name} {trouble}: {error}")
                else:
                    self._stand(name, prepared)
                    stands[name] = listener(config, name)
                    break
                stands[name] = None
        self.config = replace(self.config, http=replace(self.config.http, **stands))
        return problems

    async def _replace(self, name: str, prepared: Prepared) -> None:
        """The new one is open: it stands there before the old one closes."""
        left = [port for found, port in self.listeners if found == name]
        intake = self.intakes.get(name)
        self._stand(name, prepared)
        await self._shut(left, intake)

    async def _close(self, name: str) -> None:
        left = [port for found, port in self.listeners if found == name]
        await self._shut(left, self.intakes.get(name))
        self.listeners[:] = [one for one in self.listeners if one[0] != name]

    async def _shut(self, ports: Sequence[IListeningPort], intake: Intake | None) -> None:
        for port in ports:
            await maybeDeferred(port.stopListening)
        if intake is not None:
            intake.stop()

    def _stand(self, name: str, prepared: Prepared) -> None:
        """What was opened is the listener of this name; it counts on where the last one ended."""
        intake, port = prepared.opened[name]
        before = self.intakes.get(name)
        if before is not None:
            intake.counts = before.counts
        self.intakes[name] = intake
        others = [one for one in self.listeners if one[0] != name]
        self.listeners[:] = sorted([*others, (name, port)], key=lambda one: LISTENERS.index(one[0]))

    async def close(self) -> None:
        """Close all, sendsms first; connections end with the answer they wait for."""
        for name, port in reversed(self.listeners):
            await self._shut([port], self.intakes[name])

    def address_of(self, name: str) -> str:
        for found, port in self.listeners:
            if found == name:
                address: Any = port.getHost()
                return f"{address.host}:{address.port}"
        return "off"

    def reload_lists(self) -> bool:
        """Read the files of white and black lists again; False when one cannot be read."""
        if self.sendsms is None:
            return True
        try:
            self.sendsms.reload_lists()
        except ConfigError as error:
            self.log.error("Lists are not read: {reason}", reason=str(error))
            return False
        return True


def _same_port(old: ListenerConfig | None, new: ListenerConfig) -> bool:
    return old is not None and old.port == new.port != 0
