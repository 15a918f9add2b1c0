"""A deliver_sm or data_sm as the MO or the receipt it is."""

from __future__ import annotations

from functools import lru_cache
from math import ceil

from gatewayd.config.model import SmppOptions
from gatewayd.errors import GatewayError
from gatewayd.model import Coding, Inbound, Receipt
from gatewayd.sms import alphabets, charsets, receipt_text
from gatewayd.sms.dcs import Dcs, charset_name, from_dcs, to_dcs
from gatewayd.sms.udh import elements, find_shift, length_with_header
from gatewayd.smsc.contract import SessionOptions
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
    Tlvs,
    first,
)
from gatewayd.smsc.smpp_status import RINVDSTADR, RINVESMCLASS, RINVSRCADR, text_of
from gatewayd.smsc.smpp_tlv import NamedTlvs, meta_pair

PACKED = "packed"  # a mo_charset: GSM 03.38 with eight septets in seven octets

# esm_class of a deliver_sm, SMPP 3.4, 5.2.12
UDHI = 0x40
REPLY_PATH = 0x80
MESSAGE_TYPE = 0x3C
RECEIPT_BITS = 0x04 | 0x08 | 0x20  # receipt, delivery acknowledgement, intermediate notification
_RECEIPT_TYPES = frozenset({0x04, 0x08, 0x20})

_INTERNATIONAL = 1  # TON
_ALPHANUMERIC = 5
_SHORTEST_INTERNATIONAL = 7
_LONGEST_ALPHANUMERIC = 11
_NETWORK_ERROR_TYPE = 3  # GSM, SMPP 3.4, 5.3.2.31
_LONGEST_RECEIPT = 1024


class Refused(GatewayError):
    """This deliver_sm gets a negative answer; nothing else comes of it."""

    def __init__(self, status: int) -> None:
        super().__init__(text_of(status))
        self.status = status


@lru_cache(maxsize=1024)  # nearly all receipts tell one of a few errors, or none
def _error_pair(kind: int, code: int) -> str:
    """What meta-data say of a network error: its type, then its code in two octets."""
    return meta_pair("dlr_err", bytes([kind]) + code.to_bytes(2, "big"))


class Inward:
    """Reads what one SMSC delivers."""

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._lenient = not smpp.strict_receipts
        self._smpp5 = self._lenient or smpp.interface_version >= 0x50
        self._has_tlvs = smpp.interface_version >= 0x34
        self._tlvs = NamedTlvs(options.tlvs, options.smsc.id)
        self._default_charset = _default_charset(smpp)
        # At most 256 data_coding values, each with and without a header.
        self._codings: dict[tuple[int, bool], Dcs] = {}

    def read(self, sm: Sm) -> Inbound | Receipt:
        """What `sm` is; `Refused` when it is nothing that can be passed on."""
        text = sm.short_message or first(sm.tlvs, MESSAGE_PAYLOAD) or b""
        tlvs = sm.tlvs if self._has_tlvs else []
        kind = sm.esm_class & MESSAGE_TYPE
        if kind & RECEIPT_BITS:
            receipt = self._receipt(sm, text, tlvs)
            # The other combinations of these bits are reserved: without an id it is a message.
            if receipt.smsc_id or kind in _RECEIPT_TYPES or not self._lenient:
                return receipt
        elif self._options.receipt_by_text:
            found = receipt_text.parse(text, lenient=self._lenient)
            if found and found.id and found.stat:
                return self._receipt(sm, text, tlvs)
        return self._inbound(sm, text, tlvs)

    # ---- receipts

    def _receipt(self, sm: Sm, text: bytes, tlvs: Tlvs) -> Receipt:
        options = self._options
        text = _without_header(text) if sm.esm_class & UDHI else text
        if sm.data_coding == 0x08 and self._lenient:
            text = alphabets.decode_ucs2(text)[0].encode()
        text = text[:_LONGEST_RECEIPT].partition(b"\0")[0]
        found = receipt_text.parse(text, lenient=self._lenient)
        told_id = self._told_id(tlvs)
        status = self._told_status(tlvs) if told_id or self._lenient else None
        if status is None:
            status = receipt_text.status_of(found.stat, lenient=self._lenient) if found else 0
        smsc_id = told_id or (found.id if found else "")
        error, error_type = (found.error if found else -1), _NETWORK_ERROR_TYPE
        network = first(tlvs, NETWORK_ERROR_CODE)
        if network is not None and len(network) == 3:
            error_type, error = network[0], int.from_bytes(network[1:], "big")
        meta = "?smpp?"
        if error >= 0:
            error = min(error, 0xFFFF)
            meta += _error_pair(error_type, error)
        return Receipt(
            smsc_id=receipt_text.normalise_id(
                smsc_id, message_ids=options.message_ids, receipt=True, id_case=options.id_case
            ),
            status=status if smsc_id else 0,
            text=_string(text),
            error=error,
            error_type=error_type,
            stat=found.stat if found else "",
            meta=meta + self._tlvs.meta(tlvs),
            source=self._address(sm.source_ton, sm.source, strict=False),
            destination=self._address(sm.dest_ton, sm.destination, strict=False),
            account=options.system_id,
        )

    def _told_id(self, tlvs: Tlvs) -> str:
        value = first(tlvs, RECEIPTED_MESSAGE_ID)
        if value is None:
            return ""
        text, nul, _ = value.partition(b"\0")
        return text.decode("latin-1") if nul or self._lenient else ""

    def _told_status(self, tlvs: Tlvs) -> int | None:
        value = first(tlvs, MESSAGE_STATE)
        if value is None or len(value) != 1:
            return None
        return receipt_text.status_of_state(value[0], smpp5=self._smpp5)

    # ---- messages

    def _inbound(self, sm: Sm, text: bytes, tlvs: Tlvs) -> Inbound:
        options = self._options
        source = self._address(sm.source_ton, sm.source, strict=options.strict_addresses)
        if options.my_number:
            destination = options.my_number
        else:
            strict = options.strict_addresses
            destination = self._address(sm.dest_ton, sm.destination, strict=strict)
            if not destination and strict:
                raise Refused(RINVDSTADR)
        udh = b""
        if sm.esm_class & UDHI and text:
            size = length_with_header(text)
            if size is None:
                raise Refused(RINVESMCLASS)
            udh, text = text[:size], text[size:]
        key = sm.data_coding, bool(udh)
        dcs = self._codings.get(key)
        if dcs is None:
            dcs = from_dcs(*key, mwi_ucs2=options.mwi_ucs2)
            self._codings[key] = dcs
        if dcs.coding == Coding.GSM:
            payload, lossy = self._utf8(text, udh, dcs.charset)
        else:
            payload = text
            lossy = dcs.coding == Coding.UCS2 and alphabets.decode_ucs2(text)[1]
        return Inbound(
            source=source,
            destination=destination,
            payload=payload,
            coding=dcs.coding,
            charset=charset_name(dcs.coding),
            udh=udh,
            dcs=to_dcs(dcs.coding, dcs.mclass, dcs.mwi, dcs.compress, dcs.alt_dcs, empty=not text),
            mclass=dcs.mclass,
            mwi=dcs.mwi,
            alt_dcs=dcs.alt_dcs,
            compress=dcs.compress,
            pid=sm.protocol_id,
            rpi=1 if sm.esm_class & REPLY_PATH else -1,
            binfo=_string(sm.service_type),
            account=options.system_id if sm.command == DELIVER_SM else "",
            meta="?smpp?" + self._tlvs.meta(tlvs),
            sar=_sar(tlvs) if tlvs else None,
            raw=text if lossy else b"",
        )

    def _utf8(self, text: bytes, udh: bytes, charset: str) -> tuple[bytes, bool]:
        """Text in one of the 7-bit or 8-bit alphabets as UTF-8, and whether something was lost."""
        charset = charset or self._default_charset
        if charset in (charsets.GSM, PACKED):
            single, locking = find_shift(udh) if udh else (0, 0)
            if charset == PACKED:
                text = _unpacked(text, len(udh))
            return alphabets.decode_gsm(text, single, locking).encode(), not text.isascii()
        decoded = charsets.decode(text, charset)
        return decoded.encode("utf-8", "replace"), "\ufffd" in decoded

    def _address(self, ton: int, octets: bytes, *, strict: bool) -> str:
        """An address as the platform shall see it; international ones begin with "+".

        `strict`: letters in an international number and alphanumeric addresses above eleven
        octets are refused, as Kannel does.
        """
        if ton == _ALPHANUMERIC:
            if strict and len(octets) > _LONGEST_ALPHANUMERIC:
                raise Refused(RINVSRCADR)
            charset = self._options.alt_addr_charset
            if charset and charsets.is_known(charset):
                return charsets.decode(octets, charset)
            return _string(octets)
        text = _string(octets)
        if ton != _INTERNATIONAL or not text:
            return text
        # The first character may be a "+" that should not be there.
        digits = text.isascii() and (text[1:].isdigit() or len(text) == 1)
        if strict and not digits and len(text) >= _SHORTEST_INTERNATIONAL:
            raise Refused(RINVSRCADR)
        if not digits and not strict:
            return text
        return "+" + text.removeprefix("+").removeprefix("00")


def _default_charset(options: SmppOptions) -> str:
    name = options.mo_charset or options.alt_charset
    return name if name == PACKED or charsets.is_known(name) else charsets.GSM


def _string(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")


def _without_header(text: bytes) -> bytes:
    """`text` behind its user data header, if it begins with one that is whole.

    Some SMSCs set the UDH indicator on receipts that have no header.
    """
    size = length_with_header(text)
    return text if size is None or elements(text[:size]) is None else text[size:]


def _unpacked(text: bytes, udh_size: int) -> bytes:
    fill = (7 - 8 * udh_size % 7) % 7
    count = (8 * len(text) - fill) // 7
    septets = alphabets.unpack7(text, count, fill)
    # Seven bits left over look like a final "@" when the octets had room for it.
    filled = len(text) == ceil((fill + 7 * (count - 1)) / 8)
    return septets[:-1] if filled and septets.endswith(b"\0") else septets


def _sar(tlvs: Tlvs) -> tuple[int, int, int] | None:
    """Reference, total and number of a part (SMPP 3.4, 5.3.2.22 to 24)."""
    reference = first(tlvs, SAR_MSG_REF_NUM)
    total = first(tlvs, SAR_TOTAL_SEGMENTS)
    number = first(tlvs, SAR_SEGMENT_SEQNUM)
    if not reference or not total or not number:
        return None
    return (
        int.from_bytes(reference[-2:], "big"),
        total[-1],
        number[-1],
    )
