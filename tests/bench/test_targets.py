"""The verdicts: reached or missed, at the bound, and said so where nothing tells."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.bench.scenario import SCENARIOS, SPOOL, STORE_OFF, Flow, Record, Slice
from tests.bench.targets import OURS, Verdict, at_most, ratios, verdicts


def record(
    peer: str,
    scenario: str,
    *,
    rate: float = 1000,
    p99: float = 5,
    cpu: float = 50,
    rss: float = 70,
    repetition: int = 1,
) -> Record:
    flows = {way: Flow(rate, 1.0, p99, 100, 0, 0) for way in ("mt", "dlr", "mo")}
    return Record(peer, scenario, flows, repetition, cpu_us=cpu, rss_mb=rss)


def verdict(records: Sequence[Record], what: str, peer: str = "") -> Verdict:
    [found] = [v for v in verdicts(records) if v.what == what and peer in v.target]
    return found


@pytest.mark.parametrize(("rate", "reached"), [(2000, True), (1999, False)])
def test_a_rate_is_reached_at_its_bound_and_not_below(rate: float, reached: bool) -> None:
    records = [record(OURS, "mt", rate=rate), record(STORE_OFF, "mt", rate=1000)]
    found = verdict(records, "MT/s", STORE_OFF)
    assert found.reached is reached
    assert (found.word, found.pairs) == ("reached" if reached else "MISSED", 1)
    assert verdict(records, "MT/s", SPOOL).word == "not measured"


@pytest.mark.parametrize(("cpu", "reached"), [(50, True), (51, False)])
def test_cpu_is_reached_at_its_bound_and_not_above(cpu: float, reached: bool) -> None:
    records = [record(OURS, "mo", cpu=cpu), record(STORE_OFF, "mo", cpu=100)]
    assert verdict(records, "CPU per message, mo", STORE_OFF).reached is reached


def test_the_ratio_of_the_medians_decides_and_the_pairs_are_shown() -> None:
    records = []
    for repetition, ours, theirs in ((1, 10, 10), (2, 20, 5), (3, 90, 30)):
        records.append(record(OURS, "mt", rate=ours, repetition=repetition))
        records.append(record(STORE_OFF, "mt", rate=theirs, repetition=repetition))
    found = verdict(records, "MT/s", STORE_OFF)
    assert (found.measured, found.low_high, found.pairs) == ("2.00", "1.00 - 4.00", 3)
    assert found.reached


@pytest.mark.parametrize(
    ("ours", "theirs", "reached"),
    [(15, 3, True), (16, 3, False), (40, 20, True), (41, 20, False)],
)
def test_p99_under_open_load_has_the_higher_of_two_bounds(
    ours: float, theirs: float, reached: bool
) -> None:
    records = [record(OURS, "mt-r1000", p99=ours), record(STORE_OFF, "mt-r1000", p99=theirs)]
    assert verdict(records, "MT at 1,000/s end to end, p99").reached is reached


def test_memory_at_saturation_is_that_of_the_scenario_that_takes_most() -> None:
    records = [record(OURS, "mt", rss=80), record(OURS, "mixed", rss=121)]
    records.append(record(STORE_OFF, "mixed", rss=500))
    found = verdict(records, "RSS at saturation, its peak")
    assert (found.measured, found.reached) == ("121.0", False)


@pytest.mark.parametrize(("fifty", "reached"), [(64.8, True), (65.0, False)])
def test_memory_of_an_idle_bind_is_the_growth_from_one_to_fifty(
    fifty: float, reached: bool
) -> None:
    records = [Record(OURS, "idle1", rss_mb=60.0), Record(OURS, "idle50", rss_mb=fifty)]
    assert verdict(records, "RSS for each further idle bind").reached is reached
    assert verdict(records, "RSS, 1 idle bind").reached


def test_a_backlog_is_judged_by_memory_and_by_flat_cost() -> None:
    fill = [Slice("fill", 0, 100, 1.0, cost, 60.0) for cost in (10, 10, 10, 13, 13)]
    drain = [Slice("drain", 0, 100, 1.0, cost, 60.0) for cost in (10, 10, 10, 10, 10)]
    records = [Record(OURS, "backlog", queued_bytes=1001, slices=fill + drain)]
    assert verdict(records, "memory of a queued message").reached is False
    assert verdict(records, "CPU per message, queue full to empty, fill").reached is False
    assert verdict(records, "CPU per message, queue full to empty, drain").reached is True


@pytest.mark.parametrize(
    ("lost", "twice", "error", "reached"),
    [(0, 0, "", True), (1, 0, "", False), (0, 1, "", False), (0, 0, "3 requests refused", False)],
)
def test_one_message_lost_doubled_or_refused_is_too_much(
    lost: int, twice: int, error: str, reached: bool
) -> None:
    ours = Record(OURS, "mt", {"mt": Flow(1.0, 1.0, 1.0, 9, lost, twice)}, error=error)
    theirs = Record(STORE_OFF, "mt", {"mt": Flow(1.0, 1.0, 1.0, 9, 5, 5)})
    what = "nothing lost, nothing doubled, nothing refused"
    assert verdict([ours, theirs], what).reached is reached


def test_without_runs_nothing_is_claimed() -> None:
    assert {found.word for found in verdicts([])} == {"not measured"}
    assert at_most("x", "ms", {}, 1).reached is None


def test_what_a_target_is_judged_by_is_measured_beside_that_peer_in_every_repetition() -> None:
    for target in ratios():
        scenario = SCENARIOS[target.scenario]
        assert target.peer in scenario.beside
        assert scenario.at_most == 0
