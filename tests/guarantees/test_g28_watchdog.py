"""G28: under systemd, with the unit as it ships, a daemon that dies or hangs is replaced in time.

The systemd is a real one, PID 1 of namespaces of its own, and OpenVPN is a unit beside the
gateway's; see tests/lab/unit.py. `make lab` has the same lines in its table.
"""

from __future__ import annotations

import pytest

from tests.guarantees.conftest import Record
from tests.lab import unit
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


@pytest.mark.timeout(400)
def test_g28_a_hung_daemon_is_replaced(record: Record) -> None:
    if reason := unit.missing():
        pytest.skip(reason)
    for row in unit.try_unit("openvpn", 50.0):
        figure = row.verdict if row.seconds is None else f"{row.seconds:.1f} s, {row.verdict}"
        count = row.count.taken if row.count else 1
        title = "G28 a hung daemon is replaced"
        record(Verdict(title, f"{row.title} ({row.limits})", count, figure, not row.failed))
