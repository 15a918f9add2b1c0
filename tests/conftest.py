"""What holds for every test: how properties are looked for, and what belongs to the long runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

GUARANTEES = Path(__file__).parent / "guarantees"
SOURCES = Path(__file__).parents[1] / "gatewayd"


def hidden() -> list[str]:
    """Sources that are newer than what was compiled of them, which is what would be tried."""
    pairs = [
        (made, made.with_name(made.name.split(".")[0] + ".py")) for made in SOURCES.rglob("*.so")
    ]
    return sorted(
        str(source.relative_to(SOURCES.parent))
        for made, source in pairs
        if not source.exists() or source.stat().st_mtime > made.stat().st_mtime
    )


if stale := hidden():
    pytest.exit(f"compiled modules are older than {', '.join(stale)}: `make setup`", returncode=4)

# A slow machine is no failure. CI looks at the same examples each time; whoever works here, at new.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Guarantees that need running processes can be asked for alone: `make guarantees`."""
    for item in items:
        if item.get_closest_marker("live") and GUARANTEES in item.path.parents:
            item.add_marker("rig")
