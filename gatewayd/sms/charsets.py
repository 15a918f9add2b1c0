"""Charsets that callers, platforms and SMSCs may name, and what becomes of octets they cannot hold.

Names are looked up in a fixed list (spelt as iconv would take them: any case, with or without
dashes); Python's own codec registry never sees a name from outside, for it also knows `zip`,
`rot13` and `idna`.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from gatewayd.sms.alphabets import decode_gsm, encode_gsm

GSM: Final = "gsm"
_UTF_16: Final = "utf-16"
_LONGEST_NAME = 40

_CODECS: dict[str, str] = {
    "utf8": "utf-8",
    "ascii": "ascii",
    "usascii": "ascii",
    "ansix3.41968": "ascii",
    "iso646us": "ascii",
    "latin1": "iso8859-1",
    "latin2": "iso8859-2",
    "latin9": "iso8859-15",
    "utf16": _UTF_16,
    "utf16be": "utf-16-be",
    "utf16le": "utf-16-le",
    "ucs2": "utf-16-le",  # iconv: the machine's byte order, and Kannel's machine was a PC
    "iso10646ucs2": "utf-16-le",
    "ucs2be": "utf-16-be",
    "ucs2le": "utf-16-le",
    "unicodebig": "utf-16-be",
    "unicodelittle": "utf-16-le",
    "utf32be": "utf-32-be",
    "utf32le": "utf-32-le",
    "ucs4be": "utf-32-be",
    "ucs4le": "utf-32-le",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "macintosh": "mac-roman",
    "gsm": GSM,
    "gsm7": GSM,
    "gsm0338": GSM,
    "gsm03.38": GSM,
    "jis": "iso2022-jp",
    "jisx0208": "iso2022-jp",
    "iso2022jp": "iso2022-jp",
    "iso2022jp1": "iso2022-jp-1",
    "iso2022jp2": "iso2022-jp-2",
    "iso2022kr": "iso2022-kr",
    "shiftjis": "shift-jis",
    "sjis": "shift-jis",
    "cp932": "cp932",
    "windows31j": "cp932",
    "eucjp": "euc-jp",
    "euckr": "euc-kr",
    "ksc5601": "cp949",
    "ksc56011987": "cp949",
    "ksx1001": "cp949",
    "uhc": "cp949",
    "cp949": "cp949",
    "johab": "johab",
    "gb2312": "gb2312",
    "euccn": "gb2312",
    "gbk": "gbk",
    "cp936": "gbk",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp950": "cp950",
    "big5hkscs": "big5hkscs",
    "tis620": "tis-620",
    "cp874": "cp874",
    "windows874": "cp874",
    **{f"iso8859{part}": f"iso8859-{part}" for part in range(1, 17) if part != 12},
    **{
        f"{prefix}125{page}": f"cp125{page}"
        for prefix in ("windows", "cp", "win")
        for page in range(9)
    },
    **{
        f"{prefix}{page}": f"cp{page}"
        for prefix in ("cp", "ibm")
        for page in ("437", "850", "852", "855", "857", "858", "866")
    },
}

# Octets that could not be decoded travel through text as U+DC00 + octet; no codec above makes
# these lone surrogates from anything else.
_COPIED = re.compile(r"[\udc00-\udcff]+")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_COPY: Final = "gatewayd-copy"
_UTF8: Final = "gatewayd-utf8"


class UnknownCharset(ValueError):
    """A charset name that is not in our list."""


def _carry(error: UnicodeError) -> tuple[str, int]:
    """Carry the octet that cannot be decoded along; one at a time, as iconv goes on behind it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return chr(0xDC00 + error.object[error.start]), error.start + 1


def _as_utf8(error: UnicodeError) -> tuple[bytes, int]:
    """Leave the characters that cannot be encoded as the UTF-8 they were."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].encode("utf-8", "replace"), error.end


codecs.register_error(_COPY, _carry)
codecs.register_error(_UTF8, _as_utf8)


def _codec(charset: str) -> str:
    name = charset.strip().lower().replace("-", "").replace("_", "").replace(" ", "")
    try:
        return _CODECS[name] if len(charset) <= _LONGEST_NAME else ""
    except KeyError:
        return ""


def is_known(charset: str) -> bool:
    """Whether `charset` is one we can read and write."""
    return bool(_codec(charset))


def _known(charset: str) -> str:
    codec = _codec(charset)
    if not codec:
        raise UnknownCharset(f"unknown charset: {charset[:_LONGEST_NAME]}")
    return codec


def _decode(data: bytes, codec: str, errors: str) -> str:
    if codec == GSM:
        return decode_gsm(data)
    if codec == _UTF_16:  # without a mark little endian, as on Kannel's machine
        if data[:2] == b"\xfe\xff":
            data, codec = data[2:], "utf-16-be"
        else:
            data, codec = data.removeprefix(b"\xff\xfe"), "utf-16-le"
    return codecs.decode(data, codec, errors)


def decode(data: bytes, charset: str) -> str:
    """The text of `data`; octets that mean nothing in `charset` become U+FFFD.

    Raises `UnknownCharset`.
    """
    return _decode(data, _known(charset), "replace")


def encode(text: str, charset: str, errors: str = "replace") -> bytes:
    """`text` in `charset`.

    `errors` says what a character becomes that the charset lacks: "replace" makes it "?", "utf-8"
    leaves its UTF-8 octets (as Kannel does for alt-charset), "strict" raises `UnicodeEncodeError`.
    Lone surrogates are replaced, except by "strict". Raises `UnknownCharset`.
    """
    codec = _known(charset)
    if codec == GSM:
        octets = encode_gsm(text, replace=errors != "strict")
        if octets is None:
            raise UnicodeEncodeError(GSM, text, 0, len(text), "not in GSM 03.38")
        return octets
    if errors == "utf-8":
        errors = _UTF8
    try:
        return _encode(text, codec, errors)
    except UnicodeEncodeError:  # a lone surrogate, and UTF-16 takes no odd octet in its place
        if errors == "strict":
            raise
        return _encode(_LONE_SURROGATE.sub("\ufffd", text), codec, errors)


def _encode(text: str, codec: str, errors: str) -> bytes:
    if codec == _UTF_16:
        return b"\xff\xfe" + codecs.encode(text, "utf-16-le", errors)
    return codecs.encode(text, codec, errors)


def recode(data: bytes, source: str, target: str) -> bytes:
    """`data` from one charset to another as Kannel does it.

    Octets that mean nothing in `source` are copied as they are, and so is the UTF-8 of characters
    that `target` lacks. The same charset on both sides changes nothing. Raises `UnknownCharset`.
    """
    codec, out = _known(source), _known(target)
    if codec == out:
        return data
    try:
        return encode(_decode(data, codec, "strict"), target, "utf-8")
    except UnicodeDecodeError:
        pass
    text = _decode(data, codec, _COPY)
    result = bytearray()
    place = 0
    for copied in _COPIED.finditer(text):
        result += encode(text[place : copied.start()], target, "utf-8")
        result += bytes(ord(character) - 0xDC00 for character in copied[0])
        place = copied.end()
    return bytes(result + encode(text[place:], target, "utf-8"))


def decode_utf8_cut(data: bytes) -> str:
    """The text of UTF-8 octets up to the first invalid one, where Kannel cuts a 7-bit text."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        return data[: error.start].decode()
