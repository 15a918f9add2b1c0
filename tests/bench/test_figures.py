"""Ratios of medians, the spread of the pairs, growth for each bind, flatness of the cost."""

from __future__ import annotations

import pytest

from tests.bench import figures
from tests.bench.figures import Spread, growth, ratio, series, spread
from tests.bench.scenario import Flow, Record, Slice


def run(peer: str, repetition: int, rate: float, scenario: str = "mt") -> Record:
    flows = {"mt": Flow(rate, 1.0, 2.0, 100, 0, 0)}
    return Record(peer, scenario, flows, repetition, cpu_us=50.0)


def sliced(phase: str, costs: list[float]) -> Record:
    slices = [Slice(phase, 0, 100, 1.0, cost, 60.0) for cost in costs]
    return Record("gatewayd", "backlog", slices=slices)


def test_a_series_holds_the_runs_of_one_peer_in_one_scenario_by_repetition() -> None:
    records = [
        run("gatewayd", 1, 10),
        run("kannel-mem", 1, 20),
        run("gatewayd", 2, 30),
        run("gatewayd", 1, 40, "mt-long"),
        Record("gatewayd", "mt", repetition=3, error="it has not bound"),
    ]
    assert series(records, "mt", "gatewayd", figures.rate("mt")) == {1: 10, 2: 30}
    assert series(records, "mt", "gatewayd", figures.rate("mo")) == {}
    assert series(records, "mt", "gatewayd", figures.cpu) == {1: 50, 2: 50}


def test_a_ratio_is_of_the_medians_and_its_spread_that_of_the_pairs() -> None:
    # The median of the paired ratios would be 3, that of the medians is 2.
    found = ratio({1: 10, 2: 20, 3: 90}, {1: 10, 2: 5, 3: 30})
    assert found == Spread(2.0, 1.0, 4.0, 3)


def test_only_repetitions_that_both_have_are_compared() -> None:
    assert ratio({1: 10, 2: 400}, {1: 5, 3: 1}) == Spread(2.0, 2.0, 2.0, 1)


def test_no_pair_no_ratio() -> None:
    assert ratio({1: 10}, {2: 5}) is None
    assert ratio({1: 10}, {1: 0}) is None
    assert ratio({}, {}) is None


def test_spread_is_median_least_and_most() -> None:
    assert spread({1: 4, 2: 1, 3: 2}) == Spread(2, 1, 4, 3)
    assert spread({}) is None


def test_growth_is_what_each_further_bind_took() -> None:
    assert growth({1: 60.0, 2: 61.0}, {1: 64.9, 3: 70.0}, 49) == {1: pytest.approx(0.1)}


@pytest.mark.parametrize(
    ("phase", "costs", "expected"),
    [
        ("fill", [10, 10, 50, 50, 30, 30], 3.0),  # full at the end
        ("drain", [30, 30, 50, 50, 10, 10], 3.0),  # full at the beginning
        ("fill", [20, 20, 20, 20], 1.0),
        ("fill", [20, 20, 20], None),  # nothing to tell the ends by
        ("drain", [20, 20, 0, 0], None),
    ],
)
def test_flatness_is_the_cost_at_the_full_queue_to_that_at_the_empty_one(
    phase: str, costs: list[float], expected: float | None
) -> None:
    assert figures.flatness(phase)(sliced(phase, costs)) == expected


def test_each_phase_has_its_own_flatness() -> None:
    assert figures.flatness("drain")(sliced("fill", [10, 10, 20, 20])) is None
