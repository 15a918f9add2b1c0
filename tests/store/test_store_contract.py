"""What every store must do, asked of every engine; a new engine joins by an entry in ENGINES."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gatewayd.errors import StoreError
from gatewayd.store.contract import Change, Depth, Item, Queue, Recovery, State, Store, Work
from gatewayd.store.sqlite import SqliteStore

T = TypeVar("T")
FIRST = (1 << 31, 0)  # before every item


class Bench:
    """An engine, and a stand-in for the reactor's thread."""

    def __init__(self, make: Callable[[Callable[..., object]], Store], lasting: bool) -> None:
        self._make = make
        self._calls: SimpleQueue[tuple[Callable[..., object], tuple[Any, ...]]] = SimpleQueue()
        self.lasting = lasting
        self.store = self._made()

    def _made(self) -> Store:
        return self._make(lambda f, *a: self._calls.put((f, a)))

    def open(self, per_lane: int = 1000) -> Recovery:
        return self.store.open(per_lane)

    def result(self, deferred: Deferred[T]) -> T:
        got: list[Any] = []
        deferred.addBoth(got.append)
        while not got:
            call, arguments = self._calls.get(timeout=10)
            call(*arguments)
        if isinstance(got[0], Failure):
            got[0].raiseException()
        value: T = got[0]
        return value

    def listed(self, deferred: Deferred[Sequence[T]]) -> list[T]:
        sequence = self.result(deferred)
        return list(sequence)

    def commit(self, *works: Work) -> None:
        self.result(self.store.commit(works))

    def put(self, *items: Item) -> None:
        self.commit(Work(puts=list(items)))

    def close(self) -> None:
        self.result(self.store.close())

    def again(self, per_lane: int = 1000) -> Recovery:
        """Stop and start."""
        self.close()
        self.store = self._made()
        return self.open(per_lane)

    def everything(self) -> list[Item]:
        items: list[Item] = []
        for queue in Queue:
            items += self.listed(self.store.browse(queue, None, list(State), 0, 10_000))
        return items


ENGINES: dict[str, Callable[[Path], Bench]] = {
    "sqlite-memory": lambda folder: Bench(
        lambda call: SqliteStore(":memory:", call, threaded=False), lasting=False
    ),
    "sqlite-file": lambda folder: Bench(
        lambda call: SqliteStore(str(folder / "store"), call, threaded=False), lasting=True
    ),
    "sqlite-thread": lambda folder: Bench(
        lambda call: SqliteStore(str(folder / "store"), call), lasting=True
    ),
}


LASTING = [name for name, make in ENGINES.items() if make(Path()).lasting]


@pytest.fixture(params=ENGINES)
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A store that was not opened yet."""
    bench = ENGINES[request.param](tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def bench(fresh: Bench) -> Bench:
    fresh.open()
    return fresh


@pytest.fixture(params=LASTING)
def lasting(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An open store that can be opened again."""
    bench = ENGINES[request.param](tmp_path)
    bench.open()
    yield bench
    bench.close()


def item(key: int, **fields: Any) -> Item:
    plain: dict[str, Any] = {"queue": Queue.MT, "lane": "one", "body": b"%d" % key}
    return Item(**plain | {"key": key} | fields)


def keys(items: Sequence[Item]) -> list[int]:
    return [i.key for i in items]


def test_a_new_store_is_empty_and_has_an_instance_of_eight_octets(fresh: Bench) -> None:
    found = fresh.open()
    assert (list(found.depths), list(found.heads), found.last_key) == ([], [], 0)
    assert len(found.instance) == 8


def test_an_item_comes_back_as_it_was_put(bench: Bench) -> None:
    whole = Item(
        queue=Queue.DLR,
        key=2**62,
        lane="kanal \u00e9\U0001f600\x00",
        body=bytes(range(256)),
        state=State.HELD,
        priority=-3,
        due=1763770000.123456,
        tries=7,
        name="smsc/\u00e4 1",
    )
    plain = item(1, body=b"")
    bench.put(whole, plain)
    assert bench.listed(bench.store.siblings(2**62, 1)) == [whole]
    assert bench.listed(bench.store.siblings(1, 1)) == [plain]


def test_what_was_committed_is_found_after_a_restart(lasting: Bench) -> None:
    lasting.put(item(1), item(2, lane="two"), item(3, state=State.SENT, name="s/1"))
    lasting.put(item(4, state=State.CLAIMED))
    found = lasting.again()
    assert keys(found.heads) == [1, 4, 2]
    assert [i.state for i in found.heads] == [State.WAITING, State.CLAIMED, State.WAITING]
    assert list(found.depths) == [Depth(0, "one", 2, 1), Depth(0, "two", 1, 0)]
    assert lasting.result(lasting.store.find(["s/1"]))["s/1"].key == 3


def test_the_instance_stays_the_same_for_life(lasting: Bench) -> None:
    assert lasting.again().instance == lasting.again().instance


def test_the_highest_key_is_remembered_after_its_item_ended(lasting: Bench) -> None:
    lasting.put(item(41), item(42))
    lasting.commit(Work(ends=[41, 42]))
    assert lasting.again().last_key == 42
    assert lasting.again().last_key == 42


def test_recovery_brings_no_more_than_it_is_asked_for_of_each_lane(lasting: Bench) -> None:
    lasting.put(*(item(key) for key in range(1, 31)))
    lasting.put(*(item(key, queue=Queue.MO) for key in range(31, 33)))
    lasting.put(item(99, priority=1))
    found = lasting.again(per_lane=3)
    assert keys(found.heads) == [99, 1, 2, 31, 32]
    assert list(found.depths) == [Depth(0, "one", 31, 0), Depth(1, "one", 2, 0)]


def test_recovery_brings_every_request_that_was_seen(lasting: Bench) -> None:
    rows = [Item(Queue.SEEN, key, "", b"x", State.HELD) for key in (3, 1, 2)]
    lasting.put(*rows, Item(Queue.MT, 4, "a", b"y", State.HELD))
    recovery = lasting.again(1)
    assert [item.key for item in recovery.seen] == [1, 2, 3]
    assert not recovery.heads


def test_a_lane_is_read_by_priority_and_then_by_key(bench: Bench) -> None:
    bench.put(item(1, priority=-1), item(2), item(3, priority=2), item(4), item(5, priority=2))
    bench.put(item(6, lane="two", priority=9), item(7, queue=Queue.MO, priority=9))
    claim = bench.store.claim
    assert keys(bench.result(claim(0, "one", 9, FIRST))) == [3, 5, 2, 4, 1]
    assert keys(bench.result(claim(0, "one", 2, FIRST))) == [3, 5]
    assert keys(bench.result(claim(0, "one", 9, (2, 5)))) == [2, 4, 1]
    assert keys(bench.result(claim(0, "one", 2, (2, 3)))) == [5, 2]
    assert keys(bench.result(claim(0, "one", 9, (0, 4)))) == [1]
    assert keys(bench.result(claim(0, "one", 9, (-1, 1)))) == []


def test_only_waiting_and_claimed_items_are_handed_on(bench: Bench) -> None:
    bench.put(*(item(1 + state, state=state) for state in State))
    assert keys(bench.result(bench.store.claim(0, "one", 9, FIRST))) == [1, 2]
    assert bench.listed(bench.store.depths()) == [Depth(0, "one", 2, 3)]


def test_a_change_leaves_name_and_body_alone_unless_it_gives_them(bench: Bench) -> None:
    bench.put(item(1, name="s/1"), item(2))
    bench.commit(Work(changes=[Change(1, State.SENT, 5.5, 3), Change(2, State.SENT, name="s/2")]))
    bench.commit(Work(changes=[Change(2, State.DONE, body=b"new")]))
    assert bench.listed(bench.store.siblings(1, 2)) == [
        item(1, state=State.SENT, due=5.5, tries=3, name="s/1"),
        item(2, state=State.DONE, name="s/2", body=b"new"),
    ]


def test_an_empty_name_takes_the_name_away_and_an_empty_body_the_body(bench: Bench) -> None:
    bench.put(item(1, name="s/1"))
    bench.commit(Work(changes=[Change(1, State.WAITING, name="", body=b"")]))
    assert bench.result(bench.store.find(["s/1"])) == {}
    assert bench.listed(bench.store.siblings(1, 1)) == [item(1, body=b"")]


def test_changes_and_ends_of_unknown_keys_are_no_error(bench: Bench) -> None:
    bench.put(item(1))
    bench.commit(Work(changes=[Change(7, State.SENT)], ends=[8]))
    assert bench.everything() == [item(1)]


def test_works_of_one_commit_take_effect_one_after_the_other(bench: Bench) -> None:
    bench.commit(
        Work(puts=[item(1), item(2)]),
        Work(changes=[Change(1, State.SENT, name="s/1")]),
        Work(changes=[Change(1, State.DONE, body=b"x")], ends=[2]),
        Work(puts=[item(2, queue=Queue.DEAD)]),
    )
    assert bench.everything() == [
        item(1, state=State.DONE, name="s/1", body=b"x"),
        item(2, queue=Queue.DEAD),
    ]


def test_a_batch_that_fails_leaves_nothing_behind(bench: Bench) -> None:
    bench.put(item(1))
    with pytest.raises(StoreError):
        bench.commit(Work(puts=[item(2)], ends=[1]), Work(puts=[item(3), item(3)]))
    assert bench.everything() == [item(1)]
    bench.put(item(2))
    assert keys(bench.everything()) == [1, 2]


@pytest.mark.parametrize("fault", [{"body": None}, {"key": 2**63}, {"lane": "\ud800"}, {"due": []}])
def test_an_item_that_cannot_be_stored_fails_only_its_own_commit(
    bench: Bench, fault: dict[str, Any]
) -> None:
    with pytest.raises(StoreError):
        bench.commit(Work(puts=[item(1), item(**{"key": 2} | fault)]))
    bench.put(item(1))
    assert keys(bench.everything()) == [1]


def test_more_rows_than_one_statement_takes_are_one_commit_all_the_same(bench: Bench) -> None:
    numbers = range(1, 1001)
    bench.put(*(item(key) for key in numbers))
    bench.commit(Work(changes=[Change(key, State.SENT, name=f"s/{key}") for key in numbers]))
    found = bench.result(bench.store.find([f"s/{key}" for key in numbers]))
    assert sorted(keys(list(found.values()))) == list(numbers)
    with pytest.raises(StoreError):
        bench.commit(Work(puts=[item(key) for key in range(2000, 1000, -1)] + [item(1)]))
    assert len(bench.everything()) == 1000
    bench.commit(Work(ends=list(numbers)))
    assert bench.everything() == []


def test_of_items_with_one_name_the_newest_is_found(bench: Bench) -> None:
    bench.put(item(5, name="s/1"), item(3, name="s/1"), item(4, name="s/2"), item(6))
    found = bench.result(bench.store.find(["s/1", "s/2", "s/3"]))
    assert {name: i.key for name, i in found.items()} == {"s/1": 5, "s/2": 4}
    assert bench.result(bench.store.find([])) == {}


def test_browsing_pages_through_a_queue_by_key(bench: Bench) -> None:
    bench.put(*(item(key, state=key % 5, priority=key % 3) for key in range(1, 51)))
    bench.put(item(51, lane="two"), item(52, queue=Queue.DEAD))
    browse = bench.store.browse
    assert keys(bench.result(browse(0, None, list(State), 0, 99))) == list(range(1, 52))
    assert keys(bench.result(browse(0, None, list(State), 20, 5))) == [21, 22, 23, 24, 25]
    assert keys(bench.result(browse(0, "one", [State.HELD, State.WAITING], 30, 3))) == [34, 35, 39]
    assert keys(bench.result(browse(0, "two", [State.WAITING], 0, 3))) == [51]
    assert keys(bench.result(browse(Queue.DEAD, None, [0], 0, 3))) == [52]
    assert keys(bench.result(browse(0, None, [], 0, 3))) == []


def test_pruning_ends_old_sent_and_done_items_and_nothing_else(bench: Bench) -> None:
    bench.put(*(item(key, state=key % 5, lane=f"lane {key % 2}") for key in range(1, 51)))
    prune = bench.store.prune
    assert bench.result(prune(26, 4)) == 4
    assert bench.result(prune(26, 100)) == 6
    assert bench.result(prune(26, 100)) == 0
    assert keys(bench.everything()) == [k for k in range(1, 51) if k > 25 or k % 5 not in {2, 3}]


def _note(_: None, fired: list[int], key: int) -> None:
    fired.append(key)


def test_commits_fire_in_their_order_and_later_reads_see_them(bench: Bench) -> None:
    fired: list[int] = []
    for key in range(1, 21):
        work = Work(puts=[item(key)])
        bench.store.commit([work]).addCallback(_note, fired, key)
    assert keys(bench.result(bench.store.siblings(1, 20))) == list(range(1, 21))
    assert fired == list(range(1, 21))


def test_a_bad_commit_in_the_queue_fails_alone(bench: Bench) -> None:
    bench.put(item(7))
    answers = [bench.store.commit([Work(puts=[item(key)])]) for key in (6, 7, 8)]
    bench.result(answers[0])
    with pytest.raises(StoreError):
        bench.result(answers[1])
    bench.result(answers[2])
    assert keys(bench.everything()) == [6, 7, 8]


def test_closing_finishes_what_was_committed_before_and_may_be_done_twice(lasting: Bench) -> None:
    committed = lasting.store.commit([Work(puts=[item(1)])])
    first, second = lasting.store.close(), lasting.store.close()
    lasting.result(committed)
    lasting.result(first)
    lasting.result(second)
    assert keys(lasting.again().heads) == [1]


def test_a_closed_store_refuses_work(bench: Bench) -> None:
    bench.close()
    with pytest.raises(StoreError, match="not open"):
        bench.commit(Work(puts=[item(1)]))
    with pytest.raises(StoreError, match="not open"):
        bench.result(bench.store.depths())


def test_the_size_grows_with_what_is_stored(lasting: Bench) -> None:
    lasting.put(item(1, body=bytes(100_000)))
    assert lasting.store.size() >= 100_000


# Against a model: a dict, and the contract's own words for each call.

_KEYS = st.integers(1, 12)
_STATES = st.sampled_from(State)
_LANES = st.sampled_from(["a", "b"])
_NAMES = st.sampled_from(["", "n/1", "n/2"])
_ITEMS = st.builds(
    Item,
    queue=st.sampled_from([Queue.MT, Queue.DEAD]),
    key=_KEYS,
    lane=_LANES,
    body=st.binary(max_size=3),
    state=_STATES,
    priority=st.integers(-1, 1),
    due=st.floats(0, 2e9),
    tries=st.integers(0, 3),
    name=_NAMES,
)
_CHANGES = st.builds(
    Change,
    key=_KEYS,
    state=_STATES,
    due=st.floats(0, 2e9),
    tries=st.integers(0, 3),
    name=st.none() | _NAMES,
    body=st.none() | st.binary(max_size=3),
)
_WORKS = st.builds(
    Work,
    puts=st.lists(_ITEMS, max_size=4),
    changes=st.lists(_CHANGES, max_size=3),
    ends=st.lists(_KEYS, max_size=4),
)


def _apply(model: dict[int, Item], works: Sequence[Work]) -> dict[int, Item] | None:
    """The model after `works`; None when a key is put that is there."""
    after = dict(model)
    for work in works:
        for put in work.puts:
            if put.key in after:
                return None
            after[put.key] = put
        for change in work.changes:
            if (old := after.get(change.key)) is not None:
                after[change.key] = replace(
                    old,
                    state=change.state,
                    due=change.due,
                    tries=change.tries,
                    name=old.name if change.name is None else change.name,
                    body=old.body if change.body is None else change.body,
                )
        for key in work.ends:
            after.pop(key, None)
    return after


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(_WORKS, max_size=4), max_size=8),
    st.tuples(st.integers(-2, 2), st.integers(0, 13)),
    st.integers(1, 13),
    st.integers(1, 5),
    st.sets(_STATES),
)
def test_the_store_does_what_a_dict_would(
    commits: list[list[Work]], after: tuple[int, int], key: int, limit: int, states: set[State]
) -> None:
    bench = ENGINES["sqlite-memory"](Path())
    bench.open()
    model: dict[int, Item] = {}
    for works in commits:
        changed = _apply(model, works)
        if changed is None:
            with pytest.raises(StoreError):
                bench.commit(*works)
        else:
            bench.commit(*works)
            model = changed
    rows = [model[k] for k in sorted(model)]
    store, result, listed = bench.store, bench.result, bench.listed
    assert sorted(bench.everything(), key=lambda i: i.key) == rows

    for queue in (Queue.MT, Queue.DEAD):
        for lane in ("a", "b"):
            mine = [i for i in rows if (i.queue, i.lane) == (queue, lane)]
            waiting = sorted((i for i in mine if i.state < 2), key=lambda i: (-i.priority, i.key))
            behind = [i for i in waiting if (-i.priority, i.key) > (-after[0], after[1])]
            assert listed(store.claim(queue, lane, limit, after)) == behind[:limit]
            depth = Depth(queue, lane, len(waiting), len(mine) - len(waiting))
            assert (depth in listed(store.depths())) == bool(mine)
            page = [i for i in mine if i.state in states and i.key > key]
            browsed = store.browse(queue, lane, list(states), key, limit)
            assert listed(browsed) == page[:limit]
    named = {i.name: i for i in rows if i.name}
    assert result(store.find(["n/1", "n/2", "n/3"])) == named
    assert listed(store.siblings(key, limit)) == [i for i in rows if key <= i.key < key + limit]
    pruned = result(store.prune(key, limit))
    old = [i.key for i in rows if i.key < key and i.state in {State.SENT, State.DONE}]
    assert pruned == min(limit, len(old))
    left = keys(bench.everything())
    assert len(left) == len(rows) - pruned
    assert set(keys(rows)) - set(left) <= set(old)
    bench.close()
