"""Repeated requests: one message while the first is alive, over restarts and store failures."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.config import NumberRules
from gatewayd.flow import seen
from gatewayd.model import Acceptance, Order, Outcome, Verdict
from gatewayd.smsc.contract import SubmitFailed
from gatewayd.store.contract import Item, Queue, State, Work
from tests.flow.rig import URL, Rig, config

ONCE = b"0123456789abcdef"
OTHER = b"fedcba9876543210"
LONG = "x" * 200


def rig() -> Rig:
    return Rig(config())


def wanted(**fields: Any) -> dict[str, Any]:
    """A message of its own kind that wants every report."""
    return {"once": ONCE, "dlr_url": URL, "dlr_mask": 31} | fields


def rows(rig: Rig) -> list[Item]:
    return rig.disk.rows(Queue.SEEN)


def test_a_repeated_request_has_the_same_answer_and_sends_nothing() -> None:
    gateway = rig()
    first = gateway.send(once=ONCE)
    assert gateway.send(once=ONCE) == first
    assert first.verdict is Verdict.ACCEPTED
    assert gateway.ports["a/0"].texts == ["hello"]
    assert (gateway.mt.accepted, gateway.mt.seen.repeated) == (1, 1)


def test_a_request_of_another_kind_or_of_none_is_new() -> None:
    gateway = rig()
    for once in (ONCE, OTHER, b"", b""):
        gateway.send(once=once)
    assert len(gateway.ports["a/0"].sent) == 4
    assert len(rows(gateway)) == 2


def test_it_says_queued_again_though_the_link_is_back() -> None:
    gateway = rig()
    gateway.lose("a/0")
    assert gateway.send(once=ONCE).verdict is Verdict.QUEUED
    gateway.bind("a/0")
    assert gateway.send(once=ONCE).verdict is Verdict.QUEUED
    assert len(gateway.ports["a/0"].sent) == 1


def test_submitted_and_delivered_messages_are_not_sent_again() -> None:
    gateway = rig()
    gateway.send(**wanted())
    gateway.take_all()
    gateway.send(**wanted())
    gateway.receipt("id0", 1)
    gateway.turn()
    gateway.send(**wanted())
    assert len(gateway.ports["a/0"].sent) == 1


@pytest.mark.parametrize("status", [2, 34])
def test_a_message_that_was_reported_undeliverable_may_be_sent_again(status: int) -> None:
    gateway = rig()
    gateway.send(**wanted())
    gateway.take_all()
    gateway.receipt("id0", status)
    gateway.turn()
    assert not rows(gateway)
    gateway.send(**wanted())
    assert len(gateway.ports["a/0"].sent) == 2
    gateway.send(**wanted())
    assert len(gateway.ports["a/0"].sent) == 2


def test_a_message_that_the_smsc_rejected_may_be_sent_again() -> None:
    gateway = rig()
    gateway.send(**wanted())
    [segment] = gateway.ports["a/0"].sent
    gateway.events("a/0", SubmitFailed(segment, Outcome.DEAD, "Invalid Dest Addr", 11))
    gateway.turn()
    assert not rows(gateway)
    gateway.send(**wanted())
    assert len(gateway.ports["a/0"].sent) == 2


def test_one_failed_segment_is_a_failed_message() -> None:
    gateway = rig()
    gateway.send(LONG, **wanted())
    gateway.take_all()
    gateway.receipt("id0", 1)
    gateway.receipt("id1", 2)
    gateway.turn()
    gateway.send(LONG, **wanted())
    assert len(gateway.ports["a/0"].sent) == 4


def test_a_rejected_segment_of_several_is_a_failed_message() -> None:
    gateway = rig()
    gateway.send(LONG, **wanted())
    segment = gateway.ports["a/0"].sent[0]
    gateway.events("a/0", SubmitFailed(segment, Outcome.DEAD, "Invalid Dest Addr", 11))
    gateway.turn()
    assert not rows(gateway)


def test_an_order_for_several_is_new_when_all_its_messages_failed() -> None:
    gateway = rig()
    gateway.send(**wanted(receivers=["5511", "5522"]))
    gateway.take_all()
    gateway.receipt("id0", 2)
    gateway.turn()
    gateway.send(**wanted(receivers=["5511", "5522"]))
    assert len(gateway.ports["a/0"].sent) == 2
    again = gateway.again()
    again.receipt("id1", 2)
    again.turn()
    assert not rows(again)
    again.send(**wanted(receivers=["5511", "5522"]))
    assert len(again.ports["a/0"].sent) == 2


def test_a_restart_forgets_nothing() -> None:
    gateway = rig()
    first = gateway.send(**wanted())
    gateway.take_all()
    gateway.turn()
    again = gateway.again()
    assert again.send(**wanted()) == first
    assert not again.ports["a/0"].sent
    again.receipt("id0", 2)
    again.turn()
    again.send(**wanted())
    assert len(again.ports["a/0"].sent) == 1


def test_the_row_is_on_disk_with_the_segments_or_not_at_all() -> None:
    gateway = rig()
    gateway.disk.broken = True
    assert gateway.send(once=ONCE).verdict is Verdict.OVERLOADED
    assert not gateway.disk.rows()
    gateway.disk.broken = False
    assert gateway.send(once=ONCE).verdict is Verdict.ACCEPTED
    assert [row.queue for row in gateway.disk.rows()] == [Queue.MT, Queue.SEEN]
    assert gateway.disk.commits == 1


def test_requests_that_come_while_the_first_is_stored_share_its_outcome() -> None:
    gateway = rig()
    told = [gateway.accept(once=ONCE) for _ in range(3)]
    assert told == [[], [], []]
    gateway.turn()
    assert told[0] == told[1] == told[2]
    assert told[0][0].verdict is Verdict.ACCEPTED
    assert len(gateway.ports["a/0"].sent) == 1


def test_when_the_store_fails_all_who_wait_are_told_and_may_come_again() -> None:
    gateway = rig()
    gateway.disk.broken = True
    told = [gateway.accept(once=ONCE) for _ in range(2)]
    gateway.turn()
    assert [one[0].verdict for one in told] == [Verdict.OVERLOADED] * 2
    gateway.disk.broken = False
    assert gateway.send(once=ONCE).verdict is Verdict.ACCEPTED
    assert len(gateway.ports["a/0"].sent) == 1


def test_only_so_many_wait_for_the_same_outcome() -> None:
    gateway = rig()
    told = [gateway.accept(once=ONCE) for _ in range(seen.WAITERS + 2)]
    assert [one[0].verdict for one in told if one] == [Verdict.OVERLOADED]


def test_a_refused_order_is_not_remembered() -> None:
    gateway = Rig(config(senders=NumberRules(black_list_regex="100")))
    assert gateway.send(once=ONCE).verdict is Verdict.UNROUTABLE
    assert gateway.send(once=ONCE).verdict is Verdict.UNROUTABLE
    assert gateway.mt.seen.repeated == 0
    assert not rows(gateway)


def test_a_fault_in_the_middle_leaves_nobody_waiting() -> None:
    gateway = rig()

    def broken(order: object, reply: object) -> None:
        raise ValueError

    order = Order(user="u", receivers=["1"], source="2", once=ONCE)
    told: list[Acceptance] = []
    with pytest.raises(ValueError, match=r"^$"):
        gateway.mt.seen.admit(order, told.append, broken)
    assert gateway.send(once=ONCE).verdict is Verdict.ACCEPTED
    assert not told


def test_after_a_day_it_is_a_new_request() -> None:
    gateway = rig()
    gateway.send(once=ONCE)
    gateway.clock.advance(seen.KEPT - 10)
    gateway.send(once=OTHER)
    gateway.clock.advance(20)
    gateway.send(once=ONCE)
    assert len(gateway.ports["a/0"].sent) == 3
    gateway.mt.seen.sweep()
    gateway.turn()
    assert len(rows(gateway)) == len(gateway.mt.seen) == 2
    gateway.clock.advance(seen.KEPT)
    gateway.mt.seen.sweep()
    gateway.turn()
    assert not rows(gateway)


def test_a_restart_takes_up_only_what_is_young_and_whole() -> None:
    gateway = rig()
    gateway.send(once=ONCE)
    gateway.clock.advance(seen.KEPT + 1)
    gateway.send(once=OTHER)
    broken = Item(Queue.SEEN, gateway.keys.take(), "", b"{", State.HELD)
    gateway.journal.add(Work(puts=[broken]))
    gateway.turn()
    again = gateway.again()
    assert len(again.mt.seen) == 1
    again.mt.seen.sweep()
    again.turn()
    assert len(rows(again)) == 1


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "MOST", 3)
    gateway = rig()
    for number in range(5):
        gateway.send(once=bytes([number]) * 16)
    gateway.mt.seen.sweep()
    gateway.turn()
    assert len(gateway.mt.seen) == len(rows(gateway)) == 3
    before = gateway.mt.accepted
    gateway.send(once=bytes([4]) * 16)
    assert gateway.mt.accepted == before
    gateway.send(once=bytes([0]) * 16)
    assert gateway.mt.accepted == before + 1


def test_rows_do_not_count_as_waiting_and_are_not_pruned() -> None:
    gateway = rig()
    gateway.send(once=ONCE)
    gateway.take_all()
    gateway.turn()
    [row] = rows(gateway)
    assert row.state == State.HELD
    gateway.disk.store.prune(gateway.keys.take(), 1000)
    assert rows(gateway)
