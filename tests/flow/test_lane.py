"""The lane: order, bounds, overflow to disk and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, json

from gatewayd.flow.lane import Lane
from gatewayd.store.contract import Change, Item, Queue, State, Work
from gatewayd.store.sqlite import SqliteStore
from tests.flow.rig import result


class Thing(Struct):
    id: int


Claim = tuple[str, int, tuple[int, int]]


class Bench:
    """A lane over the real store; claims are read and brought when the test says so."""

    def __init__(self, cap: int, *, at_once: bool = False) -> None:
        self.store = SqliteStore(":memory:", lambda f, *a: f(*a), threaded=False)
        self.store.open(1)
        self.at_once = at_once
        self.claims: list[Claim] = []
        self.read: list[tuple[Sequence[Item], int]] = []  # read, and not brought yet
        self.cap = cap
        self.lane = self.new_lane()
        self.key = 0
        self.priorities: dict[int, int] = {}

    def new_lane(self) -> Lane[Thing]:
        return Lane("a", json.Decoder(Thing).decode, self._claim, self.cap)

    def _claim(self, name: str, limit: int, after: tuple[int, int]) -> None:
        self.claims.append((name, limit, after))
        if self.at_once:
            self.look()
            self.bring()

    def look(self) -> None:
        """The store reads for the oldest claim."""
        if self.claims:
            name, limit, after = self.claims.pop(0)
            self.read.append((result(self.store.claim(Queue.MT, name, limit, after)), limit))

    def bring(self, now: float = 0.0) -> None:
        """What was read comes to the lane."""
        if self.read:
            rows, limit = self.read.pop(0)
            self.lane.fill(rows, limit, now, now)

    def keep(self, priority: int = 0, due: float = 0.0, state: int = State.WAITING) -> Thing:
        self.key += 1
        body = json.encode(Thing(self.key))
        item = Item(Queue.MT, self.key, "a", body, state, priority, due)
        result(self.store.commit([Work(puts=[item])]))
        self.priorities[self.key] = priority
        return Thing(self.key)

    def put(self, priority: int = 0) -> int:
        thing = self.keep(priority)
        self.lane.put(thing, priority)
        return thing.id

    def end(self, key: int) -> None:
        result(self.store.commit([Work(ends=[key])]))

    def take(self, now: float = 0.0) -> int | None:
        thing = self.lane.take(now)
        return None if thing is None else thing.id

    def take_all(self, now: float = 0.0) -> list[int]:
        taken: list[int] = []
        for _ in range(10_000):
            key = self.take(now)
            if key is not None:
                taken.append(key)
            elif self.claims or self.read:
                self.look()
                self.bring(now)
            else:
                return taken
        raise AssertionError("the lane never ends")

    def recover(self, per_lane: int, now: float = 0.0, wall: float = 0.0) -> None:
        """A new life: nothing but the store is left."""
        self.claims.clear()
        self.read.clear()
        self.lane = self.new_lane()
        heads = result(self.store.claim(Queue.MT, "a", per_lane, (1 << 31, 0)))
        waiting = sum(depth.waiting for depth in result(self.store.depths()))
        self.lane.recovered(heads, waiting, now, wall)


def test_items_come_by_priority_and_then_by_age() -> None:
    bench = Bench(100)
    keys = {priority: [bench.put(priority) for _ in range(2)] for priority in (0, 3, 1, 2)}
    assert len(bench.lane) == 8
    assert bench.take_all() == keys[3] + keys[2] + keys[1] + keys[0]
    assert len(bench.lane) == 0


def test_beyond_its_cap_a_lane_keeps_nothing_in_memory() -> None:
    bench = Bench(10)
    keys = [bench.put() for _ in range(50)]
    assert (bench.lane.count, bench.lane.on_disk, len(bench.lane)) == (10, 40, 50)
    assert bench.take_all() == keys


def test_a_flood_of_urgent_items_is_bounded_too_and_still_comes_first() -> None:
    bench = Bench(10, at_once=True)
    low = [bench.put(0) for _ in range(10)]
    urgent = [bench.put(3) for _ in range(100)]
    assert bench.lane.count <= 20
    assert bench.take_all() == urgent + low


def test_a_lane_of_one_place_gives_everything() -> None:
    bench = Bench(1)
    keys = [bench.put(n % 2) for n in range(9)]
    assert sorted(bench.take_all()) == keys


def test_nothing_less_urgent_goes_while_the_urgent_is_being_read() -> None:
    bench = Bench(2)
    low = [bench.put(0), bench.put(0)]
    urgent = bench.put(3)  # there is no room for it
    assert bench.lane.on_disk == 1
    assert bench.take() is None
    bench.look()
    bench.bring()
    assert bench.take_all() == [urgent, *low]


def test_what_is_under_way_is_not_read_again() -> None:
    bench = Bench(2)
    under_way = [bench.put(0), bench.put(0)]
    assert bench.take_all() == under_way  # taken, and still waiting in the store
    later = [bench.put(3), bench.put(3), bench.put(0), bench.put(0)]
    assert bench.take_all() == later


def test_what_waits_for_its_time_is_not_read_again() -> None:
    bench = Bench(2)
    late = [bench.put(), bench.put()]
    for key in late:
        assert bench.take() == key
        bench.lane.delay(Thing(key), 60.0)
    third, fourth = bench.put(), bench.put()
    assert bench.take_all() == [third, fourth]
    assert bench.take_all(60.0) == late


def test_an_item_put_while_a_claim_is_under_way_is_not_lost() -> None:
    """Read before it was there, brought after it was put."""
    bench = Bench(2)
    keys = [bench.put() for _ in range(3)]
    assert bench.take() == keys[0]
    assert bench.take() == keys[1]  # now the lane asks
    bench.look()
    keys.append(bench.put())
    bench.bring()
    assert bench.take_all() == keys[2:]
    assert len(bench.lane) == 0


def test_an_item_whose_commit_was_late_is_not_left_on_disk() -> None:
    """It was put when later ones had been read already."""
    bench = Bench(2)
    late = bench.keep()
    result(bench.store.commit([Work(changes=[Change(late.id, State.HELD)])]))  # not to be seen
    keys = [bench.put() for _ in range(6)]
    assert [bench.take() for _ in range(2)] == keys[:2]
    bench.look()
    bench.bring()
    result(bench.store.commit([Work(changes=[Change(late.id, State.WAITING)])]))
    bench.lane.put(late)
    assert bench.take_all() == [late.id, *keys[2:]]


def test_items_that_come_back_keep_their_place() -> None:
    bench = Bench(100)
    keys = [bench.put() for _ in range(5)]
    taken = [bench.lane.take(0) for _ in range(3)]
    for thing in taken:  # in whatever order
        assert thing is not None
        bench.lane.put_back(thing)
    assert [thing.id for thing in bench.lane.head(10)] == keys
    assert bench.take_all() == keys


def test_a_delayed_item_comes_at_its_time_and_before_younger_ones() -> None:
    bench = Bench(100)
    keys = [bench.put() for _ in range(4)]
    first, second = bench.lane.take(0), bench.lane.take(0)
    assert first is not None and second is not None
    bench.lane.delay(second, 5.0)
    bench.lane.delay(first, 6.0)
    assert bench.lane.next_due() == 5.0
    assert len(bench.lane) == 4
    assert bench.lane.take(4.9) == Thing(keys[2])
    assert not bench.lane.has_work(4.9) or bench.lane.count
    assert bench.take_all(6.0) == [keys[0], keys[1], keys[3]]
    assert bench.lane.next_due() == inf


def test_has_work_speaks_of_memory_of_time_and_of_the_disk() -> None:
    bench = Bench(1)
    assert not bench.lane.has_work(0)
    bench.put()
    bench.put()
    assert bench.lane.has_work(0)
    assert bench.take() is not None
    bench.claims.clear()
    bench.lane.claim_failed()
    assert bench.lane.has_work(0), "the store has to be asked again"
    assert bench.take() is None
    assert len(bench.claims) == 1
    other = Bench(5)
    other.lane.delay(Thing(1), 10.0)
    assert not other.lane.has_work(9.9)
    assert other.lane.has_work(10.0)


def test_a_failed_claim_is_made_again() -> None:
    bench = Bench(2)
    keys = [bench.put() for _ in range(6)]
    assert bench.take() == keys[0]
    assert bench.take() == keys[1]
    bench.claims.clear()
    bench.lane.claim_failed()
    assert bench.take_all() == keys[2:]


def test_rows_that_ended_on_disk_do_not_leave_the_lane_waiting_for_ever() -> None:
    bench = Bench(2)
    keys = [bench.put() for _ in range(6)]
    for key in keys[3:]:
        bench.end(key)
    assert bench.take_all() == keys[:3]
    assert len(bench.lane) == 0
    assert bench.put() == 7
    assert bench.take_all() == [7]


def test_take_while_gives_only_what_follows_at_once() -> None:
    bench = Bench(100)
    keys = [bench.put() for _ in range(4)]
    bench.lane.take(0)
    rest = [thing.id for thing in bench.lane.take_while(lambda thing: thing.id < keys[3])]
    assert rest == keys[1:3]
    assert bench.lane.count == 1


def test_discard_finds_what_waits_comes_back_or_is_delayed() -> None:
    bench = Bench(100)
    keys = [bench.put() for _ in range(4)]
    back, late = bench.lane.take(0), bench.lane.take(0)
    assert back is not None and late is not None
    bench.lane.put_back(back)
    bench.lane.delay(late, 5.0)
    assert bench.lane.discard(99) is None
    for key in (keys[0], keys[1], keys[3]):
        assert bench.lane.discard(key) == Thing(key)
    assert bench.take_all(9.0) == [keys[2]]
    assert len(bench.lane) == 0


def test_drain_gives_memory_in_order_and_leaves_the_disk() -> None:
    bench = Bench(3)
    keys = [bench.put() for _ in range(5)]
    back = bench.lane.take(0)
    assert back is not None
    bench.lane.put_back(back)
    assert [thing.id for thing in bench.lane.drain()] == keys[:3]
    assert (bench.lane.count, len(bench.lane)) == (0, 2)
    assert bench.take_all() == keys[3:]


@pytest.mark.parametrize("per_lane", [1, 3, 100])
def test_a_recovered_lane_goes_on_where_the_last_life_ended(per_lane: int) -> None:
    bench = Bench(3)
    keys = [bench.put(priority) for priority in (0, 2, 0, 1, 2, 0, 0, 1)]
    bench.recover(per_lane)
    assert len(bench.lane) == 8
    keys.append(bench.put(0))
    keys.append(bench.put(3))
    expected = sorted(keys, key=lambda key: (-bench.priorities[key], key))
    assert bench.take_all() == expected


def test_a_recovered_row_keeps_its_time() -> None:
    bench = Bench(10)
    bench.keep(due=1000.0)
    bench.keep()
    bench.recover(10, now=50.0, wall=940.0)
    assert bench.take_all(50.0) == [2]
    assert bench.lane.next_due() == 110.0
    assert bench.take_all(110.0) == [1]


def test_every_row_from_the_store_is_screened() -> None:
    bench = Bench(2)
    for n in range(8):
        bench.keep(state=State.CLAIMED if n % 2 else State.WAITING)
    seen: list[int] = []

    def screen(name: str, rows: Sequence[Item]) -> Sequence[Item]:
        assert name == "a"
        seen.extend(row.key for row in rows)
        return [row for row in rows if row.state == State.WAITING]

    new: Callable[[], Lane[Thing]] = bench.new_lane

    def screened() -> Lane[Thing]:
        lane = new()
        lane.screen = screen
        return lane

    bench.new_lane = screened  # type: ignore[method-assign]
    bench.recover(3)
    assert bench.take_all() == [1, 3, 5, 7]
    assert seen == list(range(1, 9))
    assert len(bench.lane) == 0


def test_rows_of_another_lane_are_taken_in_without_hiding_ones_own() -> None:
    bench = Bench(2, at_once=True)
    own = [bench.put() for _ in range(5)]
    foreign = [Item(Queue.MT, key, "gone", json.encode(Thing(key))) for key in (900, 901)]
    bench.lane.adopt(foreign, 0.0, 0.0)
    assert bench.take_all() == [*own, 900, 901]


ACTIONS = st.lists(
    st.sampled_from(
        [
            "put0",
            "put0",
            "put0",
            "put1",
            "put3",
            "take",
            "take",
            "look",
            "bring",
            "back",
            "late",
            "recover",
            "fail",
        ]
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.integers(1, 4))
def test_every_item_comes_out_exactly_once_and_in_order(actions: list[str], cap: int) -> None:
    """Against a sorted list: what is handed out is always the first of all that wait.

    While the lane reads it may say "nothing now", never the wrong thing.
    """
    bench = Bench(cap)
    waiting: set[int] = set()
    late: dict[int, float] = {}
    held: list[int] = []  # taken; ended at the end
    now = 0.0

    def first() -> int:
        return min(waiting, key=lambda key: (-bench.priorities[key], key))

    def take() -> None:
        key = bench.take(now)
        if key is None:
            assert not waiting or bench.claims or bench.read
            return
        assert key == first()
        waiting.remove(key)
        held.append(key)

    steps: dict[str, Any] = {
        "take": take,
        "look": bench.look,
        "bring": lambda: bench.bring(now),
    }
    for action in actions:
        if action in steps:
            steps[action]()
        elif action.startswith("put"):
            waiting.add(bench.put(int(action[3:])))
        elif action == "back" and held:
            key = held.pop(0)
            bench.lane.put_back(Thing(key), bench.priorities[key])
            waiting.add(key)
        elif action == "late" and held:
            key = held.pop()
            bench.lane.delay(Thing(key), now + 1, bench.priorities[key])
            late[key] = now + 1
            now += 0.5
            waiting |= {each for each, due in late.items() if due <= now}
            late = {each: due for each, due in late.items() if due > now}
        elif action == "fail" and bench.claims:
            bench.claims.clear()
            bench.lane.claim_failed()
        elif action == "recover":
            for key in held:
                bench.end(key)
            held.clear()
            waiting |= set(late)
            late.clear()
            bench.recover(cap, now, now)
        assert len(bench.lane) >= len(waiting) or bench.claims or bench.read
        assert bench.lane.count <= 4 * (cap + 1) + len(actions)
    now += 100
    waiting |= set(late)
    while waiting:
        before = len(waiting)
        take()
        if len(waiting) == before:
            bench.look()
            bench.bring(now)
    assert bench.take_all(now) == []
    assert len(bench.lane) == 0
