"""One SMPP 3.4 session with an SMSC, we being the ESME.

What comes in is sorted by `_HANDLERS`; what time brings is in `tick`. Time costs little on the way
of a message: `_due` is only ever moved earlier there, and `tick` works out the true next moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.model import Inbound, Outcome, Segment
from gatewayd.sms.receipt_text import normalise_id
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_status as statuses
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
from gatewayd.smsc.smpp_frame import Framer
from gatewayd.smsc.smpp_in import Inward, Refused
from gatewayd.smsc.smpp_out import Outward, Unsendable, bind
from gatewayd.smsc.smpp_tlv import NamedTlvs

LAST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4, 3.2
BAD_PDUS = 10  # broken PDUs within a minute before the link is given up
LATE_KEPT = 1000  # sequence numbers that ran out of time, remembered for a late answer
FULL_IN_A_ROW = 3  # "queue full" for so many destinations in a row speaks of the bind

_BINDS = {
    BindMode.TRANSMITTER: pdus.BIND_TRANSMITTER,
    BindMode.RECEIVER: pdus.BIND_RECEIVER,
    BindMode.TRANSCEIVER: pdus.BIND_TRANSCEIVER,
}
_OPEN_STATES = frozenset({LinkState.BOUND, LinkState.DRAINING})


class SmppSession:
    """See `contract.Session`."""

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._transmits = options.bind.mode is not BindMode.RECEIVER
        self._outward = Outward(options)
        self._inward = Inward(options)
        self._tlvs = NamedTlvs(options.tlvs, options.smsc.id)
        self._may_send_tlvs = False
        self._framer = Framer(smpp.max_pdu)
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        self._sequence = 0  # the last one used
        self._bind_command = _BINDS[options.bind.mode]
        self._bind_sequence = 0
        timeout = inf if smpp.on_timeout == "wait" else smpp.response_timeout
        self._window = Window(options.bind.window or options.smsc.window, timeout)
        self._alive = KeepAlive(
            smpp.enquire_interval, smpp.enquire_timeout, smpp.enquire_misses, smpp.enquire_always
        )
        self._late: dict[int, None] = {}
        self._tickets: dict[int, tuple[int, int]] = {}  # ticket: command and sequence
        self._ticket = 0
        self._answers = {
            Outcome.DONE: statuses.ROK,
            Outcome.RETRY: smpp.cannot_store_status,
            Outcome.THROTTLED: smpp.queue_full_status,
            Outcome.DEAD: statuses.RX_R_APPN,
        }
        self._full: set[str] = set()  # destinations told "queue full" since the last other answer
        self._bad: deque[float] = deque(maxlen=BAD_PDUS + 1)
        self._stopped = ""  # reason of a Closing that the next tick has to tell
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
        if self._state is LinkState.BOUND and self._transmits:
            return self._window.room
        return 0

    @property
    def in_flight(self) -> int:
        return len(self._window.waiting)

    @property
    def unanswered(self) -> int:
        return len(self._tickets)

    def start(self, now: float) -> None:
        self._now = self._alive.heard = self._active = now
        self._enter(Step.BIND)
        self._bind_sequence = self._next()
        self._out.append(bind(self._options, self._bind_command, self._bind_sequence))

    def receive(self, data: bytes, now: float) -> Sequence[Event]:
        if self.state is LinkState.CLOSED:
            return ()
        self._now = now
        framer = self._framer
        frames = framer.feed(data, now)
        if frames:
            self._alive.heard = now
        events: list[Event] = []
        for frame in frames:
            try:
                pdu = pdus.decode(frame)
                handler = _HANDLERS.get(pdu.__class__)
                if handler is None:
                    self._unexpected(pdu, events)
                else:
                    handler(self, pdu, events)
            except PeerError as error:
                self._bad_pdu(error, events)
            if self._state is LinkState.CLOSED:
                return events
        if framer.broken is not None:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, framer.broken.status, 0))
            events.append(Noted("bad_pdu", str(framer.broken)))
            self._close(str(framer.broken), events)
        elif framer.partial_since + self._options.partial_pdu_timeout < self._due:
            self._due = framer.partial_since + self._options.partial_pdu_timeout
        return events

    def tick(self, now: float) -> Sequence[Event]:
        events: list[Event] = []
        self._now = now
        if self._stopped:
            events.append(Closing(self._stopped))
            self._stopped = ""
        if self.state is LinkState.CLOSED:
            self._due = inf
            return events
        options = self._options
        if now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a PDU was begun and not ended", events)
        elif self._state is LinkState.BINDING:
            if now >= self._entered + options.bind_timeout:
                self._close("no answer to the bind", events)
        elif self._state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close("no answer to the unbind", events)
        elif self._state in _OPEN_STATES:
            self._tick_bound(now, events)
        self._due = inf if self._state is LinkState.CLOSED else self._next_due()
        return events

    def deadline(self) -> float:
        return self._due

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
        if not command or self._state is LinkState.CLOSED:
            return
        status = self._answers[outcome]
        self._out.append(pdus.encode_sm_resp(command | pdus.RESPONSE, status, sequence))
        if self._state is LinkState.DRAINING:
            self._unbind_when_drained()

    def stop(self, now: float) -> None:
        self._now = now
        if self._state in _OPEN_STATES:
            if self._state is LinkState.BOUND:
                self._enter(Step.STOP)
            self._unbind_when_drained()
        elif self._state in (LinkState.OPEN, LinkState.BINDING):
            self._enter(Step.STOP)
            self._stopped = "stopped"
            self._due = now

    def connection_lost(self, now: float) -> Sequence[Event]:
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._stopped = ""
        self._tickets.clear()
        return [Unanswered(segment, "link lost") for segment in self._window.drain()]

    def take_bytes(self) -> bytes:
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the SMSC says

    def _on_sm_resp(self, pdu: pdus.SmResp, events: list[Event]) -> None:
        if pdu.command != pdus.SUBMIT_SM_RESP:
            self._stray(pdu, events)
            return
        now = self._now
        taken = self._window.take(pdu.sequence)
        if taken is None:
            self._unknown_response(pdu, events)
            return
        sent, segment = taken
        meta = f"?smpp_resp?{self._tlvs.meta(pdu.tlvs)}" if pdu.tlvs else "?smpp_resp?"
        if pdu.status:
            self._refused(segment, pdu.status, now - sent, events, meta)
        else:
            self._active = now
            if self._full:
                self._full.clear()
            smsc_id = pdu.message_id.decode("latin-1")
            if smsc_id:
                ids, case = self._options.message_ids, self._options.id_case
                smsc_id = normalise_id(smsc_id, message_ids=ids, receipt=False, id_case=case)
            else:
                events.append(Noted("no_message_id", "receipts for it cannot be matched"))
            events.append(Submitted(segment, smsc_id, now - sent, meta))
        if self._state is LinkState.DRAINING:
            self._unbind_when_drained()

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
        if self._state not in _OPEN_STATES:
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
        self._active = self._now
        self._ticket = ticket = self._ticket + 1
        self._tickets[ticket] = pdu.command, pdu.sequence
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
            if self._alive.answered(pdu.sequence):
                self._due = min(self._due, self._alive.deadline())
                events.append(Alive(self._now - self._alive.asked_at))
            else:
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
            if self._state is LinkState.DRAINING:
                self._unbind_when_drained()
        elif self._state is LinkState.BINDING and pdu.sequence == self._bind_sequence:
            self._bind_refused(pdu.status, events)
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
            self._bind_refused(pdu.status, events)
            return
        if options.interface_version >= 0x34:
            version = pdus.first(pdu.tlvs, pdus.SC_INTERFACE_VERSION) or b"\0"
            self._may_send_tlvs = not options.tlvs_need_version or version[-1] >= 0x34
        self._active = self._alive.asked_at = self._now  # the keep-alive counts from here
        self._enter(Step.BOUND)
        events.append(Bound())

    def _bind_refused(self, status: int, events: list[Event]) -> None:
        outcome = statuses.bind_outcome_of(status, self._options)
        outcome = Outcome.RETRY if outcome is Outcome.DONE else outcome
        reason = statuses.reason_of(status)
        events.append(BindRefused(outcome, reason))
        self._close(f"bind refused: {reason}", events)

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

    def _bad_pdu(self, error: PeerError, events: list[Event]) -> None:
        command, sequence = error.command, error.sequence
        events.append(Noted("bad_pdu", str(error)))
        if command & pdus.RESPONSE:
            taken = self._window.take(sequence)
            if taken is not None:
                events.append(Unanswered(taken[1], "the answer cannot be read"))
        elif command in (pdus.DELIVER_SM, pdus.DATA_SM):
            response = command | pdus.RESPONSE
            self._out.append(pdus.encode_sm_resp(response, error.status, sequence))
        else:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, sequence))
        self._bad.append(self._now)
        if len(self._bad) > BAD_PDUS and self._now - self._bad[0] <= 60.0:
            self._close("too many broken PDUs", events)

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
            self._late |= dict.fromkeys(n for n in known if n not in self._window.waiting)
            while len(self._late) > LATE_KEPT:
                del self._late[next(iter(self._late))]
        if options.idle_timeout and now >= self._alive.heard + options.idle_timeout:
            self._close("nothing came from the SMSC for too long", events)
        elif self._state is LinkState.DRAINING:
            if now >= self._entered + options.unbind_timeout:
                self._unbind()
        elif options.inactivity and now >= self._active + options.inactivity:
            self.stop(now)
        else:
            self._keep_alive(now, events)

    def _keep_alive(self, now: float, events: list[Event]) -> None:
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close("enquire_link was not answered", events)
        elif pulse is Pulse.ASK:
            number = self._next()
            self._alive.asked(number, now)
            self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK, 0, number))

    def _next_due(self) -> float:
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.BINDING:
            return min(due, self._entered + options.bind_timeout)
        if self._state is LinkState.UNBINDING:
            return min(due, self._entered + options.unbind_timeout)
        due = min(due, self._window.deadline())
        if options.idle_timeout:
            due = min(due, self._alive.heard + options.idle_timeout)
        if self._state is LinkState.DRAINING:
            return min(due, self._entered + options.unbind_timeout)
        if options.inactivity:
            due = min(due, self._active + options.inactivity)
        return min(due, self._alive.deadline())

    # ---- small things

    def _next(self) -> int:
        """The next sequence number that no submit waits under."""
        number = self._sequence
        while True:
            number = number + 1 if number < LAST_SEQUENCE else 1
            if number not in self._window.waiting:
                self._sequence = number
                return number

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now
        self._due = self._next_due()

    def _unbind_when_drained(self) -> None:
        if not self._window.waiting and not self._tickets:
            self._unbind()

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._out.append(pdus.encode_plain(pdus.UNBIND, 0, self._next()))

    def _close(self, reason: str, events: list[Event]) -> None:
        self._state = after(self._state, Step.LOST)
        self._due = inf
        events.append(Closing(reason))


_HANDLERS: dict[type, Callable[[SmppSession, Any, list[Event]], None]] = {
    pdus.SmResp: SmppSession._on_sm_resp,
    pdus.Sm: SmppSession._on_sm,
    pdus.Plain: SmppSession._on_plain,
    pdus.BindResp: SmppSession._on_bind_resp,
    pdus.Outbind: SmppSession._on_outbind,
    pdus.Alert: SmppSession._on_alert,
}

PROTOCOL = SmscProtocol(name="SMPP", default_port=2775, esme=SmppSession)
