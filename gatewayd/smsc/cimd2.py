"""One CIMD2 session with an SMSC, we being the client.

What comes in is sorted by `_HANDLERS`; what time brings is in `tick`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from gatewayd.config.model import BindMode
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
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    SessionOptions,
    SmscProtocol,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, Window, after

MOST_WINDOW = 120  # of our numbers some must stay free for keep-alive and logout
BAD_PACKETS = 10  # broken packets within a minute before the link is given up

_OPEN_STATES = frozenset({LinkState.BOUND, LinkState.DRAINING})
_CLIENT_REQUESTS = range(frames.LOGIN, 10)


class Cimd2Session:
    """See `contract.Session`."""

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._own, self._wrong_options = cimd2_options.parse(options.smsc.options)
        self._transmits = options.bind.mode is not BindMode.RECEIVER
        self._ids = MessageIds()
        self._outward = Outward(smpp, self._own, options.wall)
        self._deliveries = Deliveries(Inward(smpp, self._own, self._ids), self._outward)
        self._framer = Framer()
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        timeout = inf if smpp.on_timeout == "wait" else smpp.response_timeout
        window = min(options.bind.window or options.smsc.window, MOST_WINDOW)
        self._window = Window(window, timeout)
        self._alive = KeepAlive(
            smpp.enquire_interval, smpp.enquire_timeout, smpp.enquire_misses, smpp.enquire_always
        )
        self._ours = OurNumbers()
        self._bad: deque[float] = deque(maxlen=BAD_PACKETS + 1)
        self._giving_up = ""  # reason of a Closing that the next tick has to tell
        self._now = 0.0
        self._entered = 0.0  # when the present state began
        self._active = 0.0  # when the last message went either way
        self._due = inf

    # ---- contract.Session

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        if self._state is not LinkState.BOUND or not self._transmits:
            return 0
        free = OURS - len(self._window.waiting) - self._ours.resting - 2
        return max(min(self._window.room, free), 0)

    @property
    def in_flight(self) -> int:
        return len(self._window.waiting)

    @property
    def unanswered(self) -> int:
        return self._deliveries.waiting

    def start(self, now: float) -> None:
        self._now = self._alive.heard = self._active = now
        self._enter(Step.BIND)
        self._log_in()

    def receive(self, data: bytes, now: float) -> Sequence[Event]:
        if self.state is LinkState.CLOSED:
            return ()
        self._now = now
        framer = self._framer
        found = framer.feed(data, now)
        if found:
            self._alive.heard = now
        events: list[Event] = []
        for frame in found:
            if isinstance(frame, PeerError):
                self._bad_packet(frame, events, nack=False)
            else:
                try:
                    packet = frames.decode(frame, checksum=self._own.checksum)
                except PeerError as error:
                    self._bad_packet(error, events, nack=True)
                else:
                    self._handle(packet, frame, events)
            if self._state is LinkState.CLOSED:
                return events
        self._due = min(self._due, framer.partial_since + self._options.partial_pdu_timeout)
        return events

    def tick(self, now: float) -> Sequence[Event]:
        events: list[Event] = []
        self._now = now
        if self._giving_up:
            self._close(self._giving_up, events)
            self._giving_up = ""
        if self.state is LinkState.CLOSED:
            self._due = inf
            return events
        options = self._options
        if now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a packet was begun and not ended", events)
        elif self._state is LinkState.BINDING:
            if now >= self._entered + options.bind_timeout:
                self._close("no answer to the login", events)
        elif self._state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close("no answer to the logout", events)
        elif self._state in _OPEN_STATES:
            self._tick_bound(now, events)
        self._due = inf if self._state is LinkState.CLOSED else self._next_due()
        return events

    def deadline(self) -> float:
        return self._due

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
        if outcome is Outcome.RETRY and not self._giving_up:
            # There is no "later" in CIMD2: what stays unanswered is delivered to the next session.
            self._give_up("a message could not be stored")
        elif self._state is LinkState.DRAINING:
            self._unbind_when_drained()

    def stop(self, now: float) -> None:
        self._now = now
        if self._state in _OPEN_STATES:
            if self._state is LinkState.BOUND:
                self._enter(Step.STOP)
            self._unbind_when_drained()
        elif self._state in (LinkState.OPEN, LinkState.BINDING):
            self._enter(Step.STOP)
            self._give_up("stopped")

    def connection_lost(self, now: float) -> Sequence[Event]:
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._giving_up = ""
        self._deliveries.forget()
        return [Unanswered(segment, "link lost") for segment in self._window.drain()]

    def take_bytes(self) -> bytes:
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the SMSC says

    def _handle(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
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
        if self._state not in _OPEN_STATES:
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
            self._log_in()
        elif code:
            self._login_refused(packet, code, events)
        else:
            granted = statuses.number_of(packet.get(frames.WINDOW))
            if 1 <= granted < self._window.size:
                self._window.size = granted
            self._active = self._alive.asked_at = self._now  # the keep-alive counts from here
            self._enter(Step.BOUND)
            events += [Noted("unknown_option", wrong) for wrong in self._wrong_options]
            events.append(Bound())

    def _login_refused(self, packet: Packet, code: int, events: list[Event]) -> None:
        reason = statuses.reason_of(packet, code)
        outcome = statuses.login_outcome_of(code, self._own)
        events.append(BindRefused(Outcome.RETRY if outcome is Outcome.DONE else outcome, reason))
        self._close(f"login refused: {reason}", events)

    def _on_alive(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        self._send(frames.ALIVE_RESP, packet.number)

    def _on_alive_answer(self, packet: Packet, frame: bytes, events: list[Event]) -> None:
        if self._alive.answered(packet.number):
            self._due = min(self._due, self._alive.deadline())
            events.append(Alive(self._now - self._alive.asked_at))
        else:
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
            events.append(BindRefused(Outcome.RETRY, reason))
            self._close(f"login refused: {reason}", events)
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
                self._log_in()
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

    def _bad_packet(self, error: PeerError, events: list[Event], *, nack: bool) -> None:
        events.append(Noted("bad_pdu", str(error)))
        if nack and error.command not in (frames.NACK, frames.GENERAL_ERROR):
            ours = error.command >= frames.RESPONSE and error.sequence in self._window.waiting
            self._send(frames.NACK, error.sequence if ours else self._deliveries.expected)
        self._bad.append(self._now)
        if len(self._bad) > BAD_PACKETS and self._now - self._bad[0] <= 60.0:
            self._close("too many broken packets", events)

    # ---- what time brings

    def _tick_bound(self, now: float, events: list[Event]) -> None:
        options = self._options
        self._ours.wake(now)
        if now >= self._window.deadline():
            if options.on_timeout == "reconnect":
                self._close("a submit was not answered in time", events)
                return
            known = list(self._window.waiting)
            reason = f"no answer within {options.response_timeout:g} s"
            events += [Unanswered(segment, reason) for segment in self._window.expired(now)]
            for number in known:
                if number not in self._window.waiting:
                    self._ours.rest(number, now)
        if options.idle_timeout and now >= self._alive.heard + options.idle_timeout:
            self._close("nothing came from the SMSC for too long", events)
        elif self._ours.resting > MOST_RESTING:
            self._close("too many submits were not answered", events)
        elif self._state is LinkState.DRAINING:
            if now >= self._entered + options.unbind_timeout:
                self._unbind()
            else:
                self._unbind_when_drained()
        elif options.inactivity and now >= self._active + options.inactivity:
            self.stop(now)
        elif not self._is_busy():
            self._keep_alive(now, events)

    def _is_busy(self) -> bool:
        """The window is full: no other request may go out, and the submit's own timer runs."""
        return self._window.room <= 0 and self._window.timeout < inf

    def _keep_alive(self, now: float, events: list[Event]) -> None:
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close("alive was not answered", events)
        elif pulse is Pulse.ASK:
            number = self._next()
            self._alive.asked(number, now)
            self._send(frames.ALIVE, number)

    def _next_due(self) -> float:
        if self._giving_up:
            return self._now
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.BINDING:
            return min(due, self._entered + options.bind_timeout)
        if self._state is LinkState.UNBINDING:
            return min(due, self._entered + options.unbind_timeout)
        due = min(due, self._window.deadline(), self._ours.deadline())
        if options.idle_timeout:
            due = min(due, self._alive.heard + options.idle_timeout)
        if self._state is LinkState.DRAINING:
            return min(due, self._entered + options.unbind_timeout)
        if options.inactivity:
            due = min(due, self._active + options.inactivity)
        return due if self._is_busy() else min(due, self._alive.deadline())

    # ---- small things

    def _log_in(self) -> None:
        self._ours.last = LOGIN_NUMBER
        try:
            self._out.append(self._outward.login(LOGIN_NUMBER, self._window.size))
        except UsageError:
            self._give_up("user name or password cannot be written in CIMD2")

    def _send(self, operation: int, number: int, *parameters: tuple[int, bytes]) -> bytes:
        packet = self._outward.packet(operation, number, *parameters)
        self._out.append(packet)
        return packet

    def _next(self) -> int:
        """The next number that is free; it counts as used."""
        number = self._ours.next(self._window.waiting, self._alive.waiting)
        self._ours.last = number
        return number

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now
        self._due = self._next_due()

    def _unbind_when_drained(self) -> None:
        if not self._window.waiting and not self._deliveries.waiting:
            self._unbind()

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._send(frames.LOGOUT, self._next())

    def _give_up(self, reason: str) -> None:
        """Close at the next tick, which is due now."""
        self._giving_up = reason
        self._due = self._now

    def _close(self, reason: str, events: list[Event]) -> None:
        self._state = after(self._state, Step.LOST)
        self._due = inf
        events.append(Closing(reason))


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

PROTOCOL = SmscProtocol(name="CIMD2", default_port=9971, esme=Cimd2Session)
