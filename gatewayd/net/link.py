"""One link of a bind: bytes and time go to its Session, and what the Session says to the wire."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from socket import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ITCPTransport
from twisted.python.failure import Failure

from gatewayd.model import Outcome, Segment
from gatewayd.net.sockets import keep_open
from gatewayd.smsc.contract import Closing, Event, Session

if TYPE_CHECKING:
    from gatewayd.net.bind import BindService

CLOSE_TIMEOUT = 5.0  # a link that was told to close is dropped after so long


class BindProtocol:
    """The only class that touches both a transport and a Session.

    An IProtocol and an IPushProducer by its methods; a class with foreign bases compiles badly.
    """

    def __init__(self, session: Session, service: BindService, clock: IReactorTime) -> None:
        self.transport: Any = None
        self.session = session
        self._service = service
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._reading = True
        self._waiting_to_write = False
        self._closing = False
        self.blocked = False  # the transport's buffer is full

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(self._service.smsc.tcp.keepalive > 0)
        register = getattr(self.transport, "registerProducer", None)
        if register is not None:
            register(self, True)
        self.session.start(self._clock.seconds())
        self._service.linked(self)
        self.write()
        self._rearm()

    def dataReceived(self, data: bytes) -> None:
        events = self.session.receive(data, self._clock.seconds())
        self._tell(events)

    def connectionLost(self, reason: Failure) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._service.unlinked(self, self.session.connection_lost(self._clock.seconds()), reason)

    def stop(self) -> None:
        """Drain, unbind, close."""
        self.session.stop(self._clock.seconds())
        self.write()
        self._tell(self.session.tick(self._clock.seconds()))

    def submit(self, segment: Segment, now: float) -> Event | None:
        return self.session.submit(segment, now)

    def answer(self, ticket: int, outcome: Outcome) -> None:
        self.session.answer(ticket, outcome)
        if not self._reading and self.session.unanswered < self._service.unanswered_limit:
            self._reading = True
            self._resume_reading()
        self.write_soon()

    def abort(self) -> None:
        """Drop the link at once."""
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()

    def part(self) -> socket | None:
        """Drop the link at once, but for its socket."""
        kept = keep_open(self.transport)
        self.abort()
        return kept

    # a push producer towards its own transport: submits pause while the SMSC does not read

    def pauseProducing(self) -> None:
        self.blocked = True

    def resumeProducing(self) -> None:
        self.blocked = False
        self._service.resumed(self)

    def stopProducing(self) -> None:
        self.blocked = True

    def write_soon(self) -> None:
        """Write at the end of this turn: what several events say leaves in one piece."""
        if not self._waiting_to_write:
            self._waiting_to_write = True
            self._clock.callLater(0, self._write_now)

    def write(self) -> None:
        data = self.session.take_bytes()
        if data and self.transport is not None and not self._closing:
            self.transport.write(data)

    def _write_now(self) -> None:
        self._waiting_to_write = False
        self.write()
        self._rearm()

    def _tell(self, events: Sequence[Event]) -> None:
        """Hand events on, then write and close as they ask."""
        closing = next((event for event in events if type(event) is Closing), None)
        if events:
            self._service.heard(self, events)
        if closing is not None and not self._closing:
            self.write()
            self._close()
            return
        if not self._waiting_to_write:
            self.write()
        if self._reading and self.session.unanswered >= self._service.unanswered_limit:
            self._reading = False
            self._pause_reading()
        self._rearm()

    def _close(self) -> None:
        """Close once what is written has left, and in any case soon."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(CLOSE_TIMEOUT, self._give_up)
        assert self.transport is not None
        unregister = getattr(self.transport, "unregisterProducer", None)
        if unregister is not None:  # TLS, and a full buffer, would wait for their producer
            unregister()
        self.transport.loseConnection()

    def _give_up(self) -> None:
        self._timer = None
        self.abort()

    def _pause_reading(self) -> None:
        pause = getattr(self.transport, "pauseProducing", None)
        if pause is not None:
            pause()

    def _resume_reading(self) -> None:
        resume = getattr(self.transport, "resumeProducing", None)
        if resume is not None and not self._closing:
            resume()

    def _rearm(self) -> None:
        """Keep one timer, no later than the session's deadline.

        A timer that fires early costs one empty `tick`; moving it at every PDU costs far more.
        """
        if self._closing:
            return
        due = self.session.deadline()
        if self._timer is not None:
            if due == inf or self._timer.getTime() <= due:
                return
            self._timer.cancel()
            self._timer = None
        if due != inf:
            self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._tell(self.session.tick(self._clock.seconds()))
