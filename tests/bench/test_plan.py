"""The plan: in turns, not longer than promised; the rows come back as they were kept."""

from __future__ import annotations

from pathlib import Path

from tests.bench.backlog import compare
from tests.bench.bench import PEERS, options, planned
from tests.bench.plan import PACE, Plan, Run
from tests.bench.report import load, rate_rows, save
from tests.bench.scenario import SCENARIOS, Flow, Record, Slice


def plan_of(*arguments: str) -> Plan:
    return planned(options(arguments))


def test_peers_take_turns_in_each_repetition() -> None:
    plan = plan_of("--scenarios", "mt-close", "--runs", "2")
    peers = ("gatewayd", "kannel-mem", "kannel-spool")
    assert list(plan.runs()) == [Run(n, "mt-close", peer) for n in (1, 2) for peer in peers]


def test_some_scenarios_are_repeated_less() -> None:
    plan = plan_of("--scenarios", "mt-r100", "backlog", "--peers", "gatewayd")
    assert [(run.repetition, run.scenario) for run in plan.runs()] == [
        (1, "mt-r100"),
        (1, "backlog"),
        (2, "mt-r100"),
    ]


def test_five_pairs_take_about_three_quarters_of_an_hour_and_a_look_some_minutes() -> None:
    plan, look = plan_of(), plan_of("--quick")
    assert set(plan.scenarios) == set(SCENARIOS)
    assert plan.repetitions == 5
    assert 30 < sum(map(plan.estimate, plan.runs())) / 60 < 50
    assert sum(map(look.estimate, look.runs())) / 60 < 5
    assert plan.lines()[-1].endswith("minutes")


def test_each_peer_that_a_scenario_names_can_be_run_and_estimated() -> None:
    assert {peer for scenario in SCENARIOS.values() for peer in scenario.beside} < set(PEERS)
    assert set(PACE) == set(PEERS)


def test_only_the_whole_is_kept_unless_a_folder_is_named() -> None:
    assert options([]).out is not None
    assert options(["--quick"]).out is None
    assert options(["--scenarios", "mt"]).out is None
    assert options(["--quick", "--out", "here"]).out == Path("here")


def test_parts_and_shares_count_in_the_size_of_a_run() -> None:
    assert SCENARIOS["mt"].total(3000, 8) == 3000
    assert SCENARIOS["mt-long"].total(3000, 8) == 1000
    assert SCENARIOS["mixed"].total(3000, 8) == 1500
    assert SCENARIOS["mo-r500"].total(3000, 8) == 4000


def test_kept_rows_come_back(tmp_path: Path) -> None:
    records = [
        Record("gatewayd", "mt", {"mt": Flow(3000.0, 1.0, 2.0, 9, 0, 0)}, 1, 40.0, 60.0),
        Record("kannel-mem", "mt", {"mt": Flow(1500.0, 1.0, 2.0, 9, 1, 2)}, 1, 90.0, 30.0),
        Record("gatewayd", "backlog", slices=[Slice("fill", 10, 10, 1.0, 40.0, 61.0)]),
        Record("kannel-mem", "mo", error="TimeoutError: nothing listens on port 1"),
    ]
    save(tmp_path, records, ["a machine"], "* x")
    assert load(tmp_path / "bench.json") == (records, ["a machine"])
    text = (tmp_path / "README.md").read_text()
    assert "a machine" in text
    assert "| MT/s | >= 2 x kannel-mem | 2.00 | 2.00 - 2.00 | 1 | reached |" in text


def test_the_table_gives_each_peer_its_ratio_and_what_it_lost() -> None:
    rows = rate_rows(
        [
            Record("gatewayd", "mt", {"mt": Flow(3000.0, 1.0, 2.0, 9, 0, 0)}, 1),
            Record("kannel-mem", "mt", {"mt": Flow(1500.0, 1.0, 2.0, 9, 1, 2)}, 1),
        ]
    )
    assert [row[9:] for row in rows] == [["0", "0", "-", "-"], ["1", "2", "2.00", "2.00 - 2.00"]]


def test_what_two_smscs_answered_is_compared_id_by_id() -> None:
    assert compare(4, bytes([1, 0, 1]), bytes([0, 1, 1, 0])) == (1, 1)
    assert compare(2, b"", bytes([1, 1])) == (0, 0)
