"""The SMSC's end of CIMD2: our two sessions with each other, and each fault a simulator makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Outcome, Segment
from gatewayd.simulator import Link, Simulator
from gatewayd.smsc import cimd2_sim
from gatewayd.smsc.cimd2 import Cimd2Session
from gatewayd.smsc.cimd2_frame import Packet, decode, encode
from gatewayd.smsc.cimd2_server import BAD_PACKETS, Cimd2ServerSession
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Noted,
    Receipted,
    Received,
    SessionOptions,
    SubmitFailed,
    Submitted,
)
from gatewayd.smsc.link import LinkState
from gatewayd.smsc.server import (
    Attached,
    Credentials,
    Delivered,
    ServerOptions,
    Speech,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.smpp_sim import SimulatorOptions

WALL = 1_795_301_000.0
E = TypeVar("E")


def client(window: int = 1) -> Cimd2Session:
    bind = BindConfig("a/0")
    smpp = SmppOptions(system_id="foo", password=Secret("bar"), enquire_interval=0.0)
    smsc = SmscConfig("a", "a", protocol="cimd2", binds=(bind,), window=window, smpp=smpp)
    return Cimd2Session(SessionOptions(smsc, bind))


def segment(key: int, text: bytes = b"hello") -> Segment:
    return Segment(key, "4545", "+250788123456", text, dlr_mask=3)


class Pair:
    """Both ends of one link."""

    def __init__(
        self,
        window: int = 1,
        admit: Callable[[Credentials], int] = lambda credentials: 0,
        **options: Any,
    ) -> None:
        self.client = client(window)
        self.server = Cimd2ServerSession(ServerOptions(**options), admit)
        self.heard: list[Any] = []  # by the client
        self.asked: list[Any] = []  # of the server
        self.server.start(0.0)
        self.client.start(0.0)
        self.carry(0.0)

    def carry(self, now: float) -> None:
        while True:
            up, down = self.client.take_bytes(), self.server.take_bytes()
            if not up and not down:
                return
            self.asked += self.server.receive(up, now)
            self.heard += self.client.receive(down, now)

    def submit(self, key: int = 1, now: float = 0.0) -> Submit:
        assert self.client.submit(segment(key), now) is None
        self.carry(now)
        return last(self.asked, Submit)


def last(events: Sequence[object], kind: type[E]) -> E:
    return [event for event in events if isinstance(event, kind)][-1]


def told(session: Cimd2ServerSession, packet: Packet, now: float = 0.0) -> list[Any]:
    return list(session.receive(encode(packet), now))


def attached(**options: Any) -> Cimd2ServerSession:
    session = Cimd2ServerSession(ServerOptions(**options), lambda credentials: 0)
    session.start(0.0)
    told(session, Packet(1, 1, ((10, b"foo"), (11, b"bar"))))
    session.take_bytes()
    return session


def test_a_login_is_admitted_behind_a_greeting() -> None:
    seen: list[tuple[bytes, bytes]] = []

    def admit(credentials: Credentials) -> int:
        seen.append((credentials.system_id, credentials.password))
        assert "bar" not in repr(credentials)
        return 0

    pair = Pair(admit=admit)
    assert pair.heard == [Bound()]
    assert seen == [(b"foo", b"bar")]
    assert last(pair.asked, Attached).system_id == "foo"


@pytest.mark.parametrize(("code", "outcome"), [(100, Outcome.DEAD), (103, Outcome.RETRY)])
def test_a_login_is_turned_away(code: int, outcome: Outcome) -> None:
    pair = Pair(admit=lambda credentials: code)
    assert last(pair.heard, BindRefused).outcome is outcome
    assert last(pair.asked, TurnedAway) == TurnedAway("foo", code)
    assert pair.server.state is LinkState.CLOSED


def test_a_window_is_granted_up_to_the_servers_own() -> None:
    assert Pair(window=10).client.credit == 10
    pair = Pair(window=100)
    assert (pair.client.credit, pair.server.credit) == (50, 50)
    assert Pair().server.credit == 1


def test_a_submit_is_answered_and_its_report_finds_it() -> None:
    pair = Pair()
    asked = pair.submit()
    stamp, named = cimd2_sim.ids(12345, False)
    pair.server.answer(asked.ticket, 0, stamp)
    pair.carry(0.5)
    submitted = last(pair.heard, Submitted)
    assert (submitted.segment, submitted.seconds) == (segment(1), 0.5)
    for delivered, status in ((True, 1), (False, 2)):
        report = cimd2_sim.receipt(
            asked.pdu, named, delivered=delivered, submitted=WALL, done=WALL + 1
        )
        assert cimd2_sim.wants_receipt(asked.pdu, delivered)
        pair.server.deliver(report, 7, 1.0)
        assert pair.server.credit == 0
        pair.carry(1.0)
        receipted = last(pair.heard, Receipted)
        assert (receipted.receipt.smsc_id, receipted.receipt.status) == (submitted.smsc_id, status)
        pair.client.answer(receipted.ticket, Outcome.DONE)
        pair.carry(3.0)
        assert last(pair.asked, Delivered) == Delivered(7, 0, 2.0)


def test_each_fault_a_simulator_makes_reaches_the_client() -> None:
    pair = Pair()
    for status, outcome in ((cimd2_sim.THROTTLED, Outcome.THROTTLED), (300, Outcome.DEAD)):
        pair.server.answer(pair.submit().ticket, status)
        pair.carry(0.0)
        assert last(pair.heard, SubmitFailed).outcome is outcome
    asked = pair.submit(3)
    pair.server.forget(asked.ticket)
    pair.server.answer(asked.ticket, 0, "1")
    pair.carry(0.0)
    assert (pair.client.in_flight, pair.server.unanswered) == (1, 0)


def test_an_mo_is_followed_until_it_is_answered() -> None:
    pair = Pair()
    text = "Grüße @ € " * 30
    parts = cimd2_sim.messages("+250788123456", "4545", text, 7, WALL)
    assert len(parts) == 3
    joined = ""
    for tag, part in enumerate(parts):
        assert pair.server.credit == 1
        pair.server.deliver(part, tag, 0.0)
        pair.carry(0.0)
        received = last(pair.heard, Received)
        joined += received.inbound.payload.decode()
        assert received.inbound.udh[:3] == b"\5\0\3"
        pair.client.answer(received.ticket, Outcome.DONE)
        pair.carry(0.0)
        assert last(pair.asked, Delivered).tag == tag
    assert joined == text
    pair.server.deliver(cimd2_sim.messages("1", "2", "Привет", 7, WALL)[0], 9, 0.0)
    pair.carry(0.0)
    received = last(pair.heard, Received)
    assert received.inbound.payload.decode("utf-16-be") == "Привет"
    pair.client.answer(received.ticket, Outcome.DEAD)
    pair.carry(0.0)
    assert last(pair.asked, Delivered).status == 9
    assert last(pair.asked, Delivered).status not in cimd2_sim.TEMPORARY


def test_a_delivery_without_an_answer_comes_back() -> None:
    session = attached()
    session.deliver(cimd2_sim.messages("1", "2", "x", 0, WALL)[0], 5, 0.0)
    assert session.deadline() <= 60.0
    assert last(session.tick(60.0), Undelivered).tag == 5
    session.deliver(cimd2_sim.messages("1", "2", "x", 0, WALL)[0], 6, 60.0)
    assert session.connection_lost(61.0) == [Undelivered(6, "link lost")]
    assert session.deadline() == inf


def test_an_echo_answers_with_the_same_text() -> None:
    pair = Pair()
    asked = pair.submit()
    answer = cimd2_sim.echo(asked.pdu, WALL)
    assert cimd2_sim.addresses(asked.pdu) == ("4545", "+250788123456")
    assert cimd2_sim.addresses(answer) == ("+250788123456", "4545")
    assert cimd2_sim.readable(answer) == cimd2_sim.readable(asked.pdu) == "hello"


def test_reports_are_sent_only_where_they_are_asked_for() -> None:
    for wish, delivered, failed in ((b"0", 0, 0), (b"8", 1, 0), (b"4", 0, 1), (b"x", 0, 0)):
        submit = Packet(3, 3, ((56, wish),))
        assert cimd2_sim.wants_receipt(submit, True) == delivered
        assert cimd2_sim.wants_receipt(submit, False) == failed
    assert cimd2_sim.wants_receipt(Packet(3, 3), True)


def test_every_message_has_a_timestamp_of_its_own() -> None:
    stamps = {cimd2_sim.ids(number, False)[0] for number in range(10**12, 10**12 + 1000)}
    assert len(stamps) == 1000
    assert all(len(stamp) == 12 and stamp.isdigit() for stamp in stamps)


def test_alive_goes_both_ways_and_silence_ends_the_link() -> None:
    pair = Pair(enquire_interval=30.0)
    pair.asked += pair.server.tick(30.0)
    pair.carry(30.5)
    assert last(pair.asked, Alive) == Alive(0.5)
    session = attached(enquire_interval=30.0)
    session.tick(30.0)
    session.tick(40.0)
    assert isinstance(session.tick(50.0)[-1], Closing)


def test_either_end_may_log_out() -> None:
    pair = Pair()
    pair.client.stop(1.0)
    pair.carry(1.0)
    assert last(pair.asked, Closing)
    assert last(pair.heard, Closing)
    pair = Pair()
    asked = pair.submit()
    pair.server.stop(1.0)
    assert pair.server.credit == 0
    pair.server.answer(asked.ticket, 0, "1")
    pair.carry(1.0)
    assert pair.server.state is pair.client.state is LinkState.CLOSED


def test_a_stop_does_not_wait_for_ever() -> None:
    session = attached()
    told(session, Packet(3, 3, ((21, b"1"),)))
    session.stop(1.0)
    session.tick(6.0)
    assert session.state is LinkState.UNBINDING
    assert isinstance(session.tick(session.deadline())[-1], Closing)


def test_nobody_submits_before_the_login_and_a_second_one_is_refused() -> None:
    session = Cimd2ServerSession(ServerOptions(), lambda credentials: 0)
    session.start(0.0)
    session.take_bytes()
    assert [type(event) for event in told(session, Packet(3, 3))] == [Noted]
    assert decode(session.take_bytes()).operation == 98
    told(session, Packet(1, 1, ((10, b"foo"),)))
    session.take_bytes()
    assert last(told(session, Packet(1, 1, ((10, b"foo"),))), Noted).what == "second_bind"
    assert decode(session.take_bytes()).get(900) == b"001"
    assert isinstance(
        Cimd2ServerSession(ServerOptions(), lambda credentials: 0).tick(10.0)[-1], Closing
    )


def test_strange_packets_are_refused_and_broken_ones_nacked() -> None:
    session = attached(most_submits=1)
    told(session, Packet(3, 3, ((21, b"1"),)))
    told(session, Packet(3, 5, ((21, b"1"),)))
    assert decode(session.take_bytes()).get(900) == b"010"
    told(session, Packet(4, 7))
    refusal = decode(session.take_bytes())
    assert (refusal.operation, refusal.get(900)) == (54, b"001")
    for operation in (70, 90, 98, 99):
        assert last(told(session, Packet(operation, 8)), Noted).what == "unknown_response"
    session.receive(b"\x0203:009\t00\x03", 0.0)
    assert decode(session.take_bytes()) == Packet(99, 9)
    events = session.receive(b"\x0203:009\t00\x03" * BAD_PACKETS, 0.0)
    assert isinstance(events[-1], Closing)
    session = attached(partial_pdu_timeout=30.0, enquire_interval=0.0)
    session.receive(b"\x0203", 1.0)
    assert isinstance(session.tick(session.deadline())[-1], Closing)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_garbage_never_raises(chunks: list[bytes]) -> None:
    session = attached()
    for chunk in chunks:
        session.receive(b"\x02" + chunk, 0.0)
        session.receive(b"\x0203:003\t021:" + chunk + b"\t\x03", 0.0)
        session.take_bytes()


class Wire(StringTransport):
    closed = False

    def loseConnection(self) -> None:
        self.closed = True


def test_a_simulator_speaks_it() -> None:
    clock = Clock()
    lines: list[str] = []
    speech: Speech = cimd2_sim
    throws: Iterator[float] = iter([0.999] * 100)
    simulator = Simulator(
        SimulatorOptions(receipts=1.0, echo=True, system_id="foo", show=True),
        clock,
        chance=lambda: next(throws),
        wall=lambda: WALL + clock.seconds(),
        tell=lines.append,
        speech=speech,
    )
    wire = Wire()  # type: ignore[no-untyped-call]
    link = simulator.buildProtocol(None)
    assert isinstance(link, Link)
    link.makeConnection(wire)  # type: ignore[no-untyped-call]
    session = client()
    heard: list[Any] = []

    def carry() -> None:
        for _ in range(4):
            clock.advance(0)
            written: bytes = wire.value()  # type: ignore[no-untyped-call]
            wire.clear()  # type: ignore[no-untyped-call]
            for event in session.receive(written, clock.seconds()):
                heard.append(event)
                if isinstance(event, Received | Receipted):
                    session.answer(event.ticket, Outcome.DONE)
            data = session.take_bytes()
            if data:
                link.dataReceived(data)

    session.start(0.0)
    carry()
    assert session.submit(segment(1), 0.0) is None
    carry()
    for _ in range(30):
        clock.advance(0.1)
        carry()
    submitted = last(heard, Submitted)
    assert last(heard, Receipted).receipt.smsc_id == submitted.smsc_id
    assert last(heard, Received).inbound.payload == b"hello"
    assert (simulator.taken, simulator.receipts, simulator.mos) == (1, 1, 1)
    assert any("+250788123456" in line for line in lines)
    simulator.stop()
    carry()
    assert session.state is LinkState.CLOSED
    assert wire.closed
