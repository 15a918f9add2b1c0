"""Nothing that the store acknowledged is gone after SIGKILL; no acknowledgement without a sync."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep

import pytest

from gatewayd.store.contract import State
from gatewayd.store.sqlite import SqliteStore

pytestmark = pytest.mark.live

WRITER = str(Path(__file__).with_name("store_writer.py"))
ROOT = str(Path(__file__).parents[2])


def command(path: Path, failpoint: str = "none", call: int = 1, many: int = 20) -> list[str]:
    return [sys.executable, WRITER, str(path), failpoint, str(call), str(many)]


def _start(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {"PYTHONPATH": ROOT}
    return subprocess.Popen(words, bufsize=0, stdout=subprocess.PIPE, cwd=ROOT, env=environment)


def _last_safe(output: bytes) -> int:
    """The acknowledged numbers are 1, 2, 3 ...; gives the last."""
    numbers = [int(line) for line in output.split(b"\n")[:-1]]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def _check(path: Path, safe: int) -> None:
    """The store must hold exactly what some number of whole commits, at least `safe`, made."""
    store = SqliteStore(str(path), print, threaded=False)
    store.open(10)
    rows: dict[int, int] = {}
    # In-line, so the answers are there at once.
    store.browse(0, None, list(State), 0, 10_000).addCallback(
        lambda items: rows.update((item.key, item.state) for item in items)
    )
    done = max(rows, default=0)
    assert done >= safe
    expected = {
        key: State.SENT if key <= done - 50 else State.WAITING
        for key in range(max(1, done - 99), done + 1)
    }
    assert rows == expected
    checked = store._database.connection.execute("PRAGMA integrity_check").fetchone()
    assert checked == ("ok",)
    store.close()


def test_nothing_acknowledged_is_missing_after_kills_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(5)
    for kill in range(5):
        path = tmp_path / f"store{kill}"
        process = _start(command(path))
        assert process.stdout is not None
        first = process.stdout.readline()
        # The moment itself is the matter here: there is nothing to wait for.
        sleep(chance.uniform(0.0, 0.4))
        process.kill()
        rest, _ = process.communicate(timeout=10)
        _check(path, _last_safe(first + rest))


@pytest.mark.parametrize(
    ("failpoint", "call"),
    [
        ("before-commit", 1),
        ("before-commit", 30),
        ("after-commit", 30),
        # The first two calls are at the open, before and after an empty WAL.
        ("in-checkpoint", 3),
        ("in-checkpoint", 4),
        ("in-migration", 1),
        ("in-migration", 6),
    ],
)
def test_nothing_acknowledged_is_missing_after_a_kill_at_each_failpoint(
    tmp_path: Path, failpoint: str, call: int
) -> None:
    path = tmp_path / "store"
    process = _start(command(path, failpoint, call))
    output, _ = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    _check(path, _last_safe(output))


def test_each_acknowledgement_comes_after_a_sync_of_its_own_commit(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    calls = "trace=write,pwrite64,fsync,fdatasync"
    words = ["strace", "-f", "-s", "8", "-o", str(trace), "-e", calls]
    path = tmp_path / "store"
    run = subprocess.run(
        [*words, *command(path, "before-commit", 40, 1)],
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONPATH": ROOT},
        check=False,
        timeout=30,
    )
    if b"ptrace" in run.stderr.lower():
        pytest.skip("strace may not trace here")
    assert _last_safe(run.stdout) == 39
    written = synced = acknowledged = 0
    for line in trace.read_text(errors="replace").splitlines():
        # An acknowledgement counts from its beginning, the other calls from their end, which reads
        # "<... fdatasync resumed>" when another thread came between.
        if re.search(r"\bwrite\(1, ", line):
            assert written
            assert synced, line
            acknowledged, written = acknowledged + 1, 0
        elif "unfinished" in line:
            continue
        elif "pwrite64" in line:
            written, synced = written + 1, 0
        elif re.search(r"f(data)?sync", line) and line.endswith("= 0"):
            synced = 1
    assert acknowledged == 39
