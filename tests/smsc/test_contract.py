"""What every SMSC protocol promises, run over each that is found in `gatewayd/smsc`.

A protocol's octets come from the SMSC's side in `wire_<protocol>.py` beside this file.
"""

from __future__ import annotations

import pkgutil
import random
from collections.abc import Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd import smsc
from gatewayd.errors import UsageError
from gatewayd.model import Outcome, Segment
from gatewayd.smsc.contract import (
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    Session,
    SmscProtocol,
    SubmitFailed,
    Submitted,
    Unanswered,
    load,
)
from gatewayd.smsc.link import LinkState

HERE = Path(__file__).parent
PROTOCOLS = sorted(
    module.name
    for module in pkgutil.iter_modules(smsc.__path__)
    if hasattr(import_module(f"gatewayd.smsc.{module.name}"), "PROTOCOL")
)
WINDOW = 4
E = TypeVar("E")


def wire_of(name: str) -> Any:
    path = HERE / f"wire_{name}.py"
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=PROTOCOLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def wire(name: str) -> Any:
    return wire_of(name)


def started(name: str, wire: Any) -> Session:
    session = load(name).esme(wire.options(WINDOW))
    session.start(0.0)
    return session


def bound(name: str, wire: Any) -> Session:
    session = started(name, wire)
    events = session.receive(wire.answer_bind(session.take_bytes(), Outcome.DONE), 0.0)
    assert events == [Bound()]
    return session


def segment(number: int) -> Segment:
    return Segment(number, "12345", f"25884{number:07}", b"hello", dlr_mask=31)


def submit(session: Session, number: int, now: float = 0.0) -> bytes:
    assert session.submit(segment(number), now) is None
    return session.take_bytes()


def only(events: Sequence[Event], kind: type[E]) -> E:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def told(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if not isinstance(event, Noted)]


def test_each_protocol_has_a_wire_table_and_the_other_way_round() -> None:
    assert sorted(path.stem.removeprefix("wire_") for path in HERE.glob("wire_*.py")) == PROTOCOLS


def test_a_protocol_is_loaded_by_its_files_name(name: str) -> None:
    protocol = load(name)
    assert isinstance(protocol, SmscProtocol)
    assert protocol.name
    assert 0 < protocol.default_port < 65536


@pytest.mark.parametrize("wrong", ["no_such", "link", "contract", "../smpp", "smpp.x", ""])
def test_what_is_no_protocol_is_not_loaded(wrong: str) -> None:
    with pytest.raises(UsageError):
        load(wrong)


def test_a_session_opens_the_talk_and_is_bound_by_the_answer(name: str, wire: Any) -> None:
    session = load(name).esme(wire.options(WINDOW))
    assert (session.state, session.credit, session.take_bytes()) == (LinkState.OPEN, 0, b"")
    session.start(0.0)
    assert (session.state, session.credit) == (LinkState.BINDING, 0)
    session = bound(name, wire)
    assert (session.state, session.credit, session.in_flight) == (LinkState.BOUND, WINDOW, 0)


def test_wrong_credentials_end_the_session_as_dead(name: str, wire: Any) -> None:
    session = started(name, wire)
    events = session.receive(wire.answer_bind(session.take_bytes(), Outcome.DEAD), 0.0)
    assert only(events, BindRefused).outcome is Outcome.DEAD
    assert only(events, BindRefused).reason
    assert isinstance(events[-1], Closing)
    assert (session.state, session.credit) == (LinkState.CLOSED, 0)


def test_a_submit_takes_credit_and_its_answer_gives_it_back(name: str, wire: Any) -> None:
    session = bound(name, wire)
    written = submit(session, 1)
    assert (session.credit, session.in_flight) == (WINDOW - 1, 1)
    events = session.receive(wire.answer_submit(written, Outcome.DONE), 0.5)
    submitted = only(events, Submitted)
    assert (submitted.segment, submitted.seconds) == (segment(1), 0.5)
    assert submitted.smsc_id
    assert (session.credit, session.in_flight) == (WINDOW, 0)


@pytest.mark.parametrize("outcome", [Outcome.RETRY, Outcome.THROTTLED, Outcome.DEAD])
def test_a_refusal_says_what_to_do_and_why(name: str, wire: Any, outcome: Outcome) -> None:
    session = bound(name, wire)
    written = submit(session, 1)
    failed = only(session.receive(wire.answer_submit(written, outcome), 0.5), SubmitFailed)
    assert (failed.segment, failed.outcome) == (segment(1), outcome)
    assert failed.reason
    assert (session.credit, session.state) == (WINDOW, LinkState.BOUND)


def test_answers_in_any_order_find_their_submits(name: str, wire: Any) -> None:
    session = bound(name, wire)
    written = [submit(session, number) for number in range(WINDOW)]
    assert session.credit == 0
    for number in (2, 0, 3, 1):
        events = session.receive(wire.answer_submit(written[number], Outcome.DONE), 0.0)
        assert only(events, Submitted).segment == segment(number)


def test_an_answer_counts_once(name: str, wire: Any) -> None:
    session = bound(name, wire)
    answer = wire.answer_submit(submit(session, 1), Outcome.DONE)
    assert len(told(session.receive(answer, 0.0))) == 1
    assert told(session.receive(answer, 0.0)) == []


def test_an_mo_is_confirmed_only_when_it_was_answered(name: str, wire: Any) -> None:
    session = bound(name, wire)
    for outcome in Outcome:
        received = only(session.receive(wire.deliver(7, "hello there"), 0.0), Received)
        assert received.inbound.payload == b"hello there"
        assert received.inbound.coding == 0
        assert received.inbound.source.endswith("258841234567")
        assert received.inbound.destination == "12345"
        assert (session.take_bytes(), session.unanswered) == (b"", 1)
        session.answer(received.ticket, outcome)
        assert wire.was_taken(session.take_bytes()) is (outcome is Outcome.DONE)
        assert session.unanswered == 0
        session.answer(received.ticket, outcome)
        assert session.take_bytes() == b""


def test_a_receipt_names_the_segment_it_speaks_of(name: str, wire: Any) -> None:
    session = bound(name, wire)
    events = session.receive(wire.answer_submit(submit(session, 1), Outcome.DONE), 0.0)
    submitted = only(events, Submitted)
    receipted = only(session.receive(wire.receipt(8, submitted), 0.0), Receipted)
    assert (receipted.receipt.smsc_id, receipted.receipt.status) == (submitted.smsc_id, 1)
    assert (session.take_bytes(), session.unanswered) == (b"", 1)
    session.answer(receipted.ticket, Outcome.DONE)
    assert wire.was_taken(session.take_bytes())


def talk(name: str, wire: Any, cuts: list[int] | None) -> tuple[list[Event], bytes]:
    """The events of one whole conversation, and what was written, in chunks of these sizes."""
    session = started(name, wire)
    events: list[Event] = []

    def hear(data: bytes) -> None:
        for size in cuts or ():
            events.extend(session.receive(data[:size], 1.0))
            data = data[size:]
        events.extend(session.receive(data, 1.0))

    hear(wire.answer_bind(session.take_bytes(), Outcome.DONE))
    written = [submit(session, number, 1.0) for number in range(3)]
    outcomes = (Outcome.DONE, Outcome.THROTTLED, Outcome.DEAD)
    answers = [wire.answer_submit(one, how) for one, how in zip(written, outcomes, strict=True)]
    hear(answers[0])
    submitted = only(events, Submitted)
    hear(wire.deliver(1, "one") + b"".join(answers[1:]) + wire.receipt(2, submitted))
    hear(wire.deliver(3, "two") * 2)
    return events, session.take_bytes()


def test_cut_anywhere_a_conversation_is_the_same(name: str, wire: Any) -> None:
    whole = talk(name, wire, None)
    assert len(told(whole[0])) == 1 + 3 + 4
    assert talk(name, wire, [1] * 1000) == whole


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 60), max_size=20))
def test_any_chunking_gives_the_same_conversation(name: str, wire: Any, cuts: list[int]) -> None:
    assert talk(name, wire, cuts) == talk(name, wire, None)


def test_a_lost_link_gives_back_what_it_held_in_order_and_once(name: str, wire: Any) -> None:
    session = bound(name, wire)
    for number in range(3):
        submit(session, number)
    received = only(session.receive(wire.deliver(7, "hello"), 0.0), Received)
    lost = session.connection_lost(1.0)
    assert [only([event], Unanswered).segment for event in lost] == [segment(n) for n in range(3)]
    assert list(session.connection_lost(1.0)) == []
    session.answer(received.ticket, Outcome.DONE)
    assert (session.take_bytes(), session.state) == (b"", LinkState.CLOSED)
    assert (session.credit, session.deadline()) == (0, inf)


def test_a_silent_smsc_is_noticed(name: str, wire: Any) -> None:
    for session in (started(name, wire), bound(name, wire)):
        events: list[Event] = []
        for _ in range(100):
            due = session.deadline()
            if due == inf:
                break
            events += session.tick(due)
        assert isinstance(events[-1], Closing)
        assert session.state is LinkState.CLOSED


def test_a_submit_without_an_answer_does_not_stay_for_ever(name: str, wire: Any) -> None:
    session = bound(name, wire)
    submit(session, 1)
    events: list[Event] = []
    for _ in range(100):
        due = session.deadline()
        if due == inf:
            break
        events += session.tick(due)
    events += session.connection_lost(1e6)
    assert only(events, Unanswered).segment == segment(1)


def test_a_stop_takes_no_more_waits_for_answers_and_ends(name: str, wire: Any) -> None:
    session = bound(name, wire)
    written = submit(session, 1)
    session.stop(1.0)
    session.stop(1.0)
    assert session.credit == 0
    events = session.receive(wire.answer_submit(written, Outcome.DONE), 2.0)
    assert only(events, Submitted).segment == segment(1)
    for _ in range(100):
        due = session.deadline()
        if due == inf:
            break
        events = [*events, *session.tick(due)]
    assert isinstance(events[-1], Closing)
    assert list(session.connection_lost(100.0)) == []


def test_a_stop_ends_as_soon_as_nothing_is_waited_for(name: str, wire: Any) -> None:
    session = bound(name, wire)
    submit(session, 1)
    smpp = wire.options(WINDOW).smsc.smpp
    late = smpp.response_timeout
    session.stop(late - smpp.unbind_timeout / 2)
    events = session.tick(late)
    assert only(events, Unanswered).segment == segment(1)
    assert session.state is LinkState.UNBINDING or session.deadline() == late


def test_a_stop_before_the_bind_is_answered_is_told(name: str, wire: Any) -> None:
    session = started(name, wire)
    session.stop(1.0)
    assert session.receive(wire.answer_bind(session.take_bytes(), Outcome.DONE), 1.0) == ()
    assert session.deadline() == 1.0
    assert only(session.tick(1.0), Closing).reason == "stopped"
    assert session.deadline() == inf


def test_garbage_never_raises_and_every_submit_ends_once(name: str, wire: Any) -> None:
    chance = random.Random(20)
    good = wire.frames()
    for _ in range(1000):
        session = bound(name, wire)
        for number in range(WINDOW):
            submit(session, number)
        stream = bytearray(b"".join(chance.choices(good, k=4)))
        for _ in range(chance.randint(0, 8)):
            place = chance.randrange(len(stream))
            kind = chance.randrange(3)
            if kind == 0:
                stream[place] = chance.randrange(256)
            elif kind == 1:
                del stream[place : place + chance.randint(1, 5)]
            else:
                stream[place:place] = chance.randbytes(5)
        events: list[Event] = []
        closed = False
        while stream:
            size = chance.randint(1, len(stream))
            heard = session.receive(bytes(stream[:size]), 1.0)
            del stream[:size]
            assert not (closed and heard), "a closed session ignores every further byte"
            events += heard
            closed = any(isinstance(event, Closing) for event in events)
        events += session.connection_lost(2.0)
        ended = [
            event.segment.id
            for event in events
            if isinstance(event, Submitted | SubmitFailed | Unanswered)
        ]
        assert sorted(ended) == list(range(WINDOW))


def test_random_octets_never_raise(name: str, wire: Any) -> None:
    chance = random.Random(21)
    for starts in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", b"\x02", b"\x02\r"):
        for _ in range(100):
            session = started(name, wire)
            for _ in range(5):
                session.receive(starts + chance.randbytes(chance.randint(0, 200)), 1.0)
            session.tick(100.0)
            session.connection_lost(101.0)
