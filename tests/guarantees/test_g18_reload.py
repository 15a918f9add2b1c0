"""G18: a hundred reloads under load, a third of them broken, a third unchanged, a third changed."""

from __future__ import annotations

import pytest

from tests.guarantees.conftest import Record
from tests.live.harness import Rig
from tests.live.reloads import Load, Reloads

pytestmark = pytest.mark.live


def test_g18_reload_under_load(rig: Rig, record: Record, long: bool) -> None:
    load = Load(100, seconds=60.0, mt_rate=300, mo_rate=100) if long else Load(30, seconds=8.0)
    for verdict in Reloads(load, rig).run():
        record(verdict)
