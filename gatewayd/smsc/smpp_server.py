"""One SMPP 3.4 session with an ESME, we being the SMSC: the other end of `smpp`.

The life of the session is in `server_session`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from msgspec import structs

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import server_session
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_status as statuses
from gatewayd.smsc.contract import Noted
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.server import ServerEvent, ServerOptions, Undelivered
from gatewayd.smsc.server_session import OPEN_STATES, SmscSession
from gatewayd.smsc.smpp_frame import Framer

RTHROTTLED = 0x58  # command_status, SMPP 3.4, 5.1.3
LAST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4, 3.2
BAD_PDUS = server_session.BAD_PDUS

_MODES = {
    pdus.BIND_TRANSMITTER: BindMode.TRANSMITTER,
    pdus.BIND_RECEIVER: BindMode.RECEIVER,
    pdus.BIND_TRANSCEIVER: BindMode.TRANSCEIVER,
}


class SmppServerSession(SmscSession):
    """`admit(bind)` answers each bind: 0 lets it in, any other command_status refuses it."""

    PDU: ClassVar[str] = "PDU"
    BIND: ClassVar[str] = "bind"
    UNBIND: ClassVar[str] = "unbind"
    ENQUIRE: ClassVar[str] = "enquire_link"

    def __init__(self, options: ServerOptions, admit: Callable[[pdus.Bind], int]) -> None:
        super().__init__(options, Framer(options.max_pdu))
        self._admit = admit
        self._sequence = 0

    # ---- what its owner does

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

    def deliver(self, sm: pdus.Sm, tag: int, now: float) -> None:
        """Send a deliver_sm; the caller has checked `credit`. `sm.sequence` does not matter.

        `Delivered` or `Undelivered` with `tag` follows. `UsageError` when `sm` fits no PDU.
        """
        sequence = self._next()
        self._out.append(pdus.encode_sm(structs.replace(sm, sequence=sequence)))
        self._delivering[sequence] = now, tag

    # ---- what the ESME says

    def _hear(self, frame: bytes, events: list[ServerEvent]) -> None:
        pdu = pdus.decode(frame)
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

    def _out_of_step(self, error: PeerError, events: list[ServerEvent]) -> None:
        self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, 0))
        super()._out_of_step(error, events)

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
            self._turned_away(system_id, status, statuses.reason_of(status), events)
            return
        # Only an ESME that speaks 3.4 knows what a TLV is (SMPP 3.4, 3.4.1).
        tlvs = [(pdus.SC_INTERFACE_VERSION, b"\x34")] if bind.interface_version >= 0x34 else []
        name = self._options.system_id.encode()
        self._out.append(pdus.encode(pdus.BindResp(response, 0, bind.sequence, name, tlvs)))
        self._attached(system_id, _MODES[bind.command], events)

    def _on_sm(self, pdu: pdus.Sm, events: list[ServerEvent]) -> None:
        response = pdu.command | pdus.RESPONSE
        if pdu.command == pdus.DELIVER_SM:
            nack = pdus.encode_plain(pdus.GENERIC_NACK, statuses.RINVCMDID, pdu.sequence)
            self._out.append(nack)
            events.append(Noted("unknown_command", "deliver_sm from an ESME"))
            return
        status = statuses.ROK
        if self._state not in OPEN_STATES or self.mode is BindMode.RECEIVER:
            status = statuses.RINVBNDSTS
        elif len(self._tickets) >= self._options.most_submits:
            status = RTHROTTLED
        if status:
            self._out.append(pdus.encode_sm_resp(response, status, pdu.sequence))
            events.append(Noted("refused_submit", statuses.reason_of(status)))
            return
        self._submitted((pdu.command, pdu.sequence), pdu, events)

    def _on_answer(self, pdu: pdus.SmResp, events: list[ServerEvent]) -> None:
        if not self._delivered(pdu.sequence, pdu.status, events):
            detail = f"0x{pdu.command:08x}, sequence {pdu.sequence}"
            events.append(Noted("unknown_response", detail))

    def _on_plain(self, pdu: pdus.Plain, events: list[ServerEvent]) -> None:
        command = pdu.command
        if command == pdus.ENQUIRE_LINK:
            self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK_RESP, 0, pdu.sequence))
        elif command == pdus.ENQUIRE_LINK_RESP:
            if not self._lives(pdu.sequence, events):
                events.append(Noted("unknown_response", f"enquire_link_resp {pdu.sequence}"))
        elif command == pdus.UNBIND:
            self._out.append(pdus.encode_plain(pdus.UNBIND_RESP, 0, pdu.sequence))
            self._close("the ESME unbound", events)
        elif command == pdus.GENERIC_NACK:
            if not self._delivered(pdu.sequence, pdu.status or statuses.RINVCMDID, events):
                events.append(Noted("generic_nack", statuses.reason_of(pdu.status)))
        elif self._state is LinkState.UNBINDING:
            self._close("unbound", events)
        else:
            events.append(Noted("unknown_response", f"0x{command:08x}"))

    def _answer_broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        command, sequence = error.command, error.sequence
        if command & pdus.RESPONSE:
            found = self._delivering.pop(sequence, None)
            if found is not None:
                events.append(Undelivered(found[1], "the answer cannot be read"))
        elif command in (pdus.SUBMIT_SM, pdus.DATA_SM):
            response = command | pdus.RESPONSE
            self._out.append(pdus.encode_sm_resp(response, error.status, sequence))
        else:
            self._out.append(pdus.encode_plain(pdus.GENERIC_NACK, error.status, sequence))

    # ---- small things

    def _next(self) -> int:
        number = self._sequence
        while True:
            number = number + 1 if number < LAST_SEQUENCE else 1
            if number not in self._delivering:
                self._sequence = number
                return number

    def _enquire(self, now: float) -> None:
        number = self._next()
        self._alive.asked(number, now)
        self._out.append(pdus.encode_plain(pdus.ENQUIRE_LINK, 0, number))

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._out.append(pdus.encode_plain(pdus.UNBIND, 0, self._next()))
