"""The text of parameter 033: GSM 03.38 written in Latin-1 octets and sequences of `_` and two.

Most octets below 0x80 are their GSM code. Four stand for another character, those from 0xA0 on are
Latin-1, and what has no octet of its own is a sequence: `_Oa` is "@", `_XX` the escape that begins
an extension character (CIMD Interface Specification, appendix on character conversion).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gatewayd.sms import alphabets

# The two characters behind "_", in the order of the GSM codes.
SEQUENCES: dict[bytes, int] = {
    b"Oa": 0x00,
    b"L-": 0x01,
    b"Y-": 0x03,
    b"e`": 0x04,
    b"e'": 0x05,
    b"u`": 0x06,
    b"i`": 0x07,
    b"o`": 0x08,
    b"C,": 0x09,
    b"O/": 0x0B,
    b"o/": 0x0C,
    b"A*": 0x0E,
    b"a*": 0x0F,
    b"gd": 0x10,
    b"--": 0x11,
    b"gf": 0x12,
    b"gg": 0x13,
    b"gl": 0x14,
    b"go": 0x15,
    b"gp": 0x16,
    b"gi": 0x17,
    b"gs": 0x18,
    b"gt": 0x19,
    b"gx": 0x1A,
    b"XX": 0x1B,
    b"AE": 0x1C,
    b"ae": 0x1D,
    b"ss": 0x1E,
    b"E'": 0x1F,
    b"qq": 0x22,
    b"ox": 0x24,
    b"!!": 0x40,
    b'A"': 0x5B,
    b'O"': 0x5C,
    b"N~": 0x5D,
    b'U"': 0x5E,
    b"so": 0x5F,
    b"??": 0x60,
    b'a"': 0x7B,
    b'o"': 0x7C,
    b"n~": 0x7D,
    b'u"': 0x7E,
    b"a`": 0x7F,
}

# Octets that stand for another code than their own: @ $ ] } and a "_" that begins no sequence.
_SINGLES = {0x40: 0x00, 0x24: 0x02, 0x5D: 0x0E, 0x7D: 0x0F, 0x5F: 0x11}

_TO_OCTETS = [bytes([code]) for code in range(128)]
_TO_OCTETS[0x02] = b"$"
for _pair, _code in SEQUENCES.items():
    _TO_OCTETS[_code] = b"_" + _pair
_PLAIN = bytes(code for code in range(128) if _TO_OCTETS[code] == bytes([code]))
_TO_CODES = bytes(_SINGLES.get(octet, octet) for octet in range(256))
_SEQUENCE = re.compile(b"_(" + b"|".join(map(re.escape, SEQUENCES)) + b")")
_HIGH = re.compile(b"([\x80-\xff]+)")
_C1 = re.compile("[\x80-\x9f]")


class Decoded(NamedTuple):
    """A text, how many sequences in it were unknown, and whether anything could not be read."""

    text: str
    unknown: int
    lossy: bool


def encode(septets: bytes) -> bytes:
    """Unpacked GSM 03.38 septets as 033 wants them; only ASCII, at most three times as long.

    An octet above 0x7F is none and becomes "?".
    """
    if not septets.translate(None, _PLAIN):
        return septets
    return b"".join([_TO_OCTETS[code] if code < 128 else b"?" for code in septets])


def decode(octets: bytes, single_shift: int = 0, locking_shift: int = 0) -> Decoded:
    """The text of a 033; it never raises.

    A sequence that the table does not have stays as it is. The shifts are national language
    identifiers of the user data header, as in `alphabets.decode_gsm`.
    """
    unknown = 0
    if b"_" in octets:
        pieces = _SEQUENCE.split(octets)
        # A "_" with fewer than two characters behind it is no sequence.
        unknown -= pieces[-1][-2:].count(b"_")
        for place, piece in enumerate(pieces):
            if place % 2:
                pieces[place] = bytes([SEQUENCES[piece]])
            else:
                unknown += piece.count(b"_")
                pieces[place] = piece.translate(_TO_CODES)
        codes = b"".join(pieces)
    else:
        codes = octets.translate(_TO_CODES)
    if codes.isascii():
        return Decoded(alphabets.decode_gsm(codes, single_shift, locking_shift), unknown, False)
    parts = []
    for place, run in enumerate(_HIGH.split(codes)):
        if place % 2:
            parts.append(run.decode("latin-1"))
        else:
            parts.append(alphabets.decode_gsm(run, single_shift, locking_shift))
    text, lost = _C1.subn("\ufffd", "".join(parts))
    return Decoded(text, unknown, lost > 0)
