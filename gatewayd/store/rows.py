"""SQL for many rows at once.

Each step of an SQLite statement gives the interpreter lock away, and beside a busy reactor it is
slow to come back. One row per step (`executemany`) therefore costs up to fifteen times as much as
all rows in one: a statement takes a power of two of rows, and the rest is padded with NULL keys,
which match nothing.
"""

# ruff: noqa: S608 - every piece of SQL put together here is a constant of this package

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gatewayd.store.contract import AS_IT_IS, Change, Item, Work

Value = int | float | str | bytes | None
Statement = tuple[str, Sequence[Value]]

MOST = 256  # rows in one statement
_SIZES = tuple(1 << n for n in range(MOST.bit_length()))

# In the order of Item's fields.
COLUMNS = "queue, key, lane, body, state, priority, due, tries, coalesce(name, '')"

_INTO = "INSERT INTO item (key, queue, lane, state, priority, tries, due, name, body) "


def _values(rows: int, columns: int) -> str:
    return "VALUES " + ",".join(["(" + ",".join("?" * columns) + ")"] * rows)


PUT = {
    size: _INTO + _values(1, 9)
    if size == 1
    else f"{_INTO}SELECT * FROM ({_values(size, 9)}) WHERE column1 IS NOT NULL"
    for size in _SIZES
}
CHANGE = {
    size: "UPDATE item SET state = iif(v.column2 < 0, state, v.column2),"
    " tries = iif(v.column2 < 0, tries, v.column3), due = iif(v.column2 < 0, due, v.column4),"
    " name = CASE WHEN v.column5 IS NULL THEN name ELSE nullif(v.column5, '') END,"
    f" body = coalesce(v.column6, body) FROM ({_values(size, 6)}) AS v WHERE item.key = v.column1"
    for size in _SIZES
}
END = {size: f"DELETE FROM item WHERE key IN ({','.join('?' * size)})" for size in _SIZES}
FIND = {
    size: f"SELECT {COLUMNS} FROM item WHERE name IN ({','.join('?' * size)}) ORDER BY key"
    for size in _SIZES
}


def chunks(count: int) -> Iterable[tuple[int, int, int]]:
    """Cut `count` rows into (first, end, statement size), as few as can be."""
    for first in range(0, count, MOST):
        end = min(first + MOST, count)
        yield first, end, 1 << (end - first - 1).bit_length()


def keys_of(table: dict[int, str], keys: Sequence[Value]) -> Iterable[Statement]:
    """The statements of `table` (END or FIND) for `keys`."""
    for first, end, size in chunks(len(keys)):
        yield table[size], [*keys[first:end], *(None,) * (size - end + first)]


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

    Over all of them puts come first, then changes, then ends. That is the same as one Work after
    the other, except when a key is put again after it was changed or ended: there the batch is cut.
    """

    def __init__(self, works: Iterable[Work]) -> None:
        self.statements: list[Statement] = []
        self.highest = 0  # key
        self.rows = 0
        self._puts: list[Item] = []
        self._changes: dict[int, Change] = {}
        self._ends: set[int] = set()
        for work in works:
            self._add(work)
        self._cut()

    def _add(self, work: Work) -> None:
        changes, ends = self._changes, self._ends
        for item in work.puts:
            key = item.key
            if key in ends or key in changes:
                self._cut()
            self._puts.append(item)
            if key > self.highest:  # noqa: PLR1730 - once a row, and max() is a call
                self.highest = key
        for change in work.changes:
            old = changes.get(change.key)
            changes[change.key] = change if old is None else _merged(old, change)
        ends.update(work.ends)

    def _cut(self) -> None:
        puts, changes = self._puts, list(self._changes.values())
        for first, end, size in chunks(len(puts)):
            values: list[Value] = []
            # int() because a subclass such as IntEnum sends the binding down a slow path.
            for i in puts[first:end]:
                values += (i.key, int(i.queue), i.lane, int(i.state), i.priority, i.tries, i.due)
                values += (i.name or None, i.body)
            values += (None,) * (9 * size - len(values))
            self.statements.append((PUT[size], values))
        for first, end, size in chunks(len(changes)):
            values = []
            for c in changes[first:end]:
                values += (c.key, int(c.state), c.tries, c.due, c.name, c.body)
            values += (None,) * (6 * size - len(values))
            self.statements.append((CHANGE[size], values))
        self.statements += keys_of(END, list(self._ends))
        self.rows += len(puts) + len(changes) + len(self._ends)
        puts.clear()
        self._changes.clear()
        self._ends.clear()
