"""What can become of a tunnel, and what the gateway makes of it: one function for each line."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rows import Row
from tests.lab.trial import ANSWER, ENQUIRE, Fault, Trial
from tests.lab.vpn import VpnLab

AT_ONCE = 0.1  # seconds, where the kernel tells
SILENT = ENQUIRE + ANSWER + 1  # where only enquire_link does
WITH_ROUTE = 2.0  # from route to bound
WITHOUT = 10 + 2.0  # from repair to bound, where no event comes: the cap of the pause, and a little
DRAINED = 60.0  # seconds in which all that waited is sent


@dataclass(frozen=True)
class Case:
    """A fault, how it is mended, and within which seconds it must be known."""

    title: str
    strike: Fault
    mend: Fault
    known: float


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
    "route-gone": Case(
        "route to the SMSC deleted",
        lambda t: t.lab.set_route("del"),
        lambda t: t.lab.set_route("replace"),
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
}


@contextmanager
def trial_in_lab(
    kind: str, rate: float, *, require: bool = True, hasty: bool = True, more: str = ""
) -> Iterator[Trial]:
    """A lab of its own, the caller calling. What is not `hasty` has a VPN with usual pings."""
    with (
        tempfile.TemporaryDirectory(prefix="gatewayd-lab-") as folder,
        VpnLab(Path(folder), kind, *([] if hasty else [(10, 60)])) as lab,
    ):
        trial = Trial(lab, rate, require=require, hasty=hasty, more=more)
        trial.start_calls()
        time.sleep(3)
        yield trial


def try_case(case: Case, kind: str, rate: float, hold: float) -> Row:
    """G12, G13: how soon a fault is known, and how soon after its repair the bind is back."""
    row = Row("G12 G13", f"{case.title} for {_span(hold)}", kind)
    with trial_in_lab(kind, rate) as trial:
        struck = time.time()
        case.strike(trial)
        time.sleep(hold)
        row.down = trial.seconds_to_down(struck)
        mended = time.time()
        case.mend(trial)
        bound = trial.bound(mended, 40)
        up = trial.path_up(mended)
        row.bound = bound and bound.at - (up.at if up else mended)
        within = WITH_ROUTE if up else WITHOUT
        row.limits = f"down {case.known:g}, bound {within:g}"
        row.miss(row.down is None or row.down > case.known, "late to know")
        row.miss(row.bound is None or row.bound > within, "late to bind")
        time.sleep(2)
        trial.stop_calls()
        return row.judge(trial.count(max(DRAINED, hold / 2)))


def try_bad_link(title: str, faults: dict[str, float], kind: str, rate: float, hold: float) -> Row:
    """G16: packets that are lost or late are no reason to give the link up."""
    row = Row("G16", f"{title} for {_span(hold)}", kind, limits="binds 2")
    with trial_in_lab(kind, rate, hasty=False) as trial:
        trial.lab.faults(**faults)
        time.sleep(hold)
        trial.lab.faults()
        trial.stop_calls()
        row.judge(trial.count())
        row.miss(trial.binds() > 2, "given up too often")
        return row


def try_flapping(kind: str, rate: float, seconds: float, seed: int) -> Row:
    """G14: the device goes or comes every 3 to 20 seconds."""
    chance = random.Random(seed)
    with trial_in_lab(kind, rate) as trial:
        end = time.monotonic() + seconds
        flaps = 0
        while time.monotonic() < end:
            flaps += 1
            trial.lab.set_link("down")
            time.sleep(chance.uniform(3, 20))
            trial.lab.set_link("up")
            time.sleep(chance.uniform(3, 20))
        trial.stop_calls()
        row = Row("G14", f"flapping, {flaps} times in {_span(seconds)}, {rate:g}/s", kind)
        row.judge(trial.count(DRAINED))
        assert row.count is not None
        row.limits = f"binds {flaps + 1}, all sent in {DRAINED:g}"
        row.miss(row.count.binds > flaps + 1, "bound too often")
    return row


def try_kills(kind: str, rate: float, kills: int, *, guard: bool) -> Row:
    """G15: the VPN's process killed again and again, at moments that do not repeat.

    Without the guard route it is the gateway alone that keeps its packets inside.
    """
    chance = random.Random(kills)
    title = f"{kills} kills{', guard route' if guard else ''}"
    row = Row("G12 G15", title, kind, down=0.0, bound=0.0)
    row.limits = f"down {AT_ONCE:g}, bound {WITH_ROUTE:g}, beside 0"
    with trial_in_lab(kind, rate) as trial:
        if guard:
            trial.lab.guard()
        for _ in range(kills):
            struck = time.time()
            trial.lab.kill_vpn("gw")
            time.sleep(chance.uniform(0.05, 1.0))
            down = trial.seconds_to_down(struck)
            row.down = max(row.down or 0.0, 99.0 if down is None else down)
            trial.lab.start("gw")
            bound = trial.bound(struck, 20)
            up = trial.path_up(struck)
            if bound is None or up is None:
                row.miss(True, "did not come back")
                break
            row.bound = max(row.bound or 0.0, bound.at - up.at)
            time.sleep(chance.uniform(0.0, 0.5))
        trial.stop_calls()
        count = trial.count()
    row.miss(guard and count.resets > 0, "resets beside")
    row.miss((row.down or 0.0) > AT_ONCE, "late to know")
    row.miss((row.bound or 0.0) > WITH_ROUTE, "late to bind")
    return row.judge(count)


def try_without(kind: str, rate: float) -> Row:
    """The same kill without `require`: that packets are seen proves that the sniffer sees them."""
    row = Row("G15", "the check of the check: require: false", kind, limits="beside: some")
    with trial_in_lab(kind, rate, require=False) as trial:
        struck = time.time()
        trial.lab.kill_vpn("gw")
        time.sleep(6)
        trial.lab.start("gw")
        trial.bound(struck, 30)
        trial.stop_calls()
        count = trial.count()
    row.miss(not count.beside, "nothing was seen beside the tunnel: the sniffer is blind")
    return row.judge(count, beside=False)


def _span(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"
