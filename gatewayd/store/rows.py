"""SQL for many rows at once.

Each step of an SQLite statement gives the interpreter lock away, and beside a busy reactor it is
slow to come back: every attempt wakes a thread that mostly finds the lock taken again. So a whole
batch of puts, changes and ends is one statement, transaction and sync included: rows for a view
whose triggers do what each row asks for. There are few numbers of rows, so that few statements are
prepared; the rest is padded with rows that ask for nothing.
"""

# ruff: noqa: S608 - every piece of SQL put together here is a constant of this package

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import json

from gatewayd.store.contract import AS_IT_IS, Change, Work

Value = int | float | str | bytearray
Statement = tuple[str, Sequence[Value]]

MOST: Final = 256  # rows in one statement
# Four to an octave: each is prepared once, and no more than a fifth of a statement fills it up.
_SIZES: Final = (
    *range(1, 8),
    *(quarter << shift for shift in range(1, 6) for quarter in range(4, 8)),
    MOST,
)

# In the order of Item's fields.
COLUMNS: Final = "queue, key, lane, body, state, priority, due, tries, coalesce(name, '')"

# What a row of the view asks for; its other columns are an item's, or 0 for none. Nothing is bound
# as NULL or bytes, since both make the sqlite3 module look for an adapter, with the interpreter
# lock held and more slowly than SQLite stores the row.
_PUT, _CHANGE, _END, _NOTHING = 0, 1, 2, 3
_FIELDS: Final = 10
_KEPT: Final = "typeof(NEW.{0}) = 'integer'"  # no change of this column

# For each connection, since views and triggers of the temp schema die with it.
VIEW: Final = (
    "CREATE TEMP VIEW work AS SELECT 0 AS op, key, queue, lane, state, priority, tries, due, name,"
    " body FROM main.item",
    f"CREATE TEMP TRIGGER work_put INSTEAD OF INSERT ON work WHEN NEW.op = {_PUT} BEGIN"
    " INSERT INTO item (key, queue, lane, state, priority, tries, due, name, body) VALUES (NEW.key,"
    " NEW.queue, NEW.lane, NEW.state, NEW.priority, NEW.tries, NEW.due, nullif(NEW.name, ''),"
    " NEW.body); END",
    f"CREATE TEMP TRIGGER work_change INSTEAD OF INSERT ON work WHEN NEW.op = {_CHANGE} BEGIN"
    " UPDATE item SET state = iif(NEW.state < 0, state, NEW.state),"
    " tries = iif(NEW.state < 0, tries, NEW.tries), due = iif(NEW.state < 0, due, NEW.due),"
    f" name = iif({_KEPT.format('name')}, name, nullif(NEW.name, '')),"
    f" body = iif({_KEPT.format('body')}, body, NEW.body) WHERE key = NEW.key; END",
    f"CREATE TEMP TRIGGER work_end INSTEAD OF INSERT ON work WHEN NEW.op = {_END} BEGIN"
    " DELETE FROM item WHERE key IN (SELECT value FROM json_each(NEW.body)); END",
)


def _values(rows: int, columns: int) -> str:
    return "VALUES " + ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


_WORK: Final = {size: "INSERT INTO work " + _values(size, _FIELDS) for size in _SIZES}
RESERVE: Final = "UPDATE meta SET value = ? WHERE name = 'last_key'"
END: Final = {size: f"DELETE FROM item WHERE key IN ({','.join('?' * size)})" for size in _SIZES}
FIND: Final = {
    size: f"SELECT {COLUMNS} FROM item WHERE name IN ({','.join('?' * size)}) ORDER BY key"
    for size in _SIZES
}

_list_of = json.Encoder().encode


def chunks(count: int) -> Iterable[tuple[int, int, int]]:
    """Cut `count` rows into (first, end, statement size), as few as can be."""
    for first in range(0, count, MOST):
        end = min(first + MOST, count)
        yield first, end, _SIZES[bisect_left(_SIZES, end - first)]


def keys_of(table: dict[int, str], keys: Sequence[Value]) -> Iterable[Statement]:
    """The statements of `table` (END or FIND) for `keys`."""
    for first, end, size in chunks(len(keys)):
        yield table[size], [*keys[first:end], *(keys[first],) * (size - end + first)]


def _merged(old: Change, new: Change) -> Change:
    """`new` after `old`, as one: what `new` leaves as it is, is what `old` made of it."""
    latest = old if new.state == AS_IT_IS else new
    return Change(
        new.key,
        latest.state,
        latest.due,
        latest.tries,
        old.name if new.name is None else new.name,
        old.body if new.body is None else new.body,
    )


class Batch:
    """Turns Works that follow each other into few statements with the same effect.

    It is made where the works come from: the store's thread has nothing left to do but to execute,
    and seldom needs the interpreter lock, for which it would contend with the reactor.

    Over all of them puts come first, then changes, then ends. That is the same as one Work after
    the other, except when a key is put again after it was changed or ended: there the batch is cut.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        self.highest = 0  # key
        self.rows = 0
        self.only_puts = False  # there is a work with nothing else
        self._values: list[Value] = []
        self._changes: dict[int, Change] = {}
        self._ends: set[int] = set()
        for work in works:
            self._add(work)
        self._cut()
        # What to execute, in order and as one transaction; nothing for empty works.
        self.statements = self._statements()

    def _statements(self) -> list[Statement]:
        values = self._values
        found: list[Statement] = []
        for first, end, size in chunks(len(values) // _FIELDS):
            if first or end * _FIELDS < len(values):
                some = values[first * _FIELDS : end * _FIELDS]
            else:
                some = values
            some += (_NOTHING,) * (_FIELDS * size - len(some))
            found.append((_WORK[size], some))
        return found

    def _add(self, work: Work) -> None:
        changes, ends, values = self._changes, self._ends, self._values
        for i in work.puts:
            key = i.key
            if key in ends or key in changes:
                self._cut()
            # int() because a subclass such as IntEnum sends the binding down a slow path.
            queue, state, body = int(i.queue), int(i.state), bytearray(i.body)
            values += (_PUT, key, queue, i.lane, state, i.priority, i.tries, i.due, i.name, body)
            if key > self.highest:  # noqa: PLR1730 - once a row, and max() is a call
                self.highest = key
        self.rows += len(work.puts)
        if not (work.changes or work.ends):
            self.only_puts |= bool(work.puts)
            return
        for change in work.changes:
            old = changes.get(change.key)
            changes[change.key] = change if old is None else _merged(old, change)
        ends.update(work.ends)

    def _cut(self) -> None:
        values, changes, ends = self._values, self._changes, self._ends
        for c in changes.values():
            if c.key in ends:
                continue
            values += (_CHANGE, c.key, 0, 0, int(c.state), 0, c.tries, c.due)
            values += (0 if c.name is None else c.name, 0 if c.body is None else bytearray(c.body))
        if ends:
            keys = _list_of(list(ends)).decode()  # as text: octets would be SQLite's own JSON
            values += (_END, 0, 0, 0, 0, 0, 0, 0, 0, keys)
        self.rows += len(changes) + len(ends)
        changes.clear()
        ends.clear()
