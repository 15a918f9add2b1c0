"""The way of an MT: what an order becomes, and what the SMSC's answers make of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import Limits, NumberRules, OnUncertain, Retry, SmppOptions
from gatewayd.flow.mt import decode
from gatewayd.model import Order, Outcome, Segment, TextOptions, Verdict
from gatewayd.smsc.contract import SubmitFailed, Unanswered
from gatewayd.store.contract import Queue, State
from tests.flow.rig import URL, Rig, config, smsc, with_limits

RESEND = Retry(first=5.0, factor=2.0, cap=600.0, jitter=0.0, times=2, horizon=3600.0)


def sent(rig: Rig, bind: str = "a/0") -> list[Segment]:
    return rig.ports[bind].sent


def refused(segment: Segment, outcome: Outcome = Outcome.RETRY, status: int = 8) -> SubmitFailed:
    return SubmitFailed(segment, outcome, f"0x{status:08x}/Some Error", status)


# ---- coding


@pytest.mark.parametrize(
    ("text", "coding", "payloads"),
    [
        ("hello", 0, [b"hello"]),
        ("£5 [x]", 0, [b"\x015 \x1b<x\x1b>"]),
        ("olá ☺", 2, ["olá ☺".encode("utf-16-be")]),
        ("x" * 160, 0, [b"x" * 160]),
        ("x" * 161, 0, [b"x" * 153, b"x" * 8]),
        ("é" * 160, 0, [b"\x05" * 160]),
        ("☺" * 70, 2, [("☺" * 70).encode("utf-16-be")]),
        ("☺" * 71, 2, [("☺" * 67).encode("utf-16-be"), ("☺" * 4).encode("utf-16-be")]),
        ("", 0, [b""]),
    ],
)
def test_a_text_goes_out_in_the_smallest_alphabet_that_holds_it(
    text: str, coding: int, payloads: list[bytes]
) -> None:
    rig = Rig(config())
    accepted = rig.send(text)
    assert [(s.coding, s.payload) for s in sent(rig)] == [(coding, p) for p in payloads]
    assert accepted.segments == len(payloads)


def test_octets_and_ucs2_go_out_as_they_came() -> None:
    rig = Rig(config())
    rig.send("", coding=1, data=b"\x00\x01\xff")
    rig.send("", coding=2, data=b"\x26\x3a")
    assert [(s.coding, s.payload) for s in sent(rig)] == [(1, b"\x00\x01\xff"), (2, b"\x26\x3a")]


def test_the_callers_own_header_comes_first() -> None:
    rig = Rig(config())
    rig.send("", coding=1, data=b"x" * 10, udh=b"\x06\x05\x04\x0b\x84\x23\xf0")
    assert sent(rig)[0].udh == b"\x06\x05\x04\x0b\x84\x23\xf0"


def test_what_gsm_lacks_may_be_replaced_instead_and_is_counted() -> None:
    rig = Rig(config())
    rig.send("a☺", options=TextOptions(not_gsm="replace"))
    assert [(s.coding, s.payload) for s in sent(rig)] == [(0, b"a?")]
    assert rig.mt.lossy == 1


def test_a_text_beyond_its_limit_is_refused_or_cut_and_counted() -> None:
    rig = Rig(config())
    assert rig.send("x" * 161, options=TextOptions(max_messages=1)).verdict is Verdict.TOO_LONG
    cut = rig.send("x" * 161, options=TextOptions(max_messages=1, too_long="cut"))
    assert (cut.verdict, cut.segments, rig.mt.cut) == (Verdict.ACCEPTED, 1, 1)
    assert sent(rig)[0].payload == b"x" * 160
    none = rig.send("x", options=TextOptions(max_messages=0))
    assert (none.verdict, none.segments) == (Verdict.ACCEPTED, 0)
    assert len(sent(rig)) == 1


def test_header_and_footer_are_put_around_the_text() -> None:
    rig = Rig(config())
    rig.send("mid", options=TextOptions(header="<", footer=">"))
    assert sent(rig)[0].payload == b"<mid>"


@pytest.mark.parametrize("wide", [False, True])
def test_the_parts_of_a_message_share_a_reference_that_no_neighbour_has(wide: bool) -> None:
    """SMPP-037: same reference, order, size."""
    smpp = SmppOptions(concatenation="udh16" if wide else "udh8")
    rig = Rig(config(smsc(smpp=smpp, window=1000)))
    for _ in range(100):
        rig.send("x" * 400)
    messages = [sent(rig)[n : n + 3] for n in range(0, 300, 3)]
    references = []
    for parts in messages:
        heads = {part.udh[:-1] for part in parts}
        assert len(heads) == 1
        assert [part.udh[-1] for part in parts] == [1, 2, 3]
        assert [part.index for part in parts] == [0, 1, 2]
        assert [part.id for part in parts] == [parts[0].message + n for n in range(3)]
        references.append(heads.pop()[3:-1])
    assert len(set(references)) == 100
    assert {len(reference) for reference in references} == {2 if wide else 1}


def test_references_go_round_without_leaving_their_octet() -> None:
    rig = Rig(config(smsc(window=2000)))
    for _ in range(300):
        rig.send("x" * 161)
    assert {len(segment.udh) for segment in sent(rig)} == {6}


# ---- verdicts


def test_accepted_is_said_only_when_the_message_is_on_disk() -> None:
    rig = Rig(config())
    told = rig.accept()
    assert told == []
    assert rig.disk.rows() == []
    rig.turn(0)
    assert told[0].verdict is Verdict.ACCEPTED
    (row,) = rig.disk.rows()
    assert (row.key, row.lane, row.state) == (told[0].message, "a", State.CLAIMED)


def test_all_parts_of_a_message_become_durable_together() -> None:
    """Order of writes, 1: one transaction for all parts and all receivers."""
    rig = Rig(config(smsc(window=100)))
    before = rig.disk.commits
    rig.send("x" * 1000, receivers=["1", "2", "3"])
    assert rig.disk.commits == before + 1
    assert len(rig.disk.rows()) == 21


def test_without_a_bind_it_is_queued_and_without_a_living_lane_unroutable() -> None:
    rig = Rig(config())
    rig.ports["a/0"].bound = False
    assert rig.send().verdict is Verdict.QUEUED
    rig.ports["a/0"].dead = True
    assert rig.send().verdict is Verdict.UNROUTABLE
    assert rig.mt.unroutable == 1


def test_a_failing_store_is_overload_and_keeps_nothing() -> None:
    rig = Rig(config())
    rig.disk.broken = True
    assert rig.send().verdict is Verdict.OVERLOADED
    rig.disk.broken = False
    rig.turn(60)
    assert (rig.disk.rows(), sent(rig), rig.mt.accepted) == ([], [], 0)


def test_too_much_waiting_is_overload_and_the_next_one_goes_when_there_is_room() -> None:
    """G19."""
    rig = Rig(config(limits=Limits(queued_mt=5)))
    rig.ports["a/0"].bound = False
    verdicts = [rig.send(f"m{n}").verdict for n in range(7)]
    assert verdicts == [Verdict.QUEUED] * 5 + [Verdict.OVERLOADED] * 2
    rig.bind("a/0")
    assert rig.send().verdict is Verdict.ACCEPTED
    assert rig.mt.overloaded == 2


def test_several_receivers_are_messages_of_their_own() -> None:
    rig = Rig(config())
    accepted = rig.send("x" * 161, receivers=["1", "2"])
    assert [(s.destination, s.index) for s in sent(rig)] == [("1", 0), ("1", 1), ("2", 0), ("2", 1)]
    assert len({s.message for s in sent(rig)}) == 2
    assert accepted.message == sent(rig)[0].message
    assert accepted.segments == 2
    assert (rig.mt.accepted, rig.mt.segments) == (2, 4)


def test_a_receiver_that_nobody_takes_does_not_cost_the_others() -> None:
    rig = Rig(config(smsc(allowed_prefixes=("55",))))
    accepted = rig.send(receivers=["44", "55", "33"], dlr_mask=16, dlr_url=URL)
    assert accepted.verdict is Verdict.ACCEPTED
    assert [s.destination for s in sent(rig)] == ["55"]
    assert rig.mt.unroutable == 2
    assert rig.told() == [16, 16]


def test_an_unroutable_message_is_reported_if_that_was_asked_for() -> None:
    rig = Rig(config(smsc(allowed_prefixes=("55",))))
    assert rig.send(to="44", dlr_mask=16, dlr_url=URL).verdict is Verdict.UNROUTABLE
    assert rig.send(to="44", dlr_mask=9, dlr_url=URL).verdict is Verdict.UNROUTABLE
    assert rig.told() == [16]
    assert rig.kept() == []


def test_barred_numbers_are_unroutable() -> None:
    rules = NumberRules(denied_prefixes=("66",))
    rig = Rig(config(receivers=rules, senders=NumberRules(black_list_regex="^bad$")))
    assert rig.send(to="661").verdict is Verdict.UNROUTABLE
    assert rig.send(to="551", source="bad").verdict is Verdict.UNROUTABLE
    assert rig.send(to="551").verdict is Verdict.ACCEPTED


def test_numbers_are_unified_before_they_are_routed_and_once_more_for_the_link() -> None:
    rig = Rig(
        config(smsc(allowed_prefixes=("+55",), unified_prefix="0,+55"), unified_prefix="+,00")
    )
    assert rig.send(to="005511").verdict is Verdict.ACCEPTED
    assert sent(rig)[0].destination == "011"


def test_what_hears_the_verdict_may_break_and_the_message_still_goes() -> None:
    rig = Rig(config())

    def broken(acceptance: object) -> None:
        raise ConnectionError("the caller went")

    rig.mt.accept(Order(user="u", receivers=["1"], source="2", text="x"), broken)
    rig.turn(0)
    assert len(sent(rig)) == 1


def test_every_field_of_an_order_reaches_the_segment_and_the_disk() -> None:
    rig = Rig(config())
    fields: dict[str, Any] = {
        "mclass": 1,
        "mwi": 2,
        "alt_dcs": 1,
        "compress": 0,
        "pid": 5,
        "rpi": 1,
        "priority": 2,
        "validity": rig.wall() + 600,
        "deferred": rig.wall() + 60,
        "dlr_mask": 31,
        "dlr_url": URL,
        "account": "acc",
        "binfo": "b",
        "meta": "?smpp?x=1",
        "charset": "UTF-8",
        "channel": "web",
        "reply": True,
    }
    rig.send(smsc="a", **fields)
    (segment,) = sent(rig)
    for name, value in fields.items():
        assert getattr(segment, name) == value, name
    assert (segment.smsc, segment.has_smsc, segment.user) == ("a", True, "u")
    stored = decode(rig.disk.rows()[0].body)
    assert (stored.priority, stored.meta, stored.via) == (2, "?smpp?x=1", "")
    assert rig.disk.rows()[0].priority == 2


# ---- what the SMSC answers


def test_an_accepted_segment_without_a_dlr_url_is_gone() -> None:
    rig = Rig(config())
    rig.send()
    rig.take_all()
    rig.turn()
    assert rig.disk.rows() == []
    assert rig.mt.sent == 1


def test_a_temporary_refusal_is_tried_again_after_longer_pauses_up_to_its_limit() -> None:
    """SMPP-023."""
    rig = Rig(config(smsc(resend=RESEND)))
    port = rig.ports["a/0"]
    rig.send(dlr_mask=16, dlr_url=URL)
    for pause in (5.0, 10.0):
        rig.events("a/0", refused(port.waiting[0]))
        count = len(port.sent)
        rig.turn(pause - 0.1)
        assert len(port.sent) == count
        rig.turn(0.2)
        assert len(port.sent) == count + 1
    assert rig.told() == []
    rig.events("a/0", refused(port.waiting[0]))
    rig.turn(60)
    assert len(port.sent) == 3
    assert rig.told() == [16]
    assert (rig.mt.retried, rig.mt.failed, rig.kept()) == (2, 1, [])


@pytest.mark.parametrize(("times", "attempts"), [(0, 1), (1, 2), (2, 3), (5, 6)])
def test_times_counts_the_attempts_after_the_first(times: int, attempts: int) -> None:
    """That Kannel's 0 behaves like 1 is the reader's affair."""
    resend = Retry(first=1.0, factor=1.0, jitter=0.0, times=times)
    rig = Rig(config(smsc(resend=resend)))
    port = rig.ports["a/0"]
    rig.send()
    for _ in range(10):
        if port.waiting:
            rig.events("a/0", refused(port.waiting[0]))
        rig.turn(1.1)
    assert len(port.sent) == attempts


def test_without_a_limit_age_ends_the_attempts() -> None:
    resend = Retry(first=60.0, factor=1.0, jitter=0.0, times=-1, horizon=600.0)
    rig = Rig(config(smsc(resend=resend)))
    port = rig.ports["a/0"]
    rig.send()
    for _ in range(30):
        if port.waiting:
            rig.events("a/0", refused(port.waiting[0]))
        rig.turn(60.5)
    assert len(port.sent) == 11
    assert rig.mt.failed == 1


def test_tries_and_their_time_survive_a_restart() -> None:
    rig = Rig(config(smsc(resend=RESEND)))
    rig.send()
    rig.events("a/0", refused(sent(rig)[0]))
    rig.turn()
    new = rig.again()
    assert sent(new) == []
    new.turn(5.1)
    assert [segment.tries for segment in sent(new)] == [1]


def test_a_part_that_is_refused_for_now_is_sent_alone_again() -> None:
    """G25: the same reference, and only the uncertain or refused part."""
    rig = Rig(config(smsc(resend=RESEND)))
    rig.send("x" * 400)
    first, second, third = list(sent(rig))
    rig.taken("a/0", first, "i1")
    rig.events("a/0", refused(second))
    rig.taken("a/0", third, "i3")
    rig.turn(6)
    assert sent(rig)[3:] == [second]
    assert sent(rig)[3].udh == second.udh


def test_a_permanent_refusal_fails_at_once_with_its_number() -> None:
    """SMPP-024."""
    rig = Rig(config())
    rig.send(dlr_mask=16, dlr_url="http://platform.example/dlr?a=%A&s=%d")
    rig.events("a/0", refused(sent(rig)[0], Outcome.DEAD, 0x0B))
    assert rig.told() == [16]
    assert "NACK%2F0x0000000b%2FSome+Error" in rig.web.urls[0]
    rig.turn(600)
    assert len(sent(rig)) == 1
    assert rig.states["a/0"].refusals == 1


def test_a_single_full_queue_costs_no_pause_of_the_bind() -> None:
    """SMPP-022: the session says RETRY for the first ones; then only that message waits."""
    rig = Rig(config(smsc(window=1, resend=RESEND)))
    rig.send("m0")
    rig.send("m1", to="5522")
    rig.events("a/0", refused(sent(rig)[0], Outcome.RETRY, 0x14))
    rig.turn(0)
    assert rig.ports["a/0"].texts == ["m0", "m1"]


def test_a_throttled_message_may_count_as_a_failed_attempt_as_in_kannel() -> None:
    rig = Rig(config(smsc(resend=RESEND, throttled_waits=True)))
    rig.send()
    rig.events("a/0", refused(sent(rig)[0], Outcome.THROTTLED, 0x58))
    rig.turn(4.9)
    assert len(sent(rig)) == 1
    rig.turn(0.2)
    assert len(sent(rig)) == 2
    assert rig.mt.retried == 1


# ---- no answer


@pytest.mark.parametrize("reason", ["timeout", "link lost"])
def test_resubmit_sends_an_unanswered_segment_once_more(reason: str) -> None:
    """SMPP-019, G3, G4."""
    rig = Rig(config(smsc(resend=RESEND)))
    rig.send()
    (segment,) = sent(rig)
    rig.events("a/0", Unanswered(segment, reason))
    rig.turn(6)
    assert sent(rig) == [segment, segment]
    assert rig.mt.uncertain == 1
    assert segment.tries == 0, "no attempt that the SMSC refused"


@pytest.mark.parametrize("reason", ["timeout", "link lost"])
def test_hold_keeps_it_aside_for_a_decision(reason: str) -> None:
    """G5."""
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD)))
    rig.accept(dlr_mask=31, dlr_url=URL)
    rig.turn()
    rig.events("a/0", Unanswered(sent(rig)[0], reason))
    rig.turn(600)
    assert len(sent(rig)) == 1
    assert [row.state for row in rig.disk.rows()] == [State.HELD]
    assert rig.told() == []
    assert sent(rig.again()) == []


def test_fail_reports_it_as_failed() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.FAIL)))
    rig.accept(dlr_mask=16, dlr_url=URL)
    rig.turn()
    rig.events("a/0", Unanswered(sent(rig)[0], "link lost"))
    assert rig.told() == [16]
    assert (len(sent(rig)), rig.kept()) == (1, [])


@pytest.mark.parametrize(
    ("policy", "states", "again", "reports"),
    [
        (OnUncertain.RESUBMIT, [State.CLAIMED] * 3, 3, []),
        (OnUncertain.HOLD, [State.HELD] * 2 + [State.CLAIMED], 1, []),
        (OnUncertain.FAIL, [State.CLAIMED], 1, [16, 16]),
    ],
)
def test_after_a_crash_the_policy_decides_on_what_was_perhaps_written(
    policy: OnUncertain, states: list[State], again: int, reports: list[int]
) -> None:
    """Order of writes, 4."""
    rig = Rig(config(smsc(on_uncertain=policy, window=2)))
    for n in range(3):
        rig.accept(f"m{n}", dlr_mask=16, dlr_url=URL)
    rig.turn()
    assert rig.ports["a/0"].texts == ["m0", "m1"]
    new = Rig(config(smsc(on_uncertain=policy, window=3)), rig.disk, rig.clock)
    new.lanes["a"].pump()
    assert new.told() == reports
    assert len(sent(new)) == again
    assert sorted(row.state for row in new.disk.rows(Queue.MT)) == sorted(states)
    # under resubmit what is next has its mark before there is room for it
    assert new.mt.uncertain == (3 if policy is OnUncertain.RESUBMIT else 2)


def test_a_late_answer_after_the_policy_was_applied_counts_once() -> None:
    """SMPP-020: the session drops it; what the flow sees twice must not harm."""
    rig = Rig(config(smsc(on_uncertain=OnUncertain.FAIL)))
    rig.accept(dlr_mask=31, dlr_url=URL)
    rig.turn()
    (segment,) = sent(rig)
    rig.events("a/0", Unanswered(segment, "timeout"))
    assert rig.told() == [16]


# ---- another lane


def two(**fields: Any) -> Rig:
    return Rig(config(smsc("a", preferred_prefixes=("55",), **fields), smsc("b")))


def test_a_lane_without_binds_gives_what_waits_to_another_one_in_order() -> None:
    rig = two(window=2)
    rig.ports["b/0"].bound = False
    for n in range(20):
        rig.send(f"m{n}")
    assert rig.ports["a/0"].texts == ["m0", "m1"]
    rig.lose("a/0")
    rig.bind("b/0")
    rig.mt.reroute("a")
    rig.turn(0)
    rig.take_all("b/0")
    assert rig.ports["b/0"].texts == [f"m{n}" for n in range(20)]
    assert rig.backlog.waiting == 0
    rig.turn()
    assert rig.disk.rows() == []


def test_what_no_other_lane_takes_stays_in_its_place() -> None:
    rig = Rig(config(smsc("a"), smsc("b", allowed_prefixes=("44",))))
    rig.ports["a/0"].bound = False
    for n in range(6):
        rig.send(f"m{n}", to="5511" if n % 2 else "4411", smsc="x")
    rig.mt.reroute("a")
    rig.take_all("b/0")
    rig.bind("a/0")
    rig.take_all("a/0")
    assert rig.ports["b/0"].texts == ["m0", "m2", "m4"]
    assert rig.ports["a/0"].texts == ["m1", "m3", "m5"]


def test_no_lane_bound_means_that_everything_stays() -> None:
    rig = two()
    for port in rig.ports.values():
        port.bound = False
    for n in range(5):
        rig.send(f"m{n}")
    rig.mt.reroute("a")
    rig.mt.reroute("b")
    assert rig.backlog.waiting == 5
    rig.bind("a/0")
    assert rig.ports["a/0"].texts == [f"m{n}" for n in range(5)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["send", "lose a", "lose b", "bind a", "bind b", "take"]), max_size=40)
)
def test_whatever_the_links_do_everything_is_sent_and_in_order_for_each_receiver(
    actions: list[str],
) -> None:
    rig = Rig(config(smsc("a", window=2), smsc("b", window=2)))
    count = 0
    for action in actions:
        what, _, which = action.partition(" ")
        bind = f"{which}/0"
        if what == "send":
            rig.send(f"m{count}", to=f"55{count % 2}")
            count += 1
        elif what == "lose" and rig.ports[bind].bound:
            rig.lose(bind)
            rig.mt.reroute(which)
        elif what == "bind" and not rig.ports[bind].bound:
            rig.bind(bind)
        elif what == "take":
            for name in rig.ports:
                rig.take_all(name)
    for name in rig.ports:
        rig.bind(name)
    rig.turn(60)
    for name in rig.ports:
        rig.take_all(name)
    texts = [text for port in rig.ports.values() for text in port.texts]
    assert set(texts) == {f"m{n}" for n in range(count)}
    rig.turn()
    assert (rig.disk.rows(), rig.backlog.waiting) == ([], 0)


def test_unlimited_means_unlimited() -> None:
    rig = Rig(with_limits(config(), queued_mt=1_000_000))
    rig.ports["a/0"].bound = False
    for n in range(200):
        assert rig.send(f"m{n}").verdict is Verdict.QUEUED
