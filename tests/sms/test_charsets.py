from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.sms import charsets
from gatewayd.sms.charsets import (
    UnknownCharset,
    decode,
    decode_utf8_cut,
    encode,
    is_known,
    recode,
)


@pytest.mark.parametrize(
    ("name", "octets", "text"),
    [
        ("UTF-8", "c3a9", "é"),
        ("utf8", "c3a9", "é"),
        ("Utf_8", "c3a9", "é"),
        ("ISO-8859-1", "e9", "é"),
        ("iso8859-1", "e9", "é"),
        ("LATIN1", "e9", "é"),
        ("iso_8859-5", "bf", "П"),
        ("ISO-8859-15", "a4", "€"),
        ("windows-1252", "80", "€"),
        ("CP1251", "cf", "П"),
        ("KOI8-R", "f0", "П"),
        ("UTF-16BE", "041f", "П"),
        ("UTF-16LE", "1f04", "П"),
        ("UCS-2", "1f04", "П"),
        ("UCS-2BE", "041f", "П"),
        ("UTF-16", "feff041f", "П"),
        ("UTF-16", "fffe1f04", "П"),
        ("UTF-16", "1f04", "П"),
        ("US-ASCII", "41", "A"),
        ("ANSI_X3.4-1968", "41", "A"),
        ("gsm", "001b65", "@€"),
        ("ISO-2022-JP", "1b2442467c1b2842", "日"),
        ("Shift_JIS", "93fa", "日"),
        ("EUC-JP", "c6fc", "日"),
        ("EUC-KR", "c7d1", "한"),
        ("KS_C_5601-1987", "c7d1", "한"),
        ("GB2312", "c8d5", "日"),
        ("GBK", "c8d5", "日"),
        ("BIG5", "a4e9", "日"),
    ],
)
def test_a_charset_is_known_in_every_usual_spelling(name: str, octets: str, text: str) -> None:
    assert is_known(name)
    assert decode(bytes.fromhex(octets), name) == text


@pytest.mark.parametrize(
    "name",
    [
        "",
        "nosuch",
        "zip",
        "rot13",
        "hex",
        "base64",
        "idna",
        "punycode",
        "utf-7",
        "x" * 10_000,
        "\0",
    ],
)
def test_python_codecs_are_out_of_reach_of_a_callers_name(name: str) -> None:
    assert not is_known(name)
    with pytest.raises(UnknownCharset):
        decode(b"x", name)
    with pytest.raises(UnknownCharset):
        encode("x", name)
    with pytest.raises(UnknownCharset):
        recode(b"x", name, "utf-8")
    with pytest.raises(UnknownCharset):
        recode(b"x", "utf-8", name)


@pytest.mark.parametrize("name", sorted(charsets._CODECS))
def test_every_charset_of_the_list_takes_ascii_both_ways_and_any_octets(name: str) -> None:
    assert decode(encode("plain Text 123", name), name) == "plain Text 123"
    decode(bytes(range(256)), name)
    recode(bytes(range(256)), name, "utf-8")
    encode("aé日😀\ud800\udc80", name)
    encode("aé日😀\ud800\udc80", name, "utf-8")


@pytest.mark.parametrize(
    ("name", "octets", "text"),
    [
        ("latin1", b"a\xe7@", "aç@"),
        ("utf-8", b"a\xc3\xa7", "aç"),
        ("utf-8", b"a\xe7b", "a\ufffdb"),
        ("ascii", b"a\xe7b", "a\ufffdb"),
        ("gsm", b"a\xe7b", "a\ufffdb"),
    ],
)
def test_TXT_008_a_binds_default_alphabet_and_octets_it_cannot_hold(
    name: str, octets: bytes, text: str
) -> None:
    assert decode(octets, name) == text


def test_characters_that_the_charset_lacks_are_replaced_or_left_as_utf8() -> None:
    assert encode("a€é", "latin1") == b"a?\xe9"
    assert encode("a€é", "ISO-8859-1", "utf-8") == b"a\xe2\x82\xac\xe9"
    assert encode("aé€ç", "UTF-8", "utf-8") == "aé€ç".encode()
    assert encode("日a", "gsm") == b"?a"
    for name in ("latin1", "gsm"):
        with pytest.raises(UnicodeEncodeError):
            encode("日", name, "strict")


def test_octets_that_cannot_be_converted_are_copied() -> None:
    assert recode(b"a\xe9b", "UTF-8", "UTF-16BE") == b"\x00a\xe9\x00b"
    assert recode(b"\xff\xfe", "utf8", "latin1") == b"\xff\xfe"
    assert recode("aé日".encode(), "UTF-8", "ISO-8859-1") == b"a\xe9\xe6\x97\xa5"


def test_the_same_charset_on_both_sides_changes_nothing() -> None:
    assert recode(b"abc", "UTF-16BE", "ucs-2be") == b"abc"
    assert recode(b"\xe9", "utf8", "UTF-8") == b"\xe9"


@given(st.binary(max_size=60), st.sampled_from(["utf8", "ascii", "sjis", "utf-16be", "gb2312"]))
@settings(max_examples=100)
def test_recoding_takes_any_octets(data: bytes, name: str) -> None:
    recode(data, name, "UTF-16BE")
    recode(data, name, "UTF-8")


def test_recoding_much_broken_text_takes_linear_time() -> None:
    assert len(recode(b"\xff" * 200_000, "UTF-8", "UTF-16BE")) == 200_000


def test_utf8_is_cut_at_the_first_octet_that_is_not() -> None:
    assert decode_utf8_cut(b"a\xe9b") == "a"
    assert decode_utf8_cut("aé😀".encode()) == "aé😀"
    assert decode_utf8_cut(b"ab\xc3") == "ab"
    assert decode_utf8_cut(b"\xed\xa0\x80") == ""
