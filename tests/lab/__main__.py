"""The faults of a VPN against the real gateway: `make lab`, or python -m tests.lab [TRY ...].

Each try gets a lab of its own. A caller sends all the while; the fault strikes, holds, is mended;
then it is counted what was lost, what came twice, what left beside the tunnel, how long it took
until the gateway knew and until it was bound again. A table comes out, and docs/lab.md with it;
the exit status is 1 when a line of it missed its limits.

The tries of one tunnel run one after another, beside those of the other tunnel, and beside those
that wait most of the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.connection
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from tests.bench.bench import machine
from tests.lab import faults, life, unit
from tests.lab.rows import Row, table, write_report
from tests.lab.trial import ANSWER, ENQUIRE
from tests.lab.vpn import missing

KINDS = ("openvpn", "wireguard")
PATIENT = " that waits"  # after a kind: the lane of tries that wait
SLOWLY = 10.0  # texts a second where a link carries few, or a queue grows for long


@dataclass(frozen=True)
class Try:
    """One line of the table, or some."""

    name: str
    kind: str
    lane: str
    run: Callable[[], Row | list[Row]]


def plan(options: argparse.Namespace, kinds: list[str]) -> list[Try]:
    """Every try, in the order of the table."""
    found: list[Try] = []
    rate = options.rate

    def add(name: str, call: Callable[..., Row | list[Row]], lane: str = "") -> None:
        found.extend(Try(name, kind, kind + lane, partial(call, kind=kind)) for kind in kinds)

    for name, case in faults.CASES.items():
        add(name, partial(faults.try_case, case, rate=rate, hold=options.hold))
    for name in ("own-ended", "blackhole"):
        for hold in options.long_holds:
            attempt = partial(faults.try_case, faults.CASES[name], rate=SLOWLY, hold=hold)
            add(f"{name}-{hold:g}", attempt, PATIENT)
    bad = {"loss": 0.3, "delay": 0.6}
    title = "30 % lost, 0.6 s late each way,"
    add("bad", partial(faults.try_bad_link, title, bad, rate=SLOWLY, hold=options.bad), PATIENT)
    for title, bad in (
        ("30 % of the packets lost", {"loss": 0.3}),
        ("0.6 to 0.8 s of delay each way", {"delay": 0.6, "jitter": 0.2}),
    ):
        attempt = partial(faults.try_bad_link, title, bad, rate=rate, hold=options.bad / 5)
        add("loss" if "loss" in bad else "slow", attempt)
    flap = partial(faults.try_flapping, rate=2 * rate, seconds=options.flapping, seed=options.seed)
    add("flapping", flap)
    kills = partial(faults.try_kills, rate=rate, kills=options.kills)
    add("kills", partial(kills, guard=False))
    add("guarded", partial(kills, guard=True))
    add("without", partial(faults.try_without, rate=rate))
    add("stops", partial(life.try_stops, rate=rate, stops=options.stops))
    add("reloads", partial(life.try_reloads, rate=rate, reloads=options.reloads))
    if "openvpn" in kinds and not unit.missing():
        lines = partial(unit.try_unit, "openvpn", rate=rate)
        found.append(Try("unit", "openvpn", kinds[-1], lines))
    return found


def attempted(attempt: Try) -> list[Row]:
    """The lines of one try, or one that says that it broke off."""
    try:
        result = attempt.run()
    except Exception as error:  # noqa: BLE001 - the others are still worth a try
        print(f"{attempt.name}: {error!r}", file=sys.stderr)
        return [Row("", attempt.name, attempt.kind, failed=["it broke off"])]
    return result if isinstance(result, list) else [result]


def run(tries: list[Try]) -> list[Row]:
    """Every lane at once; each line is printed when it is known, and they come back in order.

    A lane is a process, so that whatever ends this one, ends the labs of each in order.
    """
    lanes: dict[str, list[Try]] = {}
    for attempt in tries:
        lanes.setdefault(attempt.lane, []).append(attempt)
    forking = multiprocessing.get_context("fork")
    workers: dict[Any, tuple[Any, Iterator[Try]]] = {}
    told: dict[Try, list[Row]] = {}
    try:
        for lane in lanes.values():
            mine, its = forking.Pipe(duplex=False)
            worker = forking.Process(target=_follow, args=(lane, its))
            worker.start()
            its.close()
            workers[mine] = worker, iter(lane)
        while open_ := [wire for wire in workers if not wire.closed]:
            ready = multiprocessing.connection.wait(open_)
            for wire in (wire for wire in open_ if wire in ready):
                begun = next(workers[wire][1], None)
                try:
                    rows = wire.recv()
                except EOFError:
                    wire.close()
                    continue
                assert begun is not None
                told[begun] = rows
                for row in rows:
                    print(" | ".join(row.cells()), flush=True)
    finally:
        for worker, _ in workers.values():
            worker.terminate()
            worker.join()
    died = [Row("", "a lane of tries died", "", failed=["see above"])]
    return [row for attempt in tries for row in told.get(attempt, died)]


def _follow(lane: list[Try], wire: Any) -> None:
    for attempt in lane:
        wire.send(attempted(attempt))
    wire.close()


def skipped(wanted: Sequence[str]) -> list[Row]:
    """What cannot be tried here, by name."""
    rows = []
    for kind in wanted:
        if reason := missing(kind):
            rows.append(Row("", "every fault", kind, skipped=reason))
    if "openvpn" in wanted and (reason := unit.missing()):
        rows.append(Row("G28", "the unit under systemd", "openvpn, systemd", skipped=reason))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="make lab",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tries", nargs="*", metavar="TRY", help="some of it: see --list")
    parser.add_argument("--list", action="store_true", help="name all tries, and end")
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--rate", type=float, default=100.0, help="texts per second")
    parser.add_argument("--hold", type=float, default=14.0, help="seconds a fault lasts")
    parser.add_argument(
        "--long-holds", type=float, nargs="*", default=[60.0, 600.0], help="and longer ones"
    )
    parser.add_argument("--bad", type=float, default=300.0, help="seconds of loss with delay")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--flapping", type=float, default=600.0, help="seconds of flapping")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="write docs/lab.md")
    options = parser.parse_args()
    kinds = [kind for kind in options.kind or KINDS if not missing(kind)]
    tries = plan(options, kinds)
    names = dict.fromkeys(attempt.name for attempt in tries)
    if options.list:
        print(" ".join(names))
        return 0
    if unknown := set(options.tries) - names.keys():
        parser.error(f"nothing is called {', '.join(sorted(unknown))}; there is {' '.join(names)}")
    wanted = [attempt for attempt in tries if not options.tries or attempt.name in options.tries]
    began = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # labs are taken down on the way out
    rows = run(wanted) + skipped(options.kind or KINDS)
    print(f"\n{table(rows)}")
    if options.report:
        write_report(rows, _how(options, began))
    return 1 if any(row.failed for row in rows) else 0


def _how(options: argparse.Namespace, began: float) -> str:
    some = f", only {' '.join(options.tries)}" if options.tries else ""
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} in {(time.monotonic() - began) / 60:.0f} minutes on"
        f" {machine()}{some}.\n{options.rate:g} texts a second, but {SLOWLY:g} where a queue grows"
        f" for minutes or the link is bad; enquire_link every {ENQUIRE:g} s, answered within"
        f" {ANSWER:g} s (G16: as by default); the VPN's own keep-alive every second, its restart"
        " after 4 (G16: 10 and 60)."
    )


if __name__ == "__main__":
    sys.exit(main())
