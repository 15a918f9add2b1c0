"""A CIMD2 session with an SMSC that does right, and with one that does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gatewayd.config.model import BindConfig, BindMode, Secret, SmppOptions, SmscConfig
from gatewayd.errors import PeerError
from gatewayd.model import Outcome, Segment
from gatewayd.smsc.cimd2 import BAD_PACKETS, MOST_WINDOW, Cimd2Session
from gatewayd.smsc.cimd2_frame import Framer, Packet, decode, encode
from gatewayd.smsc.cimd2_numbers import MOST_RESTING, RESTING
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    SessionOptions,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import LinkState

FAULTY = {
    frame["id"]: bytes.fromhex(frame["hex"])
    for frame in json.loads(
        (Path(__file__).parents[1] / "golden/frames/cimd2.json").read_text("utf-8")
    )["frames"]
}
SMPP = SmppOptions(
    system_id="foo",
    password=Secret("swordfish"),
    enquire_interval=30.0,
    enquire_timeout=10.0,
    enquire_misses=2,
    response_timeout=60.0,
)
MO = ((21, b"4545"), (23, b"250788123456"), (60, b"261121221502"), (33, b"hello"))
E = TypeVar("E")


class Talk:
    """A session and what it says, packet by packet."""

    def __init__(
        self, *own: str, window: int = 1, mode: BindMode = BindMode.TRANSCEIVER, **smpp: Any
    ) -> None:
        bind = BindConfig("a/0", mode)
        smsc = SmscConfig(
            "a",
            "a",
            protocol="cimd2",
            binds=(bind,),
            window=window,
            options=own,
            smpp=replace(SMPP, **smpp),
        )
        self.session = Cimd2Session(SessionOptions(smsc, bind))

    def bound(self) -> Talk:
        self.session.start(0.0)
        self.said()
        assert self.hear(51, 1) == [Bound()]
        return self

    def said(self) -> list[Packet]:
        found = []
        for frame in Framer().feed(self.session.take_bytes()):
            assert not isinstance(frame, PeerError)
            found.append(decode(frame, checksum="required"))
        return found

    def numbers(self) -> list[tuple[int, int]]:
        return [(packet.operation, packet.number) for packet in self.said()]

    def hear(
        self, operation: int, number: int, *parameters: tuple[int, bytes], now: float = 0.0
    ) -> list[Event]:
        packet = Packet(operation, number, parameters)
        return list(self.session.receive(encode(packet), now))

    def submit(self, key: int = 1, now: float = 0.0) -> Packet:
        assert self.session.credit > 0
        assert self.session.submit(segment(key), now) is None
        (packet,) = self.said()
        return packet

    def accept(self, packet: Packet, stamp: bytes = b"261121221500", now: float = 0.0) -> Submitted:
        events = self.hear(53, packet.number, (21, packet.get(21)), (60, stamp), now=now)
        return only(events, Submitted)


def segment(key: int) -> Segment:
    return Segment(key, "4545", "250788123456", b"hello", dlr_mask=31)


def only(events: Sequence[Event], kind: type[E]) -> E:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def told(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Noted)]


def notes(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Noted)]


# ---- packet numbers and window


def test_cimd_005_our_numbers_are_odd_and_begin_again_after_255() -> None:
    talk = Talk()
    talk.session.start(0.0)
    assert talk.numbers() == [(1, 1)]
    talk.hear(51, 1)
    seen = []
    for key in range(130):
        packet = talk.submit(key)
        seen.append(packet.number)
        talk.accept(packet)
    assert seen == [*range(3, 256, 2), 1, 3, 5]


def test_cimd_005_a_new_session_begins_at_001_and_takes_the_smscs_even_numbers() -> None:
    talk = Talk().bound()
    assert notes(talk.hear(40, 0)) == []
    for number in (*range(2, 256, 2), 0, 2):
        assert talk.hear(40, number) == []
    assert [number for _, number in talk.numbers()] == [*range(0, 256, 2), 0, 2]
    for number in (40, 41, 7, 300):
        assert notes(talk.hear(40, number)) == ["packet_number"]
        assert talk.numbers() == [(90, number)]


def test_cimd_006_the_window_is_one_unless_more_was_asked_for() -> None:
    talk = Talk()
    talk.session.start(0.0)
    (login,) = talk.said()
    assert not login.has(19)
    talk.hear(51, 1)
    assert talk.session.credit == 1
    talk.submit()
    assert talk.session.credit == 0


def test_cimd_006_a_window_that_is_granted_counts_and_a_smaller_one_too() -> None:
    for answer, credit in (((), 10), (((19, b"4"),), 4), (((19, b"50"),), 10)):
        talk = Talk(window=10)
        talk.session.start(0.0)
        (login,) = talk.said()
        assert login.get(19) == b"10"
        talk.hear(51, 1, *answer)
        assert talk.session.credit == credit
        for key in range(credit):
            talk.submit(key)
        assert talk.session.credit == 0


@pytest.mark.parametrize("code", [b"104", b"105"])
def test_cimd_006_an_smsc_without_windows_is_asked_again_without(code: bytes) -> None:
    talk = Talk(window=10)
    talk.session.start(0.0)
    talk.said()
    assert notes(talk.hear(51, 1, (900, code))) == ["window_refused"]
    (login,) = talk.said()
    assert (login.operation, login.number, login.has(19)) == (1, 1, False)
    assert talk.hear(51, 1) == [Bound()]
    assert talk.session.credit == 1
    # One that refuses a login without a window, too, means something else.
    talk = Talk()
    talk.session.start(0.0)
    assert only(talk.hear(51, 1, (900, code)), BindRefused).outcome is Outcome.RETRY


def test_a_number_whose_answer_never_came_rests() -> None:
    talk = Talk(on_timeout="requeue", enquire_interval=0.0).bound()
    assert talk.submit(1).number == 3
    assert only(talk.session.tick(60.0), Unanswered).segment == segment(1)
    for key in range(126):
        packet = talk.submit(key, 60.0)
        assert packet.number != 3
        talk.accept(packet, now=60.0)
    assert talk.submit(200, 60.0).number == 1
    events = talk.hear(53, 3, (21, b"1"), (60, b"261121221500"), now=61.0)
    assert notes(events) == ["late_response"]
    assert told(events) == []
    talk.accept(Packet(3, 1), now=61.0)
    assert talk.submit(201, 61.0).number == 3  # it was answered after all


def test_a_rest_ends() -> None:
    talk = Talk(on_timeout="requeue", enquire_interval=0.0).bound()
    talk.submit(1)
    talk.session.tick(60.0)
    assert talk.session.deadline() == 60.0 + RESTING
    talk.session.tick(60.0 + RESTING)
    assert talk.session.deadline() == inf
    assert notes(talk.hear(53, 3)) == ["unknown_response"]


def test_too_many_unanswered_submits_end_the_link_before_the_numbers_do() -> None:
    talk = Talk(window=200, on_timeout="requeue").bound()
    assert talk.session.credit == MOST_WINDOW
    for key in range(MOST_RESTING + 1):
        talk.submit(key)
    events = talk.session.tick(60.0)
    assert isinstance(events[-1], Closing)
    assert len([e for e in events if isinstance(e, Unanswered)]) == MOST_RESTING + 1


# ---- submits


def test_cimd_018_a_report_finds_its_submit_also_when_it_comes_first() -> None:
    talk = Talk().bound()
    packet = talk.submit()
    report = (21, b"250788123456"), (60, b"261121221500"), (61, b"4")
    early = only(talk.hear(23, 2, *report), Receipted)
    assert early.receipt.smsc_id == talk.accept(packet).smsc_id
    talk.session.answer(early.ticket, Outcome.DONE)
    assert talk.numbers() == [(73, 2)]


def test_an_answer_without_destination_or_timestamp_is_taken() -> None:
    talk = Talk().bound()
    with_stamp = only(talk.hear(53, talk.submit(1).number, (60, b"261121221500")), Submitted)
    assert with_stamp.smsc_id.startswith("261121221500")
    events = talk.hear(53, talk.submit(2).number)
    assert only(events, Submitted).smsc_id == ""
    assert notes(events) == ["no_message_id"]


def test_kannel_knows_only_ids_of_messages_with_reports() -> None:
    for own, known in (("ids=asked", False), ("ids=all", True)):
        talk = Talk(own).bound()
        assert talk.session.submit(replace_mask(segment(1), 8), 0.0) is None
        (packet,) = talk.said()
        assert bool(talk.accept(packet).smsc_id) is known


def replace_mask(what: Segment, mask: int) -> Segment:
    what.dlr_mask = mask
    return what


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (b"010", Outcome.THROTTLED),
        (b"004", Outcome.RETRY),
        (b"5", Outcome.RETRY),
        (b"006", Outcome.RETRY),
        (b"009", Outcome.RETRY),
        (b"102", Outcome.RETRY),
        (b"103", Outcome.RETRY),
        (b"001", Outcome.DEAD),
        (b"300", Outcome.DEAD),
        (b"777", Outcome.DEAD),
        (b"", Outcome.DEAD),
        (b"x", Outcome.DEAD),
    ],
)
def test_cimd_019_an_error_in_the_answer_decides_what_becomes_of_the_segment(
    code: bytes, outcome: Outcome
) -> None:
    talk = Talk().bound()
    events = talk.hear(53, talk.submit().number, (900, code), (901, b"error"), now=0.5)
    failed = only(events, SubmitFailed)
    assert (failed.outcome, failed.segment, failed.seconds) == (outcome, segment(1), 0.5)
    assert failed.reason.endswith("/error")
    kannel = Talk("temporary=", "throttling=", "reason=REJECTED").bound()
    failed = only(kannel.hear(53, kannel.submit().number, (900, code)), SubmitFailed)
    assert (failed.outcome, failed.reason) == (Outcome.DEAD, "REJECTED")


def test_error_000_is_none() -> None:
    talk = Talk().bound()
    events = talk.hear(53, talk.submit().number, (900, b"000"), (60, b"261121221500"))
    assert only(events, Submitted)


def test_what_cimd2_cannot_carry_fails_at_once_and_uses_no_number() -> None:
    talk = Talk().bound()
    bad = Segment(1, "1", "nobody", b"x")
    assert talk.session.submit(bad, 0.0) == SubmitFailed(bad, Outcome.DEAD, "MALFORMED SMS")
    assert (talk.session.credit, talk.said()) == (1, [])
    assert talk.submit().number == 3


def test_an_answer_of_another_kind_leaves_the_submit_uncertain() -> None:
    talk = Talk().bound()
    events = talk.hear(90, talk.submit().number)
    assert only(events, Unanswered).segment == segment(1)
    assert notes(events) == ["unknown_response"]


def test_a_receiver_never_submits() -> None:
    assert Talk(mode=BindMode.RECEIVER).bound().session.credit == 0


# ---- nack and general error


def test_cimd_008_a_nack_has_the_packet_sent_again_under_its_number() -> None:
    talk = Talk().bound()
    first = talk.submit()
    assert notes(talk.hear(99, first.number, now=1.0)) == ["nack"]
    assert talk.said() == [first]
    assert only(talk.hear(53, first.number, (60, b"1")), Submitted).segment == segment(1)
    second = talk.submit(2)
    talk.hear(99, second.number)
    assert talk.said() == [second]  # each packet has tries of its own


def test_cimd_008_a_nack_with_another_number_renumbers() -> None:
    talk = Talk().bound()
    assert talk.submit().number == 3
    talk.hear(99, 9)
    (again,) = talk.said()
    assert (again.operation, again.number) == (3, 9)
    assert told(talk.hear(53, 3, (60, b"1"))) == []  # it was never this number, says the SMSC
    assert only(talk.hear(53, 9, (60, b"2")), Submitted).segment == segment(1)
    assert talk.submit(2).number == 11


@pytest.mark.parametrize(("own", "tries"), [((), 1), (("retransmit=3",), 3)])
def test_cimd_008_a_packet_is_not_sent_again_for_ever(own: tuple[str, ...], tries: int) -> None:
    for numbers in ([3, 3, 3, 3], [9, 11, 13, 15]):
        talk = Talk(*own).bound()
        talk.submit()
        for number in numbers[:tries]:
            assert told(talk.hear(99, number)) == []
            assert talk.numbers() == [(3, number)]
        assert isinstance(talk.hear(99, numbers[tries])[-1], Closing)
        assert [e.segment for e in talk.session.connection_lost(1.0) if isinstance(e, Unanswered)]


def test_cimd_008_a_nack_of_nothing_is_counted_and_ignored() -> None:
    talk = Talk().bound()
    for number in (5, 4, 255, 301):
        assert notes(talk.hear(99, number)) == ["nack"]
    talk.submit()
    for number in (4, 301):
        assert notes(talk.hear(99, number)) == ["nack"]
    assert (talk.said(), talk.session.state) == ([], LinkState.BOUND)


def test_a_nacked_login_is_sent_again() -> None:
    talk = Talk()
    talk.session.start(0.0)
    (login,) = talk.said()
    talk.hear(99, 1)
    assert talk.said() == [login]
    assert isinstance(talk.hear(99, 1)[-1], Closing)


def test_cimd_009_a_general_error_closes_and_the_segment_is_tried_again() -> None:
    for own, reason in (((), "001/Unexpected operation"), (("reason=REJECTED",), "REJECTED")):
        talk = Talk(*own).bound()
        events = talk.hear(98, talk.submit().number, (900, b"001"))
        failed = only(events, SubmitFailed)
        assert (failed.outcome, failed.reason) == (Outcome.RETRY, reason)
        assert isinstance(events[-1], Closing)
        assert talk.session.connection_lost(1.0) == []


def test_a_general_error_about_something_else_is_counted() -> None:
    talk = Talk().bound()
    talk.submit()
    assert notes(talk.hear(98, 106, (900, b"1"))) == ["general_error"]
    assert talk.session.state is LinkState.BOUND
    assert talk.session.in_flight == 1


def test_a_general_error_to_the_login_refuses_it() -> None:
    talk = Talk()
    talk.session.start(0.0)
    assert only(talk.hear(98, 1, (900, b"006")), BindRefused).outcome is Outcome.RETRY


def test_cimd_002_a_wrong_checksum_is_nacked_and_not_processed() -> None:
    talk = Talk().bound()
    events = talk.session.receive(FAULTY["CIMD-X01"], 0.0)
    assert notes(events) == ["bad_pdu"]
    assert talk.numbers() == [(99, 0)]
    talk.hear(40, 10)
    talk.said()
    talk.session.receive(FAULTY["CIMD-X01"], 0.0)
    assert talk.numbers() == [(99, 12)]


def test_cimd_002_the_other_faulty_packets_do_as_described() -> None:
    talk = Talk().bound()
    assert told(talk.session.receive(FAULTY["CIMD-X02"], 0.0)) == []
    assert talk.numbers() == [(90, 12)]
    assert notes(talk.session.receive(FAULTY["CIMD-X03"], 0.0)) == ["bad_pdu", "packet_number"]
    assert talk.numbers() == [(90, 16)]
    received = only(talk.session.receive(FAULTY["CIMD-X04"], 0.0), Received)
    assert received.inbound.payload == b"ok"


def test_a_damaged_answer_is_asked_for_again_by_its_number() -> None:
    talk = Talk().bound()
    number = talk.submit().number
    talk.session.receive(b"\x0253:%03d\t060:1\t00\x03" % number, 0.0)
    assert talk.numbers() == [(99, number)]
    assert only(talk.hear(53, number, (60, b"1")), Submitted)


def test_a_damaged_nack_is_never_nacked() -> None:
    talk = Talk().bound()
    for operation in (98, 99):
        talk.session.receive(b"\x02%02d:003\t00\x03" % operation, 0.0)
    assert talk.said() == []


def test_a_checksum_may_be_demanded_or_ignored() -> None:
    talk = Talk("checksum=required").bound()
    talk.session.receive(b"\x0240:002\t\x03", 0.0)
    assert talk.numbers() == [(99, 0)]
    talk = Talk("checksum=ignored").bound()
    talk.session.receive(FAULTY["CIMD-X01"], 0.0)
    assert talk.numbers() == [(90, 1)]


def test_many_broken_packets_within_a_minute_end_the_link() -> None:
    talk = Talk().bound()
    bad = FAULTY["CIMD-X01"]
    for count in range(BAD_PACKETS):
        assert told(talk.session.receive(bad, float(count * 10))) == []
    assert told(talk.session.receive(bad, 101.0)) == []
    assert isinstance(talk.session.receive(bad * BAD_PACKETS, 102.0)[-1], Closing)


# ---- deliveries


def test_cimd_007_a_repeated_delivery_is_answered_again_and_delivered_once() -> None:
    talk = Talk().bound()
    received = only(talk.hear(20, 2, *MO), Received)
    events = talk.hear(20, 2, *MO, now=10.0)  # while the first one waits
    assert (told(events), notes(events), talk.said()) == ([], ["repeated_packet"], [])
    talk.session.answer(received.ticket, Outcome.DONE)
    assert talk.numbers() == [(70, 2)]
    assert told(talk.hear(20, 2, *MO, now=20.0)) == []
    assert talk.numbers() == [(70, 2)]
    assert only(talk.hear(20, 4, *MO, now=20.0), Received)


def test_cimd_007_a_refused_or_dropped_delivery_is_answered_the_same_again() -> None:
    talk = Talk("incomplete=drop").bound()
    received = only(talk.hear(20, 2, *MO), Received)
    talk.session.answer(received.ticket, Outcome.DEAD)
    (refusal,) = talk.said()
    assert (refusal.operation, refusal.get(900)) == (70, b"009")
    talk.hear(20, 2, *MO, now=10.0)
    assert talk.said() == [refusal]
    for now in (20.0, 30.0):
        assert told(talk.hear(20, 4, (21, b"4545"), now=now)) == []
        assert talk.numbers() == [(70, 4)]


def test_an_smsc_that_does_not_count_loses_nothing() -> None:
    talk = Talk().bound()
    for text in (b"one", b"two"):
        assert only(talk.hear(20, 0, *MO[:3], (33, text), now=5.0), Received)


def test_cimd_012_a_delivery_is_answered_only_once_it_is_stored() -> None:
    talk = Talk().bound()
    received = only(talk.hear(20, 2, *MO), Received)
    assert (talk.said(), talk.session.unanswered) == ([], 1)
    talk.session.answer(received.ticket, Outcome.DONE)
    assert talk.numbers() == [(70, 2)]


def test_cimd_012_what_cannot_be_stored_is_not_answered_and_the_link_closes() -> None:
    talk = Talk().bound()
    received = only(talk.hear(20, 2, *MO, now=5.0), Received)
    talk.session.answer(received.ticket, Outcome.RETRY)
    assert talk.said() == []
    assert talk.session.deadline() == 5.0
    (closing,) = talk.session.tick(5.0)
    assert isinstance(closing, Closing)
    assert talk.session.state is LinkState.CLOSED


def test_what_is_too_much_now_comes_again_and_is_no_repetition() -> None:
    talk = Talk().bound()
    received = only(talk.hear(20, 2, *MO), Received)
    talk.session.answer(received.ticket, Outcome.THROTTLED)
    assert (talk.said(), told(talk.session.tick(1.0))) == ([], [])
    again = only(talk.hear(20, 2, *MO, now=30.0), Received)
    talk.session.answer(again.ticket, Outcome.DONE)
    assert talk.numbers() == [(70, 2)]


def test_a_delivery_before_the_login_or_after_the_logout_is_left_to_the_smsc() -> None:
    talk = Talk()
    talk.session.start(0.0)
    talk.said()
    assert notes(talk.hear(20, 2, *MO)) == ["not_bound"]
    talk.hear(51, 1)
    talk.session.stop(1.0)
    assert talk.numbers() == [(2, 3)]
    assert "not_bound" in notes(talk.hear(23, 4, (60, b"1"), (61, b"4")))
    assert talk.said() == []


def test_operations_we_do_not_know_are_answered_and_our_own_ones_refused() -> None:
    talk = Talk().bound()
    assert notes(talk.hear(30, 2, (21, b"1"))) == ["unknown_command"]
    assert talk.numbers() == [(80, 2)]
    talk.hear(3, 4, *MO)
    (refusal,) = talk.said()
    assert (refusal.operation, refusal.number, refusal.get(900)) == (98, 4, b"001")
    assert notes(talk.hear(77, 5)) == ["unknown_response"]


# ---- login, logout, keep-alive


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (b"100", Outcome.DEAD),
        (b"101", Outcome.DEAD),
        (b"107", Outcome.DEAD),
        (b"108", Outcome.DEAD),
        (b"102", Outcome.RETRY),
        (b"103", Outcome.RETRY),
        (b"x", Outcome.RETRY),
    ],
)
def test_cimd_010_a_refused_login_is_wrong_or_only_early(code: bytes, outcome: Outcome) -> None:
    talk = Talk()
    talk.session.start(0.0)
    events = talk.hear(51, 1, (900, code), (901, b"no"))
    assert only(events, BindRefused).outcome is outcome
    assert isinstance(events[-1], Closing)
    kannel = Talk("refused=")
    kannel.session.start(0.0)
    assert only(kannel.hear(51, 1, (900, code)), BindRefused).outcome is Outcome.RETRY


def test_a_greeting_is_passed_over() -> None:
    talk = Talk()
    talk.session.start(0.0)
    greeting = b"CIMD2-A ConnectionInfo: SessionId = 1 PortId = 2 AccessType = TCPIP_SOCKET\n"
    assert talk.session.receive(greeting, 0.0) == []
    assert talk.hear(51, 1) == [Bound()]


def test_a_login_that_cannot_be_written_ends_the_session() -> None:
    talk = Talk(system_id="a\tb")
    talk.session.start(0.0)
    assert talk.session.take_bytes() == b""
    assert isinstance(talk.session.tick(talk.session.deadline())[-1], Closing)


def test_options_nobody_knows_are_told_once_bound() -> None:
    talk = Talk("nonsense=1")
    talk.session.start(0.0)
    assert notes(talk.hear(51, 1)) == ["unknown_option"]


def test_no_answer_to_the_login_is_noticed() -> None:
    talk = Talk(bind_timeout=30.0)
    talk.session.start(0.0)
    assert talk.session.deadline() == 30.0
    assert isinstance(talk.session.tick(30.0)[-1], Closing)


def test_cimd_011_alive_is_asked_after_silence_and_answered() -> None:
    talk = Talk().bound()
    assert talk.session.deadline() == 30.0
    assert talk.session.tick(30.0) == []
    assert talk.numbers() == [(40, 3)]
    assert talk.hear(90, 3, now=30.5) == [Alive(0.5)]
    assert talk.session.deadline() <= 60.5
    talk.session.tick(60.5)
    assert talk.numbers() == [(40, 5)]
    assert told(talk.hear(40, 4, now=61.0)) == []
    assert talk.numbers() == [(90, 4)]


def test_cimd_011_alive_without_answer_ends_the_link() -> None:
    talk = Talk().bound()
    assert talk.session.tick(30.0) == []
    assert talk.session.tick(40.0) == []
    assert talk.numbers() == [(40, 3), (40, 5)]
    assert isinstance(talk.session.tick(50.0)[-1], Closing)


def test_cimd_011_no_alive_goes_out_while_the_window_is_full() -> None:
    talk = Talk(on_timeout="reconnect").bound()
    packet = talk.submit(1, 10.0)
    assert talk.session.tick(45.0) == []
    assert talk.said() == []
    assert talk.session.deadline() == 70.0
    talk.accept(packet, now=50.0)
    assert talk.session.tick(talk.session.deadline()) == []
    assert (talk.said(), talk.session.deadline()) == ([], 80.0)
    talk.submit(2, 60.0)
    assert isinstance(talk.session.tick(120.0)[-1], Closing)


def test_a_stop_waits_for_the_answer_and_then_logs_out() -> None:
    talk = Talk().bound()
    packet = talk.submit()
    received = only(talk.hear(20, 2, *MO), Received)
    talk.session.stop(1.0)
    assert (talk.session.credit, talk.said()) == (0, [])
    talk.accept(packet)
    assert talk.said() == []
    talk.session.answer(received.ticket, Outcome.DONE)
    assert talk.numbers() == [(70, 2), (2, 5)]
    assert isinstance(talk.hear(52, 5)[-1], Closing)


def test_a_stop_does_not_wait_for_ever() -> None:
    talk = Talk(unbind_timeout=5.0).bound()
    talk.submit()
    talk.session.stop(1.0)
    talk.session.tick(6.0)
    assert talk.numbers() == [(2, 5)]
    assert isinstance(talk.session.tick(11.0)[-1], Closing)
    (lost,) = talk.session.connection_lost(11.0)
    assert lost == Unanswered(segment(1), "link lost")


def test_a_stop_before_the_login_was_answered_closes() -> None:
    talk = Talk()
    talk.session.start(0.0)
    talk.session.stop(1.0)
    assert isinstance(talk.session.tick(talk.session.deadline())[-1], Closing)


def test_a_logout_of_the_smsc_is_answered_and_closes() -> None:
    talk = Talk().bound()
    assert isinstance(talk.hear(2, 8)[-1], Closing)
    assert talk.numbers() == [(52, 8)]


def test_strange_answers_to_login_logout_and_alive_are_counted() -> None:
    talk = Talk().bound()
    for operation in (51, 52, 90):
        assert notes(talk.hear(operation, 77)) == ["unknown_response"]


def test_silence_and_idleness_may_end_the_link() -> None:
    talk = Talk(idle_timeout=20.0, enquire_interval=0.0).bound()
    assert talk.session.deadline() == 20.0
    assert isinstance(talk.session.tick(20.0)[-1], Closing)
    talk = Talk(inactivity=20.0, enquire_interval=0.0).bound()
    talk.session.tick(20.0)
    assert talk.numbers() == [(2, 3)]


def test_a_packet_that_never_ends_ends_the_link() -> None:
    talk = Talk(partial_pdu_timeout=30.0, enquire_interval=0.0).bound()
    talk.session.receive(b"\x0220:0", 5.0)
    assert talk.session.deadline() == 35.0
    assert isinstance(talk.session.tick(35.0)[-1], Closing)


def test_cimd_021_no_event_and_no_option_shows_the_password() -> None:
    talk = Talk()
    talk.session.start(0.0)
    login = talk.session.take_bytes()
    assert b"swordfish" in login
    events = talk.session.receive(login + login.replace(b"01:", b"0x:"), 0.0)
    assert events
    assert "swordfish" not in repr(events) + repr(SMPP)
