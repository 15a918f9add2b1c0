"""One bind: bytes and time to and from a session, and reconnecting. Over memory, no ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.config import BindConfig, Retry, SmppOptions, SmscConfig
from gatewayd.model import Outcome, Segment
from gatewayd.net.bind import CLOSE_TIMEOUT, Answer, BindService
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import (
    Bound,
    Closing,
    Event,
    Noted,
    Received,
    SessionOptions,
    Submitted,
    SubmitFailed,
    Unanswered,
)
from gatewayd.smsc.smpp import SmppSession

RECONNECT = Retry(first=1.0, factor=2.0, cap=8.0, jitter=0.0)


class Wire(StringTransport):
    """The link, seen from the SMSC; it ends when both sides say so."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.protocol: Any = None
        self.hangs = False  # the peer never reads: closing in order takes for ever

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)

    def loseConnection(self) -> None:
        super().loseConnection()
        if not self.hangs and self.producer is None:  # as TLS does with a producer
            self.ended(ConnectionDone())

    def abortConnection(self) -> None:
        self.ended(ConnectionLost())

    def ended(self, error: Exception) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(error))

    def pdus(self) -> list[pdus.Pdu]:
        """What we wrote since the last look."""
        data, found = self.value(), []
        self.clear()
        while data:
            length = int.from_bytes(data[:4], "big")
            found.append(pdus.decode(data[:length]))
            data = data[length:]
        return found

    def say(self, *frames: bytes) -> None:
        assert self.protocol is not None
        self.protocol.dataReceived(b"".join(frames))


@implementer(IStreamClientEndpoint)
class Target:
    """Where a bind connects to."""

    def __init__(self, bench: Bench, host: str, port: int) -> None:
        self._bench = bench
        self._place = (host, port)

    def connect(self, protocolFactory: Factory) -> Deferred[IProtocol]:
        bench = self._bench
        bench.tried.append((bench.clock.seconds(), self._place))
        if bench.refuses:
            return fail(ConnectError(string=bench.refuses))
        waiting: Deferred[IProtocol] = Deferred()

        def go() -> None:
            wire = Wire()
            wire.protocol = protocolFactory.buildProtocol(None)
            bench.wires.append(wire)
            wire.protocol.makeConnection(wire)
            waiting.callback(wire.protocol)

        if bench.slow:
            bench.pending.append(go)
        else:
            go()
        return waiting


class Bench:
    """A bind, and what its lane hears."""

    def __init__(self, *, limit: int = 50, chance: float = 0.5, **fields: Any) -> None:
        self.clock: Clock = Clock()
        self.tried: list[tuple[float, tuple[str, int]]] = []
        self.wires: list[Wire] = []
        self.pending: list[Any] = []
        self.refuses = ""
        self.slow = False
        self.breaks = False
        self.heard: list[Event] = []
        self.given_back: list[Segment] = []
        self.changes = 0
        self.answer: Answer = lambda ticket, outcome: None
        self.lines: list[str] = []
        fields = {"reconnect": RECONNECT, "hosts": ("h1",), "port": 2775} | fields
        bind = fields.pop("bind", BindConfig("a/0"))
        self.smsc = SmscConfig("a", "a", binds=(bind,), **fields)
        self.service = BindService(
            self.smsc,
            bind,
            lambda: SmppSession(SessionOptions(self.smsc, bind)),
            self._endpoint,
            self,
            self.clock,
            lambda: chance,
            limit,
        )

    def _endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        if self.breaks:
            raise OSError("no such certificate file")
        return Target(self, host, port)

    # -- Listener

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None:
        self.heard += events
        self.answer = answer

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None:
        self.given_back += [event.segment for event in events if isinstance(event, Unanswered)]

    def state_changed(self, bind: BindService) -> None:
        self.changes += 1

    # -- what happens

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    def start(self) -> Bench:
        self.service.startService()
        return self

    def bound(self) -> Bench:
        """Started, and the SMSC took the bind."""
        self.start()
        self.accept()
        return self

    def accept(self, status: int = 0) -> None:
        bind = self.wire.pdus()[0]
        assert isinstance(bind, pdus.Bind)
        self.wire.say(
            pdus.encode(
                pdus.BindResp(bind.command | pdus.RESPONSE, status, bind.sequence, b"smsc", ())
            )
        )

    def submit(self, *ids: int) -> None:
        for number in ids:
            segment = Segment(id=number, source="1", destination="2", payload=b"x")
            assert self.service.submit(segment, self.clock.seconds()) is None
        self.service.flush()
        self.clock.advance(0)

    def respond(self, *pdus_: pdus.Pdu, status: int = 0) -> None:
        self.wire.say(
            *[
                pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, status, pdu.sequence, b"id")
                for pdu in pdus_
            ]
        )

    def deliver(self, count: int = 1, first: int = 1) -> None:
        self.wire.say(*[deliver_sm(first + n) for n in range(count)])

    def tickets(self) -> list[int]:
        return [event.ticket for event in self.heard if isinstance(event, Received)]


def deliver_sm(sequence: int) -> bytes:
    submit = pdus.decode(
        bytes.fromhex(
            "0000002f00000005000000000000000100010131000101320000000000000000"
            "0000000000056e6f742d72"
        )[:0]
        or _DELIVER
    )
    assert isinstance(submit, pdus.Sm)
    return pdus.encode_sm(pdus.Sm(**_fields(submit) | {"sequence": sequence}))
