"""`make kills`: the gateway is killed under load, again and again, and the ledgers are compared.

A caller, an SMSC and a platform outlive the gateway. Every text carries an id, and each of the
three counts per id what it saw. Afterwards: what was answered 202 must have reached the SMSC, what
was answered deliver_sm_resp 0 must have reached the platform, and a fault may at most repeat what
was under way when it struck. Without a fault nothing may come twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from gatewayd.commands import configuration
from gatewayd.flow.mt import decode
from gatewayd.model import Segment
from gatewayd.store.contract import Queue, State
from tests.live.harness import (
    POSTS_IN_FLIGHT,
    Gateway,
    NoCompiler,
    Rig,
    Tool,
    build,
    drain,
    kannel_conf,
    until,
)
from tests.live.yaml_conf import Channel, yaml_conf

KILL, STOP = "kill -9", "SIGTERM"
_MARK = re.compile(rb"XQ(\d{8})\.\d{13}QX")  # as tests/bench/tools/common.h makes it


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard the gateway is beaten; rates are per second.

    `faults` strike one after the other, spread over `seconds` at random distances (`seed`): `KILL`,
    `STOP`, or the name of a failpoint, at which the gateway kills itself.
    """

    faults: Sequence[str]
    seconds: float
    mt_rate: int = 400
    mo_rate: int = 200
    window: int = 20
    mo_window: int = 20
    binds: int = 2
    seed: int = 1
    settle: float = 60.0  # patience for the rest after the last fault
    timed: bool = True  # seconds are judged, too: on a machine that has nothing else to do
    yaml: bool = False  # gatewayd.yaml, which knows a deliver_sm that the SMSC repeats

    @property
    def told(self) -> str:
        """The faults and the load, in words."""
        names = list(dict.fromkeys(self.faults))
        each = len(self.faults) // max(1, len(names))
        if len(names) > 3:
            words = f"{each} kills at each of {len(names)} named steps"
        else:
            words = " + ".join(f"{self.faults.count(name)} x {name}" for name in names)
        conf = "gatewayd.yaml" if self.yaml else "kannel.conf"
        return f"{words}, {self.mt_rate} MT and {self.mo_rate} MO a second, {conf}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One promise: how often it was at stake, what came out, and whether that is allowed."""

    guarantee: str
    fault: str
    count: int
    figure: str
    holds: bool
    judged: bool = True  # else it stands there for comparison

    def line(self) -> str:
        word = "holds" if self.holds else "BROKEN"
        return f"{self.guarantee} | {self.fault} | {self.count:,} | {self.figure} | {word}"

    def of(self, guarantee: str) -> Verdict:
        """The same figure as a part of another guarantee."""
        told = re.sub(r"^G\d+ ", "", self.guarantee)
        return replace(self, guarantee=f"{guarantee} {told}")


@dataclass(slots=True)
class Repeats:
    """What came twice in one stretch between two faults: submits, MO calls, reports."""

    mt: int
    mo: int
    reports: int

    def __sub__(self, before: Repeats) -> Repeats:
        return Repeats(self.mt - before.mt, self.mo - before.mo, self.reports - before.reports)


class Torture:
    """One run of a plan in an empty folder; `run` gives the verdicts."""

    def __init__(self, plan: Plan, rig: Rig, gateway: Gateway | None = None) -> None:
        self.plan, self.rig = plan, rig
        self.random = random.Random(plan.seed)
        self.ours = gateway is None
        if gateway is None and plan.yaml:
            live = {"window": plan.window, "binds": plan.binds}
            channel = Channel(parallel=POSTS_IN_FLIGHT)
            conf = yaml_conf(rig, smscs={"live": live}, channel=channel)
            gateway = rig.gateway(conf, suffix=".yaml")
        self.gateway = gateway or rig.gateway(
            kannel_conf(rig, window=plan.window, binds=plan.binds)
        )
        seconds = max(1, round(plan.seconds))
        self.mo_total = plan.mo_rate * seconds
        self.smsc: Tool = rig.smsc(
            {
                "resp-delay-ms": 15,  # so that a fault finds submits under way
                "dlr-delay-ms": 40,
                "mo": self.mo_total,
                "mo-rate": plan.mo_rate,
                "mo-window": plan.mo_window,
            }
        )
        self.platform: Tool = rig.platform({"delay-ms": 5})
        self.mt_total = plan.mt_rate * seconds
        self.away: list[float] = []  # seconds from each fault to the first answer
        self.repeats: list[Repeats] = []  # before the first fault, after it, after the second ...
        self.perhaps_sent: list[set[int]] = []  # as the store has it, after each fault
        self.counted: list[int] = []  # as the next start counts it
        self.left: dict[str, float] = {}  # by our own metrics: what came in and did not go out

    def run(self) -> list[Verdict]:
        self._start(0)
        options = {"total": self.mt_total, "rate": self.plan.mt_rate, "conns": 16, "timeout-s": 10}
        caller = self.rig.caller(options, reports=True)
        began, last = time.monotonic(), self._counted()
        gap = self.plan.seconds / (len(self.plan.faults) + 1)
        for number, fault in enumerate(self.plan.faults):
            due = began + gap * (number + 1) + gap * self.random.uniform(-0.4, 0.4)
            if fault in (KILL, STOP):
                until(lambda due=due: time.monotonic() >= due, self.plan.seconds)  # type: ignore[misc]
            else:
                until(lambda: not self.gateway.running, 2 * gap)
            self._strike(fault)
            # Only now: what it wrote last belongs to what came before this fault.
            until(lambda: self.smsc.binds == 0, 5)
            last = self._note(last)
            if self.ours:
                self.perhaps_sent.append(perhaps_sent(self.gateway.state / "gatewayd.sqlite3"))
            struck = time.monotonic()
            self._start(number + 1)
            self.away.append(time.monotonic() - struck)
        until(lambda: not caller.running, self.plan.seconds + 30)
        accepted = caller.end()["ok"]
        self._drain(accepted)
        self._note(last)
        if self.ours:
            self._balance()
        at_smsc, at_platform = self.smsc.end(), self.platform.end()
        stopped = self.gateway.stop()
        return self._judge(caller, at_smsc["dlr_made"], at_platform["dlr_unique"], stopped)

    def _environment(self, number: int) -> dict[str, str]:
        """The failpoint at which the gateway shall end before fault `number`, if that is one."""
        faults = self.plan.faults
        if number < len(faults) and faults[number] not in (KILL, STOP):
            return {"GATEWAYD_FAILPOINT": f"{faults[number]}:kill"}
        return {}

    def _start(self, number: int) -> None:
        """Start it and wait for its binds; one with a failpoint may end before they are there."""
        environment = self._environment(number)
        if environment:
            self.gateway.spawn(environment)
            until(lambda: self.gateway.healthy() or not self.gateway.running, 30)
        else:
            self.gateway.start()
        counted = -1
        if self.ours and number:
            with contextlib.suppress(OSError):
                counted = round(self.gateway.metrics()["gatewayd_uncertain_total"])
            self.counted.append(counted)
        self._wait_bound(armed=bool(environment))

    def _strike(self, fault: str) -> None:
        if fault == STOP:
            self.gateway.stop()
        else:
            self.gateway.kill()

    def _wait_bound(self, *, armed: bool = False) -> None:
        def there() -> bool:
            return self.smsc.binds >= self.plan.binds or (armed and not self.gateway.running)

        if not until(there, 20):
            raise RuntimeError(f"not bound within 20 s:\n{self.gateway.tail()}")

    def _drain(self, accepted: int) -> None:
        """Wait until everything has arrived, or nothing moves any more."""
        patience = self.plan.settle
        drain(lambda: self.smsc.uniq, accepted, stall=12, cap=patience)
        drain(lambda: self.smsc.mo_acked, self.mo_total, stall=12, cap=patience)
        drain(lambda: self.platform.mo, self.mo_total, stall=12, cap=patience)
        drain(lambda: self.platform.dlr, accepted, stall=12, cap=patience)
        time.sleep(1.5)  # what comes twice may come now

    def _counted(self) -> Repeats:
        return Repeats(self.smsc.dup, self.platform.mo_dup, self.platform.dlr_dup)

    def _note(self, before: Repeats) -> Repeats:
        now = self._counted()
        self.repeats.append(now - before)
        return now

    def _balance(self) -> None:
        """What the last life of the gateway took in or found, less what it finished."""
        until(lambda: not any(self._left().values()), 20)
        self.left = self._left()

    def _left(self) -> dict[str, float]:
        seen = self.gateway.metrics()

        def all_of(name: str, *labels: str) -> float:
            return sum(
                value
                for series, value in seen.items()
                if series.split("{")[0] == name and all(label in series for label in labels)
            )

        def came(queue: str) -> float:
            return all_of("gatewayd_recovered", f'"{queue}"')

        def done(kind: str) -> float:
            return all_of("gatewayd_forward_results_total", f'"{kind}"')

        def waits(queue: str) -> float:
            return all_of("gatewayd_queue_messages", f'queue="{queue}"')

        def mt(result: str) -> float:
            return all_of("gatewayd_mt_segments_total", f'"{result}"')

        moved = mt("sent") + mt("failed") + all_of("gatewayd_window_in_flight") + waits("mt")
        mo = all_of("gatewayd_messages_total", '"mo"', '"received"')
        reports = all_of("gatewayd_dlr_reports_total")
        return {
            "segments": came("mt") + mt("stored") - moved,
            "MO": came("mo") + mo - done("mo") - waits("mo"),
            "reports": came("report") + reports - done("dlr") - waits("dlr"),
        }

    def _judge(self, caller: Tool, receipts: int, reports: int, stopped: int) -> list[Verdict]:
        plan = self.plan
        fault = plan.told
        accepted, submitted = _ids(caller.seen("accepted")), _ids(self.smsc.seen("acked"))
        taken, called = _ids(self.smsc.seen("moacked")), _ids(self.platform.seen("mo"))
        reported = _ids(self.platform.seen("dlr"))
        lost_mt, lost_mo = accepted - submitted, taken - called
        silent = (accepted & submitted) - reported
        # A place in a window, or among the calls, is free again once the answer is on disk.
        open_submits = plan.window * plan.binds
        open_calls = open_again = calls_under_way(self.gateway) if self.ours else 0
        if self.ours and not repeats_are_known(self.gateway):
            open_again += plan.mo_window * plan.binds  # what the SMSC delivers again, as to Kannel
        quiet, struck = self.repeats[0], self.repeats[1:]
        calm = quiet.mt + quiet.mo + quiet.reports

        def none(name: str, count: int, lost: set[int]) -> Verdict:
            return Verdict(name, fault, count, f"{len(lost)} lost", not lost)

        def bounded(name: str, found: list[int], bound: int) -> Verdict:
            # A clean stop waits for the answers, so it leaves nothing in doubt.
            bounds = [0 if fault == STOP else bound for fault in plan.faults]
            over = sum(n > most for n, most in zip(found, bounds, strict=True))
            figure = f"{sum(found)} in all, {max(found, default=0)} after one fault"
            figure += f" (allowed: {max(bounds, default=0)})"
            if over:
                figure += f"; more than that after {over} of {len(found)}"
            return Verdict(name, fault, len(found), figure, not over)

        verdicts = [
            none("G1 answered 202: submitted", len(accepted), lost_mt),
            none("G9 deliver_sm answered 0: platform called", len(taken), lost_mo),
            none("G24 receipt taken: report made", len(accepted & submitted), silent),
            bounded("G3 submits made twice", [r.mt for r in struck], open_submits),
            bounded("G10 MO calls made twice", [r.mo for r in struck], open_again),
            bounded("G10 reports made twice", [r.reports for r in struck], open_calls),
            Verdict("G3 nothing comes twice", "none", 1, f"{calm} twice", calm == 0),
        ]
        if self.ours:
            verdicts += self._explain(fault)
        return [
            *verdicts,
            Verdict(
                "answers again",
                fault,
                len(self.away),
                f"after {max(self.away, default=0):.1f} s at most",
                max(self.away, default=0) < 10,
                judged=plan.timed,
            ),
            Verdict("clean end", STOP, 1, f"exit status {stopped}", stopped == 0),
        ]

    def _explain(self, fault: str) -> list[Verdict]:
        """What came twice was known as perhaps sent, and what was known so was counted."""
        rx = self.smsc.seen("rx")
        twice = {number for number, times in enumerate(rx) if times > 1}
        known = set[int]().union(*self.perhaps_sent)
        unexplained = len(twice - known)
        sizes = [len(ids) for ids in self.perhaps_sent]
        # One window under way, and one marked ahead so that it need not wait when its turn comes.
        most = 2 * self.plan.window * self.plan.binds
        logged = self.gateway.log.read_text(errors="replace").count("Perhaps sent before")
        asked = sum(told >= 0 for told in self.counted)
        left = ", ".join(f"{name} {count:.0f}" for name, count in self.left.items())
        return [
            Verdict(
                "G3 submitted twice, and not known as perhaps sent",
                fault,
                len(twice),
                f"{unexplained} unexplained",
                not unexplained,
            ),
            Verdict(
                "G4 perhaps sent: in the store, counted and logged after the start",
                fault,
                len(sizes),
                f"{sum(sizes)} in the store, {logged} logged; counted the same at {asked} of"
                f" {len(sizes)} starts that could be asked; {max(sizes, default=0)} at most"
                f" (allowed: {most})",
                max(sizes, default=0) <= most
                and logged == sum(sizes)
                and all(told in (size, -1) for size, told in zip(sizes, self.counted, strict=True)),
            ),
            Verdict(
                "conservation, by our own metrics: came in or found, and not finished or waiting",
                fault,
                1,
                left,
                not any(self.left.values()),
            ),
        ]


def calls_under_way(gateway: Gateway) -> int:
    """How many calls to the platform its configuration lets be under way at once, of each kind."""
    config = configuration.read(str(gateway.configuration))
    mo = sum(channel.parallel for channel in config.channels)
    return min(max(mo, config.reports.parallel), config.http.max_requests_out)


def repeats_are_known(gateway: Gateway) -> bool:
    """Whether a deliver_sm that comes again is told once."""
    return configuration.read(str(gateway.configuration)).limits.dedupe_window > 0


def perhaps_sent(path: Path) -> set[int]:
    """The ids in the texts of rows that a store of a dead gateway calls perhaps sent."""
    found = (_MARK.search(segment.payload) for segment in claimed(path))
    return {int(mark[1]) for mark in found if mark}


def claimed(path: Path) -> list[Segment]:
    """What the store of a dead gateway calls perhaps sent."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            file = Path(f"{path}{suffix}")
            if file.exists():
                shutil.copy(file, folder)
        connection = sqlite3.connect(Path(folder, path.name))
        try:
            sql = "SELECT body FROM item WHERE queue = ? AND state = ?"
            rows = connection.execute(sql, (int(Queue.MT), int(State.CLAIMED))).fetchall()
        finally:
            connection.close()
    return [decode(body) for (body,) in rows]


def _ids(dump: bytes) -> set[int]:
    return {number for number, times in enumerate(dump) if times}


def torture(plan: Plan, folder: Path) -> list[Verdict]:
    """Run `plan` with its files in `folder`. Raises `NoCompiler`, or RuntimeError with a log."""
    build()
    with Rig(folder) as rig:
        return Torture(plan, rig).run()


def table(verdicts: Sequence[Verdict]) -> str:
    rows = [("guarantee", "fault", "count", "figure", "verdict")]
    rows += [
        (v.guarantee, v.fault, str(v.count), v.figure, "holds" if v.holds else "BROKEN")
        for v in verdicts
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main() -> int:
    usual = Plan((), 0)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=0, help="how often SIGTERM instead")
    parser.add_argument(
        "--failpoints", nargs="+", default=[], help="names at which it shall kill itself"
    )
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--mt-rate", type=int, default=usual.mt_rate)
    parser.add_argument("--mo-rate", type=int, default=usual.mo_rate)
    parser.add_argument("--binds", type=int, default=usual.binds)
    parser.add_argument("--window", type=int, default=usual.window)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100000)
    parser.add_argument("--folder", type=Path, help="keep the files there")
    parser.add_argument("--json", type=Path, help="write the verdicts there")
    chosen = parser.parse_args()
    faults = [KILL] * chosen.kills + [STOP] * chosen.stops + list(chosen.failpoints)
    random.Random(chosen.seed).shuffle(faults)
    plan = Plan(
        faults,
        chosen.seconds,
        mt_rate=chosen.mt_rate,
        mo_rate=chosen.mo_rate,
        binds=chosen.binds,
        window=chosen.window,
        seed=chosen.seed,
    )
    print(f"{len(faults)} faults in {plan.seconds:.0f} s, seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gatewayd-torture-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            verdicts = torture(plan, folder)
        except (NoCompiler, RuntimeError) as error:
            print(error)
            return 1
    print(table(verdicts))
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(v) for v in verdicts], indent=1) + "\n")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
