"""One event of the access log, and the %-codes that write it as a line. Pure but for the time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_plus

from gatewayd.model import Coding

STANDARD: Final = (
    "%l [SMSC:%i] [SVC:%n] [ACT:%A] [BINF:%B] [FID:%F] [META:%D] [from:%p] [to:%P] "
    "[flags:%m:%c:%M:%C:%d] [msg:%L:%b] [udh:%U:%u]"
)
_PRINTABLE: Final = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CODE: Final = re.compile("%(.)", re.DOTALL)


@dataclass(slots=True)
class Entry:
    """One event as the escape codes see it. Numbers are -1 when they are not given."""

    event: str
    smsc: str = ""
    service: str = ""
    account: str = ""
    binfo: str = ""
    foreign_id: str = ""
    meta: str = ""
    sender: str = ""
    receiver: str = ""
    mclass: int = -1
    coding: int = -1
    mwi: int = -1
    compress: int = -1
    mask: int = -1
    octets: bytes = b""  # the message: UTF-8, or with coding 1 and 2 what goes as hex
    udh: bytes = b""
    uuid: str = ""
    dlr_url: str = ""
    report: bool = False


def one_line(text: str) -> str:
    """`text` without what could begin another line, or steer a terminal."""
    return _CONTROL.sub(".", text)


def _message(entry: Entry) -> str:
    if entry.coding in (Coding.OCTETS, Coding.UCS2):
        return entry.octets.hex().upper()
    return entry.octets.translate(_PRINTABLE).decode("ascii")


class _Words:
    """The message cut at blanks; each %s takes the next word."""

    __slots__ = ("_next", "_words")

    def __init__(self, entry: Entry) -> None:
        self._words = _message(entry).split()
        self._next = 1

    def first(self) -> str:
        return self._words[0] if self._words else ""

    def following(self) -> str:
        self._next += 1
        return self._words[self._next - 1] if self._next <= len(self._words) else ""

    def rest(self) -> str:
        return "+".join(quote_plus(word, safe=":!*'()") for word in self._words[self._next :])

    def all(self) -> str:
        return " ".join(self._words)


_FIELDS: Final[dict[str, Callable[[Entry], str]]] = {
    "l": lambda entry: entry.event,
    "i": lambda entry: entry.smsc,
    "n": lambda entry: entry.service,
    "A": lambda entry: entry.account,
    "B": lambda entry: entry.binfo,
    "F": lambda entry: entry.foreign_id,
    "D": lambda entry: entry.meta,
    "p": lambda entry: entry.sender,
    "P": lambda entry: entry.receiver,
    "m": lambda entry: str(entry.mclass),
    "c": lambda entry: str(entry.coding),
    "M": lambda entry: str(entry.mwi),
    "C": lambda entry: str(entry.compress),
    "d": lambda entry: str(entry.mask),
    "L": lambda entry: str(len(entry.octets)),
    "b": _message,
    "U": lambda entry: str(len(entry.udh)),
    "u": lambda entry: entry.udh.hex().upper(),
    "I": lambda entry: entry.uuid,
    "R": lambda entry: entry.dlr_url,
    "N": lambda entry: _message(entry) if entry.report else "",
    "x": lambda entry: "",
    "%": lambda entry: "%",
}
_WORDS: Final[dict[str, Callable[[_Words], str]]] = {
    "k": _Words.first,
    "s": _Words.following,
    "S": _Words.following,
    "r": _Words.rest,
    "a": _Words.all,
}


def compiled(
    form: str, now: Callable[[], str], wall: Callable[[], float]
) -> Callable[[Entry], str]:
    """`form` cut once; codes that Kannel does not know stay as they are."""
    if form == STANDARD:
        return _standard
    pieces = _CODE.split(form)
    fields = dict(_FIELDS)
    fields["t"] = lambda entry: now()
    fields["T"] = lambda entry: str(int(wall()))

    def write(entry: Entry) -> str:
        words = _Words(entry)
        line = [pieces[0]]
        for code, text in zip(pieces[1::2], pieces[2::2], strict=True):
            if code in fields:
                line.append(fields[code](entry))
            elif code in _WORDS:
                line.append(_WORDS[code](words))
            else:
                line.append(f"%{code}")
            line.append(text)
        return "".join(line)

    return write


def _standard(e: Entry) -> str:
    return (
        f"{e.event} [SMSC:{e.smsc}] [SVC:{e.service}] [ACT:{e.account}] [BINF:{e.binfo}] "
        f"[FID:{e.foreign_id}] [META:{e.meta}] [from:{e.sender}] [to:{e.receiver}] "
        f"[flags:{e.mclass}:{e.coding}:{e.mwi}:{e.compress}:{e.mask}] "
        f"[msg:{len(e.octets)}:{_message(e)}] [udh:{len(e.udh)}:{e.udh.hex().upper()}]"
    )
