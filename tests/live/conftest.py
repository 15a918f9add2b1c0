"""Fixtures of the live tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.harness import NoCompiler, Rig, build


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A caller, an SMSC and a platform around a gateway; skipped without a C compiler."""
    try:
        build()
    except NoCompiler as error:
        pytest.skip(str(error))
    with Rig(tmp_path) as running:
        yield running
