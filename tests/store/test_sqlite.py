"""What the SQLite store does beyond the contract: opening, damage, full disks, groups, speed."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gatewayd.errors import StoreError, UsageError
from gatewayd.store.contract import Change, Item, Recovery, State, Work
from gatewayd.store.database import Database
from gatewayd.store.schema import APPLICATION_ID, MIGRATIONS, migrate
from gatewayd.store.sqlite import SqliteStore


def _never(*_: object) -> None:
    raise AssertionError("the in-line store needs no reactor")


def result(deferred: Deferred[Any]) -> Any:
    got: list[Any] = []
    deferred.addBoth(got.append)
    if isinstance(got[0], Failure):
        got[0].raiseException()
    return got[0]


def item(key: int, body: bytes = b"x", **fields: Any) -> Item:
    return Item(queue=0, key=key, lane="one", body=body, **fields)


def put(store: SqliteStore, *items: Item) -> None:
    result(store.commit([Work(puts=list(items))]))


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.sqlite3")


@pytest.fixture
def make(path: str) -> Iterator[Callable[..., SqliteStore]]:
    """Makes in-line stores on one file, and closes them."""
    made: list[SqliteStore] = []

    def _make(**options: Any) -> SqliteStore:
        made.append(SqliteStore(path, _never, threaded=False, **options))
        return made[-1]

    yield _make
    for store in made:
        store.close()


@pytest.fixture
def used(make: Callable[..., SqliteStore], path: str) -> str:
    """The path of a closed store with 500 items."""
    store = make()
    store.open(10)
    put(store, *(item(key, bytes(300)) for key in range(1, 501)))
    store.close()
    return path


def refused(store: SqliteStore) -> str:
    with pytest.raises(StoreError) as caught:
        store.open(10)
    return str(caught.value)


# Opening


def test_a_second_daemon_on_the_same_store_is_refused_and_told_the_first_ones_pid(
    make: Callable[..., SqliteStore],
) -> None:
    first, second = make(), make()
    first.open(10)
    message = refused(second)
    assert f"pid {os.getpid()}, since 2" in message
    put(first, item(1))
    first.close()
    third = make()
    assert [i.key for i in third.open(10).heads] == [1]


def test_a_store_is_opened_once_in_its_life(make: Callable[..., SqliteStore]) -> None:
    store = make()
    store.open(10)
    with pytest.raises(UsageError):
        store.open(10)


def test_a_store_that_was_never_opened_closes_and_refuses_work(
    make: Callable[..., SqliteStore],
) -> None:
    store = make()
    with pytest.raises(StoreError, match="not open"):
        put(store, item(1))
    result(store.close())


def test_nobody_else_may_read_the_messages(make: Callable[..., SqliteStore], path: str) -> None:
    store = make()
    store.open(10)
    put(store, item(1))
    for name in (path, path + "-wal", path + ".lock"):
        assert stat.S_IMODE(os.stat(name).st_mode) == 0o600


def test_store_01_a_store_of_a_newer_gatewayd_is_refused_by_name_and_left_alone(
    make: Callable[..., SqliteStore], used: str
) -> None:
    connection = sqlite3.connect(used)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    before = Path(used).read_bytes()
    known = len(MIGRATIONS)
    assert f"written by a newer gatewayd (schema 7, this one knows {known})" in refused(make())
    assert Path(used).read_bytes() == before


def test_somebody_elses_database_is_refused_and_left_alone(
    make: Callable[..., SqliteStore], path: str
) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = Path(path).read_bytes()
    assert "not a gatewayd store" in refused(make())
    after = sqlite3.connect(path)
    assert after.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    after.close()
    assert len(before) == os.path.getsize(path)


def _text(used: Path) -> None:
    used.write_bytes(b"dear diary, " * 1000)


def _garbled_header(used: Path) -> None:
    used.write_bytes(used.read_bytes()[:16] + b"\xa5" * 84 + used.read_bytes()[100:])


def _cut(used: Path) -> None:
    os.truncate(used, used.stat().st_size // 2 & ~4095)


def _cut_within_a_page(used: Path) -> None:
    os.truncate(used, 5000)


def _garbled_pages(used: Path) -> None:
    data = bytearray(used.read_bytes())
    data[4096 * 2 : 4096 * 8] = os.urandom(4096 * 6)
    used.write_bytes(data)


def _no_table(used: Path) -> None:
    connection = sqlite3.connect(used)
    connection.execute("DROP TABLE item")
    connection.close()


def _no_instance(used: Path) -> None:
    connection = sqlite3.connect(used, isolation_level=None)
    connection.execute("DELETE FROM meta")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [_text, _garbled_header, _cut, _cut_within_a_page, _garbled_pages, _no_table, _no_instance],
)
def test_store_07_a_damaged_store_is_refused_with_a_way_to_rescue_it_and_not_replaced(
    make: Callable[..., SqliteStore], used: str, damage: Callable[[Path], None]
) -> None:
    damage(Path(used))
    before = Path(used).read_bytes()
    message = refused(make())
    assert message.startswith(used + ": ")
    assert "gatewayd.store.rescue" in message
    assert Path(used).read_bytes() == before


@pytest.mark.parametrize("empty", [True, False])
def test_a_wal_without_its_store_is_not_thrown_away(
    make: Callable[..., SqliteStore], path: str, empty: bool
) -> None:
    if empty:
        Path(path).touch()
    wal = Path(path + "-wal")
    wal.write_bytes(b"rows" * 100)
    assert "-wal still holds rows" in refused(make())
    assert wal.read_bytes() == b"rows" * 100


def test_a_missing_folder_and_a_folder_in_the_files_place_are_said_so(tmp_path: Path) -> None:
    missing = str(tmp_path / "no" / "store")
    assert f"there is no folder {tmp_path / 'no'}" in refused(SqliteStore(missing, _never))
    assert "is a folder" in refused(SqliteStore(str(tmp_path), _never))


@pytest.fixture
def plain_user() -> Iterator[None]:
    """Not root, who may write everything."""
    user = os.geteuid()
    if user:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(("locked", "words"), [("file", "read and write"), ("folder", "write in")])
@pytest.mark.usefixtures("plain_user")
def test_store_04_a_store_that_the_user_may_not_write_is_refused(locked: str, words: str) -> None:
    folder = Path(tempfile.mkdtemp())
    store = SqliteStore(str(folder / "s"), _never, threaded=False)
    store.open(1)
    store.close()
    (folder / "s").chmod(0o400 if locked == "file" else 0o600)
    folder.chmod(0o500 if locked == "folder" else 0o700)
    try:
        assert words in refused(SqliteStore(str(folder / "s"), _never, threaded=False))
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_the_pragmas_that_durability_rests_on_are_set(make: Callable[..., SqliteStore]) -> None:
    store = make()
    store.open(1)
    execute = store._database.connection.execute
    assert execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert execute("PRAGMA synchronous").fetchone() == (2,)
    assert execute("PRAGMA locking_mode").fetchone() == ("exclusive",)


def test_after_a_crash_the_next_key_is_beyond_every_key_that_was_ever_used(
    make: Callable[..., SqliteStore], path: str, tmp_path: Path
) -> None:
    store = make()
    store.open(10)
    put(store, item(41))
    result(store.commit([Work(ends=[41])]))
    copy = str(tmp_path / "copy")
    for end in ("", "-wal"):
        shutil.copy(path + end, copy + end)
    crashed = SqliteStore(copy, _never, threaded=False)
    found = crashed.open(10)
    assert not found.heads
    assert 41 <= found.last_key < 20_000
    crashed.close()


# Schema


class _Killed(BaseException):
    pass


class _KillAt:
    """A failpoint that ends everything at the n-th call of one name."""

    def __init__(self, name: str, call: int) -> None:
        self._name, self._left = name, call

    def __call__(self, name: str) -> None:
        if name == self._name:
            self._left -= 1
            if self._left == 0:
                raise _Killed


_NEXT = (*MIGRATIONS, ("ALTER TABLE item ADD COLUMN owner TEXT", "DELETE FROM item WHERE key > 9"))


@pytest.mark.parametrize("call", range(1, 4))
def test_a_migration_that_is_ended_in_its_middle_has_not_happened(used: str, call: int) -> None:
    with pytest.raises(_Killed):
        Database(used, _KillAt("in-migration", call), _NEXT).open(10)
    old = Database(used, lambda _: None)
    assert old.open(10).depths[0].waiting == 500
    old.close()
    new = Database(used, lambda _: None, _NEXT)
    assert new.open(10).depths[0].waiting == 9
    assert new.connection.execute("PRAGMA user_version").fetchone() == (len(_NEXT),)
    new.close()
    with pytest.raises(StoreError, match="newer gatewayd"):
        Database(used, lambda _: None).open(10)


def test_a_migration_that_fails_has_not_happened(used: str) -> None:
    bad = (*MIGRATIONS, ("DELETE FROM item", "DELETE FROM missing"))
    with pytest.raises(StoreError, match="no such table"):
        Database(used, lambda _: None, bad).open(10)
    old = Database(used, lambda _: None)
    assert old.open(10).depths[0].waiting == 500
    old.close()


def test_making_a_store_is_all_or_nothing() -> None:
    for call in range(1, len(MIGRATIONS[0]) + 2):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        with pytest.raises(_Killed):
            migrate(connection, _KillAt("in-migration", call))
        assert connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
        migrate(connection, lambda _: None)
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        connection.close()


# Full disks


def test_store_06_a_full_disk_fails_the_batch_whole_and_the_store_goes_on_when_there_is_room(
    make: Callable[..., SqliteStore],
) -> None:
    store = make()
    store.open(10)
    execute = store._database.connection.execute
    put(store, item(1))
    (pages,) = execute("PRAGMA page_count").fetchone()
    execute(f"PRAGMA max_page_count = {pages + 3}")
    with pytest.raises(StoreError, match="no room on its disk"):
        put(store, item(2), item(3, bytes(50_000)))
    assert [i.key for i in result(store.siblings(1, 9))] == [1]
    result(store.commit([Work(changes=[Change(1, State.SENT, name="s/1")])]))
    put(store, item(4))
    execute("PRAGMA max_page_count = 100000")
    put(store, item(2), item(3, bytes(50_000)))
    assert [i.key for i in result(store.siblings(1, 9))] == [1, 2, 3, 4]
    assert execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_an_almost_full_disk_refuses_new_messages_but_lets_the_waiting_ones_end(
    make: Callable[..., SqliteStore],
) -> None:
    store = make()
    store.open(10)
    put(store, item(1), item(2))
    store.close()
    short = make(reserve=2**62)
    short.open(10)
    with pytest.raises(StoreError, match="almost no room"):
        put(short, item(3))
    result(short.commit([Work(changes=[Change(1, State.SENT)])]))
    result(short.commit([Work(ends=[1], puts=[item(4)])]))
    assert [i.key for i in result(short.siblings(1, 9))] == [2, 4]
    short._database._reserve = 0
    put(short, item(5))


# Groups and the thread


def _threaded(path: str, failpoint: Callable[[str], None]) -> tuple[SqliteStore, SimpleQueue[Any]]:
    calls: SimpleQueue[Any] = SimpleQueue()
    store = SqliteStore(path, lambda f, *a: calls.put((f, a)), failpoint)
    store.open(10)
    return store, calls


def _turn(calls: SimpleQueue[Any]) -> None:
    call, arguments = calls.get(timeout=10)
    call(*arguments)


def test_commits_that_wait_share_one_transaction_and_a_bad_one_fails_alone(path: str) -> None:
    go, reached, named = Event(), Event(), list[str]()

    def failpoint(name: str) -> None:
        named.append(name)
        if name == "before-commit":
            reached.set()
            assert go.wait(10)

    store, calls = _threaded(path, failpoint)
    named.clear()
    answers: list[object] = []
    store.commit([Work(puts=[item(1)])]).addBoth(answers.append)
    assert reached.wait(10)
    for key in (2, 3, 4, 5):
        store.commit([Work(puts=[item(key)])]).addBoth(answers.append)
    go.set()
    while len(answers) < 5:
        _turn(calls)
    assert answers == [None] * 5
    assert named == ["before-commit", "after-commit"] * 2
    closed = store.close()
    _turn(calls)
    assert closed.called


def test_a_group_with_a_bad_commit_is_done_again_one_by_one(path: str) -> None:
    go, reached = Event(), Event()

    def failpoint(name: str) -> None:
        if name == "before-commit":
            reached.set()
            assert go.wait(10)

    store, calls = _threaded(path, failpoint)
    answers: list[object] = []
    store.commit([Work(puts=[item(1)])]).addBoth(answers.append)
    assert reached.wait(10)
    for key in (2, 1, 3):
        store.commit([Work(puts=[item(key)])]).addBoth(answers.append)
    rows = store.siblings(1, 9)
    go.set()
    while not rows.called:
        _turn(calls)
    assert [isinstance(answer, Failure) for answer in answers] == [False, False, True, False]
    assert [i.key for i in result(rows)] == [1, 2, 3]
    store.close()
    _turn(calls)


def test_answers_come_on_the_reactors_thread_only(path: str) -> None:
    store, calls = _threaded(path, lambda _: None)
    answers: list[object] = []
    store.commit([Work(puts=[item(1)])]).addBoth(answers.append)
    call, arguments = calls.get(timeout=10)
    assert not answers
    call(*arguments)
    assert answers == [None]
    store.close()
    _turn(calls)


def test_a_wal_that_grew_is_emptied_between_commits(
    make: Callable[..., SqliteStore], path: str
) -> None:
    named: list[str] = []
    store = make(failpoint=named.append)
    store.open(10)
    for first in range(1, 3001, 100):
        put(store, *(item(key, bytes(300)) for key in range(first, first + 100)))
    assert named.count("in-checkpoint") >= 4
    assert len(Path(path + "-wal").read_bytes().rstrip(b"\0")) < 1_000_000
    assert os.path.getsize(path) > 800_000


def test_the_wal_has_its_length_from_the_beginning(
    make: Callable[..., SqliteStore], path: str
) -> None:
    make().open(10)
    length = os.path.getsize(path + "-wal")
    assert length >= 8_000_000
    assert os.stat(path + "-wal").st_mode & 0o777 == 0o600


def test_the_room_that_is_kept_free_is_not_taken_for_the_wal(
    make: Callable[..., SqliteStore], path: str
) -> None:
    make(reserve=1 << 60).open(10)
    assert os.path.getsize(path + "-wal") < 1_000_000


def test_a_quota_that_the_wal_would_pass_does_no_harm(
    make: Callable[..., SqliteStore], path: str
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_500_000, hard))
    try:
        store = make()
        store.open(10)
        assert os.path.getsize(path + "-wal") < 1_000_000
        put(store, item(1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_quiet_moment_is_used_to_empty_the_wal(path: str) -> None:
    """No further commit has to come for it."""
    emptied = Event()
    store, calls = _threaded(path, lambda name: emptied.set() if name == "in-checkpoint" else None)
    emptied.clear()
    store.commit([Work(puts=[item(key, bytes(300)) for key in range(1, 1501)])])
    _turn(calls)
    assert emptied.wait(10)
    store.close()
    _turn(calls)


def test_commits_that_follow_each_other_do_not_wait_for_a_checkpoint(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each comes within a quiet moment, which is made as long as it takes."""
    monkeypatch.setattr("gatewayd.store.sqlite.QUIET", 60.0)
    named: list[str] = []
    store, calls = _threaded(path, named.append)
    named.clear()
    for first in range(1, 3001, 500):
        store.commit([Work(puts=[item(key) for key in range(first, first + 500)])])
        _turn(calls)
    assert named.count("after-commit") == 6
    assert "in-checkpoint" not in named
    store.close()
    _turn(calls)


# A long queue


def test_a_hundred_thousand_waiting_items_are_opened_by_their_heads_alone(
    make: Callable[..., SqliteStore],
) -> None:
    store = make()
    store.open(1)
    for first in range(1, 100_001, 10_000):
        put(store, *(item(key, bytes(300)) for key in range(first, first + 10_000)))
    store.close()
    again = make()
    found: Recovery = again.open(500)
    assert _keys(found.heads) == list(range(1, 501))
    assert [tuple(depth) for depth in found.depths] == [(0, "one", 100_000, 0)]
    assert _keys(result(again.claim(0, "one", 500, (0, 90_000)))) == list(range(90_001, 90_501))


def _keys(items: Sequence[Item]) -> list[int]:
    return [i.key for i in items]
