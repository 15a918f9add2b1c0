"""G17: a clean stop under load loses nothing and repeats nothing."""

from __future__ import annotations

import pytest

from tests.guarantees.conftest import Record
from tests.live.harness import Rig
from tests.live.torture import STOP, Plan, Torture

pytestmark = [pytest.mark.live, pytest.mark.waits]


def test_g17_stopped_under_load(rig: Rig, record: Record, long: bool) -> None:
    stops = 50 if long else 2
    plan = Plan(
        [STOP] * stops,
        seconds=4.0 * stops if long else 5.0,
        mt_rate=200,
        mo_rate=100,
        window=10,
        timed=long,
    )
    for verdict in Torture(plan, rig).run():
        record(verdict.of("G17"))
