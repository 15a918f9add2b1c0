"""The two alphabets of a handset, GSM 03.38 (3GPP TS 23.038) and UCS-2, to and from text.

SMPP, UCP and CIMD2 carry GSM text unpacked: one septet per octet, an extension character as 0x1B
and its code. Nothing here raises for what a peer sent: octets that mean nothing become U+FFFD.

How encoding stays fast: all 137 characters are put on a private one-octet code page that
`codecs.charmap_build` can turn into its quick form (which asks that octet 0 be U+0000). "@", whose
GSM code is 0, sits on the escape's place there, and extension characters above 0x7F. So an octet 0
tells of a NUL in the text and `isascii` of the absence of extension characters.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable
from functools import cache

from gatewayd.sms.national import BASIC, EXTENSION, LOCKING, SINGLE

ESCAPE = 0x1B
QUESTION_MARK = 0x3F

_UNDEFINED = "\ufffe"  # what charmap_build takes for "no character here"
_PAGE = ("\0" + BASIC[1:ESCAPE] + "@" + BASIC[ESCAPE + 1 :] + "".join(EXTENSION.values())).ljust(
    256, _UNDEFINED
)
_PAGE_MAP = codecs.charmap_build(_PAGE)
_AT_TO_ZERO = bytes.maketrans(bytes([ESCAPE]), b"\0")
_EXPANSIONS = tuple(
    (bytes([0x80 + place]), bytes([ESCAPE, code])) for place, code in enumerate(EXTENSION)
)

# The whole way for ASCII in one translate; 0xFF marks what needs the long way.
_ASCII_TO_GSM = bytes(
    BASIC.index(chr(code)) if chr(code) in BASIC and code != ESCAPE else 0xFF for code in range(256)
)

_ESCAPED = re.compile("\x1b(.?)", re.DOTALL)
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")

# unicodedata sorts runs of combining marks in quadratic time; no longer text can be sent anyway.
_NFC_LIMIT = 8192

_PLAIN = str.maketrans(
    {
        "\t": " ",
        "`": "'",
        "\u00b4": "'",
        "\u2018": "'",
        "\u2019": "'",
        "\u201a": "'",
        "\u201b": "'",
        "\u2032": "'",
        "\u2039": "<",
        "\u203a": ">",
        "\u201c": '"',
        "\u201d": '"',
        "\u201e": '"',
        "\u201f": '"',
        "\u2033": '"',
        "«": '"',
        "»": '"',
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2014": "-",
        "\u2015": "-",
        "\u2212": "-",
        "\u2022": "*",
        "\u2026": "...",
        "\u2028": "\n",
        "\u2029": "\n",
        "\u00a0": " ",
        "\u00ad": None,
        "\u200b": None,
        "\ufeff": None,
        "ç": "Ç",
        **dict.fromkeys(map(chr, range(0x2000, 0x200B)), " "),
        "\u202f": " ",
        "\u205f": " ",
        "\u3000": " ",
    }
)


def encode_gsm(text: str, *, replace: bool = False, kannel_cedilla: bool = False) -> bytes | None:
    """Unpacked septets of `text`; None when it has a character outside GSM 03.38.

    With `replace` such a character becomes "?" instead. `kannel_cedilla` also writes "ç" as "Ç",
    the one letter that Kannel changes rather than replaces.
    """
    if text.isascii():
        octets = text.encode("ascii").translate(_ASCII_TO_GSM)
        if b"\xff" not in octets:
            return octets
    elif kannel_cedilla and "ç" in text:
        text = text.replace("ç", "Ç")
    try:
        octets, _ = codecs.charmap_encode(text, "strict", _PAGE_MAP)
    except UnicodeEncodeError:
        if not replace:
            return None
        octets, _ = codecs.charmap_encode(text, "replace", _PAGE_MAP)
    if b"\0" in octets:  # U+0000
        if not replace:
            return None
        octets = octets.replace(b"\0", b"?")
    if b"\x1b" in octets:
        octets = octets.translate(_AT_TO_ZERO)
    if not octets.isascii():
        for code, pair in _EXPANSIONS:
            octets = octets.replace(code, pair)
    return octets


def is_gsm(text: str) -> bool:
    """Whether every character of `text` is in the default alphabet or its extension."""
    return encode_gsm(text) is not None


def septets(text: str) -> int:
    """How many septets `text` takes; a character outside the alphabet counts as the one "?"."""
    octets = encode_gsm(text, replace=True)
    assert octets is not None
    return len(octets)


@cache
def _tables(single_shift: int, locking_shift: int) -> tuple[str, Callable[[re.Match[str]], str]]:
    """The basic table for `charmap_decode`, and what replaces an escape and its character."""
    basic = LOCKING.get(locking_shift, BASIC)
    extension = SINGLE.get(single_shift, EXTENSION)
    after = {basic[code]: character for code, character in extension.items()}
    after["\x1b"] = after[""] = " "  # 1B 1B is reserved, and nothing follows a final 1B

    def unescape(match: re.Match[str]) -> str:
        # 23.038, 6.2.1.1: a code the extension lacks shows the character of the basic table.
        return after.get(match[1], match[1])

    return basic.ljust(256, "\ufffd"), unescape


def decode_gsm(octets: bytes, single_shift: int = 0, locking_shift: int = 0) -> str:
    """The text of unpacked septets; it never raises. An octet above 0x7F becomes U+FFFD.

    The shifts are national language identifiers (23.038, 6.2.1.2.4); one we have no table for means
    the default table.
    """
    basic, unescape = _tables(
        single_shift if single_shift in SINGLE else 0,
        locking_shift if locking_shift in LOCKING else 0,
    )
    text, _ = codecs.charmap_decode(octets, "strict", basic)
    return _ESCAPED.sub(unescape, text) if "\x1b" in text else text


def pack7(unpacked: bytes, fill: int = 0) -> bytes:
    """Septets packed into octets, lowest bit first, after `fill` (0-6) zero bits.

    After a user data header of n octets the text begins on a septet boundary:
    fill = (7 - 8 * n % 7) % 7 (3GPP TS 23.040, 9.2.3.24). The count of septets must travel apart:
    seven spare bits look like a final "@".
    """
    packed = bytearray()
    for start in range(0, len(unpacked), 8):
        group = 0
        for place, septet in enumerate(unpacked[start : start + 8]):
            group |= (septet & 0x7F) << 7 * place
        packed += group.to_bytes((7 * min(8, len(unpacked) - start) + 7) // 8, "little")
    bits = fill + 7 * len(unpacked)
    return (int.from_bytes(packed, "little") << fill).to_bytes((bits + 7) // 8, "little")


def unpack7(packed: bytes, count: int, fill: int = 0) -> bytes:
    """The first `count` septets after `fill` bits; fewer when the octets hold fewer."""
    octets = (int.from_bytes(packed, "little") >> fill).to_bytes(len(packed), "little")
    count = max(0, min(count, (8 * len(packed) - fill) // 7))
    unpacked = bytearray()
    for start in range(0, len(octets), 7):
        group = int.from_bytes(octets[start : start + 7], "little")
        unpacked += bytes(group >> shift & 0x7F for shift in range(0, 56, 7))
    return bytes(unpacked[:count])


def decode_ucs2(octets: bytes) -> tuple[str, bool]:
    """The text of UTF-16BE octets, and whether something was lost; it never raises.

    A byte order mark is taken away and obeyed. A final odd octet is dropped and lone surrogates
    become U+FFFD: both count as loss.
    """
    codec = "utf-16-be"
    if octets[:2] == b"\xfe\xff":
        octets = octets[2:]
    elif octets[:2] == b"\xff\xfe":  # U+FFFE is no character, so nothing else can be meant
        octets, codec = octets[2:], "utf-16-le"
    lossy = len(octets) % 2 == 1
    if lossy:
        octets = octets[:-1]
    try:
        return octets.decode(codec), lossy
    except UnicodeDecodeError:
        return octets.decode(codec, "replace"), True


def encode_ucs2(text: str) -> bytes:
    """UTF-16BE, characters above U+FFFF as surrogate pairs; lone surrogates become U+FFFD."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError:
        return _LONE_SURROGATE.sub("\ufffd", text).encode("utf-16-be")


def nfc(text: str) -> str:
    """`text` with composed letters (Unicode NFC), so that e + U+0301 is the é of GSM 03.38.

    Texts above 8192 characters come back as they are: composing them could take long, and none fits
    into the parts of one message.
    """
    if text.isascii() or len(text) > _NFC_LIMIT:
        return text
    return unicodedata.normalize("NFC", text)


def transliterate(text: str) -> str:
    """`text` with plain quotes, dashes, dots and blanks in place of typographic ones, ç as Ç."""
    return text.translate(_PLAIN)
