"""Logging: one line per event to standard error, as text or JSON; secrets and numbers hidden."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any

from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogLevel,
    PredicateResult,
    formatEvent,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import implementer

from gatewayd.errors import GatewayError

LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warning": LogLevel.warn,
    "error": LogLevel.error,
}
KANNEL_LEVELS = ("debug", "info", "warning", "error", "error")  # Kannel's log-level 0-4
_NOT_FIELDS = re.compile(
    r"^log_|^(isError|message|time|system|format|why|failure|warning|level|text)$"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")


def masked(number: str) -> str:
    """A phone number of which only the last three digits show."""
    return "*" * max(0, len(number) - 3) + number[-3:]


class Number(str):
    """A phone number in a log event: it prints masked, unless the configuration says "full"."""

    __slots__ = ()
    full = False

    def __str__(self) -> str:
        plain = str.__str__(self)
        return plain if Number.full else masked(plain)

    def __repr__(self) -> str:
        return str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)


@implementer(ILogFilterPredicate)
class Threshold:
    """Lets through events at or above `level`; the level may change while we run."""

    def __init__(self, level: str) -> None:
        self.level = LEVELS.get(level, LogLevel.info)

    def set(self, level: str) -> None:
        self.level = LEVELS.get(level, self.level)

    def __call__(self, event: Mapping[str, Any]) -> Any:
        level = event.get("log_level") or LogLevel.info
        namespace = str(event.get("log_namespace", ""))
        if not namespace.startswith("gatewayd") and level < LogLevel.warn:
            return PredicateResult.no  # Twisted's own housekeeping
        return PredicateResult.yes if level >= self.level else PredicateResult.no


def line_of(event: Mapping[str, Any], *, as_json: bool) -> str:
    """One event as one line; control characters cannot start another."""
    when = datetime.fromtimestamp(float(event.get("log_time", 0.0)), UTC)
    level = getattr(event.get("log_level"), "name", "info")
    text = formatEvent(dict(event))
    failure = event.get("log_failure")
    if failure is not None:
        text = f"{text}: {failure.type.__name__}: {_message_of(failure)}"
        if level in ("critical", "error"):
            steps = "; ".join(f"{path}:{line} in {name}" for name, path, line, *_ in failure.frames)
            text = f"{text} | {steps}"
    text = _CONTROL.sub(lambda match: f"\\x{ord(match.group()):02x}", text)
    stamp = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if not as_json:
        return f"{stamp} {level:<7} {text}"
    fields = {
        key: value if isinstance(value, (int, float, bool)) else str(value)
        for key, value in event.items()
        if not _NOT_FIELDS.match(key)
    }
    return json.dumps({"time": stamp, "level": level, "text": text, **fields}, default=str)


def _message_of(failure: Any) -> str:
    """What an error says. One that is a fault of ours may quote a text or a password."""
    message: str = failure.getErrorMessage()
    if failure.check(GatewayError, OSError):
        return message
    return _QUOTED.sub("'...'", message)[:500]


@implementer(ILogObserver)
class Output:
    """Where the log goes, from which level on, and how it is written; all may change as we run.

    `file` "" is standard error; `numbers` is "masked" or "full": how a `Number` prints. Raises
    OSError when the file cannot be opened.
    """

    def __init__(self, level: str, form: str, file: str = "", numbers: str = "masked") -> None:
        self.threshold = Threshold(level)
        self._level = level
        self._file = file
        self._out: IO[str] = _opened(file)
        self._write(form, numbers)

    def __call__(self, event: Mapping[str, Any]) -> None:
        try:
            self._out.write(line_of(event, as_json=self._as_json) + "\n")
            self._out.flush()
        except (OSError, ValueError):  # the other end of the pipe went: nobody left to tell
            return

    def _write(self, form: str, numbers: str) -> None:
        self._as_json = form == "json"
        Number.full = numbers == "full"

    def change(self, level: str, form: str, file: str, numbers: str) -> None:
        """Go by this from now on; when the file cannot be opened nothing has changed.

        A level that was set by hand stays, unless the configuration names another than before.
        """
        if file != self._file:
            self._move(_opened(file), file)
        if level != self._level:
            self._level = level
            self.threshold.set(level)
        self._write(form, numbers)

    def reopen(self) -> None:
        """Begin the file anew where it has been moved away; when that fails the old one stays."""
        if self._file:
            with suppress(OSError):
                self._move(_opened(self._file), self._file)

    def _move(self, out: IO[str], file: str) -> None:
        before, self._out = self._out, out
        if self._file:
            before.close()
        self._file = file


def _opened(file: str) -> IO[str]:
    if not file:
        return sys.stderr
    return open(file, "a", encoding="utf-8", errors="backslashreplace")


def begin(level: str, form: str, file: str = "", numbers: str = "masked") -> Output:
    """Send the log where the configuration says; what comes back can change that."""
    output = Output(level, form, file, numbers)
    observer = FilteringLogObserver(output, (output.threshold,))
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False, discardBuffer=True)
    return output


__all__ = ["KANNEL_LEVELS", "Number", "Output", "Threshold", "begin", "line_of", "masked"]
__all__ += ["globalLogPublisher"]
