"""Our ESME session against our SMSC session over a pretend wire: each event on both ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import BindConfig, BindMode, Secret, SmppOptions, SmscConfig
from gatewayd.model import Inbound, Outcome, Receipt, Segment
from gatewayd.sms.alphabets import nfc
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_sim
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
from gatewayd.smsc.server import (
    Attached,
    Delivered,
    ServerEvent,
    ServerOptions,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.smpp import SmppSession
from gatewayd.smsc.smpp_server import BAD_PDUS, SmppServerSession

QUIET = ServerOptions(enquire_interval=1e6)
MO = pdus.Sm(
    command=pdus.DELIVER_SM,
    sequence=0,
    source_ton=1,
    source=b"258840000001",
    destination=b"8000",
    short_message=b"hello",
)


def admit(bind: pdus.Bind) -> int:
    if bind.system_id != b"u":
        return 0x0F
    return 0 if bind.password == b"hush" else 0x0E


class Pair:
    """Both ends of a link, and the wire between them."""

    def __init__(
        self,
        mode: BindMode = BindMode.TRANSCEIVER,
        options: ServerOptions = QUIET,
        password: str = "hush",
        smpp: SmppOptions | None = None,
    ) -> None:
        self.now = 0.0
        told = replace(
            smpp or SmppOptions(enquire_interval=1e6),
            system_id="u",
            password=Secret(password),
        )
        bind = BindConfig("a/0", mode=mode)
        smsc = SmscConfig("a", "a", binds=(bind,), window=5, smpp=told)
        self.esme = SmppSession(SessionOptions(smsc, bind))
        self.smsc = SmppServerSession(options, admit)
        self.heard: list[Event] = []  # by the ESME
        self.told: list[ServerEvent] = []  # by the SMSC
        self.esme.start(self.now)
        self.smsc.start(self.now)

    def flow(self) -> Pair:
        """Carry bytes both ways until nobody has more to say."""
        while True:
            to_smsc, to_esme = self.esme.take_bytes(), self.smsc.take_bytes()
            if not to_smsc and not to_esme:
                return self
            self.told += self.smsc.receive(to_smsc, self.now)
            self.heard += self.esme.receive(to_esme, self.now)

    def wait(self, seconds: float) -> Pair:
        self.now += seconds
        self.heard += self.esme.tick(self.now)
        self.told += self.smsc.tick(self.now)
        return self.flow()

    def clear(self) -> Pair:
        self.heard.clear()
        self.told.clear()
        return self


def bound(mode: BindMode = BindMode.TRANSCEIVER, options: ServerOptions = QUIET) -> Pair:
    return Pair(mode, options).flow().clear()


def segment(number: int = 1, mask: int = 31) -> Segment:
    return Segment(number, "8000", f"25884{number:07}", b"hello", dlr_mask=mask)


def only(events: Sequence[object]) -> object:
    [event] = events
    return event


@pytest.mark.parametrize("mode", BindMode)
def test_a_bind_of_each_kind_is_bound_on_both_ends(mode: BindMode) -> None:
    pair = Pair(mode).flow()
    assert pair.heard == [Bound()]
    assert pair.told == [Attached("u", mode)]
    assert (pair.esme.state, pair.smsc.state) == (LinkState.BOUND, LinkState.BOUND)
    assert (pair.smsc.credit > 0) == (mode is not BindMode.TRANSMITTER)
    assert (pair.esme.credit > 0) == (mode is not BindMode.RECEIVER)


def test_a_wrong_password_is_refused_and_the_link_closed_on_both_ends() -> None:
    pair = Pair(password="other").flow()
    reason = "0x0000000e/Invalid Password"
    assert pair.told == [TurnedAway("u", 0x0E), Closing(f"bind refused: {reason}")]
    assert pair.heard == [
        BindRefused(Outcome.DEAD, reason),
        Closing(f"bind refused: {reason}"),
    ]


def test_an_esme_of_3_3_gets_no_tlv_in_the_answer_to_its_bind() -> None:
    versions = {}
    for version in (0x33, 0x34):
        server = SmppServerSession(QUIET, admit)
        server.start(0.0)
        asked = pdus.Bind(pdus.BIND_TRANSMITTER, 1, b"u", b"hush", interface_version=version)
        server.receive(pdus.encode(asked), 0.0)
        answer = pdus.decode(server.take_bytes())
        assert isinstance(answer, pdus.BindResp)
        versions[version] = answer.tlvs
    assert versions == {0x33: [], 0x34: [(pdus.SC_INTERFACE_VERSION, b"\x34")]}


def test_a_submit_that_is_accepted_is_submitted_with_the_id_that_was_given() -> None:
    pair = bound()
    assert pair.esme.submit(segment(), pair.now) is None
    pair.flow()
    submit = only(pair.told)
    assert isinstance(submit, Submit)
    assert (submit.pdu.source, submit.pdu.destination) == (b"8000", b"258840000001")
    assert pair.smsc.unanswered == 1
    pair.smsc.answer(submit.ticket, 0, "ab12")
    submitted = only(pair.flow().heard)
    assert isinstance(submitted, Submitted)
    assert (submitted.segment, submitted.smsc_id) == (segment(), "ab12")
    assert pair.smsc.unanswered == 0


def test_a_submit_that_is_refused_fails_with_the_status_that_was_given() -> None:
    pair = bound()
    pair.esme.submit(segment(), pair.now)
    submit = only(pair.flow().told)
    assert isinstance(submit, Submit)
    pair.smsc.answer(submit.ticket, 0x58)
    failed = only(pair.flow().heard)
    assert isinstance(failed, SubmitFailed)
    assert (failed.outcome, failed.status) == (Outcome.THROTTLED, 0x58)


def test_a_forgotten_submit_is_unanswered_when_its_time_is_over() -> None:
    pair = bound()
    pair.esme.submit(segment(), pair.now)
    submit = only(pair.flow().told)
    assert isinstance(submit, Submit)
    pair.smsc.forget(submit.ticket)
    pair.wait(61.0)
    assert [type(event) for event in pair.heard] == [Unanswered]
    assert pair.smsc.unanswered == 0


def test_an_answer_given_twice_or_after_the_link_went_is_not_said() -> None:
    pair = bound()
    pair.esme.submit(segment(1), pair.now)
    pair.esme.submit(segment(2), pair.now)
    first, second = pair.flow().told
    assert isinstance(first, Submit)
    assert isinstance(second, Submit)
    pair.smsc.answer(first.ticket, 0, "1")
    pair.smsc.answer(first.ticket, 0, "1")
    assert len(pair.flow().heard) == 1
    pair.smsc.connection_lost(pair.now)
    pair.smsc.answer(second.ticket, 0, "2")
    assert pair.smsc.take_bytes() == b""


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.DONE, 0), (Outcome.RETRY, 0x64), (Outcome.THROTTLED, 0x14), (Outcome.DEAD, 0x66)],
)
def test_an_mo_is_received_and_its_answer_comes_back(outcome: Outcome, status: int) -> None:
    pair = bound()
    pair.smsc.deliver(MO, 77, pair.now)
    received = only(pair.flow().heard)
    assert isinstance(received, Received)
    assert isinstance(received.inbound, Inbound)
    assert (received.inbound.source, received.inbound.payload) == ("+258840000001", b"hello")
    pair.now += 2.5
    pair.esme.answer(received.ticket, outcome)
    assert pair.flow().told == [Delivered(77, status, 2.5)]


@pytest.mark.parametrize(("delivered", "status"), [(True, 1), (False, 2)])
def test_a_receipt_names_the_submit_it_is_about(delivered: bool, status: int) -> None:
    pair = bound()
    pair.esme.submit(segment(), pair.now)
    submit = only(pair.flow().told)
    assert isinstance(submit, Submit)
    made = smpp_sim.receipt(submit.pdu, "4711", delivered=delivered, submitted=0.0, done=60.0)
    pair.smsc.deliver(made, 1, pair.now)
    receipted = only(pair.flow().heard)
    assert isinstance(receipted, Receipted)
    receipt: Receipt = receipted.receipt
    assert (receipt.smsc_id, receipt.status & 0x1F) == ("4711", status)
    assert (receipt.source, receipt.destination) == ("+258840000001", "8000")
    assert "submit date:7001010000 done date:7001010001" in receipt.text


@pytest.mark.parametrize(
    ("wish", "delivered", "wanted"),
    [
        *[(0, True, False), (0, False, False), (1, True, True), (1, False, True)],
        *[(2, True, False), (2, False, True), (3, True, True), (3, False, False)],
    ],
)
def test_receipts_are_made_for_the_outcomes_that_were_asked_for(
    wish: int, delivered: bool, wanted: bool
) -> None:
    asked = pdus.Sm(command=pdus.SUBMIT_SM, sequence=1, registered_delivery=wish | 0x10)
    assert smpp_sim.wants_receipt(asked, delivered) is wanted


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=500))
def test_an_mo_of_any_text_arrives_in_parts_that_make_up_the_text(text: str) -> None:
    pair = bound()
    parts = smpp_sim.messages("+258840000001", "8000", text, 7)
    heard: list[Event] = []
    for number, part in enumerate(parts):
        pair.smsc.deliver(part, number, pair.now)
        [event] = pair.flow().heard
        assert isinstance(event, Received)
        pair.esme.answer(event.ticket, Outcome.DONE)
        heard.append(event)
        pair.flow().clear()
    coding = {event.inbound.coding for event in heard if isinstance(event, Received)}
    octets = b"".join(e.inbound.payload for e in heard if isinstance(e, Received))
    whole = octets.decode("utf-16-be") if 2 in coding else octets.decode()
    assert whole == nfc(text)
    assert whole == "".join(smpp_sim.readable(part) for part in parts)
    assert len(parts) == 1 or all(part.esm_class == 0x40 for part in parts)


def test_the_echo_of_a_submit_comes_from_the_phone_with_the_same_text() -> None:
    pair = bound()
    pair.esme.submit(segment(), pair.now)
    submit = only(pair.flow().told)
    assert isinstance(submit, Submit)
    pair.smsc.deliver(smpp_sim.echo(submit.pdu), 1, pair.now)
    received = only(pair.flow().heard)
    assert isinstance(received, Received)
    inbound = received.inbound
    got = inbound.source, inbound.destination, inbound.payload
    assert got == ("+258840000001", "8000", b"hello")


def test_deliveries_under_way_use_up_the_credit() -> None:
    pair = bound(options=replace(QUIET, window=2))
    pair.smsc.deliver(MO, 1, pair.now)
    pair.smsc.deliver(MO, 2, pair.now)
    assert pair.smsc.credit == 0
    received = pair.flow().heard[0]
    assert isinstance(received, Received)
    pair.esme.answer(received.ticket, Outcome.DONE)
    pair.flow()
    assert pair.smsc.credit == 1


def test_a_delivery_without_an_answer_comes_back_when_its_time_is_over() -> None:
    pair = bound()
    pair.smsc.deliver(MO, 5, pair.now)
    pair.flow()
    assert pair.smsc.deadline() == 60.0
    assert pair.wait(60.0).told == [Undelivered(5, "no answer in time")]


def test_a_lost_link_gives_back_the_deliveries_it_held_in_order() -> None:
    pair = bound()
    for tag in (3, 1, 2):
        pair.smsc.deliver(MO, tag, pair.now)
    lost = pair.smsc.connection_lost(pair.now)
    assert lost == [Undelivered(tag, "link lost") for tag in (3, 1, 2)]
    assert pair.smsc.deadline() == inf


def test_a_generic_nack_answers_a_delivery() -> None:
    pair = bound()
    pair.smsc.deliver(MO, 9, pair.now)
    sequence = pdus.decode(pair.smsc.take_bytes()).sequence
    nack = pdus.encode_plain(pdus.GENERIC_NACK, 0x03, sequence)
    assert pair.smsc.receive(nack, 1.0) == [Delivered(9, 0x03, 1.0)]


def test_both_ends_ask_each_other_whether_they_are_alive() -> None:
    pair = Pair(options=ServerOptions(), smpp=SmppOptions()).flow().clear()
    pair.wait(30.0)
    assert pair.heard == [Alive(0.0)]
    assert pair.told == [Alive(0.0)]


def test_an_esme_that_does_not_answer_enquire_link_twice_is_given_up() -> None:
    server = Pair(options=ServerOptions()).flow().smsc
    told: list[ServerEvent] = []
    now = 0.0
    while not told:
        now = server.deadline()
        told += server.tick(now)
    assert told == [Closing("enquire_link was not answered")]
    assert now == 50.0


def test_an_unbind_of_the_esme_closes_both_ends() -> None:
    pair = bound()
    pair.esme.stop(pair.now)
    pair.flow()
    assert pair.told == [Closing("the ESME unbound")]
    assert pair.heard == [Closing("unbound")]


def test_a_stop_waits_for_answers_and_then_unbinds() -> None:
    pair = bound()
    pair.smsc.deliver(MO, 1, pair.now)
    received = only(pair.flow().heard)
    assert isinstance(received, Received)
    pair.smsc.stop(pair.now)
    assert pair.flow().smsc.state is LinkState.DRAINING
    assert pair.smsc.credit == 0
    pair.esme.answer(received.ticket, Outcome.DONE)
    pair.flow()
    assert pair.heard[1:] == [Closing("the SMSC unbound")]
    assert pair.told == [Delivered(1, 0, 0.0), Closing("unbound")]


def test_a_stop_does_not_wait_for_ever() -> None:
    pair = bound()
    pair.smsc.deliver(MO, 1, pair.now)
    pair.smsc.stop(pair.now)
    pair.smsc.tick(5.0)
    assert pair.smsc.state is LinkState.UNBINDING
    assert pair.smsc.tick(10.0) == [Closing("no answer to the unbind")]


def test_whoever_does_not_bind_in_time_is_put_out() -> None:
    server = SmppServerSession(QUIET, admit)
    server.start(5.0)
    assert server.deadline() == 15.0
    assert server.tick(14.9) == []
    assert server.tick(15.0) == [Closing("no bind came")]


def test_a_pdu_that_is_begun_and_not_ended_closes_the_link() -> None:
    pair = bound()
    pair.smsc.receive(b"\0\0\0\x20", 1.0)
    assert pair.smsc.deadline() == 31.0
    assert pair.smsc.tick(31.0) == [Closing("a PDU was begun and not ended")]


def test_a_submit_before_the_bind_or_on_a_receiver_is_told_its_state_is_wrong() -> None:
    submit = pdus.encode(pdus.Sm(command=pdus.SUBMIT_SM, sequence=9))
    unbound = SmppServerSession(QUIET, admit)
    unbound.start(0.0)
    for server in (unbound, bound(BindMode.RECEIVER).smsc):
        [event] = server.receive(submit, 0.0)
        assert isinstance(event, Noted)
        assert pdus.decode(server.take_bytes()) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0x04, 9)


def test_a_second_bind_is_told_that_it_is_bound_already() -> None:
    server = bound().smsc
    again = pdus.encode(pdus.Bind(pdus.BIND_RECEIVER, 9, b"u", b"hush"))
    assert server.receive(again, 0.0) == [Noted("second_bind", "u")]
    answer = pdus.decode(server.take_bytes())
    assert isinstance(answer, pdus.BindResp)
    assert answer.status == 0x05
    assert server.state is LinkState.BOUND


def test_submits_beyond_the_limit_are_throttled_and_not_kept() -> None:
    server = bound(options=replace(QUIET, most_submits=1)).smsc
    one, two = (pdus.encode(pdus.Sm(command=pdus.SUBMIT_SM, sequence=n)) for n in (8, 9))
    kept, refused = server.receive(one + two, 0.0)
    assert isinstance(kept, Submit)
    assert isinstance(refused, Noted)
    assert pdus.decode(server.take_bytes()) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0x58, 9)
    assert server.unanswered == 1


@pytest.mark.parametrize("command", [0x03, 0x07, 0x21, pdus.DELIVER_SM])
def test_what_the_smsc_does_not_serve_gets_a_generic_nack(command: int) -> None:
    server = bound().smsc
    sm = pdus.Sm(command=pdus.DELIVER_SM, sequence=9)
    other = pdus.Other(command, 0, 9, b"")
    [event] = server.receive(pdus.encode(sm if command == pdus.DELIVER_SM else other), 0.0)
    assert isinstance(event, Noted)
    assert pdus.decode(server.take_bytes()) == pdus.Plain(pdus.GENERIC_NACK, 0x03, 9)


def test_a_broken_length_closes_the_link_after_a_nack() -> None:
    server = bound().smsc
    events = server.receive(b"\0\0\0\x05junk", 0.0)
    assert [type(event) for event in events] == [Noted, Closing]
    assert pdus.decode(server.take_bytes()) == pdus.Plain(pdus.GENERIC_NACK, 0x02, 0)


def test_a_broken_submit_is_refused_alone_until_there_are_too_many() -> None:
    server = bound().smsc
    broken = b"\0\0\0\x12\0\0\0\x04\0\0\0\0\0\0\0\x07xx"
    for _ in range(BAD_PDUS):
        [event] = server.receive(broken, 0.0)
        assert isinstance(event, Noted)
        assert pdus.decode(server.take_bytes()) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0x01, 7)
    assert [type(event) for event in server.receive(broken, 0.0)] == [Noted, Closing]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.lists(st.integers(1, 40), max_size=12))
def test_no_octets_of_an_esme_raise_and_nothing_is_told_after_closing(
    junk: bytes, cuts: list[int]
) -> None:
    server = bound().smsc
    closed = False
    start = 0
    for size in [*cuts, len(junk)]:
        events = server.receive(junk[start : start + size], 0.0)
        start += size
        assert not (closed and events)
        closed = closed or any(isinstance(event, Closing) for event in events)
