"""`make bench`: gatewayd, and Kannel where it is installed, in turns; a table, and docs/bench/.

The peers take turns within each repetition, so what else the machine does meets them alike. The
figures of one machine say little about another; the ratio between two peers says more.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.loadtools import NoCompiler, build
from tests.bench.peers.base import Peer
from tests.bench.peers.gatewayd import Gatewayd
from tests.bench.peers.kannel import BEARERBOX, SMSBOX, KannelFile, KannelMem, KannelSpool
from tests.bench.scenario import SCENARIOS, Flow, Record, run

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "bench"
PEERS: dict[str, type[Peer]] = {
    kind.name: kind for kind in (Gatewayd, KannelMem, KannelFile, KannelSpool)
}
HEAD = ("scenario", "peer", "way", "rate/s", "p50 ms", "p99 ms", "CPU us", "lost", "twice", "ratio")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run each, nothing saved")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="default: all that are installed")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=[])
    parser.add_argument("--runs", type=int, default=0, help="repetitions (3; quick: 1)")
    parser.add_argument("--messages", type=int, default=0, help="per run (20000; quick: 4000)")
    parser.add_argument("--seconds", type=int, default=10, help="length of open-loop runs")
    parser.add_argument(
        "--work", type=Path, default=HERE / "work", help="stores lie there: the disk to be judged"
    )
    chosen = parser.parse_args()
    chosen.runs = chosen.runs or (1 if chosen.quick else 3)
    chosen.messages = chosen.messages or (4000 if chosen.quick else 20000)
    if not chosen.scenarios:
        chosen.scenarios = ["mt", "mt-dlr", "mo", "mixed"]
        if not chosen.quick:
            chosen.scenarios += ["mt-r500", "mo-r500"]
    if not chosen.peers:
        chosen.peers = ["gatewayd"]
        if os.access(BEARERBOX, os.X_OK) and os.access(SMSBOX, os.X_OK):
            chosen.peers += ["kannel-mem", "kannel-spool"]
        else:
            print("Kannel is not installed (bearerbox, smsbox): gatewayd is measured alone")
    return chosen


def middle(records: Iterable[Record], way: str, value: Callable[[Flow], float]) -> float:
    return statistics.median(value(r.flows[way]) for r in records if way in r.flows)


def rows(records: list[Record]) -> list[list[str]]:
    """The table: medians, sums of what was lost or came twice; `ratio` is gatewayd's rate to it."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.scenario, record.peer), []).append(record)
    table = []
    for (scenario, peer), group in groups.items():
        ours = groups.get((scenario, "gatewayd"), [])
        for way in ("mt", "dlr", "mo"):
            if not any(way in record.flows for record in group):
                continue
            rate = middle(group, way, lambda flow: flow.rate)
            ratio = "-"
            if peer != "gatewayd" and rate and any(way in record.flows for record in ours):
                ratio = f"{middle(ours, way, lambda flow: flow.rate) / rate:.1f}"
            flows = [record.flows[way] for record in group if way in record.flows]
            table.append(
                [
                    scenario,
                    peer,
                    way,
                    f"{rate:,.0f}",
                    f"{middle(group, way, lambda flow: flow.p50_ms):,.1f}",
                    f"{middle(group, way, lambda flow: flow.p99_ms):,.1f}",
                    f"{statistics.median(record.cpu_us for record in group):,.0f}",
                    str(sum(flow.lost for flow in flows)),
                    str(sum(flow.duplicates for flow in flows)),
                    ratio,
                ]
            )
    return table


def text_table(table: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in [list(HEAD), *table]) for i in range(len(HEAD))]

    def line(row: Iterable[str]) -> str:
        cells = [
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([line(HEAD), *(line(row) for row in table)])


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    cores = os.cpu_count()
    return (
        f"{cores} cores ({model}), Linux {platform.release()}, Python {platform.python_version()}"
    )


def save(records: list[Record], table: list[list[str]], chosen: argparse.Namespace) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    today = datetime.now(UTC).date().isoformat()
    lines = [
        "# Measured rates and delays",
        "",
        f"{today}, {machine()}. Written by `make bench`; how it measures: `tests/bench/README.md`.",
        f"Medians of {chosen.runs} runs with {chosen.messages:,} messages each, load tools on the",
        "same machine. A rate counts what arrived (at the SMSC, or at the platform), CPU is of all",
        "processes of the gateway per message or report moved, *ratio* is gatewayd's rate to the",
        "peer's. Other work on the machine took"
        f" {sum(r.other_cpu_s for r in records):.0f} s of CPU in all.",
        "",
        "| " + " | ".join(HEAD) + " |",
        "|" + "---|" * 3 + "---:|" * (len(HEAD) - 3),
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        *(f"* **{name}**: {SCENARIOS[name].about}." for name in chosen.scenarios),
        *(f"* **{name}** keeps through kill -9: {PEERS[name].durable}." for name in chosen.peers),
        "",
    ]
    (DOCS / "README.md").write_text("\n".join(lines))
    data = {"date": today, "machine": machine(), "runs": [r.as_json() for r in records]}
    (DOCS / "bench.json").write_text(json.dumps(data, indent=1) + "\n")


def wrong(record: Record) -> list[str]:
    """What must not happen at any speed."""
    found = [record.error] if record.error else []
    for way, flow in record.flows.items():
        if flow.lost or flow.duplicates:
            found.append(f"{way}: {flow.lost} lost, {flow.duplicates} twice")
    return [f"{record.peer} {record.scenario}: {fault}" for fault in found]


def main() -> int:
    chosen = options()
    try:
        build()
    except NoCompiler as error:
        print(error)
        return 1
    chosen.work.mkdir(parents=True, exist_ok=True)
    records: list[Record] = []
    for repetition in range(chosen.runs):
        for scenario in chosen.scenarios:
            for peer in chosen.peers:
                record = run(
                    PEERS[peer],
                    SCENARIOS[scenario],
                    messages=chosen.messages,
                    seconds=chosen.seconds,
                    work=chosen.work,
                )
                records.append(record)
                rates = " ".join(f"{way} {flow.rate:,.0f}/s" for way, flow in record.flows.items())
                print(f"{repetition + 1}. {scenario} {peer}: {rates} {record.error}", flush=True)
    table = rows(records)
    print("\n" + text_table(table))
    if not chosen.quick:
        save(records, table, chosen)
        print(f"\nsaved in {DOCS.relative_to(HERE.parents[1])}/")
    faults = [fault for record in records if record.peer == "gatewayd" for fault in wrong(record)]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
