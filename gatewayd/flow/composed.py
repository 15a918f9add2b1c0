"""An order as segments on its way to the lanes; and what the MT flow asks of a lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gatewayd.flow import journal
from gatewayd.model import Acceptance, Segment
from gatewayd.store.contract import Work


class LanePort(Protocol):
    """The part of a lane this flow needs."""

    def promise(self) -> bool:
        """Whether a new segment may be stored as "perhaps sent": the lane has room for it."""

    def unpromise(self) -> None:
        """It was not stored, after all."""

    def push(self, segment: Segment, promised: bool = False) -> None: ...

    def drain(self) -> list[Segment]: ...

    def put_back(self, segment: Segment) -> None: ...

    def withdraw(self, key: int) -> bool: ...

    def delay(self, segment: Segment, seconds: float) -> None: ...

    def pump(self) -> None: ...


class Log(journal.Log, Protocol):
    """What the MT flow needs of a journal."""

    def after_commit(self, call: Callable[[], None]) -> None: ...


class Composed:
    """An order as segments: what to keep, and which lanes get them once it is kept."""

    __slots__ = ("acceptance", "folds", "reports", "segments", "work")

    def __init__(self, acceptance: Acceptance) -> None:
        self.acceptance = acceptance
        self.work = Work()
        # with the name of its lane, and whether it is stored as CLAIMED
        self.segments: list[tuple[str, Segment, bool]] = []
        self.folds: list[list[Segment]] = []  # messages of several segments that want reports
        self.reports: list[tuple[Segment, str]] = []  # refused at once, and why
