"""G18 in its short form: SIGHUP under load, with files that are broken, unchanged and changed."""

from __future__ import annotations

import pytest

from tests.live.harness import Rig
from tests.live.reloads import SHAPES, Load, Reloads
from tests.live.torture import table

pytestmark = pytest.mark.live


def test_reloads_under_load_drop_no_bind_and_lose_nothing(rig: Rig) -> None:
    """Every change happens once."""
    reloads = 3 * len(SHAPES)
    verdicts = Reloads(Load(reloads, seconds=6.0), rig).run()
    assert all(verdict.holds for verdict in verdicts), "\n" + table(verdicts)
