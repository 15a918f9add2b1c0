"""A bind as its lane sees it, and what the lane remembers of it."""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Protocol

from gatewayd.config import BindMode
from gatewayd.flow.journal import Unsaved
from gatewayd.flow.limiter import Backoff
from gatewayd.flow.repeats import Line
from gatewayd.model import Segment
from gatewayd.smsc.contract import Event


class Port(Protocol):
    """A bind, as a lane sees it."""

    name: str
    mode: BindMode

    @property
    def credit(self) -> int: ...

    @property
    def bound(self) -> bool: ...

    @property
    def dead(self) -> bool:
        """Stopped, or refused for good."""

    def submit(self, segment: Segment, now: float) -> Event | None: ...

    def flush(self) -> None:
        """Write what `submit` gathered, at the end of this turn."""

    def wake(self) -> None:
        """Something waits: a bind that rests for want of traffic connects again."""


class PortState:
    """What the lane remembers of one bind."""

    __slots__ = (
        "accepted",
        "backoff",
        "carry",
        "claimed",
        "line",
        "paused_until",
        "port",
        "receipts",
        "received",
        "refusals",
        "reports",
        "unsaved",
    )

    def __init__(self, port: Port, backoff: Backoff, unsaved: Unsaved) -> None:
        self.port = port
        self.unsaved = unsaved  # segments that it has answered
        self.backoff = backoff
        self.carry: deque[Segment] = deque()  # rest of a message whose beginning went here
        self.claimed = 0  # segments handed to it, which it may write once that is on disk
        self.line = Line()
        self.paused_until = -inf
        self.accepted = self.refusals = 0  # segments
        self.received = self.receipts = 0
        self.reports = 0  # reports 8 and 16, which Kannel counts as if they came from the SMSC

    @property
    def room(self) -> int:
        """Places in the window, those included whose answers are on their way to the disk."""
        return self.port.credit - self.claimed

    @property
    def credit(self) -> int:
        """Segments that may be handed to it now."""
        return self.room - self.unsaved.count

    def count_in(self, other: PortState) -> None:
        """Go on with the counters of a bind that is gone."""
        self.accepted += other.accepted
        self.refusals += other.refusals
        self.received += other.received
        self.receipts += other.receipts
        self.reports += other.reports
