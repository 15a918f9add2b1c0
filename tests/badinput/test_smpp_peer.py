"""Bad input from an SMSC, line by line: what a broken or hostile SMPP peer can send us."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gatewayd.config.model import SmppOptions
from gatewayd.model import Outcome
from gatewayd.simulator import MOST_CONNECTIONS, Simulator
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
from gatewayd.smsc.smpp_sim import SimulatorOptions
from tests.flow.rig import Rig, config, with_limits
from tests.net.test_bind import Bench
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
def test_smpp_01_a_length_below_a_header_closes(length: int) -> None:
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
def test_smpp_02_a_broken_request_is_refused_and_the_session_stays(body: bytes) -> None:
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


def test_smpp_03_a_broken_answer_leaves_its_submit_uncertain_and_the_session_stays() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, b"x" * 80))
    assert not closes(events)
    later = peer.session.tick(3600.0)
    assert heard([*events, *later], Unanswered) or heard(events, Submitted)


def test_smpp_04_more_than_ten_broken_pdus_in_a_minute_close() -> None:
    peer = bound()
    closed = [closes(peer.hear(raw(pdus.DELIVER_SM, n, b"x"), now=1.0)) for n in range(1, 30)]
    assert True in closed
    assert closed.index(True) >= 10


def test_smpp_02_a_request_longer_than_its_fields_is_taken_and_noted() -> None:
    peer = bound()
    body = pdus.encode(deliver())[16:] + b"\0" * 3
    events = peer.hear(raw(pdus.DELIVER_SM, 9, body))
    assert len(heard(events, Received)) == 1
    assert not closes(events)


@pytest.mark.parametrize("length", [65537, 1 << 31, 0xFFFFFFFF])
def test_smpp_05_a_pdu_that_is_too_long_closes_before_it_is_read(length: int) -> None:
    peer = bound()
    assert closes(peer.hear(raw(pdus.DELIVER_SM, 1, length=length)[:16]))


def test_smpp_06_07_unknown_commands() -> None:
    peer = bound()
    assert not closes(peer.hear(raw(0x00000123, 5)))
    [nack] = said(peer)
    assert (nack.command, nack.status, nack.sequence) == (pdus.GENERIC_NACK, 0x03, 5)
    events = peer.hear(raw(0x80000123, 6))
    assert not closes(events)
    assert heard(events, Noted)
    assert not said(peer)


def test_smpp_08_an_answer_to_nothing_completes_nothing() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    assert not heard(peer.hear(resp(submit.sequence + 1)), Submitted)
    assert len(heard(peer.hear(resp(submit.sequence)), Submitted)) == 1
    again = peer.hear(resp(submit.sequence))
    assert not heard(again, Submitted)
    assert heard(again, Noted)


def test_smpp_09_10_an_answer_of_the_wrong_kind_and_a_nack_for_nothing() -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    assert not heard(peer.hear(raw(pdus.GENERIC_NACK, 0, status=3)), Submitted)
    events = peer.hear(raw(pdus.RESPONSE | pdus.DELIVER_SM, submit.sequence, b"\0"))
    assert not heard(events, Submitted)
    assert not closes(events)


@pytest.mark.parametrize("sequence", [0, 0x80000000, 0xFFFFFFFF])
def test_smpp_11_odd_sequences_are_answered_with_the_same(sequence: int) -> None:
    peer = bound()
    [received] = heard(peer.hear(deliver(sequence)), Received)
    peer.session.answer(received.ticket, Outcome.DONE)
    [answer] = said(peer)
    assert answer.sequence == sequence
    assert answer.status == 0


def test_smpp_12_a_sequence_used_twice_is_answered_twice() -> None:
    peer = bound()
    received = heard(peer.hear(deliver(7), deliver(7, short_message=b"other")), Received)
    for each in received:
        peer.session.answer(each.ticket, Outcome.DONE)
    assert [answer.sequence for answer in said(peer)] == [7, 7]


def test_smpp_12_a_repeated_deliver_sm_is_told_once() -> None:
    gateway = Rig(config())
    gateway.bind("a/0")
    first = gateway.deliver(payload=b"yes")
    gateway.turn()
    gateway.lose("a/0")
    gateway.bind("a/0")
    second = gateway.deliver(payload=b"yes")
    gateway.turn()
    assert [gateway.outcome(ticket) for ticket in (first, second)] == ["done", "done"]
    assert len(gateway.web.calls) == 1


def test_smpp_15_of_two_messages_with_one_id_the_newer_has_the_receipt() -> None:
    gateway = Rig(config())
    for text in ("old", "new"):
        gateway.accept(text, dlr_mask=1, dlr_url=f"http://p/{text}?d=%d")
        gateway.turn()
        [segment] = gateway.ports["a/0"].waiting
        gateway.taken("a/0", segment, "same")
        gateway.turn()
    gateway.receipt("same")
    gateway.turn()
    assert gateway.web.urls == ["http://p/new?d=1"]
    assert gateway.dlr.ids_repeated == 1


@pytest.mark.parametrize("body", [b"", b"\0", b"\xff\xfe\0", b"9" * 65 + b"\0", b"9" * 200 + b"\0"])
def test_smpp_13_14_a_submit_answer_with_an_odd_id_is_still_sent(body: bytes) -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, body))
    assert len(heard(events, Submitted)) == 1
    assert not closes(events)


@pytest.mark.parametrize("status", [0x400, 0x4FF, 0xFFFFFFFF, 0x99])
def test_smpp_16_an_unknown_status_has_an_outcome(status: int) -> None:
    peer = bound()
    peer.submit(1)
    [submit] = said(peer)
    events = peer.hear(raw(pdus.SUBMIT_SM_RESP, submit.sequence, status=status))
    [failed] = heard(events, SubmitFailed)
    assert failed.outcome in (Outcome.RETRY, Outcome.DEAD)


def test_smpp_17_18_19_bind_answers_that_are_errors_or_twice_and_what_comes_before() -> None:
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


def test_smpp_20_21_an_unbind_in_the_middle_is_answered_and_an_outbind_binds_nothing() -> None:
    peer = bound()
    peer.submit(1)
    said(peer)
    peer.hear(raw(pdus.UNBIND, 77))
    assert any(one.command == pdus.UNBIND_RESP for one in said(peer))
    assert peer.session.credit == 0
    events = peer.hear(raw(0x0000000B, 3, b"smsc\0pw\0"))  # outbind
    assert not heard(events, Bound)


def test_smpp_22_tlvs_that_are_odd() -> None:
    peer = bound()
    both = [(pdus.MESSAGE_PAYLOAD, b"payload"), (0x1400, b""), (0x1400, b"x" * 300)]
    [received] = heard(peer.hear(deliver(tlvs=both)), Received)
    assert received.inbound.payload == b"hi"  # as Kannel; docs/security.md says why
    body = pdus.encode(deliver())[16:] + b"\x14\x00\xff\xff" + b"cut"
    said(peer)
    events = peer.hear(raw(pdus.DELIVER_SM, 8, body))
    assert not closes(events)
    assert not heard(events, Received)
    [refusal] = said(peer)
    assert (refusal.sequence, refusal.status) == (8, 0xC0)


@pytest.mark.parametrize(
    "octets", [b"", b"\x01", b"\xd8\x00", b"\xff\xfe\xd8\x00a", b"\x1b", b"\x80"]
)
def test_smpp_23_every_data_coding_is_decoded_somehow(octets: bytes) -> None:
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
def test_smpp_24_25_every_odd_udh_is_survived(udh: bytes) -> None:
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
def test_smpp_26_receipts_in_every_form_are_taken(text: bytes) -> None:
    peer = bound()
    events = peer.hear(deliver(esm_class=4, short_message=text))
    found = heard(events, Receipted) + heard(events, Received)
    assert len(found) == 1
    if found and isinstance(found[0], Receipted) and b"id:5" in text:
        assert found[0].receipt.smsc_id == "5"


def test_smpp_27_half_a_pdu_and_then_nothing_closes() -> None:
    peer = bound()
    peer.hear(pdus.encode(deliver())[:20], now=1.0)
    assert not closes(peer.session.tick(20.0))
    events = [event for at in range(21, 40) for event in peer.session.tick(float(at))]
    assert closes(events)


def test_smpp_17_wrong_credentials_are_not_hammered() -> None:
    bench = Bench(refused_pause=600.0).start()
    bench.accept(status=0x0E)
    bench.clock.pump([1.0] * 590)
    assert len(bench.tried) == 1
    bench.clock.pump([1.0] * 20)
    assert len(bench.tried) == 2


def test_smpp_18_a_bind_answer_after_its_time_binds_nothing() -> None:
    peer = Peer()
    peer.session.start(0.0)
    [bind] = said(peer)
    assert closes(peer.session.tick(3600.0))
    answer = pdus.BindResp(bind.command | pdus.RESPONSE, 0, bind.sequence, b"S")
    assert not peer.hear(answer, now=3601.0)
    assert peer.session.credit == 0


def test_smpp_23_what_cannot_be_decoded_is_replaced_and_kept() -> None:
    for data_coding, octets in ((8, b"\xd8\x00"), (8, b"\x00a\x00"), (0, b"\x80\xff")):
        peer = bound()
        message = deliver(data_coding=data_coding, short_message=octets)
        [received] = heard(peer.hear(message), Received)
        assert received.inbound.raw == octets


def udh(*place: int) -> bytes:
    return bytes((5, 0, 3, *place))


def parts_told(*parts: tuple[bytes, bytes]) -> list[str]:
    """What a platform is told of an MO's parts, at last."""
    gateway = Rig(config())
    for header, text in parts:
        gateway.deliver(udh=header, payload=text)
        gateway.turn()
    gateway.turn(2 * gateway.config.limits.part_timeout, 1)
    gateway.mo.sweep()
    gateway.turn()
    while gateway.web.open:
        gateway.web.answer()
        gateway.turn()
    assert not gateway.disk.rows()
    return [call.body.decode() for call in gateway.web.calls]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        pytest.param([(udh(1, 0, 1), b"a")], ["a"], id="no parts"),
        pytest.param([(udh(1, 2, 3), b"a")], ["a"], id="part above the total"),
        pytest.param([(udh(1, 2, 0), b"a")], ["a"], id="part 0"),
        pytest.param([(udh(1, 2, 1), b"a"), (udh(1, 2, 2), b"b")], ["ab"], id="whole"),
        pytest.param([(udh(1, 3, 1), b"a"), (udh(1, 3, 3), b"c")], ["a", "c"], id="one is missing"),
        pytest.param(
            [
                (udh(1, 2, 1), b"a"),
                (udh(1, 2, 2), b"b"),
                (udh(1, 2, 1), b"c"),
                (udh(1, 2, 2), b"d"),
            ],
            ["ab", "cd"],
            id="reference used again",
        ),
    ],
)
def test_smpp_25_parts_that_make_no_sense_are_told_in_the_end(
    parts: list[tuple[bytes, bytes]], told: list[str]
) -> None:
    assert parts_told(*parts) == told


def test_smpp_25_a_part_with_another_text_neither_replaces_nor_multiplies() -> None:
    told = parts_told((udh(1, 2, 1), b"a"), (udh(1, 2, 1), b"x"), (udh(1, 2, 2), b"b"))
    assert told == ["a", "xb"]


def test_smpp_25_parts_that_never_end_are_bounded() -> None:
    gateway = Rig(with_limits(config(), parts_waiting=100))
    for number in range(300):
        gateway.deliver(source=f"25884{number}", udh=udh(number % 256, 255, 1), payload=b"x")
    gateway.turn()
    assert gateway.mo.parts_waiting == 100


def test_smpp_27_an_octet_in_ten_seconds_closes() -> None:
    peer = bound()
    events: list[Event] = []
    for at, octet in enumerate(pdus.encode(deliver()), 1):
        events += peer.session.tick(at * 10.0)
        if closes(events):
            break
        events += peer.hear(bytes([octet]), now=at * 10.0)
    assert closes(events)
    assert at <= 5


def test_smpp_28_a_peer_that_reads_nothing_gets_no_more_and_is_dropped() -> None:
    bench = Bench(window=50, smpp=SmppOptions(enquire_interval=30.0)).bound()
    bench.submit(1, 2, 3)
    bench.wire.producer.pauseProducing()  # the transport holds 64 kB that do not go
    assert bench.service.credit == 0
    bench.wire.hangs = True
    bench.clock.pump([1.0] * 200)
    assert [segment.id for segment in bench.given_back] == [1, 2, 3]
    assert bench.wires[0].protocol is None


def test_smpp_30_a_simulated_smsc_takes_so_many_connections_and_no_more() -> None:
    clock = Clock()
    simulator = Simulator(SimulatorOptions(), clock, chance=lambda: 0.5, wall=lambda: 1.8e9)
    refused = 0
    for _ in range(1000):
        link = simulator.buildProtocol(None)
        refused += link is None
        if link is not None:
            link.makeConnection(StringTransport())  # type: ignore[no-untyped-call]
    assert len(simulator.links) == MOST_CONNECTIONS
    assert refused == 1000 - MOST_CONNECTIONS
    clock.pump([1.0] * 30)  # none of them binds
    assert all(link.transport.disconnecting for link in simulator.links)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "octets",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xaa\xbb\xcc\xdd\xee",  # noqa: E501
     b"SSH-2.0-OpenSSH_9.6\r\n"],
)  # fmt: skip
def test_smpp_29_another_protocol_closes_at_its_first_header(octets: bytes) -> None:
    peer = bound()
    assert closes(peer.hear(octets))


def test_smpp_05_memory_does_not_grow_with_what_is_announced() -> None:
    tracemalloc.start()
    try:
        framers = [Framer() for _ in range(1000)]
        for framer in framers:
            assert framer.feed(HEAD.pack(65536, pdus.DELIVER_SM, 0, 1)) == []
        assert tracemalloc.get_traced_memory()[0] < 1000 * 2000
    finally:
        tracemalloc.stop()
