"""The entries ``name=value`` of an SMSC's `options`: what only its protocol has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from gatewayd.config.values import did_you_mean, shown

Readers = Mapping[str, Callable[[str], object]]
"""By name: what makes its value; it raises ValueError with the end of a sentence."""


class Wrong(NamedTuple):
    """An entry that therefore does not count."""

    place: int  # among the entries, from 0
    name: str
    message: str


def read(entries: Iterable[str], readers: Readers) -> tuple[list[tuple[str, object]], list[Wrong]]:
    """Names and values, in order, and what is wrong."""
    found: list[tuple[str, object]] = []
    wrong: list[Wrong] = []
    for index, entry in enumerate(entries):
        name, _, value = entry.partition("=")
        reader = readers.get(name)
        if reader is None:
            known = did_you_mean(name, readers)
            wrong.append(Wrong(index, name, f"{shown(name)} is no option of this protocol{known}"))
            continue
        try:
            found.append((name, reader(value.strip())))
        except ValueError as error:
            wrong.append(Wrong(index, name, f"{name} {error}"))
    return found, wrong


def no_options(entries: Iterable[str]) -> list[Wrong]:
    """What is wrong when the protocol has no options of its own: every one."""
    return [
        Wrong(index, entry.partition("=")[0], "this protocol has no options of its own")
        for index, entry in enumerate(entries)
    ]


def choice(*words: str) -> Callable[[str], str]:
    def read_choice(value: str) -> str:
        if value not in words:
            near = did_you_mean(value, words)
            raise ValueError(f"is {shown(value)}, which is none of {', '.join(words)}{near}")
        return value

    return read_choice


def yes_no(value: str) -> bool:
    return choice("yes", "no")(value) == "yes"


def whole(most: int) -> Callable[[str], int]:
    """A number from 0 to `most`."""

    def read_whole(value: str) -> int:
        if not _is_number(value) or int(value[:9]) > most:
            raise ValueError(f"is {shown(value)}, which is no number from 0 to {most}")
        return int(value)

    return read_whole


def codes(most: int) -> Callable[[str], frozenset[int]]:
    """Numbers up to `most`, between commas or blanks; none at all is an empty set."""
    one = whole(most)
    return lambda value: frozenset(one(word) for word in value.replace(",", " ").split())


def digits(longest: int) -> Callable[[str], str]:
    """At most so many digits; none at all is allowed."""

    def read_digits(value: str) -> str:
        if value and (not _is_number(value) or len(value) > longest):
            raise ValueError(f"is {shown(value)}; at most {longest} digits are expected")
        return value

    return read_digits


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()
