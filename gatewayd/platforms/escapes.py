"""Kannel's %-escapes: a URL or a text with `%p`, `%b` and the like becomes what it stands for.

A template is cut once into literals and functions of `Values`; expanding it is joining strings.
Which word a `%s` stands for depends only on its place in the template, so that is fixed at the
cutting as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

# What Kannel leaves as it is; every other octet becomes %XX, a space becomes "+".
_PLAIN: Final = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
)
_ENCODED: Final = {
    octet: chr(octet) if octet in _PLAIN else "+" if octet == 0x20 else f"%{octet:02X}"
    for octet in range(256)
}
# %S goes out as it came, but for octets that no URL may carry.
_BARE: Final = {
    octet: "~" if octet == 0x2A else chr(octet) if 0x20 < octet < 0x7F else f"%{octet:02X}"
    for octet in range(256)
}


_NOT_FOR_SHELL: Final = re.compile(r"[^A-Za-z0-9_.%+-]")


def url_encode(data: bytes) -> str:
    """`data` as Kannel writes it into a URL: a space as "+", upper-case hex."""
    return data.decode("latin-1").translate(_ENCODED)


def _encode_text(text: str) -> str:
    try:
        return url_encode(text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # half a surrogate pair, from a phone or a caller
        return url_encode(text.encode("utf-8", "replace"))


class Values:
    """What the escapes of one message or report stand for.

    `text` is the message's octets, or the receipt's text; `time` is in seconds since the epoch;
    `dlr` is -1 for an MO. Numbers are -1 when they are not given.
    """

    __slots__ = (
        "_words",
        "account",
        "binfo",
        "charset",
        "coding",
        "dcs",
        "dlr",
        "dlr_url",
        "foreign_id",
        "mclass",
        "meta",
        "mwi",
        "receiver",
        "sender",
        "service",
        "smsc",
        "text",
        "time",
        "udh",
        "uuid",
    )

    def __init__(
        self,
        *,
        text: bytes,
        sender: str,
        receiver: str,
        smsc: str,
        uuid: str,
        time: float,
        service: str,
        dlr: int = -1,
        foreign_id: str = "",
        coding: int = -1,
        charset: str = "UTF-8",
        mclass: int = -1,
        mwi: int = -1,
        dcs: int = 0,
        udh: bytes = b"",
        binfo: str = "",
        account: str = "",
        meta: str = "",
        dlr_url: str = "",
    ) -> None:
        self.text = text
        self.sender = sender
        self.receiver = receiver
        self.smsc = smsc
        self.uuid = uuid
        self.time = time
        self.service = service
        self.dlr = dlr
        self.foreign_id = foreign_id
        self.coding = coding
        self.charset = charset
        self.mclass = mclass
        self.mwi = mwi
        self.dcs = dcs
        self.udh = udh
        self.binfo = binfo
        self.account = account
        self.meta = meta
        self.dlr_url = dlr_url
        self._words: list[bytes] | None = None

    @property
    def words(self) -> list[bytes]:
        """The text cut at blanks, octet by octet: UCS-2 texts too, as Kannel does."""
        words = self._words
        if words is None:
            words = self._words = self.text.split()
        return words


Getter = Callable[[Values], str]


class Needs(NamedTuple):
    """How many words behind the keyword a template takes; `rest`: it takes more as well."""

    words: int
    rest: bool


def format_time(seconds: float) -> str:
    """`YYYY-MM-DD hh:mm:ss` in UTC; a time no calendar holds becomes the epoch."""
    try:
        moment = datetime.fromtimestamp(int(seconds), UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def meta_value(meta: str, group: str, key: str) -> bytes:
    """One value of Kannel's meta-data, `?group?key=value&...`; b"" when it is not there."""
    pieces = meta.split("?")
    for name, pairs in zip(pieces[1::2], pieces[2::2], strict=False):
        if name != group:
            continue
        for pair in pairs.split("&"):
            found, _, value = pair.partition("=")
            if found == key:
                return unquote_to_bytes(value.replace("+", " "))
    return b""


def _for_shell(text: str) -> str:
    text = _NOT_FOR_SHELL.sub(lambda match: f"%{ord(match[0]):02X}", text)
    return f"%2D{text[1:]}" if text[:1] == "-" and not text[1:].isdigit() else text


def _plus_for_zeros(number: str) -> str:
    return "%2B" + _encode_text(number[2:]) if number[:2] == "00" else _encode_text(number)


def _nothing(_values: Values) -> str:
    # Validity, deferred time and the SMSC's own number are never known of an MO or a report.
    return ""


_GETTERS: Final[dict[str, Getter]] = {
    "k": lambda v: url_encode(v.words[0]) if v.words else "",
    "a": lambda v: url_encode(b" ".join(v.words)),
    "b": lambda v: url_encode(v.text),
    "A": lambda v: url_encode(v.text),
    "e": lambda v: v.text.hex().upper(),
    "t": lambda v: format_time(v.time).replace(" ", "+"),
    "T": lambda v: str(int(v.time)),
    "p": lambda v: _encode_text(v.sender),
    "P": lambda v: _encode_text(v.receiver),
    "q": lambda v: _plus_for_zeros(v.sender),
    "Q": lambda v: _plus_for_zeros(v.receiver),
    "i": lambda v: _encode_text(v.smsc),
    "I": lambda v: v.uuid,
    "d": lambda v: str(v.dlr),
    "F": lambda v: _encode_text(v.foreign_id),
    "n": lambda v: _encode_text(v.service),
    "c": lambda v: str(v.coding),
    "C": lambda v: _encode_text(v.charset),
    "m": lambda v: str(v.mclass),
    "M": lambda v: str(v.mwi),
    "u": lambda v: url_encode(v.udh),
    "B": lambda v: _encode_text(v.binfo),
    "o": lambda v: _encode_text(v.account),
    "O": lambda v: f"{v.dcs:02d}",
    "D": lambda v: _encode_text(v.meta),
    "R": lambda v: _encode_text(v.dlr_url),
    "v": _nothing,
    "V": _nothing,
    "f": _nothing,
}
# The first group: a meta-data value; the second: a letter that means something.
_ESCAPE: Final = re.compile(r"%(?:#([^#%]*)#([^#%]*)#|([%sSr" + "".join(_GETTERS) + "]))")

# What stands behind the % of the others; none: another %, or the end.
_LONGER: Final = frozenset({"", "#", "s", "S", "r"})


def _meta_getter(group: str, key: str) -> Getter:
    return lambda values: url_encode(meta_value(values.meta, group, key))


def _word_getter(index: int) -> Getter:
    def word(values: Values) -> str:
        words = values.words
        return url_encode(words[index]) if index < len(words) else ""

    return word


def _bare_word_getter(index: int) -> Getter:
    def word(values: Values) -> str:
        words = values.words
        return words[index].decode("latin-1").translate(_BARE) if index < len(words) else ""

    return word


def _rest_getter(index: int) -> Getter:
    return lambda values: url_encode(b" ".join(values.words[index:]))


class Template:
    """A compiled text; `needs` tells how many words it takes from a message."""

    __slots__ = ("_parts", "needs")

    def __init__(self, parts: tuple[str | Getter, ...], needs: Needs) -> None:
        self._parts = parts
        self.needs = needs

    def expand(self, values: Values) -> str:
        """The text with every escape replaced."""
        return "".join([part if isinstance(part, str) else part(values) for part in self._parts])

    def command(self, values: Values) -> str:
        """The text as a command line: no value means anything to the shell, or is an option."""
        return "".join(
            [part if isinstance(part, str) else _for_shell(part(values)) for part in self._parts]
        )


def compile_once(text: str) -> Template:
    """Cut `text` into literals and escapes, without remembering it; never fails."""
    parts: list[str | Getter] = []
    at, word, used, rest = 0, 1, 0, False
    for match in _ESCAPE.finditer(text):
        if match.start() > at:
            parts.append(text[at : match.start()])
        at = match.end()
        group, key, letter = match.groups()
        if letter is None:
            parts.append(_meta_getter(group, key))
        elif letter == "%":
            parts.append("%")
        elif letter in "sS":
            parts.append(_word_getter(word) if letter == "s" else _bare_word_getter(word))
            word += 1
            used += 1
        elif letter == "r":
            parts.append(_rest_getter(word))
            rest = True
        else:
            parts.append(_GETTERS[letter])
            rest = rest or letter == "a"
    if at < len(text):
        parts.append(text[at:])
    return Template(tuple(parts), Needs(used, rest))


def expand(text: str, values: Values) -> str:
    """`text` with every escape replaced: for what is used once, as the URL of a report.

    As `compile_once(text).expand(values)`, sooner where each escape is of one letter.
    """
    pieces = text.split("%")
    for index in range(1, len(pieces)):
        piece = pieces[index]
        letter = piece[:1]
        if letter in _LONGER:
            return compile_once(text).expand(values)
        getter = _GETTERS.get(letter)
        pieces[index] = f"%{piece}" if getter is None else getter(values) + piece[1:]
    return "".join(pieces)


# For the URLs of channels: few, and used for every message. Reports bring a URL of their own each.
compile = lru_cache(maxsize=1024)(compile_once)


def words_needed(text: str) -> Needs:
    """How many words behind the keyword `text` takes (`%s`, `%S`), and if `%r` or `%a` is in it."""
    return compile(text).needs
