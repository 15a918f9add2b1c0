"""A stream of CIMD2 octets cut into packets, and a packet's octets both ways.

A packet is ``STX ZZ:NNN TAB (PPP:value TAB)* [CC] ETX``: operation, packet number, parameters and
the sum of all octets from STX up to the last TAB, modulo 256 (CIMD Interface Specification, 3).
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple

from gatewayd.errors import PeerError, UsageError

STX, ETX, TAB = b"\x02", b"\x03", b"\t"
LIMIT = 4096  # octets of a packet, STX and ETX included

SYNTAX = 2  # error code (parameter 900)

# Operations; a response's number is its request's plus 50.
LOGIN = 1
LOGOUT = 2
SUBMIT = 3
DELIVER = 20
REPORT = 23
ALIVE = 40
RESPONSE = 50
LOGIN_RESP = LOGIN + RESPONSE
LOGOUT_RESP = LOGOUT + RESPONSE
SUBMIT_RESP = SUBMIT + RESPONSE
DELIVER_RESP = DELIVER + RESPONSE
REPORT_RESP = REPORT + RESPONSE
ALIVE_RESP = ALIVE + RESPONSE
GENERAL_ERROR = 98
NACK = 99

# Parameters
USER = 10
PASSWORD = 11
SUB_ADDRESS = 12
WINDOW = 19
DESTINATION = 21
ORIGIN = 23
ALPHANUMERIC_ORIGIN = 27
CODING = 30
UDH = 32
TEXT = 33
BINARY = 34
MORE = 44
VALIDITY = 50
DEFERRED = 53
PROTOCOL_ID = 52
REPLY_PATH = 55
REPORT_REQUEST = 56
TIMESTAMP = 60
STATUS = 61
STATUS_ERROR = 62
DISCHARGE = 63
TARIFF = 64
PRIORITY = 67
ERROR = 900
ERROR_TEXT = 901

NUMBERS = 256  # packet numbers run from 000 to 255: odd ones are ours, even ones the SMSC's


class Packet(NamedTuple):
    """One packet. Parameters keep their order; most may stand there only once."""

    operation: int  # 0-99
    number: int  # 0-255
    parameters: tuple[tuple[int, bytes], ...] = ()
    checked: bool = True  # it has a checksum

    def get(self, parameter: int, otherwise: bytes = b"") -> bytes:
        """The first value of a parameter."""
        for found, value in self.parameters:
            if found == parameter:
                return value
        return otherwise

    def has(self, parameter: int) -> bool:
        return any(found == parameter for found, _ in self.parameters)


def encode(packet: Packet) -> bytes:
    """The packet's octets; `UsageError` when a value or a number cannot stand in one."""
    parameters = packet.parameters
    head = b"\x02%02d:%03d\t" % (packet.operation, packet.number)
    body = head + b"".join([b"%03d:%b\t" % parameter for parameter in parameters])
    if (
        body.count(TAB) != len(parameters) + 1
        or STX in body[1:]
        or ETX in body
        or b"\0" in body
        or len(head) != 8
        or len(body) + 3 > LIMIT
    ):
        raise UsageError("a value cannot stand in a CIMD2 packet")
    return b"%b%02X\x03" % (body, sum(body) & 0xFF) if packet.checked else body + ETX


def decode(frame: bytes, *, checksum: str = "optional") -> Packet:
    """The packet in what `Framer` cut out.

    `checksum` "required" refuses a packet without one, "ignored" takes any. Raises `PeerError`,
    not fatal; its `command` and `sequence` are told where the packet still shows them.
    """
    end = frame.rfind(TAB) + 1
    fields = frame[1 : end - 1].split(TAB) if end else [b""]
    head = fields[0]
    if len(head) != 6 or head[2:3] != b":" or not (head[:2] + head[3:]).isdigit():
        raise PeerError("a packet begins without operation and number", fatal=False, status=SYNTAX)
    operation, number = int(head[:2]), int(head[3:])

    def refused(problem: str) -> PeerError:
        return PeerError(problem, fatal=False, command=operation, sequence=number, status=SYNTAX)

    told = frame[end:-1]
    if told:
        expected = b"%02X" % (sum(frame[:end]) & 0xFF)
        if told.upper() != expected and checksum != "ignored":
            raise refused("the checksum is wrong")
    elif checksum == "required":
        raise refused("there is no checksum")
    if b"\0" in frame:
        raise refused("there is a NUL in it")
    parameters = []
    for field in fields[1:]:
        name = field[:3]
        if field[3:4] != b":" or not name.isdigit():
            raise refused("a parameter has no number")
        parameters.append((int(name), field[4:]))
    return Packet(operation, number, tuple(parameters), bool(told))


class Framer:
    """Cuts a byte stream into packets, in linear time, holding less than one of at most `limit`.

    Octets outside STX and ETX are passed over: noise, or the SMSC's greeting. A packet that another
    STX cuts short, and one above the limit, comes out as a `PeerError` in its place.
    """

    __slots__ = ("_buffer", "_limit", "broken", "partial_since")

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self.broken: PeerError | None = None  # nothing breaks the stream: each STX begins anew
        self._buffer = bytearray()  # from its STX on; empty: between packets
        self.partial_since = inf  # `now` of the first octet of a packet not yet whole; inf: none

    @property
    def is_open(self) -> bool:
        """Whether a packet was begun and not ended."""
        return bool(self._buffer)

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes | PeerError]:
        """Return what `data` completed."""
        found: list[bytes | PeerError] = []
        buffer = self._buffer
        place = 0 if buffer else data.find(STX)
        while place >= 0:
            first = place if buffer else place + 1  # where another STX would be one too many
            stop = data.find(ETX, place)
            end = stop if stop >= 0 else len(data)
            again = data.find(STX, first, end)
            if again >= 0:
                end = again
            if len(buffer) + end - place >= self._limit:
                found.append(_broken(f"a packet is longer than {self._limit} octets"))
                buffer.clear()
                place = data.find(STX, end)
                continue
            if again >= 0:
                found.append(_broken("a packet has no end"))
                buffer.clear()
                place = again
            elif stop >= 0:
                found.append(bytes(buffer) + data[place : stop + 1])
                buffer.clear()
                place = data.find(STX, stop + 1)
            else:
                if not buffer:
                    self.partial_since = now
                buffer += data[place:]
                break
        if not buffer:
            self.partial_since = inf
        return found


def _broken(problem: str) -> PeerError:
    return PeerError(problem, fatal=False, status=SYNTAX)
