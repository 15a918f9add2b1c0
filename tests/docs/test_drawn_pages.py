"""Pages that are made from the program say what the program says."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from gatewayd.failpoints import STEPS, STORE
from gatewayd.smsc.link import LinkState, Step

ROOT = Path(__file__).parents[2]


def test_the_picture_of_a_link_is_drawn_from_the_table() -> None:
    """After a change of TRANSITIONS: python docs/states/draw.py."""
    drawn = runpy.run_path(str(ROOT / "docs" / "states" / "draw.py"))["draw"]()
    assert (ROOT / "docs" / "states" / "link.md").read_text() == drawn
    for word in (*LinkState, *Step):
        assert f"| {word.value} |" in drawn


def test_every_fail_point_of_the_program_is_described_and_no_other() -> None:
    sources = [path.read_text() for path in (ROOT / "gatewayd").rglob("*.py")]
    named = {name for text in sources for name in re.findall(r"failpoint\(\s*\"([a-z-]+)\"", text)}
    assert named == set(STORE)
    text = (ROOT / "docs" / "failpoints.md").read_text()
    assert set(STEPS) == set(re.findall(r"^\| `([a-z0-9-]+)` \|", text, re.MULTILINE))
