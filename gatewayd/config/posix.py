r"""POSIX extended regular expressions, as kannel.conf has them, written for Python's `re`. Pure.

What differs: classes within brackets (`[[:digit:]]`), a second quantifier behind a quantifier, the
word anchors of the GNU C library, `$`, which is the very end, and the dot, which matches a newline
too. What means nothing to POSIX is left to Python (`(?:...)`, `\d`, a backslash within brackets),
so that expressions written for Python pass unharmed.
"""

from __future__ import annotations

import re
from typing import Final

_CLASSES: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_GNU_ESCAPES: Final = {"<": r"\b(?=\w)", ">": r"\b(?<=\w)", "`": r"\A", "'": r"\Z"}
_QUANTIFIER: Final = re.compile(r"[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\}")


_SIMPLE: Final = frozenset("*+?")


class _Translator:
    """One expression on its way; `_atom` is where in `_out` the last repeatable piece began."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._out: list[str] = []
        self._groups: list[int] = []
        self._atom = -1  # -1: there is nothing that a quantifier could repeat
        self._quantifier = ""  # the one that was put last, if nothing came behind it

    def run(self) -> str:
        at, end = 0, len(self._pattern)
        while at < end:
            found = _QUANTIFIER.match(self._pattern, at)
            if found:
                self._quantify(found[0])
                at = found.end()
            else:
                self._quantifier = ""
                at = self._piece(at)
        if self._groups:
            raise re.error("missing )", self._pattern, end)
        return "".join(self._out)

    def _quantify(self, quantifier: str) -> None:
        if self._atom < 0:  # the C library skips an operator that has nothing to repeat
            return
        last = self._quantifier
        if last and last in _SIMPLE and quantifier in _SIMPLE:
            # One says the same, and keeps the matching short.
            quantifier = last if last == quantifier else "*"
            self._out.pop()
        elif last:  # in Python the second one would change the meaning of the first
            self._out.insert(self._atom, "(?:")
            self._out.append(")")
        self._out.append(quantifier)
        self._quantifier = quantifier

    def _piece(self, at: int) -> int:
        """Translate what stands at `at`, and say what stands behind it."""
        char = self._pattern[at]
        began = len(self._out)
        behind = at + 1
        text = char
        if char == "[":
            text, behind = self._bracket(behind)
        elif char == "(":
            self._groups.append(began)
            began = -1
            if self._pattern[behind : behind + 1] == "?":
                text = "(?"
                behind += 1
        elif char == ")":
            if not self._groups:
                raise re.error("unbalanced )", self._pattern, at)
            began = self._groups.pop()
        elif char in "|^":
            began = -1
        elif char == "$":
            text, began = r"\Z", -1
        elif char == "\\" and behind < len(self._pattern):
            text = _escaped(self._pattern[behind])
            behind += 1
        elif char != ".":
            text = re.escape(char)
        self._out.append(text)
        self._atom = began
        return behind

    def _bracket(self, at: int) -> tuple[str, int]:
        """The bracket expression whose `[` stands before `at`, and the place behind it."""
        pattern, start = self._pattern, at
        out = ["["]
        if pattern[at : at + 1] == "^":
            out.append("^")
            at += 1
        first = at
        while at < len(pattern):
            char = pattern[at]
            if char == "]" and at > first:
                return "".join(out) + "]", at + 1
            if pattern.startswith(("[:", "[=", "[."), at):
                kind = pattern[at + 1]
                close = pattern.find(kind + "]", at + 2)
                name = pattern[at + 2 : close] if close > 0 else ""
                found = _CLASSES.get(name) if kind == ":" else re.escape(name)
                if not found:
                    raise re.error(f"no such class: {name!r}", pattern, at)
                out.append(found)
                at = close + 2
            elif char == "\\":
                out.append(pattern[at : at + 2])
                at += 2
            else:
                out.append(char if char == "-" else re.escape(char))
                at += 1
        raise re.error("missing ]", pattern, start)


def _escaped(char: str) -> str:
    if char.isalnum():
        return "\\" + char
    return _GNU_ESCAPES.get(char) or re.escape(char)


def posix_regex(pattern: str) -> str:
    """`pattern` in Python's syntax; raises `re.error` for what is no expression."""
    return _Translator(pattern).run()


def compile_posix(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """`pattern`, compiled; raises `re.error` for what is no expression."""
    return re.compile(posix_regex(pattern), flags | re.DOTALL)
