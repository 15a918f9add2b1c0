"""One group of a kannel.conf as typed values: numbers, booleans and lists as Kannel reads them."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from gatewayd.config.kannel_directives import GROUPS, Directive, Use
from gatewayd.config.kannel_file import Group, Line, Notes
from gatewayd.config.model import NumberRules, Secret
from gatewayd.config.posix import posix_regex
from gatewayd.config.validate import PLACEHOLDER_ID
from gatewayd.config.values import did_you_mean, regex, shown

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})

# As C's strtol with base 0: blanks, a sign, 0x for hexadecimal, 0 for octal, the rest ignored.
_INTEGER = re.compile(r"\s*([+-]?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})")

_NOT_IN_A_NAME = re.compile(r"[\s;,]|[^\x20-\x7e]")


def integer(text: str) -> int | None:
    """The number at the beginning of `text`; None when there is none."""
    found = _INTEGER.match(text)
    if not found:
        return None
    digits = found[2]
    if digits[:2] in ("0x", "0X"):
        value = int(digits, 16)
    elif digits[0] == "0":
        octal = re.match("[0-7]+", digits)
        value = int(octal[0], 8) if octal else 0
    else:
        value = int(digits)
    return -value if found[1] == "-" else value


class Section:
    """A group and where its mistakes go. Every directive asked for is one of the table."""

    def __init__(self, group: Group, notes: Notes) -> None:
        self.group = group
        self.notes = notes
        self.table: Mapping[str, Directive] = GROUPS[group.kind]

    def where(self, name: str = "") -> str:
        """The directive as an operator would name it: ``group smsc, port``."""
        return f"group {self.group.kind}, {name}" if name else f"group {self.group.kind}"

    def error(self, name: str, message: str) -> None:
        """Keep a mistake at the directive, or at the group when it is absent or ""."""
        line = self.group.lines.get(name, self.group.place)
        self.notes.error(line, self.where(name), message)

    def warn(self, name: str, message: str) -> None:
        """Keep a warning at the directive, or at the group when it is absent or ""."""
        line = self.group.lines.get(name, self.group.place)
        self.notes.warn(line, self.where(name), message)

    def given(self, name: str) -> bool:
        """Whether the directive stands in the group, with whatever value."""
        return name in self.group.lines

    def text(self, name: str) -> str:
        """The value as written, else Kannel's default."""
        line = self.group.lines.get(name)
        return self.table[name].default if line is None else line.value

    def maybe(self, name: str) -> str | None:
        """The value as written, None without one."""
        return self.text(name) if self.given(name) else None

    def required(self, name: str, example: str = "") -> str:
        """The value of a directive that Kannel does not start without."""
        if not self.given(name):
            hint = f"; write: {name} = {example}" if example else ""
            self.error(name, f"{name} is missing{hint}")
        return self.text(name)

    def secret(self, name: str) -> Secret:
        return Secret(self.text(name))

    def integer(self, name: str, low: int | None = None, high: int | None = None) -> int:
        """The number; without one the default. Outside of `low` and `high` is a mistake."""
        default = integer(self.table[name].default)
        line = self.group.lines.get(name)
        if line is None:
            return -1 if default is None else default
        value = integer(line.value)
        if value is None:
            self.warn(name, f"{shown(line.value)} is not a number; Kannel's default counts")
            return -1 if default is None else default
        plain = line.value.strip().lower()
        if plain.lstrip("+-").startswith("0") and not plain.lstrip("+-").startswith("0x"):
            if value and plain.lstrip("+-0").isdigit():
                self.warn(name, f"{shown(line.value)} is octal and means {value}")
        elif not re.fullmatch(r"[+-]?(?:0x[0-9a-f]+|[0-9]+)", plain):
            self.warn(name, f"{shown(line.value)} is read as {value}; the rest is ignored")
        if (low is not None and value < low) or (high is not None and value > high):
            limits = f"{low} or more" if high is None else f"{low}-{high}"
            self.error(name, f"{shown(line.value)} is out of range ({limits})")
            return -1 if default is None else default
        return value

    def seconds(self, name: str, low: float = 0.0) -> float:
        """A time; less than `low` counts as `low`, as for Kannel a time that is over."""
        return max(float(self.integer(name)), low)

    def number(self, name: str) -> float:
        line = self.group.lines.get(name)
        if line is None:
            return float(self.table[name].default)
        found = _NUMBER.match(line.value)
        if not found:
            self.warn(name, f"{shown(line.value)} is not a number and counts as nought")
        return float(found[0]) if found else 0.0

    def boolean(self, name: str) -> bool:
        """true, yes, on, 1 or false, no, off, 0; any other word is true, with a warning."""
        text = self.text(name).lower()
        if text not in _TRUE and text not in _FALSE:
            self.warn(name, f"{shown(text)} counts as true, as in Kannel; write true or false")
        return text not in _FALSE

    def words(self, name: str) -> tuple[str, ...]:
        """A list with semicolons, without its empty items."""
        line = self.group.lines.get(name)
        if line is None:
            return ()
        items = tuple(item for item in line.value.split(";") if item)
        if any(item != item.strip() for item in items):
            self.warn(name, "has blanks around its semicolons; they are taken out")
        return tuple(item.strip() for item in items if item.strip())

    def regex(self, name: str) -> str:
        """A POSIX extended expression, in Python's syntax."""
        text = self.text(name)
        try:
            return regex(posix_regex(text))
        except re.error as error:
            self.error(name, f"{shown(text)} is not a regular expression: {error}")
        except ValueError as error:
            self.error(name, str(error))
        return ""

    def port(self, name: str, low: int = 1) -> int:
        return self.integer(name, low, 65535)

    def numbers(self, suffix: str = "", *, prefixes: bool = True) -> NumberRules:
        """The lists of the group; `suffix` is -sender or -receiver in the core."""
        return NumberRules(
            allowed_prefixes=self.words("allowed-prefix") if prefixes else (),
            denied_prefixes=self.words("denied-prefix") if prefixes else (),
            white_list=self.text(f"white-list{suffix}"),
            black_list=self.text(f"black-list{suffix}"),
            white_list_regex=self.regex(f"white-list{suffix}-regex"),
            black_list_regex=self.regex(f"black-list{suffix}-regex"),
        )

    def addresses(self, who: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Who is let in and who is not; `who` is user or admin. Allowing alone shuts out nobody."""
        allowed, denied = self.words(f"{who}-allow-ip"), self.words(f"{who}-deny-ip")
        if allowed and not denied and not any(set(one) <= set("*.") for one in allowed):
            self.warn(
                f"{who}-allow-ip",
                f"shuts out nobody by itself, as in Kannel; {who}-deny-ip = *.*.*.* does",
            )
        return allowed, denied

    def check(self) -> None:
        """Tell every directive that is unknown, refused, unused, written twice or a placeholder."""
        for name, line in self.group.lines.items():
            directive = self.table.get(name)
            if directive is None:
                self._unknown(name)
            elif directive.use is Use.REFUSED:
                if line.value.lower() not in _FALSE:
                    self.error(name, f"is not possible here: {directive.word}")
            elif directive.use is Use.UNUSED:
                self.warn(name, f"is accepted and unused: {directive.word}")
            if line.value.strip() == PLACEHOLDER_ID:
                message = f"{PLACEHOLDER_ID} is a placeholder; write the smsc-id of your group smsc"
                self.error(name, message)
        for line in self.group.repeated:
            last = self.group.lines[line.name].number
            message = f"is written again on line {last}, and the last one counts"
            self.notes.warn(line, self.where(line.name), message)

    def _unknown(self, name: str) -> None:
        message = f"is no directive of this group{did_you_mean(name, self.table)}"
        others = [kind for kind, table in GROUPS.items() if name in table]
        if others:
            message = f"belongs to the group {' or '.join(others)}, not here"
        self.error(name, message)


def unique(word: str, taken: Container[str]) -> str:
    """`word` as a name for lanes and labels: no blanks, at most 64 octets, not one of `taken`."""
    plain = _NOT_IN_A_NAME.sub("_", word)[:56] or "unnamed"
    name, count = plain, 1
    while name in taken:
        count += 1
        name = f"{plain}#{count}"
    return name


def unknown_line(line: Line) -> str:
    """What to say of a group that nobody knows."""
    return f"{shown(line.value)} is no group of Kannel{did_you_mean(line.value, GROUPS)}"
