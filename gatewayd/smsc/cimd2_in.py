"""What an SMSC delivers over CIMD2, as the MO or the receipt it is."""

from __future__ import annotations

from gatewayd.config.model import SmppOptions
from gatewayd.model import Coding, Inbound, Receipt
from gatewayd.sms import alphabets
from gatewayd.sms.dcs import Dcs, charset_name, from_dcs, to_dcs
from gatewayd.sms.udh import find_shift
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc import cimd2_text
from gatewayd.smsc.cimd2_frame import Packet
from gatewayd.smsc.cimd2_ids import MessageIds
from gatewayd.smsc.cimd2_options import Cimd2Options
from gatewayd.smsc.contract import Noted

PACKED = "packed"  # a mo_charset: GSM 03.38 with eight septets in seven octets


class Inward:
    """Reads what one SMSC delivers. What is worth a counter goes to `notes`."""

    def __init__(self, smpp: SmppOptions, options: Cimd2Options, ids: MessageIds) -> None:
        self._smpp = smpp
        self._options = options
        self._ids = ids
        self._packed = smpp.mo_charset == PACKED
        self._drop = options.incomplete == "drop"

    def message(self, packet: Packet, notes: list[Noted]) -> Inbound | None:
        """The MO of a delivery; None when the configuration says that nobody wants it."""
        values = dict(reversed(packet.parameters))  # the first of two with one number counts
        source = values.get(frames.ORIGIN, b"").decode("latin-1")
        text, binary = values.get(frames.TEXT, b""), values.get(frames.BINARY, b"")
        if not source or not (text or binary):
            if self._drop:
                notes.append(Noted("dropped_incomplete", "an MO without number or without text"))
                return None
            source = source or cimd2_text.decode(values.get(frames.ALPHANUMERIC_ORIGIN, b"")).text
        udh, broken = _unhex(values.get(frames.UDH, b""))
        if broken:
            notes.append(Noted("lossy_text", "a user data header that is not hex"))
            udh = b""
        dcs = dcs_of(values.get(frames.CODING, b""), bool(udh), self._smpp.mwi_ucs2)
        raw = b""
        if frames.TEXT in values or not binary:
            shifts = find_shift(udh) if udh else (0, 0)
            decoded = cimd2_text.decode(text, *shifts)
            payload = decoded.text.encode()
            coding = Coding.GSM
            if decoded.unknown:
                notes.append(Noted("unknown_sequence", f"{decoded.unknown} in a user data"))
            if decoded.lossy or decoded.unknown:
                raw = text
        else:
            coding = dcs.coding
            payload, broken = _unhex(binary)
            if broken:
                payload, raw, coding = binary, binary, Coding.OCTETS
            elif coding is Coding.GSM:
                payload, raw = self._septets(payload, udh)
        if raw:
            notes.append(Noted("lossy_text", f"data coding scheme {dcs.coding.name}"))
        return Inbound(
            source=source,
            destination=values.get(frames.DESTINATION, b"").decode("latin-1"),
            payload=payload,
            coding=coding,
            charset=charset_name(coding),
            udh=udh,
            dcs=to_dcs(coding, dcs.mclass, dcs.mwi, dcs.compress, dcs.alt_dcs, empty=not payload),
            mclass=dcs.mclass,
            mwi=dcs.mwi,
            alt_dcs=dcs.alt_dcs,
            compress=dcs.compress,
            pid=statuses.number_of(values.get(frames.PROTOCOL_ID, b"")),
            rpi=1 if values.get(frames.REPLY_PATH) == b"1" else -1,
            raw=raw,
        )

    def _septets(self, octets: bytes, udh: bytes) -> tuple[bytes, bytes]:
        """GSM text that came as octets: as UTF-8, and as received if something was lost.

        One septet to the octet, unless it is packed; then octets above 0x7F tell.
        """
        if self._packed or not octets.isascii():
            fill = (7 - 8 * len(udh) % 7) % 7
            octets = alphabets.unpack7(octets, (8 * len(octets) - fill) // 7, fill)
        single, locking = find_shift(udh) if udh else (0, 0)
        return alphabets.decode_gsm(octets, single, locking).encode(), b""

    def report(self, packet: Packet) -> Receipt:
        """The receipt in a status report."""
        timestamp = packet.get(frames.TIMESTAMP).decode("latin-1")
        number = packet.get(frames.DESTINATION).decode("latin-1")
        told = packet.get(frames.STATUS)
        code = statuses.number_of(told)
        status = statuses.dlr_status_of(code, self._options)
        final = status not in (0, 4)
        return Receipt(
            smsc_id=self._ids.reported(number, timestamp, final=final) if timestamp else "",
            status=status if timestamp else 0,
            text=told.decode("latin-1"),
            error=statuses.number_of(packet.get(frames.STATUS_ERROR)),
            stat=statuses.STATUS_WORDS.get(code, ""),
            source=number,
        )


def _unhex(value: bytes) -> tuple[bytes, bool]:
    """The octets of hex digits, and whether they are none."""
    try:
        return bytes.fromhex(value.decode("latin-1")), False
    except ValueError:
        return b"", True


def dcs_of(value: bytes, has_udh: bool, mwi_ucs2: bool = True) -> Dcs:
    """What parameter 030 says; nothing and nonsense mean the default alphabet."""
    code = statuses.number_of(value)
    if not 0 <= code <= 255:
        code = 0
    if code < 0x10:  # here 23.038 rules, not SMPP's other charsets
        code &= 0x0C
    return from_dcs(code, has_udh, mwi_ucs2=mwi_ucs2)
