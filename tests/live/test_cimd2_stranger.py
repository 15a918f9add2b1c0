"""CIMD2 against a server that others wrote: Kannel's test_cimd2 (package kannel-extras)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

SERVER = Path("/usr/lib/kannel/test/test_cimd2")
SCRIPT = Path(__file__).with_name("cimd2_stranger.py")


def isolated() -> list[str]:
    """The command that gives a process a network namespace of its own; skips without one."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("unshare is not installed: the server would listen on every address")
    command = [unshare, "-n"] if os.geteuid() == 0 else [unshare, "-r", "-n"]
    if subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespace can be made here")
    return command


@pytest.mark.live
def test_cimd_023_kannels_test_server_accepts_what_we_write() -> None:
    if not SERVER.exists():
        pytest.skip("kannel-extras is not installed")
    command = [*isolated(), sys.executable, str(SCRIPT), str(SERVER)]
    run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr.decode()
    told: dict[str, Any] = json.loads(run.stdout)
    counts = Counter(kind for kind, _ in told["events"])
    assert counts == {"Bound": 1, "Submitted": 9, "Alive": 1, "Closing": 1}, told["events"]
    server = told["server"]
    assert server.count("<STX>03:") == server.count("<STX>53:") == 9
    assert "<TAB>900:" not in server
    assert "<STX>99:" not in server
    for operation in ("51:001", "90:021", "52:023"):
        assert f"<STX>{operation}<TAB>" in server
    for complaint in ("WARNING", "ERROR", "PANIC"):
        assert complaint not in server, server
