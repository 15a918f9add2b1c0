"""The lab's own judgement: what a line misses, what the table says, and what is tried at all."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.lab import rows
from tests.lab.__main__ import plan
from tests.lab.rows import Row, table, write_report
from tests.lab.trial import Count

FULL = argparse.Namespace(
    rate=100.0,
    hold=14.0,
    long_holds=[60.0, 600.0],
    bad=300.0,
    kills=50,
    stops=50,
    reloads=100,
    flapping=600.0,
    seed=1,
)


@pytest.mark.parametrize(
    ("count", "verdict"),
    [
        (Count(taken=1), "ok"),
        (Count(taken=1, explained=3, resets=1), "ok"),
        (Count(), "MISSED: nothing was taken"),
        (Count(taken=9, lost=1), "MISSED: 1 lost"),
        (Count(taken=9, twice=2, beside=3), "MISSED: 2 twice; 3 beside"),
    ],
)
def test_a_loss_a_repetition_and_a_leak_are_never_allowed(count: Count, verdict: str) -> None:
    assert Row("G15", "kills", "openvpn").judge(count).verdict == verdict


def test_the_check_of_the_sniffer_may_leak() -> None:
    assert not Row("G15", "x", "openvpn").judge(Count(taken=1, beside=4), beside=False).failed


def test_what_cannot_be_tried_is_named_and_misses_nothing() -> None:
    row = Row("G28", "the unit", "openvpn", skipped="no cgroup2 is mounted")
    assert row.verdict == "skipped: no cgroup2 is mounted"
    assert not row.failed


def test_each_line_of_the_table_has_its_guarantee_times_and_verdict() -> None:
    late = Row("G12", "a", "openvpn", Count(taken=7), down=0.25, limits="down 0.1")
    late.miss(late.down is not None and late.down > 0.1, "late to know")
    lines = table([late, Row("G28", "b", "")]).splitlines()
    first, second = (line.split(" | ") for line in lines[2:])
    assert (first[0].strip("| "), first[3].strip(), first[6].strip()) == ("G12", "0.25", "7")
    assert first[-1] == "MISSED: late to know |"
    assert second[-1].startswith("ok ")
    assert second[6].strip() == "-"


def test_the_report_changes_nothing_but_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "lab.md"
    page.write_text("before\n<!-- table -->\nold \\1\n<!-- end -->\nafter\n")
    monkeypatch.setattr(rows, "REPORT", page)
    write_report([Row("G12", "a \\1", "openvpn")], "Measured today.")
    before, rest = page.read_text().split("<!-- table -->\n")
    new, after = rest.split("<!-- end -->")
    assert (before, after) == ("before\n", "\nafter\n")
    assert new.startswith("Measured today.\n\n| ")
    assert "old" not in new
    assert "a \\1" in new


def test_every_guarantee_of_the_tunnel_has_a_try_for_each_kind() -> None:
    names = [(attempt.name, attempt.kind) for attempt in plan(FULL, ["openvpn", "wireguard"])]
    assert len(set(names)) == len(names)
    for name in ("blackhole", "blackhole-600", "own-ended-60", "bad", "flapping", "kills", "stops"):
        assert {(name, "openvpn"), (name, "wireguard")} <= set(names)


def test_tries_that_wait_do_not_stand_in_the_way_of_the_others() -> None:
    lanes = {attempt.name: attempt.lane for attempt in plan(FULL, ["openvpn"])}
    assert lanes["blackhole-600"] != lanes["kills"]
