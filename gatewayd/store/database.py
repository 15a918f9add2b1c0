"""The SQLite file itself: what the store's one thread does with its one connection, in plain calls.

One connection and no other, in exclusive mode: nobody's forgotten read transaction lets the WAL
grow, and a checkpoint never meets a commit of another connection (SQLite before 3.51.3 can damage
the file there).
"""

# ruff: noqa: S608 - every piece of SQL put together here is a constant of this package

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gatewayd.errors import StoreError, UsageError
from gatewayd.store.contract import Depth, FailPoint, Item, Queue, Recovery
from gatewayd.store.lock import OwnerLock
from gatewayd.store.rows import COLUMNS, END, FIND, RESERVE, VIEW, Batch, Statement, keys_of
from gatewayd.store.schema import MIGRATIONS, migrate

_MAGIC = b"SQLite format 3\0"
_PRAGMAS = (
    "locking_mode=EXCLUSIVE",
    "journal_mode=WAL",
    "synchronous=FULL",  # NORMAL loses acknowledged rows at a power cut
    "wal_autocheckpoint=0",  # see checkpoint()
    "journal_size_limit=67108864",  # a WAL that one huge batch blew up shrinks again
    "cache_size=-65536",  # 64 MB holds the indexes of a million rows
    "temp_store=MEMORY",
    "secure_delete=ON",  # what is over is overwritten: these are people's messages
)
# Keys are reserved in blocks, so that one is never used twice even when its row is long gone.
_KEY_BLOCK = 10_000
# Pages in the WAL, by a rough estimate. Beyond the first a quiet moment is used for a checkpoint,
# beyond the second no moment is waited for.
_QUIET_PAGES = 1_000
_FULL_PAGES = 4_000
_WAL_OCTETS = 8 * 1024 * 1024  # more than a busy gateway writes from one checkpoint to the next
# New messages stop while a full WAL and a checkpoint still have room: what waits can then be sent
# and ended on a full disk. Small disks keep a quarter.
_RESERVED_OCTETS = 32 * 1024 * 1024
_ROWS_BETWEEN_LOOKS = 256
_CHECKED_OCTETS = 64 * 1024 * 1024  # files up to this size are checked whole at open (0.2 s)

_LANES = "SELECT queue, lane, count(*) FROM item INDEXED BY {} WHERE {} GROUP BY queue, lane"
_WAITING_LANES = _LANES.format("item_waiting", "state < 2")
_OTHER_LANES = _LANES.format("item_others", "state > 1")
_LANE = f"SELECT {COLUMNS} FROM item INDEXED BY item_waiting WHERE state < 2 AND queue=? AND lane=?"
_HEADS = f"{_LANE} ORDER BY priority DESC, key LIMIT ?"
_SAME_PRIORITY = f"{_LANE} AND priority = ? AND key > ? ORDER BY key LIMIT ?"
_LOWER_PRIORITY = f"{_LANE} AND priority < ? ORDER BY priority DESC, key LIMIT ?"
_SEEN = (
    f"SELECT {COLUMNS} FROM item INDEXED BY item_others"
    f" WHERE state > 1 AND queue = {int(Queue.SEEN)} ORDER BY key"
)
_SIBLINGS = f"SELECT {COLUMNS} FROM item WHERE key BETWEEN ? AND ? ORDER BY key"
_NEXT_OTHER_LANE = (
    "SELECT queue, lane FROM item INDEXED BY item_others"
    " WHERE state > 1 AND (queue, lane) > (?, ?) ORDER BY queue, lane LIMIT 1"
)
_OLD = (
    "SELECT key FROM item INDEXED BY item_others"
    " WHERE state > 1 AND queue = ? AND lane = ? AND state = ? AND key < ? ORDER BY key LIMIT ?"
)


class Database:
    """Calls block; `sqlite3.Error` comes out as it is, and then nothing of the call has happened.

    Not for two threads at once. `path` ":memory:" has no lock, no size and no afterlife.
    Failpoints: "in-migration", "before-commit", "after-commit", "in-checkpoint".
    """

    def __init__(
        self,
        path: str,
        failpoint: FailPoint,
        migrations: Sequence[Sequence[str]] = MIGRATIONS,
        reserve: int | None = None,
    ) -> None:
        self._path = path
        self._failpoint = failpoint
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None
        self._lock = OwnerLock(path + ".lock")
        self._in_memory = path == ":memory:"
        self._reserve = reserve
        self._short = False  # of room on the disk
        self._rows_since_look = 0
        self._reserved_to = 0  # the highest key of the block
        self._highest = 0
        self._pages = 0  # estimate of what a checkpoint would find

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise UsageError("the store is not open")
        return self._connection

    # Opening and closing

    def open(self, per_lane: int) -> Recovery:
        """As `Store.open`."""
        try:
            if not self._in_memory:
                self._look_at_files()
                self._lock.acquire()
            self._connection = sqlite3.connect(
                self._path, isolation_level=None, check_same_thread=False, cached_statements=128
            )
            self._prepare()
            return self._recover(per_lane)
        except (StoreError, sqlite3.Error, OSError) as error:
            self._abandon()
            if isinstance(error, sqlite3.Error):
                raise StoreError(f"{self._path}: {explain(error, self._path)}") from error
            raise StoreError(f"{self._path}: {error}") from error
        except BaseException:
            self._abandon()
            raise

    def _look_at_files(self) -> None:
        """Find what SQLite would mend in silence, or could only complain of in riddles."""
        path, folder = self._path, os.path.dirname(os.path.abspath(self._path))
        if not os.path.isdir(folder):
            raise StoreError(f"there is no folder {folder}; make it, owned by the daemon's user")
        if os.path.isdir(path):
            raise StoreError("is a folder; name a file in it")
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise StoreError(
                f"user {os.geteuid()} may not write in the folder {folder};"
                " give the folder to the daemon's user, or mount it writable"
            )
        octets = os.path.getsize(path) if os.path.exists(path) else 0
        if not octets:
            if _octets(path + "-wal"):
                raise StoreError(
                    f"the store is gone or empty, but {path}-wal still holds rows of it;"
                    " put the store back beside it, or move the -wal file away to begin anew"
                )
            # Before SQLite does it with the umask's mode: these are people's messages.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            return
        for file in (path, f"{path}-wal"):
            if os.path.exists(file) and not os.access(file, os.R_OK | os.W_OK, effective_ids=True):
                raise StoreError(
                    f"user {os.geteuid()} may not read and write {os.path.basename(file)};"
                    " give it to the daemon's user"
                )
        with open(path, "rb") as store:
            if store.read(len(_MAGIC)) != _MAGIC:
                raise StoreError(f"does not begin as a store does; {_rescue(path)}")

    def _prepare(self) -> None:
        connection = self.connection
        answers = [connection.execute(f"PRAGMA {pragma}").fetchone() for pragma in _PRAGMAS]
        if answers[1][0] != "wal" and not self._in_memory:
            raise StoreError(f"its file system does not carry a WAL (got {answers[1][0]})")
        migrate(connection, self._failpoint, self._migrations)
        for statement in VIEW:
            connection.execute(statement)
        connection.execute("BEGIN IMMEDIATE")  # fails on a read-only file, and writes nothing
        connection.execute("ROLLBACK")
        if self._in_memory:
            return
        _sync_folder(self._path)
        self._look_for_room()
        self.checkpoint()
        self._check()
        self._lay_out_wal()

    def _lay_out_wal(self) -> None:
        """Give the WAL its length now: a sync of what lies within a file takes half as long.

        For one that grows the file system has its own journal to write as well. To SQLite zeros
        are no frames.
        """
        path = self._path + "-wal"
        length = _octets(path)
        missing = _WAL_OCTETS - length
        if missing <= 0 or self._spare() < missing:
            return
        try:
            wal = os.open(path, os.O_WRONLY | os.O_APPEND)
            try:
                while missing > 0:
                    missing -= os.write(wal, bytes(min(missing, 1 << 20)))
                os.fsync(wal)
            finally:
                os.close(wal)
        except OSError:  # a quota, say; then it grows as it is used
            with suppress(OSError):
                os.truncate(path, length)

    def _check(self) -> None:
        """Cheap tests for damage; what they cannot see comes up when the page is read."""
        connection = self.connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        octets = _octets(self._path)
        if octets < pages * page_size and not self._pages:
            raise StoreError(
                f"is cut short ({octets} of {pages * page_size} octets); {_rescue(self._path)}"
            )
        if octets <= _CHECKED_OCTETS:
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise StoreError(f"is damaged ({verdict}); {_rescue(self._path)}")

    def _recover(self, per_lane: int) -> Recovery:
        connection = self.connection
        meta: dict[str, int | bytes] = dict(connection.execute("SELECT name, value FROM meta"))
        instance, reserved = meta.get("instance"), meta.get("last_key")
        if not isinstance(instance, bytes) or not isinstance(reserved, int):
            raise StoreError(f"is damaged (its meta table is incomplete); {_rescue(self._path)}")
        (highest,) = connection.execute("SELECT coalesce(max(key), 0) FROM item").fetchone()
        self._reserved_to = reserved
        self._highest = max(reserved, highest)
        heads: list[Item] = []
        depths = self.depths()
        for depth in depths:
            if depth.waiting:
                heads += self._items(_HEADS, (depth.queue, depth.lane, per_lane))
        seen = self._items(_SEEN, ())
        return Recovery(depths, heads, self._highest, instance, seen)

    def close(self) -> None:
        """Checkpoint and let go of everything; closing twice is harmless."""
        connection = self._connection
        if connection is None:
            return
        try:
            # Now the highest key is known exactly, and the rest of its block is free again.
            connection.execute("UPDATE meta SET value = ? WHERE name = 'last_key'", [self._highest])
            self.checkpoint()
        finally:
            self._abandon()

    def _abandon(self) -> None:
        connection, self._connection = self._connection, None
        self._pages = 0
        try:
            if connection is not None:
                connection.close()
        finally:
            self._lock.release()

    # Writing

    def apply(self, batches: Sequence[Batch]) -> None:
        """Make all of `batches` durable in one transaction, or none.

        Raises `StoreError` for works that only put, while the disk is almost full.
        """
        if self._short or self._rows_since_look >= _ROWS_BETWEEN_LOOKS:
            self._look_for_room()
            if self._short and any(batch.only_puts for batch in batches):
                raise StoreError("almost no room on its disk; make room, and it goes on by itself")
        statements = [statement for batch in batches for statement in batch.statements]
        if not statements:
            return
        highest = max(batch.highest for batch in batches)
        reserved = self._reserved_to
        if highest > reserved:
            reserved = highest + _KEY_BLOCK
            statements.append((RESERVE, (reserved,)))
        self._transact(statements)
        self._reserved_to = reserved
        self._highest = max(self._highest, highest)
        rows = sum(batch.rows for batch in batches)
        self._pages += 2 + rows
        self._rows_since_look += rows

    def _look_for_room(self) -> None:
        if self._in_memory:
            return
        self._short = self._spare() < 0
        self._rows_since_look = 0

    def _spare(self) -> int:
        """Octets of room beyond those that are reserved."""
        disk = os.statvfs(self._path)
        reserve = self._reserve
        if reserve is None:
            reserve = min(_RESERVED_OCTETS, disk.f_blocks * disk.f_frsize // 4)
        room = disk.f_bavail * disk.f_frsize
        if room < reserve:  # the store's own file may be half empty
            (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
            (page_size,) = self.connection.execute("PRAGMA page_size").fetchone()
            room += free * page_size
        return room - reserve

    def _transact(self, statements: Sequence[Statement]) -> None:
        """Run them as one."""
        execute = self.connection.execute
        if len(statements) == 1:  # a transaction by itself: two steps less
            self._failpoint("before-commit")
            execute(*statements[0])
        else:
            execute("BEGIN IMMEDIATE")
            try:
                for sql, values in statements:
                    execute(sql, values)
                self._failpoint("before-commit")
                execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself rolls back after some errors
                    execute("ROLLBACK")
                raise
        self._failpoint("after-commit")

    def prune(self, before_key: int, limit: int) -> int:
        """As `Store.prune`."""
        keys: list[int] = []
        lane = (-1, "")
        while len(keys) < limit:
            row = self.connection.execute(_NEXT_OTHER_LANE, lane).fetchone()
            if row is None:
                break
            lane = row
            for state in (2, 3):
                values = (*lane, state, before_key, limit - len(keys))
                keys += [key for (key,) in self.connection.execute(_OLD, values)]
        if keys:
            self._transact(list(keys_of(END, keys)))
            self._pages += 2 + len(keys)
        return len(keys)

    def checkpoint_is_due(self, quiet: bool) -> bool:
        """Whether the WAL is long enough; `quiet`: nobody has wanted the disk for a while."""
        return self._pages >= (_QUIET_PAGES if quiet else _FULL_PAGES)

    def checkpoint(self) -> None:
        """Move what the WAL holds into the file, so that the WAL begins anew.

        SQLite's own would come within a commit, and the callers of that commit would wait for it.
        """
        self._failpoint("in-checkpoint")
        row = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        busy, in_wal, moved = row
        if not busy and in_wal == moved:
            self._pages = 0
        self._failpoint("in-checkpoint")

    # Reading

    def _items(self, sql: str, values: Sequence[object]) -> list[Item]:
        return [Item(*row) for row in self.connection.execute(sql, values).fetchall()]

    def claim(self, queue: int, lane: str, limit: int, after: tuple[int, int]) -> list[Item]:
        """As `Store.claim`."""
        priority, key = after
        # Two ranges of the index instead of one OR, which would walk the lane from its beginning.
        items = self._items(_SAME_PRIORITY, (queue, lane, priority, key, limit))
        if len(items) < limit:
            items += self._items(_LOWER_PRIORITY, (queue, lane, priority, limit - len(items)))
        return items

    def find(self, names: Sequence[str]) -> Mapping[str, Item]:
        """As `Store.find`."""
        found: dict[str, Item] = {}
        for sql, values in keys_of(FIND, names):
            found.update((item.name, item) for item in self._items(sql, values))
        return found

    def siblings(self, first: int, total: int) -> list[Item]:
        """As `Store.siblings`."""
        return self._items(_SIBLINGS, (first, first + total - 1))

    def browse(
        self, queue: int, lane: str | None, states: Sequence[int], after: int, limit: int
    ) -> list[Item]:
        """As `Store.browse`."""
        wanted = sorted({int(state) for state in states})
        parts, values = [], []
        for index, inside in (("item_waiting", "state < 2"), ("item_others", "state > 1")):
            some = [state for state in wanted if (state < 2) == (index == "item_waiting")]
            if not some:
                continue
            # Without a word on the state itself the index alone answers.
            which = "" if some == [0, 1] else f" AND state IN ({','.join(map(str, some))})"
            only = "" if lane is None else " AND lane = ?"
            parts.append(
                f"SELECT * FROM (SELECT key FROM item INDEXED BY {index} WHERE {inside}"
                f" AND queue = ?{only}{which} AND key > ? ORDER BY key LIMIT ?)"
            )
            values += [queue, *([] if lane is None else [lane]), after, limit]
        if not parts:
            return []
        keys = " UNION ALL ".join(parts)
        sql = f"SELECT {COLUMNS} FROM item WHERE key IN ({keys}) ORDER BY key LIMIT ?"
        return self._items(sql, [*values, limit])

    def depths(self) -> list[Depth]:
        """As `Store.depths`."""
        rows: dict[tuple[int, str], tuple[int, int]] = {}
        for queue, lane, count in self.connection.execute(_WAITING_LANES).fetchall():
            rows[queue, lane] = (count, 0)
        for queue, lane, count in self.connection.execute(_OTHER_LANES).fetchall():
            rows[queue, lane] = (rows.get((queue, lane), (0, 0))[0], count)
        return [Depth(*place, *counts) for place, counts in sorted(rows.items())]

    def size(self) -> int:
        """Octets of the file and its WAL. The one call that any thread may make."""
        return 0 if self._in_memory else _octets(self._path) + _octets(self._path + "-wal")


def explain(error: sqlite3.Error, path: str) -> str:
    """SQLite's error in words that say what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    advice = {
        sqlite3.SQLITE_BUSY: "another program has the store open; end that program",
        sqlite3.SQLITE_READONLY: "it is read-only; give it to the daemon's user, or mount its"
        " file system writable",
        sqlite3.SQLITE_FULL: "no room on its disk; make room, and it goes on by itself",
        sqlite3.SQLITE_IOERR: "its disk fails or is full; see the kernel's log",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; check the rights on it and on its folder",
        sqlite3.SQLITE_CORRUPT: "is damaged; " + _rescue(path),
        sqlite3.SQLITE_NOTADB: "is damaged; " + _rescue(path),
        sqlite3.SQLITE_ERROR: "lacks what a store has; " + _rescue(path),
    }.get(code)
    return f"{advice} ({error})" if advice else str(error)


def lacks_room(error: sqlite3.Error) -> bool:
    """Whether a full disk may be behind it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _rescue(path: str) -> str:
    return (
        "keep a copy of it and of its -wal file, save what can be read with"
        f" `{sys.executable} -m gatewayd.store.rescue {path} {path}.rescued`, and put the result or"
        " a backup in its place"
    )


def _octets(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _sync_folder(path: str) -> None:
    """A new file lasts only once its folder is on disk."""
    fd = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
