"""Bad input from an SMSC, line by line: what a broken or hostile CIMD2 peer can send us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gatewayd.model import Outcome
from gatewayd.smsc import cimd2_frame as wire
from gatewayd.smsc.cimd2_frame import Packet, encode
from gatewayd.smsc.cimd2_numbers import RESTING
from gatewayd.smsc.contract import (
    Bound,
    Closing,
    Event,
    Noted,
    Received,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import LinkState
from tests.smsc.test_cimd2_session import MO, Talk, notes, only

DELIVERY = encode(Packet(wire.DELIVER, 2, MO))


def heard(events: Sequence[Event], *kinds: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


def sealed(body: bytes) -> bytes:
    """Octets from STX to the last TAB, with the checksum that they should have."""
    return b"%b%02X\x03" % (body, sum(body) & 0xFF)


def raw(talk: Talk, octets: bytes, now: float = 0.0) -> list[Event]:
    return list(talk.session.receive(octets, now))


def refused(talk: Talk, events: Sequence[Event]) -> bool:
    """Noted, nacked, not taken, and the session stays."""
    assert notes(events) == ["bad_pdu"]
    assert not heard(events, Received, Closing)
    assert talk.session.state is LinkState.BOUND
    return [packet.operation for packet in talk.said()] == [wire.NACK]


def test_cimd2_01_a_missing_checksum_is_taken_unless_one_is_required() -> None:
    bare = encode(Packet(wire.DELIVER, 2, MO, checked=False))
    assert heard(raw(Talk().bound(), bare), Received)
    strict = Talk("checksum=required").bound()
    assert refused(strict, raw(strict, bare))


def test_cimd2_02_a_wrong_checksum_is_nacked_unless_it_is_ignored() -> None:
    wrong = DELIVERY[:-3] + (b"00" if DELIVERY[-3:-1] != b"00" else b"01") + DELIVERY[-1:]
    talk = Talk().bound()
    assert refused(talk, raw(talk, wrong))
    assert heard(raw(Talk("checksum=ignored").bound(), wrong), Received)


def test_cimd2_03_a_checksum_may_be_in_either_case() -> None:
    texts = (b"%03d" % number for number in range(256))
    packets = (encode(Packet(wire.DELIVER, 2, (*MO[:3], (33, text)))) for text in texts)
    made = next(packet for packet in packets if packet[-3:-1].lower() != packet[-3:-1])
    assert heard(raw(Talk().bound(), made), Received)
    assert heard(raw(Talk().bound(), made[:-3] + made[-3:].lower()), Received)


def test_cimd2_04_a_packet_without_end_is_dropped_at_its_limit_and_closes_in_time() -> None:
    talk = Talk().bound()
    events = raw(talk, b"\x02" + b"9" * 100_000)
    assert set(notes(events)) == {"bad_pdu"}
    assert heard(raw(talk, DELIVERY), Received)
    raw(talk, DELIVERY[:20], now=1.0)
    late = [event for at in (20.0, 32.0) for event in talk.session.tick(at)]
    assert heard(late, Closing)


@pytest.mark.parametrize("number", [1, 7, 255, 256, 999, 200])
def test_cimd2_05_a_number_out_of_order_loses_no_message(number: int) -> None:
    talk = Talk().bound()
    talk.hear(wire.DELIVER, 0, *MO)
    events = talk.hear(wire.DELIVER, number, *MO)
    assert notes(events) == ["packet_number"]
    for told in range(1, 3):
        talk.session.answer(told, Outcome.DONE)
    assert [packet.number for packet in talk.said()] == [0, number]


@pytest.mark.parametrize(
    "head",
    [
        b"xx:002",
        b"2:002",
        b"020:002",
        b"20:2",
        b"20 002",
        b"20:-02",
        b"",
        b"20:002 ",
        b"\xb2\xb3:002",
    ],
)
def test_cimd2_06_an_operation_or_a_number_that_is_none_is_nacked(head: bytes) -> None:
    talk = Talk().bound()
    assert refused(talk, raw(talk, sealed(b"\x02" + head + b"\t021:1\t")))


def test_cimd2_07_the_first_of_two_parameters_counts() -> None:
    talk = Talk().bound()
    received = only(talk.hear(wire.DELIVER, 2, *MO, (33, b"other"), (21, b"9")), Received)
    assert received.inbound.payload == b"hello"
    assert received.inbound.destination == "4545"


@pytest.mark.parametrize("parameter", [b"0331", b"33:x", b":", b"", b"abc:x", b"033 x", b"-33:x"])
def test_cimd2_08_a_parameter_without_its_shape_is_nacked(parameter: bytes) -> None:
    talk = Talk().bound()
    assert refused(talk, raw(talk, sealed(b"\x0220:002\t021:1\t" + parameter + b"\t")))


def test_cimd2_09_a_nul_is_nacked() -> None:
    talk = Talk().bound()
    assert refused(talk, raw(talk, sealed(b"\x0220:002\t021:1\t023:2\t033:a\0b\t")))


def test_cimd2_10_a_general_error_fails_nothing_for_good() -> None:
    talk = Talk().bound()
    assert notes(talk.hear(98, 77, (900, b"x" * 1000))) == ["general_error"]
    packet = talk.submit()
    events = talk.hear(98, packet.number, (900, b"1"), (901, b"x" * 1000))
    failed = only(events, SubmitFailed)
    assert failed.outcome is Outcome.RETRY
    assert len(failed.reason) < 100
    assert heard(events, Closing)


def test_cimd2_11_a_nack_has_the_packet_sent_once_more_and_then_it_is_uncertain() -> None:
    talk = Talk().bound()
    packet = talk.submit()
    assert notes(talk.hear(wire.NACK, packet.number)) == ["nack"]
    [again] = talk.said()
    assert again == packet
    events = talk.hear(wire.NACK, packet.number)
    assert heard(events, Closing)
    assert not talk.said()
    assert len(heard(talk.session.connection_lost(1.0), Unanswered)) == 1


def test_cimd2_12_a_number_is_used_again_only_after_its_answer_or_its_rest() -> None:
    talk = Talk(window=10).bound()
    first = talk.submit(1)
    assert heard(talk.session.tick(60.0), Unanswered)
    talk.said()  # an alive
    used = []
    for key in range(200):
        packet = talk.submit(key, now=61.0)
        used.append(packet.number)
        talk.accept(packet, now=61.0)
    assert first.number not in used
    assert len(set(used)) < len(used)  # the others came round
    late = talk.hear(53, first.number, (60, b"261121221500"), now=62.0)
    assert notes(late) == ["late_response"]
    assert not heard(late, Submitted)
    assert RESTING >= 60.0


@pytest.mark.parametrize("text", [b"a_zzb", b"_", b"__", b"_X", b"_\xff\xff", b"_Oa_qqq_??_"])
def test_cimd2_13_sequences_that_nobody_knows_stay_and_the_octets_are_kept(text: bytes) -> None:
    talk = Talk().bound()
    events = talk.hear(wire.DELIVER, 2, *MO[:3], (33, text))
    received = only(events, Received)
    assert received.inbound.payload.decode()
    if "unknown_sequence" in notes(events):
        assert received.inbound.raw == text


@pytest.mark.parametrize(
    "text", ["Ação €".encode(), b"\xc3", b"\xed\xa0\x80", bytes(range(128, 256))]
)
def test_cimd2_14_a_text_in_utf_8_or_in_none_is_read_and_kept(text: bytes) -> None:
    talk = Talk().bound()
    received = only(talk.hear(wire.DELIVER, 2, *MO[:3], (33, text)), Received)
    assert received.inbound.payload.decode()
    if any(0x80 <= octet < 0xA0 for octet in text):
        assert received.inbound.raw == text


def test_cimd2_15_what_is_told_of_bad_input_has_no_text_of_a_message() -> None:
    talk = Talk().bound()
    body = DELIVERY[:-3].replace(b"hello", b"zebra")
    events = raw(talk, body + b"00\x03")
    events += raw(talk, sealed(body.replace(b"033:", b"033_")))
    events += talk.hear(wire.DELIVER, 2, *MO[:3], (33, b"zebra_zz\x80"))
    told = [event for event in events if isinstance(event, Noted)]
    assert len(told) >= 3
    assert not any("zebra" in note.detail for note in told)
    assert not heard(events, Bound)
