"""What a listener counts of its callers, and what the log says of those it refuses."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from twisted.logger import Logger


class Counts:
    """`answered` by (path of a route or "", status), and by `notes`: answers whose caller had gone,
    connections refused by the limits or cut off for want of activity, failures of handlers."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()
        self.unheard = 0
        self.refused_connections = 0
        self.timeouts = 0
        self.failures = 0

    @property
    def notes(self) -> dict[str, int]:
        """The counters beside `answered`, by names that are labels of a metric."""
        return {
            "answered_to_nobody": self.unheard,
            "refused_connection": self.refused_connections,
            "cut_off": self.timeouts,
            "handler_failed": self.failures,
        }

    def count(self, route: str, status: int, peer: str) -> None:
        """An answer goes out. Routes tell of their refusals; the others are told of here."""
        self.answered[route, status] += 1
        if route or not 400 <= status < 500:
            return
        count = self.answered[route, status]
        if count & (count - 1) == 0:  # the first, second, fourth ...
            self.log.warn(
                "A request from {peer} was answered {status}, {count} so far",
                peer=peer or "a UNIX socket",
                status=status,
                count=count,
            )
