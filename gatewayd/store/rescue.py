"""Saves what can be read of a damaged store into a new one.

    python3 -m gatewayd.store.rescue DAMAGED NEW

The daemon must not run on either. Each row whose key is known and whose page can be read is saved.
Nothing is written to the damaged store.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

from gatewayd.errors import StoreError
from gatewayd.store.contract import Item, Work
from gatewayd.store.database import Database
from gatewayd.store.rows import COLUMNS, Batch

PAGE = 200
_ROWS = f"SELECT {COLUMNS} FROM item"  # noqa: S608 - constants
# These answer from an index alone, so the keys of rows on a damaged page come out, too.
_KEYS = (
    "SELECT key FROM item INDEXED BY item_waiting WHERE state < 2",
    "SELECT key FROM item INDEXED BY item_others WHERE state > 1",
    "SELECT key FROM item NOT INDEXED ORDER BY key",
    "SELECT key FROM item NOT INDEXED ORDER BY key DESC",
)


def _keys(connection: sqlite3.Connection) -> list[int]:
    """All keys that some index, or the table from either end, still tells."""
    found: set[int] = set()
    for sql in _KEYS:
        with suppress(sqlite3.Error):
            for (key,) in connection.execute(sql):
                found.add(key)
    return sorted(found)


def _items(connection: sqlite3.Connection, keys: Sequence[int]) -> list[Item]:
    """The readable rows among `keys`."""
    marks = ",".join("?" * len(keys))
    try:
        rows = connection.execute(f"{_ROWS} WHERE key IN ({marks})", keys).fetchall()
    except sqlite3.Error:
        if len(keys) == 1:
            return []
        half = len(keys) // 2
        return _items(connection, keys[:half]) + _items(connection, keys[half:])
    return [Item(*row) for row in rows]


def rescue(damaged: str, new: str) -> int:
    """How many rows were saved. Raises `StoreError` when there is nothing to read from, or to."""
    if os.path.exists(new):
        raise StoreError(f"{new} exists; name a file that does not")
    connection = sqlite3.connect(f"file:{quote(damaged)}?mode=ro", uri=True)
    saved = 0
    database = Database(new, lambda step: None)
    database.open(1)
    try:
        keys = _keys(connection)
        for start in range(0, len(keys), PAGE):
            items = _items(connection, keys[start : start + PAGE])
            database.apply([Batch([Work(puts=items)])])
            saved += len(items)
    finally:
        database.close()
        connection.close()
    return saved


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(f"{rescue(sys.argv[1], sys.argv[2])} rows saved in {sys.argv[2]}")
    except (StoreError, sqlite3.Error) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
