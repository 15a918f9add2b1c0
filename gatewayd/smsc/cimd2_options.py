"""What only CIMD2 has: the entries ``name=value`` of an SMSC's `options`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gatewayd.smsc import options
from gatewayd.smsc.options import Wrong, choice, codes, whole, yes_no

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


_CODES = codes(999)
READERS: options.Readers = {
    "checksum": choice("required", "optional", "ignored"),
    "send-checksum": yes_no,
    "sub-address": str,
    "temporary": _CODES,
    "throttling": _CODES,
    "refused": _CODES,
    "reason": str,
    "retransmit": whole(MOST_RETRANSMISSIONS),
    "ids": choice("all", "asked"),
    "long-numbers": choice("refuse", "cut"),
    "originator": choice("coded", "raw"),
    "incomplete": choice("deliver", "drop"),
    "buffered": _CODES,
    "leave-out": _CODES,
}


def parse(entries: Iterable[str]) -> tuple[Cimd2Options, list[str]]:
    """The options, and what is wrong with entries that therefore do not count."""
    pairs, wrong = options.read(entries, READERS)
    found = {name.replace("-", "_"): value for name, value in pairs}
    told = [each.message for each in wrong]
    return replace(Cimd2Options(), **found), told  # type: ignore[arg-type]


def check(entries: Iterable[str]) -> list[Wrong]:
    """What is wrong with the entries."""
    return options.read(entries, READERS)[1]
