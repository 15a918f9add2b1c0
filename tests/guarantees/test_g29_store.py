"""G29, G30: a damaged store is refused with advice; a change of schema happens wholly or not."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.store.contract import Item, Queue, State, Work
from gatewayd.store.database import Database
from gatewayd.store.rescue import rescue
from gatewayd.store.schema import MIGRATIONS
from gatewayd.store.sqlite import SqliteStore
from tests.guarantees.conftest import Record
from tests.live.test_store_kill import ROOT, command
from tests.live.torture import Verdict

ROWS = 500
NEXT = (*MIGRATIONS, ("ALTER TABLE item ADD COLUMN extra TEXT", "CREATE INDEX x ON item (extra)"))


class Killed(BaseException):
    """The process ends here."""


def filled(path: Path) -> None:
    store = SqliteStore(str(path), print, threaded=False)
    store.open(10)
    store.commit([Work(puts=[Item(Queue.MT, n, "a", b"x" * 200) for n in range(1, ROWS + 1)])])
    store.close()


def count(path: Path, migrations: object = MIGRATIONS) -> int:
    database = Database(str(path), lambda step: None, migrations)  # type: ignore[arg-type]
    database.open(10)
    rows = len(database.browse(0, None, list(State), 0, 10_000))
    database.close()
    return rows


def cut(path: Path, chance: random.Random) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[: chance.randrange(5000, len(octets) - 1)])


def overwritten(path: Path, chance: random.Random) -> None:
    octets = bytearray(path.read_bytes())
    start = chance.randrange(0, len(octets) - 4096) // 4096 * 4096
    octets[start : start + 4096] = chance.randbytes(4096)
    path.write_bytes(octets)


def another(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(20_000))


@pytest.mark.parametrize("damage", [cut, overwritten, another])
def test_g29_a_damaged_store_is_refused_with_advice(
    tmp_path: Path, damage: Callable[[Path, random.Random], None], record: Record
) -> None:
    chance, total = random.Random(29), 50
    advised = 0
    for number in range(total):
        path = tmp_path / f"q{number}"
        filled(path)
        damage(path, chance)
        before = path.read_bytes()
        try:
            count(path)
        except StoreError as error:
            advised += "rescue" in str(error) or "copy" in str(error) or "recover" in str(error)
        assert path.stat().st_size >= len(before) > 0, "it is not replaced"
    figure = f"{advised} refused with advice"
    name = "G29 a damaged store is not replaced in silence"
    record(Verdict(name, damage.__name__, total, figure, advised == total))


def test_g29_the_readable_rows_come_back(tmp_path: Path, record: Record) -> None:
    chance, total = random.Random(29), 20
    fewest = ROWS
    for number in range(total):
        path, rescued = tmp_path / f"q{number}", tmp_path / f"rescued{number}"
        filled(path)
        octets = bytearray(path.read_bytes())
        place = chance.randrange(8, len(octets) // 4096) * 4096
        octets[place : place + 4096] = bytes(4096)
        path.write_bytes(octets)
        saved = rescue(str(path), str(rescued))
        assert count(rescued) == saved
        fewest = min(fewest, saved)
    figure = f"{fewest} of {ROWS} rows saved at least"
    record(Verdict("G29 rescue", "a page overwritten", total, figure, fewest > ROWS * 0.8))


def test_g30_killed_in_each_step_of_a_change_of_schema(tmp_path: Path, record: Record) -> None:
    steps = len(NEXT[-1]) + 1
    whole = 0
    for step in range(1, steps + 1):
        path = tmp_path / f"q{step}"
        filled(path)
        left = step

        def reached(name: str) -> None:
            nonlocal left
            if name == "in-migration":
                left -= 1
                if not left:
                    raise Killed

        with pytest.raises(Killed):
            Database(str(path), reached, NEXT).open(10)
        whole += count(path) == ROWS and count(path, NEXT) == ROWS
    name = "G30 a change of schema is whole or absent"
    record(Verdict(name, "killed in each step", steps, f"{whole} whole", whole == steps))


@pytest.mark.live
@pytest.mark.parametrize("call", range(1, len(MIGRATIONS[0]) + 2))
def test_g30_killed_in_each_step_of_the_first_schema(tmp_path: Path, call: int) -> None:
    path = tmp_path / "q"
    run = subprocess.run(
        command(path, "in-migration", call),
        env={"PYTHONPATH": ROOT},
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert run.returncode == -signal.SIGKILL
    assert count(path) == 0


def test_g30_an_old_version_refuses_by_name(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "q"
    filled(path)
    assert count(path, NEXT) == ROWS
    with pytest.raises(StoreError, match="newer gatewayd") as refused:
        count(path)
    figure = str(refused.value).rpartition(": ")[2][:60]
    record(Verdict("G30 an old version on a new store", "downgrade", 1, f"refuses: {figure}", True))
