"""`make torture`: the long form of every guarantee, a printed table, and docs/guarantees.md.

Words behind it go to pytest: `-k g21` tries one guarantee alone, and then nothing is saved.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.bench import machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PAGE = ROOT / "docs" / "guarantees.md"
BEGIN, END = "<!-- table: make torture -->", "<!-- end of the table -->"
HEAD = ("guarantee", "fault", "count", "figure", "verdict")
LONGEST = 3000  # seconds for one test


def number_of(line: list[str]) -> tuple[int, int]:
    found = re.match(r"[gG](\d+)", line[0])
    return (int(found[1]) if found else 99, 0)


def rows(lines: list[dict[str, Any]]) -> list[list[str]]:
    """The lines of the ledger as rows of the table, by guarantee."""
    found = []
    for line in lines:
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
    return sorted(found, key=number_of)


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
        status = subprocess.run(
            [*command, f"--timeout={LONGEST}", *words], cwd=ROOT, env=environment, check=False
        ).returncode
        table = rows([json.loads(line) for line in ledger.read_text().splitlines()])
    print("\n" + text_table(table))
    if not words:
        save(table, (time.monotonic() - began) / 60)
        print(f"\nsaved in {PAGE.relative_to(ROOT)}")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
