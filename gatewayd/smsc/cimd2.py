"""One CIMD2 session with an SMSC, we being the client.

What comes in is sorted by `_HANDLERS`; the life of the session is in `session`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from gatewayd.errors import PeerError, UsageError
from gatewayd.model import Outcome, Segment
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_options
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_deliveries import Deliveries
from gatewayd.smsc.cimd2_frame import Framer, Packet
from gatewayd.smsc.cimd2_ids import MessageIds, id_of
from gatewayd.smsc.cimd2_in import Inward
from gatewayd.smsc.cimd2_numbers import LOGIN_NUMBER, MOST_RESTING, OURS, OurNumbers
from gatewayd.smsc.cimd2_out import Outward, Unsendable
from gatewayd.smsc.contract import (
    Event,
    Noted,
    SessionOptions,
    SmscProtocol,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.session import BAD_PDUS, OPEN_STATES, EsmeSession

BAD_PACKETS = BAD_PDUS
MOST_WINDOW = 120  # of our numbers some must stay free for keep-alive and logout

_CLIENT_REQUESTS = range(frames.LOGIN, 10)


class Cimd2Session(EsmeSession):
    """See `contract.Session`."""

    PDU = "packet"

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        super().__init__(options, Framer(), MOST_WINDOW)
        self._own, self._wrong_options = cimd2_options.parse(options.smsc.options)
        self._ids = MessageIds()
        self._outward = Outward(smpp, self._own, options.wall)
        inward = Inward(smpp, self._own, self._ids)
        self._deliveries = Deliveries(inward, self._outward, self._tickets)
        self._ours = OurNumbers()

    # ---- contract.Session

    @property
    def credit(self) -> int:
        if self._state is not LinkState.BOUND or not self._transmits:
            return 0
        free = OURS - len(self._window.waiting) - self._ours.resting - 2
        return max(min(self._window.room, free), 0)

    def _bind(self) -> None:
        self._ours.last = LOGIN_NUMBER
        try:
            self._out.append(self._outward.login(LOGIN_NUMBER, self._window.size))
        except UsageError:
            self._end("user name or password cannot be written in CIMD2")

    def submit(self, segment: Segment, now: float) -> Event | None:
        self._now = self._active = now
        number = self._ours.next(self._window.waiting, self._alive.waiting)
        try:
            self._out.append(self._outward.submit(segment, number))
        except Unsendable as error:
            return SubmitFailed(segment, Outcome.DEAD, str(error))
        self._ours.last = number
        self._window.add(number, segment, now)
        self._due = min(self._due, now + self._window.timeout)
        return None

    def answer(self, ticket: int, outcome: Outcome) -> None:
        answer = self._deliveries.answer(ticket, outcome)
        if answer is None or self._state is LinkState.CLOSED:
            return
        if answer:
            self._out.append(answer)
        if outcome is Outcome.RETRY and not self._ending:
            # There is no "later" in CIMD2: what stays unanswered is delivered to the next session.
            self._end("a message could not be stored")
        elif self._state is LinkState.DRAINING:
            self._unbind_when_drained()

    def connection_lost(self, now: float) -> Sequence[Event]:
        self._deliveries.forget()
        return super().connection_lost(now)

    # ---- what the SMSC says

    def _hear(self, frame: bytes | PeerError, events: list[Event]) -> None:
        if isinstance(frame, PeerError):  # not even a number to answer to
            self._broken(frame, events, answer=False)
            return
        packet = frames.decode(frame, checksum=self._own.checksum)
        operation = packet.operation
        if operation < frames.RESPONSE and self._deliveries.came(packet.number):
            events.append(Noted("packet_number", f"{packet.number:03} is out of order"))
        handler = _HANDLERS.get(operation)
        if handler is not None:
            handler(self, packet, frame, events)
        elif operation >= frames.RESPONSE:
            self._stray(packet, events)
        elif operation in _CLIENT_REQUESTS:
            self._send(frames.GENERAL_ERROR, packet.number, *statuses.error(statuses.UNEXPECTED))
            events.append(Noted("unknown_command", f"{operation:02} from the SMSC"))
        else:  # as Kannel does: some SMSCs have operations of their own
            self._send(operation + frames.RESPONSE, packet.number)
            events.append(Noted("unknown_command", f"{operation:02}"))

    def _on_delivery(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        if self._state not in OPEN_STATES:
            # Nobody may be left to keep it: unanswered it comes again.
            events.append(Noted("not_bound", f"operation {packet.operation:02}"))
            return
        answer = self._deliveries.take(packet, frame, self._now, events)
        if answer:
            self._out.append(answer)
        else:
            self._active = self._now

    def _on_submit_answer(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        taken = self._window.take(packet.number)
        if taken is None:
            self._unknown_response(packet, events)
            return
        sent, segment = taken
        self._ours.answered(packet.number)
        self._due = min(self._due, self._alive.deadline())
        code = statuses.error_of(packet)
        if code:
            self._refused(segment, packet, code, self._now - sent, events)
        else:
            self._active = self._now
            smsc_id = self._name(segment, packet)
            if not smsc_id and not packet.has(frames.TIMESTAMP):
                events.append(Noted("no_message_id", "reports on it cannot be matched"))
            events.append(Submitted(segment, smsc_id, self._now - sent))
        if self._state is LinkState.DRAINING:
            self._unbind_when_drained()

    def _name(self, segment: Segment, packet: Packet) -> str:
        timestamp = packet.get(frames.TIMESTAMP).decode("latin-1")
        if not timestamp:
            return ""
        number = packet.get(frames.DESTINATION).decode("latin-1") or segment.destination
        if self._outward.report_request(segment):
            return self._ids.submitted(number, timestamp)
        # Kannel knows no id of a message that no report is asked for.
        return "" if self._own.ids == "asked" else id_of(number, timestamp)

    def _refused(
        self, segment: Segment, packet: Packet, code: int, seconds: float, events: list[Event]
    ) -> None:
        outcome = statuses.outcome_of(code, self._own)
        reason = self._own.reason or statuses.reason_of(packet, code)
        events.append(SubmitFailed(segment, outcome, reason, max(code, 0), seconds))

    def _on_login_answer(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        if self._state is not LinkState.BINDING or packet.number != LOGIN_NUMBER:
            self._stray(packet, events)
            return
        code = statuses.error_of(packet)
        windowless = code in (statuses.WINDOW_SIZE, statuses.WINDOWING_DISABLED)
        if windowless and self._window.size > 1:
            events.append(Noted("window_refused", statuses.reason_of(packet, code)))
            self._window.size = 1
            self._bind()
        elif code:
            self._login_refused(packet, code, events)
        else:
            granted = statuses.number_of(packet.get(frames.WINDOW))
            if 1 <= granted < self._window.size:
                self._window.size = granted
            events += [Noted("unknown_option", wrong) for wrong in self._wrong_options]
            self._is_bound(events)

    def _login_refused(self, packet: Packet, code: int, events: list[Event]) -> None:
        outcome = statuses.login_outcome_of(code, self._own)
        self._bind_refused(outcome, statuses.reason_of(packet, code), events)

    def _on_alive(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        self._send(frames.ALIVE_RESP, packet.number)

    def _on_alive_answer(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        if not self._lives(packet.number, events):
            self._stray(packet, events)

    def _on_logout(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        self._send(frames.LOGOUT_RESP, packet.number)
        self._close("the SMSC logged us out", events)

    def _on_logout_answer(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        if self._state is LinkState.UNBINDING:
            self._close("logged out", events)
        else:
            self._stray(packet, events)

    def _on_general_error(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        """The SMSC could not make sense of a request: nobody knows what it takes the next for."""
        code = statuses.error_of(packet)
        reason = statuses.reason_of(packet, code)
        if self._state is LinkState.BINDING and packet.number == LOGIN_NUMBER:
            self._bind_refused(Outcome.RETRY, reason, events)
            return
        taken = self._window.take(packet.number)
        if taken is None:
            events.append(Noted("general_error", reason))
            return
        sent, segment = taken
        told = self._own.reason or reason
        outcome = Outcome.RETRY
        events.append(SubmitFailed(segment, outcome, told, max(code, 0), self._now - sent))
        self._close(f"general error: {reason}", events)

    def _on_nack(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        """Send again what the SMSC could not read, under the number that it expects."""
        wanted, waiting = packet.number, self._window.waiting
        events.append(Noted("nack", f"{wanted:03} is expected"))
        if self._state is LinkState.BINDING:
            if self._may_try_again(LOGIN_NUMBER, events):
                self._bind()
            return
        number = wanted
        if wanted not in waiting:
            if not waiting or not wanted % 2 or wanted >= frames.NUMBERS:
                return
            number = next(iter(waiting))  # the oldest: nothing before it is awaited
        if not self._may_try_again(number, events):
            return
        taken = self._window.take(number)
        assert taken is not None
        if number != wanted:
            self._ours.renumber(number, wanted, self._now)
        self._out.append(self._outward.submit(taken[1], wanted))
        self._window.add(wanted, taken[1], self._now)

    def _may_try_again(self, number: int, events: list[Event]) -> bool:
        if self._ours.tried_again(number) > self._own.retransmit:
            self._close("the SMSC does not accept our packets", events)
            return False
        return True

    def _stray(self, packet: Packet, events: list[Event]) -> None:
        """A response that answers nothing we asked, or not in the way it should."""
        taken = self._window.take(packet.number)
        if taken is None:
            self._unknown_response(packet, events)
        else:
            events.append(Noted("unknown_response", f"{packet.operation:02} to a submit"))
            events.append(Unanswered(taken[1], "answered by a packet of another kind"))

    def _unknown_response(self, packet: Packet, events: list[Event]) -> None:
        late = self._ours.late(packet.number)
        what = "late_response" if late else "unknown_response"
        events.append(Noted(what, f"{packet.operation:02}, number {packet.number:03}"))

    def _answer_broken(self, error: PeerError, events: list[Event]) -> None:
        if error.command not in (frames.NACK, frames.GENERAL_ERROR):
            ours = error.command >= frames.RESPONSE and error.sequence in self._window.waiting
            self._send(frames.NACK, error.sequence if ours else self._deliveries.expected)

    # ---- what time brings

    def _tick_numbers(self, late: list[int], now: float, events: list[Event]) -> None:
        self._ours.wake(now)
        for number in late:
            self._ours.rest(number, now)
        if self._ours.resting > MOST_RESTING:
            self._close("too many submits were not answered", events)

    def _numbers_due(self) -> float:
        return self._ours.deadline()

    def _can_enquire(self) -> bool:
        """When the window is full no other request may go out, and the submit's own timer runs."""
        return self._window.room > 0 or self._window.timeout == inf

    def _enquire(self, now: float) -> None:
        number = self._next()
        self._alive.asked(number, now)
        self._send(frames.ALIVE, number)

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._send(frames.LOGOUT, self._next())

    # ---- small things

    def _send(self, operation: int, number: int, *parameters: tuple[int, bytes]) -> bytes:
        packet = self._outward.packet(operation, number, *parameters)
        self._out.append(packet)
        return packet

    def _next(self) -> int:
        """The next number that is free; it counts as used."""
        number = self._ours.next(self._window.waiting, self._alive.waiting)
        self._ours.last = number
        return number


_HANDLERS: dict[int, Callable[[Cimd2Session, Packet, bytes, list[Event]], None]] = {
    frames.SUBMIT_RESP: Cimd2Session._on_submit_answer,
    frames.DELIVER: Cimd2Session._on_delivery,
    frames.REPORT: Cimd2Session._on_delivery,
    frames.ALIVE: Cimd2Session._on_alive,
    frames.ALIVE_RESP: Cimd2Session._on_alive_answer,
    frames.LOGIN_RESP: Cimd2Session._on_login_answer,
    frames.LOGOUT: Cimd2Session._on_logout,
    frames.LOGOUT_RESP: Cimd2Session._on_logout_answer,
    frames.GENERAL_ERROR: Cimd2Session._on_general_error,
    frames.NACK: Cimd2Session._on_nack,
}

PROTOCOL = SmscProtocol(
    name="CIMD2",
    default_port=9971,
    esme=Cimd2Session,
    words=("login", "alive", "logout"),
    check=cimd2_options.check,
)
