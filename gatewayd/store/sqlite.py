"""The default store: one SQLite file, one thread that writes it, commits in groups.

Order of a commit: rows are written; failpoint "before-commit"; COMMIT with its sync; failpoint
"after-commit"; the Deferreds fire. Between groups the WAL is emptied into the file (failpoint
"in-checkpoint", before and after), and a change of schema at open passes "in-migration".
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from gatewayd.errors import StoreError, UsageError
from gatewayd.store.contract import Depth, FailPoint, Item, Recovery, Work
from gatewayd.store.database import Database, explain, lacks_room
from gatewayd.store.rows import Batch
from gatewayd.store.thread import Answer, Call, Commit, InlineWorker, ThreadWorker, Worker

log = Logger(namespace=__name__)


def _no_failpoint(name: str) -> None:
    pass


class SqliteStore:
    """`Store` over SQLite in WAL mode with synchronous=FULL.

    `call_from_thread` is the reactor's callFromThread. `threaded=False` does every job within the
    call (tests; `path` may then be ":memory:") and needs no reactor. `reserve`: octets of the disk
    that stay free of new messages, so that waiting ones can be ended; None: 32 MB, or a quarter of
    a small disk.
    """

    def __init__(
        self,
        path: str,
        call_from_thread: Callable[..., object],
        failpoint: FailPoint = _no_failpoint,
        threaded: bool = True,
        reserve: int | None = None,
    ) -> None:
        self._path = path
        self._database = Database(path, failpoint, reserve=reserve)
        self._engine = _Engine(path, self._database)
        self._worker: Worker = (
            ThreadWorker(self._engine, call_from_thread) if threaded else InlineWorker(self._engine)
        )
        self._opened = False
        self._closing: list[Deferred[None]] | None = None  # those who wait for the end
        self._closed = False

    def open(self, per_lane: int) -> Recovery:
        """As the contract says. A store is opened once in its life."""
        if self._opened:
            raise UsageError("the store was opened before")
        recovery = self._database.open(per_lane)
        self._opened = True
        self._worker.start()
        return recovery

    def close(self) -> Deferred[None]:
        waiting: Deferred[None] = Deferred()
        if self._closed or not self._opened:
            waiting.callback(None)
        elif self._closing is not None:
            self._closing.append(waiting)
        else:
            self._closing = [waiting]
            done: Deferred[object] = Deferred()
            done.addBoth(self._ended)
            self._worker.put(Call(self._database.close, done, last=True))
        return waiting

    def _ended(self, result: object) -> None:
        # What was committed is safe even when the last checkpoint failed: no reason to fail.
        if isinstance(result, Failure):
            log.warn("{path}: {reason}", path=self._path, reason=result.getErrorMessage())
        self._closed = True
        waiting, self._closing = self._closing or [], []
        for deferred in waiting:
            deferred.callback(None)

    def commit(self, works: Sequence[Work]) -> Deferred[None]:
        if not self._opened or self._closing is not None:
            return fail(StoreError(f"{self._path}: the store is not open"))
        try:
            batch = Batch(works)
        except (TypeError, ValueError) as error:
            return fail(StoreError(f"{self._path}: {error}"))
        answer: Deferred[None] = Deferred()
        self._worker.put(Commit(batch, answer))
        return answer

    def claim(
        self, queue: int, lane: str, limit: int, after: tuple[int, int]
    ) -> Deferred[Sequence[Item]]:
        return self._call(lambda: self._database.claim(queue, lane, limit, after))

    def find(self, names: Sequence[str]) -> Deferred[Mapping[str, Item]]:
        return self._call(lambda: self._database.find(names))

    def siblings(self, first: int, total: int) -> Deferred[Sequence[Item]]:
        return self._call(lambda: self._database.siblings(first, total))

    def browse(
        self, queue: int, lane: str | None, states: Sequence[int], after: int, limit: int
    ) -> Deferred[Sequence[Item]]:
        return self._call(lambda: self._database.browse(queue, lane, states, after, limit))

    def depths(self) -> Deferred[Sequence[Depth]]:
        return self._call(self._database.depths)

    def prune(self, before_key: int, limit: int) -> Deferred[int]:
        return self._call(lambda: self._database.prune(before_key, limit))

    def size(self) -> int:
        return self._database.size()

    def _call(self, run: Callable[[], object]) -> Deferred[Any]:
        if not self._opened or self._closing is not None:
            return fail(StoreError(f"{self._path}: the store is not open"))
        answer: Deferred[Any] = Deferred()
        self._worker.put(Call(run, answer))
        return answer


QUIET = 0.02  # seconds without a job, which are a good moment for a checkpoint


class _Engine:
    """Does jobs on the database, and turns whatever goes wrong into answers."""

    def __init__(self, path: str, database: Database) -> None:
        self._path = path
        self._database = database
        self._next_checkpoint = 0.0  # monotonic time; after a failed one the disk is left in peace

    def commit(self, group: Sequence[Commit]) -> Sequence[Answer]:
        batches = [commit.batch for commit in group]
        try:
            try:
                self._database.apply(batches)
            except sqlite3.Error as error:
                # An emptied WAL starts over within its own length, which a full disk still has.
                if not lacks_room(error) or not self._checkpoint():
                    raise
                self._database.apply(batches)
        except Exception as error:  # noqa: BLE001 - the thread must outlive every job
            if len(group) == 1:
                return [(group[0].answer, self._failure(error))]
            # One for one: a bad batch must not fail its neighbours, and when the disk is full the
            # ends among them may still go through and make room.
            return [answer for commit in group for answer in self.commit([commit])]
        return [(commit.answer, None) for commit in group]

    def call(self, call: Call) -> Answer:
        try:
            return call.answer, call.run()
        except Exception as error:  # noqa: BLE001 - as above
            return call.answer, self._failure(error)

    def rest(self, quiet: bool) -> float | None:
        if self._database.checkpoint_is_due(quiet):
            self._checkpoint()
        if not self._database.checkpoint_is_due(True):
            return None
        return max(QUIET, self._next_checkpoint - monotonic())

    def _checkpoint(self) -> bool:
        now = monotonic()
        if now < self._next_checkpoint:
            return False
        try:
            self._database.checkpoint()
        except sqlite3.Error as error:
            # The rows stay in the WAL, which is as safe; it grows until this succeeds.
            if not self._next_checkpoint:
                reason = explain(error, self._path)
                log.warn("{path}: checkpoint failed: {reason}", path=self._path, reason=reason)
            self._next_checkpoint = now + 1.0
            return False
        self._next_checkpoint = 0.0
        return True

    def _failure(self, error: Exception) -> Failure:
        reason = explain(error, self._path) if isinstance(error, sqlite3.Error) else str(error)
        return Failure(StoreError(f"{self._path}: {reason}"))
