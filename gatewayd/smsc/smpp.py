"""One SMPP 3.4 session with an SMSC, we being the ESME.

What comes in is sorted by `_HANDLERS`; the life of the session is in `session`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.model import Inbound, Outcome, Segment
from gatewayd.sms.receipt_text import normalise_id
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_status as statuses
from gatewayd.smsc.contract import (
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
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.session import OPEN_STATES, EsmeSession
from gatewayd.smsc.smpp_frame import Framer
from gatewayd.smsc.smpp_in import Inward, Refused
from gatewayd.smsc.smpp_out import Outward, Unsendable, bind
from gatewayd.smsc.smpp_tlv import NamedTlvs

_DRAINING: Final = LinkState.DRAINING  # as in `session`
_CLOSED: Final = LinkState.CLOSED

LAST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4, 3.2
LATE_KEPT = 1000  # sequence numbers that ran out of time, remembered for a late answer
FULL_IN_A_ROW = 3  # "queue full" for so many destinations in a row speaks of the bind

_BINDS = {
    BindMode.TRANSMITTER: pdus.BIND_TRANSMITTER,
    BindMode.RECEIVER: pdus.BIND_RECEIVER,
    BindMode.TRANSCEIVER: pdus.BIND_TRANSCEIVER,
}


class SmppSession(EsmeSession):
    """See `contract.Session`."""

    PDU: ClassVar[str] = "PDU"
    BIND: ClassVar[str] = "bind"
    UNBIND: ClassVar[str] = "unbind"
    ENQUIRE: ClassVar[str] = "enquire_link"

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        super().__init__(options, Framer(smpp.max_pdu))
        self._outward = Outward(options)
        self._inward = Inward(options)
        self._tlvs = NamedTlvs(options.tlvs, options.smsc.id)
        self._may_send_tlvs = False
        self._sequence = 0  # the last one used
        self._bind_command = _BINDS[options.bind.mode]
        self._bind_sequence = 0
        self._late: dict[int, Segment] = {}
        self._answers = {
            Outcome.DONE: statuses.ROK,
            Outcome.RETRY: smpp.cannot_store_status,
            Outcome.THROTTLED: smpp.queue_full_status,
            Outcome.DEAD: statuses.RX_R_APPN,
        }
        self._full: set[str] = set()  # destinations told "queue full" since the last other answer

    # ---- contract.Session

    def _bind(self) -> None:
        self._bind_sequence = self._next()
        self._out.append(bind(self._options, self._bind_command, self._bind_sequence))

    def submit(self, segment: Segment, now: float) -> Event | None:
        self._now = self._active = now
        sequence = self._next()
        try:
            self._out.append(self._outward.submit_sm(segment, sequence, self._may_send_tlvs))
        except Unsendable as error:
            return SubmitFailed(segment, Outcome.DEAD, str(error))
        window = self._window
        window.add(sequence, segment, now)
        self._due = min(self._due, now + window.timeout)
        return None

    def answer(self, ticket: int, outcome: Outcome) -> None:
        command, sequence = self._tickets.pop(ticket, (0, 0))
        if not command or self._state is _CLOSED:
            return
        status = self._answers[outcome]
        self._out.append(pdus.encode_sm_resp(command | pdus.RESPONSE, status, sequence))
        if self._state is _DRAINING:
            self._unbind_when_drained()

    # ---- what the SMSC says

    def _hear(self, frame: bytes, events: list[Event]) -> None:
        pdu = pdus.decode(frame)
        handler = _HANDLERS.get(pdu.__class__)
        if handler is None:
            self._unexpected(pdu, events)
        else:
            handler(self, pdu, events)

    def _out_of_step(self, error: PeerError, events: list[Event]) -> None:
        self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, 0))
        super()._out_of_step(error, events)

    def _on_sm_resp(self, pdu: pdus.SmResp, events: list[Event]) -> None:
        if pdu.command != pdus.SUBMIT_SM_RESP:
            self._stray(pdu, events)
            return
        now = self._now
        taken = self._window.take(pdu.sequence)
        if taken is None:
            self._late_answer(pdu, events)
            return
        sent, segment = taken
        meta = f"?smpp_resp?{self._tlvs.meta(pdu.tlvs)}" if pdu.tlvs else "?smpp_resp?"
        if pdu.status:
            self._refused(segment, pdu.status, now - sent, events, meta)
        else:
            self._active = now
            if self._full:
                self._full.clear()
            smsc_id = self._id_of(pdu)
            if not smsc_id:
                events.append(Noted("no_message_id", "receipts for it cannot be matched"))
            events.append(Submitted(segment, smsc_id, now - sent, meta))
        if self._state is _DRAINING:
            self._unbind_when_drained()

    def _id_of(self, pdu: pdus.SmResp) -> str:
        smsc_id = pdu.message_id.decode("latin-1")
        if not smsc_id:
            return ""
        ids, case = self._options.message_ids, self._options.id_case
        return normalise_id(smsc_id, message_ids=ids, receipt=False, id_case=case)

    def _late_answer(self, pdu: pdus.SmResp, events: list[Event]) -> None:
        """An answer to a submit that was given up: what is known now may still be of use."""
        segment = self._late.get(pdu.sequence)
        self._unknown_response(pdu, events)
        if segment is None:
            return
        if pdu.status:
            outcome = statuses.outcome_of(pdu.status, self._options)
            reason = statuses.reason_of(pdu.status)
            events.append(SubmitFailed(segment, outcome, reason, pdu.status, late=True))
        else:
            events.append(Submitted(segment, self._id_of(pdu), 0.0, "?smpp_resp?", late=True))

    def _refused(
        self,
        segment: Segment,
        status: int,
        seconds: float,
        events: list[Event],
        meta: str = "",
    ) -> None:
        """The SMSC does not take this segment."""
        options = self._options
        outcome = statuses.outcome_of(status, options)
        if status == statuses.RMSGQFUL and outcome is Outcome.THROTTLED:
            # It may be this subscriber's queue that is full, and no reason to stop for the others.
            self._full.add(segment.destination)
            if len(self._full) < FULL_IN_A_ROW:
                outcome = Outcome.RETRY
        elif self._full:
            self._full.clear()
        reason = statuses.reason_of(status)
        events.append(SubmitFailed(segment, outcome, reason, status, seconds, meta))
        if status in options.not_bound:
            self._close(f"the SMSC says we are not bound: {reason}", events)

    def _on_sm(self, pdu: pdus.Sm, events: list[Event]) -> None:
        if pdu.command == pdus.SUBMIT_SM:
            self._unexpected(pdu, events)
            return
        if pdu.trailing:
            events.append(Noted("trailing_octets", f"{pdu.trailing} in a deliver_sm"))
        if self._state not in OPEN_STATES:
            # Once we unbind nobody may be left to keep it: it has to come again.
            unbinding = self._state is LinkState.UNBINDING
            status = self._options.cannot_store_status if unbinding else statuses.RINVBNDSTS
            self._out.append(pdus.encode_sm_resp(pdu.command | pdus.RESPONSE, status, pdu.sequence))
            return
        try:
            said = self._inward.read(pdu)
        except Refused as error:
            self._out.append(
                pdus.encode_sm_resp(pdu.command | pdus.RESPONSE, error.status, pdu.sequence)
            )
            events.append(Noted("refused_deliver", statuses.reason_of(error.status)))
            return
        ticket = self._keep((pdu.command, pdu.sequence))
        if isinstance(said, Inbound):
            if said.raw:
                events.append(Noted("lossy_text", f"data_coding 0x{pdu.data_coding:02x}"))
            events.append(Received(ticket, said))
        else:
            events.append(Receipted(ticket, said))

    def _on_plain(self, pdu: pdus.Plain, events: list[Event]) -> None:
        command = pdu.command
        if command == pdus.ENQUIRE_LINK:
            self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK_RESP, 0, pdu.sequence))
        elif command == pdus.ENQUIRE_LINK_RESP:
            if not self._lives(pdu.sequence, events):
                self._stray(pdu, events)
        elif command == pdus.UNBIND:
            self._out.append(pdus.encode_plain(pdus.UNBIND_RESP, 0, pdu.sequence))
            self._close("the SMSC unbound", events)
        elif command == pdus.GENERIC_NACK:
            self._on_nack(pdu, events)
        elif self._state is LinkState.UNBINDING:
            self._close("unbound", events)
        else:
            self._stray(pdu, events)

    def _on_nack(self, pdu: pdus.Plain, events: list[Event]) -> None:
        taken = self._window.take(pdu.sequence)
        if taken is not None:
            sent, segment = taken
            self._refused(segment, pdu.status, self._now - sent, events)
            if self._state is _DRAINING:
                self._unbind_when_drained()
        elif self._state is LinkState.BINDING and pdu.sequence == self._bind_sequence:
            self._bind_denied(pdu.status, events)
        else:
            events.append(Noted("generic_nack", statuses.reason_of(pdu.status)))
            if pdu.status == statuses.RINVCMDLEN:
                self._close("the SMSC lost step with our PDUs", events)

    def _on_bind_resp(self, pdu: pdus.BindResp, events: list[Event]) -> None:
        expected = self._bind_command | pdus.RESPONSE, self._bind_sequence
        if self._state is not LinkState.BINDING or (pdu.command, pdu.sequence) != expected:
            self._stray(pdu, events)
            return
        options = self._options
        if statuses.bind_outcome_of(pdu.status, options) is not Outcome.DONE:
            self._bind_denied(pdu.status, events)
            return
        if options.interface_version >= 0x34:
            version = pdus.first(pdu.tlvs, pdus.SC_INTERFACE_VERSION) or b"\0"
            self._may_send_tlvs = not options.tlvs_need_version or version[-1] >= 0x34
        self._is_bound(events)

    def _bind_denied(self, status: int, events: list[Event]) -> None:
        outcome = statuses.bind_outcome_of(status, self._options)
        self._bind_refused(outcome, statuses.reason_of(status), events)

    def _on_outbind(self, pdu: pdus.Outbind, events: list[Event]) -> None:
        if self._options.nack_unexpected:
            self._unexpected(pdu, events)
        else:
            self._close("the SMSC sent an outbind", events)

    def _on_alert(self, pdu: pdus.Alert, events: list[Event]) -> None:
        if self._options.nack_unexpected:
            self._unexpected(pdu, events)
        else:
            availability = pdus.first(pdu.tlvs, pdus.MS_AVAILABILITY_STATUS) or b""
            events.append(Noted("alert", f"ms_availability_status {availability.hex()}"))

    def _unexpected(self, pdu: Any, events: list[Event]) -> None:
        """A request that no SMSC sends to an ESME, or a PDU that SMPP 3.4 does not know."""
        if pdu.command & pdus.RESPONSE:
            self._stray(pdu, events)
            return
        nack = pdus.encode_plain(pdus.GENERIC_NACK, statuses.RINVCMDID, pdu.sequence)
        self._out.append(nack)
        events.append(Noted("unknown_command", f"0x{pdu.command:08x}"))

    def _stray(self, pdu: Any, events: list[Event]) -> None:
        """A response that answers nothing we asked, or not in the way it should."""
        taken = self._window.take(pdu.sequence)
        if taken is None:
            self._unknown_response(pdu, events)
        else:
            events.append(Noted("unknown_response", f"0x{pdu.command:08x} to a submit_sm"))
            events.append(Unanswered(taken[1], "answered by a PDU of another kind"))

    def _unknown_response(self, pdu: Any, events: list[Event]) -> None:
        late = pdu.sequence in self._late
        if late:
            del self._late[pdu.sequence]
        what = "late_response" if late else "unknown_response"
        detail = f"0x{pdu.command:08x}, status 0x{pdu.status:08x}, sequence {pdu.sequence}"
        events.append(Noted(what, detail))

    def _answer_broken(self, error: PeerError, events: list[Event]) -> None:
        command, sequence = error.command, error.sequence
        if command & pdus.RESPONSE:
            taken = self._window.take(sequence)
            if taken is not None:
                events.append(Unanswered(taken[1], "the answer cannot be read"))
        elif command in (pdus.DELIVER_SM, pdus.DATA_SM):
            response = command | pdus.RESPONSE
            self._out.append(pdus.encode_sm_resp(response, error.status, sequence))
        else:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, sequence))

    # ---- what time brings

    def _tick_numbers(self, late: list[int], now: float, events: list[Event]) -> None:
        given_up = events[len(events) - len(late) :]  # told a moment ago, in the same order
        for number, event in zip(late, given_up, strict=True):
            assert isinstance(event, Unanswered)
            self._late[number] = event.segment
        while len(self._late) > LATE_KEPT:
            del self._late[next(iter(self._late))]

    def _enquire(self, now: float) -> None:
        number = self._next()
        self._alive.asked(number, now)
        self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK, 0, number))

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._out.append(pdus.encode_plain(pdus.UNBIND, 0, self._next()))

    # ---- small things

    def _next(self) -> int:
        """The next sequence number that no submit waits under."""
        number = self._sequence
        while True:
            number = number + 1 if number < LAST_SEQUENCE else 1
            if number not in self._window.waiting:
                self._sequence = number
                return number


_HANDLERS: dict[type, Callable[[SmppSession, Any, list[Event]], None]] = {
    pdus.SmResp: SmppSession._on_sm_resp,
    pdus.Sm: SmppSession._on_sm,
    pdus.Plain: SmppSession._on_plain,
    pdus.BindResp: SmppSession._on_bind_resp,
    pdus.Outbind: SmppSession._on_outbind,
    pdus.Alert: SmppSession._on_alert,
}

PROTOCOL = SmscProtocol(name="SMPP", default_port=2775, esme=SmppSession)
