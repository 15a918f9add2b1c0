"""T19: a store has one daemon."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatewayd.errors import StoreError
from gatewayd.store.lock import OwnerLock


def test_t19_store_03_the_second_is_refused_and_told_the_firsts_pid_and_start(
    tmp_path: Path,
) -> None:
    first, second = (OwnerLock(str(tmp_path / "s.lock")) for _ in range(2))
    first.acquire()
    with pytest.raises(StoreError, match=rf"pid {os.getpid()}, since 20"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
