"""Single values of a configuration file, and the gathering of every mistake in it.

Both readers use these: a parser takes the text of one value and gives what it means, or raises
ValueError with a sentence that says what is wrong and what would be right. `Problems` keeps those
sentences with file, line and key, so that an operator sees all of them at once.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from enum import Enum
from ipaddress import ip_address, ip_network
from typing import TypeVar
from urllib.parse import urlsplit

from gatewayd.errors import ConfigError, Problem

T = TypeVar("T")
E = TypeVar("E", bound=Enum)

Path = tuple[str | int, ...]

# More than anybody mends in one go; a file of nonsense must not make a book of complaints.
MAX_PROBLEMS = 1000

_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)(ms|s|m|h|d|w)?")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"([0-9]{1,15})(?: ?([kKMG])(?:i?[bB])?| ?[bB])?")
_FACTOR = {None: 1, "k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_OCTET_PATTERN = re.compile(r"\*|[0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Other names of protocols: what each means, and the word for `check`.
OTHER_NAMES = {
    "cimd3": ("cimd2", "is spoken as cimd2; no CIMD3 was published, so ask the operator about it"),
}

_NOT_IN_A_LIST_ITEM = re.compile(r"[\s;,]")


class Problems:
    """Every mistake and every warning about one file.

    A reader tells with `mark` where it found something; checks that run later on the finished
    dataclasses name the same path, and the problem gets its line and key from there.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Problem] = []
        self.warnings: list[str] = []
        self._places: dict[Path, tuple[int, str]] = {}

    def error(self, line: int, where: str, message: str) -> None:
        """Keep one mistake; `line` 1-based (0: the whole file), `where` the key as written."""
        if len(self.found) < MAX_PROBLEMS:
            self.found.append(Problem(self.file, line, where, message))

    def warn(self, line: int, where: str, message: str) -> None:
        """Keep something that is allowed and yet worth a word."""
        if len(self.warnings) < MAX_PROBLEMS:
            self.warnings.append(str(Problem(self.file, line, where, message)))

    def mark(self, path: Path, line: int, where: str) -> None:
        """Remember that the value `path` (fields and indexes: ("smscs", 0, "port")) stands here."""
        self._places[path] = (line, where)

    def is_marked(self, path: Path) -> bool:
        """Whether `path` itself stands in the file."""
        return path in self._places

    def place(self, path: Path) -> tuple[int, str]:
        """Line and key of `path`, or of the nearest thing around it that was marked."""
        while path:
            if path in self._places:
                return self._places[path]
            path = path[:-1]
        return 0, ""

    def error_at(self, path: Path, message: str) -> None:
        """Like `error`, for something that was marked."""
        self.error(*self.place(path), message)

    def warn_at(self, path: Path, message: str) -> None:
        """Like `warn`, for something that was marked."""
        self.warn(*self.place(path), message)

    def parse(self, line: int, where: str, parser: Callable[[str], T], text: str, default: T) -> T:
        """What `parser` makes of `text`; its complaint is kept, and `default` given instead."""
        try:
            return parser(text)
        except ValueError as error:
            self.error(line, where, str(error))
            return default

    def finish(self) -> tuple[str, ...]:
        """The warnings, in the order of the file's reading.

        Raises:
            ConfigError: when any mistake was kept; its problems are in the order of the lines.
        """
        if self.found:
            raise ConfigError(sorted(self.found, key=lambda problem: problem.line))
        return tuple(self.warnings)


def shown(text: str) -> str:
    """`text` fit for a message: one line, no control characters, not longer than 60 characters."""
    if not text:
        return '""'
    text = text if len(text) <= 60 else text[:57] + "..."
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def nearest(word: str, known: Iterable[str]) -> str:
    """The known word that `word` was probably meant to be; "" when none is near."""
    plain = {name.lower().replace("_", "-"): name for name in known}
    close = get_close_matches(word[:64].lower().replace("_", "-"), plain, 1, 0.6)
    return plain[close[0]] if close else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " (did you mean port?)", or "" when nothing is near; to end a sentence with."""
    found = nearest(word, known)
    return f" (did you mean {found}?)" if found else ""


def string(text: str) -> str:
    """One line of text: names, addresses, paths."""
    if found := _CONTROL.search(text):
        raise ValueError(f"holds the control character \\x{ord(found[0]):02x}; take it out")
    return text


def prose(text: str) -> str:
    """Text for people's phones: line ends and tabs are allowed, NUL is not."""
    if "\x00" in text:
        raise ValueError("holds the control character \\x00; take it out")
    return text


def name(text: str) -> str:
    """A name used in labels, logs and URLs: 1-64 printable characters without blanks."""
    if not 0 < len(text) <= 64 or not text.isprintable() or _NOT_IN_A_LIST_ITEM.search(text):
        raise ValueError(
            f"{shown(text)} is not a name (1-64 characters without blanks, commas, semicolons)"
        )
    return text


def item(text: str) -> str:
    """One id or prefix of a list. Kannel's way of many in one, with semicolons, is refused."""
    if not text:
        raise ValueError("is empty; leave it out")
    if found := _NOT_IN_A_LIST_ITEM.search(text):
        raise ValueError(f"{shown(text)} holds {found[0]!r}; write several as a list: [a, b]")
    return string(text)


def boolean(text: str) -> bool:
    """true, yes, on or false, no, off; in any case."""
    found = _BOOLEANS.get(text.lower())
    if found is None:
        raise ValueError(f"{shown(text)} is neither true nor false")
    return found


def integer(low: int, high: int, what: str = "a number") -> Callable[[str], int]:
    """A parser of whole numbers, decimal or 0x hexadecimal, from `low` to `high`.

    A leading zero is refused: YAML 1.1 and C read 012 as ten, people as twelve.
    """

    def parse(text: str) -> int:
        plain = text.replace("_", "")
        if len(plain) > 1 and plain.lstrip("+-").startswith("0") and plain.isdigit():
            raise ValueError(f"{shown(text)} begins with 0 and could be octal; write it without")
        if not _INTEGER.fullmatch(plain):
            raise ValueError(f"{shown(text)} is not {what} ({low}-{high})")
        value = int(plain, 16 if "x" in plain.lower() else 10)
        if not low <= value <= high:
            raise ValueError(f"{shown(text)} is not {what} ({low}-{high})")
        return value

    return parse


port = integer(1, 65535, "a port")
"""A TCP port to call or listen on."""

listener_port = integer(0, 65535, "a port")
"""A TCP port to listen on; 0 lets the system pick one."""


def number(low: float, high: float, what: str = "a number") -> Callable[[str], float]:
    """A parser of decimal numbers from `low` to `high`."""

    def parse(text: str) -> float:
        if not _NUMBER.fullmatch(text) or not low <= float(text) <= high:
            raise ValueError(f"{shown(text)} is not {what} ({low:g}-{high:g})")
        return float(text)

    return parse


def duration(low: float = 0.0, high: float = 3650 * 86400.0) -> Callable[[str], float]:
    """A parser of times: 500ms, 30s, 5m, 2h, 7d, 1w or plain seconds; gives seconds."""

    def parse(text: str) -> float:
        found = _DURATION.fullmatch(text)
        if not found:
            raise ValueError(f"{shown(text)} is not a time (30s, 5m, 2h, 7d or plain seconds)")
        value = float(found[1]) * _SECONDS[found[2]]
        if not low <= value <= high:
            raise ValueError(f"{shown(text)} is out of range ({_time(low)} to {_time(high)})")
        return value

    return parse


def days(text: str) -> float:
    """A time that is counted in days: 7, 0.5, or with a unit as `duration`. At most ten years."""
    if _NUMBER.fullmatch(text):
        text += "d"
    return duration(60.0)(text) / 86400.0


def _time(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def size(low: int, high: int) -> Callable[[str], int]:
    """A parser of sizes: 65536, 64kB, 1MB (1 kB is 1024 octets); gives octets."""

    def parse(text: str) -> int:
        found = _SIZE.fullmatch(text)
        if not found:
            raise ValueError(f"{shown(text)} is not a size (65536, 64kB, 1MB)")
        value = int(found[1]) * _FACTOR[found[2]]
        if not low <= value <= high:
            raise ValueError(f"{shown(text)} is out of range ({low} to {high} octets)")
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """A parser of one word out of `choices`."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(
                f"{shown(text)} is not one of {', '.join(choices)}{did_you_mean(text, choices)}"
            )
        return text

    return parse


def member(kind: type[E], **synonyms: E) -> Callable[[str], E]:
    """A parser of the values of an Enum; `synonyms` are further words."""
    words = {str(value.value): value for value in kind}
    known = one_of(*words)

    def parse(text: str) -> E:
        return synonyms[text] if text in synonyms else words[known(text)]

    return parse


def regex(text: str) -> str:
    """A regular expression that compiles; the text itself is given back."""
    try:
        # A POSIX class, [[:digit:]], is worth a warning to Python; it is translated before use.
        with warnings.catch_warnings(action="ignore"):
            re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{shown(text)} is not a regular expression: {error}") from None
    return text


def host(text: str) -> str:
    """A host name or an IP address, without port and without brackets."""
    try:
        return str(ip_address(text))
    except ValueError:
        pass
    if re.fullmatch(r"[^:/]+:[0-9]+|\[.*\]:[0-9]+", text):
        raise ValueError(f"{shown(text)} is a host with a port; write the port under port")
    if "://" in text:
        raise ValueError(f"{shown(text)} is a URL; write the host alone")
    if len(text) > 253 or not _HOST_NAME.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
        raise ValueError(f"{shown(text)} is not a host name or an IP address")
    return text


def endpoint(text: str) -> tuple[str, int]:
    """host:port or [IPv6]:port, for a listener: the port may be 0."""
    where, colon, number_ = text.rpartition(":")
    if not colon or not where or (":" in where and not where.startswith("[")):
        raise ValueError(f"{shown(text)} is not host:port")
    return host(where.removeprefix("[").removesuffix("]")), listener_port(number_)


def is_loopback(text: str) -> bool:
    """Whether a listener on this host is reached from this machine only."""
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return text.lower().rstrip(".") == "localhost"


def url(text: str) -> str:
    """An absolute http or https URL; Kannel's %-escapes in it stay as they are.

    What is said of a wrong one leaves out user and query: they may hold a password.
    """
    plain = shown(re.sub(r"//[^/@]*@", "//...@", text.partition("?")[0]))
    if re.search(r"\s", string(text)):
        raise ValueError(f"{plain} holds a blank; write %20")
    try:
        parts = urlsplit(text)
        valid = parts.port is None or parts.port > 0
    except ValueError:
        raise ValueError(f"{plain} is not a URL: its host or port is wrong") from None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or not valid:
        raise ValueError(f"{plain} is not a URL (https://host/path)")
    return text


def ip_pattern(text: str) -> str:
    """Who may call: an IP address, a network (10.0.0.0/8), or a pattern (10.0.*.*)."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        parts = text.split(".")
        if text == "*" or (len(parts) == 4 and all(map(_OCTET_PATTERN.fullmatch, parts))):
            return text
        raise ValueError(
            f"{shown(text)} is not an address, a network or a pattern (10.0.0.0/8, 10.*.*.*)"
        ) from None
    return text


def lets_everybody_in(patterns: Iterable[str]) -> bool:
    """Whether a list of `ip_pattern`s keeps nobody out: empty, or one of nothing but *."""
    patterns = tuple(patterns)
    return not patterns or any(
        not pattern.strip("*.") or pattern.endswith("/0") for pattern in patterns
    )
