"""How a simulated SMSC behaves and what it says: receipts and MO as deliver_sm PDUs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum

from msgspec import structs

from gatewayd.model import Coding, TextOptions
from gatewayd.sms import alphabets, charsets
from gatewayd.sms.dcs import from_dcs
from gatewayd.sms.segments import encode_text, split
from gatewayd.sms.udh import find_shift, length_with_header
from gatewayd.smsc import smpp_status as statuses
from gatewayd.smsc.server import Credentials, ServerOptions, ServerSession
from gatewayd.smsc.smpp_pdu import (
    DELIVER_SM,
    MESSAGE_PAYLOAD,
    MESSAGE_STATE,
    NETWORK_ERROR_CODE,
    RECEIPTED_MESSAGE_ID,
    SAR_MSG_REF_NUM,
    SAR_SEGMENT_SEQNUM,
    SAR_TOTAL_SEGMENTS,
    Sm,
    first,
)
from gatewayd.smsc.smpp_server import SmppServerSession

NAME = "SMPP 3.4"
NOT_NOW, WRONG_PASSWORD, WRONG_ACCOUNT = 0x0D, 0x0E, 0x0F  # command_status, SMPP 3.4, 5.1.3
THROTTLED = 0x58
TEMPORARY = frozenset({0x08, 0x14, THROTTLED, 0x64})

DELIVERED = 2  # message_state, SMPP 3.4, 5.2.28
UNDELIVERABLE = 5
_RECEIPT = 0x04  # esm_class, SMPP 3.4, 5.2.12
_UDHI = 0x40
_MESSAGE_TYPE = 0x3C
_ABSENT_SUBSCRIBER = 27  # 3GPP TS 29.002, as operators show it behind "err:"
_QUOTED = 20  # octets of the message behind "text:", SMPP 3.4, appendix B
_TEXT_TLVS = frozenset({MESSAGE_PAYLOAD, SAR_MSG_REF_NUM, SAR_TOTAL_SEGMENTS, SAR_SEGMENT_SEQNUM})
_SERVER = ServerOptions(system_id="simulator")


class Fate(Enum):
    """What becomes of a submit."""

    TAKEN = "accepted"
    THROTTLED = "throttled"
    REFUSED = "refused"
    SILENT = "left unanswered"


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulated SMSC behaves. Shares are between 0 and 1, times are seconds."""

    system_id: str = ""  # "": whoever comes may bind
    password: str = ""  # "": any will do
    latency: float = 0.0  # from a submit to its answer
    throttle: float = 0.0  # share of submits answered ESME_RTHROTTLED
    errors: float = 0.0  # share of submits answered `error_status`
    error_status: int = 0x08  # ESME_RSYSERR
    silent: float = 0.0  # share of submits that are never answered
    receipts: float = 1.0  # from the answer to the receipt; below 0: no receipts
    failures: float = 0.0  # share of receipts that say UNDELIV
    mo_rate: float = 0.0  # MO per second
    mo_from: str = "+15550100001"
    mo_to: str = "8000"
    mo_text: str = "Message {n}"  # {n} counts them
    echo: bool = False  # the phone answers each message with its own text
    hex_ids: bool = False  # message ids are hexadecimal in answers and decimal in receipts
    show: bool = False  # numbers in full, and texts
    server: ServerOptions = _SERVER

    def fate(self, throw: float) -> Fate:
        """The fate of a submit, by a throw from 0 up to 1."""
        bound = 0.0
        for share, fate in (
            (self.throttle, Fate.THROTTLED),
            (self.errors, Fate.REFUSED),
            (self.silent, Fate.SILENT),
        ):
            bound += share
            if throw < bound:
                return fate
        return Fate.TAKEN


def session(options: ServerOptions, admit: Callable[[Credentials], int]) -> ServerSession:
    """A session of this protocol."""
    return SmppServerSession(options, admit)


def reason_of(status: int) -> str:
    """A status in words."""
    return statuses.reason_of(status)


def ids(number: int, hexadecimal: bool) -> tuple[str, str]:
    """How the message `number` is called in its answer, and in its receipt."""
    return f"{number:X}" if hexadecimal else str(number), str(number)


def wants_receipt(submit: Sm, delivered: bool) -> bool:
    """Whether its registered_delivery asks for a receipt of this outcome (SMPP 3.4, 5.2.17)."""
    wish = submit.registered_delivery & 0x03
    return wish == 1 or (wish == 2 and not delivered) or (wish == 3 and delivered)


def receipt(submit: Sm, message_id: str, *, delivered: bool, submitted: float, done: float) -> Sm:
    """The receipt on `submit`, as text and as TLVs; times are seconds since the epoch."""
    error = 0 if delivered else _ABSENT_SUBSCRIBER
    head = (
        f"id:{message_id} sub:001 dlvrd:{int(delivered):03}"
        f" submit date:{_date(submitted)} done date:{_date(done)}"
        f" stat:{'DELIVRD' if delivered else 'UNDELIV'} err:{error:03} text:"
    )
    tlvs = [
        (RECEIPTED_MESSAGE_ID, message_id.encode() + b"\0"),
        (MESSAGE_STATE, bytes([DELIVERED if delivered else UNDELIVERABLE])),
    ]
    if error:
        tlvs.append((NETWORK_ERROR_CODE, b"\3" + error.to_bytes(2, "big")))
    quoted = alphabets.encode_gsm(readable(submit)[:_QUOTED], replace=True) or b""
    return Sm(
        command=DELIVER_SM,
        sequence=0,
        source_ton=submit.dest_ton,
        source_npi=submit.dest_npi,
        source=submit.destination,
        dest_ton=submit.source_ton,
        dest_npi=submit.source_npi,
        destination=submit.source,
        esm_class=_RECEIPT,
        short_message=head.encode() + quoted,
        tlvs=tlvs,
    )


def echo(submit: Sm, now: float = 0.0) -> Sm:
    """The MO that a phone would send which answers with the very text it got."""
    return structs.replace(
        submit,
        command=DELIVER_SM,
        sequence=0,
        service_type=b"",
        source_ton=submit.dest_ton,
        source_npi=submit.dest_npi,
        source=submit.destination,
        dest_ton=submit.source_ton,
        dest_npi=submit.source_npi,
        destination=submit.source,
        esm_class=submit.esm_class & _UDHI,
        schedule=b"",
        validity=b"",
        registered_delivery=0,
        replace_if_present=0,
        tlvs=[tlv for tlv in submit.tlvs if tlv[0] in _TEXT_TLVS],
        trailing=0,
    )


def messages(
    source: str, destination: str, text: str, reference: int, now: float = 0.0
) -> list[Sm]:
    """`text` as an MO, in parts that carry `reference` (0-255) when it is long.

    Raises `TooLong` beyond 255 parts.
    """
    options = TextOptions(max_messages=255)
    encoded = encode_text(text, options)
    parts, _ = split(encoded.octets, encoded.coding, options, reference=reference)
    found = []
    for payload, udh in parts:
        found.append(
            Sm(
                command=DELIVER_SM,
                sequence=0,
                source_ton=1,
                source_npi=1,
                source=source.removeprefix("+").encode(),
                dest_ton=1 if destination.startswith("+") else 0,
                dest_npi=1 if destination.startswith("+") else 0,
                destination=destination.removeprefix("+").encode(),
                esm_class=_UDHI if udh else 0,
                data_coding=0x08 if encoded.coding == Coding.UCS2 else 0,
                short_message=udh + payload,
            )
        )
    return found


def addresses(sm: Sm) -> tuple[str, str]:
    """Source and destination, for people."""
    return sm.source.decode("utf-8", "backslashreplace"), sm.destination.decode(
        "utf-8", "backslashreplace"
    )


def readable(sm: Sm, default_charset: str = "") -> str:
    """The text of a submit_sm or deliver_sm for people; octets as hex.

    `default_charset`: what data_coding 0 means; "": GSM 03.38.
    """
    text = sm.short_message or first(sm.tlvs, MESSAGE_PAYLOAD) or b""
    udh = b""
    if sm.esm_class & _UDHI:
        size = length_with_header(text) or 0
        udh, text = text[:size], text[size:]
    if sm.esm_class & _MESSAGE_TYPE:  # receipts are plain text whatever they say
        return text.decode("latin-1")
    dcs = from_dcs(sm.data_coding, bool(udh))
    if dcs.coding == Coding.UCS2:
        return alphabets.decode_ucs2(text)[0]
    if dcs.coding == Coding.OCTETS:
        return text.hex()
    charset = dcs.charset or default_charset
    if charset and charset != charsets.GSM and charsets.is_known(charset):
        return charsets.decode(text, charset)
    return alphabets.decode_gsm(text, *find_shift(udh)) if udh else alphabets.decode_gsm(text)


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%y%m%d%H%M}"
