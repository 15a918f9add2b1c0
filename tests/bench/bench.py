"""`make bench`: gatewayd beside Kannel, in turns; tables of rates and of targets, and docs/bench/.

The peers take turns within each repetition, so what else the machine does meets them alike. The
figures of one machine say little about another; the ratio between two peers says more.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.loadtools import NoCompiler, build
from tests.bench.measure import run
from tests.bench.peers.base import Peer
from tests.bench.peers.gatewayd import Gatewayd, build_of
from tests.bench.peers.kannel import KannelFile, KannelMem, KannelSpool, installed
from tests.bench.plan import Plan
from tests.bench.report import load, save, tables, text_table
from tests.bench.scenario import QUICK, SCENARIOS, Record
from tests.bench.targets import OURS

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs" / "bench"
PEERS: dict[str, type[Peer]] = {
    kind.name: kind for kind in (Gatewayd, KannelMem, KannelFile, KannelSpool)
}
NO_KANNEL = (
    "Kannel is not installed: there is no bearerbox and no smsbox in /usr/sbin (Debian:"
    " apt-get install kannel).\nTo measure gatewayd alone: make bench BENCH='--peers gatewayd'"
)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a short look, nothing saved")
    parser.add_argument(
        "--peers", nargs="+", choices=PEERS, help="all of them in each scenario (see the plan)"
    )
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, help="(all)")
    parser.add_argument("--runs", type=int, help="repetitions, each a pair (5; quick: 1)")
    parser.add_argument("--messages", type=int, help="per run (20000; quick: 4000)")
    parser.add_argument("--seconds", type=int, help="of open loops and idle binds (8; quick: 3)")
    parser.add_argument("--backlog", type=int, help="messages that shall wait (1000000)")
    parser.add_argument(
        "--work", type=Path, default=HERE / "work", help="stores lie there: the disk to be judged"
    )
    parser.add_argument("--out", type=Path, help="tables and rows go there (all: docs/bench)")
    parser.add_argument("--plan", action="store_true", help="say what would be run, and end")
    parser.add_argument("--show", type=Path, metavar="JSON", help="the tables of kept rows, no run")
    chosen = parser.parse_args(arguments)
    quick: bool = chosen.quick
    everything = not (quick or chosen.peers or chosen.scenarios)
    chosen.out = chosen.out or (DOCS if everything else None)
    chosen.scenarios = chosen.scenarios or list(QUICK if quick else SCENARIOS)
    chosen.runs = chosen.runs or (1 if quick else 5)
    chosen.messages = chosen.messages or (4000 if quick else 20000)
    chosen.seconds = chosen.seconds or (3 if quick else 8)
    chosen.backlog = chosen.backlog or (20000 if quick else 1000000)
    return chosen


def planned(chosen: argparse.Namespace) -> Plan:
    """The plan of what `options` brought."""
    return Plan(
        chosen.scenarios,
        chosen.peers or (),
        chosen.runs,
        chosen.messages,
        chosen.seconds,
        chosen.backlog,
    )


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


def brief(record: Record) -> str:
    """One line of progress."""
    said = [f"{way} {flow.rate:,.0f}/s" for way, flow in record.flows.items()]
    said += [f"p99 {flow.p99_ms:,.1f} ms" for flow in record.flows.values() if flow.p99_ms]
    if SCENARIOS[record.scenario].kind == "idle":
        said.append(f"CPU {record.idle_cpu_pct:.2f} %")
    else:
        said.append(f"CPU {record.cpu_us:,.0f} us")
    if record.slices:
        said.append(f"{record.queued_bytes:,.0f} bytes for each of {record.backlog:,} waiting")
    said.append(f"RSS {record.rss_mb:,.1f} MB")
    return f"{record.repetition}. {record.scenario} {record.peer}: " + ", ".join(
        said + record.faults()
    )


def show(records: Sequence[Record], head: Sequence[str]) -> None:
    print("\n" + "\n".join(head))
    for title, table in tables(records, text_table):
        print(f"\n{title}\n{table}")


def main() -> int:
    chosen = options()
    if chosen.show:
        show(*load(chosen.show))
        return 0
    plan = planned(chosen)
    peers = list(dict.fromkeys(run.peer for run in plan.runs()))
    if peers != [OURS] and not installed():
        print(NO_KANNEL)
        return 1
    print("\n".join([build_of(), "The plan:", *plan.lines()]), flush=True)
    if chosen.plan:
        return 0
    try:
        build()
    except NoCompiler as error:
        print(error)
        return 1
    today = datetime.now(UTC).date().isoformat()
    head = [f"{today}, {machine()}", build_of()]
    head.append(
        f"{chosen.runs} repetitions at most, {chosen.messages:,} messages a run, load tools on the"
        " same machine"
    )
    keeps = "\n".join(
        f"* **{name}** keeps through kill -9: {PEERS[name].durable}." for name in peers
    )
    chosen.work.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a run stops what it started
    records: list[Record] = []
    for one in plan.runs():
        record = run(
            PEERS[one.peer],
            SCENARIOS[one.scenario],
            messages=chosen.messages,
            seconds=chosen.seconds,
            backlog=chosen.backlog,
            work=chosen.work,
            repetition=one.repetition,
        )
        records.append(record)
        print(brief(record), flush=True)
        save(chosen.work / "latest", records, head, keeps)  # it stays, whatever ends the rest
    show(records, head)
    if chosen.out:
        save(chosen.out, records, head, keeps)
        print(f"\nsaved in {chosen.out}/")
    faults = [fault for record in records if record.peer == OURS for fault in record.faults()]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
