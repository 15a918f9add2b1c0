"""The table of `make torture`: nothing is missing from it, and all of it fits into an hour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.guarantees import __main__ as torture

LINE: dict[str, Any] = {
    **{"guarantee": "G1 kept", "fault": "kill", "count": 1200, "figure": "0 lost"},
    **{"holds": True, "judged": True},
}


def test_a_guarantee_without_a_word_is_broken() -> None:
    found = torture.rows([LINE], promised=(1, 2))
    assert found == [
        ["G1 kept", "kill", "1,200", "0 lost", "holds"],
        ["G2", "-", "0", "no test said anything", "BROKEN"],
    ]


def test_what_is_skipped_or_failed_stands_there_with_its_reason() -> None:
    lines: list[dict[str, Any]] = [
        {"test": "test_g16_loss[x]", "skipped": "needs root"},
        {"test": "test_g02_cut", "failed": "AssertionError: a | b"},
        {"test": "test_g02_cut", "seconds": 90.0},
    ]
    assert torture.rows(lines, promised=(2, 16)) == [
        ["G2 cut", "-", "1", "AssertionError: a / b", "BROKEN"],
        ["G16 loss", "-", "0", "needs root", "skipped"],
    ]
    assert torture.minutes_by_number(lines) == {2: 1.5}


def test_every_guarantee_has_a_test_and_its_minutes_fit_into_an_hour() -> None:
    sources = "".join(path.read_text() for path in Path(torture.HERE).glob("test_g*.py"))
    names = " ".join(re.findall(r"def (test_g\w+)\(", sources))
    tested = {int(number) for number in re.findall(r"_g(\d+)", names)}
    assert set(torture.PROMISED) <= tested
    first = {int(number) for number in re.findall(r"test_g(\d+)", names)}
    assert first <= set(torture.PLAN)
    hour = sum(torture.TOGETHER.values()) / torture.AT_ONCE + sum(torture.ALONE.values())
    assert hour <= 60
