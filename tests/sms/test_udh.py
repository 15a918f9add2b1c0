from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.sms.udh import (
    PartInfo,
    build,
    elements,
    find_shift,
    length_with_header,
    part_of,
    with_concatenation,
)

PORTS = bytes.fromhex("06050415820000")


def test_the_length_of_a_header_must_fit_into_the_message() -> None:
    assert length_with_header(bytes.fromhex("060504158200000102")) == 7
    assert length_with_header(b"\x00text") == 1
    assert length_with_header(bytes.fromhex("500504156162")) is None
    assert length_with_header(b"") is None


def test_elements_of_a_sound_header() -> None:
    assert elements(PORTS) == [(5, bytes.fromhex("15820000"))]
    assert elements(bytes.fromhex("0b05041582000000030d0201")) == [
        (5, bytes.fromhex("15820000")),
        (0, bytes.fromhex("0d0201")),
    ]
    assert elements(b"\x00") == []


@pytest.mark.parametrize("broken", ["", "05", "0500030a02", "0100", "020005", "0500040a0201"])
def test_a_broken_header_has_no_elements_and_makes_no_part(broken: str) -> None:
    assert elements(bytes.fromhex(broken)) is None
    assert part_of(bytes.fromhex(broken)) is None
    assert find_shift(bytes.fromhex(broken)) == (0, 0)


def test_a_concatenation_element_is_appended_inside_the_callers_header() -> None:
    assert with_concatenation(b"", 0xAB, 2, 1, wide=False).hex() == "050003ab0201"
    assert with_concatenation(b"", 0xABCD, 2, 1, wide=True).hex() == "060804abcd0201"
    assert with_concatenation(PORTS, 0x5A, 2, 2, wide=False).hex() == "0b05041582000000035a0202"
    assert with_concatenation(b"", 0x1AB, 2, 1, wide=False).hex() == "050003ab0201"


def test_a_part_by_8_and_16_bit_reference_and_by_tlvs() -> None:
    assert part_of(bytes.fromhex("050003080302")) == PartInfo(8, 3, 2, b"")
    assert part_of(bytes.fromhex("06080401020201")) == PartInfo(0x0102, 2, 1, b"")
    assert part_of(b"", (300, 3, 2)) == PartInfo(300, 3, 2, b"")
    assert part_of(PORTS, (300, 3, 2)) == PartInfo(300, 3, 2, PORTS)


def test_other_elements_stay_in_the_header_of_the_whole() -> None:
    assert part_of(bytes.fromhex("0b05041582000000030d0201")) == PartInfo(13, 2, 1, PORTS)


def test_the_last_of_several_concatenation_elements_counts() -> None:
    assert part_of(bytes.fromhex("0a0003010201") + bytes.fromhex("0003020302")) == PartInfo(
        2, 3, 2, b""
    )


@pytest.mark.parametrize("nonsense", ["050003080001", "050003080203", "050003080200", "0400020802"])
def test_nonsense_in_a_concatenation_element_makes_no_part(nonsense: str) -> None:
    assert part_of(bytes.fromhex(nonsense)) is None


@pytest.mark.parametrize("sar", [(1, 0, 0), (1, 0, 1), (1, 2, 3), (1, 2, 0), (1, 256, 1)])
def test_nonsense_in_tlvs_makes_no_part(sar: tuple[int, int, int]) -> None:
    assert part_of(b"", sar) is None


def test_a_whole_message_is_no_part() -> None:
    assert part_of(b"") is None
    assert part_of(PORTS) is None


def test_TXT_007_the_shifts_of_a_header() -> None:
    assert find_shift(bytes.fromhex("03240101")) == (1, 0)
    assert find_shift(bytes.fromhex("03250103")) == (0, 3)
    assert find_shift(bytes.fromhex("06240101250103")) == (1, 3)
    assert find_shift(bytes.fromhex("0424020101")) == (0, 0)
    assert find_shift(b"") == (0, 0)


@given(st.binary(max_size=60))
@settings(max_examples=200)
def test_any_octets_are_a_header_or_none(udh: bytes) -> None:
    found = elements(udh)
    if found:
        assert build(found) == udh
    info = part_of(udh)
    if info:
        assert 1 <= info.number <= info.total <= 255
        assert not info.udh or elements(info.udh) is not None
    find_shift(udh)


@given(
    st.lists(st.tuples(st.sampled_from([1, 5, 0x24]), st.binary(max_size=9)), max_size=4),
    st.integers(0, 65535),
    st.integers(1, 255),
    st.booleans(),
    st.data(),
)
@settings(max_examples=100)
def test_a_part_tells_what_it_was_given(
    others: list[tuple[int, bytes]], reference: int, total: int, wide: bool, data: st.DataObject
) -> None:
    number = data.draw(st.integers(1, total))
    udh = build(others)
    made = with_concatenation(udh, reference, total, number, wide=wide)
    expected = reference if wide else reference & 0xFF
    assert part_of(made) == PartInfo(expected, total, number, udh)
