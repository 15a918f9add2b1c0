"""A fail point that hangs; those that kill are tried in test_app.py and by kills of a process."""

from __future__ import annotations

import os
import time

import pytest

from gatewayd import failpoints


def test_a_fail_point_hangs_if_it_is_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until somebody kills it: here, until the second sleep."""
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setenv("GATEWAYD_FAILPOINT", "before-commit:hang")
    reached = failpoints.of_store(os.environ)
    reached("after-commit")
    assert not slept
    with pytest.raises(KeyboardInterrupt):
        reached("before-commit")
    assert slept == [3600, 3600]
