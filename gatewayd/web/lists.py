"""White and black lists of numbers: prefixes, regular expressions, files and URLs."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.request import urlopen

from gatewayd.config.model import NumberRules
from gatewayd.errors import ConfigError, Problem

_TIMEOUT = 10.0  # seconds
_LARGEST_LIST = 256 * 1024 * 1024  # octets


def read_source(source: str) -> bytes:
    """The octets of a file or of an ``http:``, ``https:`` or ``file:`` URL.

    Blocks until they are there, at most 10 s between two pieces. Raises OSError.
    """
    if source.startswith(("http://", "https://", "file://")):
        with urlopen(source, timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme was looked at
            data: bytes = answer.read(_LARGEST_LIST + 1)
    else:
        with open(source, "rb") as file:
            data = file.read(_LARGEST_LIST + 1)
    if len(data) > _LARGEST_LIST:
        raise OSError(f"larger than {_LARGEST_LIST} octets")
    return data


def digits_of(number: str) -> str:
    """What two spellings of one number have in common: its digits without leading zeros."""
    if not (number.isascii() and number.isdigit()):
        number = "".join(character for character in number if character in "0123456789")
    return number.lstrip("0")


def parse_numbers(data: bytes) -> frozenset[str]:
    """The numbers of a list, one a line; lines without digits and ``#`` comments do not count."""
    numbers = set()
    for line in data.decode("latin-1").splitlines():
        if digits := digits_of(line.partition("#")[0]):
            numbers.add(digits)
    return frozenset(numbers)


class NumberCheck:
    """One set of `NumberRules`, ready to be asked.

    Making it reads its lists and so blocks. Raises ConfigError for a list that cannot be read and
    for a regular expression that is none; `where` names the rules in its message.
    """

    def __init__(
        self, rules: NumberRules, where: str = "", read: Callable[[str], bytes] = read_source
    ) -> None:
        self._where = where
        self._read = read
        self._problems: list[Problem] = []
        self._allowed = rules.allowed_prefixes
        self._denied = rules.denied_prefixes
        self._white = self._list(rules.white_list, "white-list")
        self._black = self._list(rules.black_list, "black-list")
        self._white_regex = self._regex(rules.white_list_regex, "white-list-regex")
        self._black_regex = self._regex(rules.black_list_regex, "black-list-regex")
        self.idle = rules == NumberRules()
        if self._problems:
            raise ConfigError(self._problems)

    def _list(self, source: str, key: str) -> frozenset[str] | None:
        if not source:
            return None
        try:
            return parse_numbers(self._read(source))
        except OSError as error:
            self._wrong(key, f"cannot read {source}: {error}")
            return None

    def _regex(self, pattern: str, key: str) -> re.Pattern[str] | None:
        if not pattern:
            return None
        try:
            return re.compile(pattern)
        except re.error as error:
            self._wrong(key, f"not a regular expression: {error}")
            return None

    def _wrong(self, key: str, message: str) -> None:
        self._problems.append(Problem("", 0, f"{self._where} {key}".strip(), message))

    def admit(self, number: str) -> bool:
        """Whether `number` is let through."""
        if self.idle:
            return True
        return self._admit_prefix(number) and self._admit_listed(number)

    def _admit_prefix(self, number: str) -> bool:
        # both set: refused only when not allowed and denied, as for an SMSC
        if self._allowed and not number.startswith(self._allowed):
            return bool(self._denied) and not number.startswith(self._denied)
        return bool(self._allowed) or not number.startswith(self._denied)

    def _admit_listed(self, number: str) -> bool:
        digits = digits_of(number)
        if self._white is not None and digits not in self._white:
            return False
        if self._black is not None and digits in self._black:
            return False
        if self._white_regex and not self._white_regex.search(number):
            return False
        return not (self._black_regex and self._black_regex.search(number))
