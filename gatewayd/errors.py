"""Whose fault it was decides the class: the operator's, ours, or the peer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GatewayError(Exception):
    """Base of everything gatewayd raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration file, said so that its reader can mend it.

    `where` is the key as the operator would write it (``smscs[0].port``, ``group smsc, port``),
    `message` says what is wrong and what would be right. `line` is 1-based; 0: the whole file.
    """

    file: str
    line: int
    where: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return (
            f"{place}: {self.where}: {self.message}" if self.where else f"{place}: {self.message}"
        )


class ConfigError(GatewayError):
    """The operator's configuration is wrong; every mistake found is in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class UsageError(GatewayError):
    """Our own code asked for what the state of things does not allow."""


class PeerError(GatewayError):
    """The peer broke its protocol. `fatal` says that the byte stream is out of step.

    `command`, `sequence` and `status` are what an answer to a broken request needs: the status is
    the protocol's own number for the fault.
    """

    def __init__(
        self, problem: str, *, fatal: bool, command: int = 0, sequence: int = 0, status: int = 0
    ) -> None:
        super().__init__(problem)
        self.fatal = fatal
        self.command = command
        self.sequence = sequence
        self.status = status


class StoreError(GatewayError):
    """The store cannot be opened or is not ours to open; the message says how to mend it."""
