"""The SMSC's side of UCP: alone, and in talk with the session of a large account."""

from __future__ import annotations

import random
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import BindConfig, BindMode, Secret, SmppOptions, SmscConfig
from gatewayd.model import Coding, Outcome, Segment
from gatewayd.sms.segments import TooLong
from gatewayd.sms.udh import part_of
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc import ucp_sim
from gatewayd.smsc.contract import (
    Bound,
    Closing,
    Event,
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
    Delivered,
    ServerEvent,
    ServerOptions,
    Speech,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.ucp import UcpSession
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_server import Login, UcpServerSession

SPEECH: Speech = ucp_sim
LOGIN = Frame(0, False, 60, ("4545", "6", "5", "1", "706173", "", "0100", "", "", "", "", ""))
ALERT = Frame(7, False, 31, ("4545", "0539"))
PLAIN = Segment(1, "4545", "250788123456", b"hello", dlr_mask=31)


def submit(number: int = 1, operation: int = 51, **fields: str) -> Frame:
    given = {"AdC": "250788123456", "OAdC": "4545", "MT": "3", "Msg": "41"} | fields
    return Frame(number, False, operation, tuple(given.get(name, "") for name in ucp.FIELDS_5X))


class Smsc:
    """A server session, and what the account says to it."""

    def __init__(self, refuse: int = 0, **options: Any) -> None:
        self.seen: list[Login] = []
        self.session = UcpServerSession(ServerOptions(**options), self._admit)
        self.session.start(0.0)
        self._refuse = refuse

    def _admit(self, login: Login) -> int:
        self.seen.append(login)
        return self._refuse

    def hear(self, *frames: Frame | bytes, now: float = 0.0) -> list[ServerEvent]:
        octets = b"".join(f if isinstance(f, bytes) else ucp.encode(f) for f in frames)
        return list(self.session.receive(octets, now))

    def written(self) -> list[Frame]:
        return [ucp.decode(body) for body in ucp.Framer().feed(self.session.take_bytes())]

    def bound(self) -> Smsc:
        assert self.hear(LOGIN) == [Attached("4545", BindMode.TRANSCEIVER)]
        assert self.written()[0].fields[0] == "A"
        return self


def test_a_login_is_let_in_or_not() -> None:
    smsc = Smsc().bound()
    assert smsc.seen == [Login(b"4545", b"pas")]
    assert (smsc.session.system_id, smsc.session.credit) == ("4545", 50)
    smsc = Smsc(refuse=7)
    events = smsc.hear(LOGIN)
    assert events[0] == TurnedAway("4545", 7)
    assert isinstance(events[1], Closing)
    assert smsc.written()[0].fields == ("N", "07", "Authentication failure")
    assert smsc.hear(LOGIN) == []


def test_whoever_speaks_without_a_login_is_let_in_or_not() -> None:
    smsc = Smsc()
    assert smsc.hear(ALERT) == [Attached("", BindMode.TRANSCEIVER)]
    assert smsc.written() == [Frame(7, True, 31, ("A", "0000"))]
    smsc = Smsc(refuse=7)
    assert isinstance(smsc.hear(submit())[-1], Closing)
    assert smsc.written()[0].operation == 51


def test_a_second_login_is_refused() -> None:
    smsc = Smsc().bound()
    assert smsc.hear(LOGIN) == [Noted("second_bind", "4545")]
    assert smsc.written()[0].fields[:2] == ("N", "04")


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (Frame(1, False, 99, ("",)), "03"),
        (Frame(1, False, 52, ("1", "2")), "02"),
        (Frame(1, False, 51, ("1", "2")), "02"),
        (submit(operation=52), "04"),
        (Frame(1, False, 2, ("1",)), "04"),
    ],
)
def test_what_no_account_may_say_is_refused(frame: Frame, code: str) -> None:
    smsc = Smsc().bound()
    smsc.hear(frame)
    (answer,) = smsc.written()
    assert (answer.number, answer.operation, answer.fields[:2]) == (1, frame.operation, ("N", code))


def test_a_submit_waits_for_its_answer() -> None:
    smsc = Smsc().bound()
    events = smsc.hear(submit(5))
    assert events == [Submit(1, submit(5))]
    assert (smsc.written(), smsc.session.unanswered) == ([], 1)
    smsc.session.answer(1, 0, "211126221500")
    assert smsc.written() == [Frame(5, True, 51, ("A", "", "250788123456:211126221500"))]
    smsc.session.answer(1, 0, "again")
    assert smsc.written() == []


def test_submits_are_bounded() -> None:
    smsc = Smsc(most_submits=1).bound()
    smsc.hear(submit(1))
    assert isinstance(smsc.hear(submit(2))[0], Noted)
    assert smsc.written()[0].fields[:2] == ("N", "04")
    smsc.session.forget(1)
    assert isinstance(smsc.hear(submit(3))[0], Submit)


def test_a_delivery_is_followed_until_its_result() -> None:
    smsc = Smsc(window=2).bound()
    smsc.session.deliver(submit(operation=52), 11, 0.0)
    smsc.session.deliver(submit(operation=53), 12, 0.0)
    first, second = smsc.written()
    assert (first.number, second.number, smsc.session.credit) == (0, 1, 0)
    assert isinstance(smsc.hear(Frame(1, True, 52, ("A", "", "")))[0], Noted)
    assert smsc.hear(Frame(1, True, 53, ("A", "", "")), now=2.0) == [Delivered(12, 0, 2.0)]
    assert smsc.hear(Frame(0, True, 52, ("N", "05", "")), now=3.0) == [Delivered(11, 5, 3.0)]
    assert smsc.session.credit == 2


def test_a_delivery_without_a_result_comes_back() -> None:
    smsc = Smsc(response_timeout=60.0).bound()
    smsc.session.deliver(submit(operation=52), 11, 0.0)
    assert smsc.session.deadline() == 60.0
    assert smsc.session.tick(60.0) == [Undelivered(11, "no result in time")]
    smsc.session.deliver(submit(operation=52), 12, 60.0)
    assert smsc.session.connection_lost(61.0) == [Undelivered(12, "link lost")]
    assert smsc.session.deadline() == inf


def test_a_stop_waits_for_what_is_under_way() -> None:
    smsc = Smsc().bound()
    smsc.hear(submit(1))
    smsc.session.stop(0.0)
    assert smsc.session.tick(1.0) == []
    smsc.session.answer(1, 0)
    assert smsc.session.deadline() <= 1.0
    assert smsc.session.tick(1.0) == [Closing("stopped")]
    assert smsc.session.state is LinkState.CLOSED


def test_broken_frames_are_answered_until_there_are_too_many() -> None:
    smsc = Smsc().bound()
    bad = ucp.encode(submit())[:-3] + b"!!\x03"
    for _ in range(10):
        assert len(smsc.hear(bad)) == 1
    assert smsc.written()[0].fields[:2] == ("N", "01")
    assert isinstance(smsc.hear(bad)[-1], Closing)


def test_garbage_never_raises() -> None:
    chance = random.Random(5)
    good = [ucp.encode(frame) for frame in (LOGIN, submit(), ALERT, Frame(0, True, 52, ("A",)))]
    for _ in range(500):
        smsc = Smsc()
        stream = bytearray(b"".join(chance.choices(good, k=4)))
        for _ in range(5):
            stream[chance.randrange(len(stream))] = chance.randrange(256)
        smsc.hear(bytes(stream))
        smsc.session.tick(100.0)
        smsc.session.connection_lost(101.0)


# ---- both ends


class Both:
    """An account and an SMSC, and what each of them says carried to the other."""

    def __init__(self, *options: str, **smpp: Any) -> None:
        bind = BindConfig("a/0")
        given: dict[str, Any] = {"enquire_interval": 0.0, "system_id": "4545"} | smpp
        smsc = SmscConfig(
            "a",
            "a",
            "ucp",
            binds=(bind,),
            options=options,
            smpp=SmppOptions(password=Secret("p"), **given),
        )
        self.account = UcpSession(SessionOptions(smsc, bind))
        self.smsc = UcpServerSession(ServerOptions(), lambda login: 0)
        self.events: list[Event] = []
        self.heard: list[ServerEvent] = []
        self.account.start(0.0)
        self.smsc.start(0.0)
        self.carry()

    def carry(self) -> None:
        for _ in range(10):
            self.heard += self.smsc.receive(self.account.take_bytes(), 0.0)
            self.events += self.account.receive(self.smsc.take_bytes(), 0.0)

    def submit(self, segment: Segment) -> Submit | SubmitFailed:
        failed = self.account.submit(segment, 0.0)
        if failed is not None:
            assert isinstance(failed, SubmitFailed)
            return failed
        self.carry()
        found = self.heard[-1]
        assert isinstance(found, Submit)
        return found


def test_a_message_its_notification_and_an_answer_pass_between_both_ends() -> None:
    both = Both()
    assert both.events == [Bound()]
    found = both.submit(PLAIN)
    assert isinstance(found, Submit)
    assert SPEECH.addresses(found.pdu) == ("4545", "250788123456")
    assert SPEECH.readable(found.pdu) == "hello"
    assert SPEECH.wants_receipt(found.pdu, True)
    told, name = SPEECH.ids(1_795_301_000_001, False)
    both.smsc.answer(found.ticket, 0, told)
    both.carry()
    submitted = both.events[-1]
    assert isinstance(submitted, Submitted)
    for delivered, status in ((True, 1), (False, 2)):
        made = SPEECH.receipt(found.pdu, name, delivered=delivered, submitted=0.0, done=1.0)
        both.smsc.deliver(made, 21, 0.0)
        both.carry()
        receipted = both.events[-1]
        assert isinstance(receipted, Receipted)
        assert receipted.receipt.smsc_id == submitted.smsc_id
        assert receipted.receipt.status == status
        assert "250788123456" in receipted.receipt.text
        both.account.answer(receipted.ticket, Outcome.DONE)
        both.carry()
        assert both.heard[-1] == Delivered(21, 0, 0.0)
    both.smsc.deliver(SPEECH.echo(found.pdu, 0.0), 22, 0.0)
    both.carry()
    received = both.events[-1]
    assert isinstance(received, Received)
    assert (received.inbound.payload, received.inbound.source) == (b"hello", "250788123456")
    assert received.inbound.destination == "4545"


@pytest.mark.parametrize("code", [4, 55, 6])
def test_a_refusal_passes_between_both_ends(code: int) -> None:
    both = Both("throttling=4")
    found = both.submit(PLAIN)
    assert isinstance(found, Submit)
    both.smsc.answer(found.ticket, code)
    both.carry()
    failed = both.events[-1]
    assert isinstance(failed, SubmitFailed)
    assert failed.status == code
    assert SPEECH.reason_of(code) == failed.reason


@pytest.mark.parametrize("text", ["short", "é€" * 100, "Привет " * 40, ""])
def test_a_text_of_a_phone_arrives_in_parts(text: str) -> None:
    both = Both()
    frames = SPEECH.messages("+15550100001", "8000", text, 9, 1000.0)
    for number, frame in enumerate(frames):
        both.smsc.deliver(frame, number, 0.0)
    both.carry()
    found = [event.inbound for event in both.events if isinstance(event, Received)]
    assert {inbound.source for inbound in found} == {"+15550100001"}
    codec = "utf-16-be" if found[0].coding == Coding.UCS2 else "utf-8"
    assert b"".join(inbound.payload for inbound in found).decode(codec) == text
    for inbound in found if len(found) > 1 else ():
        part = part_of(inbound.udh)
        assert part is not None
        assert (part.reference, part.total) == (9, len(found))


def test_a_text_beyond_all_parts_is_refused() -> None:
    with pytest.raises(TooLong):
        SPEECH.messages("1", "2", "x" * 50_000, 1, 0.0)


@settings(max_examples=60)
@given(
    source=st.text("abcXYZ@€ ", max_size=11) | st.text("0123456789", max_size=12),
    payload=st.binary(max_size=140),
    coding=st.integers(0, 2),
    operation=st.sampled_from(["submit=51", "submit=30", "submit=01"]),
)
def test_any_submit_can_be_shown_and_echoed(
    source: str, payload: bytes, coding: int, operation: str
) -> None:
    both = Both(operation)
    found = both.submit(Segment(1, source, "123456", payload, coding, dlr_mask=1))
    if isinstance(found, SubmitFailed):
        return
    SPEECH.readable(found.pdu)
    assert SPEECH.addresses(found.pdu)[1] == "123456"
    assert SPEECH.wants_receipt(found.pdu, True) is (operation != "submit=01")
    both.smsc.deliver(SPEECH.echo(found.pdu, 0.0), 1, 0.0)
    made = SPEECH.receipt(found.pdu, "010100000000", delivered=True, submitted=0.0, done=0.0)
    both.smsc.deliver(made, 2, 0.0)
    both.carry()
    assert [type(event) for event in both.events if not isinstance(event, Noted)][1:] == [
        Received,
        Receipted,
    ]


def test_every_message_has_a_time_stamp_of_its_own() -> None:
    names = {SPEECH.ids(number, False) for number in range(1_795_301_000_000, 1_795_301_002_000)}
    assert len(names) == 2000
    assert all(len(name) == 12 and name.isdigit() for name, _ in names)
