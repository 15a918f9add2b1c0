"""`gatewayd probe`: tries the way to each SMSC step by step, and says which step fails and why."""

from __future__ import annotations

import json
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from errno import EADDRINUSE, EADDRNOTAVAIL, EHOSTUNREACH, ENETUNREACH
from functools import partial
from typing import Any, NamedTuple

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from gatewayd.commands import configuration, probe_advice
from gatewayd.commands.probe_advice import Advice
from gatewayd.commands.probe_path import path_steps
from gatewayd.config import BindConfig, Config, SmscConfig
from gatewayd.errors import ConfigError
from gatewayd.net.connect import Connector
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Receipted,
    Received,
    Session,
    SessionOptions,
    load,
)

ENQUIRE_AFTER = 0.01  # seconds from the bind to the request that asks whether the link lives
UNBIND_WAIT = 2.0


class Step(NamedTuple):
    """One step of the way: how it went, and if badly, what to do."""

    name: str
    ok: bool
    seconds: float
    detail: str = ""
    advice: Advice | None = None


class Target(NamedTuple):
    """One bind to one address of its SMSC."""

    smsc: SmscConfig
    bind: BindConfig
    host: str
    port: int

    @property
    def title(self) -> str:
        where = f"{self.host}:{self.port}"
        tls = " with TLS" if self.smsc.tls.enabled else ""
        who = f"{self.smsc.smpp.system_id!r} as {self.bind.mode.value}"
        return f"{self.bind.name}: {where}{tls}, {who}"


class Probe(Protocol):
    """Binds, asks whether the link lives, unbinds; each step goes to `note`.

    Messages that the SMSC delivers meanwhile are not answered, so they stay the SMSC's.
    """

    def __init__(
        self,
        session: Session,
        words: tuple[str, str, str],
        clock: Any,
        note: Callable[[Step], None],
    ) -> None:
        self.session = session
        self._bind, self._enquire, self._unbind = words
        self.done: Deferred[None] = Deferred()
        self.delivered = 0
        self._clock = clock
        self._note = note
        self._timer: IDelayedCall | None = None
        self._since = 0.0
        self._step = self._bind
        self._refused: BindRefused | None = None

    def connectionMade(self) -> None:
        self._since = self._clock.seconds()
        self.session.start(self._since)
        self._write()

    def dataReceived(self, data: bytes) -> None:
        self._heard(self.session.receive(data, self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._step:
            self._ended(f"the SMSC closed the link ({reason.getErrorMessage()})", reason)
        self.done.callback(None)

    def _write(self) -> None:
        assert self.transport is not None
        data = self.session.take_bytes()
        if data:
            self.transport.write(data)
        if self._timer is not None:
            self._timer.cancel()
        pause = max(0.0, min(self.session.deadline() - self._clock.seconds(), 3600.0))
        self._timer = self._clock.callLater(pause, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._heard(self.session.tick(self._clock.seconds()))

    def _heard(self, events: Any) -> None:
        closing = False
        for event in events:
            closing = self._handle(event) or closing
        self._write()
        if closing:
            assert self.transport is not None
            self.transport.loseConnection()

    def _handle(self, event: Event) -> bool:
        """Whether the link is to be closed."""
        if isinstance(event, Bound):
            self._passed(self._bind, self._enquire)
        elif isinstance(event, BindRefused):
            self._refused = event
        elif isinstance(event, Alive) and self._step == self._enquire:
            self._passed(self._enquire, self._unbind)
            self.session.stop(self._clock.seconds())
        elif isinstance(event, (Received, Receipted)):
            self.delivered += 1
        elif isinstance(event, Closing):
            self._ended(event.reason, None)
            return True
        return False

    def _passed(self, name: str, following: str) -> None:
        now = self._clock.seconds()
        self._note(Step(name, True, now - self._since))
        self._step, self._since = following, now

    def _ended(self, reason: str, failure: Failure | None) -> None:
        """The conversation is over: well only if the unbind was all that was left."""
        step, self._step = self._step, ""
        if not step:
            return
        seconds = self._clock.seconds() - self._since
        if step == self._unbind:
            silent = reason.startswith("no answer")
            advice = probe_advice.UNBIND_SILENT if silent else None
            self._note(Step(step, True, seconds, reason if silent else "", advice))
            return
        self._note(Step(step, False, seconds, reason, self._advice(step, reason, failure)))

    def _advice(self, step: str, reason: str, failure: Failure | None) -> Advice:
        silent = "answer" in reason
        if step == self._enquire:
            return probe_advice.LINK_SILENT if silent else probe_advice.LINK_CLOSED
        if self._refused is not None:
            return probe_advice.refused(self._refused)
        if failure is not None and failure.check(SSL.Error):
            wrong = "certificate verify failed" in str(failure.value)
            return probe_advice.TLS_CERTIFICATE if wrong else probe_advice.TLS
        return probe_advice.BIND_SILENT if silent else probe_advice.BIND_CLOSED


def targets(config: Config, only: str) -> Iterator[Target]:
    """Every bind, or the one named (a bind or an SMSC), with each address it may go to."""
    for smsc in config.smscs:
        for bind in smsc.binds:
            if only in ("", bind.name, smsc.name, smsc.id):
                for host in (bind.host,) if bind.host else smsc.hosts:
                    yield Target(smsc, bind, host, bind.port or smsc.port)


async def try_target(target: Target, config: Config, reactor: Any) -> list[Step]:
    """All steps up to the first that fails."""
    smsc = target.smsc
    steps: list[Step] = []
    if not _walk(smsc, (), steps):
        return steps
    began = reactor.seconds()
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = str(error.strerror or error)
        advice = probe_advice.RESOLVE
        return [*steps, Step("resolve", False, reactor.seconds() - began, reason, advice)]
    addresses = sorted({str(entry[4][0]) for entry in found})
    steps.append(Step("resolve", True, reactor.seconds() - began, ", ".join(addresses)))
    if not _walk(smsc, addresses, steps):
        return steps

    # a keep-alive right after the bind, one miss is enough, and a short farewell
    smpp = replace(
        smsc.smpp,
        enquire_interval=ENQUIRE_AFTER,
        enquire_always=True,
        enquire_misses=1,
        enquire_timeout=max(smsc.smpp.enquire_timeout, 1.0),
        idle_timeout=0.0,
        inactivity=0.0,
        unbind_timeout=min(smsc.smpp.unbind_timeout, UNBIND_WAIT),
    )
    options = SessionOptions(replace(smsc, smpp=smpp), target.bind, config.tlvs, time.time)
    protocol = load(smsc.protocol)
    probe = Probe(protocol.esme(options), protocol.words, reactor, steps.append)
    began = reactor.seconds()
    try:
        connecting = Connector(reactor).endpoint(smsc, target.host, target.port)
        await connecting.connect(_factory(probe, partial(_connected, steps, reactor, began)))
    except (ConnectError, TimeoutError, OSError) as error:
        kind = _kind(error)
        reason = str(error) or type(error).__name__
        advice = probe_advice.connect(kind)
        return [*steps, Step("connect", False, reactor.seconds() - began, reason, advice)]
    await probe.done
    if probe.delivered:
        last = steps.pop()
        note = (
            f"{probe.delivered} messages came meanwhile; they were left unanswered, so the SMSC"
            " delivers them again"
        )
        steps.append(last._replace(detail=f"{last.detail}; {note}" if last.detail else note))
    return steps


def _walk(smsc: SmscConfig, addresses: Sequence[str], steps: list[Step]) -> bool:
    """Whether the tunnel, if there is one, leads on."""
    for name, detail, advice in path_steps(smsc, addresses):
        steps.append(Step(name, advice is None, 0.0, detail, advice))
    return not steps or steps[-1].ok


def _connected(steps: list[Step], reactor: Any, began: float, transport: Any) -> None:
    host = transport.getHost()
    steps.append(Step("connect", True, reactor.seconds() - began, f"from {host.host}"))


def _factory(probe: Probe, made: Callable[[Any], None]) -> Factory:
    class ProbeFactory(Factory):
        noisy = False

        def buildProtocol(self, addr: object) -> Probe:
            return probe

    begin = probe.connectionMade

    def connection_made() -> None:
        made(probe.transport)
        begin()

    probe.connectionMade = connection_made  # type: ignore[method-assign]
    return ProbeFactory()


def _kind(error: Exception) -> str:
    number = getattr(error, "osError", None)
    number = getattr(error, "errno", None) or getattr(number, "errno", None)
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if number in (ENETUNREACH, EHOSTUNREACH) or "No route" in str(error):
        return "unreachable"
    return "local" if number in (EADDRINUSE, EADDRNOTAVAIL) else "other"


def source_of(target: Target) -> str:
    """The address of this machine that the SMSC would see, before any translation on the way."""
    if target.smsc.source_address:
        return target.smsc.source_address
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(
            target.host, target.port, type=socket.SOCK_DGRAM
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing: it only asks the routing table
            return str(probe.getsockname()[0])
    return "our address"


def _filled(advice: Advice, target: Target) -> Advice:
    protocol = load(target.smsc.protocol)
    fields = {
        "{protocol}": protocol.name,
        "{bind}": protocol.words[0],
        "{enquire}": protocol.words[1],
        "{unbind}": protocol.words[2],
        "{source}": source_of(target),
        "{target}": f"{target.host}:{target.port}",
        "{host}": target.host,
        "{system_id}": repr(target.smsc.smpp.system_id),
    }
    texts = []
    for text in advice:
        for name, value in fields.items():
            text = text.replace(name, value)  # noqa: PLW2901
        texts.append(text)
    return Advice(*texts)


async def _all(found: list[Target], config: Config, reactor: Any, as_json: bool) -> int:
    good = True
    told = []
    for target in found:
        if not as_json:
            print(target.title, flush=True)
        steps = []
        for step in await try_target(target, config, reactor):
            advice = _filled(step.advice, target) if step.advice else None
            steps.append(step._replace(advice=advice))
            good = good and step.ok
            if not as_json:
                _show(steps[-1])
        told.append((target, steps))
    if as_json:
        print(json.dumps({"ok": good, "binds": [_as_json(*entry) for entry in told]}))
    elif good:
        print("every step went well")
    return 0 if good else 1


def _show(step: Step) -> None:
    took = f"{step.seconds * 1000:8.1f} ms"
    print(f"  {step.name:<13} {'ok' if step.ok else 'FAILED':<7} {took}  {step.detail}".rstrip())
    if step.advice is not None:
        _paragraph("what it means", step.advice.means)
        _paragraph("ask the operator", step.advice.ask)


def _paragraph(title: str, text: str) -> None:
    if text:
        print(
            textwrap.fill(
                f"{title}: {text}", 100, initial_indent="    ", subsequent_indent="      "
            )
        )


def _as_json(target: Target, steps: list[Step]) -> dict[str, Any]:
    return {
        "bind": target.bind.name,
        "smsc": target.smsc.name,
        "host": target.host,
        "port": target.port,
        "ok": all(step.ok for step in steps),
        "steps": [
            {
                "step": step.name,
                "ok": step.ok,
                "seconds": round(step.seconds, 6),
                "detail": step.detail,
                "means": step.advice.means if step.advice else "",
                "ask": step.advice.ask if step.advice else "",
            }
            for step in steps
        ],
    }


def probe(path: str, only: str, *, as_json: bool, reactor: Any) -> int:
    """0 when every step of every bind went well, 1 when not, 2 for wrong use."""
    try:
        config = configuration.read(path)
    except ConfigError as error:
        configuration.complain(error)
        return 2
    found = list(targets(config, only))
    if not found:
        names = ", ".join(bind.name for smsc in config.smscs for bind in smsc.binds)
        print(f"{path} has no bind {only!r}; it has {names or 'none at all'}", file=sys.stderr)
        return 2
    code = [1]

    def run() -> None:
        done = Deferred.fromCoroutine(_all(found, config, reactor, as_json))
        done.addCallback(partial(code.__setitem__, 0))
        done.addErrback(lambda failure: failure.printTraceback())
        done.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(run)
    reactor.run()
    return code[0]
