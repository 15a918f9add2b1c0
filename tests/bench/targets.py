"""What gatewayd shall reach, beside Kannel and alone, and whether it did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.bench import figures
from tests.bench.figures import Series, Spread, Value, ratio, series, spread
from tests.bench.scenario import SCENARIOS, SPOOL, STORE_OFF, Record

OURS = "gatewayd"
FLAT = 1.2  # cost at the full queue to cost at the empty one that still counts as flat
SATURATED = ("mt", "mt-close", "mt-long", "mt-256", "mt-dlr", "mo", "mixed")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One row. `reached` is None where the runs do not tell."""

    what: str
    target: str
    measured: str = "-"
    low_high: str = "-"  # of the pairs, or of the runs
    pairs: int = 0
    reached: bool | None = None

    @property
    def word(self) -> str:
        return {True: "reached", False: "MISSED", None: "not measured"}[self.reached]


@dataclass(frozen=True, slots=True)
class Against:
    """A ratio to a peer: of rates, at least; of CPU per message, at most."""

    what: str
    scenario: str
    value: Value
    peer: str
    bound: float
    at_most: bool = False

    def judge(self, records: Sequence[Record]) -> Verdict:
        found = ratio(
            series(records, self.scenario, OURS, self.value),
            series(records, self.scenario, self.peer, self.value),
        )
        sign = "<=" if self.at_most else ">="
        target = f"{sign} {self.bound:g} x {self.peer}"
        if found is None:
            return Verdict(self.what, target)
        good = found.middle <= self.bound if self.at_most else found.middle >= self.bound
        return _verdict(self.what, target, found, good, "{:.2f}")


def _verdict(what: str, target: str, found: Spread, reached: bool, form: str) -> Verdict:
    low_high = f"{form.format(found.low)} - {form.format(found.high)}"
    return Verdict(what, target, form.format(found.middle), low_high, found.count, reached)


def at_most(what: str, unit: str, found: Series, bound: float, form: str = "{:,.1f}") -> Verdict:
    """A figure of gatewayd alone, whose median shall not be above `bound`."""
    target, seen = f"<= {bound:,g} {unit}".rstrip(), spread(found)
    if seen is None:
        return Verdict(what, target)
    return _verdict(what, target, seen, seen.middle <= bound, form)


def ratios() -> list[Against]:
    """The rates and the CPU, each against Kannel without a store and with its spool."""
    rows = (
        ("MT/s", "mt", "mt", 2.0, 4.0),
        ("MT/s, a connection each", "mt-close", "mt", 1.8, 3.0),
        ("MT/s, long texts", "mt-long", "mt", 2.5, 4.0),
        ("MT/s, 256 connections", "mt-256", "mt", 2.0, 4.0),
        ("receipts/s at the platform", "mt-dlr", "dlr", 3.5, 7.0),
        ("MO/s at the platform", "mo", "mo", 3.5, 5.0),
    )
    found = []
    for what, scenario, way, store_off, spool in rows:
        for peer, bound in ((STORE_OFF, store_off), (SPOOL, spool)):
            found.append(Against(what, scenario, figures.rate(way), peer, bound))
    for _, scenario, _, _, _ in rows:
        for peer, bound in ((STORE_OFF, 0.5), (SPOOL, 0.3)):
            what = f"CPU per message, {scenario}"
            found.append(Against(what, scenario, figures.cpu, peer, bound, at_most=True))
    return found


def verdicts(records: Sequence[Record]) -> list[Verdict]:
    """Every target, in the order in which it is asked for."""
    return [
        *(target.judge(records) for target in ratios()),
        at_most(
            "p99 request to submit at saturation (mt)",
            "ms",
            series(records, "mt", OURS, figures.p99("mt")),
            25,
        ),
        *(row for way in ("mt", "mo") for row in _open_loop(records, way)),
        _saturated_memory(records),
        at_most("RSS, 1 idle bind", "MB", series(records, "idle1", OURS, figures.rss), 60),
        _idle_binds(records),
        at_most(
            "memory of a queued message",
            "bytes",
            series(records, "backlog", OURS, lambda r: r.queued_bytes if r.slices else None),
            1000,
            "{:,.0f}",
        ),
        *(
            at_most(
                f"CPU per message, queue full to empty, {phase}",
                "x",
                series(records, "backlog", OURS, figures.flatness(phase)),
                FLAT,
                "{:.2f}",
            )
            for phase in ("fill", "drain")
        ),
        nothing_wrong(records),
    ]


def _open_loop(records: Sequence[Record], way: str) -> Iterable[Verdict]:
    """1,000 a second, end to end: p50 has one bound, p99 the higher of two."""
    scenario, what = f"{way}-r1000", f"{way.upper()} at 1,000/s end to end"
    yield at_most(
        f"{what}, p50", "ms", series(records, scenario, OURS, figures.p50(way)), 1.5, "{:.2f}"
    )
    ours = spread(series(records, scenario, OURS, figures.p99(way)))
    theirs = spread(series(records, scenario, STORE_OFF, figures.p99(way)))
    target = f"<= max(2 x {STORE_OFF}, 15 ms)"
    if ours is None:
        yield Verdict(f"{what}, p99", target)
        return
    bound = max(2 * theirs.middle, 15.0) if theirs else 15.0
    target += f" = {bound:.1f}"
    yield _verdict(f"{what}, p99", target, ours, ours.middle <= bound, "{:.2f}")


def _saturated_memory(records: Sequence[Record]) -> Verdict:
    """The scenario that takes most is the one that counts."""
    every = [series(records, scenario, OURS, figures.rss) for scenario in SATURATED]
    most = max((one for one in every if one), key=lambda one: max(one.values()), default={})
    return at_most("RSS at saturation, its peak", "MB", most, 120)


def _idle_binds(records: Sequence[Record]) -> Verdict:
    more = SCENARIOS["idle50"].binds - SCENARIOS["idle1"].binds
    one, many = (series(records, name, OURS, figures.rss) for name in ("idle1", "idle50"))
    each = {n: mb * 1000 for n, mb in figures.growth(one, many, more).items()}
    return at_most("RSS for each further idle bind", "kB", each, 100)


def nothing_wrong(records: Iterable[Record]) -> Verdict:
    """Of gatewayd: every message of every run arrived, and once."""
    what, target = "nothing lost, nothing doubled, nothing refused", "0"
    ours = [record for record in records if record.peer == OURS]
    if not ours:
        return Verdict(what, target)
    flows = [flow for record in ours for flow in record.flows.values()]
    lost, twice = sum(flow.lost for flow in flows), sum(flow.duplicates for flow in flows)
    faults = [fault for record in ours for fault in record.faults()]
    measured = f"{lost} lost, {twice} twice"
    return Verdict(what, target, measured, f"{len(ours)} runs", len(ours), not faults)
