"""What only CIMD2 has: the entries ``name=value`` of an SMSC's `options`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

MOST_RETRANSMISSIONS = 10


@dataclass(frozen=True, slots=True)
class Cimd2Options:
    """How CIMD2 is spoken with one SMSC; each field is an option, `_` written as `-`.

    Codes are error codes (parameter 900), but for `buffered`, which has status codes (061).
    """

    checksum: str = "optional"  # of what comes in: required | optional | ignored
    send_checksum: bool = True
    sub_address: str = ""  # parameter 012 of the login
    temporary: frozenset[int] = frozenset({4, 5, 6, 9, 102, 103})  # submits to try again
    throttling: frozenset[int] = frozenset({10})  # codes that pause the bind
    refused: frozenset[int] = frozenset({100, 101, 107, 108})  # logins: wrong credentials
    reason: str = ""  # told in every report on a refused submit; "": code and text
    retransmit: int = 1  # how often a packet is sent again after a nack
    ids: str = "all"  # all | asked: only submits that asked for a report get an id
    long_numbers: str = "refuse"  # addresses and tariff classes that are too long: refuse | cut
    originator: str = "coded"  # an alphanumeric sender: coded as texts are | raw UTF-8
    incomplete: str = "deliver"  # MO without number or text: deliver | drop
    buffered: frozenset[int] = frozenset({1, 5})  # status codes reported as "buffered"
    leave_out: frozenset[int] = frozenset()  # parameters that no submit carries


def _numbers(value: str) -> frozenset[int]:
    words = value.replace(",", " ").split()
    if not all(word.isascii() and word.isdigit() and len(word) <= 3 for word in words):
        raise ValueError("is no list of numbers")
    return frozenset(map(int, words))


def _choice(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"is none of {', '.join(words)}")
        return value

    return read


def _yes_no(value: str) -> bool:
    return _choice("yes", "no")(value) == "yes"


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:4]) <= MOST_RETRANSMISSIONS):
        raise ValueError(f"is no number up to {MOST_RETRANSMISSIONS}")
    return int(value)


_READERS: dict[str, Callable[[str], object]] = {
    "checksum": _choice("required", "optional", "ignored"),
    "send-checksum": _yes_no,
    "sub-address": str,
    "temporary": _numbers,
    "throttling": _numbers,
    "refused": _numbers,
    "reason": str,
    "retransmit": _count,
    "ids": _choice("all", "asked"),
    "long-numbers": _choice("refuse", "cut"),
    "originator": _choice("coded", "raw"),
    "incomplete": _choice("deliver", "drop"),
    "buffered": _numbers,
    "leave-out": _numbers,
}


def parse(entries: Iterable[str]) -> tuple[Cimd2Options, list[str]]:
    """The options, and what is wrong with entries that therefore do not count."""
    found: dict[str, object] = {}
    wrong: list[str] = []
    for entry in entries:
        name, _, value = entry.partition("=")
        reader = _READERS.get(name)
        if reader is None:
            wrong.append(f"{name}: CIMD2 has no such option")
            continue
        try:
            found[name.replace("-", "_")] = reader(value.strip())
        except ValueError as error:
            wrong.append(f"{name} {error}")
    return replace(Cimd2Options(), **found), wrong  # type: ignore[arg-type]
