"""G31: under load and faults nothing grows. `make soak` is the long form."""

from __future__ import annotations

import pytest

from tests.guarantees.conftest import Record
from tests.live.harness import Rig
from tests.live.soak import Soak

pytestmark = [pytest.mark.live, pytest.mark.waits]


def test_g31_three_minutes_with_faults(rig: Rig, record: Record, long: bool) -> None:
    if not long:
        pytest.skip("the soak is part of the long form")
    for verdict in Soak(rig, 180.0, rate=200, fault_every=10.0).run():
        record(verdict)
