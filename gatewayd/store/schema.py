"""The tables of the SQLite store, and the way from each older layout to the newest.

Why the tables look as they do is measured in docs/decisions/0001-sqlite-group-commit.md.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Sequence

from gatewayd.errors import StoreError
from gatewayd.store.contract import FailPoint

# Marks the file as ours in its header ("gtwd"), so that a stranger's database is not touched.
APPLICATION_ID = 0x67747764

# `item_waiting` ends in the row's key (SQLite adds it), so it reads in handing order. A row is in
# one of the two partial indexes: together they count every lane without reading a body.
_FIRST = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE item ("
    " key INTEGER PRIMARY KEY,"
    " queue INTEGER NOT NULL,"
    " lane TEXT NOT NULL,"
    " state INTEGER NOT NULL,"
    " priority INTEGER NOT NULL,"
    " tries INTEGER NOT NULL,"
    " due REAL NOT NULL,"
    " name TEXT,"
    " body BLOB NOT NULL)",
    "CREATE INDEX item_waiting ON item (queue, lane, priority DESC) WHERE state < 2",
    "CREATE INDEX item_others ON item (queue, lane, state) WHERE state > 1",
    "CREATE INDEX item_name ON item (name) WHERE name IS NOT NULL",
)

# One entry per schema version, never changed once released: entry n leads from version n to n + 1.
MIGRATIONS: tuple[Sequence[str], ...] = (_FIRST,)


def migrate(
    connection: sqlite3.Connection,
    failpoint: FailPoint,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> None:
    """Bring the database to the newest schema; each step happens wholly or not at all.

    Calls `failpoint("in-migration")` before each statement. Raises `StoreError` when the database
    is newer than `migrations`, or is somebody else's; `sqlite3.Error` when a step fails, and then
    the database is at the last whole step.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise StoreError(
            "an SQLite database, but not a gatewayd store; give the store its own file"
        )
    if version > len(migrations):
        raise StoreError(
            f"written by a newer gatewayd (schema {version}, this one knows {len(migrations)});"
            " start the newer version again, or give this one a store of its own"
        )
    for number in range(version, len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in migrations[number]:
                failpoint("in-migration")
                connection.execute(statement)
            if number == 0:
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.executemany(
                    "INSERT INTO meta VALUES (?, ?)",
                    [("instance", secrets.token_bytes(8)), ("last_key", 0)],
                )
            connection.execute(f"PRAGMA user_version = {number + 1}")
            failpoint("in-migration")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
