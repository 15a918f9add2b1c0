"""The journal: when works are committed, and who is told."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gatewayd.errors import StoreError
from gatewayd.flow.journal import Journal
from gatewayd.store.contract import Item, Queue, Work
from tests.flow.rig import Disk, new_clock, result


class SlowStore:
    """Commits end when the test says so: what a disk does that takes its time."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.waiting: list[Deferred[None]] = []

    def commit(self, works: Sequence[Work]) -> Deferred[None]:
        self.batches.append([item.key for work in works for item in work.puts])
        self.waiting.append(Deferred())
        return self.waiting[-1]

    def end(self, *, ok: bool = True) -> None:
        waiting = self.waiting.pop(0)
        if ok:
            waiting.callback(None)
        else:
            waiting.errback(StoreError("full"))


def work(key: int) -> Work:
    return Work(puts=[Item(Queue.MT, key, "a", b"")])


class Bench:
    def __init__(self, *, lazy: float = 0.02) -> None:
        self.clock: Clock = new_clock()
        self.store = SlowStore()
        self.journal = Journal(self.store, self.clock, lazy=lazy)
        self.told: list[tuple[int, bool]] = []

    def add(self, key: int) -> None:
        self.journal.add(work(key), lambda ok: self.told.append((key, ok)))


def test_nobody_is_told_before_the_commit_has_ended() -> None:
    bench = Bench()
    bench.add(1)
    bench.clock.advance(0)
    assert bench.store.batches == [[1]]
    assert bench.told == []
    bench.store.end()
    assert bench.told == [(1, True)]


def test_all_works_of_a_turn_share_one_commit() -> None:
    disk, clock = Disk(), new_clock()
    journal = Journal(disk, clock)
    told: list[bool] = []
    before = disk.commits
    for key in range(1, 501):
        journal.add(work(key), told.append)
    assert disk.commits == before
    clock.advance(0)
    assert disk.commits == before + 1
    assert told == [True] * 500
    assert len(disk.rows()) == 500
    assert journal.commits == 1


class Turns(Clock):
    """As a reactor does it: what a turn makes due at once comes in the next."""

    def turn(self, seconds: float = 0.0001) -> None:
        self.rightNow += seconds
        for call in [call for call in self.calls if call.getTime() <= self.seconds()]:
            self.calls.remove(call)
            call.called = 1
            call.func(*call.args, **call.kw)


def test_a_commit_waits_while_each_turn_brings_more() -> None:
    bench, turns = Bench(), Turns()
    bench.journal = Journal(bench.store, turns)
    bench.add(1)
    for key in (2, 3, 4):
        bench.add(key)
        turns.turn()
    assert bench.store.batches == []
    turns.turn()
    assert bench.store.batches == [[1, 2, 3, 4]]


def test_turns_without_end_do_not_keep_a_commit_waiting() -> None:
    bench, turns = Bench(), Turns()
    bench.journal = Journal(bench.store, turns)
    bench.add(1)
    for key in range(2, 100):
        bench.add(key)
        turns.turn(0.0005)
    assert 2 < len(bench.store.batches[0]) < 10


def test_what_the_answers_of_a_commit_bring_goes_into_the_next_one() -> None:
    bench, turns = Bench(), Turns()
    bench.journal = Journal(bench.store, turns)
    bench.add(1)
    turns.turn()
    bench.add(2)
    bench.store.end()
    turns.turn()  # the answers are on their way
    bench.add(3)
    turns.turn()
    turns.turn()
    assert bench.store.batches == [[1], [2, 3]]


def test_works_that_come_during_a_commit_go_into_the_next() -> None:
    bench = Bench()
    bench.add(1)
    bench.clock.advance(0)
    bench.add(2)
    bench.add(3)
    bench.clock.advance(5)
    assert bench.store.batches == [[1]]
    bench.store.end()
    bench.clock.pump((0, 0))
    assert bench.store.batches == [[1], [2, 3]]


def test_a_work_that_nobody_waits_for_gathers_a_little_longer() -> None:
    bench = Bench()
    bench.journal.add(work(1))
    bench.clock.advance(0.019)
    assert bench.store.batches == []
    bench.clock.advance(0.002)
    assert bench.store.batches == [[1]]


def test_one_that_somebody_waits_for_takes_the_others_along() -> None:
    bench = Bench()
    bench.journal.add(work(1))
    bench.add(2)
    bench.clock.advance(0)
    assert bench.store.batches == [[1, 2]]


def test_a_failed_commit_tells_and_drops_what_somebody_waits_for() -> None:
    bench = Bench()
    bench.add(1)
    bench.clock.advance(0)
    bench.store.end(ok=False)
    assert bench.told == [(1, False)]
    assert bench.journal.failing
    bench.clock.advance(60)
    assert bench.store.batches == [[1]]


def test_what_nobody_waits_for_is_tried_again_before_anything_newer() -> None:
    bench = Bench()
    bench.journal.add(work(1))
    bench.add(2)
    bench.clock.advance(0)
    bench.journal.add(work(3))
    bench.add(4)
    bench.store.end(ok=False)
    assert bench.told == [(2, False)]
    bench.clock.advance(0.99)
    assert len(bench.store.batches) == 1, "a store in trouble is left in peace for a moment"
    bench.clock.advance(0.01)
    assert bench.store.batches[1:] == [[1, 3, 4]]
    bench.store.end()
    assert bench.told == [(2, False), (4, True)]
    assert not bench.journal.failing


def test_what_is_insisted_on_is_kept_in_the_end_and_told_once() -> None:
    bench = Bench()
    done: list[str] = []
    bench.journal.insist(work(1), lambda: done.append("kept"))
    bench.clock.advance(0)
    bench.store.end(ok=False)
    assert bench.store.batches == [[1]], "a store in trouble is left in peace for a moment"
    bench.clock.advance(1.0)
    bench.store.end(ok=False)
    bench.clock.advance(1.0)
    assert done == []
    bench.store.end()
    assert bench.store.batches == [[1], [1], [1]]
    assert done == ["kept"]


def test_an_owner_that_adds_again_at_once_does_not_run_against_a_failing_store() -> None:
    bench = Bench()

    def again(ok: bool) -> None:
        if not ok:
            bench.journal.add(work(1), again)

    again(False)
    bench.clock.advance(0)
    for _ in range(5):
        bench.store.end(ok=False)
        bench.clock.advance(0.5)
        assert not bench.store.waiting
        bench.clock.advance(0.5)
    assert len(bench.store.batches) == 6


def test_one_owners_mistake_does_not_cost_the_others_their_answers() -> None:
    bench = Bench()

    def broken(ok: bool) -> None:
        raise ValueError("mine")

    called: list[int] = []
    bench.journal.add(work(1), broken)
    bench.add(2)
    bench.clock.advance(0)
    bench.journal.after_commit(lambda: broken(True))
    bench.journal.after_commit(lambda: called.append(1))
    bench.add(3)
    bench.store.end()
    assert bench.told == [(2, True)]
    assert called == [1]
    bench.clock.advance(0)
    assert bench.store.batches[1:] == [[3]]


def test_after_commit_comes_once_behind_all_who_are_told() -> None:
    bench = Bench()
    seen: list[str] = []

    def told(ok: bool) -> None:
        bench.journal.after_commit(lambda: seen.append("after"))
        seen.append("told")

    bench.journal.add(work(1), told)
    bench.add(2)
    bench.clock.advance(0)
    bench.store.end()
    assert seen == ["told", "after"]
    assert bench.told == [(2, True)]
    bench.add(3)
    bench.clock.advance(0)
    bench.store.end()
    assert seen == ["told", "after"]


def test_settled_fires_when_nothing_waits_any_more() -> None:
    bench = Bench(lazy=1000.0)
    result(bench.journal.settled())
    bench.journal.add(work(1))
    fired: list[None] = []
    bench.journal.settled().addCallback(fired.append)
    bench.clock.advance(0)  # it does not wait for the lazy timer
    assert bench.store.batches == [[1]]
    bench.journal.add(work(2))
    bench.store.end()
    assert fired == []
    bench.clock.advance(0)
    bench.store.end()
    assert fired == [None]
