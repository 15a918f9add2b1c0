"""The way of a DLR: answers and receipts become reports."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import SmppOptions
from gatewayd.flow import dlr
from gatewayd.model import Outcome, Segment
from gatewayd.smsc.contract import SubmitFailed, Submitted
from gatewayd.store.contract import Queue, State
from tests.flow.rig import URL, Disk, Rig, config, file_disk, smsc, with_limits

ALL = 63
FIRST = SmppOptions(receipts_for="first")
LONG = "x" * 400  # three parts


def one(mask: int = ALL, **fields: Any) -> Rig:
    """A message that the SMSC took as id0."""
    rig = Rig(config())
    rig.send(dlr_mask=mask, dlr_url=URL, **fields)
    rig.take_all()
    return rig


def three(mask: int = ALL, smpp: SmppOptions | None = None, disk: Disk | None = None) -> Rig:
    """A message of three parts; nothing is answered yet."""
    rig = Rig(config(smsc(smpp=smpp or SmppOptions())), disk)
    rig.send(LONG, dlr_mask=mask, dlr_url=URL)
    assert len(rig.ports["a/0"].sent) == 3
    return rig


def refuse(rig: Rig, segment: Segment) -> None:
    rig.events("a/0", SubmitFailed(segment, Outcome.DEAD, "0x0000000b/Invalid", 0x0B))


# ---- one segment


@pytest.mark.parametrize("mask", range(64))
def test_each_mask_bit_asks_for_its_report_and_for_no_other(mask: int) -> None:
    rig = one(mask)
    if not mask & 39:  # no receipt is waited for
        rig.turn()
        assert rig.kept() == []
    rig.receipt("id0", 4)
    rig.receipt("id0", 1)
    assert rig.told() == [bit for bit in (8, 4, 1) if mask & bit]
    assert rig.kept() == []


@pytest.mark.parametrize(("status", "bits"), [(1, 1), (2, 2), (4, 4), (34, 2 | 32)])
@pytest.mark.parametrize("mask", [0, 1, 2, 4, 8, 32, 27, 31, 63])
def test_a_receipt_is_told_when_its_bit_is_asked_for(status: int, bits: int, mask: int) -> None:
    rig = one(mask)
    rig.receipt("id0", status)
    assert [each for each in rig.told() if each != 8] == ([status] if mask & bits else [])


@pytest.mark.parametrize("mask", [0, 1, 2, 8, 16, 27])
def test_a_refused_submit_is_told_by_bit_16_or_2(mask: int) -> None:
    rig = Rig(config())
    rig.send(dlr_mask=mask, dlr_url=URL)
    refuse(rig, rig.ports["a/0"].sent[0])
    assert rig.told() == ([16] if mask & 18 else [])
    assert rig.kept() == []


def test_without_a_dlr_url_nothing_is_waited_for() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL)
    rig.take_all()
    rig.turn()
    assert (rig.kept(), rig.dlr.pending, rig.told()) == ([], 0, [])


def test_an_answer_without_an_id_cannot_be_matched_and_is_not_waited_for() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.taken("a/0", rig.ports["a/0"].sent[0], "")
    assert rig.told() == [8]
    assert (rig.kept(), rig.dlr.pending) == ([], 0)


def test_the_id_of_a_submit_answer_is_kept_for_its_receipts() -> None:
    """G6; order of writes, 3."""
    rig = one()
    rig.turn()
    (row,) = rig.disk.rows(Queue.MT)
    assert (row.state, row.name) == (State.SENT, "a/id0")


def test_a_receipt_is_answered_only_when_it_is_kept() -> None:
    """Order of writes, 5."""
    rig = one()
    ticket = rig.receipt("id0")
    assert rig.outcome(ticket) == ""
    rig.turn()
    assert rig.outcome(ticket) == "done"


def test_a_report_tells_what_the_message_was() -> None:
    rig = Rig(config())
    url = "http://p.example/dlr?F=%F&i=%i&p=%p&P=%P&A=%A&n=%n&s=%d"
    rig.send(dlr_mask=ALL, dlr_url=url, source="100", to="5511", user="joe")
    rig.take_all()
    rig.receipt("id0", 1, text="id:id0 stat:DELIVRD")
    assert rig.told() == [8, 1]
    assert rig.web.urls == [
        "http://p.example/dlr?F=id0&i=a&p=5511&P=100&A=ACK%2F&n=joe&s=8",
        "http://p.example/dlr?F=id0&i=a&p=5511&P=100&A=id%3Aid0+stat%3ADELIVRD&n=joe&s=1",
    ]


# ---- receipts that come early, twice, elsewhere


def test_a_receipt_before_its_answer_waits_for_it() -> None:
    """SMPP-044, G7."""
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    ticket = rig.receipt("id0")
    rig.turn()
    assert rig.outcome(ticket) == "done", "it is kept"
    assert rig.dlr.parked == 1
    rig.turn(59)
    rig.take_all()
    assert rig.told() == [8, 1]
    assert (rig.dlr.parked, rig.dlr.unmatched, rig.disk.rows()) == (0, 0, [])


def test_a_receipt_in_the_same_read_as_its_answer_waits_for_nothing() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.take_all()
    rig.receipt("id0")
    assert rig.told() == [8, 1]


def test_two_early_receipts_are_told_in_their_order() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.receipt("id0", 4)
    rig.receipt("id0", 1)
    rig.turn()
    rig.take_all()
    assert rig.told() == [8, 4, 1]


def test_an_early_receipt_that_came_twice_is_told_once() -> None:
    """G7: the SMSC repeats what it sent before we knew the message."""
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    for _ in range(3):
        rig.receipt("id0")
        rig.turn(1)
    rig.take_all()
    assert rig.told() == [8, 1]
    assert (rig.dlr.parked, rig.disk.rows()) == (0, [])


def test_an_early_receipt_survives_a_restart() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.receipt("id0")
    rig.turn()
    assert len(rig.disk.rows(Queue.PARKED)) == 1
    new = rig.again()
    new.take_all()
    assert new.told() == [8, 1]
    assert new.disk.rows() == []


def test_a_receipt_that_matches_nothing_is_given_up_and_counted() -> None:
    rig = Rig(config())
    ticket = rig.receipt("nobody")
    rig.turn(0)
    rig.turn(59)
    assert rig.dlr.sweep() == []
    rig.turn(2)
    assert [parked.receipt.smsc_id for parked in rig.dlr.sweep()] == ["nobody"]
    rig.turn()
    assert rig.outcome(ticket) == "done"
    assert (rig.dlr.unmatched, rig.dlr.parked, rig.disk.rows()) == (1, 0, [])


def test_receipts_are_not_held_where_that_is_switched_off() -> None:
    rig = Rig(with_limits(config(), parked_receipt=0.0))
    ticket = rig.receipt("nobody")
    rig.turn(0)
    assert rig.outcome(ticket) == "done"
    assert (rig.dlr.unmatched, rig.dlr.parked) == (1, 0)


def test_strangers_receipts_fill_a_bounded_room() -> None:
    """1,000 for each bind; then they are counted and answered at once."""
    rig = Rig(config(smsc(binds=2)))
    for n in range(2005):
        rig.receipt(f"s{n}")
    rig.turn()
    assert (rig.dlr.parked, rig.dlr.unmatched) == (2000, 5)
    assert len(rig.heard) == 2005


def test_a_receipt_may_come_on_another_bind_of_the_same_smsc() -> None:
    """SMPP-048 and G7: on a bind that only receives, say."""
    rig = Rig(config(smsc(binds=2)))
    rig.send(dlr_mask=1, dlr_url=URL)
    rig.take_all("a/0")
    rig.receipt("id0", bind="a/1")
    assert rig.told() == [1]


def test_two_entries_of_one_id_share_their_receipts() -> None:
    rig = Rig(config(smsc("tx", id="op"), smsc("rx", id="op")))
    rig.ports["rx/0"].bound = False
    rig.send(dlr_mask=1, dlr_url=URL)
    rig.take_all("tx/0")
    rig.receipt("id0", bind="rx/0")
    assert rig.told() == [1]


def test_a_receipt_of_another_smsc_never_matches() -> None:
    """T13: the same id, from an operator that never got the message."""
    rig = Rig(config(smsc("a", preferred_prefixes=("55",)), smsc("b")))
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.take_all("a/0")
    rig.receipt("id0", 2, bind="b/0")
    assert rig.told() == [8]
    rig.receipt("id0", 1, bind="a/0")
    assert rig.told() == [8, 1]
    new_rig = rig.again()
    new_rig.receipt("id0", 2, bind="b/0")
    assert new_rig.told() == []


def test_a_final_receipt_twice_in_one_turn_is_told_once() -> None:
    rig = one()
    first, second = rig.receipt("id0"), rig.receipt("id0")
    assert rig.told() == [8, 1]
    assert (rig.outcome(first), rig.outcome(second)) == ("done", "done")
    assert rig.dlr.unmatched == 1


def test_a_final_receipt_twice_in_one_turn_after_a_restart_is_told_once() -> None:
    """Both are looked up in the store before either is kept."""
    rig = one()
    rig.turn()
    new = rig.again()
    new.web.calls.clear()
    tickets = [new.receipt("id0"), new.receipt("id0")]
    told = new.told()
    assert told.count(1) == 1
    assert [new.outcome(ticket) for ticket in tickets] == ["done", "done"]


def test_a_receipt_after_the_last_one_is_answered_and_forgotten() -> None:
    rig = one()
    rig.receipt("id0")
    rig.turn(10)
    ticket = rig.receipt("id0")
    rig.turn(120)
    rig.dlr.sweep()
    assert rig.told() == [8, 1]
    assert rig.outcome(ticket) == "done"


def test_an_id_that_the_smsc_gives_a_second_time_belongs_to_the_new_message() -> None:
    rig = one()
    rig.receipt("id0")
    rig.turn()
    rig.send("other", dlr_mask=ALL, dlr_url=URL)
    rig.receipt("id0", 2)  # early, and for the new message as far as anyone can tell
    rig.turn()
    rig.events("a/0", Submitted(rig.ports["a/0"].sent[1], "id0", 0.1))
    rig.receipt("id0", 1)
    assert rig.told().count(1) == 2


def test_a_receipt_that_says_nothing_is_answered() -> None:
    rig = one()
    ticket = rig.receipt("id0", 0)
    assert rig.outcome(ticket) == "done"
    assert rig.told() == [8]


def test_when_the_store_fails_the_smsc_keeps_the_receipt_and_its_repeat_works() -> None:
    """SMPP-031."""
    rig = one()
    rig.turn()
    rig.disk.broken = True
    ticket = rig.receipt("id0")
    rig.turn()
    assert rig.outcome(ticket) == "retry"
    assert rig.told() == [8]
    rig.disk.broken = False
    rig.turn(2)
    again = rig.receipt("id0")
    assert rig.told() == [8, 1]
    assert rig.outcome(again) == "done"
    assert rig.kept() == []


def test_when_the_store_cannot_be_read_the_smsc_keeps_the_receipt() -> None:
    rig = one()
    rig.turn()
    new = rig.again()
    new.disk.blind = True
    ticket = new.receipt("id0")
    new.turn()
    assert new.outcome(ticket) == "retry"
    new.disk.blind = False
    new.receipt("id0")
    assert 1 in new.told()


def test_an_early_receipt_that_could_not_be_kept_is_not_told_twice() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.disk.broken = True
    ticket = rig.receipt("id0")
    rig.turn()
    assert rig.outcome(ticket) == "retry"
    assert rig.dlr.parked == 0
    rig.disk.broken = False
    rig.receipt("id0")
    rig.turn()
    rig.take_all()
    assert rig.told() == [8, 1]


def test_an_early_receipt_is_not_lost_when_the_store_fails_at_the_answer() -> None:
    """It was answered long ago: nobody will send it again."""
    rig = Rig(config())
    rig.send(dlr_mask=ALL, dlr_url=URL)
    rig.receipt("id0")
    rig.turn()
    rig.disk.broken = True
    rig.take_all()
    rig.turn(3)
    assert rig.told() == []
    rig.disk.broken = False
    rig.turn(3)
    assert rig.told() == [8, 1]
    assert rig.disk.rows() == []


def test_what_is_kept_in_memory_is_bounded_and_the_store_knows_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dlr, "PENDING", 5)
    rig = Rig(config(smsc(window=100)))
    for n in range(20):
        rig.send(f"m{n}", dlr_mask=1, dlr_url=URL)
    rig.take_all()
    assert rig.dlr.pending == 5
    rig.turn()
    for n in range(20):
        rig.receipt(f"id{n}")
    assert rig.told() == [1] * 20


def test_a_message_that_went_out_through_another_lane_is_told_with_that_ones_id() -> None:
    """Its row still names the first lane, and the ids differ in length."""
    rig = Rig(config(smsc("a", id="operator-a", preferred_prefixes=("55",)), smsc("b", id="b")))
    rig.ports["a/0"].bound = False
    rig.ports["b/0"].bound = False
    rig.send(dlr_mask=1, dlr_url="http://p.example/dlr?F=%F&i=%i&s=%d")
    rig.ports["b/0"].bound = True
    rig.mt.reroute("a")
    rig.turn(0)
    rig.take_all("b/0")
    rig.turn()
    new = rig.again()
    new.receipt("id0", bind="b/0")
    new.turn()
    assert new.web.urls == ["http://p.example/dlr?F=id0&i=b&s=1"]


# ---- several segments


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_long_message_is_told_once_accepted_and_once_delivered(order: tuple[int, ...]) -> None:
    rig = three()
    sent = list(rig.ports["a/0"].sent)
    for place in order:
        assert rig.told() == []
        rig.taken("a/0", sent[place], f"id{place}")
    assert rig.told() == [8]
    for place in reversed(order):
        assert 1 not in rig.told()
        rig.receipt(f"id{place}", 4)
        rig.receipt(f"id{place}", 1)
        rig.turn()
        assert rig.told().count(4) == 1
    assert rig.told() == [8, 4, 1]
    assert (rig.disk.rows(), rig.dlr.pending, rig.dlr._folds) == ([], 0, {})


@pytest.mark.parametrize("failed", range(3))
@pytest.mark.parametrize("status", [2, 34])
def test_the_first_failure_closes_a_long_message(failed: int, status: int) -> None:
    rig = three()
    rig.take_all()
    rig.receipt(f"id{failed}", status)
    for place in range(3):
        rig.receipt(f"id{place}", 1 if place != failed else status)
    assert rig.told() == [8, status]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


@pytest.mark.parametrize("failed", range(3))
def test_a_refused_part_closes_a_long_message_whose_other_parts_go_on(failed: int) -> None:
    rig = three()
    sent = list(rig.ports["a/0"].sent)
    for place in range(3):
        if place == failed:
            refuse(rig, sent[place])
        else:
            rig.taken("a/0", sent[place], f"id{place}")
    for place in range(3):
        rig.receipt(f"id{place}", 2)
    assert rig.told() == [16]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


def test_a_long_message_whose_parts_are_all_refused_is_told_once() -> None:
    rig = three()
    for segment in list(rig.ports["a/0"].sent):
        refuse(rig, segment)
    assert rig.told() == [16]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


@pytest.mark.parametrize("mask", [0, 1, 2, 4, 8, 16, 31])
def test_the_mask_of_a_long_message_counts_once(mask: int) -> None:
    rig = three(mask)
    rig.take_all()
    rig.turn()
    for place in range(3):
        rig.receipt(f"id{place}", 1)
    assert rig.told() == [bit for bit in (8, 1) if mask & bit]
    rig.turn()
    assert (rig.kept(), rig.dlr._folds) == ([], {})


def test_only_the_first_parts_receipt_counts_where_only_that_was_asked_for() -> None:
    """Kannel's way: 8 once with the first part's id, then what the first part's receipt says."""
    rig = three(smpp=FIRST)
    rig.take_all()
    rig.turn()
    assert len(rig.kept()) == 1
    for place in (2, 1, 0):
        rig.receipt(f"id{place}", 1)
    assert rig.told() == [8, 1]
    assert (rig.kept(), rig.dlr._folds, rig.dlr.pending) == ([], {}, 0)


def test_a_refused_part_is_told_without_a_number_where_only_the_first_counts() -> None:
    rig = Rig(config(smsc(smpp=FIRST)))
    rig.send(LONG, dlr_mask=ALL, dlr_url="http://p.example/dlr?A=%A&s=%d")
    sent = list(rig.ports["a/0"].sent)
    rig.taken("a/0", sent[0], "id0")
    refuse(rig, sent[1])
    rig.taken("a/0", sent[2], "id2")
    rig.receipt("id0", 1)
    rig.turn()
    assert rig.web.urls == ["http://p.example/dlr?A=NACK%2F&s=16"]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


def test_the_first_parts_receipt_may_come_before_the_last_answer() -> None:
    rig = three(smpp=FIRST)
    sent = list(rig.ports["a/0"].sent)
    rig.taken("a/0", sent[0], "id0")
    rig.receipt("id0", 1)
    rig.taken("a/0", sent[1], "id1")
    rig.taken("a/0", sent[2], "id2")
    assert rig.told() == [1, 8]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_parked_receipts_of_parts_find_their_parts(order: tuple[int, ...]) -> None:
    rig = three()
    for place in order:
        rig.receipt(f"id{place}", 1)
        rig.receipt(f"id{place}", 1)
    rig.turn()
    rig.take_all()
    assert rig.told() == [8, 1]
    assert rig.disk.rows() == []


def test_one_receipt_twice_does_not_deliver_a_long_message() -> None:
    rig = three()
    rig.take_all()
    for _ in range(3):
        rig.receipt("id0", 1)
    assert rig.told() == [8]


def test_when_the_store_fails_at_a_parts_receipt_its_repeat_works() -> None:
    for status in (1, 2, 4):
        rig = three()
        rig.take_all()
        rig.turn()
        for place in (1, 2):
            if status == 1:
                rig.receipt(f"id{place}", 1)
        rig.turn()
        rig.disk.broken = True
        ticket = rig.receipt("id0", status)
        rig.turn()
        assert rig.outcome(ticket) == "retry"
        rig.disk.broken = False
        rig.turn(2)
        rig.receipt("id0", status)
        assert rig.told() == [8, status]


def test_when_the_store_fails_at_a_failure_while_parts_are_under_way_its_repeat_works() -> None:
    rig = three()
    sent = list(rig.ports["a/0"].sent)
    rig.taken("a/0", sent[0], "id0")
    rig.turn()
    rig.disk.broken = True
    ticket = rig.receipt("id0", 2)
    rig.turn()
    assert rig.outcome(ticket) == "retry"
    rig.disk.broken = False
    rig.turn(2)
    rig.receipt("id0", 2)
    rig.turn()
    rig.taken("a/0", sent[1], "id1")
    rig.taken("a/0", sent[2], "id2")
    rig.receipt("id1", 2)
    assert rig.told() == [2]
    assert (rig.kept(), rig.dlr._folds) == ([], {})


# ---- restarts


@pytest.mark.parametrize("answered", range(4))
@pytest.mark.parametrize("received", range(4))
def test_a_restart_in_the_middle_of_a_long_message_loses_and_doubles_nothing(
    answered: int, received: int
) -> None:
    """G25: `answered` parts were taken and `received` of those delivered before the crash."""
    if received > answered:
        return
    rig = three(mask=31)
    sent = list(rig.ports["a/0"].sent)
    for place in range(answered):
        rig.taken("a/0", sent[place], f"id{place}")
    for place in range(received):
        rig.receipt(f"id{place}", 1)
    before = rig.told()
    new = rig.again()
    resent = list(new.ports["a/0"].sent)
    assert [segment.index for segment in resent] == list(range(answered, 3))
    assert [s.udh for s in resent] == [s.udh for s in sent[answered:]], "the same reference"
    for segment in resent:
        new.taken("a/0", segment, f"id{segment.index}")
    for place in range(received, 3):
        new.receipt(f"id{place}", 1)
    assert before + new.told() == [8, 1]
    assert (new.disk.rows(), new.dlr._folds) == ([], {})


def test_a_receipt_before_the_last_part_was_sent_again_does_not_cost_the_8() -> None:
    rig = three()
    sent = list(rig.ports["a/0"].sent)
    rig.taken("a/0", sent[0], "id0")
    rig.taken("a/0", sent[1], "id1")
    rig.turn()
    new = rig.again()
    new.receipt("id0", 1)
    new.turn()
    new.taken("a/0", new.ports["a/0"].sent[0], "id2")
    new.receipt("id1", 1)
    new.receipt("id2", 1)
    assert new.told() == [8, 1]


def test_a_failure_after_a_restart_is_told_once_though_parts_still_wait() -> None:
    rig = three()
    rig.taken("a/0", rig.ports["a/0"].sent[0], "id0")
    rig.turn()
    new = rig.again()
    new.receipt("id0", 2)
    new.turn()
    for segment in list(new.ports["a/0"].sent):
        new.taken("a/0", segment, f"id{segment.index}")
    for place in (1, 2):
        new.receipt(f"id{place}", 2)
    assert new.told() == [2]
    assert (new.kept(), new.dlr._folds) == ([], {})


def test_a_refusal_before_a_restart_stays_the_last_word(tmp_path: Path) -> None:
    rig = three(disk=file_disk(tmp_path))
    sent = list(rig.ports["a/0"].sent)
    refuse(rig, sent[0])
    assert rig.told() == [16]
    new = rig.again()
    for segment in list(new.ports["a/0"].sent):
        refuse(new, segment)
    assert new.told() == []
    assert new.disk.rows() == []


def test_two_receipts_of_one_part_before_the_message_was_read_again_are_one() -> None:
    rig = three()
    rig.take_all()
    rig.turn()
    new = rig.again()
    new.web.calls.clear()
    for status in (2, 2):
        new.receipt("id1", status)
    new.turn()
    assert new.told().count(2) == 1


def test_messages_beyond_what_memory_keeps_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dlr, "FOLDS", 3)
    rig = Rig(config(smsc(window=100)))
    for _ in range(10):
        rig.send(LONG, dlr_mask=ALL, dlr_url=URL)
        assert len(rig.dlr._folds) <= 3
    rig.take_all()
    rig.turn()
    for place in range(30):
        rig.receipt(f"id{place}", 1)
        rig.turn()
        assert len(rig.dlr._folds) <= 3
    assert sorted(rig.told()) == [1] * 10 + [8] * 10
    assert rig.kept() == []


def test_forget_waits_for_no_receipt_any_more() -> None:
    rig = three()
    rig.take_all()
    rig.dlr.forget()
    assert rig.dlr.pending == 0


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "deliver", "again", "turn"]), st.integers(0, 2)),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_whatever_the_order_a_delivered_long_message_is_told_8_and_1_once_each(
    steps: list[tuple[str, int]],
) -> None:
    rig = three()
    told: list[int] = []
    for what, place in steps:
        if what == "take":
            for segment in list(rig.ports["a/0"].waiting):
                if segment.index == place:
                    rig.taken("a/0", segment, f"id{place}")
        elif what == "deliver":
            rig.receipt(f"id{place}", 1)
            rig.turn()
        elif what == "again":
            told += rig.told()
            rig = rig.again()
        else:
            rig.turn()
    for segment in list(rig.ports["a/0"].waiting):
        rig.taken("a/0", segment, f"id{segment.index}")
    rig.turn()
    for place in range(3):
        rig.receipt(f"id{place}", 1)
        rig.turn()
    told += rig.told()
    assert sorted(told) == [1, 8]
    assert rig.kept() == []
