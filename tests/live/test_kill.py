"""kill -9 under load: nothing accepted and nothing acknowledged is lost."""

from __future__ import annotations

import pytest

from tests.live.harness import Rig
from tests.live.torture import KILL, Plan, Torture, table

pytestmark = pytest.mark.live


def test_what_was_accepted_or_taken_survives_five_kills(rig: Rig) -> None:
    """How often something comes twice is judged by `make guarantees`, on a machine left alone."""
    plan = Plan([KILL] * 5, seconds=20.0, mt_rate=200, mo_rate=100)
    verdicts = Torture(plan, rig).run()
    losses = [verdict for verdict in verdicts if verdict.figure.endswith(" lost")]
    assert len(losses) >= 2
    assert all(verdict.holds for verdict in losses), "\n" + table(verdicts)
