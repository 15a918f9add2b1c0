"""What is computed of the runs: series, ratios of medians, and how far the pairs lie apart.

The peers take turns within a repetition, so the ratio of one repetition compares runs that the
machine treated alike. The ratio of the medians is what counts, those of the pairs are its spread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.bench.scenario import Record

Value = Callable[[Record], float | None]
Series = Mapping[int, float]  # by repetition


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure: its median (of a ratio: the ratio of the medians), its least and its most."""

    middle: float
    low: float
    high: float
    count: int


def series(records: Iterable[Record], scenario: str, peer: str, value: Value) -> dict[int, float]:
    """`value` of each run of `scenario` with `peer`; runs that have none are left out."""
    found = {}
    for record in records:
        if (record.scenario, record.peer) == (scenario, peer):
            figure = value(record)
            if figure is not None:
                found[record.repetition] = figure
    return found


def spread(of: Series) -> Spread | None:
    """Median, least and most; None where there is nothing."""
    if not of:
        return None
    figures = list(of.values())
    return Spread(statistics.median(figures), min(figures), max(figures), len(figures))


def ratio(ours: Series, theirs: Series) -> Spread | None:
    """Ours to theirs, of the repetitions that have both; None where none has, or theirs are 0."""
    pairs = [(ours[n], theirs[n]) for n in sorted(ours.keys() & theirs.keys()) if theirs[n]]
    if not pairs:
        return None
    paired = [mine / other for mine, other in pairs]
    middle = statistics.median(mine for mine, _ in pairs)
    middle /= statistics.median(other for _, other in pairs)
    return Spread(middle, min(paired), max(paired), len(pairs))


def rate(way: str) -> Value:
    return lambda record: record.flows[way].rate if way in record.flows else None


def p50(way: str) -> Value:
    return lambda record: record.flows[way].p50_ms if way in record.flows else None


def p99(way: str) -> Value:
    return lambda record: record.flows[way].p99_ms if way in record.flows else None


def cpu(record: Record) -> float | None:
    """CPU per message or report moved, µs."""
    return record.cpu_us if record.flows else None


def rss(record: Record) -> float | None:
    """MB."""
    return record.rss_mb or None


def growth(of_one: Series, of_many: Series, more: int) -> dict[int, float]:
    """What each of `more` further binds took, in the repetitions that have both."""
    return {n: (of_many[n] - of_one[n]) / more for n in of_one.keys() & of_many.keys()}


def flatness(phase: str) -> Value:
    """CPU per message with the queue at its longest, to that with the queue at its shortest.

    The two tenths nearest to each end are taken together: one tenth may meet a checkpoint.
    """

    def value(record: Record) -> float | None:
        costs = [part.cpu_us for part in record.slices if part.phase == phase]
        if len(costs) < 4:
            return None
        first, last = sum(costs[:2]), sum(costs[-2:])
        short, long = (first, last) if phase == "fill" else (last, first)
        return long / short if short else None

    return value
