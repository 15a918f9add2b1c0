"""The way of an MO: parts joined, kept before the SMSC is answered, told once."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import ChannelConfig, NumberRules, StoreConfig
from gatewayd.flow.mo import decode
from gatewayd.model import Mo
from gatewayd.store.contract import Queue
from tests.flow.rig import Rig, config, file_disk, smsc, with_limits

Reference = dict[str, Any]


def part(form: str, number: int, total: int = 3, reference: int = 7) -> Reference:
    """What makes an MO a part, by header with 8 or 16 bits or by SAR TLVs."""
    if form == "8":
        return {"udh": bytes((5, 0, 3, reference, total, number))}
    if form == "16":
        return {"udh": bytes((6, 8, 4, 0, reference, total, number))}
    return {"sar": (reference, total, number)}


def deliver(rig: Rig, number: int, form: str = "8", **fields: Any) -> int:
    place = {key: fields.pop(key) for key in ("total", "reference") if key in fields}
    fields.setdefault("payload", f"<{number}>".encode())
    return rig.deliver(**(part(form, number, **place) | fields))


def told(rig: Rig) -> list[str]:
    """The texts that the platform was told; each call is answered 200."""
    rig.turn()
    while rig.web.open:
        rig.web.answer()
        rig.turn()
    return [call.body.decode() for call in rig.web.calls]


def kept(rig: Rig) -> list[Mo]:
    return [decode(row.body) for row in rig.disk.rows(Queue.MO)]


def test_an_mo_is_answered_only_when_it_is_on_disk() -> None:
    """SMPP-030; order of writes, 5."""
    rig = Rig(config())
    ticket = rig.deliver()
    assert rig.outcome(ticket) == ""
    rig.turn(0)
    assert rig.outcome(ticket) == "done"
    assert len(rig.disk.rows(Queue.MO)) == 1


def test_a_crash_after_the_answer_loses_nothing() -> None:
    """G9."""
    rig = Rig(config())
    rig.deliver(payload=b"kept")
    rig.turn(0)
    assert told(rig.again()) == ["kept"]


def test_when_the_store_fails_the_smsc_keeps_the_mo_and_its_repeat_works() -> None:
    """SMPP-031."""
    rig = Rig(config())
    rig.disk.broken = True
    ticket = rig.deliver()
    rig.turn()
    assert rig.outcome(ticket) == "retry"
    assert rig.web.calls == []
    rig.disk.broken = False
    again = rig.deliver()
    rig.turn()
    assert rig.outcome(again) == "done"
    assert told(rig) == ["hello"]


@pytest.mark.parametrize("form", ["8", "16", "sar"])
@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_parts_are_joined_in_whatever_order_they_come(order: tuple[int, ...], form: str) -> None:
    """SMPP-035."""
    rig = Rig(config())
    tickets = [deliver(rig, number, form) for number in order]
    rig.turn()
    assert [rig.outcome(ticket) for ticket in tickets] == ["done"] * 3
    assert told(rig) == ["<1><2><3>"]
    assert (rig.mo.joined, rig.mo.parts_waiting, rig.disk.rows()) == (1, 0, [])


@pytest.mark.parametrize("total", [0, 1])
def test_a_part_of_one_is_whole(total: int) -> None:
    rig = Rig(config())
    deliver(rig, 1, total=total)
    assert told(rig) == ["<1>"]


def test_parts_of_different_messages_are_kept_apart() -> None:
    rig = Rig(config(smsc("a"), smsc("b")))
    differences: list[dict[str, Any]] = [
        {},
        {"source": "+other"},
        {"destination": "other"},
        {"reference": 8},
        {"bind": "b/0"},
    ]
    for number in (1, 2):
        for n, fields in enumerate(differences):
            deliver(rig, number, total=2, payload=f"{n}{number}".encode(), **fields)
    assert sorted(told(rig)) == ["0102", "1112", "2122", "3132", "4142"]


def test_a_repeated_part_is_answered_and_changes_nothing() -> None:
    rig = Rig(config())
    deliver(rig, 1)
    rig.turn()
    again = deliver(rig, 1)
    rig.turn()
    assert rig.outcome(again) == "done"
    assert rig.mo.parts_waiting == 1
    deliver(rig, 2)
    deliver(rig, 2)
    deliver(rig, 3)
    assert told(rig) == ["<1><2><3>"]


def test_a_part_with_another_text_begins_another_message_and_loses_neither() -> None:
    """The phone used its reference again, before or while the first message came."""
    rig = Rig(config())
    for number, text in ((1, b"old1"), (3, b"old3"), (1, b"new1"), (2, b"new2"), (3, b"new3")):
        assert deliver(rig, number, payload=text)
        rig.turn()
    assert told(rig) == ["old1", "old3", "new1new2new3"]
    assert (rig.mo.incomplete, rig.mo.parts_waiting, rig.disk.rows()) == (1, 0, [])


def test_a_part_of_another_message_waits_while_the_first_is_joined() -> None:
    rig = Rig(config())
    deliver(rig, 1, total=2)
    deliver(rig, 2, total=2)
    early = deliver(rig, 1, total=2, payload=b"other")
    assert rig.outcome(early) == "throttled"
    assert told(rig) == ["<1><2>"]
    deliver(rig, 1, total=2, payload=b"other")
    deliver(rig, 2, total=2, payload=b"whole")
    assert told(rig) == ["<1><2>", "otherwhole"]


def test_a_repeat_of_the_last_part_while_the_message_is_being_kept_changes_nothing() -> None:
    rig = Rig(config())
    tickets = [deliver(rig, number, total=2) for number in (1, 2, 2, 1)]
    assert told(rig) == ["<1><2>"]
    assert [rig.outcome(ticket) for ticket in tickets] == ["done"] * 4
    assert (rig.mo.parts_waiting, rig.disk.rows()) == (0, [])


def test_the_rest_of_the_header_stays_with_the_message() -> None:
    rig = Rig(config())
    rest = bytes((5, 4, 0x0B, 0x84, 0x23, 0xF0))
    for number in (1, 2):
        udh = bytes((11, 0, 3, 9, 2, number)) + rest
        deliver(rig, number, payload=b"x", udh=udh)
    rig.turn()
    (mo,) = kept(rig)
    assert mo.udh == bytes((6,)) + rest


def test_parts_survive_a_restart(tmp_path: Path) -> None:
    rig = Rig(config(), file_disk(tmp_path))
    deliver(rig, 3)
    deliver(rig, 1)
    rig.turn()
    assert len(rig.disk.rows(Queue.PART)) == 2
    new = rig.again()
    assert new.mo.parts_waiting == 2
    deliver(new, 2)
    assert told(new) == ["<1><2><3>"]
    assert new.disk.rows() == []


def test_a_part_that_could_not_be_kept_stays_the_smscs_and_its_repeat_completes() -> None:
    rig = Rig(config())
    deliver(rig, 1)
    rig.turn()
    rig.disk.broken = True
    ticket = deliver(rig, 2)
    rig.turn()
    assert (rig.outcome(ticket), rig.mo.parts_waiting) == ("retry", 1)
    rig.disk.broken = False
    deliver(rig, 2)
    deliver(rig, 3)
    assert told(rig) == ["<1><2><3>"]


def test_the_last_part_that_could_not_be_kept_does_not_lose_the_others() -> None:
    rig = Rig(config())
    deliver(rig, 1)
    deliver(rig, 2)
    rig.turn()
    rig.disk.broken = True
    ticket = deliver(rig, 3)
    rig.turn()
    assert (rig.outcome(ticket), rig.mo.parts_waiting) == ("retry", 2)
    rig.disk.broken = False
    deliver(rig, 3)
    assert told(rig) == ["<1><2><3>"]
    assert (rig.mo.joined, rig.disk.rows()) == (1, [])


def test_the_first_part_that_could_not_be_kept_leaves_nothing_behind() -> None:
    rig = Rig(config())
    rig.disk.broken = True
    deliver(rig, 1)
    rig.turn()
    assert (rig.mo.parts_waiting, rig.mo._sets) == (0, {})


def test_after_its_time_what_came_is_handed_on_each_part_by_itself() -> None:
    rig = Rig(config())
    deliver(rig, 3)
    rig.turn(1000)
    deliver(rig, 1)
    rig.turn(2500)
    assert rig.mo.sweep() == 0
    rig.turn(101)
    assert rig.mo.sweep() == 1
    rig.turn()
    assert [mo.missing for mo in kept(rig)] == [1, 1]
    assert told(rig) == ["<1>", "<3>"]
    assert (rig.mo.incomplete, rig.mo.parts_waiting, rig.disk.rows()) == (1, 0, [])


def test_what_timed_out_is_not_lost_while_the_store_fails() -> None:
    rig = Rig(config())
    deliver(rig, 1)
    rig.turn(3601)
    rig.disk.broken = True
    assert rig.mo.sweep() == 1
    rig.turn(5)
    assert rig.web.calls == []
    rig.disk.broken = False
    rig.turn(2)
    assert told(rig) == ["<1>"]
    assert rig.disk.rows() == []


def test_a_message_that_is_complete_is_not_swept_while_it_is_being_kept() -> None:
    rig = Rig(config())
    deliver(rig, 1, total=2)
    rig.turn(3601)
    deliver(rig, 2, total=2)
    assert rig.mo.sweep() == 0
    assert told(rig) == ["<1><2>"]


def test_the_time_of_a_part_counts_on_over_a_restart() -> None:
    rig = Rig(config())
    deliver(rig, 1)
    rig.turn(3000)
    new = rig.again()
    new.turn(601)
    assert new.mo.sweep() == 1


def test_strangers_parts_fill_a_bounded_room_and_known_messages_go_on() -> None:
    rig = Rig(with_limits(config(), parts_waiting=5))
    for reference in range(5):
        deliver(rig, 1, total=2, reference=reference)
    refused = deliver(rig, 1, total=2, reference=99)
    assert rig.outcome(refused) == "throttled"
    last = deliver(rig, 2, total=2, reference=3)
    rig.turn()
    assert rig.outcome(last) == "done"
    assert told(rig) == ["<1><2>"]
    assert rig.mo.refused == 1


def test_parts_are_left_alone_where_joining_is_switched_off() -> None:
    rig = Rig(with_limits(config(), join_parts=False))
    deliver(rig, 1)
    rig.turn()
    (mo,) = kept(rig)
    assert mo.udh == part("8", 1)["udh"]


@pytest.mark.parametrize(
    "udh", [b"\x05\x00\x03\x07\x02\x00", b"\x05\x00\x03\x07\x02\x03", b"\x05\x00\x03\x07\x00\x00"]
)
def test_nonsense_in_a_header_makes_a_whole_message(udh: bytes) -> None:
    rig = Rig(config())
    rig.deliver(udh=udh)
    assert told(rig) == ["hello"]


def test_too_much_waiting_is_told_to_the_smsc() -> None:
    """G19: the SMSC keeps it; nothing is dropped."""
    rig = Rig(with_limits(config(), queued_mo=3))
    tickets = []
    for _ in range(5):
        tickets.append(rig.deliver())
        rig.turn()
    assert [rig.outcome(ticket) for ticket in tickets] == ["done"] * 3 + ["throttled"] * 2
    rig.web.answer()
    again = rig.deliver()
    rig.turn()
    assert rig.outcome(again) == "done"


def test_a_barred_sender_is_refused_for_good() -> None:
    rig = Rig(config(senders=NumberRules(black_list_regex="666")))
    ticket = rig.deliver(source="+666")
    assert rig.outcome(ticket) == "dead"
    assert rig.mo.refused == 1


def test_senders_are_unified_for_routing_and_for_joining() -> None:
    rig = Rig(config(unified_prefix="+55,0055,0"))
    deliver(rig, 1, total=2, source="00551")
    deliver(rig, 2, total=2, source="01")
    rig.turn()
    (mo,) = kept(rig)
    assert (mo.source, mo.payload) == ("+551", b"<1><2>")


def test_the_keyword_of_a_long_message_is_looked_for_in_the_whole() -> None:
    keyword = ChannelConfig("k", post_url="http://k.example/", keyword="<1>", catch_all=True)
    other = ChannelConfig("d", post_url="http://d.example/", default=True)
    rig = Rig(config(smsc(), channels=(keyword, other)))
    for number in (2, 1, 3):
        deliver(rig, number)
    rig.turn()
    assert [mo.channel for mo in kept(rig)] == ["k"]


def test_what_the_smsc_told_of_the_mo_is_kept() -> None:
    rig = Rig(config(smsc("a", id="op")))
    rig.deliver(
        dcs=8,
        mclass=1,
        mwi=2,
        pid=3,
        binfo="b",
        account="acc",
        meta="?x?",
        foreign_id="f",
        coding=2,
    )
    rig.turn()
    (mo,) = kept(rig)
    assert (mo.smsc, mo.dcs, mo.mclass, mo.mwi, mo.pid) == ("op", 8, 1, 2, 3)
    assert (mo.binfo, mo.account, mo.meta, mo.foreign_id) == ("b", "acc", "?x?", "f")
    assert mo.time == pytest.approx(rig.wall(), abs=1)


def test_more_than_memory_holds_comes_out_in_order() -> None:
    web = ChannelConfig("web", post_url="http://platform.example/mo", parallel=1)
    rig = Rig(config(smsc(), channels=(web,), store=StoreConfig(memory_items=3)))
    for n in range(12):
        rig.deliver(payload=str(n).encode(), source=f"+{n}")
    rig.turn()
    assert told(rig) == [str(n) for n in range(12)]
    assert rig.disk.rows() == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["part", "part", "part", "again", "fail", "mend"]), st.integers(1, 4)
        ),
        max_size=40,
    ),
    st.sampled_from(["8", "16", "sar"]),
)
def test_whatever_comes_in_whatever_order_the_message_is_told_whole_and_once(
    steps: list[tuple[str, int]], form: str
) -> None:
    """The SMSC repeats a part until it hears DONE, and sometimes after; never after all are."""
    rig = Rig(config())
    done: set[int] = set()
    texts: list[str] = []

    def send(number: int) -> None:
        ticket = deliver(rig, number, form, total=4)
        rig.turn(2)
        if rig.outcome(ticket) == "done":
            done.add(number)

    for what, number in steps:
        if what == "part" and len(done | {number}) < 4:
            send(number)
        elif what == "again":
            rig = rig.again()
        else:
            rig.disk.broken = what == "fail"
    rig.disk.broken = False
    rig.turn(2)
    for number in sorted({1, 2, 3, 4} - done):
        send(number)
    texts += told(rig)
    assert texts == ["<1><2><3><4>"]
    assert (rig.disk.rows(), rig.mo.parts_waiting) == ([], 0)
