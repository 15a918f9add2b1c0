"""What we ask one SMSC: the bind, and each segment as the submit_sm it wants."""

from __future__ import annotations

from datetime import UTC, datetime

from gatewayd.config.model import SmppOptions
from gatewayd.errors import GatewayError, UsageError
from gatewayd.model import Coding, DlrStatus, Segment
from gatewayd.sms import alphabets, charsets, dcs
from gatewayd.sms.udh import PartInfo, part_of
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.smpp_pdu import (
    MESSAGE_PAYLOAD,
    MORE_MESSAGES_TO_SEND,
    SAR_MSG_REF_NUM,
    SAR_SEGMENT_SEQNUM,
    SAR_TOTAL_SEGMENTS,
    SUBMIT_SM,
    Bind,
    Sm,
    Tlvs,
    encode,
    encode_sm,
)
from gatewayd.smsc.smpp_tlv import NamedTlvs, parse_meta

# Bits of esm_class, SMPP 3.4, 5.2.12
UDHI = 0x40
REPLY_PATH = 0x80

LONGEST_ADDRESS = 20  # octets, SMPP 3.4, 5.2.8
LONGEST_ALPHANUMERIC = 11  # characters a handset shows, 3GPP TS 23.040, 9.1.2.5
LONGEST_SHORT_CODE = 6
LONGEST_SHORT_MESSAGE = 254  # octets, SMPP 3.4, 5.2.22
LONGEST_SINGLE = 160  # septets that one message of a handset holds
OCTETS_SINGLE = 140
LONGEST_PAYLOAD = 65535 - 4096  # so that the whole PDU stays below 64 KiB
MALFORMED = "MALFORMED SMS"  # Kannel's words for what it cannot put into a PDU

_INTERNATIONAL = (1, 1)  # TON and NPI: international, E.164
_NATIONAL = (2, 1)
_SHORT_CODE = (3, 0)
_ALPHANUMERIC = (5, 0)
_UNKNOWN = (0, 0)

# As plain numbers: an IntFlag takes half a microsecond for each "&".
_DELIVERED = int(DlrStatus.DELIVERED)
_BUFFERED = int(DlrStatus.BUFFERED)
# 64 is no status of any report; Kannel asks for receipts of failures with it all the same
_FINAL_FAILURE = int(DlrStatus.UNDELIVERABLE | DlrStatus.EXPIRED) | 64


class Unsendable(GatewayError):
    """This segment can never be put into a submit_sm; the text is the reason to report."""


class Outward:
    """Makes submit_sm PDUs the way one SMSC wants them."""

    def __init__(self, options: SessionOptions) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._wall = options.wall
        self._tlvs = NamedTlvs(options.tlvs, options.smsc.id)
        self._kannel_ton = smpp.ton_rule == "kannel"
        self._esm_class = max(smpp.esm_class, 0)
        self._service_type = _plain(smpp.service_type)
        self._only_first = smpp.receipts_for == "first"
        self._alt_dcs = 1 if smpp.alt_dcs else dcs.UNSET

    def submit_sm(self, segment: Segment, sequence: int, tlvs_allowed: bool) -> bytes:
        """The octets of the submit_sm; `Unsendable` when there is no way to write it.

        `tlvs_allowed`: the SMSC speaks 3.4. Without TLVs a text must fit into short_message, and
        everything else that would be a TLV is left out.
        """
        options = self._options
        values = parse_meta(segment.meta) if segment.meta else {}
        source_ton, source_npi, source = self._source(segment.source)
        dest_ton, dest_npi, destination = self._destination(segment.destination)
        data_coding = self._data_coding(segment)
        if values:
            source_ton = _number(values, "source_addr_ton", source_ton)
            source_npi = _number(values, "source_addr_npi", source_npi)
            dest_ton = _number(values, "dest_addr_ton", dest_ton)
            dest_npi = _number(values, "dest_addr_npi", dest_npi)
            data_coding = _number(values, "data_coding", data_coding)
        tlvs: Tlvs = []
        if tlvs_allowed:
            tlvs = self._tlvs.encode(values) if values else self._tlvs.constants[:]
        esm_class = self._esm_class
        if segment.rpi > 0:
            esm_class |= REPLY_PATH
        text = self._text(segment)
        if segment.udh or len(text) > OCTETS_SINGLE:
            bits, text = self._long(segment, text, tlvs, tlvs_allowed)
            esm_class |= bits
        validity = segment.validity
        if not validity and options.validity:
            validity = self._wall() + options.validity
        mask = 0 if self._only_first and segment.index else segment.dlr_mask
        try:
            return encode_sm(
                Sm(
                    command=SUBMIT_SM,
                    sequence=sequence,
                    service_type=_plain(segment.binfo) if segment.binfo else self._service_type,
                    source_ton=source_ton,
                    source_npi=source_npi,
                    source=source,
                    dest_ton=dest_ton,
                    dest_npi=dest_npi,
                    destination=destination,
                    esm_class=esm_class,
                    protocol_id=max(segment.pid, 0),
                    priority=segment.priority if segment.priority >= 0 else options.priority,
                    schedule=self._time(segment.deferred) if segment.deferred else b"",
                    validity=self._time(validity) if validity else b"",
                    registered_delivery=registered_delivery(mask) if mask else 0,
                    data_coding=data_coding,
                    short_message=text,
                    tlvs=tlvs,
                )
            )
        except UsageError:  # a number from meta-data, pid or priority that fits no octet
            raise Unsendable(MALFORMED) from None

    def _text(self, segment: Segment) -> bytes:
        charset = self._options.alt_charset
        if charset and segment.coding <= Coding.GSM:
            return charsets.encode(alphabets.decode_gsm(segment.payload), charset, "utf-8")
        return segment.payload

    def _long(
        self, segment: Segment, text: bytes, tlvs: Tlvs, tlvs_allowed: bool
    ) -> tuple[int, bytes]:
        """Bits of esm_class and short_message of a part or a long text; adds to `tlvs`."""
        mode = self._options.concatenation
        bits = 0
        limit = LONGEST_SHORT_MESSAGE
        if segment.udh:
            part = part_of(segment.udh) if tlvs_allowed and segment.total > 1 else None
            if part and mode == "sar" and not part.udh:  # SAR and a header must not meet
                tlvs += _sar(part)
            else:
                bits = UDHI
                text = segment.udh + text
            if part and segment.index + 1 < segment.total:
                tlvs.append((MORE_MESSAGES_TO_SEND, b"\1"))
        elif mode == "payload" and tlvs_allowed:
            limit = LONGEST_SINGLE if segment.coding <= Coding.GSM else OCTETS_SINGLE
        if len(text) <= limit:
            return bits, text
        if not tlvs_allowed or len(text) > LONGEST_PAYLOAD:
            raise Unsendable(MALFORMED)
        tlvs.append((MESSAGE_PAYLOAD, text))
        return bits, b""

    def _source(self, address: str) -> tuple[int, int, bytes]:
        options = self._options
        if not options.source_autodetect:
            return _address(_configured(options.source_ton, options.source_npi, _NATIONAL), address)
        if _is_number(address):
            kind = _configured(options.source_ton, options.source_npi, self._digits(address))
            return _address(kind, address)
        if address.startswith("+") and _is_number(address[1:]):
            return _address(_INTERNATIONAL, address[1:])
        if not address:
            return *_UNKNOWN, b""
        return _address(_ALPHANUMERIC, self._alphanumeric(address))

    def _destination(self, address: str) -> tuple[int, int, bytes]:
        options = self._options
        if address.startswith("+"):
            _, npi = _configured(options.dest_ton, options.dest_npi, _INTERNATIONAL)
            return _address((_INTERNATIONAL[0], npi), address[1:])
        kind = _configured(options.dest_ton, options.dest_npi, self._digits(address))
        return _address(kind, address)

    def _digits(self, address: str) -> tuple[int, int]:
        """TON and NPI of a number that nothing is configured for."""
        if self._kannel_ton:
            return _NATIONAL
        return _SHORT_CODE if len(address) <= LONGEST_SHORT_CODE else _INTERNATIONAL

    def _alphanumeric(self, address: str) -> bytes:
        if not self._kannel_ton:
            address = address[:LONGEST_ALPHANUMERIC]
        charset = self._options.alt_addr_charset
        if not charset:
            return address.encode("utf-8", "replace")
        if charset == charsets.GSM:
            octets = alphabets.encode_gsm(address, replace=True, kannel_cedilla=True) or b""
        else:
            octets = charsets.encode(address, charset, "utf-8")
        # GSM 03.38 writes "@" as 0, which would end the C-octet string.
        return octets.replace(b"\0", b"?")

    def _data_coding(self, segment: Segment) -> int:
        if (
            segment.mclass < 0
            and segment.mwi < 0
            and segment.compress <= 0
            and segment.alt_dcs < 0
            and self._alt_dcs < 0
        ):
            return max(segment.coding, 0) << 2
        return dcs.to_dcs(
            segment.coding,
            segment.mclass,
            segment.mwi,
            segment.compress,
            segment.alt_dcs if segment.alt_dcs >= 0 else self._alt_dcs,
            empty=not segment.payload,
        )

    def _time(self, moment: float) -> bytes:
        """``YYMMDDhhmmsstnnp`` (SMPP 3.4, 7.1.1): absolute in UTC, or relative to now."""
        if self._options.validity_format == "relative":
            seconds = max(int(moment - self._wall()), 0)
            minutes, second = divmod(seconds, 60)
            hours, minute = divmod(minutes, 60)
            days, hour = divmod(hours, 24)
            years, days = divmod(days, 365)
            months, day = divmod(days, 30)
            if years > 99:
                years, months, day = 99, 11, 30
            text = f"{years:02}{months:02}{day:02}{hour:02}{minute:02}{second:02}000R"
            return text.encode()
        try:
            return f"{datetime.fromtimestamp(moment, UTC):%y%m%d%H%M%S}000+".encode()
        except (ValueError, OverflowError, OSError):  # no calendar has it
            raise Unsendable(MALFORMED) from None


def bind(options: SmppOptions, command: int, sequence: int) -> bytes:
    """The bind that asks for a session (SMPP 3.4, 4.1)."""
    return encode(
        Bind(
            command=command,
            sequence=sequence,
            system_id=_plain(options.system_id),
            password=_plain(options.password.reveal()),
            system_type=_plain(options.system_type),
            interface_version=options.interface_version,
            addr_ton=options.addr_ton,
            addr_npi=options.addr_npi,
            address_range=_plain(options.address_range),
        )
    )


def registered_delivery(mask: int) -> int:
    """Which receipts a caller's dlr-mask asks the SMSC for (SMPP 3.4, 5.2.17)."""
    wanted = 0x01 if mask & _DELIVERED else 0x02 if mask & _FINAL_FAILURE else 0
    return wanted | 0x10 if mask & _BUFFERED else wanted


def _sar(part: PartInfo) -> Tlvs:
    """What the concatenation element of a header says, as TLVs (SMPP 3.4, 5.3.2.22 to 24)."""
    return [
        (SAR_MSG_REF_NUM, part.reference.to_bytes(2, "big")),
        (SAR_TOTAL_SEGMENTS, bytes([part.total])),
        (SAR_SEGMENT_SEQNUM, bytes([part.number])),
    ]


def _is_number(address: str) -> bool:
    return address.isascii() and address.isdigit()


def _configured(ton: int, npi: int, otherwise: tuple[int, int]) -> tuple[int, int]:
    return ton if ton >= 0 else otherwise[0], npi if npi >= 0 else otherwise[1]


def _address(kind: tuple[int, int], address: str | bytes) -> tuple[int, int, bytes]:
    # A NUL would end the field and shift all that follow.
    octets = address.replace(b"\0", b"?") if isinstance(address, bytes) else _plain(address)
    if len(octets) > LONGEST_ADDRESS:
        raise Unsendable(MALFORMED)
    return *kind, octets


def _plain(text: str) -> bytes:
    """Octets of a C-octet string: whatever stands before a NUL."""
    return text.encode("utf-8", "replace").split(b"\0", 1)[0]


def _number(values: dict[str, bytes], key: str, otherwise: int) -> int:
    text = values.get(key, b"")
    return int(text) if text.isdigit() and len(text) <= 3 else otherwise
