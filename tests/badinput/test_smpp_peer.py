"""Bad input from an SMSC, line by line: what a broken or hostile SMPP peer can send us."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest

from gatewayd.model import Outcome
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import (
    BindRefused,
    Bound,
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
from gatewayd.smsc.smpp_frame import Framer
from tests.smsc.test_smpp_session import Peer, bound, resp

HEAD = struct.Struct(">IIII")


def raw(command: int, sequence: int, body: bytes = b"", length: int = -1, status: int = 0) -> bytes:
    return HEAD.pack(16 + len(body) if length < 0 else length, command, status, sequence) + body


def closes(events: Any) -> bool:
    return any(isinstance(event, Closing) for event in events)


def deliver(sequence: int = 7, **fields: Any) -> pdus.Sm:
    base = {"source": b"258840000001", "destination": b"8000", "short_message": b"hi"}
    return pdus.Sm(pdus.DELIVER_SM, sequence, **{**base, **fields})


def said(peer: Peer) -> list[Any]:
    """What the session wrote since it was last asked."""
    return list(peer.said())


def heard(events: Any, kind: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("length", [0, 1, 15])
def test_smpp_a_length_below_a_header_closes(length: int) -> None:
    peer = bound()
    peer.submit(1)
    said(peer)
    events = peer.hear(raw(pdus.DELIVER_SM, 1, length=length))
    assert closes(events)
    [nack] = said(peer)
    assert (nack.command, nack.status) == (pdus.GENERIC_NACK, 0x02)
    lost = peer.session.connection_lost(1.0)
    assert heard([*events, *lost], Unanswered)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x" * 5,
        b"\0\0\0no end",
        deliver_body := b"\0\1\0" + b"1\0" + b"\1\1" + b"2\0" + b"\0" * 9,
    ],
)
def test_smpp_a_broken_request_is_refused_and_the_session_stays(body: bytes) -> None:
    peer = bound()
    if body is deliver_body:
        body += b"\xff" + b"short"  # sm_length beyond the rest
    events = peer.hear(raw(pdus.DELIVER_SM, 9, body))
    assert not closes(events)
    assert not heard(events, Received)
    [answer] = said(peer)
    assert answer.sequence == 9
    assert answer.status != 0
    assert peer.session.state is LinkState.BOUND


def test_smpp_a_broken_answer_leaves_its_submit_uncertain_and_the_session_stays() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, b"x" * 80))
    assert not closes(events)
    later = peer.session.tick(3600.0)
    assert heard([*events, *later], Unanswered) or heard(events, Submitted)


def test_smpp_more_than_ten_broken_pdus_in_a_minute_close() -> None:
    peer = bound()
    closed = [closes(peer.hear(raw(pdus.DELIVER_SM, n, b"x"), now=1.0)) for n in range(1, 30)]
    assert True in closed
    assert closed.index(True) >= 10


@pytest.mark.parametrize("length", [65537, 1 << 31, 0xFFFFFFFF])
def test_smpp_a_pdu_that_is_too_long_closes_before_it_is_read(length: int) -> None:
    peer = bound()
    assert closes(peer.hear(raw(pdus.DELIVER_SM, 1, length=length)[:16]))


def test_smpp_unknown_commands() -> None:
    peer = bound()
    assert not closes(peer.hear(raw(0x00000123, 5)))
    [nack] = said(peer)
    assert (nack.command, nack.status, nack.sequence) == (pdus.GENERIC_NACK, 0x03, 5)
    events = peer.hear(raw(0x80000123, 6))
    assert not closes(events)
    assert heard(events, Noted)
    assert not said(peer)


def test_smpp_an_answer_to_nothing_completes_nothing() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    assert not heard(peer.hear(resp(submit.sequence + 1)), Submitted)
    assert len(heard(peer.hear(resp(submit.sequence)), Submitted)) == 1
    again = peer.hear(resp(submit.sequence))
    assert not heard(again, Submitted)
    assert heard(again, Noted)


def test_smpp_an_answer_of_the_wrong_kind_and_a_nack_for_nothing() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    assert not heard(peer.hear(raw(pdus.GENERIC_NACK, 0, status=3)), Submitted)
    events = peer.hear(raw(pdus.RESPONSE | pdus.DELIVER_SM, submit.sequence, b"\0"))
    assert not heard(events, Submitted)
    assert not closes(events)


@pytest.mark.parametrize("sequence", [0, 0x80000000, 0xFFFFFFFF])
def test_smpp_odd_sequences_are_answered_with_the_same(sequence: int) -> None:
    peer = bound()
    [received] = heard(peer.hear(deliver(sequence)), Received)
    peer.session.answer(received.ticket, Outcome.DONE)
    [answer] = said(peer)
    assert answer.sequence == sequence
    assert answer.status == 0


@pytest.mark.parametrize("body", [b"", b"\0", b"\xff\xfe\0", b"9" * 65 + b"\0", b"9" * 200 + b"\0"])
def test_smpp_a_submit_answer_with_an_odd_id_is_still_sent(body: bytes) -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, body))
    assert len(heard(events, Submitted)) == 1
    assert not closes(events)


@pytest.mark.parametrize("status", [0x400, 0x4FF, 0xFFFFFFFF, 0x99])
def test_smpp_an_unknown_status_has_an_outcome(status: int) -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, status=status))
    [failed] = heard(events, SubmitFailed)
    assert failed.outcome in (Outcome.RETRY, Outcome.DEAD)


def test_smpp_bind_answers_that_are_errors_twice_or_late() -> None:
    peer = Peer()
    peer.session.start(0.0)
    [bind] = said(peer)
    early = peer.hear(deliver())
    assert not heard(early, Received)
    [refusal] = said(peer)
    assert refusal.status != 0
    answer = pdus.BindResp(bind.command | pdus.RESPONSE, 0, bind.sequence, b"S")
    assert heard(peer.hear(answer), Bound)
    assert not heard(peer.hear(answer), Bound)
    refused = Peer()
    refused.session.start(0.0)
    said(refused)
    error = pdus.BindResp(bind.command | pdus.RESPONSE, 0x0E, 1, b"")
    assert heard(refused.hear(error), BindRefused)


def test_smpp_an_unbind_in_the_middle_is_answered() -> None:
    peer = bound()
    peer.submit(1)
    said(peer)
    peer.hear(raw(pdus.UNBIND, 77))
    assert any(one.command == pdus.UNBIND_RESP for one in said(peer))
    assert peer.session.credit == 0
    events = peer.hear(raw(0x0000000B, 3, b"smsc\0pw\0"))  # outbind
    assert not heard(events, Bound)


def test_smpp_tlvs_that_are_odd() -> None:
    peer = bound()
    both = [(pdus.MESSAGE_PAYLOAD, b"payload"), (0x1400, b""), (0x1400, b"x" * 300)]
    [received] = heard(peer.hear(deliver(tlvs=both)), Received)
    assert received.inbound.payload == b"hi"  # as Kannel; docs/security.md says why
    body = pdus.encode(deliver())[16:] + b"\x14\x00\xff\xff" + b"cut"
    events = peer.hear(raw(pdus.DELIVER_SM, 8, body))
    assert not closes(events)


@pytest.mark.parametrize(
    "octets", [b"", b"\x01", b"\xd8\x00", b"\xff\xfe\xd8\x00a", b"\x1b", b"\x80"]
)
def test_smpp_every_data_coding_is_decoded_somehow(octets: bytes) -> None:
    for data_coding in range(256):
        peer = bound()
        events = peer.hear(deliver(data_coding=data_coding, short_message=octets))
        [received] = heard(events, Received)
        assert isinstance(received.inbound.payload, bytes)


@pytest.mark.parametrize(
    "udh",
    [
        b"\xff", b"\x05", b"\x05\x00\x03\x01", b"\x05\x00\x03\x01\x00\x01", b"\x05\x00\x03\x01\x02\x03",  # noqa: E501
        b"\x05\x00\x03\x01\x02\x00", b"\x00", b"\x06\x08\x04\x01\x02\x02\x01", b"\x05\x00\x09\x01\x02\x01",  # noqa: E501
    ],
)  # fmt: skip
def test_smpp_every_odd_udh_is_survived(udh: bytes) -> None:
    for data_coding in (0, 4, 8):
        peer = bound()
        events = peer.hear(deliver(esm_class=0x40, data_coding=data_coding, short_message=udh))
        assert not closes(events)
        assert heard(events, Received) or said(peer)[0].status != 0


@pytest.mark.parametrize(
    "text",
    [
        b"stat:DELIVRD id:5 err:000",
        b"extra words id:5 sub:001 stat:DELIVRD",
        b"stat:DELIVRD err:000",
        b"id:0xAF stat:NOSUCH err:",
        b"id:5 stat:DELIVRD text:id:6 stat:UNDELIV",
        b"id:5\r\nstat:DELIVRD\n\x00\xff",
        b"",
        b"\xff" * 100,
    ],
)
def test_smpp_receipts_in_every_form_are_taken(text: bytes) -> None:
    peer = bound()
    events = peer.hear(deliver(esm_class=4, short_message=text))
    found = heard(events, Receipted) + heard(events, Received)
    assert len(found) == 1
    if found and isinstance(found[0], Receipted) and b"id:5" in text:
        assert found[0].receipt.smsc_id == "5"


def test_smpp_half_a_pdu_and_then_nothing_closes() -> None:
    peer = bound()
    peer.hear(pdus.encode(deliver())[:20], now=1.0)
    assert not closes(peer.session.tick(20.0))
    events = [event for at in range(21, 40) for event in peer.session.tick(float(at))]
    assert closes(events)


@pytest.mark.parametrize(
    "octets",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\xcc\xdd\xee",  # noqa: E501
     b"SSH-2.0-OpenSSH_9.6\r\n"],
)  # fmt: skip
def test_smpp_another_protocol_closes_at_its_first_header(octets: bytes) -> None:
    peer = bound()
    assert closes(peer.hear(octets))


def test_smpp_memory_does_not_grow_with_what_is_announced() -> None:
    tracemalloc.start()
    try:
        framers = [Framer() for _ in range(1000)]
        for framer in framers:
            assert framer.feed(HEAD.pack(65536, pdus.DELIVER_SM, 0, 1)) == []
        assert tracemalloc.get_traced_memory()[0] < 1000 * 2000
    finally:
        tracemalloc.stop()
