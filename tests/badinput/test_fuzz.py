"""10,000 hostile inputs in every run, and every one that was ever found to do harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.badinput.fuzz import CASES, FUZZED, KEPT, attempt, cases

PARTS = 4  # of each target, so that workers share them
FOUND = sorted(KEPT.glob("*/*.bin"))


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", FUZZED)
def test_all_04_hostile_input_costs_only_itself(name: str, part: int) -> None:
    for case in cases(name, f"fixed {part}", CASES * FUZZED[name].share // 100 // PARTS):
        found = attempt(name, case)
        assert not found, (found, case)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_all_04_what_was_found_stays_mended(path: Path) -> None:
    assert not attempt(path.parent.name, path.read_bytes())


def test_the_shares_are_of_ten_thousand() -> None:
    assert sum(target.share for target in FUZZED.values()) == 100
