"""G21: whatever the disk does, a 202 has its row, and the gateway goes on by itself."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatewayd.store.contract import Item, Queue, Work
from gatewayd.store.sqlite import SqliteStore
from tests.guarantees.caller import Caller
from tests.guarantees.conftest import Record
from tests.guarantees.disk import preload
from tests.live.harness import Rig, drain, kannel_conf, until
from tests.live.test_store_kill import ROOT
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


@pytest.mark.parametrize("fails", [1, 25], ids=["once", "for a while"])
@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_g21_the_nth_write_or_sync_fails(
    tmp_path: Path, record: Record, kind: str, fails: int, long: bool
) -> None:
    """For N = 1, 2, 3 ... from the first open on, over the real store, in one process."""
    memory = Path("/dev/shm")
    place = tempfile.mkdtemp(prefix="gatewayd-g21-", dir=memory if memory.is_dir() else None)
    folder = Path(place)
    environment = {
        "PYTHONPATH": ROOT,
        "LD_PRELOAD": preload(tmp_path),
        "DISK_UNDER": str(folder),
    }
    words = [str(folder), str(getattr(errno, kind)), str(fails), "1" if long else "40"]
    run = subprocess.run(
        [sys.executable, "-m", "tests.guarantees.failing_store", *words],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=600,
    )
    shutil.rmtree(folder)
    assert run.returncode == 0, run.stderr.decode()[-2000:]
    told = json.loads(run.stdout.splitlines()[-1])
    problems = told["problems"]
    figure = (
        f"{len(problems)} acknowledged without row, unsound or stuck; {told['refused']} refused"
    )
    fault = f"the Nth write or sync fails with {kind}"
    fault += f", and the {fails - 1} behind it" if fails > 1 else ""
    # The store tries a commit once more, so one failure alone is seldom heard of.
    holds = not problems and told["tried"] > 5 and (told["refused"] > 0 or fails == 1)
    name = "G21 N = 1, 2, 3 ... over the real store"
    record(Verdict(name, fault, told["tried"], figure, holds))
    assert not problems, problems[:10]


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_g21_the_disk_fails_for_a_while(rig: Rig, record: Record, kind: str, long: bool) -> None:
    chance = random.Random(21)
    rounds, failing, calls = (3, 40, 1600) if long else (1, 8, 400)
    accepted = refused = lost = 0
    sound = recovered = True
    library = preload(rig.folder)
    for number in range(rounds):
        folder = rig.folder / f"{kind}{number}"
        folder.mkdir()
        with Rig(folder) as one:
            smsc = one.smsc({"dlr-delay-ms": -1})
            gateway = one.gateway(kannel_conf(one))
            environment = {
                "LD_PRELOAD": library,
                "DISK_UNDER": str(gateway.state / "gatewayd.sqlite3"),
                "DISK_FAIL": str(chance.randrange(calls // 5, calls // 2)),
                "DISK_FAILS": str(failing),
                "DISK_ERRNO": str(getattr(errno, kind)),
            }
            gateway.start(environment)
            assert until(lambda: smsc.binds > 0, 20), gateway.tail()  # noqa: B023
            caller = one.caller({"total": calls, "rate": 200, "conns": 8, "timeout-s": 30})
            until(lambda: not caller.running, 60)  # noqa: B023
            told = caller.end()
            accepted += told["ok"]
            refused += calls - told["ok"]
            drain(lambda: smsc.acked, told["ok"], stall=10, cap=30)  # noqa: B023
            later = one.caller({"total": 20, "conns": 1, "first-id": 5000}, tag="later")
            until(lambda: not later.running, 30)  # noqa: B023
            recovered = recovered and later.end()["ok"] == 20
            drain(lambda: smsc.acked, told["ok"] + 20, stall=10, cap=30)  # noqa: B023
            gateway.stop()
            ids = {n for n, times in enumerate(caller.seen("accepted")) if times}
            smsc.end()
            lost += len(ids - {n for n, times in enumerate(smsc.seen("acked")) if times})
            with sqlite3.connect(gateway.state / "gatewayd.sqlite3") as connection:
                verdict = connection.execute("PRAGMA integrity_check").fetchone()
                sound = sound and verdict == ("ok",)
    figure = f"{lost} lost, {refused} refused, integrity {'ok' if sound else 'BROKEN'}"
    figure += ", went on by itself" if recovered else ", did NOT go on"
    fault = f"{rounds} x {failing} writes and syncs in a row fail with {kind}"
    holds = not lost and sound and recovered
    record(Verdict("G21 a 202 has its row, whatever the disk does", fault, accepted, figure, holds))


def test_g21_a_full_file_system(tmp_path: Path, record: Record, long: bool) -> None:
    """A file system of 16 MB, filled to the brim by messages, then emptied by their ends."""
    mount = tmp_path / "small"
    with small_disk(mount, 16):
        path = mount / "q"
        store = SqliteStore(str(path), print, threaded=False)
        store.open(10)
        kept: list[int] = []
        refused = 0
        for key in range(1, 60_000):
            told: list[object] = []
            item = Item(Queue.MT, key, "a", b"x" * 600)
            store.commit([Work(puts=[item])]).addBoth(told.append)
            if told == [None]:
                kept.append(key)
            else:
                refused += 1
                if refused > 100:
                    break
        ended: list[object] = []
        for key in kept[: len(kept) // 2]:
            store.commit([Work(ends=[key])]).addBoth(ended.append)
        again: list[object] = []
        for key in range(70_000, 71_000):
            puts = [Item(Queue.MT, key, "a", b"x")]
            store.commit([Work(puts=puts)]).addBoth(again.append)
        store.close()
        with sqlite3.connect(path) as connection:
            rows = {key for (key,) in connection.execute("SELECT key FROM item")}
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        missing = len(set(kept[len(kept) // 2 :]) - rows)
        goes_on = again[-1] is None and all(answer is None for answer in ended)
        figure = f"{missing} lost, {refused} refused, integrity {verdict}"
        figure += ", went on by itself" if goes_on else ", did NOT go on"
        holds = not missing and refused > 100 and verdict == "ok" and goes_on
        name = "G21 a full disk refuses, ends what waits, and goes on"
        record(Verdict(name, "a file system of 16 MB", len(kept), figure, holds))


@contextlib.contextmanager
def small_disk(mount: Path, megabytes: int) -> Iterator[None]:
    """A file system of that size; skips the test where it may not be mounted."""
    if os.geteuid() != 0:
        pytest.skip(f"mounting a file system of {megabytes} MB needs root")
    mount.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(mount)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_g21_a_gateway_on_a_full_disk(rig: Rig, record: Record) -> None:
    """Filled to the brim: 503. Room again: 202, by itself, and nothing of before is lost."""
    gateway = rig.gateway(kannel_conf(rig))
    with small_disk(gateway.state, 16):
        smsc = rig.smsc({"dlr-delay-ms": -1})
        gateway.start()
        assert until(lambda: smsc.binds > 0, 20), gateway.tail()
        smsc.toggle_silence()
        caller = Caller(rig)
        kept = [n for n in range(100) if caller.send(f"XQ{n:08}.{0:013}QX")]
        ballast = gateway.state / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
        refused = unclear = 0
        for n in range(100, 400):
            status = caller.status(f"XQ{n:08}.{0:013}QX")
            refused += status == 503
            unclear += status not in (202, 503)
            if status == 202:
                kept.append(n)
        ballast.unlink()
        back = until(lambda: caller.status(f"XQ{400:08}.{0:013}QX") == 202, 30, 0.2)
        smsc.toggle_silence()
        drain(lambda: smsc.uniq, len(kept) + 1, stall=10)
        drain(lambda: smsc.outst == 0, 1, stall=10)
        assert gateway.stop() == 0
        with sqlite3.connect(gateway.state / "gatewayd.sqlite3") as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
    smsc.end()
    sent = {n for n, times in enumerate(smsc.seen("acked")) if times}
    lost = len(set(kept) - sent)
    figure = f"{lost} lost, {refused} x 503, {unclear} other answers, integrity {verdict}"
    figure += ", went on by itself" if back else ", did NOT go on"
    holds = not lost and refused > 0 and not unclear and verdict == "ok" and back
    title = "G21 a gateway whose disk is full"
    record(Verdict(title, "a file system of 16 MB, filled", len(kept), figure, holds))
