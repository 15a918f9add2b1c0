from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.model import Coding, TextOptions
from gatewayd.sms.alphabets import decode_gsm, encode_gsm, encode_ucs2
from gatewayd.sms.segments import Encoded, TooLong, encode_text, join, part_of, room, split

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "text.json").read_text("utf-8")
)
GSM, OCTETS, UCS2 = Coding.GSM, Coding.OCTETS, Coding.UCS2
MANY = TextOptions(max_messages=255)
CUT = TextOptions(max_messages=3, too_long="cut")
SEGMENTATION = {
    "SEG-01": "a" * 160,
    "SEG-02": "a" * 161,
    "SEG-03": "a" * 306,
    "SEG-04": "a" * 307,
    "SEG-05": "a" * 159 + "€",
    "SEG-06": "a" * 158 + "€",
    "SEG-07": "a" * 152 + "€" + "b" * 10,
    "SEG-08": "日" * 70,
    "SEG-09": "日" * 71,
    "SEG-10": "日" * 66 + "😀" + "日" * 10,
    "SEG-11": "日" * 66 + "e\u0301" + "x" * 10,
    "SEG-12": "€" * 80,
    "SEG-13": "€" * 81,
    "SEG-14": "a" * 161,
    "SEG-15": "日" * 71,
}


def parts(text: str, options: TextOptions = MANY, **how: Any) -> list[str]:
    """The texts of the parts of `text`."""
    octets = encode_gsm(text)
    if octets is not None:
        found = split(octets, GSM, options, **how)
        return [decode_gsm(payload) for payload, _ in found.parts]
    found = split(encode_ucs2(text), UCS2, options, **how)
    return [payload.decode("utf-16-be", "surrogatepass") for payload, _ in found.parts]


@pytest.mark.parametrize("vector", GOLDEN["segmentation"], ids=lambda vector: vector["id"])
def test_TXT_002_the_segmentation_vectors(vector: dict[str, Any]) -> None:
    text = SEGMENTATION[vector["id"]]
    coding = GSM if vector["encoding"] == "gsm" else UCS2
    octets = encode_gsm(text) if coding is GSM else encode_ucs2(text)
    assert octets is not None
    unit = 1 if coding is GSM else 2
    assert len(octets) == vector["units"] * unit
    wide = vector["id"] in ("SEG-14", "SEG-15")
    found = split(octets, coding, MANY, reference=7, wide=wide)
    assert [len(payload) // unit for payload, _ in found.parts] == vector["expected_part_units"]
    assert not found.cut


@pytest.mark.parametrize(
    ("coding", "udh_octets", "expected"),
    [
        (GSM, 0, 160),
        (GSM, 3, 156),
        (GSM, 6, 153),
        (GSM, 7, 152),
        (GSM, 9, 149),
        (GSM, 12, 146),
        (OCTETS, 0, 140),
        (OCTETS, 6, 134),
        (OCTETS, 7, 133),
        (UCS2, 0, 140),
        (UCS2, 6, 134),
        (UCS2, 7, 132),
    ],
)
def test_the_room_beside_a_header(coding: Coding, udh_octets: int, expected: int) -> None:
    assert room(coding, 140, udh_octets) == expected


def test_the_room_in_other_part_sizes() -> None:
    assert room(GSM, 100, 0) == 114
    assert room(GSM, 280, 0) == 320


def test_a_text_that_fits_is_one_message_with_the_callers_header() -> None:
    assert split(b"abc", GSM, MANY) == ([(b"abc", b"")], False)
    assert split(b"abc", OCTETS, MANY, udh=b"\x03\x24\x01\x01") == (
        [(b"abc", b"\x03\x24\x01\x01")],
        False,
    )
    assert split(b"", GSM, MANY) == ([(b"", b"")], False)


def test_each_part_says_where_it_belongs() -> None:
    found = split(b"a" * 161, GSM, MANY, reference=0x12F)
    assert [udh.hex() for _, udh in found.parts] == ["0500032f0201", "0500032f0202"]
    found = split(b"a" * 161, GSM, MANY, reference=0x12F, wide=True)
    assert [udh.hex() for _, udh in found.parts] == ["060804012f0201", "060804012f0202"]


def test_the_callers_header_stands_in_every_part() -> None:
    udh = bytes.fromhex("06050415820000")
    found = split(b"\xab" * 140, OCTETS, MANY, udh=udh, reference=0x5A)
    assert [(len(payload), header.hex()) for payload, header in found.parts] == [
        (128, "0b05041582000000035a0201"),
        (12, "0b05041582000000035a0202"),
    ]


def test_without_concatenation_parts_are_messages_of_their_own() -> None:
    options = replace(MANY, concatenation=False)
    assert split(b"a" * 161, GSM, options).parts == [(b"a" * 160, b""), (b"a", b"")]
    udh = b"\x03\x24\x01\x01"
    found = split(b"a" * 161, GSM, options, udh=udh)
    assert [(len(payload), header) for payload, header in found.parts] == [(155, udh), (6, udh)]


def test_a_smaller_part_size_counts_only_without_concatenation() -> None:
    options = replace(MANY, octets=100)
    assert [len(part) for part in parts("a" * 150, options)] == [150]
    options = replace(options, concatenation=False)
    assert [len(part) for part in parts("a" * 150, options)] == [114, 36]


def test_a_smaller_part_size_bounds_the_whole_concatenated_text() -> None:
    options = replace(CUT, octets=100)
    found = split(b"a" * 20_000, GSM, options)
    assert [len(payload) for payload, _ in found.parts] == [153, 153, 15]  # 3 * 107
    assert found.cut
    assert [udh[4] for _, udh in found.parts] == [3, 3, 3]
    with pytest.raises(TooLong):
        split(b"a" * 322, GSM, replace(options, too_long="refuse"))
    assert not split(b"a" * 321, GSM, replace(options, too_long="refuse")).cut
    found = split(b"a" * 20_000, GSM, CUT, max_octets=280)
    assert [len(payload) for payload, _ in found.parts] == [313, 146]


def test_an_smsc_may_take_more_than_140_octets() -> None:
    assert [len(part) for part in parts("a" * 200, max_octets=280)] == [200]


def test_TXT_010_the_configured_maximum_refuses_or_cuts() -> None:
    text = b"a" * 600
    with pytest.raises(TooLong):
        split(text, GSM, replace(CUT, too_long="refuse"))
    found = split(text, GSM, CUT)
    assert found.cut
    assert [len(payload) for payload, _ in found.parts] == [153] * 3
    assert split(b"a" * 459, GSM, replace(CUT, too_long="refuse")).cut is False


def test_TXT_010_a_single_allowed_message_is_cut_at_its_full_size() -> None:
    found = split(b"a" * 161, GSM, replace(CUT, max_messages=1))
    assert found == ([(b"a" * 160, b"")], True)


def test_TXT_010_no_more_than_255_parts_can_be_concatenated() -> None:
    options = replace(CUT, max_messages=300)
    found = split(b"a" * 153 * 256, GSM, options)
    assert len(found.parts) == 255
    assert found.cut
    assert found.parts[-1][1].hex() == "050003" + "00" + "ffff"
    assert len(split(b"a" * 153 * 255, GSM, replace(options, too_long="refuse")).parts) == 255
    with pytest.raises(TooLong):
        split(b"a" * (153 * 255 + 1), GSM, replace(options, too_long="refuse"))
    assert len(split(b"a" * 160 * 256, GSM, replace(options, concatenation=False)).parts) == 256


def test_no_allowed_message_gives_no_part() -> None:
    assert split(b"a", GSM, replace(CUT, max_messages=0)) == ([], True)
    assert split(b"", GSM, replace(CUT, max_messages=0)) == ([], False)


def test_no_room_for_text_is_too_long_even_where_texts_are_cut() -> None:
    for udh in (b"\x8b" + bytes(139), b"\x8a" + bytes(138)):
        with pytest.raises(TooLong):
            split(b"abc" * 200, GSM, CUT, udh=udh)
    with pytest.raises(TooLong):
        split(b"abc", GSM, replace(CUT, header="h" * 170))
    with pytest.raises(TooLong):
        split(b"a" * 600, GSM, replace(CUT, split_suffix="s" * 153))
    with pytest.raises(TooLong):
        split(b"a" * 3000, OCTETS, CUT, udh=b"\xfe" + bytes(254), max_octets=1000)
    assert split(b"", GSM, CUT, udh=b"\x8b" + bytes(139)).parts == [(b"", b"\x8b" + bytes(139))]


def test_a_part_too_small_for_a_pair_is_no_room() -> None:
    for octets in (8, 9):
        assert len(split(b"\0a\0b\0c\0d\0e", UCS2, MANY, max_octets=octets).parts) == 5
        with pytest.raises(TooLong):
            split(encode_ucs2("😀" * 5), UCS2, MANY, max_octets=octets)
    with pytest.raises(TooLong):
        split(b"\0a\0b\0c\0d\0e", UCS2, MANY, max_octets=7)
    with pytest.raises(TooLong):
        split(b"\x1be" * 10, GSM, MANY, max_octets=7)


def test_an_escape_pair_is_never_split() -> None:
    assert parts("A" * 152 + "€" + "B" * 20) == ["A" * 152, "€" + "B" * 20]
    # Octets a caller made: an escaped escape is a pair too.
    found = split(b"a" * 151 + b"\x1b\x1b" + b"b" * 10, GSM, MANY)
    assert [len(payload) for payload, _ in found.parts] == [153, 10]
    found = split(b"a" * 150 + b"\x1b\x1b\x1be" + b"b" * 10, GSM, MANY)
    assert [len(payload) for payload, _ in found.parts] == [152, 12]


@pytest.mark.parametrize(
    "cluster",
    [
        "😀",
        "e\u0301",
        "e\u0301\u0323",
        "❤\ufe0f",
        "👍🏽",
        "👩\u200d👩\u200d👧",
        "🇧🇷",
        "\u0e01\u0e49",
    ],
)
def test_what_is_shown_as_one_character_stays_together(cluster: str) -> None:
    units = len(cluster.encode("utf-16-be")) // 2
    for before in range(67 - units + 1, 67):
        found = parts("日" * before + cluster + "日" * 10)
        assert found == ["日" * before, cluster + "日" * 10]


def test_flags_are_paired_from_the_first_one() -> None:
    assert parts("日" * 65 + "🇧🇷🇦🇷" + "日" * 9) == ["日" * 65, "🇧🇷🇦🇷" + "日" * 9]
    assert parts("日" * 63 + "🇧🇷🇦🇷" + "日" * 9) == ["日" * 63 + "🇧🇷", "🇦🇷" + "日" * 9]


def test_a_cluster_that_began_more_than_16_units_before_is_broken() -> None:
    found = parts("日" * 40 + "e" + "\u0301" * 60)
    assert [len(part) for part in found] == [67, 34]


def test_an_odd_octet_at_the_end_of_ucs2_is_no_trouble() -> None:
    assert split(b"abc", UCS2, MANY).parts == [(b"abc", b"")]
    for size in (135, 139, 141, 269, 271):
        found = split(b"\x00a" * (size // 2) + b"\x00", UCS2, MANY)
        assert b"".join(payload for payload, _ in found.parts) == b"\x00a" * (size // 2) + b"\x00"


def test_header_footer_and_suffix_stand_where_they_should() -> None:
    options = replace(CUT, header="H:", footer=":F", split_suffix="..", concatenation=False)
    assert parts("text", options) == ["H:text:F"]
    assert parts("a" * 200, options) == ["H:" + "a" * 154 + ":F..", "H:" + "a" * 46 + ":F"]
    assert parts("日" * 80, options) == ["H:" + "日" * 64 + ":F..", "H:" + "日" * 16 + ":F"]
    together = replace(options, concatenation=True)
    assert parts("a" * 200, together) == ["H:" + "a" * 147 + ":F..", "H:" + "a" * 53 + ":F"]
    # The last of too many has no suffix, and all the room.
    assert [len(part) for part in parts("a" * 900, together)] == [153, 153, 153]
    assert parts("a" * 900, together)[2].endswith("a:F")


def test_octets_are_never_dressed() -> None:
    options = replace(CUT, header="H:", footer=":F", split_suffix="..", split_chars="\xab")
    assert split(b"\xab" * 141, OCTETS, options).parts[0][0] == b"\xab" * 134


def test_a_part_ends_behind_the_last_split_character_that_is_near() -> None:
    options = replace(MANY, split_chars=" €")
    text = "a" * 140 + " " + "b" * 100
    assert parts(text, options) == ["a" * 140 + " ", "b" * 100]
    text = "a" * 140 + "€" + "b" * 100
    assert parts(text, options) == ["a" * 140 + "€", "b" * 100]
    text = "日" * 60 + " " + "日" * 30
    assert parts(text, options) == ["日" * 60 + " ", "日" * 30]
    text = "a" * 152 + " " + "b" * 100
    assert parts(text, options) == ["a" * 152 + " ", "b" * 100]
    assert parts("a" * 153 + " " + "b" * 9, options) == ["a" * 153, " " + "b" * 9]
    # "e" alone is not "€", whose second septet it is.
    assert parts("a" * 140 + "e" + "b" * 100, options) == ["a" * 140 + "e" + "b" * 12, "b" * 88]


def test_a_split_character_too_far_back_is_left_alone_unless_told_otherwise() -> None:
    options = replace(MANY, split_chars=" ")
    text = "word " + "a" * 200
    assert parts(text, options) == ["word " + "a" * 148, "a" * 52]
    assert parts(text, replace(options, split_look_back=1.0))[0] == "word "


def test_a_split_character_with_a_mark_upon_it_ends_no_part() -> None:
    options = replace(MANY, split_chars="-")
    text = "日" * 55 + "-" + "日" * 6 + "-\u0301" + "日" * 30
    assert parts(text, options)[0] == "日" * 55 + "-"


TEXTS = st.one_of(
    st.text(st.sampled_from("ab €[é\n"), max_size=600),
    st.text(st.sampled_from("日😀e\u0301\u200d👩🏽🇧🇷❤\ufe0f "), max_size=300),
    st.text(max_size=200),
)


@given(
    TEXTS,
    st.sampled_from(["", " ", " €日"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"", bytes.fromhex("06050415820000")]),
    st.sampled_from([40, 100, 140]),
)
@settings(max_examples=200)
def test_TXT_004_the_parts_make_the_text_again_and_none_is_too_big(
    text: str, split_chars: str, concatenation: bool, wide: bool, udh: bytes, max_octets: int
) -> None:
    text = text.encode("utf-16", "replace").decode("utf-16")
    options = TextOptions(
        max_messages=255,
        concatenation=concatenation,
        split_chars=split_chars,
        split_look_back=1.0,
        too_long="cut",
    )
    octets = encode_gsm(text)
    coding = UCS2 if octets is None else GSM
    content = encode_ucs2(text) if octets is None else octets
    found = split(content, coding, options, udh=udh, max_octets=max_octets, wide=wide, reference=9)
    joined = b"".join(payload for payload, _ in found.parts)
    assert joined == content[: len(joined)]
    assert found.cut == (len(joined) < len(content))
    for number, (payload, header) in enumerate(found.parts, 1):
        size = (len(payload) * 7 + 7) // 8 if coding is GSM else len(payload)
        fill = 1 if coding is GSM and header else 0  # fill bits take less than an octet
        assert size + len(header) <= max_octets + fill
        assert len(payload) <= room(coding, max_octets, len(header))
        if len(found.parts) > 1:
            assert payload
            if coding is GSM:
                decoded = decode_gsm(payload)
                assert encode_gsm(decoded) == payload
            else:
                payload.decode("utf-16-be")  # no half of a pair at either end
            if concatenation:
                info = part_of(header)
                assert info is not None
                assert (info.number, info.total, info.udh) == (number, len(found.parts), udh)


def test_splitting_a_long_text_takes_linear_time() -> None:
    options = replace(CUT, max_messages=255, split_chars=" ", split_look_back=1.0)
    assert split(encode_ucs2("\u0301" * 100_000), UCS2, options).cut
    assert split(encode_ucs2("🇧" * 50_000), UCS2, options).cut
    assert split(b"\x1b" * 100_000, GSM, options).cut


def test_parts_are_joined_by_number_and_the_first_of_two_counts() -> None:
    assert join([(3, 0, b"c"), (1, 0, b"a"), (2, 0, b"b"), (1, 0, b"x")]) == (GSM, b"abc")
    assert join([(2, 1, b"\x02"), (1, 1, b"\x01")]) == (OCTETS, b"\x01\x02")


def test_a_pair_divided_by_a_foreign_splitter_is_whole_again_when_joined() -> None:
    assert join([(1, 2, b"\xd8\x3d"), (2, 2, b"\xde\x00")]) == (UCS2, "😀".encode("utf-16-be"))


def test_parts_in_two_alphabets_become_ucs2() -> None:
    assert join([(1, 0, "é".encode()), (2, 2, b"\x65\xe5")]) == (UCS2, b"\x00\xe9\x65\xe5")
    assert join([(1, 0, b"a"), (2, 1, b"\xff")]) == (OCTETS, b"a\xff")


def test_TXT_006_the_smallest_alphabet_that_holds_the_text() -> None:
    options = TextOptions()
    assert encode_text("cafe\u0301", options) == Encoded(GSM, b"caf\x05")
    assert encode_text("ação", options) == Encoded(UCS2, "ação".encode("utf-16-be"))
    assert encode_text("“a”", options) == Encoded(UCS2, "“a”".encode("utf-16-be"))


def test_TXT_006_transliteration_is_applied_only_where_it_saves_ucs2() -> None:
    options = TextOptions(transliterate=True)
    assert encode_text("“a”", options) == Encoded(GSM, b'"a"')
    assert encode_text("“日”", options) == Encoded(UCS2, "“日”".encode("utf-16-be"))
    assert encode_text("“日”", replace(options, not_gsm="replace")) == Encoded(GSM, b'"?"', True)


def test_a_footer_outside_gsm_makes_the_whole_message_ucs2() -> None:
    options = TextOptions(footer="ã")
    assert encode_text("a", options) == Encoded(UCS2, b"\x00a")
    assert encode_text("a", replace(options, not_gsm="replace")) == Encoded(GSM, b"a")


def test_replacing_is_told_and_composes_nothing() -> None:
    options = TextOptions(not_gsm="replace")
    assert encode_text("ação", options) == Encoded(GSM, b"a\x09?o", True)
    assert encode_text("e\u0301", options) == Encoded(GSM, b"e?", True)
    assert encode_text("é", options) == Encoded(GSM, b"\x05")
