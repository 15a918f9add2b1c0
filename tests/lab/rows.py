"""The lines of the lab's table, how they are judged, and docs/lab.md that holds them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lab.trial import Count
from tests.lab.vpn import ROOT

REPORT = ROOT / "docs" / "lab.md"
HEADS = (
    *("", "fault", "tunnel", "s to down", "s to bound", "s", "taken", "lost", "twice", "again"),
    *("binds", "beside", "resets", "limits", "verdict"),
)


@dataclass
class Row:
    """One line: what guarantee was tried how, what was measured, and what was missed.

    `seconds` is what `limits` speaks of; without a `count` the texts are counted in another line.
    """

    guarantee: str
    title: str
    kind: str
    count: Count | None = None
    down: float | None = None
    bound: float | None = None
    seconds: float | None = None
    limits: str = ""
    failed: list[str] = field(default_factory=list)
    skipped: str = ""

    def miss(self, missed: bool, what: str) -> None:
        """Note what was missed, if it was."""
        if missed:
            self.failed.append(what)

    def judge(self, count: Count, beside: bool = True) -> Row:
        """Take the texts' count in, with what is never allowed: a loss, a repetition, a leak."""
        self.count = count
        self.miss(not count.taken, "nothing was taken")
        self.miss(count.lost > 0, f"{count.lost} lost")
        self.miss(count.twice > 0, f"{count.twice} twice")
        self.miss(beside and count.beside > 0, f"{count.beside} beside")
        return self

    @property
    def verdict(self) -> str:
        if self.skipped:
            return f"skipped: {self.skipped}"
        return f"MISSED: {'; '.join(self.failed)}" if self.failed else "ok"

    def cells(self) -> tuple[str, ...]:
        times = (self.down, self.bound, self.seconds)
        counts: tuple[int, ...] | None = None
        if (count := self.count) is not None:
            counts = (count.taken, count.lost, count.twice, count.explained)
            counts += (count.binds, count.beside, count.resets)
        return (
            *(self.guarantee, self.title, self.kind),
            *("-" if time is None else f"{time:.2f}" for time in times),
            *(("-",) * 7 if counts is None else map(str, counts)),
            *(self.limits, self.verdict),
        )


def table(rows: Sequence[Row]) -> str:
    """As Markdown, in columns."""
    lines = [HEADS, tuple("---" for _ in HEADS), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "| "
        + " | ".join(
            "-" * width if cell == "---" else cell.ljust(width)
            for cell, width in zip(line, widths, strict=True)
        )
        + " |"
        for line in lines
    )


def write_report(rows: Sequence[Row], how: str) -> None:
    """Put the table, and `how` it was made, between the marks of docs/lab.md."""
    text = REPORT.read_text()
    new = re.sub(
        r"(<!-- table -->\n).*(<!-- end -->)",
        lambda found: f"{found[1]}{how}\n\n{table(rows)}\n{found[2]}",
        text,
        flags=re.DOTALL,
    )
    REPORT.write_text(new)
