"""kill -9 and SIGTERM under load: nothing accepted is lost, nothing twice without reason."""

from __future__ import annotations

import pytest

from tests.live.harness import Rig
from tests.live.torture import KILL, STOP, Plan, Torture, table

pytestmark = pytest.mark.live


@pytest.mark.parametrize(
    "faults", [[KILL] * 5, [STOP] * 3], ids=["killed-five-times", "stopped-three-times"]
)
def test_what_was_accepted_survives_the_end_of_the_process(rig: Rig, faults: list[str]) -> None:
    plan = Plan(faults, seconds=4.0 * len(faults), mt_rate=200, mo_rate=100)
    verdicts = Torture(plan, rig).run()
    assert all(verdict.holds for verdict in verdicts), "\n" + table(verdicts)
