"""Bad input from an SMSC, line by line: what a broken or hostile UCP/EMI peer can send us."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gatewayd.model import Outcome
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import (
    BindRefused,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.link import LinkState
from gatewayd.smsc.session import BAD_PDUS
from gatewayd.smsc.ucp import SHORTEST_REST
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_numbers import NUMBERS
from tests.smsc.test_ucp_session import Talk, only, whats

OPERATION = ucp.encode(Frame(7, False, ucp.ALERT, ("4545", "0539")))
RESULT = ucp.encode(Frame(0, True, ucp.SUBMIT, ("A", "", "")))


def heard(events: Sequence[Event], *kinds: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


def spoilt(frame: bytes, what: str) -> bytes:
    """A good frame with its checksum or its length made wrong, the other one right."""
    if what == "checksum":
        return frame[:-3] + (b"00" if frame[-3:-1] != b"00" else b"01") + frame[-1:]
    body = frame[1:4] + b"00099" + frame[9:-3]
    return b"\x02%b%02X\x03" % (body, sum(body) & 0xFF)


def test_ucp_01_a_frame_that_does_not_end_in_its_time_or_room_closes() -> None:
    talk = Talk().bound()
    talk.submit()
    assert not heard(talk.hear(b"\x02" + b"9" * 60_000), Closing)
    assert heard(talk.hear(b"9" * 6_000), Closing)
    assert heard(talk.session.connection_lost(1.0), Unanswered)
    slow = Talk().bound()
    slow.hear(b"\x0207/000")
    assert not heard(slow.at(29.0), Closing)
    assert heard(slow.at(31.0), Closing)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        pytest.param("checksum", "01", id="ucp-02 checksum"),
        pytest.param("length", "02", id="ucp-03 length"),
    ],
)
def test_a_broken_operation_gets_its_code_and_a_broken_result_none(what: str, code: str) -> None:
    talk = Talk().bound()
    talk.submit()
    assert whats(talk.hear(spoilt(OPERATION, what))) == ["bad_pdu"]
    [answer] = talk.written()
    assert (answer.number, answer.result, answer.operation) == (7, True, ucp.ALERT)
    assert answer.fields[:2] == ("N", code)
    assert whats(talk.hear(spoilt(RESULT, what))) == ["bad_pdu"]
    assert not talk.written()
    assert talk.session.in_flight == 1  # its own timer settles it
    assert heard(talk.at(1000.0), Unanswered)


def test_ucp_04_a_broken_result_is_counted_and_too_many_broken_frames_close() -> None:
    talk = Talk().bound()
    for _ in range(BAD_PDUS):
        events = talk.hear(spoilt(RESULT, "checksum"))
        assert whats(events) == ["bad_pdu"]
        assert not heard(events, Closing, Submitted)
    assert heard(talk.hear(spoilt(RESULT, "checksum")), Closing)


def test_ucp_05_a_number_is_used_again_only_after_its_result_or_its_rest() -> None:
    talk = Talk(window=500, response_timeout=10.0).bound()
    used = [talk.submit(n).number for n in range(1, talk.session.credit + 1)]
    assert len(set(used)) == len(used) <= NUMBERS
    assert talk.session.credit == 0
    given_up = heard(talk.at(10.0), Unanswered)
    assert len(given_up) == len(used)
    assert talk.session.credit < NUMBERS // 2  # the numbers rest
    late = talk.result(used[0], "A", "", "250788123456:211126221500")
    assert not heard(late, Submitted, SubmitFailed)
    assert whats(late) == ["late_response"]
    talk.at(10.0 + SHORTEST_REST)
    assert talk.session.credit >= NUMBERS - 2


def test_ucp_06_a_result_for_a_free_number_completes_nothing() -> None:
    talk = Talk().bound()
    frame = talk.submit()
    events = talk.result((frame.number + 1) % NUMBERS, "A", "", "x:211126221500")
    assert whats(events) == ["unknown_response"]
    assert not heard(events, Submitted, SubmitFailed)
    assert whats(talk.result(frame.number, "A", operation=ucp.ALERT)) == ["unknown_response"]
    assert only(talk.result(frame.number, "A", "", "x:211126221500"), Submitted)


def test_ucp_07_an_operation_that_nobody_knows_is_refused_with_03() -> None:
    talk = Talk().bound()
    for operation in (0, 4, 29, 59, 99):
        assert whats(talk.hear(Frame(3, False, operation, ("x",)))) == ["unknown_command"]
        [answer] = talk.written()
        assert answer.fields[:2] == ("N", "03")
    assert talk.session.state is LinkState.BOUND


@pytest.mark.parametrize("half", [OPERATION[:9], b"\x02", b"\x02\x02\x02", b"\x02" + b"x" * 400])
def test_ucp_08_an_stx_inside_a_frame_begins_it_anew(half: bytes) -> None:
    talk = Talk().bound()
    assert whats(talk.hear(half + OPERATION)) == ["noise"]
    [answer] = talk.written()
    assert (answer.number, answer.fields[0]) == (7, "A")


@pytest.mark.parametrize("text", ["4", "4G", "zz", "41 42", "+4142"])
def test_ucp_09_a_text_that_is_not_hex_is_refused_with_02(text: str) -> None:
    talk = Talk().bound()
    assert not heard(talk.deliver(ucp.DELIVER, Msg=text), Received)
    [answer] = talk.written()
    assert answer.fields[:2] == ("N", "02")


def test_ucp_09_an_octet_above_seven_bits_is_no_reason_to_lose_a_message() -> None:
    talk = Talk().bound()
    received = only(talk.deliver(ucp.DELIVER, Msg="41C3FF"), Received)
    assert received.inbound.raw == b"\x41\xc3\xff"
    talk.session.answer(received.ticket, Outcome.DONE)
    assert talk.written()[0].fields[0] == "A"


def test_ucp_10_a_refused_login_is_told_from_a_busy_smsc() -> None:
    for code, outcome in (("07", Outcome.DEAD), ("08", Outcome.DEAD), ("04", Outcome.RETRY)):
        talk = Talk()
        talk.written()
        events = talk.result(0, "N", code, "x" * 60_000, operation=ucp.SESSION)
        refused = only(events, BindRefused)
        assert refused.outcome is outcome
        assert len(refused.reason) < 300
        assert heard(events, Closing)


def test_ucp_11_a_delivery_or_notification_that_comes_twice_is_answered_twice() -> None:
    talk = Talk().bound()
    for operation in (ucp.DELIVER, ucp.NOTIFY, ucp.DELIVER, ucp.NOTIFY):
        [told] = heard(talk.deliver(operation, 5, Dst="0"), Received, Receipted)
        talk.session.answer(told.ticket, Outcome.DONE)
        [answer] = talk.written()
        assert (answer.number, answer.operation, answer.fields[0]) == (5, operation, "A")


@pytest.mark.parametrize("operation", [ucp.CALL_INPUT, ucp.ALERT, ucp.DELIVER, ucp.NOTIFY])
@pytest.mark.parametrize("count", [0, 1, 4, 32, 34, 60])
def test_ucp_12_another_number_of_fields_is_refused_or_read(operation: int, count: int) -> None:
    talk = Talk().bound()
    events = talk.hear(Frame(9, False, operation, ("1",) * count))
    [answer] = talk.written() or [Frame(9, True, operation, ("waits",))]
    assert (answer.number, answer.result) == (9, True)
    if count < len(ucp.NAMES[operation]):
        assert answer.fields[:2] == ("N", "02")
        assert not heard(events, Received, Receipted)
    assert talk.session.state is LinkState.BOUND


@pytest.mark.parametrize("operation", [ucp.CALL_INPUT, ucp.ALERT, ucp.DELIVER, ucp.NOTIFY])
def test_ucp_13_empty_fields_everywhere_do_no_harm(operation: int) -> None:
    talk = Talk().bound()
    count = len(ucp.NAMES[operation])
    for told in heard(talk.hear(Frame(9, False, operation, ("",) * count)), Received, Receipted):
        talk.session.answer(told.ticket, Outcome.DONE)
    [answer] = talk.written()
    assert answer.number == 9
    for result in ((), ("",), ("A",), ("N",), ("", "", "", "")):
        number = talk.submit().number
        events = talk.result(number, *result)
        assert len(heard(events, Submitted, SubmitFailed)) == 1
        if result[:1] != ("A",):
            assert heard(events, SubmitFailed)


def test_ucp_14_what_is_told_of_bad_input_has_no_text_of_a_message() -> None:
    talk = Talk().bound()
    talk.deliver(ucp.DELIVER, Msg=b"zebra".hex() + "G")
    talk.deliver(ucp.DELIVER, XSer="zebra", Msg="41")
    talk.hear(spoilt(ucp.encode(Frame(1, False, 52, ("zebra",) * 33)), "checksum"))
    notes = [event for event in talk.events if isinstance(event, Noted)]
    assert len(notes) == 3
    assert not any("zebra" in note.detail or b"zebra".hex() in note.detail for note in notes)
