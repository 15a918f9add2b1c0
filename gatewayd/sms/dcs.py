"""Kannel's coding, mclass, mwi, compress and alt-dcs as one data_coding octet, both ways.

The octet is 3GPP TS 23.038's data coding scheme; the values below 0x10 that SMPP 3.4, 5.2.19
gives another meaning (Latin-1, Cyrillic, Hebrew, Japanese, Korean) are read as SMPP says.
"""

from __future__ import annotations

from typing import NamedTuple

from gatewayd.model import Coding

UNSET = -1

# SMPP 3.4, 5.2.19: what 7-bit text is written in. 0 is the SMSC's default alphabet.
_CHARSETS: dict[int, str] = {
    0x00: "",
    0x01: "ascii",
    0x03: "iso-8859-1",
    0x05: "iso-2022-jp",
    0x06: "iso-8859-5",
    0x07: "iso-8859-8",
    0x0A: "iso-2022-jp",
    0x0D: "iso-2022-jp-1",
    0x0E: "ks_c_5601-1987",
}
_NAMES = {Coding.GSM: "UTF-8", Coding.OCTETS: "8-BIT", Coding.UCS2: "UTF-16BE"}


class Dcs(NamedTuple):
    """What a data_coding says. -1: it does not say.

    `charset` names the charset of the octets when `coding` is 0: "" for the default alphabet of the
    bind, "gsm" where the octet itself says GSM 03.38, else a name for `charsets.decode`.
    """

    coding: Coding
    mclass: int = UNSET
    mwi: int = UNSET
    compress: int = UNSET
    alt_dcs: int = UNSET
    charset: str = ""


def to_dcs(
    coding: int,
    mclass: int = UNSET,
    mwi: int = UNSET,
    compress: int = UNSET,
    alt_dcs: int = UNSET,
    *,
    empty: bool = False,
) -> int:
    """The data_coding of a message whose text is `empty` or not.

    `mwi` (0-3 activate, 4-7 clear) wins over `mclass`. A class without `alt_dcs`, or `alt_dcs` 1
    without a class (then class 1), makes 0xFx; UCS-2 has no such form. `alt_dcs` 0 asks for 0x1x.
    """
    if mwi >= 0:
        if mwi >= 4:
            return 0xC0 | (mwi & 3)
        if coding in (Coding.OCTETS, Coding.UCS2):
            return 0xE8 | mwi
        return (0xC8 if empty else 0xD8) | mwi
    coding = max(coding, 0)
    if coding != Coding.UCS2 and (alt_dcs == 1 or (alt_dcs == UNSET and mclass >= 0)):
        return 0xF0 | coding << 2 | (mclass & 3 if mclass >= 0 else 1)
    dcs = coding << 2
    if compress == 1:
        dcs |= 0x20
    return dcs | 0x10 | (mclass & 3) if mclass >= 0 else dcs


def from_dcs(dcs: int, udhi: bool = False, *, mwi_ucs2: bool = True) -> Dcs:
    """What the data_coding `dcs` (0-255) of a deliver_sm says.

    `udhi`: the text has a user data header; then the reserved groups are octets, else GSM text.
    `mwi_ucs2`: group 0xE0 is UCS-2, as 23.038 says; Kannel reads it as GSM text.
    """
    if dcs in _CHARSETS:
        return Dcs(Coding.GSM, compress=0, alt_dcs=0, charset=_CHARSETS[dcs])
    if dcs == 0x02:
        return Dcs(Coding.OCTETS, compress=0, alt_dcs=0)
    reserved = Coding.OCTETS if udhi else Coding.GSM
    if dcs < 0x80:  # 0x40-0x7F ask for automatic deletion and are otherwise built alike
        bits = dcs >> 2 & 3
        return _with_charset(
            Dcs(
                reserved if bits == 3 else Coding(bits),
                mclass=dcs & 3 if dcs & 0x10 else UNSET,
                compress=dcs >> 5 & 1,
                alt_dcs=0,
            )
        )
    if dcs >= 0xF0:
        coding = Coding.OCTETS if dcs & 4 else Coding.GSM
        return _with_charset(Dcs(coding, mclass=dcs & 3, alt_dcs=1))
    if dcs >= 0xC0:
        coding = Coding.UCS2 if dcs >= 0xE0 and mwi_ucs2 else Coding.GSM
        return _with_charset(Dcs(coding, mwi=dcs & 3 if dcs & 8 else dcs & 3 | 4, alt_dcs=0))
    return _with_charset(Dcs(reserved, alt_dcs=0))


def _with_charset(dcs: Dcs) -> Dcs:
    return dcs._replace(charset="gsm") if dcs.coding is Coding.GSM else dcs


def charset_name(coding: int) -> str:
    """What %C shows for an MO of this coding: UTF-8, 8-BIT or UTF-16BE."""
    return _NAMES.get(Coding(coding), "UTF-8") if coding in (0, 1, 2) else "UTF-8"
