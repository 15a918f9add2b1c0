"""What the tests of guarantees share: the table they write into, and how hard they try.

`record` takes one line of the table (docs/guarantees.md) and fails the test when the promise is
broken. Under `python -m tests.guarantees` the lines go into the file that GUARANTEES_LEDGER names,
and `long` is set: then a test does what the table promises, otherwise what fits into seconds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.live.harness import NoCompiler, Rig, build
from tests.live.torture import Verdict

LEDGER = os.environ.get("GUARANTEES_LEDGER", "")

Record = Callable[[Verdict], None]


def write(line: dict[str, Any]) -> None:
    if LEDGER:
        with Path(LEDGER).open("a") as ledger:
            ledger.write(json.dumps(line) + "\n")


@pytest.fixture
def long() -> bool:
    """Whether the long forms are wanted."""
    return bool(LEDGER)


@pytest.fixture
def record() -> Iterator[Record]:
    lines: list[Verdict] = []

    def told(verdict: Verdict) -> None:
        lines.append(verdict)
        print(verdict.line())  # shown by pytest -rP
        write(asdict(verdict))

    yield told
    broken = [verdict for verdict in lines if verdict.judged and not verdict.holds]
    assert not broken, broken


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A caller, an SMSC and a platform around a gateway; skipped without a C compiler."""
    try:
        build()
    except NoCompiler as error:
        pytest.skip(str(error))
    with Rig(tmp_path) as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        write({"test": item.name, "seconds": report.duration})
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        write({"test": item.name, "skipped": reason.removeprefix("Skipped: ")})
    elif report.failed:
        write({"test": item.name, "failed": report.longreprtext.splitlines()[-1]})
    return report
