"""Below the preloaded tools/disk.c: the store, while the Nth write or sync fails, N = 1, 2, 3 ...

failing_store.py FOLDER ERRNO FAILS STEP prints one JSON line: how many N were tried, how often a
commit was refused, and what went wrong, which must be nothing. N grows by STEP until no call fails.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import sqlite3
import sys
from pathlib import Path

from gatewayd.errors import StoreError
from gatewayd.store.contract import Change, Item, Queue, State, Work
from gatewayd.store.sqlite import SqliteStore

COMMITS = 30
CHECKPOINT_AT = 15
AFTER = 5  # commits after the trouble: it goes on by itself


class Run:
    """One life of a store with one disturbance."""

    def __init__(self, path: Path, number: int, fails: int, errno: int) -> None:
        self.path, self.problems = path, list[str]()
        self.kept: set[int] = set()
        self.refused = 0
        disk = ctypes.CDLL(None)
        disk.disk_arm(number, fails, errno)
        store = self._opened()
        for key in range(1, COMMITS + 1):
            if key == CHECKPOINT_AT:
                self._checkpoint(store)
            self._commit(store, key)
        self.calls: int = disk.disk_calls()
        disk.disk_arm(0, 0, 0)
        for key in range(COMMITS + 1, COMMITS + AFTER + 1):
            if not self._commit(store, key):
                self.problems.append(f"commit {key} refused after the trouble")
        store.close()
        self._look()

    def _opened(self) -> SqliteStore:
        for _ in range(100):  # as systemd would start it again
            store = SqliteStore(str(self.path), print, threaded=False)
            try:
                store.open(10)
            except StoreError:
                self.refused += 1
            else:
                return store
        raise RuntimeError("it does not open any more")

    def _checkpoint(self, store: SqliteStore) -> None:
        try:
            store._database.checkpoint()
        except (StoreError, sqlite3.Error):
            self.refused += 1

    def _commit(self, store: SqliteStore, key: int) -> bool:
        work = Work(puts=[Item(Queue.MT, key, "a", b"x" * 700)])
        if key - 3 in self.kept:
            work.changes.append(Change(key - 3, State.SENT, name=f"s/{key}"))
        told: list[object] = []
        store.commit([work]).addBoth(told.append)
        if told == [None]:
            self.kept.add(key)
            return True
        self.refused += 1
        return False

    def _look(self) -> None:
        with sqlite3.connect(self.path) as connection:
            rows = {key for (key,) in connection.execute("SELECT key FROM item")}
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
        if missing := self.kept - rows:
            self.problems.append(f"acknowledged and gone: {sorted(missing)}")
        if verdict != "ok":
            self.problems.append(verdict)


def main(folder: str, errno: int, fails: int, step: int) -> None:
    refused, tried, number = 0, 0, 1
    problems: list[str] = []
    while True:
        place = Path(folder, "one")
        place.mkdir()
        run = Run(place / "q", number, fails, errno)
        shutil.rmtree(place)
        problems += [f"N={number}: {problem}" for problem in run.problems]
        refused += run.refused
        tried += 1
        if number > run.calls:
            break
        number += step
    print(json.dumps({"tried": tried, "refused": refused, "problems": problems}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
