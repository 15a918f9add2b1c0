"""G2: what was acknowledged survives a power cut, since it was synced before the answer."""

from __future__ import annotations

import random
import re
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest

from gatewayd.store.contract import State
from gatewayd.store.sqlite import SqliteStore
from tests.guarantees.conftest import Record
from tests.guarantees.disk import Images, preload, steps
from tests.live.harness import Gateway, Rig, drain, kannel_conf, until
from tests.live.test_store_kill import ROOT, command
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


def acknowledged(said: list[bytes]) -> int:
    """The writer acknowledges 1, 2, 3 ..., a line each; gives the last."""
    return int(said[-1].split()[-1]) if said else 0


def whole(path: Path, safe: int) -> tuple[bool, bool]:
    """Whether the store opens sound, and whether it holds all up to `safe`."""
    try:
        store = SqliteStore(str(path), print, threaded=False)
        store.open(10)
    except Exception:  # noqa: BLE001 - that is what is asked here
        return False, False
    rows: dict[int, int] = {}
    store.browse(0, None, list(State), 0, 100_000).addCallback(
        lambda items: rows.update((item.key, item.state) for item in items)
    )
    store.close()
    done = max(rows, default=0)
    # Commit n puts n, marks n - 50 as sent and ends n - 100: all of it, or none.
    expected = {
        key: State.SENT if key <= done - 50 else State.WAITING
        for key in range(max(1, done - 99), done + 1)
    }
    with sqlite3.connect(path) as connection:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    return verdict == "ok" and rows == expected, done >= safe


def test_g02_crash_images_of_the_real_store(tmp_path: Path, record: Record, long: bool) -> None:
    total = 2000 if long else 100
    store = tmp_path / "disk"
    store.mkdir()
    log = tmp_path / "log"
    environment = {
        "PYTHONPATH": ROOT,
        "LD_PRELOAD": preload(tmp_path),
        "DISK_UNDER": str(store),
        "DISK_LOG": str(log),
        "DISK_ACK": "1",
    }
    # The third call of "in-checkpoint" is in the first checkpoint of a full log; the tenth later.
    words = command(store / "q", "in-checkpoint", 10, 8)
    run = subprocess.run(
        words, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=False, timeout=120
    )
    assert run.returncode == -signal.SIGKILL
    recorded = list(steps(log))
    syncs = sum(step.kind == "s" for step in recorded)
    first = next(i for i, step in enumerate(recorded) if step.kind == "a")
    chance = random.Random(11)
    images = Images(recorded, chance)
    damaged = lost = 0
    for moment in sorted(chance.randrange(first + 1, len(recorded)) for _ in range(total)):
        folder = tmp_path / "image"
        folder.mkdir()
        images.at(moment, folder)
        sound, kept = whole(folder / "q", acknowledged(images.acknowledged))
        damaged += not sound
        lost += not kept
        shutil.rmtree(folder)
    figure = f"{damaged} damaged, {lost} lost an acknowledged message ({syncs} syncs)"
    name = "G2 crash images of the store are sound and hold what was acknowledged"
    record(Verdict(name, "power cut, writes lost and torn", total, figure, not (damaged or lost)))


CALLS = "trace=pwrite64,fdatasync,fsync,recvfrom,read,write,sendto,writev"
DELIVER_SM, DELIVER_SM_RESP = r"\0\0\0\5\0\0\0\0", r"\200\0\0\5\0\0\0\0"


def traced(gateway: Gateway, trace: Path) -> None:
    """Start it below strace; skips the test where that is not possible."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    gateway.before = ["strace", "-f", "-s", "24", "-e", CALLS, "-o", str(trace)]
    try:
        gateway.start(timeout=60)
    except RuntimeError:
        if "ptrace" in gateway.tail().lower():
            pytest.skip("strace may not trace here")
        raise


def unsynced(trace: Path, asked: str, answered: str) -> tuple[int, int, int]:
    """How many asked, how many answers there were, and how many without a finished sync before.

    One message after another: from what asks for it on, a write, then a sync, then the answer.
    """
    asks = answers = early = written = 0
    begun: dict[str, bool] = {}  # by thread: whether its sync began after a write
    synced = False
    for line in trace.read_text(errors="replace").splitlines():
        thread = line.split(maxsplit=1)[0]
        if asked in line and re.search(r"\b(recvfrom|read)(\(| resumed)", line):
            asks += 1
            written, synced = 0, False
        elif answered in line and re.search(r"\b(sendto|writev?)\(", line):
            answers += 1
            early += not synced
        elif "pwrite64" in line and "unfinished" not in line:
            written += 1
        elif re.search(r"f(data)?sync\(", line) and "unfinished" in line:
            begun[thread] = written > 0
        elif re.search(r"f(data)?sync", line) and line.rstrip().endswith("= 0"):
            synced = begun.pop(thread, written > 0) or synced
    return asks, answers, early


def test_g02_each_202_comes_after_a_sync(rig: Rig, record: Record, long: bool) -> None:
    total = 2000 if long else 100
    rig.smsc({})
    gateway = rig.gateway(kannel_conf(rig))
    trace = rig.folder / "trace"
    traced(gateway, trace)
    caller = rig.caller({"total": total, "conns": 1, "timeout-s": 30})
    assert until(lambda: not caller.running, 120)
    told = caller.end()
    assert told["codes"] == {"202": total}
    gateway.kill()
    asks, accepted, early = unsynced(trace, "GET /cgi-bin", "HTTP/1.1 202")
    figure = f"{early} answered before the sync of its row"
    holds = accepted == total == asks and not early
    name = "G2 each 202 has a finished fdatasync later than its row's write"
    record(Verdict(name, "none; traced by strace", accepted, figure, holds))


def test_g09_each_deliver_sm_resp_comes_after_a_sync(rig: Rig, record: Record, long: bool) -> None:
    """The same for what the SMSC hears: MO, one after another."""
    total = 1000 if long else 50
    gateway = rig.gateway(kannel_conf(rig))
    rig.platform({})
    smsc = rig.smsc({"mo": total, "mo-rate": 0, "mo-window": 1})
    trace = rig.folder / "trace"
    traced(gateway, trace)
    assert drain(lambda: smsc.mo_acked, total, stall=30)
    gateway.kill()
    asks, answers, early = unsynced(trace, DELIVER_SM, DELIVER_SM_RESP)
    figure = f"{early} answered before the sync of its row"
    name = "G9 each deliver_sm_resp has a finished fdatasync later than its row's write"
    holds = answers == total == asks and not early
    record(Verdict(name, "none; traced by strace", answers, figure, holds))
