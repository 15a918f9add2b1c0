"""UCP/EMI frames: a stream cut into frames, and a frame as its header and fields, both ways.

``STX TT/LLLLL/T/OO/field/field/.../CC ETX`` (EMI-UCP 4.6, 3): everything between STX and ETX is
printable ASCII, texts are hex, so "/" never stands inside a field.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from gatewayd.errors import PeerError, UsageError

STX = 0x02
ETX = 0x03
RESULT = 0x100  # in `PeerError.command`: the broken frame is a result, or nobody can tell
LONGEST = 99999 + 2  # the length has five digits

# Error codes for a frame that cannot be read (EMI-UCP 4.6, 6)
CHECKSUM = 1
SYNTAX = 2
NOT_SUPPORTED = 3
NOT_ALLOWED = 4

# Operations (EMI-UCP 4.6, 4 and 5)
CALL_INPUT = 1
MULTIPLE_CALL_INPUT = 2
SUPPLEMENTARY_CALL_INPUT = 3
TRANSFER = 30
ALERT = 31
SUBMIT = 51
DELIVER = 52
NOTIFY = 53
SESSION = 60
LIST = 61


def _words(text: str) -> list[str]:
    return text.split()


FIELDS_5X = _words(
    "AdC OAdC OAC NRq NAdC NT NPID LRq LRAd LPID DD DDT VP RPID SCTS Dst Rsn DSCTS MT NB Msg MMS"
    " PR DCs MCLs RPI CPg RPLy OTOA HPLMN XSer RES4 RES5"
)

# Places of the fields of 51, 52 and 53 that we use
ADC, OADC, OAC, NRQ, NADC, NT, NPID = range(7)
DD, DDT, VP, RPID, SCTS, DST, RSN, DSCTS, MT, NB, MSG, MMS = range(10, 22)
MCLS, RPI = 24, 25
OTOA, HPLMN, XSER = 28, 29, 30

_SESSION = _words("OAdC OTON ONPI STYP PWD NPWD VERS LAdC LTON LNPI OPID RES1")
_LIST = _words("OAdC OTON ONPI STYP PWD NPWD VERS LAdC LTON LNPI RES1 RES2")
_EXTENDED = range(SUBMIT, 59)  # 51-58 share their fields

# Names of an operation's fields; 02 and 03 repeat some and have no fixed places.
NAMES: dict[int, list[str]] = {
    CALL_INPUT: ["AdC", "OAdC", "OAC", "MT", "Msg"],
    TRANSFER: ["AdC", "OAdC", "OAC", "NRq", "NAdC", "NPID", "DD", "DDT", "VP", "Msg"],
    ALERT: ["AdC", "PID"],
    SESSION: _SESSION,
    LIST: _LIST,
    **dict.fromkeys(_EXTENDED, FIELDS_5X),
}
OPERATIONS = frozenset({*NAMES, MULTIPLE_CALL_INPUT, SUPPLEMENTARY_CALL_INPUT})
WITH_MVP = frozenset({TRANSFER, *_EXTENDED})  # a good result has MVP before SM
_SECRET = frozenset({"PWD", "NPWD"})


class Frame(NamedTuple):
    """One operation or result. `number` is TT (0-99), `operation` OO (0-99)."""

    number: int
    result: bool
    operation: int
    fields: tuple[str, ...]


class Framer:
    """Cuts a byte stream into frames, in linear time, holding at most one of `limit` octets.

    Octets outside frames are dropped and counted in `noise`; an STX inside a frame begins it anew.
    A frame that does not end within `limit` breaks the stream for good: `broken` says why, and all
    further octets are dropped.
    """

    __slots__ = ("_buffer", "_limit", "broken", "noise", "partial_since")

    def __init__(self, limit: int = 65536) -> None:
        self._limit = min(limit, LONGEST)
        self._buffer = bytearray()  # what came after the last STX, without it
        self.broken: PeerError | None = None
        self.noise = 0  # octets outside frames since the start
        self.partial_since = inf  # `now` of an STX without its ETX; inf: none

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """Return what stands between STX and ETX of the frames completed by `data`.

        Look at `broken` afterwards.
        """
        if self.broken is not None:
            return []
        frames: list[bytes] = []
        place = 0
        inside = self.partial_since != inf
        while place < len(data):
            if not inside:
                start = data.find(STX, place)
                if start < 0:
                    self.noise += len(data) - place
                    break
                self.noise += start - place
                place = start + 1
                inside = True
                self.partial_since = now
            end = data.find(ETX, place)
            stop = end if end >= 0 else len(data)
            again = data.rfind(STX, place, stop)
            if again >= 0:  # the frame before it was cut short
                self.noise += len(self._buffer) + again - place + 1
                self._buffer.clear()
                self.partial_since = now
                place = again + 1
            if len(self._buffer) + stop - place + 2 > self._limit:
                self._break()
                break
            if end < 0:
                self._buffer += data[place:]
                break
            if self._buffer:
                self._buffer += data[place:end]
                frames.append(bytes(self._buffer))
                self._buffer.clear()
            else:
                frames.append(data[place:end])
            self.partial_since = inf
            inside = False
            place = end + 1
        return frames

    def _break(self) -> None:
        self._buffer.clear()
        self.partial_since = inf
        self.broken = PeerError(
            f"a frame does not end within {self._limit} octets", fatal=True, command=RESULT
        )


def encode(frame: Frame) -> bytes:
    """The octets of a frame, STX and ETX included.

    Raises `UsageError` for fields that UCP cannot carry: only printable ASCII without "/", and at
    most 99999 octets in all.
    """
    kind = "R" if frame.result else "O"
    tail = f"/{kind}/{frame.operation:02}/"
    if frame.fields:
        tail += "/".join(frame.fields) + "/"
    length = len(tail) + 10  # TT, "/" and LLLLL before it, CC after it
    text = f"{frame.number:02}/{length:05}{tail}"
    separators = len(frame.fields) + 4
    if length > LONGEST - 2 or not text.isascii() or not text.isprintable():
        raise UsageError("a field cannot be written in UCP")
    if text.count("/") != separators or not (
        0 <= frame.number < 100 and 0 <= frame.operation < 100
    ):
        raise UsageError("a field cannot be written in UCP")
    octets = text.encode("ascii")
    return b"\x02%b%02X\x03" % (octets, sum(octets) & 0xFF)


def decode(body: bytes) -> Frame:
    """The frame of what stands between STX and ETX.

    Raises `PeerError`, never fatal: `sequence` is TT, `command` OO (with `RESULT` set when it must
    not be answered), `status` the error code. Whether the operation is known, and has enough
    fields, the caller sees.
    """
    if len(body) < 16 or not body.isascii():
        raise _unreadable(body, "not a frame")
    number, operation = body[:2], body[11:13]
    head = body[2:3] + body[8:9] + body[10:11] + body[13:14]
    kind = body[9:10]
    if (
        head != b"////"
        or not (number.isdigit() and operation.isdigit())
        or kind not in (b"O", b"R")
    ):
        raise _unreadable(body, "no header of a frame")
    command = int(operation) | (RESULT if kind == b"R" else 0)

    def broken(problem: str, status: int) -> PeerError:
        return PeerError(problem, fatal=False, command=command, sequence=int(number), status=status)

    if body[-3:-2] != b"/" or body[-2:].upper() != b"%02X" % (sum(body[:-2]) & 0xFF):
        raise broken("wrong checksum", CHECKSUM)
    length = body[3:8]
    if not length.isdigit() or int(length) != len(body):
        raise broken("wrong length", SYNTAX)
    if not body.decode("ascii").isprintable():
        raise broken("an octet that no frame may hold", SYNTAX)
    fields = tuple(body[14:-3].decode("ascii").split("/")) if len(body) > 16 else ()
    return Frame(int(number), kind == b"R", int(operation), fields)


def _unreadable(body: bytes, problem: str) -> PeerError:
    return PeerError(f"{problem}: {len(body)} octets", fatal=False, command=RESULT, status=SYNTAX)


def positive(frame: Frame, text: str = "") -> bytes:
    """The result that takes `frame`, an operation; `text` is its SM."""
    fields = ("A", "", text) if frame.operation in WITH_MVP else ("A", text)
    return encode(Frame(frame.number, True, frame.operation, fields))


def negative(number: int, operation: int, code: int, text: str = "") -> bytes:
    """The result that refuses an operation with the error `code` (0-99)."""
    return encode(Frame(number, True, operation, ("N", f"{code:02}", text)))


def as_field(text: str) -> str:
    """`text` with "?" for each character that no field can hold."""
    if text.isascii() and text.isprintable() and "/" not in text:
        return text
    return "".join(c if c.isascii() and c.isprintable() and c != "/" else "?" for c in text)


def named(frame: Frame) -> list[tuple[str, str]]:
    """The fields that are not empty, by name, for people; passwords are masked."""
    found: list[tuple[str, str]] = []
    for place, (name, value) in enumerate(_names(frame)):
        if value:
            found.append((name or f"field {place + 1}", "********" if name in _SECRET else value))
    return found


def _names(frame: Frame) -> list[tuple[str, str]]:
    names = NAMES.get(frame.operation, [])
    if frame.result:
        names = ["ack", "EC", "SM"]
        if frame.fields[:1] == ("A",):
            names = ["ack", "MVP", "SM"] if frame.operation in WITH_MVP else ["ack", "SM"]
    elif frame.operation == CALL_INPUT and len(frame.fields) > 5 and frame.fields[3] == "4":
        names = ["AdC", "OAdC", "OAC", "MT", "NB", "Msg"]
    return [
        (names[place] if place < len(names) else "", value)
        for place, value in enumerate(frame.fields)
    ]
