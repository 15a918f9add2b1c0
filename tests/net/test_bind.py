"""One bind: bytes and time to and from a session, and reconnecting. Over memory, no ports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.config import BindConfig, Retry, Secret, SmppOptions, SmscConfig
from gatewayd.model import Outcome, Segment
from gatewayd.net.bind import Answer, BindService
from gatewayd.net.link import CLOSE_TIMEOUT
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import (
    Bound,
    Closing,
    Event,
    Noted,
    Received,
    SessionOptions,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.smsc.smpp import SmppSession

RECONNECT = Retry(first=1.0, factor=2.0, cap=8.0, jitter=0.0)


class Wire(StringTransport):
    """The link, seen from the SMSC; it ends when both sides say so."""

    producer: Any

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.writes: list[bytes] = []
        self.protocol: Any = None
        self.hangs = False  # the peer never reads: closing in order takes for ever

    def write(self, data: bytes) -> None:
        self.writes.append(data)
        super().write(data)  # type: ignore[no-untyped-call]

    def loseConnection(self) -> None:
        super().loseConnection()  # type: ignore[no-untyped-call]
        if not self.hangs and self.producer is None:  # as TLS does with a producer
            self.ended(ConnectionDone())

    def abortConnection(self) -> None:
        self.ended(ConnectionLost())

    def ended(self, error: Exception) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(error))

    def pdus(self) -> list[pdus.Pdu]:
        """What we wrote since the last look."""
        data, found = self.value(), []  # type: ignore[no-untyped-call]
        self.clear()  # type: ignore[no-untyped-call]
        while data:
            length = int.from_bytes(data[:4], "big")
            found.append(pdus.decode(data[:length]))
            data = data[length:]
        return found

    def say(self, *frames: bytes) -> None:
        assert self.protocol is not None
        self.protocol.dataReceived(b"".join(frames))


@implementer(IStreamClientEndpoint)
class Target:
    """Where a bind connects to."""

    def __init__(self, bench: Bench, host: str, port: int) -> None:
        self._bench = bench
        self._place = (host, port)

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        bench = self._bench
        bench.tried.append((bench.clock.seconds(), self._place))
        if bench.refuses:
            return fail(ConnectError(string=bench.refuses))
        waiting: Deferred[IProtocol] = Deferred()

        def go() -> None:
            wire = Wire()
            wire.protocol = protocolFactory.buildProtocol(None)
            bench.wires.append(wire)
            wire.protocol.makeConnection(wire)
            waiting.callback(wire.protocol)

        if bench.slow:
            bench.pending.append(go)
        else:
            go()
        return waiting


class Bench:
    """A bind, and what its lane hears."""

    def __init__(self, *, limit: int = 50, chance: float = 0.5, **fields: Any) -> None:
        self.clock = Clock()
        self.tried: list[tuple[float, tuple[str, int]]] = []
        self.wires: list[Wire] = []
        self.pending: list[Any] = []
        self.refuses = ""
        self.slow = False
        self.breaks = False
        self.heard: list[Event] = []
        self.given_back: list[Segment] = []
        self.changes = 0
        self.answer: Answer = lambda ticket, outcome: None
        self.lines: list[str] = []
        for name, value in (("reconnect", RECONNECT), ("hosts", ("h1",)), ("port", 2775)):
            fields.setdefault(name, value)
        bind: BindConfig = fields.pop("bind", BindConfig("a/0"))
        self.smsc = SmscConfig("a", "a", binds=(bind,), **fields)
        self.service = BindService(
            self.smsc,
            bind,
            lambda: SmppSession(SessionOptions(self.smsc, bind)),
            self._endpoint,
            self,
            self.clock,
            lambda: chance,
            limit,
        )

    def _endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        if self.breaks:
            raise OSError("no such certificate file")
        return Target(self, host, port)

    # -- Listener

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None:
        self.heard += events
        self.answer = answer

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None:
        self.given_back += [event.segment for event in events if isinstance(event, Unanswered)]

    def state_changed(self, bind: BindService) -> None:
        self.changes += 1

    # -- what happens

    @property
    def wire(self) -> Wire:
        return self.wires[-1]

    def start(self) -> Bench:
        self.service.startService()
        return self

    def bound(self) -> Bench:
        """Started, and the SMSC took the bind."""
        self.start()
        self.accept()
        return self

    def accept(self, status: int = 0) -> None:
        bind = self.wire.pdus()[0]
        assert isinstance(bind, pdus.Bind)
        self.wire.say(
            pdus.encode(
                pdus.BindResp(bind.command | pdus.RESPONSE, status, bind.sequence, b"smsc", [])
            )
        )

    def submit(self, *ids: int) -> None:
        for number in ids:
            segment = Segment(id=number, source="1", destination="2", payload=b"x")
            assert self.service.submit(segment, self.clock.seconds()) is None
        self.service.flush()
        self.clock.advance(0)

    def respond(self, *pdus_: pdus.Pdu, status: int = 0) -> None:
        self.wire.say(
            *[
                pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, status, pdu.sequence, b"id")
                for pdu in pdus_
            ]
        )

    def deliver(self, count: int = 1, first: int = 1) -> None:
        self.wire.say(*[deliver_sm(first + n) for n in range(count)])

    def tickets(self) -> list[int]:
        return [event.ticket for event in self.heard if isinstance(event, Received)]


def deliver_sm(sequence: int) -> bytes:
    return pdus.encode_sm(
        pdus.Sm(
            pdus.DELIVER_SM, sequence, source=b"5511", destination=b"100", short_message=b"hello"
        )
    )


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged by the bind."""
    found: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        if str(event.get("log_namespace")).startswith("gatewayd.net.bind"):
            found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


# ---- connecting


def test_it_connects_and_binds_and_then_has_credit() -> None:
    bench = Bench(window=7).start()
    assert bench.tried == [(0.0, ("h1", 2775))]
    assert (bench.service.credit, bench.service.bound, bench.service.status) == (
        0,
        False,
        "connecting",
    )
    bench.accept()
    assert (bench.service.credit, bench.service.bound, bench.service.status) == (7, True, "online")
    assert [type(event) for event in bench.heard] == [Bound]
    assert bench.changes == 1


def test_a_failed_connect_is_tried_again_after_longer_and_longer_pauses() -> None:
    """SMPP-012, G13: 1, 2, 4, 8, 8 seconds."""
    bench = Bench()
    bench.refuses = "refused"
    bench.start()
    for _ in range(300):
        bench.clock.advance(0.1)
    times = [time for time, _ in bench.tried]
    assert times == pytest.approx([0, 1, 3, 7, 15, 23], abs=0.6)
    assert bench.service.connects == len(times)


def test_the_pauses_are_spread_by_their_jitter() -> None:
    """G14: so that a hundred binds do not come back in the same moment."""
    pauses = set()
    for chance in (0.0, 0.5, 0.99):
        bench = Bench(chance=chance, reconnect=Retry(first=10.0, jitter=0.2))
        bench.refuses = "refused"
        bench.start()
        pauses.add(round(bench.clock.getDelayedCalls()[0].getTime(), 1))
    assert pauses == {8.0, 10.0, 12.0}


def test_several_hosts_are_tried_in_turn() -> None:
    bench = Bench(hosts=("h1", "h2", "h3"))
    bench.refuses = "refused"
    bench.start()
    bench.clock.pump([1.0] * 20)
    assert [host for _, (host, _) in bench.tried][:5] == ["h1", "h2", "h3", "h1", "h2"]


def test_a_binds_own_host_and_port_come_first() -> None:
    bench = Bench(bind=BindConfig("a/0", host="own", port=99)).start()
    assert bench.tried == [(0.0, ("own", 99))]


def test_a_connect_that_cannot_even_begin_is_tried_again() -> None:
    """A certificate file that went: the endpoint cannot be made."""
    bench = Bench()
    bench.breaks = True
    bench.start()
    assert "no such certificate" in bench.service.reason
    bench.breaks = False
    bench.clock.advance(1.01)
    bench.accept()
    assert bench.service.bound


def test_a_lost_link_gives_back_its_window_and_comes_again() -> None:
    """SMPP-027, SMPP-029."""
    bench = Bench(window=10).bound()
    bench.submit(1, 2, 3)
    bench.wire.ended(ConnectionLost())
    assert [segment.id for segment in bench.given_back] == [1, 2, 3]
    assert (bench.service.bound, bench.service.credit, bench.service.losses) == (False, 0, 1)
    assert bench.service.status == "re-connecting"
    assert bench.changes == 2
    bench.clock.advance(1.01)
    bench.accept()
    assert bench.service.credit == 10
    assert bench.service.binds_made == 2


def test_a_link_that_held_for_a_minute_begins_with_the_shortest_pause_again() -> None:
    bench = Bench().bound()
    for lasted, pause in ((1.0, 1.0), (1.0, 2.0), (1.0, 4.0), (61.0, 1.0), (1.0, 2.0)):
        bench.clock.advance(lasted)
        count = len(bench.wires)
        bench.wire.ended(ConnectionDone())
        bench.clock.advance(pause - 0.01)
        assert len(bench.wires) == count
        bench.clock.advance(0.02)
        assert len(bench.wires) == count + 1
        bench.accept()


def test_the_smscs_unbind_is_answered_and_the_bind_comes_again() -> None:
    """SMPP-027."""
    bench = Bench().bound()
    bench.wire.say(pdus.encode_plain(pdus.UNBIND, 0, 9))
    assert pdus.Plain(pdus.UNBIND_RESP, 0, 9) in bench.wire.pdus()
    assert not bench.service.bound
    bench.clock.advance(1.01)
    assert len(bench.wires) == 2


# ---- refused


def test_wrong_credentials_are_tried_again_slowly() -> None:
    """SMPP-012: every ten minutes, and said once."""
    bench = Bench().start()
    bench.accept(0x0E)
    assert "refuses our credentials" in bench.service.reason
    bench.clock.advance(599)
    assert len(bench.tried) == 1
    bench.clock.advance(2)
    assert len(bench.tried) == 2


def test_wrong_credentials_may_end_it_for_good_until_it_is_revived() -> None:
    """Kannel's way."""
    bench = Bench(refused_pause=0.0).start()
    bench.accept(0x0E)
    assert (bench.service.dead, bench.service.status) == (True, "dead")
    bench.clock.advance(86400)
    assert len(bench.tried) == 1
    bench.service.revive()
    assert len(bench.tried) == 2
    bench.accept()
    assert bench.service.bound


def test_any_other_refusal_backs_off_as_a_lost_link_does() -> None:
    """SMPP-012."""
    bench = Bench().start()
    for pause in (1.0, 2.0, 4.0):
        bench.accept(0x0D)
        assert "refuses the bind" in bench.service.reason
        bench.clock.advance(pause - 0.01)
        count = len(bench.tried)
        bench.clock.advance(0.02)
        assert len(bench.tried) == count + 1


def test_no_answer_to_the_bind_closes_and_backs_off() -> None:
    """SMPP-013."""
    bench = Bench().start()
    bench.clock.advance(30.01)
    assert bench.service.reason == "no answer to the bind"
    bench.clock.advance(1.01)
    assert len(bench.wires) == 2


def test_the_same_trouble_is_told_once(lines: list[str]) -> None:
    bench = Bench()
    bench.refuses = "refused"
    bench.start()
    bench.clock.pump([1.0] * 60)
    assert len(lines) == 1
    assert "cannot connect" in lines[0]
    bench.refuses = "no route"
    bench.clock.pump([1.0] * 60)
    assert len(lines) == 2
    bench.refuses = ""
    bench.clock.pump([1.0] * 9)
    bench.accept()
    assert lines[2:] == ["a/0 is bound again"]


def test_oddities_are_told_at_the_first_second_fourth_of_a_kind(lines: list[str]) -> None:
    bench = Bench().bound()
    for sequence in range(10):
        bench.wire.say(pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, 0, 1000 + sequence, b"x"))
    notes = [event for event in bench.heard if isinstance(event, Noted)]
    assert len(notes) == 10
    assert bench.service.notes == {notes[0].what: 10}
    assert len([line for line in lines if notes[0].what in line]) == 4


def test_the_password_is_in_no_log_line(lines: list[str]) -> None:
    """SMPP-050."""
    smpp = SmppOptions(system_id="me", password=Secret("hunter2"))
    bench = Bench(smpp=smpp).start()
    assert b"hunter2" in bench.wire.value()  # type: ignore[no-untyped-call]
    bench.accept(0x0E)
    assert lines
    assert not [line for line in lines if "hunter2" in line]


# ---- traffic


def test_what_several_submits_say_leaves_in_one_write() -> None:
    bench = Bench(window=50).bound()
    before = len(bench.wire.writes)
    bench.submit(*range(1, 31))
    assert len(bench.wire.writes) == before + 1
    assert len(bench.wire.pdus()) == 30


def test_what_several_answers_say_leaves_in_one_write() -> None:
    bench = Bench().bound()
    bench.deliver(20)
    before = len(bench.wire.writes)
    for ticket in bench.tickets():
        bench.answer(ticket, Outcome.DONE)
    assert len(bench.wire.writes) == before
    bench.clock.advance(0)
    assert len(bench.wire.writes) == before + 1
    assert [pdu.sequence for pdu in bench.wire.pdus()] == list(range(1, 21))


def test_an_enquire_link_is_answered_at_once_whatever_waits() -> None:
    """SMPP-016."""
    bench = Bench(window=5000).bound()
    for number in range(1, 5001):
        segment = Segment(id=number, source="1", destination="2", payload=b"x")
        bench.service.submit(segment, 0.0)
    bench.wire.say(pdus.encode_plain(pdus.ENQUIRE_LINK, 0, 77))
    assert pdus.Plain(pdus.ENQUIRE_LINK_RESP, 0, 77) in bench.wire.pdus()


def test_it_asks_after_silence_and_gives_a_dead_link_up() -> None:
    """SMPP-015, G12."""
    bench = Bench().bound()
    bench.wire.clear()  # type: ignore[no-untyped-call]
    bench.clock.pump([0.5] * 61)
    asked = bench.wire.pdus()
    assert [type(pdu) for pdu in asked] == [pdus.Plain]
    bench.clock.advance(0.25)
    bench.wire.say(pdus.encode_plain(pdus.ENQUIRE_LINK_RESP, 0, asked[0].sequence))
    assert bench.service.round_trip > 0
    assert bench.service.bound
    bench.clock.pump([0.5] * 105)
    assert not bench.service.bound


def test_reading_stops_at_the_limit_and_goes_on_when_there_is_room() -> None:
    """SMPP-032: back-pressure, nothing is dropped."""
    bench = Bench(limit=5).bound()
    bench.deliver(4)
    assert bench.wire.producerState == "producing"
    bench.deliver(3, first=5)  # one read may bring more than the limit
    assert bench.wire.producerState == "paused"
    tickets = bench.tickets()
    assert len(tickets) == 7
    for ticket in tickets[:2]:
        bench.answer(ticket, Outcome.DONE)
    assert bench.wire.producerState == "paused"
    bench.answer(tickets[2], Outcome.DONE)
    assert bench.wire.producerState == "producing"
    for ticket in tickets[3:]:
        bench.answer(ticket, Outcome.DONE)
    bench.clock.advance(0)
    assert len(bench.wire.pdus()) == 7


def test_while_the_smsc_does_not_read_it_gets_no_submits() -> None:
    bench = Bench(window=10).bound()
    assert bench.wire.producer is not None
    bench.wire.producer.pauseProducing()
    assert bench.service.credit == 0
    heard = len(bench.heard)
    bench.wire.producer.resumeProducing()
    assert bench.service.credit == 10
    assert len(bench.heard) == heard, "the lane is woken without an event"


def test_an_answer_for_a_link_that_is_gone_is_nobodys() -> None:
    bench = Bench(limit=1).bound()
    bench.deliver()
    (ticket,) = bench.tickets()
    answer = bench.answer
    bench.wire.ended(ConnectionLost())
    answer(ticket, Outcome.DONE)
    bench.clock.advance(0.5)
    assert bench.wires[0].producerState == "paused"


def test_answers_reach_the_lane_with_their_segments() -> None:
    bench = Bench().bound()
    bench.submit(1, 2)
    first, second = bench.wire.pdus()
    bench.respond(second)
    bench.respond(first, status=0x0B)
    assert [type(event) for event in bench.heard[1:]] == [Submitted, SubmitFailed]
    assert bench.service.in_flight == 0


# ---- closing


def test_a_link_that_is_closed_lets_go_of_its_producer() -> None:
    """TLS, and a full buffer, never close while a producer is registered."""
    bench = Bench().bound()
    bench.wire.say(pdus.encode_plain(pdus.UNBIND, 0, 9))
    assert bench.wire.producer is None
    assert bench.service.reason == "the SMSC unbound"


def test_a_link_that_does_not_close_is_dropped_after_a_while() -> None:
    """The tunnel is dead: what was written never leaves, and no end ever comes."""
    bench = Bench().bound()
    bench.wire.hangs = True
    bench.clock.pump([0.5] * 110)  # enquire_link in vain
    bench.clock.advance(CLOSE_TIMEOUT + 1.01)
    assert len(bench.wires) == 2
    bench.accept()
    assert bench.service.bound


def test_stop_drains_then_unbinds() -> None:
    """SMPP-028, G17."""
    bench = Bench().bound()
    bench.submit(1, 2)
    sent = bench.wire.pdus()
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    assert bench.service.credit == 0
    assert bench.wire.pdus() == [], "answers are waited for before the unbind"
    bench.respond(*sent)
    (unbind,) = bench.wire.pdus()
    assert isinstance(unbind, pdus.Plain)
    assert unbind.command == pdus.UNBIND
    assert not stopped
    bench.wire.say(pdus.encode_plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    assert stopped == [None]
    assert bench.service.reason == "stopped"
    assert bench.given_back == []
    assert sum(isinstance(event, Closing) for event in bench.heard) == 1
    bench.clock.advance(600)
    assert len(bench.tried) == 1


def test_what_is_still_unanswered_at_the_deadline_is_uncertain() -> None:
    bench = Bench().bound()
    bench.submit(1, 2)
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    bench.clock.advance(10)
    assert not stopped
    bench.service.abort()
    assert stopped == [None]
    assert [segment.id for segment in bench.given_back] == [1, 2]
    assert bench.clock.getDelayedCalls() == []


def test_stopping_twice_is_harmless_and_both_hear_of_the_end() -> None:
    bench = Bench().bound()
    stopped: list[None] = []
    for _ in range(2):
        bench.service.stopService().addCallback(stopped.append)
    bench.service.abort()
    assert stopped == [None, None]
    bench.service.stopService().addCallback(stopped.append)
    assert len(stopped) == 3


def test_stop_between_two_attempts_ends_them() -> None:
    bench = Bench()
    bench.refuses = "refused"
    bench.start()
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    assert stopped == [None]
    assert bench.clock.getDelayedCalls() == []


def test_stop_while_connecting_gives_the_attempt_up() -> None:
    bench = Bench()
    bench.slow = True
    bench.start()
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    assert stopped == [None]
    bench.clock.advance(600)
    assert len(bench.tried) == 1


def test_stop_before_the_bind_was_answered_closes_the_link() -> None:
    bench = Bench().start()
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    assert stopped == [None]
    assert bench.wire.disconnecting


def test_a_bind_that_is_killed_stays_away_until_it_is_revived() -> None:
    bench = Bench().bound()
    bench.service.kill()
    (unbind,) = [pdu for pdu in bench.wire.pdus() if isinstance(pdu, pdus.Plain)]
    bench.wire.say(pdus.encode_plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    bench.clock.advance(600)
    assert (len(bench.tried), bench.service.status) == (1, "dead")
    bench.service.revive()
    bench.accept()
    assert bench.service.status == "online"


def test_a_bind_that_is_revived_before_its_link_was_closed_comes_back() -> None:
    bench = Bench().bound()
    bench.service.kill()
    bench.service.revive()
    bench.service.abort()
    assert len(bench.wires) == 2
    bench.accept()
    assert bench.service.bound


def test_a_dead_start_waits_to_be_revived() -> None:
    bench = Bench(dead_start=True).start()
    bench.clock.advance(600)
    assert (bench.tried, bench.service.status) == ([], "disconnected")
    bench.service.revive()
    assert len(bench.tried) == 1


def test_timers_are_few_whatever_the_traffic() -> None:
    bench = Bench(window=1000).bound()
    for number in range(1, 500):
        bench.submit(number)
        bench.respond(*bench.wire.pdus())
    assert len(bench.clock.getDelayedCalls()) <= 2
