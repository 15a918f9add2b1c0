"""The page on security names every place, and each place has a test that carries its name."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text("utf-8")
AREAS = "all|smpp|ucp|cimd2|http|platform|config|store|env"
ROWS = re.findall(rf"^\| (T\d+|(?:{AREAS})-\d\d) \|.*\| (.*) \|$", PAGE, re.MULTILINE)

# test_t06_http_12_13_what_is_tried[config-07 UTF-16]
_PLACES = rf"(?:{AREAS})_\d\d(?!\d)(?:_\d\d(?!\d))*"
_NAME = re.compile(rf"^test((?:_[gt]\d\d)*)((?:_{_PLACES})*)_")
_CASE = re.compile(rf"[\[-](({AREAS})-\d\d) ")


def places(name: str) -> set[str]:
    """The places that a test's name carries, and its case."""
    found: set[str] = {case for case, _ in _CASE.findall(name)}
    if whole := _NAME.match(name):
        found |= {f"T{int(number)}" for number in re.findall(r"_t(\d\d)", whole[1])}
        for area, numbers in re.findall(rf"_({AREAS})((?:_\d\d)+)", whole[2]):
            found |= {f"{area}-{number}" for number in numbers.split("_")[1:]}
    return found


def carried() -> dict[str, set[str]]:
    """Which places the tests of each file carry, by what pytest collects."""
    names = {name for _, cell in ROWS for name in re.findall(r"`(test_\w+\.py)`", cell)}
    files = [str(path) for path in (ROOT / "tests").rglob("test_*.py") if path.name in names]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    found: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        path, double_colon, name = line.partition("::")
        if double_colon:
            found[Path(path).name] |= places(name)
    return found


def test_every_place_has_one_row_and_the_numbers_have_no_gap() -> None:
    rows = [place for place, _ in ROWS]
    assert len(rows) == len(set(rows))
    assert rows[:21] == [f"T{number}" for number in range(1, 22)]
    for area in AREAS.split("|"):
        numbers = [int(place.rpartition("-")[2]) for place in rows if place.startswith(f"{area}-")]
        assert numbers == list(range(1, len(numbers) + 1)), area


def test_every_place_has_a_test_that_carries_it_or_a_sentence_why_not() -> None:
    missing, found = [], carried()
    for place, cell in ROWS:
        files = re.findall(r"`(test_\w+\.py)`", cell)
        excused = cell.startswith("No test: ") and len(cell) > 40
        if not excused and not any(place in found[file] for file in files):
            missing.append((place, files))
    assert not missing


def test_no_test_carries_a_place_that_the_page_lacks() -> None:
    known = {place for place, _ in ROWS}
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text("utf-8")
        names = re.findall(r"def (test_\w+)", text) + re.findall(
            rf'"((?:{AREAS})-\d\d ?[^"]*)"', text
        )
        for name in names:
            found = places(name if name.startswith("test_") else f"[{name} ")
            assert found <= known, (path.name, name)


def test_every_test_that_is_named_exists() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = set(re.findall(r"`(test_\w+\.py)`", PAGE))
    assert named <= files, named - files
    ours = [*(ROOT / "tests/security").glob("test_*.py"), *(ROOT / "tests/badinput").glob("test_*")]
    assert {path.name for path in ours} <= named


def test_places_are_read_from_names() -> None:
    assert places("test_t06_http_12_13_x") == {"T6", "http-12", "http-13"}
    assert places("test_smpp_06_07_unknown_commands[a]") == {"smpp-06", "smpp-07"}
    assert places("test_each_mistake[config-07 UTF-16]") == {"config-07"}
    assert places("test_smpp_012_x") == set()
    assert places("test_a_17_year_old_smpp_01") == set()
