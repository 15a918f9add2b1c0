"""Reports on their way: policies, lanes, dead letters."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.config import ChannelConfig, Config, ReportPolicy, Retry, StoreConfig
from gatewayd.flow import reports
from gatewayd.flow.dlr import encode_report
from gatewayd.flow.reports import origin_of
from gatewayd.model import Report
from gatewayd.store.contract import Item, Queue, Work
from tests.flow.rig import Rig, config, smsc

RAPIDPRO = ReportPolicy(spacing=1.0, drop_late=True)


def channel(**fields: Any) -> ChannelConfig:
    fields = {"name": "rp", "post_url": "https://rp.example/c/kn/1/receive"} | fields
    return ChannelConfig(**fields)


def with_channel(**fields: Any) -> Config:
    return config(smsc(), channels=(channel(**fields),))


def report(rig: Rig, status: int, message: int = 1, **fields: Any) -> Report:
    """A report that is on disk."""
    fields.setdefault("url", f"https://rp.example/dlr?m={message}&s=%d")
    fields.setdefault("time", rig.wall())
    made = Report(id=rig.keys.take(), message=message, status=status, **fields)
    lane = rig.reports.lane_of(made)
    rig.journal.add(Work(puts=[Item(Queue.DLR, made.id, lane, encode_report(made))]))
    rig.turn()
    rig.reports.push(made)
    return made


def called(rig: Rig) -> list[tuple[int, int]]:
    """Message and status of each call."""
    found = []
    for url in rig.web.urls:
        message, status = url.rsplit("?m=", 1)[1].split("&s=")
        found.append((int(message), int(status)))
    return found


def test_a_report_that_was_taken_is_gone_from_the_store() -> None:
    rig = Rig(config())
    report(rig, 1)
    assert len(rig.disk.rows(Queue.DLR)) == 1
    rig.web.answer(200)
    rig.turn()
    assert rig.disk.rows() == []
    assert (rig.reports.sent, rig.reports.attempts, len(rig.reports)) == (1, 1, 0)


def test_the_reports_of_one_message_go_one_after_another_and_of_others_meanwhile() -> None:
    rig = Rig(config())
    report(rig, 8, 1)
    report(rig, 1, 1)
    report(rig, 8, 2)
    assert called(rig) == [(1, 8), (2, 8)]
    rig.web.answer()
    assert called(rig) == [(1, 8), (2, 8), (1, 1)]


def test_spacing_keeps_two_reports_on_one_message_apart() -> None:
    rig = Rig(with_channel(reports=ReportPolicy(spacing=1.0)))
    report(rig, 8)
    report(rig, 1)
    rig.web.answer()
    rig.turn(0.98)
    assert called(rig) == [(1, 8)]
    rig.turn(0.05)
    assert called(rig) == [(1, 8), (1, 1)]


def test_without_a_policy_everything_is_told_at_once() -> None:
    rig = Rig(config())
    report(rig, 1)
    report(rig, 8)
    rig.web.answer()
    rig.web.answer()
    assert called(rig) == [(1, 1), (1, 8)]


@pytest.mark.parametrize("final", [1, 2, 16, 34])
def test_drop_late_tells_no_8_or_4_once_a_final_one_is_on_its_way(final: int) -> None:
    rig = Rig(with_channel(reports=ReportPolicy(drop_late=True)))
    report(rig, final)
    report(rig, 8)
    report(rig, 4)
    report(rig, 8, 2)
    assert called(rig) == [(1, final), (2, 8)]
    rig.web.answer()
    rig.turn()
    assert called(rig) == [(1, final), (2, 8)]
    assert rig.reports.dropped == 2
    rig.web.answer()
    rig.turn()
    assert rig.disk.rows() == []


def test_drop_late_holds_for_what_comes_after_the_final_one_was_told() -> None:
    """The first part's receipt may come before the answer to the last part."""
    rig = Rig(with_channel(reports=RAPIDPRO))
    report(rig, 1)
    rig.web.answer()
    rig.turn(5)
    report(rig, 8)
    rig.turn(5)
    assert called(rig) == [(1, 1)]
    assert rig.disk.rows() == []


def test_drop_late_drops_an_8_that_still_waits_when_the_final_one_comes() -> None:
    """The 8 failed and waits for its next attempt: then only the 1 is told."""
    rig = Rig(with_channel(reports=RAPIDPRO))
    report(rig, 8)
    rig.web.answer(500)
    report(rig, 1)
    rig.turn(10, steps=100)
    assert called(rig) == [(1, 8), (1, 1)]


def test_what_is_remembered_of_finished_messages_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "TOLD", 10)
    rig = Rig(with_channel(reports=ReportPolicy(drop_late=True)))
    rig.web.auto = lambda call: 200
    for message in range(50):
        report(rig, 1, message)
    assert len(rig.reports._told) == 10
    assert rig.reports._finals == {}


def test_withheld_statuses_are_never_told() -> None:
    rig = Rig(with_channel(reports=ReportPolicy(withhold=frozenset({2, 16}))))
    for status in (8, 2, 16, 1):
        report(rig, status)
    while rig.web.open:
        rig.web.answer()
    rig.turn()
    assert called(rig) == [(1, 8), (1, 1)]
    assert rig.reports.dropped == 2
    assert rig.disk.rows() == []


def test_a_channel_rules_the_reports_that_name_it_or_go_to_its_host() -> None:
    rig = Rig(with_channel(reports=RAPIDPRO))
    named = report(rig, 1, url="http://elsewhere.example/?m=1&s=%d", channel="rp")
    by_host = report(rig, 1, 2)
    neither = report(rig, 1, 3, url="http://other.example:8080/x?m=3&s=%d")
    assert rig.reports.lane_of(named) == "rp"
    assert rig.reports.lane_of(by_host) == "rp"
    assert rig.reports.lane_of(neither) == "http://other.example:8080"


def test_every_host_has_a_lane_of_its_own_so_that_one_outage_is_one_hosts() -> None:
    rig = Rig(config())
    for n in range(3):
        report(rig, 1, n, url=f"http://dead.example/?m={n}&s=%d")
    while rig.web.open:
        rig.web.answer(0)
    report(rig, 1, 8, url="http://alive.example/?m=8&s=%d")
    report(rig, 1, 9, url="http://alive.example/?m=9&s=%d")
    assert called(rig)[-2:] == [(8, 1), (9, 1)]


def test_the_number_of_lanes_is_bounded_and_nothing_is_lost_beyond_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports, "ORIGINS", 3)
    rig = Rig(config())
    rig.web.auto = lambda call: 200
    for n in range(10):
        report(rig, 1, n, url=f"http://h{n}.example/?m={n}&s=%d")
    assert len(called(rig)) == 10
    assert len(rig.reports.boxes) <= 4


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://a.example/x?y=http://b/", "http://a.example"),
        ("https://a.example:8443", "https://a.example:8443"),
        ("http://a.example?s=%d", "http://a.example:"),
        ("http://user:secret@a.example/x", "http://a.example:"),
        ("", ""),
    ],
)
def test_the_origin_of_a_url_has_neither_path_nor_secrets(url: str, origin: str) -> None:
    assert origin_of(url) == origin


def test_a_failed_report_is_tried_again_with_the_same_id() -> None:
    rig = Rig(config())
    report(rig, 1, url="http://p.example/?m=1&s=%d&id=%I")
    rig.web.answer(500)
    rig.turn(2)
    assert len(rig.web.calls) == 2
    assert rig.web.calls[0] == rig.web.calls[1]
    rig.web.answer(200)
    rig.turn()
    assert rig.disk.rows() == []


def test_a_retry_survives_a_restart_with_its_time_and_its_count() -> None:
    retry = Retry(first=10.0, factor=2.0, cap=300.0, jitter=0.0, times=1)
    rig = Rig(config(smsc(), reports=ChannelConfig("", retry=retry)))
    report(rig, 1)
    rig.web.answer(500)
    rig.turn()
    new = rig.again()
    assert new.web.calls == []
    new.turn(10.1)
    assert len(new.web.calls) == 1
    new.web.answer(500)
    new.turn()
    assert [row.tries for row in new.disk.rows(Queue.DEAD)] == [2]


def test_reports_survive_a_restart_in_their_order() -> None:
    rig = Rig(config(smsc(), store=StoreConfig(memory_items=2)))
    for n in range(6):
        report(rig, 8, n)
    new = rig.again()
    new.web.auto = lambda call: 200
    while new.web.open:
        new.web.answer()
    new.turn()
    assert sorted(called(new)) == [(n, 8) for n in range(6)]
    assert new.disk.rows() == []


def test_drop_late_counts_across_a_restart() -> None:
    rig = Rig(with_channel(reports=ReportPolicy(drop_late=True)))
    rig.web.raises = True
    report(rig, 8)
    report(rig, 1)
    new = rig.again()
    new.turn(400, steps=400)
    assert called(new) == [(1, 1)]


def test_what_no_platform_takes_becomes_a_dead_letter_and_comes_back_by_hand() -> None:
    retry = Retry(first=1.0, jitter=0.0, horizon=10.0)
    rig = Rig(config(smsc(), reports=ChannelConfig("", retry=retry)))
    made = report(rig, 1)
    rig.web.auto = lambda call: 500
    rig.web.answer(500)
    rig.turn(30, steps=300)
    assert rig.reports.failed == 1
    (dead,) = rig.disk.rows()
    assert (dead.queue, dead.lane) == (Queue.DEAD, "dlr/https://rp.example")
    rig.web.auto = lambda call: 200
    work, then = rig.reports.revived(dead)
    rig.journal.add(work, lambda ok: then())
    rig.turn(300)  # the platform is still being probed
    assert rig.disk.rows() == []
    assert rig.reports.sent == 1
    assert made.known_as == 0


def test_without_dead_letters_what_is_given_up_is_gone() -> None:
    retry = Retry(times=0, dead_letters=False)
    rig = Rig(config(smsc(), reports=ChannelConfig("", retry=retry)))
    report(rig, 1)
    rig.web.answer(500)
    rig.turn()
    assert rig.disk.rows() == []
    assert rig.reports.failed == 1


def test_a_final_no_of_the_platform_is_not_asked_again() -> None:
    rig = Rig(with_channel(format="rapidpro"))
    report(rig, 1)
    rig.web.answer(400)
    rig.turn(600)
    assert len(rig.web.calls) == 1
    assert len(rig.disk.rows(Queue.DEAD)) == 1


def test_stop_begins_no_more_calls() -> None:
    rig = Rig(config())
    report(rig, 8)
    report(rig, 1)
    rig.reports.stop()
    rig.web.answer()
    rig.turn(60)
    assert len(rig.web.calls) == 1
