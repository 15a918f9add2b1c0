"""The text of parameter 033, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.sms import alphabets
from gatewayd.smsc.cimd2_text import SEQUENCES, decode, encode

# The table of the specification, written once more by hand.
TABLE = {
    "_Oa": "@", "_L-": "£", "_Y-": "¥", "_e`": "è", "_e'": "é", "_u`": "ù", "_i`": "ì",
    "_o`": "ò", "_C,": "Ç", "_O/": "Ø", "_o/": "ø", "_A*": "Å", "_a*": "å", "_gd": "Δ",
    "_--": "_", "_gf": "Φ", "_gg": "Γ", "_gl": "Λ", "_go": "Ω", "_gp": "Π", "_gi": "Ψ",
    "_gs": "Σ", "_gt": "Θ", "_gx": "Ξ", "_AE": "Æ", "_ae": "æ", "_ss": "ß", "_E'": "É",
    "_qq": '"', "_ox": "¤", "_!!": "¡", '_A"': "Ä", '_O"': "Ö", "_N~": "Ñ", '_U"': "Ü",
    "_so": "§", "_??": "¿", '_a"': "ä", '_o"': "ö", "_n~": "ñ", '_u"': "ü", "_a`": "à",
}  # fmt: skip
EXTENSIONS = {
    "_XX(": "{", "_XX)": "}", "_XX<": "[", "_XX>": "]", "_XX=": "~", "_XX/": "\\",
    "_XX_!!": "|", "_XX_gl": "^", "_XXe": "€",
}  # fmt: skip


def text_of(octets: bytes) -> str:
    return decode(octets).text


def test_cimd_013_all_43_sequences_are_read_and_written() -> None:
    assert len(TABLE) + 1 == len(SEQUENCES) == 43  # the other one is the escape
    for sequence, character in TABLE.items():
        assert decode(sequence.encode()) == (character, 0, False)
        septets = alphabets.encode_gsm(character)
        assert septets is not None
        assert encode(septets) == sequence.encode()


def test_cimd_013_all_9_extension_characters_are_read_and_written() -> None:
    for sequence, character in EXTENSIONS.items():
        assert decode(sequence.encode()) == (character, 0, False)
        septets = alphabets.encode_gsm(character)
        assert septets is not None
        assert encode(septets) == sequence.encode()


def test_cimd_013_four_octets_and_latin_1_stand_for_other_characters() -> None:
    assert text_of(b"@$]}") == "@$Åå"
    assert text_of(b"a\r\nb c!#%&'()*+,-./09:;<=>?AZaz") == "a\r\nb c!#%&'()*+,-./09:;<=>?AZaz"
    assert text_of(b"caf\xe9 \xa3 _Oa\xe0$") == "café £ @à$"
    assert text_of(b"_XXe\xe7") == "€ç"


@pytest.mark.parametrize(
    ("octets", "text", "unknown"),
    [
        (b"_zz", "_zz", 1),
        (b"a_zzb_Oa_yy.", "a_zzb@_yy.", 2),
        (b"__Oa", "_@", 1),
        (b"_", "_", 0),
        (b"a_b", "a_b", 0),
        (b"__", "__", 0),
        (b"_Oa_", "@_", 0),
        (b"_OA", "_OA", 1),
        (b"_\xe9\xe9", "_éé", 1),
    ],
)
def test_cimd_013_an_unknown_sequence_stays_and_is_counted(
    octets: bytes, text: str, unknown: int
) -> None:
    assert decode(octets) == (text, unknown, False)


def test_control_octets_above_ascii_cannot_be_read() -> None:
    assert decode(b"a\x80b\x9f\xa0") == ("a\ufffdb\ufffd\xa0", 0, True)


def test_plain_text_is_written_as_it_is() -> None:
    assert encode(b"Hello world 123.") == b"Hello world 123."
    assert encode(b"") == b""
    assert encode(b"a\x02\x00\xffb") == b"a$_Oa?b"


def test_a_language_shift_counts() -> None:
    assert decode(b"_XXe", single_shift=1).text == "€"
    assert decode(b"_XXG", single_shift=1).text == "Ğ"


@settings(max_examples=200)
@given(st.text(alphabet=[*TABLE.values(), *EXTENSIONS.values(), "$", *"aZ09 \r\n!?'()<>"]))
def test_every_gsm_text_comes_back(text: str) -> None:
    septets = alphabets.encode_gsm(text)
    assert septets is not None
    octets = encode(septets)
    assert decode(octets) == (text, 0, False)
    assert octets.isascii()
    assert len(octets) <= 3 * len(septets)
    assert not set(octets) & set(b"\0\x02\x03\t")


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_octets_have_a_text(octets: bytes) -> None:
    text, unknown, _ = decode(octets)
    text.encode()
    assert unknown <= octets.count(b"_")
