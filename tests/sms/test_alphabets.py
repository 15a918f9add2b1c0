from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.sms.alphabets import (
    decode_gsm,
    decode_ucs2,
    encode_gsm,
    encode_ucs2,
    is_gsm,
    nfc,
    pack7,
    septets,
    transliterate,
    unpack7,
)
from gatewayd.sms.national import EXTENSION, LOCKING, PORTUGUESE, SINGLE, SPANISH, TURKISH

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "text.json").read_text("utf-8")
)
BASIC: str = GOLDEN["gsm0338_basic"]
GSM_TEXT = st.text(
    st.sampled_from(BASIC.replace("\x1b", "") + "".join(GOLDEN["gsm0338_extension"].values()))
)


def test_TXT_001_every_code_of_the_basic_table_goes_both_ways() -> None:
    for code, character in enumerate(BASIC):
        if code != 0x1B:
            assert encode_gsm(character) == bytes([code])
            assert decode_gsm(bytes([code])) == character


def test_TXT_001_every_code_of_the_extension_goes_both_ways() -> None:
    table = {int(code, 16): char for code, char in GOLDEN["gsm0338_extension"].items()}
    assert table == EXTENSION
    for code, character in table.items():
        assert encode_gsm(character) == bytes([0x1B, code])
        assert decode_gsm(bytes([0x1B, code])) == character


@pytest.mark.parametrize("vector", GOLDEN["vectors"], ids=lambda vector: vector["id"])
def test_TXT_002_the_vectors(vector: dict[str, Any]) -> None:
    text = vector["text"]
    assert encode_ucs2(text).hex() == vector["utf16be_hex"]
    assert decode_ucs2(bytes.fromhex(vector["utf16be_hex"])) == (text, False)
    if vector["encoding"] == "ucs2":
        assert encode_gsm(text) is None
        assert not is_gsm(text)
        return
    octets = bytes.fromhex(vector["gsm_hex"])
    assert encode_gsm(text) == octets
    assert septets(text) == vector["septets"]
    assert decode_gsm(octets) == text
    assert pack7(octets).hex() == vector["gsm_packed_hex"]
    assert unpack7(bytes.fromhex(vector["gsm_packed_hex"]), vector["septets"]) == octets


def test_TXT_003_every_string_of_one_or_two_octets_decodes() -> None:
    strings = [bytes([a]) for a in range(256)]
    strings += [bytes([a, b]) for a in range(256) for b in range(256)]
    for octets in strings:
        assert len(decode_gsm(octets)) <= 2
        assert len(decode_ucs2(octets)[0]) <= 1


@given(st.binary(max_size=40), st.integers(0, 255), st.integers(0, 255))
@settings(max_examples=100)
def test_TXT_003_no_octets_and_no_shift_make_decoding_raise(
    octets: bytes, single: int, locking: int
) -> None:
    decode_gsm(octets, single, locking)
    decode_ucs2(octets)
    unpack7(octets, 160, 3)


def test_TXT_003_octets_that_mean_nothing() -> None:
    assert decode_gsm(b"a\x80\xffb") == "a\ufffd\ufffdb"
    assert decode_gsm(b"\x1b\x61") == "a"  # not in the extension: the basic character
    assert decode_gsm(b"\x1b\x1bx") == " x"
    assert decode_gsm(b"x\x1b") == "x "
    assert decode_gsm(b"\x1b\x0a") == "\f"
    assert decode_gsm(b"\x1b\x80") == "\ufffd"


def test_characters_outside_the_alphabet_are_never_replaced_unasked() -> None:
    for text in ("a\x1bb", "a\0b", "a\x02b", "tab\t", "a`b", "ç", "日", "😀", "aç", "\ud800"):
        assert encode_gsm(text) is None
    assert encode_gsm("a\x1bb\0c\x02", replace=True) == b"a?b?c?"
    assert encode_gsm("€日[😀@", replace=True) == b"\x1be?\x1b<?\0"


def test_kannel_writes_a_small_cedilla_as_a_capital_one_and_nothing_else() -> None:
    assert encode_gsm("ação ê", replace=True, kannel_cedilla=True) == b"a\x09?o ?"
    assert encode_gsm("ação", replace=True) == b"a??o"
    assert encode_gsm("aço") is None


@given(GSM_TEXT)
@settings(max_examples=100)
def test_gsm_text_survives_both_ways_and_is_counted_right(text: str) -> None:
    octets = encode_gsm(text)
    assert octets is not None
    assert decode_gsm(octets) == text
    assert septets(text) == len(octets)
    assert len(octets) == len(text) + sum(character in EXTENSION.values() for character in text)


@given(st.text())
@settings(max_examples=100)
def test_replacing_gives_what_encoding_each_character_gives(text: str) -> None:
    single = b"".join(encode_gsm(character) or b"?" for character in text)
    assert encode_gsm(text, replace=True) == single


@given(st.binary(max_size=160), st.integers(0, 6))
@settings(max_examples=100)
def test_TXT_005_unpacking_gives_back_what_was_packed(octets: bytes, fill: int) -> None:
    unpacked = bytes(octet & 0x7F for octet in octets)
    packed = pack7(unpacked, fill)
    assert len(packed) == (fill + 7 * len(unpacked) + 7) // 8
    assert unpack7(packed, len(unpacked), fill) == unpacked


def test_TXT_005_unpacking_more_than_there_is_stops_at_the_end() -> None:
    assert unpack7(bytes.fromhex("e8329bfd06"), 99) == b"hello"
    assert unpack7(b"", 5) == b""
    assert unpack7(b"\x00", -1) == b""


def test_TXT_006_composing_saves_a_letter_for_gsm() -> None:
    assert nfc("cafe\u0301") == "café"
    assert is_gsm(nfc("cafe\u0301"))
    assert not is_gsm("cafe\u0301")


def test_TXT_006_a_text_too_long_to_send_is_not_composed() -> None:
    hostile = "e" + "\u0315\u0300" * 8192
    assert nfc(hostile) == hostile
    assert nfc("e\u0301" * 100) == unicodedata.normalize("NFC", "e\u0301" * 100)


def test_TXT_006_transliteration_makes_typographic_text_plain() -> None:
    assert transliterate("“a” – ‘b’… c\u00a0d ç \t\u200b`") == "\"a\" - 'b'... c d Ç  '"
    assert transliterate("日本 é €") == "日本 é €"


@pytest.mark.parametrize(
    ("language", "code", "character"),
    [
        *[(TURKISH, c, x) for c, x in zip(b"\x47\x49\x53\x63\x67\x69\x73", "ĞİŞçğış", strict=True)],
        *[
            (SPANISH, c, x)
            for c, x in zip(b"\x09\x41\x49\x4f\x55\x61\x69\x6f\x75", "çÁÍÓÚáíóú", strict=True)
        ],
        *[
            (PORTUGUESE, c, x)
            for c, x in zip(
                b"\x05\x09\x0b\x0c\x0e\x0f\x12\x13\x15\x16\x17\x18\x19\x1f"
                b"\x41\x49\x4f\x55\x5b\x5c\x61\x69\x6f\x75\x7b\x7c\x7f",
                "êçÔôÁáΦΓΩΠΨΣΘÊÀÍÓÚÃÕÂíóúãõâ",
                strict=True,
            )
        ],
    ],
)
def test_TXT_007_each_letter_of_the_single_shift_tables(
    language: int, code: int, character: str
) -> None:
    assert decode_gsm(bytes([0x1B, code]), language) == character
    assert SINGLE[language][code] == character


@pytest.mark.parametrize("language", [TURKISH, SPANISH, PORTUGUESE])
def test_TXT_007_every_single_shift_table_has_the_default_extension_too(language: int) -> None:
    for code, character in EXTENSION.items():
        assert SINGLE[language][code] == character
        assert decode_gsm(bytes([0x1B, code]), language) == character


def test_TXT_007_the_letters_in_which_the_locking_tables_differ() -> None:
    changed = {
        language: {code: c for code, c in enumerate(table) if c != BASIC[code]}
        for language, table in LOCKING.items()
    }
    assert changed[TURKISH] == dict(
        zip(b"\x04\x07\x0b\x0c\x1c\x1d\x40\x60", "€ıĞğŞşİç", strict=True)
    )
    portuguese = b"\x04\x06\x07\x08\x09\x0b\x0c\x0e\x0f\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d"
    portuguese += b"\x1e\x24\x40\x5b\x5c\x5d\x60\x7b\x7c\x7d"
    assert changed[PORTUGUESE] == dict(
        zip(portuguese, "êúíóçÔôÁáªÇÀ∞^\\€Ó|ÂâÊºÍÃÕÚ~ãõ`", strict=True)
    )
    for table in LOCKING.values():
        assert len(table) == len(set(table)) == 128


def test_TXT_007_shifts_alone_and_together() -> None:
    assert decode_gsm(b"\x1bs") == "s"
    assert decode_gsm(b"\x1bs", TURKISH) == "ş"
    assert decode_gsm(b"\x40\x1bs", TURKISH, TURKISH) == "İş"
    assert decode_gsm(b"\x40\x1bs", 0, TURKISH) == "İs"
    # A code the extension lacks shows the character of the locking table.
    assert decode_gsm(b"\x1b\x60", TURKISH, PORTUGUESE) == "~"


def test_TXT_007_an_unknown_language_means_the_default_table() -> None:
    for language in (0, 4, 13, 14, 255):
        assert decode_gsm(b"\x40\x1bs\x1be", language, language) == "¡s€"


def test_TXT_009_byte_order_marks_odd_octets_and_lone_surrogates() -> None:
    assert decode_ucs2(b"\xfe\xff\x00a") == ("a", False)
    assert decode_ucs2(b"\xff\xfea\x00") == ("a", False)
    assert decode_ucs2(b"\x00a\x00") == ("a", True)
    assert decode_ucs2(b"\xd8\x3d\x00a") == ("\ufffda", True)
    assert decode_ucs2(b"\xde\x00") == ("\ufffd", True)
    assert encode_ucs2("a\ud83d") == b"\x00a\xff\xfd"
    assert encode_ucs2("😀") == b"\xd8\x3d\xde\x00"
