"""The grammar of a kannel.conf: lines, quotes, continuations, includes, groups, with their places.

A group is a run of `name = value` lines. In Kannel only a blank line ends it, and a missing blank
line melts two groups into one, which Kannel then refuses. Here a second `group =` line begins a new
group by itself, so that the snippet which RapidPro shows works as it is pasted. What a directive
means is no business of this module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from gatewayd.config.secrets import interpolate
from gatewayd.config.values import MAX_PROBLEMS
from gatewayd.errors import ConfigError, Problem

# Larger than any configuration; a mistaken include of a log or a device must not fill the memory.
MAX_FILE = 4 << 20
MAX_FILES = 256
# Ones that Kannel keeps once only: a second group of the kind takes the place of the first.
SINGLE_GROUPS = frozenset({"core", "smsbox", "wapbox", "ppg", "wtls", "radius-acct"})

_BLANKS = " \t\r\v\f"
_VARIABLE = re.compile(r"\$\{[A-Za-z_]")


class Line(NamedTuple):
    """One directive and where it stands; `number` is the physical line, 1-based."""

    file: str
    number: int
    name: str
    value: str


@dataclass(slots=True)
class Group:
    """One group. `lines` holds each directive once: of those written twice the last one wins."""

    kind: str
    place: Line  # its `group =` line
    lines: dict[str, Line] = field(default_factory=dict)
    repeated: list[Line] = field(default_factory=list)  # those that a later line replaced

    def add(self, line: Line) -> None:
        if line.name in self.lines:
            self.repeated.append(self.lines[line.name])
        self.lines[line.name] = line


class Notes:
    """The mistakes and warnings of a reading, each once, with file, line and directive."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._problems: dict[Problem, None] = {}
        self._warnings: dict[str, None] = {}
        self.cut_short = False  # an include failed: what is missing may stand behind it

    def error(self, line: Line, where: str, message: str) -> None:
        """Keep a mistake. `where` is ``group smsc, port``."""
        self._problem(Problem(line.file, line.number, where, message))

    def error_whole(self, message: str) -> None:
        """Keep a mistake of the whole file."""
        self._problem(Problem(self.file, 0, "", message))

    def warn(self, line: Line | None, where: str, message: str) -> None:
        """Keep a warning; without a line it concerns the whole file."""
        file, number = (line.file, line.number) if line else (self.file, 0)
        if len(self._warnings) < MAX_PROBLEMS:
            self._warnings[str(Problem(file, number, where, message))] = None

    def _problem(self, problem: Problem) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems[problem] = None

    @property
    def problems(self) -> list[Problem]:
        """The mistakes so far, those of one file in order of its lines."""
        return sorted(self._problems, key=lambda one: (one.file, one.line))

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings so far, as they came."""
        return tuple(self._warnings)

    def finish(self) -> tuple[str, ...]:
        """The warnings.

        Raises:
            ConfigError: a mistake was kept; with all of them.
        """
        if self._problems:
            raise ConfigError(self.problems)
        return self.warnings


class _Stop(Exception):
    """An include that cannot be followed: what comes after it would be read wrongly."""


def read_groups(path: str, environ: Mapping[str, str], notes: Notes) -> list[Group]:
    """The groups of the file `path` and of all that it includes, in the order they stand.

    `${NAME}` in a value becomes the environment's word. Mistakes go to `notes`; a line that is one
    is left out.
    """
    groups: list[Group] = []
    pending: list[Line] = []  # of a group whose `group =` line has not come yet
    current: Group | None = None
    try:
        for line in _lines(path, [], notes, None):
            if line.name == "":
                _without_group(pending, notes)
                pending, current = [], None
            elif line.name == "group":
                if current is None or line.value != current.kind or line.value not in SINGLE_GROUPS:
                    current = Group(line.value, line)
                    groups.append(current)
                for early in pending:
                    current.add(early)
                pending = []
            else:
                where = f"group {current.kind}, {line.name}" if current else line.name
                expanded = _expanded(line, where, environ, notes)
                if current is None:
                    pending.append(expanded)
                else:
                    current.add(expanded)
        _without_group(pending, notes)
    except _Stop:
        notes.cut_short = True
    return groups


def _without_group(pending: list[Line], notes: Notes) -> None:
    if pending:
        first = pending[0]
        message = "stands in no group; begin its group with a line such as: group = smsc"
        notes.error(first, first.name, message)


def _expanded(line: Line, where: str, environ: Mapping[str, str], notes: Notes) -> Line:
    """The line with `${NAME}` replaced; any other `${` is left as it is, as Kannel leaves it."""
    if not _VARIABLE.search(line.value):
        return line
    try:
        return line._replace(value=interpolate(line.value, environ))
    except ValueError as error:
        notes.error(line, where, str(error))
        return line


def _lines(path: str, above: list[str], notes: Notes, place: Line | None) -> Iterator[Line]:
    """The directives of a file, those included in their place; a blank line has the name ""."""
    text = _load(path, notes, place)
    above.append(path)
    number = 0
    physical = text.split("\n")
    while number < len(physical):
        raw = physical[number]
        number += 1
        first = number
        # Only a backslash that is the very last octet joins lines, in comments too.
        while raw.endswith("\\") and number < len(physical):
            raw = raw[:-1] + physical[number]
            number += 1
        stripped = raw.strip(_BLANKS)
        if not stripped:
            yield Line(path, first, "", "")
            continue
        if stripped.startswith("#"):
            continue
        name, equals, value = stripped.partition("=")
        line = Line(path, first, name.strip(_BLANKS), unquoted(value.strip(_BLANKS)))
        if not equals:
            shown = stripped if len(stripped) <= 40 else stripped[:37] + "..."
            notes.error(line, "", f'"{shown}" has no "="; comments begin with #')
        elif not line.name:
            notes.error(line, "", 'nothing stands before the "="')
        elif "include" in line.name or "include" in line.value:
            # Kannel looks for the word anywhere in the line, in values too.
            yield from _included(line, above, notes)
        else:
            yield line


def _included(line: Line, above: list[str], notes: Notes) -> Iterator[Line]:
    path = line.value
    if not os.path.isabs(path) and not os.path.exists(path):
        # Kannel takes it from the working directory; beside the file is what people expect.
        path = os.path.join(os.path.dirname(line.file), path)
    files = [path]
    if os.path.isdir(path):
        try:
            inside = [os.path.join(path, name) for name in sorted(os.listdir(path))]
        except OSError as error:
            notes.error(line, line.name, f"{path} cannot be read: {error.strerror}")
            raise _Stop from None
        files = [file for file in inside if os.path.isfile(file)]
    for file in files:
        if any(os.path.realpath(file) == os.path.realpath(one) for one in above):
            notes.error(line, line.name, f"{line.value} is already included; include it once")
            raise _Stop
        if len(above) >= MAX_FILES:
            notes.error(line, line.name, f"more than {MAX_FILES} files are included")
            raise _Stop
        yield from _lines(file, above, notes, line)


def _load(path: str, notes: Notes, place: Line | None) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        if place is None:
            notes.error_whole(f"cannot be read: {error.strerror}")
        else:
            hint = (
                ""
                if place.name == "include"
                else '; any line with the word "include" is an include, as in Kannel: '
                "write this value without the word"
            )
            shown = place.value if place.name == "include" else "what the line names"
            notes.error(place, place.name, f"{shown} cannot be included: {error.strerror}{hint}")
        raise _Stop from None
    except ValueError:
        notes.error_whole("has a NUL in its name")
        raise _Stop from None
    if len(data) > MAX_FILE:
        file_line = place or Line(path, 0, "", "")
        message = f"{path} is longer than {MAX_FILE >> 20} MB: not a configuration"
        notes.error(file_line, file_line.name, message)
        raise _Stop
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        message = "is not UTF-8 and is read as ISO-8859-1; save the file as UTF-8"
        notes.warn(Line(path, number, "", ""), "", message)
        return data.decode("latin-1")


def unquoted(value: str) -> str:
    r"""The value without its quotes, `\"` and `\\` inside them undone.

    Quotes count only when the value begins and ends with one; a backslash before anything else
    stays (a regex needs it).
    """
    if len(value) < 2 or not (value.startswith('"') and value.endswith('"')):
        return value
    inner = value[1:-1]
    if "\\" not in inner:
        return inner
    return re.sub(r'\\([\\"])', r"\1", inner)
