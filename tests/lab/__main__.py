"""The faults of a VPN against the real gateway: `make lab`, or python -m tests.lab [FAULT ...].

Each fault gets a lab of its own. A caller sends all the while; the fault strikes, holds, is mended;
then it is counted what was lost, what came twice, what left beside the tunnel, how long it took
until the gateway knew and until it was bound again. A table comes out, and docs/lab.md with it.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.lab.trial import ANSWER, ENQUIRE, Count, Fault, Trial
from tests.lab.vpn import ROOT, VpnLab, missing

AT_ONCE = 0.1  # seconds, where the kernel tells
SILENT = ENQUIRE + ANSWER + 1  # where only enquire_link does
WITH_ROUTE = 2.0  # from route to bound
WITHOUT = 10 + 2.0  # from repair to bound, where no event comes: the cap of the pause, and a little
REPORT = ROOT / "docs" / "lab.md"


@dataclass(frozen=True)
class Case:
    """A fault, how it is mended, and within which seconds it must be known (0: it is none)."""

    title: str
    strike: Fault
    mend: Fault
    known: float
    kinds: tuple[str, ...] = ("openvpn", "wireguard")


def _restart_own(trial: Trial) -> None:
    trial.lab.end("vpn-gw", signal.SIGKILL)
    trial.lab.start("gw")


CASES = {
    "own-killed": Case(
        "own VPN process killed",
        lambda t: t.lab.kill_vpn("gw"),
        lambda t: t.lab.start("gw"),
        AT_ONCE,
    ),
    "own-ended": Case(
        "own VPN process ends cleanly",
        lambda t: t.lab.kill_vpn("gw", signal.SIGTERM),
        lambda t: t.lab.start("gw"),
        AT_ONCE,
    ),
    "device-deleted": Case(
        "device deleted", lambda t: t.lab.delete_device(), _restart_own, AT_ONCE
    ),
    "device-down": Case(
        "device set down",
        lambda t: t.lab.set_link("down"),
        lambda t: t.lab.set_link("up"),
        AT_ONCE,
    ),
    "far-end": Case(
        "far end of the tunnel dead",
        lambda t: t.lab.kill_vpn("op"),
        lambda t: t.lab.start("op"),
        SILENT,
    ),
    "blackhole": Case(
        "every packet lost on the way",
        lambda t: t.lab.faults(drop=1),
        lambda t: t.lab.faults(),
        SILENT,
    ),
    "frozen": Case(
        "SMSC frozen",
        lambda t: t.lab.send("smsc", signal.SIGSTOP),
        lambda t: t.lab.send("smsc", signal.SIGCONT),
        SILENT,
    ),
    "loss": Case(
        "30 % of the packets lost",
        lambda t: t.lab.faults(loss=0.3),
        lambda t: t.lab.faults(),
        0,
    ),
    "slow": Case(
        "0.6 to 0.8 s of delay each way",
        lambda t: t.lab.faults(delay=0.6, jitter=0.2),
        lambda t: t.lab.faults(),
        0,
    ),
}


@dataclass
class Row:
    """One line of the table."""

    title: str
    kind: str
    count: Count
    down: float | None = None
    bound: float | None = None
    limits: str = ""
    failed: tuple[str, ...] = ()

    def cells(self) -> tuple[str, ...]:
        count = self.count
        return (
            self.title,
            self.kind,
            f"{self.down:.2f}" if self.down is not None else "-",
            f"{self.bound:.2f}" if self.bound is not None else "-",
            str(count.taken),
            str(count.lost),
            str(count.twice),
            str(count.explained),
            str(count.binds),
            str(count.beside),
            str(count.resets),
            self.limits,
            "; ".join(self.failed) or "ok",
        )


HEADS = (
    *("fault", "tunnel", "s to down", "s to bound", "taken", "lost", "twice", "again", "binds"),
    *("beside", "resets", "limits", "verdict"),
)


@contextmanager
def trial_in_lab(
    kind: str, rate: float, *, require: bool = True, hasty: bool = True
) -> Iterator[Trial]:
    with (
        tempfile.TemporaryDirectory(prefix="gatewayd-lab-") as folder,
        VpnLab(Path(folder), kind) as lab,
    ):
        trial = Trial(lab, rate, require=require, hasty=hasty)
        trial.start_calls()
        time.sleep(3)
        yield trial


def try_case(case: Case, kind: str, rate: float, hold: float) -> Row:
    """One fault in a lab of its own."""
    with trial_in_lab(kind, rate, hasty=case.known > 0) as trial:
        struck = time.time()
        case.strike(trial)
        time.sleep(hold)
        down = trial.seconds_to_down(struck)
        losses = trial.losses(struck)
        mended = time.time()
        case.mend(trial)
        row = Row(case.title, kind, Count(), down)
        failed = []
        if case.known:
            bound = trial.bound(mended, 40)
            up = trial.path_up(mended)
            since = up.at if up else mended
            row.bound = bound and bound.at - since
            within = WITH_ROUTE if up else WITHOUT
            row.limits = f"down {case.known:g}, bound {within:g}"
            if row.down is None or row.down > case.known:
                failed.append("late to know")
            if row.bound is None or row.bound > within:
                failed.append("late to bind")
            time.sleep(2)
        else:
            row.limits = f"at most 1 loss in {hold:g} s"
            if losses > 1:
                failed.append(f"{losses} losses")
        trial.stop_calls()
        row.count = trial.count()
    return judged(row, failed)


def try_flapping(kind: str, rate: float, seconds: float, seed: int) -> Row:
    """The device goes and comes every 3 to 20 seconds."""
    chance = random.Random(seed)
    with trial_in_lab(kind, rate) as trial:
        end = time.monotonic() + seconds
        flaps = 0
        while time.monotonic() < end:
            flaps += 1
            trial.lab.set_link("down")
            time.sleep(chance.uniform(0.2, 8))
            trial.lab.set_link("up")
            time.sleep(chance.uniform(3, 12))
        trial.stop_calls()
        row = Row(f"flapping, {flaps} times in {seconds:g} s", kind, trial.count())
    row.limits = f"binds {flaps + 1}"
    return judged(row, ["bound too often"] if row.count.binds > flaps + 1 else [])


def try_kills(kind: str, rate: float, kills: int, *, guard: bool) -> Row:
    """The VPN's process killed again and again, at moments that do not repeat.

    Without the guard route it is the gateway alone that keeps its packets inside.
    """
    chance = random.Random(kills)
    slowest = 0.0
    failed = []
    worst: float | None = 0.0
    with trial_in_lab(kind, rate) as trial:
        if guard:
            trial.lab.guard()
        for _ in range(kills):
            struck = time.time()
            trial.lab.kill_vpn("gw")
            time.sleep(chance.uniform(0.05, 1.0))
            down = trial.seconds_to_down(struck)
            slowest = max(slowest, 99.0 if down is None else down)
            trial.lab.start("gw")
            bound = trial.bound(struck, 20)
            up = trial.path_up(struck)
            if bound is None or up is None:
                failed.append("did not come back")
                break
            worst = max(worst or 0.0, bound.at - up.at)
            time.sleep(chance.uniform(0.0, 0.5))
        trial.stop_calls()
        title = f"{kills} kills{', guard route' if guard else ''}"
        row = Row(title, kind, trial.count(), slowest, worst)
    if guard and row.count.resets:
        failed.append("resets beside")
    row.limits = f"down {AT_ONCE:g}, bound {WITH_ROUTE:g}"
    if slowest > AT_ONCE:
        failed.append("late to know")
    if worst is None or worst > WITH_ROUTE:
        failed.append("late to bind")
    return judged(row, failed)


def try_without(kind: str, rate: float) -> Row:
    """The same kill without `require`: that packets are seen proves that the sniffer sees them."""
    with trial_in_lab(kind, rate, require=False) as trial:
        struck = time.time()
        trial.lab.kill_vpn("gw")
        time.sleep(6)
        trial.lab.start("gw")
        trial.bound(struck, 30)
        trial.stop_calls()
        row = Row("own VPN killed, require: false", kind, trial.count())
    row.limits = "beside: some"
    if not row.count.beside:
        row.failed = ("nothing was seen beside the tunnel: the sniffer is blind",)
    return row


def judged(row: Row, failed: list[str]) -> Row:
    count = row.count
    if not count.taken:
        failed.append("nothing was taken")
    for number, what in ((count.lost, "lost"), (count.twice, "twice"), (count.beside, "beside")):
        if number:
            failed.append(f"{number} {what}")
    row.failed = tuple(failed)
    return row


def table(rows: list[Row]) -> str:
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


def write_report(rows: list[Row], rate: float, hold: float) -> None:
    """Put the table between the marks of docs/lab.md."""
    text = REPORT.read_text()
    body = (
        f"{rate:g} texts a second, each fault held for {hold:g} s, enquire_link every {ENQUIRE:g} s"
        f" and answered within {ANSWER:g} s (where packets are only lost or late: as by default)."
        f"\n\n{table(rows)}\n"
    )
    new = re.sub(
        r"(<!-- table -->\n).*(<!-- end -->)",
        lambda found: f"{found[1]}{body}{found[2]}",
        text,
        flags=re.DOTALL,
    )
    REPORT.write_text(new)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make lab", description=__doc__)
    parser.add_argument(
        "faults", nargs="*", help=f"{', '.join(CASES)}, flapping, kills, guarded, without"
    )
    parser.add_argument("--kind", action="append", choices=("openvpn", "wireguard"))
    parser.add_argument("--rate", type=float, default=100.0, help="texts per second")
    parser.add_argument("--hold", type=float, default=14.0, help="seconds a fault lasts")
    parser.add_argument("--bad", type=float, default=60.0, help="seconds of loss, and of delay")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--flapping", type=float, default=60.0, help="seconds of flapping")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="write docs/lab.md")
    options = parser.parse_args()
    kinds = []
    for kind in options.kind or ("openvpn", "wireguard"):
        if reason := missing(kind):
            print(f"skipped, {kind}: {reason}")
        else:
            kinds.append(kind)
    if not kinds:
        return 0
    tries: list[tuple[str, Callable[[str], Row]]] = []
    for name, case in CASES.items():
        hold = options.hold if case.known else options.bad
        tries.append((name, partial(try_case, case, rate=options.rate, hold=hold)))
    flap = options.flapping, options.seed
    tries += [
        ("flapping", lambda kind: try_flapping(kind, options.rate, *flap)),
        ("kills", lambda kind: try_kills(kind, options.rate, options.kills, guard=False)),
        ("guarded", lambda kind: try_kills(kind, options.rate, options.kills, guard=True)),
        ("without", lambda kind: try_without(kind, options.rate)),
    ]
    unknown = set(options.faults) - {name for name, _ in tries}
    if unknown:
        parser.error(f"no fault is called {', '.join(sorted(unknown))}")
    rows = []
    for name, attempt in tries:
        if options.faults and name not in options.faults:
            continue
        for kind in kinds:
            try:
                rows.append(attempt(kind))
            except RuntimeError as error:  # the others are still worth a try
                print(error, file=sys.stderr)
                rows.append(Row(name, kind, Count(), failed=("it did not come up",)))
            print(" | ".join(rows[-1].cells()), flush=True)
    print()
    print(table(rows))
    if options.report:
        write_report(rows, options.rate, options.hold)
    return 1 if any(row.failed for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
