"""What a simulated SMSC says in UCP: notifications and MO as frames (see `server.Speech`)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from gatewayd.errors import UsageError
from gatewayd.model import Coding, TextOptions
from gatewayd.sms import alphabets
from gatewayd.sms.dcs import from_dcs
from gatewayd.sms.segments import encode_text, split
from gatewayd.sms.udh import find_shift
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.server import ServerOptions, ServerSession
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_in import Refused, extra_services, unpacked
from gatewayd.smsc.ucp_out import ALPHANUMERIC, DCS, INTERNATIONAL, UDH
from gatewayd.smsc.ucp_server import THROTTLED as THROTTLING
from gatewayd.smsc.ucp_server import Login, UcpServerSession

NAME = "UCP/EMI"
WRONG_ACCOUNT = WRONG_PASSWORD = codes.AUTHENTICATION_FAILURE
NOT_NOW = 55
THROTTLED = THROTTLING
TEMPORARY = frozenset({THROTTLING, 50, 54, 55})

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
_SECONDS = 3_155_760_000  # in a century
_ABSENT = "107"  # Rsn of a notification: absent subscriber
_UCS2 = 0x08


class Parts(NamedTuple):
    """What the operations that carry a message have in common."""

    recipient: str
    originator: str
    otoa: str
    kind: str  # MT
    octets: str  # hex
    services: str  # XSer


def session(options: ServerOptions, admit: Callable[[Login], int]) -> ServerSession:
    """A session of this protocol."""
    return UcpServerSession(options, admit)


def reason_of(status: int) -> str:
    """An error code in words."""
    return codes.reason_of(f"{status:02}", "")


def ids(number: int, hexadecimal: bool) -> tuple[str, str]:
    """The time stamp that names the message: each has another second, whatever the clock says."""
    stamp = f"{_FIRST + timedelta(seconds=number % _SECONDS):%d%m%y%H%M%S}"
    return stamp, stamp


def wants_receipt(submit: Frame, delivered: bool) -> bool:
    """Whether it asks for a notification of this outcome."""
    if submit.operation == ucp.TRANSFER:
        return submit.fields[3] == "1"
    if submit.operation != ucp.SUBMIT or submit.fields[ucp.NRQ] != "1":
        return False
    wish = codes.number(submit.fields[ucp.NT])
    return wish < 0 or bool(wish & (1 if delivered else 2))


def receipt(
    submit: Frame, message_id: str, *, delivered: bool, submitted: float, done: float
) -> Frame:
    """The notification on `submit`; times are seconds since the epoch."""
    parts = _parts(submit)
    outcome = "has been delivered" if delivered else "could not be delivered"
    text = f"Message for {parts.recipient}, with identification {message_id} {outcome}"
    text += f" on {datetime.fromtimestamp(done, UTC):%Y-%m-%d at %H:%M:%S}."
    return _frame(
        ucp.NOTIFY,
        AdC=parts.originator,
        OAdC=parts.recipient,
        SCTS=message_id,
        Dst="0" if delivered else "2",
        Rsn="000" if delivered else _ABSENT,
        DSCTS=_stamp(done),
        MT="3",
        Msg=(alphabets.encode_gsm(text, replace=True) or b"").hex().upper(),
    )


def echo(submit: Frame, now: float = 0.0) -> Frame:
    """The MO that a phone would send which answers with the very text it got."""
    parts = _parts(submit)
    international = parts.recipient.startswith("00")
    return _frame(
        ucp.DELIVER,
        AdC=parts.originator,
        OAdC=parts.recipient.removeprefix("00"),
        OTOA=INTERNATIONAL if international else "",
        SCTS=_stamp(now),
        MT=parts.kind,
        NB=f"{4 * len(parts.octets):04}" if parts.kind == "4" else "",
        Msg=parts.octets,
        XSer=parts.services,
    )


def messages(
    source: str, destination: str, text: str, reference: int, now: float = 0.0
) -> list[Frame]:
    """`text` as an MO, in parts that carry `reference` (0-255) when it is long.

    Raises `TooLong` beyond 255 parts and `UsageError` for addresses that no field can hold.
    """
    options = TextOptions(max_messages=255)
    encoded = encode_text(text, options)
    wide = encoded.coding == Coding.UCS2
    parts, _ = split(encoded.octets, encoded.coding, options, reference=reference)
    found = []
    for payload, udh in parts:
        services = bytes((UDH, len(udh))) + udh if udh else b""
        if wide:
            services += bytes((DCS, 1, _UCS2))
        frame = _frame(
            ucp.DELIVER,
            AdC=destination.removeprefix("+"),
            OAdC=source.removeprefix("+"),
            OTOA=INTERNATIONAL if source.startswith("+") else "",
            SCTS=_stamp(now),
            MT="4" if wide else "3",
            NB=f"{8 * len(payload):04}" if wide else "",
            Msg=payload.hex().upper(),
            XSer=services.hex().upper(),
        )
        ucp.encode(frame)
        found.append(frame)
    return found


def addresses(message: Frame) -> tuple[str, str]:
    """Source and destination, for people."""
    parts = _parts(message)
    source = unpacked(parts.originator) if parts.otoa == ALPHANUMERIC else parts.originator
    return source, parts.recipient


def readable(message: Frame) -> str:
    """The text, for people; octets as hex."""
    parts = _parts(message)
    try:
        octets = bytes.fromhex(parts.octets)
        services = extra_services(parts.services)
    except (ValueError, Refused):
        return parts.octets
    if parts.kind == "2":
        return parts.octets
    coding = Coding.OCTETS if parts.kind == "4" else Coding.GSM
    if services.dcs >= 0:
        coding = from_dcs(services.dcs, bool(services.udh)).coding
    if coding == Coding.UCS2:
        return alphabets.decode_ucs2(octets)[0]
    if coding == Coding.OCTETS:
        return octets.hex()
    shifts = find_shift(services.udh) if services.udh else (0, 0)
    return alphabets.decode_gsm(octets, *shifts)


def _parts(frame: Frame) -> Parts:
    fields = frame.fields
    if frame.operation == ucp.TRANSFER:
        return Parts(fields[0], fields[1], "", "3", fields[9], "")
    if frame.operation == ucp.CALL_INPUT:
        octets = fields[5] if fields[3] == "4" and len(fields) > 5 else fields[4]
        return Parts(fields[0], fields[1], "", fields[3], octets, "")
    return Parts(
        fields[ucp.ADC],
        fields[ucp.OADC],
        fields[ucp.OTOA],
        fields[ucp.MT],
        fields[ucp.MSG],
        fields[ucp.XSER],
    )


def _frame(operation: int, **given: str) -> Frame:
    for text in given.values():
        if text != ucp.as_field(text):
            raise UsageError("an address that UCP cannot carry")
    return Frame(0, False, operation, tuple(given.get(name, "") for name in ucp.FIELDS_5X))


def _stamp(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%d%m%y%H%M%S}"
