"""One SMPP 3.4 session with an ESME, we being the SMSC: the other end of `smpp`.

It speaks the protocol and decides nothing: whoever owns it says whether a bind is let in, what a
submit is answered and what is delivered. Bytes and the time (monotonic seconds) go in, events come
out, bytes to write wait in `take_bytes()`, as with `contract.Session`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from msgspec import structs

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_status as statuses
from gatewayd.smsc.contract import Alive, Closing, Noted
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, after
from gatewayd.smsc.server import (
    Attached,
    Delivered,
    ServerEvent,
    ServerOptions,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.smpp_frame import Framer

RTHROTTLED = 0x58  # command_status, SMPP 3.4, 5.1.3
LAST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4, 3.2
BAD_PDUS = 10  # broken PDUs before the link is given up

_MODES = {
    pdus.BIND_TRANSMITTER: BindMode.TRANSMITTER,
    pdus.BIND_RECEIVER: BindMode.RECEIVER,
    pdus.BIND_TRANSCEIVER: BindMode.TRANSCEIVER,
}
_BOUND = frozenset({LinkState.BOUND, LinkState.DRAINING})


class SmppServerSession:
    """`admit(bind)` answers each bind: 0 lets it in, any other command_status refuses it."""

    def __init__(self, options: ServerOptions, admit: Callable[[pdus.Bind], int]) -> None:
        self._options = options
        self._admit = admit
        self._framer = Framer(options.max_pdu)
        self._alive = KeepAlive(options.enquire_interval, options.enquire_timeout, 2)
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        self._sequence = 0
        self._ticket = 0
        self._tickets: dict[int, tuple[int, int]] = {}  # ticket: command and sequence
        self._delivering: dict[int, tuple[float, int]] = {}  # sequence: sent at, tag
        self._bad = 0
        self._now = self._entered = 0.0
        self.system_id = ""  # the ESME's, once it is bound
        self.mode: BindMode | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the ESME is bound to receive."""
        if self._state is not LinkState.BOUND or self.mode is BindMode.TRANSMITTER:
            return 0
        return self._options.window - len(self._delivering)

    @property
    def unanswered(self) -> int:
        """Submits that wait for `answer` or `forget`."""
        return len(self._tickets)

    # ---- what its owner does

    def start(self, now: float) -> None:
        """The link is up; the ESME speaks first."""
        self._now = self._entered = self._alive.heard = now

    def answer(
        self, ticket: int, status: int, message_id: str = "", tlvs: pdus.Tlvs | None = None
    ) -> None:
        """The answer to a `Submit`. Nothing happens if the link has gone meanwhile."""
        command, sequence = self._tickets.pop(ticket, (0, 0))
        if not command or self._state is LinkState.CLOSED:
            return
        response = command | pdus.RESPONSE
        name = message_id.encode()
        self._out.append(pdus.encode_sm_resp(response, status, sequence, name, tlvs))
        self._unbind_when_drained()

    def forget(self, ticket: int) -> None:
        """This submit will never be answered."""
        self._tickets.pop(ticket, None)
        self._unbind_when_drained()

    def deliver(self, sm: pdus.Sm, tag: int, now: float) -> None:
        """Send a deliver_sm; the caller has checked `credit`. `sm.sequence` does not matter.

        `Delivered` or `Undelivered` with `tag` follows. `UsageError` when `sm` fits no PDU.
        """
        sequence = self._next()
        self._out.append(pdus.encode_sm(structs.replace(sm, sequence=sequence)))
        self._delivering[sequence] = now, tag

    def stop(self, now: float) -> None:
        """Deliver no more, wait for the answers under way, then unbind."""
        self._now = now
        if self._state is LinkState.BOUND:
            self._enter(Step.STOP)
            self._unbind_when_drained()

    def connection_lost(self, now: float) -> Sequence[ServerEvent]:
        """The link is down: what was not answered comes back."""
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._tickets.clear()
        lost = [Undelivered(tag, "link lost") for _, tag in self._delivering.values()]
        self._delivering.clear()
        return lost

    def take_bytes(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the ESME says

    def receive(self, data: bytes, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        if self._state is LinkState.CLOSED:
            return events
        self._now = now
        framer = self._framer
        for frame in framer.feed(data, now):
            self._alive.heard = now
            try:
                self._handle(pdus.decode(frame), events)
            except PeerError as error:
                self._broken(error, events)
            if self.state is LinkState.CLOSED:
                return events
        if framer.broken is not None:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, framer.broken.status, 0))
            events.append(Noted("bad_pdu", str(framer.broken)))
            self._close(str(framer.broken), events)
        return events

    def _handle(self, pdu: pdus.Pdu, events: list[ServerEvent]) -> None:
        if isinstance(pdu, pdus.Sm):
            self._on_sm(pdu, events)
        elif isinstance(pdu, pdus.SmResp):
            self._on_answer(pdu, events)
        elif isinstance(pdu, pdus.Plain):
            self._on_plain(pdu, events)
        elif isinstance(pdu, pdus.Bind):
            self._on_bind(pdu, events)
        elif not pdu.command & pdus.RESPONSE:
            nack = pdus.encode_plain(pdus.GENERIC_NACK, statuses.RINVCMDID, pdu.sequence)
            self._out.append(nack)
            events.append(Noted("unknown_command", f"0x{pdu.command:08x}"))
        else:
            events.append(Noted("unknown_response", f"0x{pdu.command:08x}"))

    def _on_bind(self, bind: pdus.Bind, events: list[ServerEvent]) -> None:
        system_id = bind.system_id.decode("utf-8", "backslashreplace")
        response = bind.command | pdus.RESPONSE
        if self._state is not LinkState.OPEN:
            again = pdus.BindResp(response, statuses.RALYBND, bind.sequence)
            self._out.append(pdus.encode(again))
            events.append(Noted("second_bind", system_id))
            return
        self._enter(Step.BIND)
        status = self._admit(bind)
        if status:
            self._out.append(pdus.encode(pdus.BindResp(response, status, bind.sequence)))
            events.append(TurnedAway(system_id, status))
            self._close(f"bind refused: {statuses.reason_of(status)}", events)
            return
        # Only an ESME that speaks 3.4 knows what a TLV is (SMPP 3.4, 3.4.1).
        tlvs = [(pdus.SC_INTERFACE_VERSION, b"\x34")] if bind.interface_version >= 0x34 else []
        name = self._options.system_id.encode()
        self._out.append(pdus.encode(pdus.BindResp(response, 0, bind.sequence, name, tlvs)))
        self._enter(Step.BOUND)
        self._alive.asked_at = self._now
        self.system_id, self.mode = system_id, _MODES[bind.command]
        events.append(Attached(system_id, self.mode))

    def _on_sm(self, pdu: pdus.Sm, events: list[ServerEvent]) -> None:
        response = pdu.command | pdus.RESPONSE
        if pdu.command == pdus.DELIVER_SM:
            nack = pdus.encode_plain(pdus.GENERIC_NACK, statuses.RINVCMDID, pdu.sequence)
            self._out.append(nack)
            events.append(Noted("unknown_command", "deliver_sm from an ESME"))
            return
        status = statuses.ROK
        if self._state not in _BOUND or self.mode is BindMode.RECEIVER:
            status = statuses.RINVBNDSTS
        elif len(self._tickets) >= self._options.most_submits:
            status = RTHROTTLED
        if status:
            self._out.append(pdus.encode_sm_resp(response, status, pdu.sequence))
            events.append(Noted("refused_submit", statuses.reason_of(status)))
            return
        self._ticket += 1
        self._tickets[self._ticket] = pdu.command, pdu.sequence
        events.append(Submit(self._ticket, pdu))

    def _on_answer(self, pdu: pdus.SmResp, events: list[ServerEvent]) -> None:
        found = self._delivering.pop(pdu.sequence, None)
        if found is None:
            detail = f"0x{pdu.command:08x}, sequence {pdu.sequence}"
            events.append(Noted("unknown_response", detail))
            return
        sent, tag = found
        events.append(Delivered(tag, pdu.status, self._now - sent))
        self._unbind_when_drained()

    def _on_plain(self, pdu: pdus.Plain, events: list[ServerEvent]) -> None:
        command = pdu.command
        if command == pdus.ENQUIRE_LINK:
            self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK_RESP, 0, pdu.sequence))
        elif command == pdus.ENQUIRE_LINK_RESP:
            if self._alive.answered(pdu.sequence):
                events.append(Alive(self._now - self._alive.asked_at))
            else:
                events.append(Noted("unknown_response", f"enquire_link_resp {pdu.sequence}"))
        elif command == pdus.UNBIND:
            self._out.append(pdus.encode_plain(pdus.UNBIND_RESP, 0, pdu.sequence))
            self._close("the ESME unbound", events)
        elif command == pdus.GENERIC_NACK:
            found = self._delivering.pop(pdu.sequence, None)
            if found is None:
                events.append(Noted("generic_nack", statuses.reason_of(pdu.status)))
            else:
                sent, tag = found
                status = pdu.status or statuses.RINVCMDID
                events.append(Delivered(tag, status, self._now - sent))
                self._unbind_when_drained()
        elif self._state is LinkState.UNBINDING:
            self._close("unbound", events)
        else:
            events.append(Noted("unknown_response", f"0x{command:08x}"))

    def _broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        command, sequence = error.command, error.sequence
        events.append(Noted("bad_pdu", str(error)))
        if command & pdus.RESPONSE:
            found = self._delivering.pop(sequence, None)
            if found is not None:
                events.append(Undelivered(found[1], "the answer cannot be read"))
        elif command in (pdus.SUBMIT_SM, pdus.DATA_SM):
            response = command | pdus.RESPONSE
            self._out.append(pdus.encode_sm_resp(response, error.status, sequence))
        else:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, sequence))
        self._bad += 1
        if self._bad > BAD_PDUS:
            self._close("too many broken PDUs", events)

    # ---- what time brings

    def tick(self, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        self._now = now
        options = self._options
        state = self._state
        if state is LinkState.CLOSED:
            return events
        if now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a PDU was begun and not ended", events)
        elif state is LinkState.OPEN:
            if now >= self._entered + options.bind_timeout:
                self._close("no bind came", events)
        elif state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close("no answer to the unbind", events)
        else:
            self._tick_bound(now, events)
        return events

    def _tick_bound(self, now: float, events: list[ServerEvent]) -> None:
        limit = now - self._options.response_timeout
        for sequence, (sent, tag) in list(self._delivering.items()):
            if sent > limit:
                break  # they were sent in this order
            del self._delivering[sequence]
            events.append(Undelivered(tag, "no answer in time"))
        if self._state is LinkState.DRAINING:
            if now >= self._entered + self._options.unbind_timeout:
                self._unbind()
            else:
                self._unbind_when_drained()
            return
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close("enquire_link was not answered", events)
        elif pulse is Pulse.ASK:
            number = self._next()
            self._alive.asked(number, now)
            self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK, 0, number))

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never)."""
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.CLOSED:
            return inf
        if self._state is LinkState.OPEN:
            return min(due, self._entered + options.bind_timeout)
        if self._state in (LinkState.UNBINDING, LinkState.DRAINING):
            due = min(due, self._entered + options.unbind_timeout)
        else:
            due = min(due, self._alive.deadline())
        for sent, _ in self._delivering.values():
            return min(due, sent + options.response_timeout)
        return due

    # ---- small things

    def _next(self) -> int:
        number = self._sequence
        while True:
            number = number + 1 if number < LAST_SEQUENCE else 1
            if number not in self._delivering:
                self._sequence = number
                return number

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now

    def _unbind_when_drained(self) -> None:
        if self._state is LinkState.DRAINING and not self._tickets and not self._delivering:
            self._unbind()

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._out.append(pdus.encode_plain(pdus.UNBIND, 0, self._next()))

    def _close(self, reason: str, events: list[Any]) -> None:
        self._state = after(self._state, Step.LOST)
        events.append(Closing(reason))
