"""What a simulated SMSC says in CIMD2, as `server.Speech`: status reports and MO as packets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gatewayd.model import Coding, TextOptions
from gatewayd.sms.segments import encode_text, split
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_names, cimd2_text
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_frame import Packet
from gatewayd.smsc.cimd2_out import FINAL_RESULTS
from gatewayd.smsc.cimd2_server import CONGESTION, Cimd2ServerSession
from gatewayd.smsc.server import Credentials, ServerOptions

NAME = "CIMD2"
WRONG_ACCOUNT = WRONG_PASSWORD = 100  # error codes
NOT_NOW = 103
THROTTLED = CONGESTION
TEMPORARY = frozenset({4, 5, 6, CONGESTION})

_DELIVERED_WISH, _FAILED_WISH = 8, 4  # bits of 056
_DELIVERED, _FAILED = b"4", b"3"  # 061
_ABSENT = b"029"  # 062
_2000 = 946_684_800  # seconds since the epoch
_CYCLE = 1_000_000_000  # ids; about 31 years of seconds
_TEXT = (frames.CODING, frames.UDH, frames.TEXT, frames.BINARY)


def session(options: ServerOptions, admit: Callable[[Credentials], int]) -> Cimd2ServerSession:
    """See `server.Speech`."""
    return Cimd2ServerSession(options, admit)


def reason_of(status: int) -> str:
    """``300/Incorrect destination address``."""
    return f"{status:03}/{statuses.TEXTS.get(status, 'Unknown error')}"


def ids(number: int, hexadecimal: bool) -> tuple[str, str]:
    """The timestamp that names message `number`, in answer and report alike.

    One second for each message: an SMSC never gives two messages of one recipient the same.
    """
    told = _date(_2000 + number % _CYCLE)
    return told, told


def wants_receipt(submit: Packet, delivered: bool) -> bool:
    """Whether its report request (056) asks for this outcome; without one it asks for all."""
    wish = FINAL_RESULTS
    if submit.has(frames.REPORT_REQUEST):
        wish = max(statuses.number_of(submit.get(frames.REPORT_REQUEST)), 0)
    return bool(wish & (_DELIVERED_WISH if delivered else _FAILED_WISH))


def receipt(
    submit: Packet, message_id: str, *, delivered: bool, submitted: float, done: float
) -> Packet:
    """The status report on `submit`."""
    told = [
        (frames.DESTINATION, submit.get(frames.DESTINATION)),
        (frames.TIMESTAMP, message_id.encode()),
        (frames.STATUS, _DELIVERED if delivered else _FAILED),
    ]
    if not delivered:
        told.append((frames.STATUS_ERROR, _ABSENT))
    told.append((frames.DISCHARGE, _date(done).encode()))
    return Packet(frames.REPORT, 0, tuple(told))


def echo(submit: Packet, now: float) -> Packet:
    """The MO that a phone would send which answers with the very text it got."""
    text = [each for each in submit.parameters if each[0] in _TEXT]
    source, destination = addresses(submit)
    return _deliver(destination, source, text, now)


def messages(source: str, destination: str, text: str, reference: int, now: float) -> list[Packet]:
    """`text` as an MO, in parts that carry `reference` (0-255) when it is long.

    Raises `TooLong` beyond 255 parts.
    """
    options = TextOptions(max_messages=255)
    encoded = encode_text(text, options)
    parts, _ = split(encoded.octets, encoded.coding, options, reference=reference)
    found = []
    for payload, udh in parts:
        what: list[tuple[int, bytes]] = []
        if udh:
            what.append((frames.UDH, udh.hex().upper().encode()))
        if encoded.coding is Coding.UCS2:
            what.append((frames.CODING, b"8"))
            what.append((frames.BINARY, payload.hex().upper().encode()))
        else:
            what.append((frames.TEXT, cimd2_text.encode(payload)))
        found.append(_deliver(source, destination, what, now))
    return found


def addresses(message: Packet) -> tuple[str, str]:
    """Source and destination; a report's source is the phone."""
    destination = message.get(frames.DESTINATION).decode("latin-1")
    if message.operation == frames.REPORT:
        return destination, ""
    if message.has(frames.ORIGIN):
        return message.get(frames.ORIGIN).decode("latin-1"), destination
    return cimd2_text.decode(message.get(frames.ALPHANUMERIC_ORIGIN)).text, destination


def readable(message: Packet) -> str:
    """The text, for people."""
    return cimd2_names.readable(message)


def _deliver(source: str, destination: str, text: list[tuple[int, bytes]], now: float) -> Packet:
    return Packet(
        frames.DELIVER,
        0,
        (
            (frames.DESTINATION, _address(destination)),
            (frames.ORIGIN, _address(source)),
            (frames.TIMESTAMP, _date(now).encode()),
            *text,
        ),
    )


def _address(text: str) -> bytes:
    return "".join(c if c.isprintable() else "?" for c in text).encode("latin-1", "replace")


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%y%m%d%H%M%S}"
