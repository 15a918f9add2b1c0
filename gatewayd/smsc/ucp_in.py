"""What one SMSC says: operations 52 and 01 as the MO they are, 53 as the receipt it is."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from gatewayd.errors import GatewayError
from gatewayd.model import SMSC_ID_KEY, Coding, DlrStatus, Inbound, Receipt
from gatewayd.sms import alphabets, charsets
from gatewayd.sms.dcs import UNSET, Dcs, charset_name, from_dcs, to_dcs
from gatewayd.sms.udh import find_shift, length_with_header
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.ucp_codes import number, rsn_text
from gatewayd.smsc.ucp_options import UcpOptions
from gatewayd.smsc.ucp_out import ALPHANUMERIC, BILLING, DCS, INTERNATIONAL, UDH

_DST = {"0": DlrStatus.DELIVERED, "1": DlrStatus.BUFFERED, "2": DlrStatus.UNDELIVERABLE}
_LONGEST_RECEIPT = 1024
_RECIPIENT_DIGITS = 8  # of a recipient, from its end: all spellings of a number share them
_LONGEST_TIME = 24
_SILENT = Dcs(Coding.GSM)  # no XSer says anything


class Refused(GatewayError):
    """This operation gets the negative result `code`; nothing else comes of it."""

    def __init__(self, code: int, problem: str) -> None:
        super().__init__(problem)
        self.code = code


class Services(NamedTuple):
    """What the extra services of a message say; -1: nothing."""

    udh: bytes = b""
    dcs: int = UNSET
    binfo: str = ""


_NOTHING = Services()


class Inward:
    """Reads what one SMSC delivers."""

    def __init__(self, options: SessionOptions, own: UcpOptions) -> None:
        smpp = options.smsc.smpp
        self._own = own
        self._literal = own.mo == "literal"
        self._plus = smpp.ton_rule != "kannel"
        self._mwi_ucs2 = smpp.mwi_ucs2
        charset = smpp.mo_charset or smpp.alt_charset
        self._charset = charset if charset != charsets.GSM and charsets.is_known(charset) else ""

    def deliver(self, fields: tuple[str, ...]) -> Inbound:
        """The MO of an operation 52; `Refused` when it cannot be read."""
        services = extra_services(fields[ucp.XSER])
        source = fields[ucp.OADC]
        if not self._literal:
            source = self._originator(source, fields[ucp.OTOA])
        when = self._time(fields[ucp.SCTS]) if self._own.smsc_time else 0.0
        pid = number(fields[ucp.RPID])
        return self._inbound(
            source,
            fields[ucp.ADC],
            fields[ucp.MT],
            fields[ucp.MSG],
            services,
            when=when,
            pid=pid if pid <= 255 else UNSET,
            rpi=number(fields[ucp.RPI]),
        )

    def call_input(self, fields: tuple[str, ...]) -> Inbound:
        """The MO of an operation 01: its number of bits stands before the octets of MT 4."""
        kind = fields[3]
        if kind == "4" and len(fields) < 6:
            raise Refused(ucp.SYNTAX, "no message")
        return self._inbound(fields[1], fields[0], kind, fields[5 if kind == "4" else 4], _NOTHING)

    def notification(self, fields: tuple[str, ...]) -> Receipt:
        """The receipt of an operation 53: AdC is our address and OAdC the handset's."""
        scts, handset, dst = fields[ucp.SCTS], fields[ucp.OADC], fields[ucp.DST]
        rsn = number(fields[ucp.RSN])
        smsc_id = message_id(scts, handset)
        return Receipt(
            smsc_id=smsc_id,
            status=_DST.get(dst, 0) if smsc_id else 0,
            text=self._notification_text(fields),
            error=rsn,
            stat=f"Dst {dst} {rsn_text(rsn)}".rstrip()[:40],
            source=handset,
            destination=fields[ucp.ADC],
        )

    def _notification_text(self, fields: tuple[str, ...]) -> str:
        """Its text; what cannot be read is no reason to lose the receipt."""
        try:
            octets = bytes.fromhex(fields[ucp.MSG])[:_LONGEST_RECEIPT]
            services = extra_services(fields[ucp.XSER])
        except (ValueError, Refused):
            return ""
        if fields[ucp.MT] == "4" and from_dcs(max(services.dcs, 0)).coding == Coding.UCS2:
            return alphabets.decode_ucs2(octets)[0]
        return alphabets.decode_gsm(octets)

    def _inbound(
        self,
        source: str,
        destination: str,
        kind: str,
        message: str,
        services: Services,
        *,
        when: float = 0.0,
        pid: int = UNSET,
        rpi: int = UNSET,
    ) -> Inbound:
        octets = self._octets(kind, message)
        dcs, coding = self._coding(kind, services)
        raw = b""
        if coding <= Coding.GSM and (kind != "4" or not self._literal):
            payload, lossy = self._utf8(octets, services.udh, dcs.charset)
            raw = octets if lossy else b""
        else:
            payload = octets
            if coding == Coding.UCS2 and alphabets.decode_ucs2(octets)[1]:
                raw = octets
        return Inbound(
            source=source,
            destination=destination,
            payload=payload,
            coding=coding,
            charset=charset_name(max(coding, 0)),
            udh=services.udh,
            dcs=to_dcs(
                max(coding, 0), dcs.mclass, dcs.mwi, dcs.compress, dcs.alt_dcs, empty=not octets
            ),
            mclass=dcs.mclass,
            mwi=dcs.mwi,
            alt_dcs=dcs.alt_dcs,
            compress=dcs.compress,
            pid=pid,
            rpi=rpi if rpi in (1, 2) else UNSET,
            binfo=services.binfo,
            time=when,
            raw=raw,
        )

    def _octets(self, kind: str, message: str) -> bytes:
        if kind == "2":
            return b"" if self._literal else _digits(message)
        try:
            if not message or (kind in ("3", "4") and message.isalnum()):
                return bytes.fromhex(message)
        except ValueError:
            pass
        raise Refused(ucp.SYNTAX, f"MT {kind} with a message that is not hex"[:60])

    def _coding(self, kind: str, services: Services) -> tuple[Dcs, int]:
        """What the octets are; a DCS in an extra service counts more than MT."""
        if services.dcs >= 0:
            found = from_dcs(services.dcs, bool(services.udh), mwi_ucs2=self._mwi_ucs2)
            return found, found.coding
        if self._literal:
            return _SILENT, UNSET
        return _SILENT, Coding.OCTETS if kind == "4" else Coding.GSM

    def _utf8(self, octets: bytes, udh: bytes, charset: str) -> tuple[bytes, bool]:
        charset = charset if charset not in ("", charsets.GSM) else self._charset
        if not charset:
            shifts = find_shift(udh) if udh else (0, 0)
            return alphabets.decode_gsm(octets, *shifts).encode(), not octets.isascii()
        text = charsets.decode(octets, charset)
        return text.encode("utf-8", "replace"), "\ufffd" in text

    def _originator(self, address: str, kind: str) -> str:
        """An originator as the platform shall see it."""
        if kind == ALPHANUMERIC:
            return unpacked(address)
        if kind == INTERNATIONAL and self._plus and address.isdigit():
            return "+" + address.removeprefix("00")
        return address

    def _time(self, stamp: str) -> float:
        """``DDMMYYhhmmss`` by the SMSC's clock; 0 when it is none."""
        if len(stamp) != 12 or number(stamp[:5]) < 0 or not stamp.isdigit():
            return 0.0
        day, month, year, hour, minute, second = (int(stamp[i : i + 2]) for i in range(0, 12, 2))
        try:
            moment = datetime(2000 + year, month, day, hour, minute, second, tzinfo=self._own.zone)
            return max(moment.timestamp(), 0.0)
        except (ValueError, OverflowError, OSError):
            return 0.0


def message_id(scts: str, recipient: str) -> str:
    """How a message is called: the SMSC's time stamp, and hidden behind it whom it went to.

    The time stamp alone would be shared by all messages of one second. Of the recipient only the
    last digits count, for SMSCs write prefixes as they like. "" without a time stamp.
    """
    if not scts or len(scts) > _LONGEST_TIME:
        return ""
    digits = "".join(c for c in recipient if "0" <= c <= "9")
    return f"{scts}{SMSC_ID_KEY}{digits[-_RECIPIENT_DIGITS:]}"


def accepted_id(fields: tuple[str, ...], recipient: str) -> str:
    """The id in a positive result to a submit, whose SM is ``AdC:SCTS``; "" when there is none."""
    text = next((field for field in reversed(fields[1:]) if ":" in field), "")
    if not text:
        text = fields[2] if len(fields) > 2 else ""
        return message_id(text, recipient) if len(text) == 12 and number(text[:5]) >= 0 else ""
    address, _, scts = text.rpartition(":")
    return message_id(scts.strip(), address if any(c.isdigit() for c in address) else recipient)


def extra_services(written: str) -> Services:
    """What XSer says; `Refused` when it is no whole sequence of type, length and octets."""
    if not written:
        return _NOTHING
    try:
        octets = bytes.fromhex(written)
    except ValueError:
        raise Refused(ucp.SYNTAX, "XSer is not hex") from None
    found = _NOTHING
    place = 0
    while place < len(octets):
        kind = octets[place]
        end = place + 2 + octets[place + 1] if place + 1 < len(octets) else len(octets) + 1
        if end > len(octets):
            raise Refused(ucp.SYNTAX, "XSer ends too soon")
        value = octets[place + 2 : end]
        if kind == UDH and value:
            if length_with_header(value) != len(value):
                raise Refused(ucp.SYNTAX, "a user data header of another length than it says")
            found = found._replace(udh=value)
        elif kind == DCS and len(value) == 1:
            found = found._replace(dcs=value[0])
        elif kind == BILLING:
            found = found._replace(binfo=value.decode("utf-8", "replace"))
        place = end
    return found


def unpacked(address: str) -> str:
    """The name in an alphanumeric originator; the address itself when it is none."""
    try:
        octets = bytes.fromhex(address)
    except ValueError:
        return address
    if not octets:
        return ""
    return alphabets.decode_gsm(alphabets.unpack7(octets[1:], octets[0] * 4 // 7))


def _digits(message: str) -> bytes:
    """A numeric message: the digits themselves or, as some write it, the hex of each."""
    if not message:
        return b""
    if not message.isdigit():
        raise Refused(ucp.SYNTAX, "a numeric message with other characters")
    if len(message) % 2 == 0 and set(message[::2]) == {"3"}:
        return bytes.fromhex(message)
    return message.encode()
