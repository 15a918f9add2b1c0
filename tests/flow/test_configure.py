"""Flows that go by another configuration: what they hold stays, and goes by it too."""

from __future__ import annotations

from dataclasses import replace

from gatewayd.config import ChannelConfig, OnUncertain, UserConfig
from gatewayd.config.model import Secret
from gatewayd.flow.outbox import Budget
from gatewayd.flow.quota import Quotas
from gatewayd.model import Segment
from gatewayd.store.contract import Queue, State
from tests.flow.rig import Rig, config, smsc
from tests.flow.test_outbox import Bench


def rules(bench: Bench, *, ordered: bool, parallel: int = 4) -> None:
    bench.box.configure(
        parallel=parallel,
        chain=(lambda thing: thing.chain) if ordered else None,
        spacing=0.0,
        probing=None,
    )
    bench.box.pump()


def test_without_order_what_order_held_back_is_called_at_once() -> None:
    bench = Bench()
    for _ in range(4):
        bench.push("a")
    assert bench.under_way == [1]
    rules(bench, ordered=False)
    assert bench.under_way == [1, 2, 3, 4]
    while bench.open:
        bench.answer()
    assert len(bench.box) == 0


def test_order_begins_with_what_comes_and_holds_back_nothing_for_ever() -> None:
    bench = Bench(chain=None)
    for _ in range(3):
        bench.push("a")
    rules(bench, ordered=True)
    for _ in range(3):
        bench.push("a")
    assert bench.under_way == [1, 2, 3, 4]
    while bench.open:
        bench.answer()
    assert [key for _, key in bench.calls] == [1, 2, 3, 4, 5, 6]
    assert len(bench.box) == 0


def test_fewer_calls_at_once_wait_for_those_under_way() -> None:
    bench = Bench(parallel=3)
    for _ in range(5):
        bench.push()
    rules(bench, ordered=True, parallel=1)
    bench.answer()
    bench.answer()
    assert bench.under_way == [3]
    bench.answer()
    assert bench.under_way == [4]


def test_an_outbox_that_was_stopped_goes_on() -> None:
    bench = Bench(parallel=1)
    bench.push()
    bench.push()
    bench.box.stop()
    bench.answer()
    assert bench.under_way == []
    bench.box.go_on()
    assert bench.under_way == [2]


def test_another_budget_counts_what_is_under_way() -> None:
    budget = Budget(2)
    one = Bench(parallel=9, budget=budget)
    for _ in range(6):
        one.push()
    assert one.under_way == [1, 2]
    budget.resize(4)
    assert one.under_way == [1, 2, 3, 4]
    budget.resize(1)
    for _ in range(3):
        one.answer()
    assert one.under_way == [4]
    one.answer()
    assert one.under_way == [5]


def test_a_quota_that_comes_counts_from_then_on_and_one_that_stays_goes_on() -> None:
    user = UserConfig("u", Secret("p"), max_queued=2)
    quotas = Quotas([user])
    quotas.take([Segment(1, "1", "2", b"", user="u"), Segment(2, "1", "2", b"", user="u")])
    quotas.configure([replace(user, max_queued=3), UserConfig("v", Secret("p"), max_queued=1)])
    assert not quotas.full("u")
    quotas.take([Segment(3, "1", "2", b"", user="u"), Segment(4, "1", "2", b"", user="v")])
    assert quotas.full("u")
    assert quotas.full("v")
    quotas.configure([])
    assert quotas.idle
    assert not quotas.full("u")


def test_from_resubmit_to_hold_and_back_only_what_is_written_is_uncertain() -> None:
    one = smsc(window=2)
    rig = Rig(config(one))
    for n in range(6):
        rig.send(f"m{n}")
    rig.turn()
    lane, port = rig.lanes["a"], rig.ports["a/0"]
    assert len(port.sent) == 2
    hold = replace(one, on_uncertain=OnUncertain.HOLD)
    for policy in (hold, one, hold):
        lane.configure(policy)
        rig.mt.configure(config(policy))
        lane.pump()
        rig.turn()
    written = {segment.id for segment in port.sent}
    marked = {item.key for item in rig.disk.rows(Queue.MT, State.CLAIMED)}
    assert marked == written
    for _ in range(3):  # each submit waits for its mark to be on disk
        rig.take_all()
        rig.turn()
    assert port.texts == [f"m{n}" for n in range(6)]
    assert rig.disk.rows(Queue.MT) == []


def test_an_mo_whose_channel_goes_while_it_is_stored_waits_for_it() -> None:
    rig = Rig(config())
    rig.web.auto = lambda call: 200
    other = config(channels=(ChannelConfig("new", post_url="http://platform.example/new"),))
    rig.calls.configure(other)
    rig.deliver()  # chosen by the services as they were
    rig.turn()
    assert rig.web.calls == []
    assert rig.calls.waiting_for_nobody() == {"web": 1}
    assert [item.lane for item in rig.disk.rows(Queue.MO)] == ["web"]
    rig.calls.configure(rig.config)
    rig.turn()
    assert len(rig.web.calls) == 1
    assert rig.disk.rows(Queue.MO) == []
