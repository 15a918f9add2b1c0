"""How works become statements."""

from __future__ import annotations

import pytest

from gatewayd.store.contract import Change, Item, State, Work
from gatewayd.store.rows import MOST, Batch, chunks


def put(key: int) -> Work:
    return Work(puts=[Item(queue=0, key=key, lane="one", body=b"x")])


def change(key: int) -> Work:
    return Work(changes=[Change(key, State.SENT, name="smsc/1")])


def asked_for(*works: Work) -> list[tuple[object, object]]:
    """What the rows of the batch do, each with its key; what only fills up is left out."""
    fields, nothing = 10, 3
    rows: list[tuple[object, object]] = []
    for _, values in Batch(works).statements:
        rows += zip(values[0::fields], values[1::fields], strict=True)
    return [row for row in rows if row[0] != nothing]


def test_a_change_of_what_ends_in_the_same_batch_is_not_made() -> None:
    ended = asked_for(change(1), change(2), Work(ends=[1]))
    assert ended == asked_for(change(2), Work(ends=[1]))
    assert len(ended) == 2


def test_a_change_before_the_key_is_put_again_is_of_no_use_either() -> None:
    assert asked_for(change(1), Work(ends=[1]), put(1)) == asked_for(Work(ends=[1]), put(1))


def test_a_change_of_a_key_that_was_put_again_is_made() -> None:
    rows = asked_for(Work(ends=[1]), put(1), change(1))
    assert [key for _, key in rows] == [0, 1, 1]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 65, 97, MOST - 1, MOST, MOST + 1, 5 * MOST + 9])
def test_rows_are_cut_into_statements_of_few_sizes_that_are_mostly_full(count: int) -> None:
    cut = list(chunks(count))
    assert [first for first, _, _ in cut] == list(range(0, count, MOST))
    assert cut[-1][1] == count
    for first, end, size in cut:
        assert end - first <= size <= 1.25 * (end - first)


def test_there_are_fewer_sizes_than_statements_that_are_kept() -> None:
    assert len({size for count in range(1, MOST + 1) for *_, size in chunks(count)}) < 32
