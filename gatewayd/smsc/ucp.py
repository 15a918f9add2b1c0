"""One UCP/EMI session with an SMSC, we being the large account.

What comes in is sorted by operation; the life of the session is in `session`. UCP has no goodbye: a
session ends by closing the link, once what is under way was answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from msgspec import structs

from gatewayd.errors import PeerError
from gatewayd.model import Outcome, Segment
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import (
    Event,
    Noted,
    Receipted,
    Received,
    SessionOptions,
    SmscProtocol,
    SubmitFailed,
    Submitted,
)
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.session import EsmeSession
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_in import Inward, Refused, accepted_id
from gatewayd.smsc.ucp_numbers import NUMBERS, Names, Numbers
from gatewayd.smsc.ucp_options import check, read
from gatewayd.smsc.ucp_out import Outward, Unsendable, add_to_list, alert, login

SHORTEST_REST = 60.0  # seconds that the number of an unanswered operation is not used again
_LOGIN = 0  # the login's number


class UcpSession(EsmeSession):
    """See `contract.Session`."""

    PDU: ClassVar[str] = "frame"
    ENQUIRE: ClassVar[str] = "an alert"

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._stream = ucp.Framer(smpp.max_pdu)
        super().__init__(options, self._stream, NUMBERS)
        self._own = read(options.smsc.options)
        self._outward = Outward(options, self._own)
        self._inward = Inward(options, self._own)
        self._numbers = Numbers(max(smpp.response_timeout, SHORTEST_REST))
        self._names = Names()
        self._lists: set[int] = set()  # numbers of operations 61 without a result
        self._noise = 0
        self._reason = "stopped"  # of the draining

    # ---- contract.Session

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

    def _bind(self) -> None:
        if self._options.system_id:
            self._out.append(login(self._options, self._own, _LOGIN))
        else:
            self._due = self._now  # the SMSC knows us by our address: `tick` says we are bound

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
            self._unbind_when_drained()

    def _unbind(self) -> None:
        self._end(self._reason)

    # ---- results

    def _hear(self, body: bytes, events: list[Event]) -> None:
        frame = ucp.decode(body)
        if frame.result:
            self._on_result(frame, events)
        else:
            self._on_operation(frame, events)

    def _received(self, events: list[Event]) -> None:
        noise = self._stream.noise
        if noise != self._noise:
            events.append(Noted("noise", f"{noise - self._noise} octets outside frames"))
            self._noise = noise
        super()._received(events)

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
        elif operation == ucp.ALERT and self._lives(number + 1, events):
            self._numbers.give_back(number)
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
            self._is_bound(events)
            return
        outcome = Outcome.DEAD if codes.number(code) in self._own.refused else Outcome.RETRY
        self._bind_refused(outcome, codes.reason_of(code, text), events)

    def _is_bound(self, events: list[Event]) -> None:
        super()._is_bound(events)
        for name in self._own.unknown:
            events.append(Noted("unknown_option", name))
        for address in self._own.mo_list:
            number = self._numbers.take()
            self._lists.add(number)
            self._out.append(add_to_list(self._options, self._own, number, address))
        if self._own.alert_first and self._options.enquire_interval > 0:
            self._enquire(self._now)
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
            self._unbind_when_drained()

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

    def _refuse(self, frame: Frame, code: int) -> None:
        text = codes.text_of(code)
        self._out.append(ucp.negative(frame.number, frame.operation, code, text))

    def _answer_broken(self, error: PeerError, events: list[Event]) -> None:
        if not error.command & ucp.RESULT and self._state is not LinkState.BINDING:
            text = codes.text_of(error.status)
            self._out.append(ucp.negative(error.sequence, error.command, error.status, text))

    # ---- what time brings

    def _tick_binding(self, now: float, events: list[Event]) -> None:
        if self._options.system_id:
            super()._tick_binding(now, events)
        else:
            self._is_bound(events)

    def _tick_numbers(self, late: list[int], now: float, events: list[Event]) -> None:
        for number in late:
            self._numbers.expire(number, now)
        if self._numbers.wake(now):
            events.append(Noted("rested", "numbers of unanswered operations are free again"))

    def _numbers_due(self) -> float:
        return self._numbers.deadline()

    def _drained_too_long(self, events: list[Event]) -> None:
        self._close("stopped before everything was answered", events)

    def _inactive(self, now: float) -> None:
        self._reason = "no message for too long"
        self._rests = True
        self.stop(now)

    def _can_enquire(self) -> bool:
        """In a full window the turn of an alert comes with the next result."""
        return bool(self._numbers.free and (self._alive.waiting or self._window.room > 0))

    def _keep_alive(self, now: float, events: list[Event]) -> None:
        before = self._alive.waiting
        super()._keep_alive(now, events)
        if before and self._alive.waiting != before:
            self._numbers.expire(before - 1, now)

    def _enquire(self, now: float) -> None:
        # The number of an alert is told plus one: nought would mean that none waits.
        number = self._numbers.take()
        self._alive.asked(number + 1, now)
        self._out.append(alert(self._options, number))


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

PROTOCOL = SmscProtocol(
    name="UCP/EMI",
    default_port=3000,
    esme=UcpSession,
    words=("login", "alert", "close"),
    check=check,
)
