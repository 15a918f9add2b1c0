"""The page on security names every place, and tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")


def test_every_threat_has_its_row() -> None:
    rows = re.findall(r"^\| (T\d+) \|", PAGE, re.MULTILINE)
    assert rows == [f"T{number}" for number in range(1, 22)]


def test_every_test_that_is_named_exists() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE))
    assert named <= files, named - files
    ours = [*(ROOT / "tests/security").glob("test_*.py"), *(ROOT / "tests/badinput").glob("test_*")]
    assert {path.name for path in ours} <= named
