"""Segments as submit_sm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig, TlvConfig
from gatewayd.model import Segment
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.smpp_out import Outward, Unsendable, bind, registered_delivery
from gatewayd.smsc.smpp_tlv import meta_pair, parse_meta

KANNEL: dict[str, Any] = {"ton_rule": "kannel", "esm_class": 3, "receipts_for": "first"}
NOW = 1_795_300_000.0  # 2026-11-21 22:26:40 UTC


def outward(tlvs: tuple[TlvConfig, ...] = (), **smpp: Any) -> Outward:
    bind_config = BindConfig("a/0")
    smsc = SmscConfig("a", "a", binds=(bind_config,), smpp=SmppOptions(**smpp))
    return Outward(SessionOptions(smsc, bind_config, tlvs=tlvs, wall=lambda: NOW))


def segment(**fields: Any) -> Segment:
    fields = {"source": "12345", "destination": "5582999000111", "payload": b"hello"} | fields
    return Segment(id=1, **fields)


def submit(
    what: Segment, *, tlvs_allowed: bool = True, tlvs: tuple[TlvConfig, ...] = (), **smpp: Any
) -> pdus.Sm:
    pdu = pdus.decode(outward(tlvs, **smpp).submit_sm(what, 2, tlvs_allowed))
    assert isinstance(pdu, pdus.Sm)
    return pdu


def addresses(source: str, destination: str, **smpp: Any) -> tuple[tuple[int, int, bytes], ...]:
    sm = submit(segment(source=source, destination=destination), **smpp)
    return (
        (sm.source_ton, sm.source_npi, sm.source),
        (sm.dest_ton, sm.dest_npi, sm.destination),
    )


def test_a_submit_sm_is_octet_for_octet_what_kannel_sends() -> None:
    sent = outward(**KANNEL).submit_sm(segment(dlr_mask=31), 2, True)
    assert sent.hex() == (
        "00000038000000040000000000000002000201313233343500020135353832393939303030"
        "313131000300000000110000000568656c6c6f"
    )


# ---- addresses


def test_smpp_040_kannels_rule_calls_digits_national() -> None:
    assert addresses("12345", "5582999000111", **KANNEL) == (
        (2, 1, b"12345"),
        (2, 1, b"5582999000111"),
    )
    assert addresses("+5511", "+5582999000111", **KANNEL) == (
        (1, 1, b"5511"),
        (1, 1, b"5582999000111"),
    )
    assert addresses("ALPHA", "0055-11", **KANNEL) == ((5, 0, b"ALPHA"), (2, 1, b"0055-11"))
    assert addresses("A rather long one", "1", **KANNEL)[0] == (5, 0, b"A rather long one")


def test_smpp_040_our_rule_tells_short_codes_from_international_numbers() -> None:
    assert addresses("12345", "258841234567") == ((3, 0, b"12345"), (1, 1, b"258841234567"))
    assert addresses("258841234567", "123456") == ((1, 1, b"258841234567"), (3, 0, b"123456"))
    assert addresses("+258841234567", "+258841234567") == ((1, 1, b"258841234567"),) * 2
    assert addresses("+ABC", "1") == ((5, 0, b"+ABC"), (3, 0, b"1"))
    assert addresses("", "1")[0] == (0, 0, b"")


def test_smpp_040_an_alphanumeric_sender_has_at_most_eleven_characters() -> None:
    assert addresses("TwelveLetter", "1")[0] == (5, 0, b"TwelveLette")


def test_smpp_040_configured_ton_and_npi_win_over_the_rule() -> None:
    fixed: dict[str, Any] = {
        "source_ton": 3,
        "source_npi": 8,
        "dest_ton": 1,
        "dest_npi": 9,
    } | KANNEL
    assert addresses("123", "5511", **fixed) == ((3, 8, b"123"), (1, 9, b"5511"))
    # Recorded: letters and a "+" are still seen for what they are.
    assert addresses("ALPHA", "+5511", **fixed) == ((5, 0, b"ALPHA"), (1, 9, b"5511"))
    assert addresses("+5511", "1", **fixed)[0] == (1, 1, b"5511")


def test_smpp_040_without_autodetection_the_sender_goes_out_as_given() -> None:
    literal: dict[str, Any] = {"source_autodetect": False} | KANNEL
    assert addresses("+5511", "1", **literal)[0] == (2, 1, b"+5511")
    fixed: dict[str, Any] = {"source_ton": 3, "source_npi": 8} | literal
    assert addresses("ALPHA", "1", **fixed)[0] == (3, 8, b"ALPHA")


def test_smpp_041_an_at_sign_does_not_end_an_alphanumeric_sender() -> None:
    assert addresses("Café@ç", "1", alt_addr_charset="gsm", **KANNEL)[0] == (5, 0, b"Caf\x05?\x09")
    assert addresses("a@b", "1")[0] == (5, 0, b"a@b")
    assert addresses("Café", "1", alt_addr_charset="latin1")[0] == (5, 0, b"Caf\xe9")
    assert addresses("Café", "1")[0] == (5, 0, "Café".encode())


@pytest.mark.parametrize("which", ["source", "destination"])
def test_an_address_above_twenty_octets_can_never_be_sent(which: str) -> None:
    outward().submit_sm(segment(**{which: "1" * 20}), 2, True)
    with pytest.raises(Unsendable, match="MALFORMED SMS"):
        outward().submit_sm(segment(**{which: "1" * 21}), 2, True)


@settings(max_examples=100)
@given(st.text(max_size=25), st.text(max_size=25), st.sampled_from(["", "gsm", "latin1"]))
def test_any_address_and_text_gives_a_readable_pdu_or_none(
    source: str, destination: str, charset: str
) -> None:
    try:
        sm = submit(segment(source=source, destination=destination), alt_addr_charset=charset)
    except Unsendable:
        return
    assert sm.short_message == b"hello"


# ---- data_coding and text


@pytest.mark.parametrize(
    ("fields", "data_coding"),
    [
        ({}, 0x00),
        ({"coding": 1}, 0x04),
        ({"coding": 2}, 0x08),
        ({"mclass": 1}, 0xF1),
        ({"coding": 1, "mclass": 2}, 0xF6),
        ({"coding": 2, "mclass": 0}, 0x18),
        ({"alt_dcs": 1}, 0xF1),
        ({"coding": 1, "alt_dcs": 1}, 0xF5),
        ({"mwi": 1}, 0xD9),
        ({"mwi": 1, "payload": b""}, 0xC9),
        ({"coding": 2, "mwi": 2}, 0xEA),
        ({"mwi": 5}, 0xC1),
        ({"compress": 1}, 0x20),
        ({"coding": -1}, 0x00),
    ],
)
def test_data_coding_follows_the_table(fields: dict[str, Any], data_coding: int) -> None:
    assert submit(segment(**fields)).data_coding == data_coding


def test_the_smscs_alt_dcs_counts_where_the_message_says_nothing() -> None:
    assert submit(segment(coding=1), alt_dcs=True).data_coding == 0xF5
    assert submit(segment(coding=1, alt_dcs=0), alt_dcs=True).data_coding == 0x04


def test_seven_bit_text_is_written_in_the_charset_of_the_link() -> None:
    septets = b"a\x05\x1b\x65\x09\x1b\x28"  # a é € Ç {
    sm = submit(segment(payload=septets), alt_charset="UTF-8")
    assert sm.short_message == bytes.fromhex("61c3a9e282acc3877b")
    sm = submit(segment(payload=septets), alt_charset="ISO-8859-1")
    assert sm.short_message == bytes.fromhex("61e9e282acc77b")
    assert submit(segment(payload=septets)).short_message == septets
    assert submit(segment(payload=b"\5", coding=1), alt_charset="UTF-8").short_message == b"\5"


# ---- long messages

PART: dict[str, Any] = {"udh": bytes.fromhex("050003a70201"), "total": 2, "payload": b"A" * 153}


def test_smpp_037_a_part_carries_its_header_and_says_that_more_follows() -> None:
    sm = submit(segment(**PART, index=0), esm_class=3)
    assert sm.esm_class == 0x43
    assert sm.short_message == PART["udh"] + b"A" * 153
    assert sm.tlvs == [(pdus.MORE_MESSAGES_TO_SEND, b"\1")]
    last = submit(segment(**(PART | {"udh": bytes.fromhex("050003a70202")}), index=1))
    assert last.tlvs == []


def test_smpp_037_parts_without_concatenation_and_callers_headers_do_not_announce_more() -> None:
    assert submit(segment(total=2, index=0)).tlvs == []
    assert submit(segment(udh=PART["udh"])).tlvs == []


def test_smpp_037_a_16_bit_reference_goes_out_as_given() -> None:
    sm = submit(segment(udh=bytes.fromhex("060804beef0201"), total=2), concatenation="udh16")
    assert sm.short_message.startswith(bytes.fromhex("060804beef0201"))


def test_smpp_038_sar_replaces_the_header() -> None:
    sm = submit(segment(**PART), concatenation="sar")
    assert sm.esm_class & 0x40 == 0
    assert sm.short_message == b"A" * 153
    assert sm.tlvs[:3] == [
        (pdus.SAR_MSG_REF_NUM, b"\0\xa7"),
        (pdus.SAR_TOTAL_SEGMENTS, b"\2"),
        (pdus.SAR_SEGMENT_SEQNUM, b"\1"),
    ]


def test_smpp_038_sar_never_meets_a_header() -> None:
    udh = bytes.fromhex("0b05041582000000035a0201")
    sm = submit(segment(udh=udh, total=2, coding=1), concatenation="sar")
    assert sm.esm_class & 0x40
    assert sm.short_message.startswith(udh)
    assert pdus.first(sm.tlvs, pdus.SAR_MSG_REF_NUM) is None


def test_smpp_038_payload_mode_puts_a_long_text_into_message_payload() -> None:
    long = submit(segment(payload=b"A" * 161), concatenation="payload")
    assert (long.short_message, long.tlvs) == (b"", [(pdus.MESSAGE_PAYLOAD, b"A" * 161)])
    assert submit(segment(payload=b"A" * 160), concatenation="payload").tlvs == []
    octets = submit(segment(payload=b"A" * 141, coding=1), concatenation="payload")
    assert octets.short_message == b""


def test_more_than_254_octets_travel_in_message_payload() -> None:
    assert submit(segment(payload=b"A" * 254)).short_message == b"A" * 254
    sm = submit(segment(payload=b"A" * 255))
    assert (sm.short_message, sm.tlvs) == (b"", [(pdus.MESSAGE_PAYLOAD, b"A" * 255)])
    with pytest.raises(Unsendable):
        outward().submit_sm(segment(payload=b"A" * 65535), 2, True)


def test_smpp_010_towards_an_smsc_of_version_3_3_nothing_travels_in_tlvs() -> None:
    const = (TlvConfig("fixed", 0x1404, const="FIX"),)
    sm = submit(segment(**PART), tlvs_allowed=False, concatenation="sar", tlvs=const)
    assert sm.tlvs == []
    assert sm.esm_class & 0x40
    with pytest.raises(Unsendable):
        outward().submit_sm(segment(payload=b"A" * 255), 2, False)


# ---- times, receipts and the rest


def test_smpp_039_times_are_absolute_and_utc() -> None:
    sm = submit(segment(validity=NOW + 7200, deferred=NOW + 60))
    assert (sm.validity, sm.schedule) == (b"261122002640000+", b"261121222740000+")
    assert submit(segment()).validity == submit(segment()).schedule == b""


def test_smpp_039_times_are_relative_where_the_smsc_wants_it() -> None:
    moments = {
        NOW + 2 * 86400: b"000002000000000R",
        NOW + 3661: b"000000010101000R",
        NOW + 400 * 86400: b"010105000000000R",
        NOW - 5: b"000000000000000R",
        NOW + 364 * 86400: b"001204000000000R",
        NOW + 1e10: b"991130174640000R",
    }
    for moment, written in moments.items():
        assert submit(segment(validity=moment), validity_format="relative").validity == written


def test_smpp_039_the_smscs_validity_counts_where_the_message_has_none() -> None:
    assert submit(segment(), validity=7200.0).validity == b"261122002640000+"
    with_own = submit(segment(validity=NOW + 60), validity=7200.0)
    assert with_own.validity == b"261121222740000+"


def test_a_time_beyond_every_calendar_cannot_be_sent() -> None:
    with pytest.raises(Unsendable):
        outward().submit_sm(segment(validity=1e18), 2, True)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        *((0, 0), (1, 1), (2, 2), (3, 1), (4, 0x10), (7, 0x11), (6, 0x12), (8, 0), (16, 0)),
        *((24, 0), (31, 0x11), (19, 1), (32, 2), (34, 2), (33, 1), (63, 0x11), (64, 2)),
    ],
)
def test_smpp_042_registered_delivery_follows_the_dlr_mask(mask: int, expected: int) -> None:
    assert registered_delivery(mask) == expected
    assert submit(segment(dlr_mask=mask)).registered_delivery == expected


def test_smpp_042_which_parts_ask_for_a_receipt_is_configured() -> None:
    second = segment(dlr_mask=31, index=1, total=2)
    assert submit(second).registered_delivery == 0x11
    assert submit(second, receipts_for="first").registered_delivery == 0
    first = segment(dlr_mask=31, index=0, total=2)
    assert submit(first, receipts_for="first").registered_delivery == 0x11


def test_small_fields_have_the_value_of_the_message_or_of_the_smsc() -> None:
    sm = submit(segment(pid=64, rpi=1, priority=3, binfo="PRE"), service_type="CMT", priority=2)
    assert (sm.protocol_id, sm.esm_class, sm.priority, sm.service_type) == (64, 0x80, 3, b"PRE")
    sm = submit(segment(rpi=0), service_type="CMT", priority=2, esm_class=3)
    assert (sm.protocol_id, sm.esm_class, sm.priority, sm.service_type) == (0, 3, 2, b"CMT")


def test_a_number_that_fits_no_octet_cannot_be_sent() -> None:
    with pytest.raises(Unsendable):
        outward().submit_sm(segment(pid=256), 2, True)
    with pytest.raises(Unsendable):
        outward().submit_sm(segment(meta="?smpp?data_coding=999"), 2, True)


# ---- meta-data and TLVs

TLVS = (
    TlvConfig("campaign", 0x1400, length=20),
    TlvConfig("num", 0x1401, kind="integer", length=2),
    TlvConfig("nuls", 0x1402, kind="nulterminated", length=10),
    TlvConfig("only2", 0x1403, length=20, smsc_ids=("other",)),
    TlvConfig("fixed", 0x1404, length=20, const="FIX", smsc_ids=("a",)),
)
FIXED = (0x1404, b"FIX")


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ("", [FIXED]),
        ("?smpp?campaign=abc", [(0x1400, b"abc"), FIXED]),
        ("?smpp?num=258&", [(0x1401, b"\1\2"), FIXED]),
        ("?smpp?num=0x102&", [(0x1401, b"\1\2"), FIXED]),
        ("?smpp?num=65536", [FIXED]),
        ("?smpp?num=-1", [FIXED]),
        ("?smpp?num=abc", [FIXED]),
        ("?smpp?nuls=xyz", [(0x1402, b"xyz\0"), FIXED]),
        ("?smpp?only2=zz", [FIXED]),
        ("?smpp?nope=1", [FIXED]),
        ("?smpp?campaign=" + "x" * 30, [FIXED]),
        ("?http?campaign=abc", [FIXED]),
        ("?http?a=b&?smpp?campaign=a%20b+c%00", [(0x1400, b"a b c\0"), FIXED]),
        ("?smpp?fixed=OWN", [(0x1404, b"OWN")]),
        ("garbage", [FIXED]),
    ],
)
def test_meta_data_sets_the_tlvs_that_have_a_name(
    meta: str, expected: list[tuple[int, bytes]]
) -> None:
    assert submit(segment(meta=meta), tlvs=TLVS).tlvs == expected


def test_meta_data_overrides_addresses_and_data_coding() -> None:
    meta = "?smpp?source_addr_ton=5&source_addr_npi=9&dest_addr_ton=4&dest_addr_npi=8&data_coding=4"
    sm = submit(segment(destination="+5511", meta=meta))
    assert (sm.source_ton, sm.source_npi, sm.dest_ton, sm.dest_npi) == (5, 9, 4, 8)
    assert sm.data_coding == 4
    assert submit(segment(meta="?smpp?data_coding=x")).data_coding == 0


@settings(max_examples=100)
@given(st.text(max_size=60))
def test_no_meta_data_is_too_strange(meta: str) -> None:
    for text in (meta, "?smpp?" + meta):
        assert isinstance(parse_meta(text), dict)
    assert submit(segment(meta="?smpp?" + meta), tlvs=TLVS).short_message == b"hello"


def test_meta_data_leaves_the_characters_that_kannel_leaves() -> None:
    assert meta_pair("dlr_err", b"\x03\x00*") == "dlr_err=%03%00*&"
    assert meta_pair("dlr_err", b"\x03\x00{") == "dlr_err=%03%00%7B&"
    assert meta_pair("a", "b c!'()~-_.") == "a=b+c!'()~-_.&"


# ---- the bind


def test_smpp_010_the_bind_says_the_configured_version() -> None:
    options = SmppOptions(
        system_id="user1", password=Secret("pass1"), system_type="VMA", interface_version=0x34
    )
    assert bind(options, pdus.BIND_TRANSCEIVER, 1).hex() == (
        "00000024000000090000000000000001757365723100706173733100564d410034000000"
    )


def test_smpp_045_a_password_of_64_octets_goes_out_whole() -> None:
    options = SmppOptions(system_id="u" * 64, password=Secret("p" * 64))
    read = pdus.decode(bind(options, pdus.BIND_TRANSMITTER, 1))
    assert isinstance(read, pdus.Bind)
    assert (read.system_id, read.password) == (b"u" * 64, b"p" * 64)
