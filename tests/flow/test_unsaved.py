"""G3, G10: what was done and is not on disk as done keeps its place, so a kill repeats no more."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gatewayd.flow.journal import Journal, Unsaved
from gatewayd.store.contract import Work


class Disk:
    """Each commit ends when the test says so."""

    def __init__(self) -> None:
        self.open: list[Deferred[None]] = []

    def commit(self, works: list[Work]) -> Deferred[None]:
        self.open.append(Deferred())
        return self.open[-1]

    def end(self, ok: bool = True) -> None:
        commit = self.open.pop(0)
        if ok:
            commit.callback(None)
        else:
            commit.errback(OSError("no room"))


class Desk:
    def __init__(self) -> None:
        self.clock, self.disk = Clock(), Disk()
        self.journal = Journal(self.disk, self.clock)
        self.unsaved = Unsaved(self.journal)
        self.called = 0

    def done(self, number: int = 1) -> None:
        for _ in range(number):
            self.unsaved.note()
            self.journal.add(Work(ends=[1]))

    def call(self) -> None:
        self.called += 1


def test_what_is_done_counts_until_its_own_commit() -> None:
    desk = Desk()
    desk.done(3)
    desk.clock.advance(0.01)  # their commit is under way
    desk.done(2)
    assert desk.unsaved.count == 5
    desk.disk.end()
    assert desk.unsaved.count == 2
    desk.clock.advance(0.01)
    desk.disk.end()
    assert desk.unsaved.count == 0


def test_what_a_failed_commit_held_counts_until_it_succeeds() -> None:
    desk = Desk()
    desk.done(3)
    desk.clock.advance(0.01)
    desk.disk.end(ok=False)
    desk.done()
    assert desk.unsaved.count == 4
    desk.clock.advance(2)
    desk.disk.end()
    assert desk.unsaved.count == 0


def test_who_waits_is_called_once_after_a_commit_that_comes_at_once() -> None:
    desk = Desk()
    desk.done()
    desk.unsaved.wait(desk.call)
    desk.unsaved.wait(desk.call)
    desk.clock.advance(0)
    assert len(desk.disk.open) == 1
    assert desk.called == 0
    desk.disk.end()
    assert desk.called == 1


def test_who_is_in_no_hurry_leaves_the_commit_its_time_to_gather() -> None:
    desk = Desk()
    desk.done()
    desk.unsaved.wait(desk.call, urgent=False)
    desk.clock.advance(0)
    assert not desk.disk.open
    desk.clock.advance(0.01)
    desk.disk.end()
    assert desk.called == 1
