"""One UCP/EMI session with an SMSC, we being the large account.

What comes in is sorted by operation; what time brings is in `tick`. UCP has no goodbye: a session
ends by closing the link, once what is under way was answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

from msgspec import structs

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.model import Outcome, Segment
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    SessionOptions,
    SmscProtocol,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, Window, after
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_in import Inward, Refused, accepted_id
from gatewayd.smsc.ucp_numbers import NUMBERS, Names, Numbers
from gatewayd.smsc.ucp_options import read
from gatewayd.smsc.ucp_out import Outward, Unsendable, add_to_list, alert, login

BAD_FRAMES = 10  # broken frames within a minute before the link is given up
SHORTEST_REST = 60.0  # seconds that the number of an unanswered operation is not used again
_LOGIN = 0  # the login's number

_OPEN_STATES = frozenset({LinkState.BOUND, LinkState.DRAINING})


class UcpSession:
    """See `contract.Session`."""

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._own = read(options.smsc.options)
        self._transmits = options.bind.mode is not BindMode.RECEIVER
        self._outward = Outward(options, self._own)
        self._inward = Inward(options, self._own)
        self._framer = ucp.Framer(smpp.max_pdu)
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        timeout = inf if smpp.on_timeout == "wait" else smpp.response_timeout
        size = min(options.bind.window or options.smsc.window, NUMBERS)
        self._window = Window(size, timeout)
        self._numbers = Numbers(max(smpp.response_timeout, SHORTEST_REST))
        self._names = Names()
        # The number of an alert is told to it plus one: its nought means none.
        self._alive = KeepAlive(
            smpp.enquire_interval, smpp.enquire_timeout, smpp.enquire_misses, smpp.enquire_always
        )
        self._lists: set[int] = set()  # numbers of operations 61 without a result
        self._tickets: dict[int, Frame] = {}
        self._ticket = 0
        self._bad: deque[float] = deque(maxlen=BAD_FRAMES + 1)
        self._noise = 0
        self._reason = "stopped"  # of the draining
        self._idle = False  # we drain for want of traffic
        self._ending = ""  # reason of a Closing that the next tick has to tell
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
        if self._state is LinkState.BOUND and self._transmits and not self._ending:
            return max(0, self._room)
        return 0

    @property
    def _room(self) -> int:
        """Operations that may still be sent; an alert takes its place among them."""
        alerts = 1 if self._alive.waiting else 0
        return min(self._window.room - alerts, self._numbers.free)

    @property
    def in_flight(self) -> int:
        return len(self._window.waiting)

    @property
    def unanswered(self) -> int:
        return len(self._tickets)

    def start(self, now: float) -> None:
        self._now = self._alive.heard = self._active = now
        self._enter(Step.BIND)
        if self._options.system_id:
            self._out.append(login(self._options, self._own, _LOGIN))
        else:
            self._due = now  # the SMSC knows us by our address: `tick` says that we are bound

    def receive(self, data: bytes, now: float) -> Sequence[Event]:
        if self.state is LinkState.CLOSED:
            return ()
        self._now = now
        framer = self._framer
        bodies = framer.feed(data, now)
        if bodies:
            self._alive.heard = now
        events: list[Event] = []
        for body in bodies:
            try:
                frame = ucp.decode(body)
                if frame.result:
                    self._on_result(frame, events)
                else:
                    self._on_operation(frame, events)
            except PeerError as error:
                self._bad_frame(error, events)
            if self._state is LinkState.CLOSED:
                return events
        if framer.noise != self._noise:
            events.append(Noted("noise", f"{framer.noise - self._noise} octets outside frames"))
            self._noise = framer.noise
        if framer.broken is not None:
            events.append(Noted("bad_pdu", str(framer.broken)))
            self._close(str(framer.broken), events)
        elif framer.partial_since + self._options.partial_pdu_timeout < self._due:
            self._due = framer.partial_since + self._options.partial_pdu_timeout
        return events

    def tick(self, now: float) -> Sequence[Event]:
        events: list[Event] = []
        self._now = now
        if self.state is LinkState.CLOSED:
            self._due = inf
            return events
        options = self._options
        if self._ending:
            self._close(self._ending, events, rest=self._idle)
        elif now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a frame was begun and not ended", events)
        elif self._state is LinkState.BINDING:
            if not options.system_id:
                self._bound(events)
            elif now >= self._entered + options.bind_timeout:
                self._close("no answer to the login", events)
        elif self._state in _OPEN_STATES:
            self._tick_bound(now, events)
        if self._state is not LinkState.CLOSED:
            self._due = self._next_due()
        return events

    def deadline(self) -> float:
        return self._due

    def submit(self, segment: Segment, now: float) -> Event | None:
        self._now = self._active = now
        number = self._numbers.take()
        try:
            self._out.append(self._outward.submit(segment, number))
        except Unsendable as error:
            self._numbers.give_back(number)
            return SubmitFailed(segment, Outcome.DEAD, str(error))
        self._window.add(number, segment, now)
        self._due = min(self._due, now + self._window.timeout)
        return None

    def answer(self, ticket: int, outcome: Outcome) -> None:
        frame = self._tickets.pop(ticket, None)
        if frame is None or self._state is LinkState.CLOSED:
            return
        if outcome is Outcome.DONE:
            self._out.append(ucp.positive(frame))
        elif outcome is Outcome.DEAD:
            self._refuse(frame, codes.CALL_BARRED)
        elif outcome is Outcome.RETRY:
            # Whatever negative result it got, the SMSC might drop it; on a new link it comes again.
            self._reason = "a message could not be stored"
            if self._state is LinkState.BOUND:
                self._enter(Step.STOP)
        # THROTTLED gets no result at all: the SMSC sends it again when its time has run out.
        if self._state is LinkState.DRAINING:
            self._end_when_drained()

    def stop(self, now: float) -> None:
        self._now = now
        if self._state is LinkState.BOUND:
            self._enter(Step.STOP)
        if self._state is LinkState.DRAINING:
            self._end_when_drained()
        elif self._state is not LinkState.CLOSED:
            self._end("stopped")

    def connection_lost(self, now: float) -> Sequence[Event]:
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._ending = ""
        self._tickets.clear()
        return [Unanswered(segment, "link lost") for segment in self._window.drain()]

    def take_bytes(self) -> bytes:
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    # ---- results

    def _on_result(self, frame: Frame, events: list[Event]) -> None:
        number, operation = frame.number, frame.operation
        if self._state is LinkState.BINDING:
            if operation == ucp.SESSION and number == _LOGIN:
                self._on_login(frame, events)
            else:
                self._stray(frame, events)
            return
        if operation == self._own.submit and number in self._window.waiting:
            self._on_submitted(frame, events)
        elif operation == ucp.ALERT and self._alive.answered(number + 1):
            self._numbers.give_back(number)
            events.append(Alive(self._now - self._alive.asked_at))
        elif operation == ucp.LIST and number in self._lists:
            self._lists.discard(number)
            self._numbers.give_back(number)
            ack, code, text = _verdict(frame)
            if not ack and codes.number(code) != codes.ALREADY_IN_LIST:
                events.append(Noted("list_refused", codes.reason_of(code, text)))
        else:
            self._stray(frame, events)
            return
        self._due = min(self._due, self._alive_due())

    def _on_login(self, frame: Frame, events: list[Event]) -> None:
        ack, code, text = _verdict(frame)
        if ack:
            self._bound(events)
            return
        wrong = codes.number(code) in self._own.refused
        reason = codes.reason_of(code, text)
        events.append(BindRefused(Outcome.DEAD if wrong else Outcome.RETRY, reason))
        self._close(f"login refused: {reason}", events)

    def _bound(self, events: list[Event]) -> None:
        self._active = self._alive.asked_at = self._now  # the keep-alive counts from here
        self._enter(Step.BOUND)
        events.append(Bound())
        for name in self._own.unknown:
            events.append(Noted("unknown_option", name))
        for address in self._own.mo_list:
            number = self._numbers.take()
            self._lists.add(number)
            self._out.append(add_to_list(self._options, self._own, number, address))
        if self._own.alert_first and self._options.enquire_interval > 0:
            self._send_alert()
            self._due = self._next_due()

    def _on_submitted(self, frame: Frame, events: list[Event]) -> None:
        taken = self._window.take(frame.number)
        assert taken is not None
        self._numbers.give_back(frame.number)
        sent, segment = taken
        seconds = self._now - sent
        ack, code, text = _verdict(frame)
        if ack:
            self._active = self._now
            events.append(Submitted(segment, self._id_of(frame, segment, events), seconds))
        else:
            status = codes.number(code)
            outcome = self._outcome_of(status, segment)
            reason = codes.reason_of(code, text)
            events.append(SubmitFailed(segment, outcome, reason, max(status, 0), seconds))
            if status in self._own.login_again and outcome is Outcome.RETRY:
                self._close(f"the SMSC says we are not logged in: {reason}", events)
                return
        if self._state is LinkState.DRAINING:
            self._end_when_drained()

    def _id_of(self, frame: Frame, segment: Segment, events: list[Event]) -> str:
        asked = self._outward.asks(segment)
        if not asked and self._own.ids == "asked":
            return ""
        smsc_id = accepted_id(frame.fields, segment.destination)
        if asked and smsc_id:
            return self._names.give(smsc_id)
        if asked:
            events.append(Noted("no_message_id", "notifications for it cannot be matched"))
        return smsc_id

    def _outcome_of(self, status: int, segment: Segment) -> Outcome:
        own = self._own
        if status in own.throttling:
            return Outcome.THROTTLED
        # The second time "not logged in" speaks of the account or the message, not of the session.
        if status in own.temporary or (status in own.login_again and not segment.tries):
            return Outcome.RETRY
        return Outcome.DEAD

    def _stray(self, frame: Frame, events: list[Event]) -> None:
        """A result of nothing that we wait for."""
        number = frame.number
        open_numbers = number in self._window.waiting or number in self._lists
        open_numbers = open_numbers or self._alive.waiting == number + 1
        late = not open_numbers and self._numbers.give_back(number)
        what = "late_response" if late else "unknown_response"
        events.append(Noted(what, f"R/{frame.operation:02}, number {number:02}"))

    # ---- operations

    def _on_operation(self, frame: Frame, events: list[Event]) -> None:
        if self._state is LinkState.BINDING:
            # Before the login nothing can be kept; without a result it comes again.
            events.append(Noted("too_early", f"O/{frame.operation:02} before the login"))
            return
        handler = _HANDLERS.get(frame.operation)
        if handler is None:
            known = frame.operation in ucp.OPERATIONS
            self._refuse(frame, ucp.NOT_ALLOWED if known else ucp.NOT_SUPPORTED)
            events.append(Noted("unknown_command", f"O/{frame.operation:02}"))
        elif len(frame.fields) < len(ucp.NAMES[frame.operation]):
            raise PeerError(
                f"O/{frame.operation:02} with {len(frame.fields)} fields",
                fatal=False,
                command=frame.operation,
                sequence=frame.number,
                status=ucp.SYNTAX,
            )
        else:
            handler(self, frame, events)

    def _on_alert(self, frame: Frame, events: list[Event]) -> None:
        self._out.append(ucp.positive(frame))

    def _on_deliver(self, frame: Frame, events: list[Event]) -> None:
        read_it = self._inward.deliver
        if frame.operation == ucp.CALL_INPUT:
            read_it = self._inward.call_input
        try:
            inbound = read_it(frame.fields)
        except Refused as error:
            self._refuse(frame, error.code)
            events.append(Noted("refused_deliver", str(error)))
            return
        if inbound.raw:
            events.append(Noted("lossy_text", f"data coding 0x{inbound.dcs:02x}"))
        events.append(Received(self._keep(frame), inbound))

    def _on_notify(self, frame: Frame, events: list[Event]) -> None:
        receipt = self._inward.notification(frame.fields)
        if receipt.smsc_id and receipt.status:
            # 4, buffered, is not the last word.
            name = self._names.find(receipt.smsc_id, final=receipt.status != 4)
            if name != receipt.smsc_id:
                receipt = structs.replace(receipt, smsc_id=name)
        events.append(Receipted(self._keep(frame), receipt))

    def _keep(self, frame: Frame) -> int:
        """A ticket for an operation that somebody else has to answer for."""
        self._active = self._now
        self._ticket += 1
        self._tickets[self._ticket] = frame
        return self._ticket

    def _refuse(self, frame: Frame, code: int) -> None:
        text = codes.text_of(code)
        self._out.append(ucp.negative(frame.number, frame.operation, code, text))

    def _bad_frame(self, error: PeerError, events: list[Event]) -> None:
        events.append(Noted("bad_pdu", str(error)))
        if not error.command & ucp.RESULT and self._state is not LinkState.BINDING:
            text = codes.text_of(error.status)
            self._out.append(ucp.negative(error.sequence, error.command, error.status, text))
        self._bad.append(self._now)
        if len(self._bad) > BAD_FRAMES and self._now - self._bad[0] <= 60.0:
            self._close("too many broken frames", events)

    # ---- what time brings

    def _tick_bound(self, now: float, events: list[Event]) -> None:
        options = self._options
        if now >= self._window.deadline():
            if options.on_timeout == "reconnect":
                self._close("a submit was not answered in time", events)
                return
            known = list(self._window.waiting)
            reason = f"no answer within {options.response_timeout:g} s"
            events += [Unanswered(segment, reason) for segment in self._window.expired(now)]
            for number in known:
                if number not in self._window.waiting:
                    self._numbers.expire(number, now)
        if self._numbers.wake(now):
            events.append(Noted("rested", "numbers of unanswered operations are free again"))
        if options.idle_timeout and now >= self._alive.heard + options.idle_timeout:
            self._close("nothing came from the SMSC for too long", events)
        elif self._state is LinkState.DRAINING:
            if now >= self._entered + options.unbind_timeout:
                self._close("stopped before everything was answered", events)
        elif options.inactivity and now >= self._active + options.inactivity:
            self._reason = "no message for too long"
            self._idle = True
            self.stop(now)
        elif now >= self._alive_due():
            self._keep_alive(now, events)

    def _keep_alive(self, now: float, events: list[Event]) -> None:
        before = self._alive.waiting
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close("an alert was not answered", events)
            return
        if before and (pulse is Pulse.ASK or not self._alive.waiting):
            self._numbers.expire(before - 1, now)
        if pulse is Pulse.ASK:
            self._send_alert()

    def _send_alert(self) -> None:
        number = self._numbers.take()
        self._alive.asked(number + 1, self._now)
        self._out.append(alert(self._options, number))

    def _alive_due(self) -> float:
        """When the keep-alive has work; in a full window its turn comes with the next result."""
        if self._numbers.free and (self._alive.waiting or self._window.room > 0):
            return self._alive.deadline()
        return inf

    def _next_due(self) -> float:
        options = self._options
        if self._ending:
            return self._now
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.BINDING:
            return min(due, self._entered + options.bind_timeout)
        due = min(due, self._window.deadline(), self._numbers.deadline())
        if options.idle_timeout:
            due = min(due, self._alive.heard + options.idle_timeout)
        if self._state is LinkState.DRAINING:
            return min(due, self._entered + options.unbind_timeout)
        if options.inactivity:
            due = min(due, self._active + options.inactivity)
        return min(due, self._alive_due())

    # ---- small things

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now
        self._due = self._next_due()

    def _end_when_drained(self) -> None:
        if not self._window.waiting and not self._tickets:
            self._end(self._reason)

    def _end(self, reason: str) -> None:
        """Close at the next tick, which is due at once."""
        self._ending = self._ending or reason
        self._due = self._now

    def _close(self, reason: str, events: list[Event], *, rest: bool = False) -> None:
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._ending = ""
        events.append(Closing(reason, rest))


def _verdict(frame: Frame) -> tuple[bool, str, str]:
    """Whether the result is positive; else its code and text. Its tail may be missing."""
    fields = frame.fields
    if fields[:1] == ("A",):
        return True, "", ""
    return False, fields[1] if len(fields) > 1 else "", fields[2] if len(fields) > 2 else ""


_HANDLERS: dict[int, Callable[[UcpSession, Frame, list[Event]], None]] = {
    ucp.CALL_INPUT: UcpSession._on_deliver,
    ucp.ALERT: UcpSession._on_alert,
    ucp.DELIVER: UcpSession._on_deliver,
    ucp.NOTIFY: UcpSession._on_notify,
}

PROTOCOL = SmscProtocol(name="UCP/EMI", default_port=3000, esme=UcpSession)
