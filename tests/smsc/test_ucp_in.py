"""Operations 52, 01 and 53 as MO and receipts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import BindConfig, SmppOptions, SmscConfig
from gatewayd.model import SMSC_ID_KEY, Coding, Inbound
from gatewayd.sms.udh import part_of
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.ucp_in import Inward, Refused, accepted_id, extra_services, message_id
from gatewayd.smsc.ucp_options import read

KANNEL = ("mo=literal", "smsc-time=yes")
HELLO = "68656C6C6F20776F726C64"


def inward(*options: str, **smpp: Any) -> Inward:
    bind = BindConfig("a/0")
    options = ("utc-offset=+00:00", *options)
    smsc = SmscConfig("a", "a", "ucp", binds=(bind,), options=options, smpp=SmppOptions(**smpp))
    return Inward(SessionOptions(smsc, bind), read(smsc.options))


def kannel() -> Inward:
    return inward(*KANNEL, ton_rule="kannel", mwi_ucs2=False)


def made(**given: str) -> tuple[str, ...]:
    found = {"AdC": "28282", "OAdC": "5582999000111", "SCTS": "210924120000", "MT": "3"}
    found |= given
    return tuple(found.get(name, "") for name in ucp.FIELDS_5X)


def mo(**given: str) -> Inbound:
    return inward().deliver(made(**given))


def test_ucp_013_text_is_gsm_with_its_extension() -> None:
    found = mo(Msg="0001021B65")
    assert (found.payload, found.coding, found.charset) == ("@£$€".encode(), 0, "UTF-8")
    assert (found.source, found.destination) == ("5582999000111", "28282")
    assert (found.pid, found.rpi, found.mclass, found.raw) == (-1, -1, -1, b"")


def test_ucp_013_transparent_data_is_octets_unless_its_coding_says_otherwise() -> None:
    found = mo(MT="4", NB="16", Msg="0102", XSer="010706050415820000")
    assert (found.payload, found.coding) == (b"\1\2", Coding.OCTETS)
    assert found.udh == bytes.fromhex("06050415820000")
    found = mo(MT="4", NB="48", Msg="041F04400438", XSer="020108")
    assert (found.payload.decode("utf-16-be"), found.coding) == ("При", Coding.UCS2)
    assert mo(MT="4", Msg="48", XSer="020100").payload == b"H"
    assert mo(MT="3", Msg="0416", XSer="020108").coding == Coding.UCS2


def test_ucp_013_a_class_comes_from_the_data_coding() -> None:
    found = mo(Msg=HELLO, XSer="0201F0")
    assert (found.payload, found.mclass, found.dcs) == (b"hello world", 0, 0xF0)


@pytest.mark.parametrize(("written", "digits"), [("12345", b"12345"), ("3132", b"12"), ("", b"")])
def test_ucp_013_a_numeric_message_is_its_digits(written: str, digits: bytes) -> None:
    assert mo(MT="2", Msg=written).payload == digits


def test_ucp_013_a_wrong_number_of_bits_does_no_harm() -> None:
    for bits in ("", "0", "9999", "x"):
        assert mo(MT="4", NB=bits, Msg="0102").payload == b"\1\2"


@pytest.mark.parametrize(
    "given",
    [
        {"Msg": "123"},
        {"Msg": "xy"},
        {"Msg": "41 42"},
        {"MT": "4", "Msg": "1"},
        {"MT": "2", "Msg": "12a"},
        {"MT": "5", "Msg": "41"},
        {"Msg": "41", "XSer": "0"},
        {"Msg": "41", "XSer": "0105"},
        {"Msg": "41", "XSer": "01"},
        {"Msg": "41", "XSer": "zz"},
        {"Msg": "41", "XSer": "010205FF"},
    ],
)
def test_ucp_013_what_is_no_hex_or_no_service_is_a_syntax_error(given: dict[str, str]) -> None:
    with pytest.raises(Refused) as caught:
        mo(**given)
    assert caught.value.code == ucp.SYNTAX


def test_an_unknown_service_is_skipped() -> None:
    assert extra_services("130102" + "020108" + "0C0141" + "01" + "00") == (b"", 8, "A")


def test_ucp_014_a_part_tells_its_place() -> None:
    part = part_of(mo(Msg="41", XSer="0106050003110201020100").udh)
    assert part is not None
    assert (part.reference, part.total, part.number) == (0x11, 2, 1)


def test_octets_above_seven_bits_are_kept_beside_the_text() -> None:
    found = mo(Msg="41FF")
    assert (found.payload, found.raw) == ("A\ufffd".encode(), b"A\xff")
    found = mo(MT="4", Msg="04", XSer="020108")
    assert (found.payload, found.raw) == (b"\x04", b"\x04")


def test_an_originator_is_told_as_people_write_it() -> None:
    assert mo(OAdC="07C161B308", OTOA="5039").source == "ACME"
    assert mo(OAdC="not hex", OTOA="5039").source == "not hex"
    assert mo(OAdC="", OTOA="5039").source == ""
    assert mo(OTOA="1139").source == "+5582999000111"
    assert mo().source == "5582999000111"


@pytest.mark.parametrize(
    ("given", "payload", "coding", "charset"),
    [
        ({"Msg": HELLO}, b"hello world", -1, "UTF-8"),
        ({"MT": "2", "Msg": "12345"}, b"", -1, "UTF-8"),
        ({"MT": "4", "Msg": "01FF", "XSer": "010706050415820000"}, b"\1\xff", -1, "UTF-8"),
        ({"MT": "4", "Msg": "041F", "XSer": "020108"}, b"\x04\x1f", 2, "UTF-16BE"),
        ({"Msg": HELLO, "XSer": "0201F0"}, b"hello world", 0, "UTF-8"),
        ({"Msg": HELLO, "OTOA": "1139"}, b"hello world", -1, "UTF-8"),
        ({"Msg": HELLO, "MCLs": "0"}, b"hello world", -1, "UTF-8"),
    ],
)
def test_kannels_way_is_kept(
    given: dict[str, str], payload: bytes, coding: int, charset: str
) -> None:
    found = kannel().deliver(made(**given))
    assert (found.payload, found.coding, found.charset) == (payload, coding, charset)
    assert found.source == "5582999000111"
    assert found.time == datetime(2024, 9, 21, 12, tzinfo=UTC).timestamp()


def test_the_smscs_time_counts_only_where_it_is_asked_for() -> None:
    assert mo().time == 0.0
    for stamp in ("", "x", "990024120000", "3102", "21092412000x", "1" * 13):
        assert kannel().deliver(made(SCTS=stamp)).time == 0.0
    east = inward("smsc-time=yes", "utc-offset=+03:00")
    assert east.deliver(made()).time == datetime(2024, 9, 21, 9, tzinfo=UTC).timestamp()


def test_a_call_input_is_an_mo_too() -> None:
    found = inward().call_input(("28282", "5582", "", "3", "4142"))
    assert (found.payload, found.source, found.destination) == (b"AB", "5582", "28282")
    found = inward().call_input(("28282", "5582", "", "4", "0016", "4142"))
    assert (found.payload, found.coding) == (b"AB", Coding.OCTETS)
    with pytest.raises(Refused):
        inward().call_input(("28282", "5582", "", "4", "0016"))


@pytest.mark.parametrize(("dst", "status"), [("0", 1), ("1", 4), ("2", 2), ("3", 0), ("", 0)])
def test_ucp_015_a_notification_is_a_receipt(dst: str, status: int) -> None:
    fields = made(AdC="4545", OAdC="250788123456", Dst=dst, Rsn="107", Msg="6E6F")
    found = inward().notification(fields)
    assert (found.status, found.text, found.error) == (status, "no", 107)
    assert (found.source, found.destination, found.account) == ("250788123456", "4545", "")
    assert found.smsc_id == message_id("210924120000", "250788123456")
    assert "Absent subscriber" in found.stat


def test_ucp_015_a_notification_with_an_unreadable_text_still_counts() -> None:
    for message, services in (("xx", ""), ("41", "01")):
        found = inward().notification(made(Dst="0", Msg=message, XSer=services))
        assert (found.status, found.text) == (1, "")
    wide = inward().notification(made(Dst="0", MT="4", Msg="0416", XSer="020108"))
    assert wide.text == "Ж"


def test_a_notification_without_a_time_stamp_speaks_of_nothing() -> None:
    found = inward().notification(made(Dst="0", SCTS=""))
    assert (found.smsc_id, found.status) == ("", 0)


def test_ids_agree_however_the_recipient_is_written() -> None:
    stamp = "211126221500"
    for written in ("250788123456", "00250788123456", "+250788123456", "0788123456"):
        assert message_id(stamp, written) == message_id(stamp, "250788123456")
        assert accepted_id(("A", "", f"{written}:{stamp}"), "") == message_id(stamp, written)
    assert message_id(stamp, "250788123456") != message_id(stamp, "250788123457")
    assert message_id(stamp, "250788123456").partition(SMSC_ID_KEY)[0] == stamp


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("A", "", "1:211126221500"), message_id("211126221500", "1")),
        (("A", "1:211126221500"), message_id("211126221500", "1")),
        (("A", "2311260800", "1:211126221500"), message_id("211126221500", "1")),
        (("A", "", "211126221500"), message_id("211126221500", "99")),
        (("A", "", ":211126221500"), message_id("211126221500", "99")),
        (("A", "", "thank you"), ""),
        (("A", "", "1:" + "9" * 100), ""),
        (("A", ""), ""),
        (("A",), ""),
    ],
)
def test_ucp_020_an_id_is_found_in_whatever_result(fields: tuple[str, ...], expected: str) -> None:
    assert accepted_id(fields, "99") == expected


@settings(max_examples=150)
@given(
    st.lists(st.text("0123456789ABCDEFx ", max_size=20), min_size=33, max_size=33),
    st.sampled_from(["2", "3", "4", "", "9"]),
    st.sampled_from(["1139", "5039", ""]),
    st.sampled_from([(), KANNEL]),
)
def test_any_fields_are_read_or_refused(
    fields: list[str], kind: str, otoa: str, options: tuple[str, ...]
) -> None:
    fields[ucp.MT], fields[ucp.OTOA] = kind, otoa
    reader = inward(*options)
    reader.notification(tuple(fields))
    for read_it in (reader.deliver, reader.call_input):
        try:
            found = read_it(tuple(fields))
        except Refused as error:
            assert error.code == ucp.SYNTAX
        else:
            assert found.coding in (-1, 0, 1, 2)


@settings(max_examples=100)
@given(st.text("0123456789ABCDEF", max_size=60))
def test_any_extra_services_are_read_or_refused(written: str) -> None:
    try:
        found = extra_services(written)
    except Refused:
        return
    assert not found.udh or found.udh[0] + 1 == len(found.udh)
