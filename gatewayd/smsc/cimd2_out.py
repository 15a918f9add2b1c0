"""What we ask one SMSC over CIMD2: the login, and each segment as the submit it wants."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from gatewayd.config.model import SmppOptions
from gatewayd.errors import GatewayError, UsageError
from gatewayd.model import Coding, DlrStatus, Segment
from gatewayd.sms import alphabets, dcs
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_text
from gatewayd.smsc.cimd2_frame import Packet, encode
from gatewayd.smsc.cimd2_options import Cimd2Options

LONGEST_ADDRESS = 20
LONGEST_ALPHANUMERIC = 11
LONGEST_TARIFF = 2
LONGEST_TEXT = 480  # octets of 033 on the wire
LONGEST_BINARY = 140  # octets of 032 and of 034, twice as many as hex
NO_ORIGIN = "never"  # my-number that says: no originating address at all

MALFORMED = "MALFORMED SMS"  # Kannel's words for what it cannot put into a packet

# Bits of parameter 056
TEMPORARY_ERRORS = 1
FINAL_RESULTS = 2 + 4 + 8  # validity expired, delivery failed, delivered

_ON_RESULT = DlrStatus.DELIVERED | DlrStatus.UNDELIVERABLE | DlrStatus.EXPIRED

_MINUTES_OF_DAY = 1440
# Kannel's and SMPP's 0 (lowest) to 3; CIMD2 has 9 (lowest) to 1.
_PRIORITIES = {0: 7, 1: 5, 2: 3, 3: 1}


class Unsendable(GatewayError):
    """This segment can never be put into a submit; the text is the reason to report."""


class Outward:
    """Makes login and submits the way one SMSC wants them. `wall` tells the time of day."""

    def __init__(self, smpp: SmppOptions, options: Cimd2Options, wall: Callable[[], float]) -> None:
        self._smpp = smpp
        self._options = options
        self._wall = wall
        self._only_first = smpp.receipts_for == "first"
        self._alt_dcs = 1 if smpp.alt_dcs else 0

    def login(self, number: int, window: int) -> bytes:
        """The login; it asks for a window only if that is above 1.

        Raises `UsageError` when the configured words cannot stand in a packet.
        """
        smpp = self._smpp
        words = [
            (frames.USER, smpp.system_id.encode()),
            (frames.PASSWORD, smpp.password.reveal().encode()),
        ]
        if self._options.sub_address:
            words.append((frames.SUB_ADDRESS, self._options.sub_address.encode()))
        if window > 1:
            words.append((frames.WINDOW, b"%d" % window))
        return self.packet(frames.LOGIN, number, *words)

    def packet(self, operation: int, number: int, *parameters: tuple[int, bytes]) -> bytes:
        """Any packet, with a checksum if this SMSC gets them."""
        return encode(Packet(operation, number, parameters, self._options.send_checksum))

    def report_request(self, segment: Segment) -> int:
        """Parameter 056: which status reports this segment asks for; 0: none."""
        mask = segment.dlr_mask
        if not mask or (self._only_first and segment.index):
            return 0
        if frames.REPORT_REQUEST in self._options.leave_out:
            return 0
        wanted = FINAL_RESULTS if mask & _ON_RESULT else 0
        if mask & DlrStatus.BUFFERED and self._options.buffered:
            wanted |= TEMPORARY_ERRORS
        return wanted

    def submit(self, segment: Segment, number: int) -> bytes:
        """The octets of the submit; `Unsendable` when there is no way to write it."""
        add = [(frames.DESTINATION, self._destination(segment.destination))]
        if segment.source:
            origin = self._origin(segment.source)
            if origin[1]:
                add.append(origin)
        validity = segment.validity
        if not validity and self._smpp.validity:
            validity = self._wall() + self._smpp.validity
        if validity:
            add.append((frames.VALIDITY, b"%d" % self._relative(validity)))
        if segment.deferred > self._wall():
            add.append((frames.DEFERRED, b"%d" % self._relative(segment.deferred)))
        add.append((frames.REPORT_REQUEST, b"%d" % self.report_request(segment)))
        add.append((frames.REPLY_PATH, b"1" if segment.rpi > 0 else b"0"))
        if segment.pid > 0:
            add.append((frames.PROTOCOL_ID, b"%d" % segment.pid))
        if segment.binfo:
            add.append((frames.TARIFF, self._short(segment.binfo.encode(), LONGEST_TARIFF)))
        if segment.priority in _PRIORITIES:
            add.append((frames.PRIORITY, b"%d" % _PRIORITIES[segment.priority]))
        more = segment.udh and segment.index + 1 < segment.total
        add.append((frames.MORE, b"1" if more else b"0"))
        add += self._text(segment)
        leave_out = self._options.leave_out
        if leave_out:
            add = [parameter for parameter in add if parameter[0] not in leave_out]
        try:
            return self.packet(frames.SUBMIT, number, *add)
        except UsageError:  # a control character in an address, say
            raise Unsendable(MALFORMED) from None

    def _text(self, segment: Segment) -> list[tuple[int, bytes]]:
        found = []
        if segment.udh:
            found.append((frames.UDH, _hex(segment.udh)))
        if segment.coding <= Coding.GSM:
            octets = cimd2_text.encode(segment.payload)
            if len(octets) > LONGEST_TEXT:
                raise Unsendable(MALFORMED)
            found.append((frames.TEXT, octets))
        else:
            found.append((frames.BINARY, _hex(segment.payload)))
        coding = dcs.to_dcs(
            segment.coding,
            segment.mclass,
            segment.mwi,
            segment.compress,
            segment.alt_dcs if segment.alt_dcs >= 0 else self._alt_dcs,
            empty=not segment.payload,
        )
        if coding:
            found.append((frames.CODING, b"%d" % coding))
        return found

    def _destination(self, address: str) -> bytes:
        if not is_number(address):
            raise Unsendable(MALFORMED)
        return self._short(address.encode(), LONGEST_ADDRESS)

    def _origin(self, address: str) -> tuple[int, bytes]:
        """The SMSC puts a number behind the account's own, which `my_number` tells."""
        if not is_number(address):
            return frames.ALPHANUMERIC_ORIGIN, self._alphanumeric(address)
        prefix = self._smpp.my_number
        if prefix:
            if prefix == NO_ORIGIN or not address.startswith(prefix):
                return frames.ORIGIN, b""
            address = address[len(prefix) :]
        return frames.ORIGIN, self._short(address.encode(), LONGEST_ADDRESS)

    def _alphanumeric(self, address: str) -> bytes:
        if self._options.originator == "raw":
            return address.encode("utf-8", "replace")[:LONGEST_ALPHANUMERIC]
        septets = alphabets.encode_gsm(address[:LONGEST_ALPHANUMERIC], replace=True)
        return cimd2_text.encode(septets or b"")

    def _short(self, value: bytes, limit: int) -> bytes:
        if len(value) > limit and self._options.long_numbers == "refuse":
            raise Unsendable(MALFORMED)
        return value[:limit]

    def _relative(self, moment: float) -> int:
        return relative_period(moment - self._wall())


def is_number(address: str) -> bool:
    """Digits, perhaps behind a "+" and with hyphens among them."""
    digits = address.removeprefix("+").replace("-", "")
    return digits.isascii() and digits.isdigit()


def relative_period(seconds: float) -> int:
    """A period of 5 minutes to 63 weeks on the scale of 3GPP TS 23.040, 9.2.3.12.1, rounded up."""
    minutes = ceil(seconds / 60)
    if minutes <= 720:
        return max(ceil(minutes / 5) - 1, 0)
    if minutes <= _MINUTES_OF_DAY:
        return 143 + ceil((minutes - 720) / 30)
    if minutes <= 30 * _MINUTES_OF_DAY:
        return max(166 + ceil(minutes / _MINUTES_OF_DAY), 168)
    return min(max(192 + ceil(minutes / (7 * _MINUTES_OF_DAY)), 197), 255)


def _hex(octets: bytes) -> bytes:
    if len(octets) > LONGEST_BINARY:
        raise Unsendable(MALFORMED)
    return octets.hex().upper().encode()
