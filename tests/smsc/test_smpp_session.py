"""The SMPP session: what it says and tells for what it hears and for the time that passes."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest

from gatewayd.config.model import BindConfig, BindMode, Secret, SmppOptions, SmscConfig, TlvConfig
from gatewayd.model import Outcome, Segment
from gatewayd.smsc import contract
from gatewayd.smsc import smpp_pdu as pdus
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
from gatewayd.smsc.smpp import LAST_SEQUENCE, SmppSession
from gatewayd.smsc.smpp_frame import Framer

GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "smpp.json"
FRAMES: dict[str, dict[str, Any]] = {
    one["id"].removeprefix("SMPP-"): one for one in json.loads(GOLDEN.read_text())["frames"]
}
OCTETS = {name: bytes.fromhex(one["hex"]) for name, one in FRAMES.items()}


class Peer:
    """The SMSC's end: it keeps what the session writes and answers as the test says."""

    def __init__(
        self,
        mode: BindMode = BindMode.TRANSCEIVER,
        window: int = 3,
        tlvs: tuple[TlvConfig, ...] = (),
        **smpp: Any,
    ) -> None:
        options = SmppOptions(**({"system_id": "u", "password": Secret("hush")} | smpp))
        bind = BindConfig("a/0", mode=mode)
        smsc = SmscConfig("a", "a", binds=(bind,), window=window, smpp=options)
        self.session = SmppSession(SessionOptions(smsc, bind, tlvs=tlvs))
        self.framer = Framer()

    def said(self) -> list[pdus.Pdu]:
        return [pdus.decode(frame) for frame in self.framer.feed(self.session.take_bytes())]

    def hear(self, *said: pdus.Pdu | bytes, now: float = 0.0) -> Sequence[Event]:
        data = b"".join(one if isinstance(one, bytes) else pdus.encode(one) for one in said)
        return self.session.receive(data, now)

    def submit(self, number: int, now: float = 0.0) -> Event | None:
        return self.session.submit(segment(number), now)


def segment(number: int) -> Segment:
    return Segment(number, "12345", f"25884{number:07}", b"hello", dlr_mask=31)


def bound(mode: BindMode = BindMode.TRANSCEIVER, **options: Any) -> Peer:
    peer = Peer(mode, **options)
    peer.session.start(0.0)
    (bind,) = peer.said()
    answer = pdus.BindResp(
        bind.command | pdus.RESPONSE, 0, 1, b"SMSC", [(pdus.SC_INTERFACE_VERSION, b"\x34")]
    )
    assert peer.hear(answer) == [Bound()]
    return peer


def resp(sequence: int, status: int = 0, message_id: bytes = b"id1") -> pdus.SmResp:
    return pdus.SmResp(pdus.SUBMIT_SM_RESP, status, sequence, b"" if status else message_id)


def mo(sequence: int = 100, **fields: Any) -> pdus.Sm:
    usual: dict[str, Any] = {"source_ton": 1, "source": b"258", "short_message": b"x"}
    usual |= {"destination": b"1"} | fields
    return pdus.Sm(command=pdus.DELIVER_SM, sequence=sequence, **usual)


def plain(command: int, sequence: int, status: int = 0) -> pdus.Plain:
    return pdus.Plain(command, status, sequence)


def kinds(events: Sequence[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def noted(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Noted)]


# ---- binding


@pytest.mark.parametrize(
    ("mode", "command"),
    [
        (BindMode.TRANSMITTER, pdus.BIND_TRANSMITTER),
        (BindMode.RECEIVER, pdus.BIND_RECEIVER),
        (BindMode.TRANSCEIVER, pdus.BIND_TRANSCEIVER),
    ],
)
def test_the_bind_is_of_the_configured_mode_and_only_transmitters_have_credit(
    mode: BindMode, command: int
) -> None:
    peer = Peer(mode, window=7)
    peer.session.start(0.0)
    (bind,) = peer.said()
    assert isinstance(bind, pdus.Bind)
    assert (bind.command, bind.sequence, bind.password) == (command, 1, b"hush")
    assert peer.session.state is LinkState.BINDING
    assert bound(mode, window=7).session.credit == (0 if mode is BindMode.RECEIVER else 7)


def test_smpp_011_there_is_no_credit_before_the_bind_answer() -> None:
    peer = Peer()
    assert peer.session.credit == 0
    peer.session.start(0.0)
    assert peer.session.credit == 0


@pytest.mark.parametrize(
    ("version", "need", "tlvs_sent"),
    [
        (b"\x34", True, True),
        (b"\x50", True, True),
        (b"\x33", True, False),
        (None, True, False),
        (None, False, True),
    ],
)
def test_smpp_010_tlvs_are_sent_only_to_an_smsc_of_version_3_4(
    version: bytes | None, need: bool, tlvs_sent: bool
) -> None:
    fixed = (TlvConfig("fixed", 0x1404, const="FIX"),)
    peer = Peer(tlvs=fixed, tlvs_need_version=need)
    peer.session.start(0.0)
    peer.said()
    tlvs = [(pdus.SC_INTERFACE_VERSION, version)] if version else []
    peer.hear(pdus.BindResp(0x80000009, 0, 1, b"SMSC", tlvs))
    peer.submit(1)
    (sm,) = peer.said()
    assert isinstance(sm, pdus.Sm)
    assert bool(sm.tlvs) is tlvs_sent


def test_smpp_010_we_send_no_tlvs_when_we_bound_as_3_3() -> None:
    fixed = (TlvConfig("fixed", 0x1404, const="FIX"),)
    peer = bound(tlvs=fixed, interface_version=0x33)
    peer.submit(1)
    (sm,) = peer.said()
    assert isinstance(sm, pdus.Sm)
    assert sm.tlvs == []


@pytest.mark.parametrize(
    ("status", "outcome"), [(0x0E, Outcome.DEAD), (0x0D, Outcome.RETRY), (0x05, Outcome.RETRY)]
)
def test_smpp_012_a_refused_bind_says_whether_to_come_back(status: int, outcome: Outcome) -> None:
    peer = Peer()
    peer.session.start(0.0)
    events = peer.hear(pdus.BindResp(0x80000009, status, 1))
    assert kinds(events) == ["BindRefused", "Closing"]
    assert isinstance(events[0], BindRefused)
    assert events[0].outcome is outcome
    assert events[0].reason.startswith(f"0x{status:08x}/")
    assert peer.session.state is LinkState.CLOSED


def test_already_bound_may_count_as_bound() -> None:
    peer = Peer(already_bound_is_bound=True)
    peer.session.start(0.0)
    assert peer.hear(pdus.BindResp(0x80000009, 0x05, 1)) == [Bound()]


def test_a_generic_nack_refuses_the_bind() -> None:
    peer = Peer()
    peer.session.start(0.0)
    events = peer.hear(plain(pdus.GENERIC_NACK, 1, 3))
    assert isinstance(events[0], BindRefused)
    assert events[0].outcome is Outcome.RETRY


def test_smpp_013_a_bind_without_an_answer_times_out() -> None:
    peer = Peer(bind_timeout=30.0)
    peer.session.start(100.0)
    assert peer.session.deadline() == 130.0
    assert peer.session.tick(129.9) == []
    assert peer.session.tick(130.0) == [Closing("no answer to the bind")]
    assert peer.session.deadline() == inf


def test_a_bind_answer_of_another_sequence_or_kind_is_no_answer() -> None:
    peer = Peer()
    peer.session.start(0.0)
    assert noted(peer.hear(pdus.BindResp(0x80000009, 0, 2))) == ["unknown_response"]
    assert noted(peer.hear(pdus.BindResp(0x80000002, 0, 1))) == ["unknown_response"]
    assert peer.session.state is LinkState.BINDING
    assert kinds(peer.hear(pdus.BindResp(0x80000009, 0, 1))) == ["Bound"]
    assert noted(peer.hear(pdus.BindResp(0x80000009, 0, 1))) == ["unknown_response"]


def test_a_deliver_sm_before_the_bind_answer_is_refused() -> None:
    peer = Peer()
    peer.session.start(0.0)
    peer.said()
    assert peer.hear(mo(7)) == []
    assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, 0x04, 7)]


# ---- submits and answers


def test_smpp_017_018_the_window_bounds_what_is_out_and_answers_match_in_any_order() -> None:
    peer = bound(window=3)
    for number in (1, 2, 3):
        assert peer.submit(number) is None
    assert (peer.session.credit, peer.session.in_flight) == (0, 3)
    assert [pdu.sequence for pdu in peer.said()] == [2, 3, 4]
    events = peer.hear(resp(4, message_id=b"c"), resp(2, message_id=b"a"), now=1.5)
    assert events == [
        Submitted(segment(3), "c", 1.5, "?smpp_resp?"),
        Submitted(segment(1), "a", 1.5, "?smpp_resp?"),
    ]
    assert (peer.session.credit, peer.session.in_flight) == (2, 1)


def test_the_window_of_the_bind_wins_over_that_of_the_smsc() -> None:
    bind = BindConfig("a/0", window=99)
    session = SmppSession(SessionOptions(SmscConfig("a", "a", window=3), bind))
    assert session._window.size == 99


def test_smpp_009_the_sequence_wraps_and_skips_what_is_out() -> None:
    peer = bound(window=10)
    peer.session._sequence = LAST_SEQUENCE - 2
    for number in range(1, 4):
        peer.submit(number)
    assert [pdu.sequence for pdu in peer.said()] == [LAST_SEQUENCE - 1, LAST_SEQUENCE, 1]
    peer.session._sequence = LAST_SEQUENCE - 2
    peer.submit(4)
    assert [pdu.sequence for pdu in peer.said()] == [2]


def test_a_segment_that_cannot_be_sent_comes_back_at_once() -> None:
    peer = bound()
    too_long = Segment(1, "1" * 21, "2", b"x")
    failed = peer.session.submit(too_long, 0.0)
    assert failed == SubmitFailed(too_long, Outcome.DEAD, "MALFORMED SMS")
    assert (peer.said(), peer.session.in_flight) == ([], 0)


def test_an_answer_without_an_id_counts_as_sent() -> None:
    peer = bound()
    peer.submit(1)
    events = peer.hear(pdus.encode_plain(pdus.SUBMIT_SM_RESP, 0, 2))
    assert events[1:] == [Submitted(segment(1), "", 0.0, "?smpp_resp?")]
    assert noted(events) == ["no_message_id"]


def test_ids_are_normalised_as_configured() -> None:
    for options, expected in (
        ({}, "5f1c2a9b"),
        ({"id_case": True}, "005F1C2A9B"),
        ({"message_ids": 1}, "1595681435"),
    ):
        peer = bound(**options)
        peer.submit(1)
        (event,) = peer.hear(resp(2, message_id=b"005F1C2A9B"))
        assert isinstance(event, Submitted)
        assert event.smsc_id == expected


def test_the_named_tlvs_of_an_answer_become_meta_data() -> None:
    peer = bound(tlvs=(TlvConfig("note", 0x1401),))
    peer.submit(1)
    (event,) = peer.hear(pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, 2, b"id", [(0x1401, b"a b")]))
    assert isinstance(event, Submitted)
    assert event.meta == "?smpp_resp?note=a+b&"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x58, Outcome.THROTTLED),
        (0x14, Outcome.RETRY),
        (0x08, Outcome.RETRY),
        (0x0B, Outcome.DEAD),
        (0x481, Outcome.DEAD),
    ],
)
def test_smpp_021_022_023_024_025_a_refusal_has_its_outcome_number_and_words(
    status: int, outcome: Outcome
) -> None:
    peer = bound()
    peer.submit(1)
    (event,) = peer.hear(resp(2, status), now=0.5)
    assert isinstance(event, SubmitFailed)
    assert (event.outcome, event.status, event.seconds) == (outcome, status, 0.5)
    assert event.reason.startswith(f"0x{status:08x}/")
    assert peer.session.credit == 3


def test_smpp_022_a_full_queue_pauses_the_bind_after_three_destinations_in_a_row() -> None:
    peer = bound(window=10)

    def outcomes(*numbers: int) -> list[Outcome]:
        found = []
        for number in numbers:
            peer.submit(number)
            (sm,) = peer.said()
            (event,) = peer.hear(resp(sm.sequence, 0x14))
            assert isinstance(event, SubmitFailed)
            found.append(event.outcome)
        return found

    again, pause = Outcome.RETRY, Outcome.THROTTLED
    assert outcomes(1, 1, 1, 2) == [again] * 4  # one subscriber's queue, then another's
    assert outcomes(3, 4) == [pause] * 2
    peer.submit(5)
    (sm,) = peer.said()
    peer.hear(resp(sm.sequence))
    assert outcomes(6) == [again]


def test_a_status_that_says_we_are_not_bound_ends_the_session() -> None:
    peer = bound()
    peer.submit(1)
    events = peer.hear(resp(2, 0x04))
    assert kinds(events) == ["SubmitFailed", "Closing"]
    assert isinstance(events[0], SubmitFailed)
    assert events[0].outcome is Outcome.RETRY
    kannels = bound(not_bound=frozenset())
    kannels.submit(1)
    (event,) = kannels.hear(resp(2, 0x04))
    assert isinstance(event, SubmitFailed)
    assert event.outcome is Outcome.DEAD


def test_smpp_026_a_generic_nack_fails_the_submit_it_names() -> None:
    peer = bound()
    peer.submit(1)
    (event,) = peer.hear(plain(pdus.GENERIC_NACK, 2, 0x03))
    assert isinstance(event, SubmitFailed)
    assert (event.outcome, event.reason) == (Outcome.DEAD, "0x00000003/Invalid Command ID")
    peer.submit(2)
    (event,) = peer.hear(plain(pdus.GENERIC_NACK, 3, 0x58))
    assert isinstance(event, SubmitFailed)
    assert event.outcome is Outcome.THROTTLED


def test_a_generic_nack_for_nothing_is_counted_and_one_about_lengths_closes() -> None:
    peer = bound()
    peer.submit(1)
    assert noted(peer.hear(plain(pdus.GENERIC_NACK, 999, 0x03))) == ["generic_nack"]
    assert noted(peer.hear(plain(pdus.GENERIC_NACK, 0, 0x08))) == ["generic_nack"]
    assert peer.session.in_flight == 1
    assert kinds(peer.hear(plain(pdus.GENERIC_NACK, 0, 0x02))) == ["Noted", "Closing"]


def test_an_answer_of_the_wrong_kind_leaves_the_submit_uncertain() -> None:
    for answer in (
        pdus.SmResp(pdus.DATA_SM_RESP, 0, 2, b"id"),
        plain(pdus.UNBIND_RESP, 2),
        plain(pdus.ENQUIRE_LINK_RESP, 2),
        pdus.Other(0x80000003, 0, 2, b""),
        pdus.BindResp(0x80000009, 0, 2),
    ):
        peer = bound()
        peer.submit(1)
        events = peer.hear(answer)
        assert kinds(events) == ["Noted", "Unanswered"], answer
        assert isinstance(events[1], Unanswered)
        assert events[1].segment == segment(1)


def test_an_answer_that_cannot_be_read_leaves_the_submit_uncertain() -> None:
    peer = bound()
    peer.submit(1)
    events = peer.hear(struct.pack(">4L", 316, pdus.SUBMIT_SM_RESP, 0, 2) + b"x" * 300)
    assert kinds(events) == ["Noted", "Unanswered"]
    assert peer.session.state is LinkState.BOUND


def test_smpp_003_007_unknown_responses_are_counted_and_nothing_is_sent() -> None:
    peer = bound()
    assert noted(peer.hear(OCTETS["X04"], OCTETS["X08"])) == ["unknown_response"] * 2
    assert peer.said() == []


def test_smpp_020_an_answer_never_counts_twice() -> None:
    peer = bound()
    peer.submit(1)
    events = peer.hear(resp(2), resp(2, 0x0B))
    assert kinds(events) == ["Submitted", "Noted"]


# ---- requests of the SMSC


def test_smpp_003_007_an_unknown_command_is_nacked_with_its_sequence() -> None:
    peer = bound()
    assert noted(peer.hear(OCTETS["X03"])) == ["unknown_command"]
    assert peer.said() == [plain(pdus.GENERIC_NACK, 0x21, 0x03)]
    assert peer.session.state is LinkState.BOUND


@pytest.mark.parametrize(
    "request_pdu",
    [
        pdus.Sm(command=pdus.SUBMIT_SM, sequence=91),
        pdus.Other(0x08, 0, 91, b"\0id\0"),
        pdus.Other(0x03, 0, 91, b""),
        pdus.Bind(command=pdus.BIND_TRANSCEIVER, sequence=91, system_id=b"", password=b""),
    ],
)
def test_requests_that_no_esme_serves_are_nacked(request_pdu: pdus.Pdu) -> None:
    peer = bound()
    assert noted(peer.hear(request_pdu)) in (["unknown_command"], ["unknown_response"])
    assert peer.said() == [plain(pdus.GENERIC_NACK, 91, 0x03)]


def test_smpp_047_an_alert_notification_is_told_and_not_answered() -> None:
    peer = bound()
    assert noted(peer.hear(OCTETS["F64"])) == ["alert"]
    assert peer.said() == []
    kannels = bound(nack_unexpected=True)
    kannels.hear(OCTETS["F64"])
    assert kannels.said() == [plain(pdus.GENERIC_NACK, 1, 0x03)]


def test_smpp_046_an_outbind_closes() -> None:
    peer = bound()
    assert peer.hear(OCTETS["F14"]) == [Closing("the SMSC sent an outbind")]
    kannels = bound(nack_unexpected=True)
    assert noted(kannels.hear(OCTETS["F14"])) == ["unknown_command"]
    assert kannels.said() == [plain(pdus.GENERIC_NACK, 1, 0x03)]


@pytest.mark.parametrize("sequence", [0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF])
def test_smpp_016_an_enquire_link_is_answered_at_once_and_always(sequence: int) -> None:
    ask, answer = plain(pdus.ENQUIRE_LINK, sequence), plain(pdus.ENQUIRE_LINK_RESP, sequence)
    peer = Peer()
    peer.session.start(0.0)
    peer.said()
    assert peer.hear(ask) == []
    assert peer.said() == [answer]
    peer = bound(window=5000)
    for number in range(5000):
        peer.submit(number)
    peer.session.stop(0.0)
    peer.said()
    peer.hear(ask)
    assert peer.said() == [answer]


def test_an_mo_stays_the_smscs_until_it_is_answered() -> None:
    peer = bound()
    events = peer.hear(mo(100), mo(100), mo(101))
    assert kinds(events) == ["Received"] * 3
    tickets = [event.ticket for event in events if isinstance(event, Received)]
    assert len(set(tickets)) == 3
    assert (peer.session.unanswered, peer.said()) == (3, [])
    peer.session.answer(tickets[2], Outcome.DONE)
    peer.session.answer(tickets[0], Outcome.DONE)
    peer.session.answer(tickets[0], Outcome.DONE)
    assert peer.said() == [
        pdus.SmResp(pdus.DELIVER_SM_RESP, 0, 101),
        pdus.SmResp(pdus.DELIVER_SM_RESP, 0, 100),
    ]
    assert peer.session.unanswered == 1


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(Outcome.DONE, 0), (Outcome.RETRY, 0x64), (Outcome.THROTTLED, 0x14), (Outcome.DEAD, 0x66)],
)
def test_smpp_031_each_outcome_has_its_answer_and_the_session_stays(
    outcome: Outcome, status: int
) -> None:
    peer = bound()
    (event,) = peer.hear(mo(5))
    assert isinstance(event, Received)
    peer.session.answer(event.ticket, outcome)
    assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, status, 5)]
    assert peer.session.state is LinkState.BOUND


def test_smpp_031_the_temporary_answers_are_configured() -> None:
    peer = bound(cannot_store_status=0x08, queue_full_status=0x64)
    for sequence, outcome, status in ((5, Outcome.RETRY, 0x08), (6, Outcome.THROTTLED, 0x64)):
        (event,) = peer.hear(mo(sequence))
        assert isinstance(event, Received)
        peer.session.answer(event.ticket, outcome)
        assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, status, sequence)]


def test_a_data_sm_is_answered_by_a_data_sm_resp() -> None:
    peer = bound()
    (event,) = peer.hear(OCTETS["F63"])
    assert isinstance(event, Receipted)
    peer.session.answer(event.ticket, Outcome.DONE)
    assert peer.said() == [pdus.SmResp(pdus.DATA_SM_RESP, 0, 123)]


def test_smpp_048_a_receipt_on_a_transmitter_bind_is_taken() -> None:
    peer = bound(BindMode.TRANSMITTER)
    (event,) = peer.hear(OCTETS["F51"])
    assert isinstance(event, Receipted)
    assert (event.receipt.smsc_id, event.receipt.status) == ("5f1c2a9b", 1)


def test_what_cannot_be_passed_on_is_refused_and_counted() -> None:
    peer = bound(strict_addresses=True)
    assert noted(peer.hear(mo(9, source=b"ABCDEFGH"))) == ["refused_deliver"]
    assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, 0x0A, 9)]


def test_text_that_could_not_be_decoded_is_counted() -> None:
    events = bound().hear(mo(short_message=b"\xff"))
    assert noted(events) == ["lossy_text"]
    assert kinds(events) == ["Noted", "Received"]


@pytest.mark.parametrize("name", [n for n in FRAMES if n[0] in "FQ"])
def test_smpp_001_002_no_valid_frame_ends_a_bound_session(name: str) -> None:
    peer = bound()
    events = peer.hear(OCTETS[name])
    if name in ("F10", "F13", "F14"):  # unbind, lengths out of step, outbind
        assert kinds(events)[-1] == "Closing"
    else:
        assert "Closing" not in kinds(events)
        assert peer.session.state is LinkState.BOUND
    if FRAMES[name]["command"] in ("deliver_sm", "data_sm"):
        assert isinstance(events[-1], Received | Receipted)


def test_smpp_002_trailing_octets_are_ignored_and_counted() -> None:
    events = bound().hear(OCTETS["Q02"])
    assert noted(events) == ["trailing_octets"]
    assert isinstance(events[-1], Received)
    assert events[-1].inbound.payload == b"hello"


@pytest.mark.parametrize(("name", "status"), [("X05", 0xC0), ("X06", 0x01), ("X07", 0x01)])
def test_smpp_003_a_broken_body_costs_only_its_own_message(name: str, status: int) -> None:
    peer = bound()
    assert noted(peer.hear(OCTETS[name], mo(7))) == ["bad_pdu"]
    sequence = int.from_bytes(OCTETS[name][12:16], "big")
    assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, status, sequence)]
    assert (peer.session.state, peer.session.unanswered) == (LinkState.BOUND, 1)


def test_a_broken_request_of_another_kind_gets_a_generic_nack() -> None:
    peer = bound()
    peer.hear(struct.pack(">4L", 18, pdus.ALERT_NOTIFICATION, 0, 9) + b"ab")
    assert peer.said() == [plain(pdus.GENERIC_NACK, 9, 0x01)]


def test_more_than_ten_broken_pdus_in_a_minute_close() -> None:
    peer = bound()
    for second in range(10):
        assert kinds(peer.hear(OCTETS["X07"], now=second * 6.0)) == ["Noted"]
    assert kinds(peer.hear(OCTETS["X07"], now=61.0)) == ["Noted"]
    assert kinds(peer.hear(OCTETS["X07"], now=62.0)) == ["Noted", "Closing"]


@pytest.mark.parametrize("name", ["X01", "X02"])
def test_smpp_003_006_a_stream_out_of_step_is_closed(name: str) -> None:
    peer = bound()
    peer.submit(1)
    peer.said()
    events = peer.hear(mo(7), OCTETS[name], mo(8))
    assert kinds(events) == ["Received", "Noted", "Closing"]
    assert peer.said() == [plain(pdus.GENERIC_NACK, 0, 0x02)]
    assert peer.hear(mo(9)) == ()
    assert peer.session.connection_lost(1.0) == [Unanswered(segment(1), "link lost")]


# ---- time


def test_smpp_015_enquire_link_goes_out_after_silence_and_an_answer_is_told() -> None:
    peer = bound(enquire_interval=30.0, enquire_timeout=10.0)
    session = peer.session
    assert session.deadline() == 30.0
    assert session.tick(29.9) == []
    session.tick(30.0)
    (ask,) = peer.said()
    assert ask == plain(pdus.ENQUIRE_LINK, 2)
    assert session.deadline() == 40.0
    assert peer.hear(plain(pdus.ENQUIRE_LINK_RESP, 2), now=30.25) == [Alive(0.25)]
    session.tick(40.0)
    assert (peer.said(), session.deadline()) == ([], 60.25)


def test_smpp_015_two_misses_close_and_any_pdu_resets() -> None:
    peer = bound(enquire_interval=30.0, enquire_timeout=10.0, enquire_misses=2)
    peer.session.tick(30.0)
    peer.hear(mo(1), now=35.0)
    peer.session.tick(40.0)
    assert len(peer.said()) == 1
    peer.session.tick(65.0)
    peer.session.tick(75.0)
    assert [pdu.command for pdu in peer.said()] == [pdus.ENQUIRE_LINK] * 2
    assert peer.session.state is LinkState.BOUND
    assert peer.session.tick(85.0) == [Closing("enquire_link was not answered")]


def test_smpp_015_traffic_puts_the_enquire_link_off_unless_it_is_always_sent() -> None:
    for always, expected in ((False, 0), (True, 1)):
        peer = bound(enquire_interval=30.0, enquire_always=always)
        peer.hear(mo(1), now=20.0)
        peer.session.tick(30.0)
        assert len(peer.said()) == expected


def test_smpp_015_when_always_sent_an_unanswered_enquire_link_does_not_hold_up_the_next() -> None:
    peer = bound(
        enquire_interval=30.0, enquire_always=True, enquire_timeout=300.0, enquire_misses=100
    )
    for number in range(1, 6):
        assert peer.session.deadline() == number * 30.0
        assert peer.session.tick(number * 30.0) == []
        assert [pdu.command for pdu in peer.said()] == [pdus.ENQUIRE_LINK]


def test_enquire_link_may_be_off_or_never_deadly() -> None:
    assert bound(enquire_interval=0.0).session.deadline() == inf
    peer = bound(enquire_interval=30.0, enquire_misses=0)
    for minute in range(1, 20):
        assert peer.session.tick(minute * 30.0) == []
        assert len(peer.said()) == 1


def test_a_link_that_says_nothing_is_closed_when_so_configured() -> None:
    peer = bound(idle_timeout=100.0, enquire_misses=0)
    for now in (30.0, 60.0, 90.0):
        assert peer.session.tick(now) == []
    assert peer.session.deadline() == 100.0
    assert peer.session.tick(100.0) == [Closing("nothing came from the SMSC for too long")]


def test_a_link_without_messages_unbinds_when_so_configured() -> None:
    peer = bound(inactivity=50.0, enquire_interval=0.0)
    peer.submit(1, now=10.0)
    peer.hear(resp(2), now=11.0)
    peer.said()
    assert peer.session.deadline() == 50.0  # early
    assert peer.session.tick(50.0) == []
    assert peer.session.deadline() == 61.0
    peer.session.tick(61.0)
    assert peer.session.state is LinkState.UNBINDING
    assert [pdu.command for pdu in peer.said()] == [pdus.UNBIND]


def test_smpp_019_020_a_submit_without_an_answer_frees_its_slot_once() -> None:
    peer = bound(window=2, response_timeout=60.0, enquire_interval=0.0)
    peer.submit(1, now=5.0)
    peer.submit(2, now=6.0)
    assert (peer.session.deadline(), peer.session.credit) == (65.0, 0)
    assert peer.session.tick(64.9) == []
    assert peer.session.tick(65.0) == [Unanswered(segment(1), "no answer within 60 s")]
    assert (peer.session.credit, peer.session.deadline()) == (1, 66.0)
    assert noted(peer.hear(resp(2), now=70.0)) == ["late_response"]
    assert noted(peer.hear(resp(2), now=70.0)) == ["unknown_response"]


def test_smpp_019_the_policy_for_a_missing_answer_is_configured() -> None:
    peer = bound(on_timeout="reconnect", enquire_interval=0.0)
    peer.submit(1)
    assert peer.session.tick(60.0) == [Closing("a submit was not answered in time")]
    assert peer.session.connection_lost(60.0) == [Unanswered(segment(1), "link lost")]
    peer = bound(on_timeout="wait", enquire_interval=0.0)
    peer.submit(1)
    assert peer.session.deadline() == inf
    assert peer.session.tick(1e9) == []
    assert peer.session.in_flight == 1


def test_what_is_remembered_of_late_answers_is_bounded() -> None:
    peer = bound(window=5000, enquire_interval=0.0)
    for number in range(3000):
        peer.submit(number)
    assert len(peer.session.tick(60.0)) == 3000
    assert len(peer.session._late) == 1000


def test_smpp_049_a_pdu_begun_and_not_ended_closes() -> None:
    peer = bound(partial_pdu_timeout=30.0, enquire_interval=0.0)
    peer.hear(OCTETS["F40"][:5], now=10.0)
    peer.hear(OCTETS["F40"][5:6], now=39.0)
    assert peer.session.deadline() == 40.0
    assert peer.session.tick(40.0) == [Closing("a PDU was begun and not ended")]


def test_the_deadline_is_never_late() -> None:
    chance = random.Random(7)
    for _ in range(200):
        peer = bound(
            window=5,
            enquire_interval=chance.choice([0.0, 3.0, 30.0]),
            enquire_always=chance.random() < 0.5,
            enquire_misses=chance.choice([0, 2]),
            idle_timeout=chance.choice([0.0, 25.0]),
            inactivity=chance.choice([0.0, 35.0]),
            response_timeout=20.0,
        )
        now = 0.0
        for sequence in range(40):
            due = peer.session.deadline()
            now += chance.random() * 8
            if due <= now:
                peer.session.tick(now)
                if peer.session.state is LinkState.CLOSED:
                    break
                assert peer.session.deadline() > now
            else:
                # Nothing may happen before the deadline.
                assert list(peer.session.tick(now)) == []
                assert peer.session.take_bytes() == b""
            if peer.session.credit and chance.random() < 0.5:
                peer.submit(1, now)
            if chance.random() < 0.5:
                peer.hear(mo(sequence), now=now)
            peer.session.take_bytes()


# ---- endings


def test_smpp_027_an_unbind_is_answered_and_nothing_is_lost() -> None:
    peer = bound()
    peer.submit(1)
    peer.submit(2)
    peer.said()
    events = peer.hear(resp(2), plain(pdus.UNBIND, 78), resp(3))
    assert kinds(events) == ["Submitted", "Closing"]
    assert peer.said() == [plain(pdus.UNBIND_RESP, 78)]
    assert peer.session.connection_lost(0.0) == [Unanswered(segment(2), "link lost")]


def test_smpp_028_a_stop_waits_for_what_is_under_way_then_unbinds() -> None:
    peer = bound(unbind_timeout=5.0)
    peer.submit(1)
    (taken,) = peer.hear(mo(9))
    assert isinstance(taken, Received)
    peer.said()
    peer.session.stop(1.0)
    assert (peer.session.state, peer.session.credit) == (LinkState.DRAINING, 0)
    peer.session.stop(1.0)
    assert peer.said() == []
    assert kinds(peer.hear(resp(2), now=2.0)) == ["Submitted"]
    assert peer.session.in_flight == 0
    peer.session.answer(taken.ticket, Outcome.DONE)
    assert [pdu.command for pdu in peer.said()] == [pdus.DELIVER_SM_RESP, pdus.UNBIND]
    assert peer.hear(plain(pdus.UNBIND_RESP, 3), now=3.0) == [Closing("unbound")]
    assert peer.session.connection_lost(3.0) == []


def test_smpp_028_a_stop_does_not_wait_for_ever() -> None:
    peer = bound(unbind_timeout=5.0, enquire_interval=0.0)
    peer.submit(1)
    peer.said()
    peer.session.stop(10.0)
    assert peer.session.deadline() == 15.0
    peer.session.tick(15.0)
    assert [pdu.command for pdu in peer.said()] == [pdus.UNBIND]
    assert peer.session.deadline() == 20.0
    assert peer.session.tick(20.0) == [Closing("no answer to the unbind")]
    assert peer.session.connection_lost(20.0) == [Unanswered(segment(1), "link lost")]


def test_a_stop_with_nothing_under_way_unbinds_at_once() -> None:
    peer = bound()
    peer.session.stop(0.0)
    assert [pdu.command for pdu in peer.said()] == [pdus.UNBIND]


def test_what_is_delivered_while_we_unbind_has_to_come_again() -> None:
    peer = bound()
    peer.session.stop(0.0)
    peer.said()
    assert peer.hear(mo(4)) == []
    assert peer.said() == [pdus.SmResp(pdus.DELIVER_SM_RESP, 0x64, 4)]


def test_a_stop_before_the_bind_answer_closes_with_the_next_tick() -> None:
    peer = Peer()
    peer.session.start(0.0)
    peer.session.stop(1.0)
    assert (peer.session.state, peer.session.deadline()) == (LinkState.CLOSED, 1.0)
    assert peer.session.tick(1.0) == [Closing("stopped")]
    assert peer.session.tick(2.0) == []


def test_smpp_029_a_lost_link_gives_back_what_it_held_once_and_in_order() -> None:
    peer = bound(window=10)
    for number in range(10):
        peer.submit(number)
    (event,) = peer.hear(mo(5))
    assert isinstance(event, Received)
    lost = peer.session.connection_lost(1.0)
    assert lost == [Unanswered(segment(number), "link lost") for number in range(10)]
    assert peer.session.connection_lost(1.0) == []
    peer.said()
    peer.session.answer(event.ticket, Outcome.DONE)
    assert (peer.said(), peer.session.credit) == ([], 0)


# ---- hostile and fast


def test_smpp_008_mutated_streams_never_raise() -> None:
    chance = random.Random(3434)
    frames = list(OCTETS.values())
    for _ in range(3000):
        peer = bound(strict_addresses=chance.random() < 0.5)
        peer.submit(1)
        stream = bytearray(b"".join(chance.choices(frames, k=chance.randint(1, 5))))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(stream))
            if chance.random() < 0.7:
                stream[place] = chance.randrange(256)
            else:
                del stream[place : place + chance.randint(1, 9)]
            if not stream:
                break
        events = list(peer.hear(bytes(stream), now=1.0))
        events += peer.session.tick(100.0)
        events += peer.session.connection_lost(101.0)
        for event in events:
            if isinstance(event, Received | Receipted):
                peer.session.answer(event.ticket, Outcome.DONE)
        ended = [e for e in events if isinstance(e, Submitted | SubmitFailed | Unanswered)]
        assert len(ended) == 1  # the submit ends exactly once, whatever comes


def test_smpp_050_the_password_is_nowhere_but_in_the_bind() -> None:
    peer = Peer()
    session = peer.session
    session.start(0.0)
    assert b"hush" in session.take_bytes()
    for event in (*peer.hear(pdus.BindResp(0x80000009, 0x0E, 1)), session._options):
        assert "hush" not in repr(event)


def test_the_protocol_is_found_by_its_name() -> None:
    protocol = contract.load("smpp")
    assert (protocol.name, protocol.default_port) == ("SMPP", 2775)
