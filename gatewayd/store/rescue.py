"""Saves what can be read of a damaged store into a new one.

    python3 -m gatewayd.store.rescue DAMAGED NEW

The daemon must not run on either. Rows are read in ranges of keys; a range that cannot be read is
halved, down to the row. Nothing is written to the damaged store.
"""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from urllib.parse import quote

from gatewayd.errors import StoreError
from gatewayd.store.contract import Item, Work
from gatewayd.store.database import Database
from gatewayd.store.rows import COLUMNS

LAST_KEY = (1 << 63) - 1
PAGE = 1000
_RANGE = "FROM item NOT INDEXED WHERE key BETWEEN ? AND ? ORDER BY key"


def _rows(connection: sqlite3.Connection, first: int, last: int) -> Iterator[list[Item]]:
    """The readable rows with these keys, in pages."""
    while first <= last:
        try:
            sql = f"SELECT {COLUMNS} {_RANGE} LIMIT {PAGE}"
            page = [Item(*row) for row in connection.execute(sql, (first, last)).fetchall()]
        except sqlite3.Error:
            break
        if not page:
            return
        yield page
        first = page[-1].key + 1
    if first >= last:
        return
    middle = (first + last) // 2
    yield from _rows(connection, first, middle)
    yield from _rows(connection, middle + 1, last)


def rescue(damaged: str, new: str) -> int:
    """How many rows were saved. Raises `StoreError` when there is nothing to read from, or to."""
    if os.path.exists(new):
        raise StoreError(f"{new} exists; name a file that does not")
    connection = sqlite3.connect(f"file:{quote(damaged)}?mode=ro", uri=True)
    saved = 0
    database = Database(new, lambda step: None)
    database.open(1)
    try:
        for page in _rows(connection, 0, LAST_KEY):
            database.apply([Work(puts=page)])
            saved += len(page)
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
