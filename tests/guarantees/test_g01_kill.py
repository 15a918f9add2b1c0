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


COMPARED = 25  # kills of ours, and of Kannel, on the same kannel.conf


def kills_under_load(kills: int, *, long: bool, yaml: bool) -> Plan:
    """One every four seconds or so, at random moments."""
    return Plan(
        [KILL] * kills,
        seconds=(4.0 if long else 2.0) * kills,
        mt_rate=500 if long else 100,
        mo_rate=200 if long else 50,
        window=10,
        settle=120,
        yaml=yaml,
        timed=long,
    )


def test_g01_g03_g04_g09_g10_g24_killed_at_random_moments(
    rig: Rig, record: Record, long: bool
) -> None:
    plan = kills_under_load(100 if long else 3, long=long, yaml=True)
    for verdict in Torture(plan, rig).run():
        record(verdict)


def test_g01_g03_g06_g09_g24_killed_at_every_named_step(
    rig: Rig, record: Record, long: bool
) -> None:
    steps = UNDER_LOAD * (3 if long else 1)
    mt, each = (200, 2.5) if long else (50, 0.8)
    # With gatewayd.yaml: on a kannel.conf the MO that the SMSC delivers again after several kills
    # in a row may all be told a second time only after the last of them.
    plan = Plan(
        steps,
        seconds=each * len(steps),
        mt_rate=mt,
        mo_rate=mt // 2,
        window=10,
        timed=long,
        yaml=True,
    )
    for verdict in Torture(plan, rig).run():
        record(verdict)


def test_g01_g03_g09_g10_g24_on_the_kannel_conf_that_kannel_gets(
    rig: Rig, record: Record, long: bool
) -> None:
    if not long:
        pytest.skip("the comparison is part of the long form")
    for verdict in Torture(kills_under_load(COMPARED, long=long, yaml=False), rig).run():
        record(verdict)


def test_g01_g03_g09_g24_the_same_with_kannel(rig: Rig, record: Record, long: bool) -> None:
    """For comparison, so nothing is demanded; the table shows what came out."""
    if not long:
        pytest.skip("the comparison is part of the long form")
    if not (shutil.which("bearerbox") and shutil.which("smsbox")):
        pytest.skip("bearerbox and smsbox are not installed")
    for verdict in compare(kills_under_load(COMPARED, long=long, yaml=False), rig):
        record(verdict)
