"""Calls of one lane: order within a chain, retries, outages, a budget shared by all."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, json
from twisted.internet.task import Clock

from gatewayd.config import Retry
from gatewayd.flow.journal import Journal, Unsaved
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff
from gatewayd.flow.outbox import Budget, Done, Outbox
from gatewayd.model import HttpAnswer
from gatewayd.store.contract import Work
from tests.flow.rig import new_clock
from tests.flow.test_unsaved import Disk

STEADY = Retry(first=1.0, factor=2.0, cap=300.0, jitter=0.0)


class Thing(Struct):
    id: int
    chain: str = ""


class Bench:
    """An outbox whose calls are recorded and answered by the test."""

    def __init__(
        self,
        *,
        parallel: int = 4,
        spacing: float = 0.0,
        budget: Budget | None = None,
        clock: Clock | None = None,
        chain: Callable[[Thing], Hashable] | None = lambda thing: thing.chain,
        probing: bool = True,
        name: str = "web",
        unsaved: Unsaved | None = None,
    ) -> None:
        self.clock = clock or new_clock()
        self.calls: list[tuple[float, int]] = []
        self.open: list[tuple[Thing, Done]] = []
        self.settled: list[tuple[int, int]] = []
        self.pause: Callable[[Thing, HttpAnswer], float | None] = lambda thing, answer: (
            None if answer.status == 200 else 5.0
        )
        self.auto = 0
        self.key = 0
        self.breaks: set[int] = set()
        self.budget = budget or Budget(100)
        self.box = Outbox(
            Lane(name, json.Decoder(Thing).decode, lambda *claim: None, 1000),
            call=self._call,
            settle=self._settle,
            clock=self.clock,
            budget=self.budget,
            parallel=parallel,
            chain=chain,
            spacing=spacing,
            probing=Backoff(STEADY, lambda: 0.5) if probing else None,
            unsaved=unsaved,
        )

    def _call(self, thing: Thing, done: Done) -> None:
        if thing.id in self.breaks:
            raise ValueError("cannot be put into a call")
        self.calls.append((self.clock.seconds(), thing.id))
        if self.auto:
            done(HttpAnswer(self.auto))
        else:
            self.open.append((thing, done))

    def _settle(self, thing: Thing, answer: HttpAnswer) -> float | None:
        self.settled.append((thing.id, answer.status))
        return self.pause(thing, answer)

    def push(self, chain: str = "", *, pump: bool = True) -> int:
        self.key += 1
        self.box.push(Thing(self.key, chain or f"c{self.key}"))
        if pump:
            self.box.pump()
        return self.key

    def answer(self, status: int = 200, index: int = 0) -> int:
        thing, done = self.open.pop(index)
        done(HttpAnswer(status))
        return thing.id

    @property
    def under_way(self) -> list[int]:
        return [thing.id for thing, _ in self.open]


def test_no_more_calls_are_under_way_than_allowed() -> None:
    bench = Bench(parallel=3)
    for _ in range(10):
        bench.push()
    assert bench.under_way == [1, 2, 3]
    assert len(bench.box) == 10
    while bench.open:
        assert len(bench.open) <= 3
        bench.answer()
    assert [key for _, key in bench.calls] == list(range(1, 11))
    assert len(bench.box) == 0


def test_an_answered_call_keeps_its_place_until_that_is_on_disk() -> None:
    """G10: a kill makes again what was under way, and what was not on disk as answered."""
    disk = Disk()
    clock = new_clock()
    journal = Journal(disk, clock)
    bench = Bench(parallel=3, clock=clock, unsaved=Unsaved(journal))

    def pause(thing: Thing, answer: HttpAnswer) -> None:
        journal.add(Work(ends=[thing.id]))

    bench.pause = pause
    for _ in range(10):
        bench.push()
    bench.answer()
    bench.answer()
    assert bench.under_way == [3]
    clock.advance(0.01)
    disk.end()
    assert bench.under_way == [3, 4, 5]


def test_items_of_one_chain_go_strictly_one_after_another() -> None:
    bench = Bench()
    for chain in "aabab":
        bench.push(chain)
    assert bench.under_way == [1, 3]
    bench.answer(index=0)
    assert bench.under_way == [3, 2]
    bench.answer(index=0)
    assert bench.under_way == [2, 5]
    bench.answer(index=0)
    assert bench.under_way == [5, 4]


def test_without_chains_order_does_not_hold_anything_back() -> None:
    bench = Bench(chain=None)
    for _ in range(3):
        bench.push("a")
    assert bench.under_way == [1, 2, 3]


def test_a_retry_keeps_its_chain_waiting_and_the_others_going() -> None:
    bench = Bench(probing=False)
    for chain in "aab":
        bench.push(chain)
    bench.answer(500, index=0)
    assert bench.under_way == [3]
    bench.clock.advance(4.99)
    assert bench.under_way == [3]
    bench.clock.advance(0.02)
    assert bench.under_way == [3, 1]
    bench.answer(200, index=1)
    assert bench.under_way == [3, 2]


def test_the_next_of_a_chain_keeps_its_distance() -> None:
    bench = Bench(spacing=1.0)
    for chain in "aab":
        bench.push(chain)
    bench.clock.advance(10)
    bench.answer()
    assert bench.under_way == [3]
    bench.clock.advance(0.99)
    assert bench.under_way == [3]
    bench.clock.advance(0.02)
    assert bench.under_way == [3, 2]


def test_one_that_comes_during_the_distance_waits_too() -> None:
    bench = Bench(spacing=1.0)
    bench.push("a")
    bench.answer()
    bench.clock.advance(0.5)
    bench.push("a")
    assert bench.under_way == []
    bench.clock.advance(0.51)
    assert bench.under_way == [2]


def test_an_outage_costs_a_few_calls_a_minute_and_not_one_per_item() -> None:
    bench = Bench(parallel=10)
    for _ in range(500):
        bench.push(pump=False)
    bench.auto = 503
    bench.pause = lambda thing, answer: None if answer.status == 200 else 300.0
    bench.box.pump()
    first = len(bench.calls)
    assert first <= 10
    bench.clock.advance(0)
    for _ in range(3600):
        bench.clock.advance(1.0)
    in_an_hour = len(bench.calls) - first
    assert 10 <= in_an_hour <= 25
    bench.auto = 200
    for _ in range(601):
        bench.clock.advance(1.0)
    assert len(bench.box) == 0


def test_a_burst_of_failures_is_one_complaint() -> None:
    """A blip that fails all calls under way must not cost the longest pause."""
    bench = Bench(parallel=32)
    for _ in range(40):
        bench.push()
    while bench.open:
        bench.answer(0)
    assert bench.box.failures == 32
    count = len(bench.calls)
    bench.clock.advance(1.01)
    assert len(bench.calls) == count + 1, "it is probed after the first pause, with one call"
    bench.answer(200)
    assert len(bench.open) > 1


def test_while_probing_there_is_one_call_at_a_time() -> None:
    bench = Bench(parallel=10)
    for _ in range(20):
        bench.push()
    while bench.open:
        bench.answer(500)
    bench.clock.advance(1.01)
    assert len(bench.open) == 1
    bench.answer(503)
    bench.clock.advance(1.99)
    assert bench.open == []
    bench.clock.advance(0.02)
    assert len(bench.open) == 1


@pytest.mark.parametrize("status", [400, 404, 410, 422])
def test_an_items_own_trouble_is_not_the_platforms(status: int) -> None:
    bench = Bench(parallel=2)
    for _ in range(4):
        bench.push()
    bench.answer(status)
    assert bench.box.failures == 0
    assert bench.under_way == [2, 3]


@pytest.mark.parametrize("status", [0, 408, 429, 500, 502, 503, 504])
def test_these_answers_are_the_platforms_trouble(status: int) -> None:
    bench = Bench(parallel=2)
    for _ in range(4):
        bench.push()
    bench.answer(status)
    assert bench.box.failures == 1
    assert bench.under_way == [2]


def test_done_twice_is_harmless() -> None:
    bench = Bench(parallel=1, budget=Budget(1))
    bench.push()
    bench.push()
    _, done = bench.open.pop()
    done(HttpAnswer(200))
    done(HttpAnswer(500))
    assert bench.settled == [(1, 200)]
    assert (bench.box.active, bench.budget.left) == (1, 0)


def test_an_item_that_cannot_be_put_into_a_call_costs_only_itself() -> None:
    bench = Bench(parallel=1)
    bench.breaks.add(1)
    bench.pause = lambda thing, answer: None
    for _ in range(3):
        bench.push()
    assert bench.settled == [(1, 0)]
    assert bench.box.failures == 0, "the platform has no part in it"
    bench.answer()
    bench.answer()
    assert len(bench.box) == 0


def test_an_answer_that_cannot_be_settled_costs_only_its_item() -> None:
    bench = Bench(parallel=2, budget=Budget(2))

    def broken(thing: Thing, answer: HttpAnswer) -> float | None:
        if thing.id == 1:
            raise KeyError("no such channel")
        return None

    bench.pause = broken
    for _ in range(5):
        bench.push("a" if bench.key < 2 else "")
    while bench.open:
        bench.answer()
    assert [key for _, key in bench.calls] == [1, 3, 2, 4, 5]
    assert bench.budget.left == 2
    assert len(bench.box) == 0


def test_one_chain_cannot_stop_the_others() -> None:
    """A sender whose first message the platform never takes sends many more."""
    bench = Bench(parallel=2)
    bench.pause = lambda thing, answer: None if answer.status == 200 else 3600.0
    bench.push("bad")
    bench.answer(400)
    for _ in range(600):
        bench.push("bad")
    bench.push("good")
    assert bench.under_way == [602]


def test_a_stopped_outbox_begins_no_more_calls() -> None:
    bench = Bench(parallel=1, spacing=1.0)
    bench.push("a")
    bench.push("a")
    bench.answer()
    bench.box.stop()
    bench.clock.advance(60)
    assert bench.open == []
    assert bench.clock.getDelayedCalls() == []


def test_retry_by_hand_calls_now_what_waits() -> None:
    bench = Bench()
    bench.pause = lambda thing, answer: None if answer.status == 200 else 3600.0
    for _ in range(3):
        bench.push()
    while bench.open:
        bench.answer(500)
    assert bench.box.retry() == 3
    assert len(bench.open) == 1, "one probe"
    bench.answer(200)
    while bench.open:
        bench.answer(200)
    assert len(bench.box) == 0


# ---- the budget


def test_the_budget_bounds_calls_over_all_outboxes() -> None:
    budget, clock = Budget(3), new_clock()
    boxes = [Bench(budget=budget, clock=clock, name=name) for name in "abc"]
    for _ in range(5):
        for bench in boxes:
            bench.push()
    assert sum(len(bench.open) for bench in boxes) == 3


def test_the_budget_is_shared_fairly() -> None:
    """One with a thousand items does not keep those waiting that have a few."""
    budget, clock = Budget(2), new_clock()
    large = Bench(budget=budget, clock=clock, name="large")
    small = Bench(budget=budget, clock=clock, name="small")
    for _ in range(500):
        large.push()
    for _ in range(5):
        small.push()
    for _ in range(12):
        (large if large.open else small).answer()
    assert len(small.calls) >= 5


def test_one_slow_platform_never_delays_another() -> None:
    clock, budget = new_clock(), Budget(10)
    slow = Bench(budget=budget, clock=clock, name="slow", parallel=8)
    quick = Bench(budget=budget, clock=clock, name="quick", parallel=8)
    for _ in range(100):
        slow.push()
    for _ in range(100):
        quick.push()
    while quick.open:
        quick.answer()
    assert len(quick.calls) == 100
    assert len(slow.calls) == 8


def test_a_place_goes_to_the_next_who_has_use_for_it() -> None:
    """The first in the queue for it was stopped, or is waiting for its platform, by now."""
    budget, clock = Budget(1), new_clock()
    busy, stopped, waiting = (Bench(budget=budget, clock=clock, name=name) for name in "abc")
    busy.push()
    stopped.push()
    waiting.push()
    assert stopped.open == waiting.open == []
    stopped.box.stop()
    busy.answer()
    assert waiting.under_way == [1]


def test_an_outbox_that_found_nothing_gives_its_place_back() -> None:
    budget = Budget(1)
    bench = Bench(budget=budget, probing=False)
    bench.push("a")
    bench.push("a")
    bench.answer(404)
    bench.box.pump()
    assert budget.left == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from("aabbcd"), min_size=1, max_size=40),
    st.lists(st.sampled_from([200, 200, 200, 404, 500, 0]), max_size=200),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0]),
)
def test_every_item_is_finished_once_and_chains_keep_their_order(
    chains: list[str], answers: list[int], parallel: int, spacing: float
) -> None:
    bench = Bench(parallel=parallel, spacing=spacing)
    script = iter(answers)
    finished: list[int] = []
    for chain in chains:
        bench.push(chain)
    for _ in range(2000):
        if bench.open:
            names = [thing.chain for thing, _ in bench.open]
            assert len(set(names)) == len(names)
            thing, status = bench.open[-1][0], next(script, 200)
            bench.answer(status, index=-1)
            if status == 200:
                finished.append(thing.id)
        elif len(finished) == len(chains):
            break
        else:
            bench.clock.advance(1.0)
    assert sorted(finished) == list(range(1, len(chains) + 1))
    for chain in set(chains):
        mine = [n for n in finished if chains[n - 1] == chain]
        assert mine == sorted(mine)
    assert len(bench.box) == 0
    assert bench.budget.left == 100
    assert bench.box.lane.next_due() == inf
