"""What we ask one SMSC: the login, alerts, and each segment as the operation it wants."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from gatewayd.config.model import SmppOptions
from gatewayd.errors import GatewayError, UsageError
from gatewayd.model import Coding, DlrStatus, Segment
from gatewayd.sms import alphabets, charsets, dcs
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.ucp_options import UcpOptions

MALFORMED = "MALFORMED SMS"  # Kannel's words for what it cannot send
ALPHANUMERIC = "5039"  # OTOA
INTERNATIONAL = "1139"
TCP_IP = "0539"  # PID of an alert: a PC over TCP/IP

LONGEST_ADDRESS = 16  # AdC
LONGEST_ORIGINATOR = 22  # OAdC
LONGEST_ALPHANUMERIC = 11  # septets
LONGEST_SHORT_CODE = 6
LONGEST_SERVICE = 255  # octets of one extra service
LONGEST_SERVICES = 400  # hex digits of XSer
UDH, DCS, BILLING = 0x01, 0x02, 0x0C  # types of extra services

RECEIPTS = DlrStatus.DELIVERED | DlrStatus.UNDELIVERABLE | DlrStatus.BUFFERED | DlrStatus.EXPIRED
_FINAL_NOTIFICATIONS, _ALL_NOTIFICATIONS = 3, 7  # NT
_PLAIN = frozenset({0x00, 0x04})  # a DCS that MT says already
_SEPARATORS = str.maketrans("", "", " -")


class Unsendable(GatewayError):
    """This segment can never be sent by UCP; the text is the reason to report."""


class Outward:
    """Makes operations the way one SMSC wants them."""

    def __init__(self, options: SessionOptions, own: UcpOptions) -> None:
        smpp = options.smsc.smpp
        self._smpp = smpp
        self._own = own
        self._wall = options.wall
        self._kannel_ton = smpp.ton_rule == "kannel"
        self._alt_dcs = int(smpp.alt_dcs)
        charset = smpp.alt_charset
        self._charset = charset if charset != charsets.GSM and charsets.is_known(charset) else ""
        self._make: Callable[[Segment, int], bytes] = {
            ucp.SUBMIT: self._submit,
            ucp.TRANSFER: self._transfer,
            ucp.CALL_INPUT: self._call_input,
        }[own.submit]

    def asks(self, segment: Segment) -> bool:
        """Whether the submit of `segment` asks for a notification."""
        if self._own.submit == ucp.CALL_INPUT or not segment.dlr_mask & RECEIPTS:
            return False
        return not (segment.index and self._smpp.receipts_for == "first")

    def submit(self, segment: Segment, number: int) -> bytes:
        """The octets of the operation; `Unsendable` when there is no way to write it."""
        try:
            return self._make(segment, number)
        except UsageError:
            raise Unsendable(MALFORMED) from None

    def _submit(self, segment: Segment, number: int) -> bytes:
        own = self._own
        fields = [""] * len(ucp.FIELDS_5X)
        fields[ucp.ADC] = self._recipient(segment.destination)
        fields[ucp.OADC], fields[ucp.OTOA] = self._originator(segment.source)
        if self.asks(segment):
            fields[ucp.NRQ] = "1"
            fields[ucp.NADC] = own.notification_addr
            fields[ucp.NT] = self._notification_type(segment.dlr_mask)
            fields[ucp.NPID] = own.notification_pid
        if segment.deferred:
            fields[ucp.DD] = "1"
            fields[ucp.DDT] = self._time(segment.deferred)
        validity = self._validity(segment)
        if validity:
            fields[ucp.VP] = self._time(validity)
        if segment.pid >= 0:
            fields[ucp.RPID] = f"{segment.pid:04}"
        if segment.coding <= Coding.GSM:
            fields[ucp.MT] = "3"
            fields[ucp.MSG] = self._text(segment).hex().upper()
        else:
            fields[ucp.MT] = "4"
            fields[ucp.NB] = f"{8 * len(segment.payload):04}"
            fields[ucp.MSG] = segment.payload.hex().upper()
            if own.mcls == "binary":
                fields[ucp.MCLS] = "1"
            elif segment.mclass >= 0:
                fields[ucp.MCLS] = str(segment.mclass)
        if own.more_messages and segment.index + 1 < segment.total:
            fields[ucp.MMS] = "1"
        if segment.rpi > 0:
            fields[ucp.RPI] = str(segment.rpi)
        fields[ucp.XSER] = self._services(segment)
        return ucp.encode(ucp.Frame(number, False, ucp.SUBMIT, tuple(fields)))

    def _transfer(self, segment: Segment, number: int) -> bytes:
        """Operation 30 carries nothing but text from a number (EMI-UCP 4.6, 4.4)."""
        own = self._own
        asks = self.asks(segment)
        validity = self._validity(segment)
        fields = (
            self._recipient(segment.destination),
            self._number(segment.source),
            "",
            "1" if asks else "",
            own.notification_addr if asks else "",
            own.notification_pid if asks else "",
            "1" if segment.deferred else "",
            self._time(segment.deferred) if segment.deferred else "",
            self._time(validity) if validity else "",
            self._plain_text(segment).hex().upper(),
        )
        return ucp.encode(ucp.Frame(number, False, ucp.TRANSFER, fields))

    def _call_input(self, segment: Segment, number: int) -> bytes:
        """Operation 01 carries text or octets from a number (EMI-UCP 4.6, 4.1)."""
        fields = [self._recipient(segment.destination), self._number(segment.source), ""]
        if segment.coding == Coding.OCTETS and not segment.udh:
            payload = segment.payload
            fields += ["4", f"{8 * len(payload):04}", payload.hex().upper()]
        else:
            fields += ["3", self._plain_text(segment).hex().upper()]
        return ucp.encode(ucp.Frame(number, False, ucp.CALL_INPUT, tuple(fields)))

    def _plain_text(self, segment: Segment) -> bytes:
        if segment.udh or segment.coding > Coding.GSM:
            raise Unsendable(MALFORMED)
        return self._text(segment)

    def _text(self, segment: Segment) -> bytes:
        if self._charset:
            return charsets.encode(alphabets.decode_gsm(segment.payload), self._charset, "utf-8")
        return segment.payload

    def _notification_type(self, mask: int) -> str:
        if self._own.notification_type:
            return str(self._own.notification_type)
        return str(_ALL_NOTIFICATIONS if mask & DlrStatus.BUFFERED else _FINAL_NOTIFICATIONS)

    def _services(self, segment: Segment) -> str:
        """XSer: type, length and octets of each extra service, all as hex."""
        data_coding = dcs.to_dcs(
            segment.coding,
            segment.mclass,
            segment.mwi,
            segment.compress,
            segment.alt_dcs if segment.alt_dcs >= 0 else self._alt_dcs,
            empty=not segment.payload,
        )
        found = b""
        if segment.udh:
            found += _service(UDH, segment.udh)
        if data_coding not in _PLAIN:
            found += _service(DCS, bytes((data_coding,)))
        if segment.binfo:
            found += _service(BILLING, segment.binfo.encode("utf-8", "replace"))
        if 2 * len(found) > LONGEST_SERVICES:
            raise Unsendable(MALFORMED)
        return found.hex().upper()

    def _recipient(self, address: str) -> str:
        if address.startswith("+"):
            address = self._own.international_prefix + address[1:]
        address = address.translate(_SEPARATORS)
        if len(address) > LONGEST_ADDRESS and self._own.long_numbers == "cut":
            address = address[:LONGEST_ADDRESS]
        if not _is_number(address) or len(address) > LONGEST_ADDRESS:
            raise Unsendable(MALFORMED)
        return address

    def _originator(self, address: str) -> tuple[str, str]:
        """OAdC and OTOA."""
        if not address:
            return "", ""
        if _is_number(address):
            kind = "" if self._kannel_ton or len(address) <= LONGEST_SHORT_CODE else INTERNATIONAL
        elif address[0] == "+" and _is_number(address[1:]):
            kind, address = INTERNATIONAL, address[1:]
        else:
            return packed(address), ALPHANUMERIC
        if len(address) > LONGEST_ORIGINATOR:
            if self._own.long_numbers != "cut":
                raise Unsendable(MALFORMED)
            address = address[:LONGEST_ORIGINATOR]
        return address, kind

    def _number(self, address: str) -> str:
        """The originator of an operation that has no OTOA."""
        address = address.removeprefix("+")
        if address and (not _is_number(address) or len(address) > LONGEST_ADDRESS):
            raise Unsendable(MALFORMED)
        return address

    def _validity(self, segment: Segment) -> float:
        if segment.validity or not self._smpp.validity:
            return segment.validity
        return self._wall() + self._smpp.validity

    def _time(self, moment: float) -> str:
        """``DDMMYYHHmm`` by the SMSC's clock."""
        try:
            return f"{datetime.fromtimestamp(moment, UTC).astimezone(self._own.zone):%d%m%y%H%M}"
        except (ValueError, OverflowError, OSError):  # no calendar has it
            raise Unsendable(MALFORMED) from None


def login(smpp: SmppOptions, own: UcpOptions, number: int) -> bytes:
    """The operation 60 that opens a session."""
    fields = (*_account(smpp, own), "", "", "", own.login_opid, "")
    return ucp.encode(ucp.Frame(number, False, ucp.SESSION, fields))


def add_to_list(smpp: SmppOptions, own: UcpOptions, number: int, address: str) -> bytes:
    """The operation 61 that asks for the MO of `address`."""
    fields = (*_account(smpp, own), address, "1", "1", "", "")
    return ucp.encode(ucp.Frame(number, False, ucp.LIST, fields))


def alert(smpp: SmppOptions, number: int) -> bytes:
    """The operation 31 that says, or asks for, a sign of life."""
    address = ucp.as_field(smpp.system_id or smpp.my_number)
    return ucp.encode(ucp.Frame(number, False, ucp.ALERT, (address, TCP_IP)))


def _account(smpp: SmppOptions, own: UcpOptions) -> tuple[str, ...]:
    """The first seven fields of 60 and 61, which are the same; STYP 1: open, or add."""
    password = smpp.password.reveal().encode("utf-8", "replace").hex().upper()
    name = ucp.as_field(smpp.system_id)
    return (name, own.login_ton, own.login_npi, "1", password, "", own.login_version)


def packed(name: str) -> str:
    """An alphanumeric originator: useful semi-octets, then its septets packed (23.040, 9.1.2.5)."""
    septets = alphabets.encode_gsm(name, replace=True, kannel_cedilla=True) or b""
    if len(septets) > LONGEST_ALPHANUMERIC:
        septets = septets[:LONGEST_ALPHANUMERIC]
        escapes = len(septets) - len(septets.rstrip(b"\x1b"))
        septets = septets[:-1] if escapes % 2 else septets
    return (
        bytes(((7 * len(septets) + 3) // 4,)).hex().upper() + alphabets.pack7(septets).hex().upper()
    )


def _service(kind: int, octets: bytes) -> bytes:
    if len(octets) > LONGEST_SERVICE:
        raise Unsendable(MALFORMED)
    return bytes((kind, len(octets))) + octets


def _is_number(address: str) -> bool:
    return address.isascii() and address.isdigit()
