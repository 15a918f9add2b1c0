"""`make torture`: the long form of every guarantee, a printed table, and docs/guarantees.md.

Tests whose time is mostly waiting (mark `waits`) run two at a time, the others alone, so that all
of it ends within the hour; `PLAN` says what each guarantee may take of it. Words behind the
command go to pytest: `-k g21` tries one guarantee alone, and then nothing is saved.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.bench import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- table: make torture -->", "<!-- end of the table -->"
HEAD = ("guarantee", "fault", "count", "figure", "verdict")
LONGEST = 1500  # seconds for one test
AT_ONCE = 2  # tests that wait
NOTHING_CHOSEN = 5  # pytest's exit code

# Minutes by guarantee, each by the test that is named after it first.
TOGETHER = {
    **{5: 3.0, 6: 2.0, 7: 2.5, 8: 1.0, 10: 5.0, 11: 1.0, 16: 7.5, 17: 4.5, 19: 12.0, 22: 2.5},
    **{23: 1.5, 25: 2.0, 26: 1.0, 27: 2.5, 28: 1.0, 29: 1.0, 30: 0.5, 31: 4.0},
}
ALONE = {1: 15.0, 2: 2.0, 9: 1.0, 18: 3.0, 20: 1.5, 21: 2.5, 32: 3.0}
PLAN = {**TOGETHER, **ALONE}
PROMISED = (*range(1, 12), *range(16, 28), *range(29, 33))


def number_of(line: list[str]) -> tuple[int, int]:
    found = re.match(r"[gG](\d+)", line[0])
    return (int(found[1]) if found else 99, 0)


def rows(lines: list[dict[str, Any]], promised: Sequence[int] = ()) -> list[list[str]]:
    """The lines of the ledger as rows of the table, by guarantee; none of `promised` is missing."""
    found = []
    for line in lines:
        if "seconds" in line:
            continue
        if "guarantee" in line:
            verdict = "holds" if line["holds"] else "BROKEN"
            if not line.get("judged", True):
                verdict = "compared"
            cells = [line["guarantee"], line["fault"], f"{line['count']:,}", line["figure"]]
            found.append([*cells, verdict])
        else:
            name = line["test"].removeprefix("test_").split("[")[0].replace("_", " ")
            name = re.sub(r"^g0?(\d+)", r"G\1", name)
            if "skipped" in line:
                found.append([name, "-", "0", line["skipped"], "skipped"])
            else:
                found.append([name, "-", "1", line["failed"].replace("|", "/"), "BROKEN"])
    there = {number_of(row)[0] for row in found}
    silent = [number for number in promised if number not in there]
    found += [[f"G{number}", "-", "0", "no test said anything", "BROKEN"] for number in silent]
    return sorted(found, key=number_of)


def minutes_by_number(lines: list[dict[str, Any]]) -> dict[int, float]:
    """What the tests of each guarantee took."""
    used: dict[int, float] = {}
    for line in lines:
        found = re.match(r"test_g(\d+)", line.get("test", ""))
        if found and "seconds" in line:
            number = int(found[1])
            used[number] = used.get(number, 0.0) + line["seconds"] / 60
    return used


def budget(used: dict[int, float]) -> str:
    """Planned and used minutes, for people."""
    lines = [f"{'minutes':<10} {'planned':>8} {'used':>8}"]
    for number in sorted({*PLAN, *used}):
        planned, took = PLAN.get(number, 0.0), used.get(number, 0.0)
        lines.append(f"{f'G{number}':<10} {planned:8.1f} {took:8.1f}")
    total = sum(PLAN.values()), sum(used.values())
    lines.append(f"{'all tests':<10} {total[0]:8.1f} {total[1]:8.1f}")
    return "\n".join(lines)


def text_table(table: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [list(HEAD), *table]) for i in range(len(HEAD))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [list(HEAD), *table]
    ]
    return "\n".join(lines)


def save(table: list[list[str]], minutes: float) -> None:
    today = datetime.now(UTC).date().isoformat()
    lines = [
        BEGIN,
        "",
        f"Measured {today} in {minutes:.0f} minutes on {machine()}. Again: `make torture`.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + " --- |" * len(HEAD),
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        END,
    ]
    page = PAGE.read_text()
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + "\n".join(lines) + rest.partition(END)[2])


def main(words: list[str]) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gatewayd-torture-") as folder:
        ledger = Path(folder, "ledger")
        ledger.touch()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
        environment = {**os.environ, "GUARANTEES_LEDGER": str(ledger)}
        together = ["-m", "waits", "-n", str(AT_ONCE), "--dist", "worksteal"]
        status = 0
        for some in (together, ["-m", "not waits"]):
            done = subprocess.run(
                [*command, f"--timeout={LONGEST}", *some, *words],
                cwd=ROOT,
                env=environment,
                check=False,
            )
            if done.returncode != NOTHING_CHOSEN:
                status = status or done.returncode
        lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    table = rows(lines, () if words else PROMISED)
    minutes = (time.monotonic() - began) / 60
    print("\n" + text_table(table))
    print("\n" + budget(minutes_by_number(lines)))
    print(f"{minutes:.1f} minutes by the clock")
    if not words:
        save(table, minutes)
        print(f"\nsaved in {PAGE.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
