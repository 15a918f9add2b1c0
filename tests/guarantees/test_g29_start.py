"""G29, G30 with processes: what `gatewayd run` does on a damaged, a foreign, a newer store."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guarantees.conftest import Record
from tests.guarantees.migrate import STEPS
from tests.guarantees.test_g21_disk import small_disk
from tests.guarantees.test_g29_store import another, count, cut, filled, overwritten
from tests.live.harness import Rig
from tests.live.processes import GATEWAYD
from tests.live.test_store_kill import ROOT
from tests.live.torture import Verdict
from tests.live.yaml_conf import yaml_conf

pytestmark = [pytest.mark.live, pytest.mark.waits]

ROWS = 500
NOBODY = 65534


def start(rig: Rig, state: Path, *before: str) -> tuple[int, str]:
    """Exit code and words of `gatewayd run` on the store in `state`; it must end by itself."""
    configuration = rig.folder / "gateway.yaml"
    configuration.write_text(yaml_conf(rig))
    done = subprocess.run(
        [*before, *GATEWAYD, "run", "-c", str(configuration)],
        env={**os.environ, "STATE_DIRECTORY": str(state)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
    )
    return done.returncode, done.stdout + done.stderr


def refused(told: tuple[int, str], *words: str) -> bool:
    """It ended with an error in one line that names the store and says what to do."""
    code, output = told
    return (
        code == 1
        and "gatewayd.sqlite3" in output
        and any(word in output for word in words)
        and "Traceback" not in output
    )


@pytest.mark.parametrize("damage", [cut, overwritten, another])
def test_g29_a_damaged_store(
    rig: Rig, record: Record, damage: Callable[[Path, random.Random], None], long: bool
) -> None:
    chance, total = random.Random(29), 15 if long else 1
    advised = unchanged = 0
    for number in range(total):
        state = rig.folder / f"state{number}"
        state.mkdir()
        path = state / "gatewayd.sqlite3"
        filled(path)
        damage(path, chance)
        before = path.read_bytes()
        advised += refused(start(rig, state), "rescue", "copy")
        unchanged += path.read_bytes() == before
    figure = f"{advised} refused with advice, {unchanged} left as they were"
    name = "G29 gatewayd run does not replace a damaged store"
    holds = advised == total == unchanged
    record(Verdict(name, damage.__name__, total, figure, holds))


def test_g29_a_store_of_another_user(rig: Rig, record: Record) -> None:
    """What somebody copied into place by hand. Here root may do no more than the owner of files."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("a store of another user needs root and setpriv")
    state = rig.folder / "foreign"
    state.mkdir()
    path = state / "gatewayd.sqlite3"
    filled(path)
    path.chmod(0o600)
    os.chown(path, NOBODY, NOBODY)
    told = start(rig, state, "setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    figure = "refused with advice" if refused(told, "give it to the daemon's user") else told[1]
    holds = figure == "refused with advice" and count(path) == ROWS
    name = "G29 gatewayd run on a store it may not write"
    record(Verdict(name, "wrong owner", 1, figure[-100:], holds))


def test_g29_a_read_only_file_system(rig: Rig, record: Record) -> None:
    state = rig.folder / "readonly"
    with small_disk(state, 16):
        filled(state / "gatewayd.sqlite3")
        subprocess.run(["mount", "-o", "remount,ro", str(state)], check=True)
        told = start(rig, state)
        figure = "refused with advice" if refused(told, "mount it", "writable") else told[1]
    name = "G29 gatewayd run on a store it may not write"
    holds = figure == "refused with advice"
    record(Verdict(name, "read-only file system", 1, figure[-100:], holds))


def test_g30_killed_in_each_step_of_a_change_of_schema(
    rig: Rig, record: Record, long: bool
) -> None:
    """Whole or absent: the old version finds all of its rows, or the new one does."""
    rounds = 5 if long else 1
    whole = 0
    for number in range(rounds):
        for step in range(1, STEPS + 1):
            path = rig.folder / f"q{number}.{step}"
            filled(path)
            assert migrate(path, step) == -signal.SIGKILL
            old = count(path) == ROWS  # raises where the change were half there
            whole += old and migrate(path, 0) == 0
    total = rounds * STEPS
    name = "G30 a change of schema is whole or absent, by killed processes"
    record(Verdict(name, "kill -9 in each step", total, f"{whole} whole", whole == total))


def migrate(path: Path, step: int) -> int:
    words = [sys.executable, "-m", "tests.guarantees.migrate", str(path), str(step)]
    return subprocess.run(words, cwd=ROOT, check=False, capture_output=True).returncode


def test_g30_the_old_version_on_the_new_store(rig: Rig, record: Record) -> None:
    state = rig.folder / "new"
    state.mkdir()
    path = state / "gatewayd.sqlite3"
    filled(path)
    assert migrate(path, 0) == 0
    before = path.read_bytes()
    told = start(rig, state)
    holds = refused(told, "written by a newer gatewayd") and path.read_bytes() == before
    figure = "refuses: written by a newer gatewayd" if holds else told[1][-100:]
    record(Verdict("G30 gatewayd run on a newer store", "downgrade", 1, figure, holds))
