"""The tables of the bench, and what is kept of it in docs/bench/."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.bench import figures
from tests.bench.figures import Spread, Value, ratio, series, spread
from tests.bench.scenario import SCENARIOS, Record
from tests.bench.targets import OURS, Verdict, verdicts

Table = list[list[str]]
RATES = (
    "scenario",
    "peer",
    "way",
    "rate/s",
    "low - high",
    "p50 ms",
    "p99 ms",
    "CPU us",
    "RSS MB",
    "lost",
    "twice",
    "ratio",
    "of the pairs",
)
IDLE = ("scenario", "peer", "RSS MB", "low - high", "CPU %", "runs")
BACKLOG = ("peer", "way", "waiting", "rate/s", "CPU us", "RSS MB")
TARGETS = ("target", "asked", "measured", "low - high", "pairs", "verdict")


def _text(found: Spread | None, form: str = "{:,.0f}") -> str:
    return "-" if found is None or not found.middle else form.format(found.middle)


def _low_high(found: Spread | None, form: str = "{:,.0f}") -> str:
    return "-" if found is None else f"{form.format(found.low)} - {form.format(found.high)}"


def _groups(records: Iterable[Record]) -> dict[tuple[str, str], list[Record]]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.scenario, record.peer), []).append(record)
    return groups


def rate_rows(records: Sequence[Record]) -> Table:
    """Medians with their spread; *ratio* is gatewayd's rate to the peer's."""
    table = []
    for (scenario, peer), group in _groups(records).items():
        for way in ("mt", "dlr", "mo"):
            flows = [record.flows[way] for record in group if way in record.flows]
            if not flows:
                continue

            def of(value: Value, peer: str = peer, scenario: str = scenario) -> dict[int, float]:
                return series(records, scenario, peer, value)

            rates = of(figures.rate(way))
            beside = None
            if peer != OURS:
                beside = ratio(of(figures.rate(way), OURS), rates)
            table.append(
                [
                    scenario,
                    peer,
                    way,
                    _text(spread(rates)),
                    _low_high(spread(rates)),
                    _text(spread(of(figures.p50(way))), "{:,.2f}"),
                    _text(spread(of(figures.p99(way))), "{:,.2f}"),
                    _text(spread(of(figures.cpu))),
                    _text(spread(of(figures.rss))),
                    str(sum(flow.lost for flow in flows)),
                    str(sum(flow.duplicates for flow in flows)),
                    _text(beside, "{:.2f}"),
                    _low_high(beside, "{:.2f}"),
                ]
            )
    return table


def idle_rows(records: Sequence[Record]) -> Table:
    table = []
    for (scenario, peer), group in _groups(records).items():
        if SCENARIOS[scenario].kind == "idle" and any(record.rss_mb for record in group):
            memory = spread(series(records, scenario, peer, figures.rss))
            busy = spread(series(records, scenario, peer, lambda record: record.idle_cpu_pct))
            cpu = f"{busy.middle:.2f}" if busy else "-"
            low_high = _low_high(memory, "{:,.1f}")
            table.append([scenario, peer, _text(memory, "{:,.1f}"), low_high, cpu, str(len(group))])
    return table


def backlog_rows(records: Iterable[Record]) -> Table:
    """The tenths of each run: what it cost to take a message, and to hand it on."""
    return [
        [
            record.peer,
            part.phase,
            f"{part.waiting:,}",
            f"{part.count / part.seconds:,.0f}" if part.seconds else "-",
            f"{part.cpu_us:,.1f}",
            f"{part.rss_mb:,.1f}",
        ]
        for record in records
        for part in record.slices
    ]


def verdict_rows(found: Iterable[Verdict]) -> Table:
    return [[v.what, v.target, v.measured, v.low_high, str(v.pairs), v.word] for v in found]


def text_table(head: Sequence[str], table: Table, *, left: int) -> str:
    """Aligned by spaces; the first `left` columns to the left."""
    widths = [max(len(row[i]) for row in [list(head), *table]) for i in range(len(head))]

    def line(row: Iterable[str]) -> str:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(head), *(line(row) for row in table)])


def markdown_table(head: Sequence[str], table: Table, *, left: int) -> str:
    return "\n".join(
        [
            "| " + " | ".join(head) + " |",
            "|" + "---|" * left + "---:|" * (len(head) - left),
            *("| " + " | ".join(row) + " |" for row in table),
        ]
    )


def tables(records: Sequence[Record], draw: Callable[..., str]) -> list[tuple[str, str]]:
    """Each table that has rows, under its title."""
    every = (
        ("Rates and delays", RATES, rate_rows(records), 3),
        ("Idle binds", IDLE, idle_rows(records), 2),
        ("A backlog grows and drains", BACKLOG, backlog_rows(records), 2),
        ("Targets", TARGETS, verdict_rows(verdicts(records)), 2),
    )
    return [(title, draw(head, rows, left=left)) for title, head, rows, left in every if rows]


def save(folder: Path, records: Sequence[Record], head: Sequence[str], keeps: str) -> None:
    """Write README.md and bench.json, from which `--show` draws the tables again."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(record.scenario for record in records))
    other = sum(record.other_cpu_s for record in records)
    lines = [
        "# Measured rates and delays",
        "",
        "Written by `make bench`; how it measures: `tests/bench/README.md`.",
        "",
        *(f"* {line}" for line in head),
        f"* Other work on the machine took {other:,.0f} s of CPU in all.",
        "",
        "Medians, least and most. A rate counts what arrived (at the SMSC, or at the platform);",
        "delays are from the request to the arrival; CPU is of all processes of the gateway per",
        "message or report moved; RSS is their peak; *ratio* is gatewayd's rate to the peer's.",
        "",
    ]
    for title, table in tables(records, markdown_table):
        lines += [f"## {title}", "", table, ""]
    lines += [f"* **{name}**: {SCENARIOS[name].about}." for name in names]
    (folder / "README.md").write_text("\n".join([*lines, keeps, ""]))
    rows = ",\n".join("  " + json.dumps(record.as_json()) for record in records)
    (folder / "bench.json").write_text(
        f'{{"head": {json.dumps(list(head))},\n "runs": [\n{rows}\n]}}\n'
    )


def load(path: Path) -> tuple[list[Record], list[str]]:
    """The runs and the head that `save` kept."""
    kept = json.loads(path.read_text())
    return [Record.from_json(row) for row in kept["runs"]], kept["head"]
