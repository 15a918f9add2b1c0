"""What a platform is told of an SMSC's message id."""

from __future__ import annotations

import pytest

from gatewayd.model import SMSC_ID_KEY, Report
from gatewayd.platforms.kannel import report_values


@pytest.mark.parametrize("smsc_id", ["211126221500", f"211126221500{SMSC_ID_KEY}88123456"])
def test_what_only_tells_messages_apart_is_not_shown(smsc_id: str) -> None:
    report = Report(1, 1, 1, "http://h/", smsc_id=smsc_id)
    assert report_values(report, "").foreign_id == "211126221500"
