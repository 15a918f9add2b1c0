"""Which numbers are let through: prefixes, lists, regular expressions. Pure."""

from __future__ import annotations

import re

from gatewayd.config import NumberRules


class Numbers:
    """The rules of one NumberRules, compiled. The contents of list files come by `set_lists`."""

    __slots__ = ("_black", "_black_regex", "_rules", "_white", "_white_regex")

    def __init__(self, rules: NumberRules) -> None:
        self._rules = rules
        self._white_regex = re.compile(rules.white_list_regex) if rules.white_list_regex else None
        self._black_regex = re.compile(rules.black_list_regex) if rules.black_list_regex else None
        self._white: frozenset[str] | None = None
        self._black: frozenset[str] | None = None

    def set_lists(self, white: frozenset[str] | None, black: frozenset[str] | None) -> None:
        """The contents of the list files; None where none is configured."""
        self._white = white
        self._black = black

    def listed(self, number: str) -> str:
        """As `barred`, in the words of Kannel's access log: "black-regex-listed"."""
        if self._white is not None and number not in self._white:
            return "not white-listed"
        if self._white_regex is not None and not self._white_regex.search(number):
            return "not white-regex-listed"
        if self._black is not None and number in self._black:
            return "black-listed"
        if self._black_regex is not None and self._black_regex.search(number):
            return "black-regex-listed"
        return ""

    def barred(self, number: str, what: str) -> str:
        """Why `number` is not let through ("sender not in white-list"); "" when it is."""
        rules = self._rules
        if self._white is not None and number not in self._white:
            return f"{what} not in white-list"
        if self._white_regex is not None and not self._white_regex.search(number):
            return f"{what} not in white-list"
        if self._black is not None and number in self._black:
            return f"{what} in black-list"
        if self._black_regex is not None and self._black_regex.search(number):
            return f"{what} in black-list"
        if rules.allowed_prefixes and not number.startswith(rules.allowed_prefixes):
            return f"{what} prefix not allowed"
        if rules.denied_prefixes and number.startswith(rules.denied_prefixes):
            return f"{what} prefix denied"
        return ""
