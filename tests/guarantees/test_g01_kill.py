"""G1, G3, G4, G9, G10, G24: kill -9 under load, at random moments and at every named step."""

from __future__ import annotations

import shutil

import pytest

from gatewayd.failpoints import STEPS
from tests.guarantees.conftest import Record
from tests.guarantees.kannel import compare
from tests.live.harness import Rig
from tests.live.torture import KILL, Plan, Torture

pytestmark = pytest.mark.live

# A start makes the schema, and a stop empties the log; neither is a step of a running gateway.
UNDER_LOAD = [name for name in STEPS if name not in ("in-migration", "in-checkpoint")]


def test_g01_g03_g04_g09_g10_g24_killed_at_random_moments(
    rig: Rig, record: Record, long: bool
) -> None:
    kills = 100 if long else 5
    plan = Plan(
        [KILL] * kills,
        seconds=4.0 * kills,
        mt_rate=500 if long else 200,
        mo_rate=200 if long else 100,
        window=10,
        settle=120,
    )
    for verdict in Torture(plan, rig).run():
        record(verdict)


def test_g01_g03_g06_g09_g24_killed_at_every_named_step(
    rig: Rig, record: Record, long: bool
) -> None:
    steps = UNDER_LOAD * (3 if long else 1)
    plan = Plan(steps, seconds=2.5 * len(steps), mt_rate=200, mo_rate=100, window=10)
    for verdict in Torture(plan, rig).run():
        record(verdict)


def test_g01_g03_g09_g24_the_same_with_kannel(rig: Rig, record: Record, long: bool) -> None:
    """For comparison, so nothing is demanded; the table shows what came out."""
    if not long:
        pytest.skip("the comparison is part of the long form")
    if not (shutil.which("bearerbox") and shutil.which("smsbox")):
        pytest.skip("bearerbox and smsbox are not installed")
    kills = 20
    plan = Plan([KILL] * kills, seconds=8.0 * kills, mt_rate=200, mo_rate=50, window=10, settle=120)
    for verdict in compare(plan, rig):
        record(verdict)
