from __future__ import annotations

import pytest

from gatewayd.model import Coding
from gatewayd.sms.dcs import Dcs, charset_name, from_dcs, to_dcs

GSM, OCTETS, UCS2 = Coding.GSM, Coding.OCTETS, Coding.UCS2


def test_a_plain_text_has_its_codings_value() -> None:
    assert [to_dcs(coding) for coding in (-1, 0, 1, 2)] == [0x00, 0x00, 0x04, 0x08]


@pytest.mark.parametrize("mclass", range(4))
def test_a_class_makes_the_f_group_except_for_ucs2(mclass: int) -> None:
    assert to_dcs(0, mclass) == 0xF0 + mclass
    assert to_dcs(1, mclass) == 0xF4 + mclass
    assert to_dcs(2, mclass) == 0x18 + mclass
    assert to_dcs(1, mclass, alt_dcs=1) == 0xF4 + mclass
    assert to_dcs(0, mclass, alt_dcs=0) == 0x10 + mclass


def test_alt_dcs_without_a_class_is_class_1() -> None:
    assert [to_dcs(coding, alt_dcs=1) for coding in (0, 1, 2)] == [0xF1, 0xF5, 0x08]


@pytest.mark.parametrize("mwi", range(4))
def test_an_indication_wins_over_everything(mwi: int) -> None:
    assert [to_dcs(coding, 1, mwi) for coding in (0, 1, 2)] == [0xD8 + mwi, 0xE8 + mwi, 0xE8 + mwi]
    assert to_dcs(0, -1, mwi, empty=True) == 0xC8 + mwi
    assert [to_dcs(coding, -1, mwi + 4) for coding in (0, 1, 2)] == [0xC0 + mwi] * 3


def test_compression_is_bit_5() -> None:
    assert to_dcs(0, compress=1) == 0x20
    assert to_dcs(2, compress=1) == 0x28
    assert to_dcs(0, compress=0) == 0x00


@pytest.mark.parametrize(
    ("dcs", "charset"),
    [
        (0x00, ""),
        (0x01, "ascii"),
        (0x03, "iso-8859-1"),
        (0x05, "iso-2022-jp"),
        (0x06, "iso-8859-5"),
        (0x07, "iso-8859-8"),
        (0x0A, "iso-2022-jp"),
        (0x0D, "iso-2022-jp-1"),
        (0x0E, "ks_c_5601-1987"),
    ],
)
def test_smpps_own_values_are_text_in_a_charset(dcs: int, charset: str) -> None:
    assert from_dcs(dcs, True) == Dcs(GSM, compress=0, alt_dcs=0, charset=charset)


@pytest.mark.parametrize(
    ("dcs", "expected"),
    [
        (0x02, Dcs(OCTETS, compress=0, alt_dcs=0)),
        (0x04, Dcs(OCTETS, compress=0, alt_dcs=0)),
        (0x08, Dcs(UCS2, compress=0, alt_dcs=0)),
        (0x10, Dcs(GSM, mclass=0, compress=0, alt_dcs=0, charset="gsm")),
        (0x15, Dcs(OCTETS, mclass=1, compress=0, alt_dcs=0)),
        (0x18, Dcs(UCS2, mclass=0, compress=0, alt_dcs=0)),
        (0x20, Dcs(GSM, compress=1, alt_dcs=0, charset="gsm")),
        (0x48, Dcs(UCS2, compress=0, alt_dcs=0)),
        (0xC0, Dcs(GSM, mwi=4, alt_dcs=0, charset="gsm")),
        (0xC9, Dcs(GSM, mwi=1, alt_dcs=0, charset="gsm")),
        (0xD9, Dcs(GSM, mwi=1, alt_dcs=0, charset="gsm")),
        (0xE0, Dcs(UCS2, mwi=4, alt_dcs=0)),
        (0xF0, Dcs(GSM, mclass=0, alt_dcs=1, charset="gsm")),
        (0xF6, Dcs(OCTETS, mclass=2, alt_dcs=1)),
    ],
)
def test_what_a_data_coding_says(dcs: int, expected: Dcs) -> None:
    assert from_dcs(dcs) == expected


def test_the_reserved_groups_are_octets_behind_a_header_and_text_otherwise() -> None:
    for dcs in (0x0C, 0x0F, 0x1C, 0x85, 0xB0):
        assert from_dcs(dcs, False).coding == GSM
        assert from_dcs(dcs, False).charset == "gsm"
        assert from_dcs(dcs, True).coding == OCTETS


def test_kannel_reads_an_indication_in_ucs2_as_gsm() -> None:
    assert from_dcs(0xE0, mwi_ucs2=False) == Dcs(GSM, mwi=4, alt_dcs=0, charset="gsm")


@pytest.mark.parametrize(
    ("dcs", "shown"),
    # What %O shows for an MO: the octet built anew from what was understood of it.
    [
        (0x00, 0),
        (0x04, 4),
        (0x05, 0),
        (0x06, 0),
        (0x08, 8),
        (0x10, 16),
        (0x18, 24),
        (0x20, 32),
        (0x85, 0),
        (0xD9, 217),
        (0xE0, 192),
        (0xF0, 240),
        (0xF1, 241),
    ],
)
def test_the_octet_built_anew_from_what_was_understood(dcs: int, shown: int) -> None:
    found = from_dcs(dcs, mwi_ucs2=False)
    assert to_dcs(*found[:5]) == shown


def test_every_octet_is_understood() -> None:
    for dcs in range(256):
        for udhi in (False, True):
            found = from_dcs(dcs, udhi)
            assert bool(found.charset) == (found.coding is GSM and dcs != 0)
            assert found.mclass in range(-1, 4)
            assert found.mwi in range(-1, 8)


def test_the_charset_name_that_a_platform_is_told() -> None:
    assert [charset_name(coding) for coding in (0, 1, 2, -1)] == [
        "UTF-8",
        "8-BIT",
        "UTF-16BE",
        "UTF-8",
    ]
