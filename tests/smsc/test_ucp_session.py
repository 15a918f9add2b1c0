"""A whole UCP session, we being the large account: the checklist of the protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import structs

from gatewayd.config.model import BindConfig, BindMode, Secret, SmppOptions, SmscConfig
from gatewayd.model import Outcome, Segment
from gatewayd.smsc import ucp_frame as ucp
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
from gatewayd.smsc.ucp import UcpSession
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_in import message_id
from gatewayd.smsc.ucp_numbers import NUMBERS, Names, Numbers

GOLDEN = Path(__file__).parent.parent / "golden" / "frames" / "ucp.json"
FRAMES = {
    each["id"]: bytes.fromhex(each["hex"])
    for each in json.loads(GOLDEN.read_text("utf-8"))["frames"]
}
HANDSET = "250788123456"
STAMP = "211126221500"
E = TypeVar("E")


class Talk:
    """A session and the SMSC's side of it."""

    def __init__(
        self,
        *options: str,
        window: int = 10,
        mode: BindMode = BindMode.TRANSCEIVER,
        login: bool = True,
        **smpp: Any,
    ) -> None:
        given: dict[str, Any] = {"enquire_interval": 0.0, **smpp}
        if login:
            given |= {"system_id": "4545", "password": Secret("secret")}
        bind = BindConfig("a/0", mode)
        smsc = SmscConfig(
            "a",
            "a",
            "ucp",
            binds=(bind,),
            window=window,
            options=options,
            smpp=SmppOptions(**given),
        )
        self.session = UcpSession(SessionOptions(smsc, bind))
        self.now = 0.0
        self.events: list[Event] = []
        self.session.start(0.0)

    def credit(self) -> int:
        return self.session.credit

    def bound(self) -> Talk:
        assert self.written() == [ucp.decode(FRAMES["UCP-F01"][1:-1])]
        assert self.hear(FRAMES["UCP-F02"])[0] == Bound()
        return self

    def written(self) -> list[Frame]:
        return [ucp.decode(body) for body in ucp.Framer().feed(self.session.take_bytes())]

    def hear(self, *frames: Frame | bytes) -> list[Event]:
        octets = b"".join(f if isinstance(f, bytes) else ucp.encode(f) for f in frames)
        events = list(self.session.receive(octets, self.now))
        self.events += events
        return events

    def result(self, number: int, *fields: str, operation: int = 51) -> list[Event]:
        return self.hear(Frame(number, True, operation, fields))

    def deliver(self, operation: int, number: int = 5, **given: str) -> list[Event]:
        found = {"AdC": "4545", "OAdC": HANDSET, "SCTS": STAMP, "MT": "3", "Msg": "41"} | given
        made = tuple(found.get(name, "") for name in ucp.FIELDS_5X)
        return self.hear(Frame(number, False, operation, made))

    def submit(self, number: int = 1, **changes: Any) -> Frame:
        segment = structs.replace(Segment(number, "4545", HANDSET, b"hi", dlr_mask=31), **changes)
        assert self.session.credit > 0
        assert self.session.submit(segment, self.now) is None
        (frame,) = self.written()
        return frame

    def at(self, now: float) -> list[Event]:
        """Everything that time brings up to `now`."""
        events: list[Event] = []
        for _ in range(1000):
            due = self.session.deadline()
            if due > now:
                break
            self.now = max(self.now, due)
            events += self.session.tick(self.now)
        self.now = now
        self.events += events
        return events


def only(events: Sequence[Event], kind: type[E]) -> E:
    (found,) = [event for event in events if isinstance(event, kind)]
    return found


def whats(events: Sequence[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Noted)]


# ---- broken frames


@pytest.mark.parametrize(
    ("name", "code", "operation"),
    [("UCP-X01", "01", 51), ("UCP-X02", "02", 51), ("UCP-X03", "02", 52), ("UCP-X04", "03", 99)],
)
@pytest.mark.parametrize("whole", [True, False])
def test_ucp_002_a_bad_frame_is_refused_and_the_session_goes_on(
    name: str, code: str, operation: int, whole: bool
) -> None:
    talk = Talk().bound()
    pieces = [FRAMES[name]] if whole else [bytes([octet]) for octet in FRAMES[name]]
    for piece in pieces:
        talk.hear(piece)
    (answer,) = talk.written()
    assert (answer.number, answer.result, answer.operation) == (1, True, operation)
    assert answer.fields[:2] == ("N", code)
    assert not [event for event in talk.events[1:] if not isinstance(event, Noted)]
    talk.submit()


def test_ucp_002_an_operation_that_is_not_for_us_is_not_allowed() -> None:
    talk = Talk().bound()
    for name in ("UCP-F05", "UCP-F30", "UCP-F32", "UCP-F33", "UCP-F01"):
        talk.hear(FRAMES[name])
        (answer,) = talk.written()
        assert answer.fields[:2] == ("N", "04")


def test_a_broken_result_is_counted_and_never_answered() -> None:
    talk = Talk().bound()
    frame = talk.submit()
    broken = ucp.encode(Frame(frame.number, True, 51, ("A", "", "")))
    assert whats(talk.hear(broken[:-3] + b"00\x03")) == ["bad_pdu"]
    assert (talk.written(), talk.session.in_flight) == ([], 1)


def test_too_many_broken_frames_end_the_session() -> None:
    talk = Talk().bound()
    for _ in range(10):
        assert whats(talk.hear(FRAMES["UCP-X01"])) == ["bad_pdu"]
    assert isinstance(talk.hear(FRAMES["UCP-X01"])[-1], Closing)


def test_broken_frames_spread_over_time_do_no_harm() -> None:
    talk = Talk().bound()
    for minute in range(30):
        talk.at(minute * 10.0)
        assert whats(talk.hear(FRAMES["UCP-X01"])) == ["bad_pdu"]


def test_noise_between_frames_is_counted() -> None:
    talk = Talk().bound()
    assert whats(talk.hear(b"garbage\r\n")) == ["noise"]
    assert whats(talk.hear(b"x" + FRAMES["UCP-F25"])) == ["noise"]
    assert talk.hear(FRAMES["UCP-F25"]) == []


def test_ucp_004_a_frame_above_the_limit_closes_the_session() -> None:
    talk = Talk(max_pdu=2048).bound()
    assert isinstance(talk.hear(b"\x02" + b"1" * 3000)[-1], Closing)
    assert talk.hear(FRAMES["UCP-F16"]) == []


def test_ucp_004_a_frame_without_an_end_closes_the_session_after_a_while() -> None:
    talk = Talk().bound()
    talk.at(5.0)
    talk.hear(FRAMES["UCP-F25"] + b"\x0201/00")
    assert talk.at(34.9) == []
    talk.hear(b"0")
    assert isinstance(talk.at(35.0)[-1], Closing)


# ---- login


def test_ucp_005_nothing_is_sent_before_the_login_was_answered() -> None:
    talk = Talk()
    assert [frame.operation for frame in talk.written()] == [60]
    assert whats(talk.hear(FRAMES["UCP-F16"], FRAMES["UCP-X01"])) == ["too_early", "bad_pdu"]
    assert whats(talk.result(0, "A", "", "x:1")) == ["unknown_response"]
    assert (talk.written(), talk.credit()) == ([], 0)
    assert talk.hear(FRAMES["UCP-F02"]) == [Bound()]
    assert talk.credit() == 10


def test_ucp_005_a_login_without_an_answer_ends() -> None:
    talk = Talk(bind_timeout=30.0)
    assert talk.at(29.9) == []
    assert isinstance(talk.at(30.0)[-1], Closing)


@pytest.mark.parametrize(
    ("options", "code", "outcome"),
    [
        ((), "07", Outcome.DEAD),
        ((), "08", Outcome.DEAD),
        ((), "04", Outcome.RETRY),
        ((), "", Outcome.RETRY),
        (("refused=",), "07", Outcome.RETRY),
    ],
)
def test_ucp_005_wrong_credentials_are_told_from_other_refusals(
    options: tuple[str, ...], code: str, outcome: Outcome
) -> None:
    talk = Talk(*options)
    events = talk.result(0, "N", code, "Authentication failure", operation=60)
    assert events[0] == BindRefused(outcome, f"{code}-Authentication failure")
    assert isinstance(events[1], Closing)


def test_without_an_account_there_is_no_login() -> None:
    talk = Talk(login=False)
    assert (talk.written(), talk.credit()) == ([], 0)
    assert talk.at(0.0) == [Bound()]
    assert talk.credit() == 10


def test_addresses_are_put_on_the_list_after_the_login() -> None:
    talk = Talk("mo-list=250788000001", "mo-list=250788000002").bound()
    frames = talk.written()
    assert [(f.operation, f.fields[7]) for f in frames] == [
        (61, "250788000001"),
        (61, "250788000002"),
    ]
    assert talk.result(frames[0].number, "N", "33", operation=61) == []
    refused = talk.result(frames[1].number, "N", "35", "List full", operation=61)
    assert refused == [Noted("list_refused", "35-List full")]
    assert talk.session._numbers.free == NUMBERS


def test_an_unknown_option_is_told_once_the_session_is_up() -> None:
    talk = Talk("nonsense=1").bound()
    assert talk.events == [Bound(), Noted("unknown_option", "nonsense")]


# ---- numbers and window


def test_ucp_006_numbers_wrap_and_skip_those_in_use() -> None:
    talk = Talk(window=3).bound()
    kept = talk.submit().number
    seen = []
    for _ in range(250):
        number = talk.submit().number
        seen.append(number)
        talk.result(number, "A", "", f"{HANDSET}:{STAMP}")
    assert kept not in seen
    assert set(seen) | {kept} == set(range(100))
    assert seen[99:] == seen[:-99]


def test_ucp_006_both_directions_use_one_number_at_once() -> None:
    talk = Talk().bound()
    frames = [talk.submit() for _ in range(6)]
    assert frames[5].number == 5
    received = only(talk.deliver(52, number=5), Received)
    talk.session.answer(received.ticket, Outcome.DONE)
    (answer,) = talk.written()
    assert (answer.number, answer.result, answer.operation) == (5, True, 52)
    assert only(talk.result(5, "A", "", f"{HANDSET}:{STAMP}"), Submitted).segment.id == 1


@pytest.mark.parametrize("window", [1, 10, 100, 1000])
def test_ucp_007_the_window_is_kept(window: int) -> None:
    talk = Talk(window=window).bound()
    room = min(window, 100)
    frames = []
    while talk.credit():
        frames.append(talk.submit())
    assert len({frame.number for frame in frames}) == len(frames) == room
    talk.result(frames[0].number, "A", "", f"{HANDSET}:{STAMP}")
    assert talk.credit() == 1


def test_ucp_007_an_alert_takes_a_place_in_the_window() -> None:
    talk = Talk(window=1, enquire_interval=10.0).bound()
    talk.at(10.0)
    (alert,) = talk.written()
    assert (alert.operation, talk.credit()) == (31, 0)
    assert only(talk.result(alert.number, "A", "0000", operation=31), Alive)
    assert talk.credit() == 1


def test_ucp_007_an_alert_waits_for_room() -> None:
    talk = Talk(window=1, enquire_interval=10.0, response_timeout=100.0).bound()
    frame = talk.submit()
    talk.at(50.0)
    assert talk.written() == []
    talk.result(frame.number, "A", "", "")
    talk.at(60.0)
    assert [frame.operation for frame in talk.written()] == [31]


def test_a_receiver_has_no_credit() -> None:
    assert Talk(mode=BindMode.RECEIVER).bound().session.credit == 0


# ---- results


def test_ucp_008_results_come_in_any_order() -> None:
    talk = Talk().bound()
    frames = [talk.submit(number) for number in range(4)]
    for place in (2, 0, 3, 1):
        events = talk.result(frames[place].number, "A", "", f"{HANDSET}:{STAMP}")
        assert only(events, Submitted).segment.id == place


def test_ucp_008_what_answers_nothing_is_counted() -> None:
    talk = Talk().bound()
    frame = talk.submit()
    assert whats(talk.result(77, "A", "", "x:1")) == ["unknown_response"]
    assert whats(talk.result(frame.number, "A", "x:1", operation=1)) == ["unknown_response"]
    assert whats(talk.hear(Frame(frame.number, True, 31, ("A", "")))) == ["unknown_response"]
    assert whats(talk.hear(FRAMES["UCP-F02"])) == ["unknown_response"]
    assert talk.session.in_flight == 1
    assert only(talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}"), Submitted)
    assert whats(talk.result(frame.number, "A", "", "x:1")) == ["unknown_response"]


def test_ucp_009_an_unanswered_submit_is_given_back_and_its_number_rests() -> None:
    talk = Talk(window=1, on_timeout="requeue", response_timeout=20.0).bound()
    frame = talk.submit()
    assert only(talk.at(20.0), Unanswered).segment.id == 1
    assert talk.credit() == 1
    seen = set()
    for _ in range(120):
        other = talk.submit(2)
        seen.add(other.number)
        talk.result(other.number, "A", "", "")
    assert frame.number not in seen
    assert whats(talk.result(frame.number, "A", "", "x:1")) == ["late_response"]
    assert talk.session._numbers.free == NUMBERS


def test_ucp_009_a_rested_number_is_used_again() -> None:
    talk = Talk(window=100, response_timeout=20.0).bound()
    while talk.credit():
        talk.submit()
    assert len(talk.at(20.0)) == 100
    assert talk.credit() == 0
    assert whats(talk.at(80.0)) == ["rested"]
    assert talk.credit() == 100


def test_ucp_009_or_the_session_is_made_anew() -> None:
    talk = Talk(on_timeout="reconnect", response_timeout=20.0).bound()
    talk.submit()
    assert talk.at(19.9) == []
    assert isinstance(talk.at(20.0)[-1], Closing)
    assert only(talk.session.connection_lost(20.0), Unanswered)


def test_ucp_009_or_it_waits_on() -> None:
    talk = Talk(on_timeout="wait", response_timeout=20.0).bound()
    frame = talk.submit()
    assert talk.at(1e6) == []
    assert only(talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}"), Submitted).seconds == 1e6


def test_ucp_018_a_result_without_an_id_is_counted() -> None:
    talk = Talk().bound()
    events = talk.result(talk.submit().number, "A", "", "")
    assert whats(events) == ["no_message_id"]
    assert only(events, Submitted).smsc_id == ""
    assert whats(talk.result(talk.submit(dlr_mask=0).number, "A", "", "")) == []


def test_an_id_is_given_for_what_asked_for_a_notification_or_always() -> None:
    for options, given in (((), True), (("ids=asked",), False)):
        talk = Talk(*options).bound()
        for mask, asked in ((31, True), (8, False)):
            frame = talk.submit(dlr_mask=mask)
            events = talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}")
            assert bool(only(events, Submitted).smsc_id) is (given or asked)


@pytest.mark.parametrize(
    ("options", "code", "outcome"),
    [
        ((), "55", Outcome.RETRY),
        ((), "54", Outcome.RETRY),
        ((), "50", Outcome.RETRY),
        ((), "37", Outcome.RETRY),
        ((), "04", Outcome.DEAD),
        (("throttling=4",), "04", Outcome.THROTTLED),
        ((), "06", Outcome.DEAD),
        ((), "99", Outcome.DEAD),
        ((), "", Outcome.DEAD),
        ((), "x", Outcome.DEAD),
        (("temporary=",), "55", Outcome.DEAD),
        (("temporary=6",), "06", Outcome.RETRY),
        (("temporary=", "login-again="), "07", Outcome.DEAD),
    ],
)
def test_ucp_019_an_error_code_says_what_to_do(
    options: tuple[str, ...], code: str, outcome: Outcome
) -> None:
    talk = Talk(*options).bound()
    frame = talk.submit()
    failed = only(talk.result(frame.number, "N", code, "err text"), SubmitFailed)
    assert (failed.outcome, failed.reason) == (outcome, f"{code}-err text")
    assert failed.status == (int(code) if code.isdigit() else 0)
    assert talk.session.state is LinkState.BOUND


def test_ucp_019_a_code_without_a_text_gets_ours() -> None:
    talk = Talk().bound()
    failed = only(talk.result(talk.submit().number, "N", "06"), SubmitFailed)
    assert failed.reason == "06-AdC invalid"


def test_ucp_019_not_logged_in_leads_to_one_new_login() -> None:
    talk = Talk().bound()
    events = talk.result(talk.submit().number, "N", "07", "no")
    assert only(events, SubmitFailed).outcome is Outcome.RETRY
    assert isinstance(events[-1], Closing)
    talk = Talk().bound()
    events = talk.result(talk.submit(tries=1).number, "N", "07", "no")
    assert [type(event) for event in events] == [SubmitFailed]
    assert only(events, SubmitFailed).outcome is Outcome.DEAD


def test_ucp_020_results_without_their_tail_are_taken() -> None:
    talk = Talk().bound()
    assert only(talk.result(talk.submit().number, "A"), Submitted).smsc_id == ""
    assert only(talk.result(talk.submit().number, "A", f"{HANDSET}:{STAMP}"), Submitted).smsc_id
    assert only(talk.result(talk.submit().number, "N"), SubmitFailed)
    assert only(talk.result(talk.submit().number), SubmitFailed)


@pytest.mark.parametrize("operation", ["01", "30"])
def test_the_older_operations_are_answered_too(operation: str) -> None:
    talk = Talk(f"submit={operation}").bound()
    frame = talk.submit()
    assert frame.operation == int(operation)
    fields = ("A", f"{HANDSET}:{STAMP}") if operation == "01" else ("A", "", f"{HANDSET}:{STAMP}")
    submitted = only(talk.result(frame.number, *fields, operation=int(operation)), Submitted)
    assert submitted.smsc_id == message_id(STAMP, HANDSET)


def test_what_cannot_be_sent_comes_back_and_takes_no_number() -> None:
    talk = Talk().bound()
    bad = Segment(1, "1", "not a number", b"")
    failed = talk.session.submit(bad, 0.0)
    assert failed == SubmitFailed(bad, Outcome.DEAD, "MALFORMED SMS")
    assert (talk.written(), talk.credit()) == ([], 10)


# ---- keep-alive


def test_ucp_010_an_alert_goes_out_after_silence_and_any_answer_will_do() -> None:
    talk = Talk(enquire_interval=10.0).bound()
    assert talk.at(9.9) == []
    assert talk.written() == []
    for result in (("A", "0000"), ("N", "04", "Operation not allowed"), ("A",)):
        talk.at(talk.session.deadline())
        (alert,) = talk.written()
        assert alert.fields == ("4545", "0539")
        assert only(talk.result(alert.number, *result, operation=31), Alive)
    talk.hear(FRAMES["UCP-F25"])
    talk.written()
    talk.at(talk.now + 9.0)
    assert talk.written() == []


def test_ucp_010_alerts_without_an_answer_end_the_session() -> None:
    talk = Talk(enquire_interval=30.0, enquire_timeout=10.0, enquire_misses=2).bound()
    assert talk.at(49.9) == []
    first, second = talk.written()
    assert first.number != second.number
    assert isinstance(talk.at(50.0)[-1], Closing)


def test_ucp_010_a_late_answer_to_an_alert_is_only_late() -> None:
    talk = Talk(enquire_interval=30.0, enquire_timeout=10.0, enquire_misses=3).bound()
    talk.at(40.0)
    first, second = talk.written()
    assert whats(talk.result(first.number, "A", "", operation=31)) == ["late_response"]
    assert only(talk.result(second.number, "A", "", operation=31), Alive)
    assert talk.session._numbers.free == NUMBERS


def test_an_alert_may_come_first() -> None:
    talk = Talk("alert-first=yes", enquire_interval=30.0).bound()
    assert [frame.operation for frame in talk.written()] == [31]
    assert Talk("alert-first=yes").bound().written() == []


def test_without_an_account_an_alert_names_our_number() -> None:
    talk = Talk(login=False, my_number="4321", enquire_interval=10.0)
    talk.at(10.0)
    assert talk.written()[0].fields == ("4321", "0539")


def test_ucp_011_an_alert_of_the_smsc_is_answered() -> None:
    talk = Talk().bound()
    assert talk.hear(FRAMES["UCP-F25"]) == []
    assert talk.written() == [Frame(16, True, 31, ("A", ""))]


def test_a_link_that_says_nothing_is_given_up() -> None:
    talk = Talk(idle_timeout=60.0).bound()
    talk.at(50.0)
    talk.hear(FRAMES["UCP-F25"])
    assert talk.at(109.0) == []
    assert isinstance(talk.at(110.0)[-1], Closing)


def test_a_link_without_messages_rests() -> None:
    talk = Talk(inactivity=20.0).bound()
    talk.at(10.0)
    frame = talk.submit()
    talk.result(frame.number, "A", "", "")
    talk.hear(FRAMES["UCP-F25"])
    assert talk.at(29.9) == []
    closing = talk.at(30.0)[-1]
    assert isinstance(closing, Closing)
    assert closing.rest
    assert not only(Talk(idle_timeout=5.0).bound().at(5.0), Closing).rest


# ---- messages


@pytest.mark.parametrize(
    ("operation", "positive"), [(52, ("A", "", "")), (53, ("A", "", "")), (1, ("A", ""))]
)
def test_ucp_012_a_message_is_taken_only_once_it_is_stored(
    operation: int, positive: tuple[str, ...]
) -> None:
    talk = Talk().bound()
    if operation == 1:
        events = talk.hear(Frame(5, False, 1, ("4545", HANDSET, "", "3", "41")))
    else:
        events = talk.deliver(operation)
    assert isinstance(events[-1], Receipted if operation == 53 else Received)
    assert (talk.written(), talk.session.unanswered) == ([], 1)
    talk.session.answer(1, Outcome.DONE)
    assert talk.written() == [Frame(5, True, operation, positive)]


@pytest.mark.parametrize("operation", [52, 53])
def test_ucp_012_what_cannot_be_stored_gets_no_result_and_the_link_is_made_anew(
    operation: int,
) -> None:
    talk = Talk().bound()
    frame = talk.submit()
    talk.deliver(operation)
    talk.session.answer(1, Outcome.RETRY)
    assert (talk.written(), talk.credit()) == ([], 0)
    assert talk.at(1.0) == []  # first what is under way
    assert only(talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}"), Submitted)
    closing = only(talk.at(1.0), Closing)
    assert not closing.rest
    assert "stored" in closing.reason


def test_ucp_012_what_is_too_much_gets_no_result_and_comes_again() -> None:
    talk = Talk().bound()
    talk.deliver(52)
    talk.session.answer(1, Outcome.THROTTLED)
    assert (talk.written(), talk.at(100.0), talk.session.unanswered) == ([], [], 0)


def test_a_message_that_is_refused_for_good_gets_a_negative_result() -> None:
    talk = Talk().bound()
    talk.deliver(52)
    talk.session.answer(1, Outcome.DEAD)
    assert talk.written()[0].fields[:2] == ("N", "05")


def test_ucp_013_a_message_that_cannot_be_read_is_a_syntax_error() -> None:
    talk = Talk().bound()
    assert whats(talk.deliver(52, Msg="4")) == ["refused_deliver"]
    assert talk.written()[0].fields[:2] == ("N", "02")
    assert whats(talk.deliver(52, Msg="FF")) == ["lossy_text"]


# ---- notifications


def submitted(talk: Talk, **changes: Any) -> str:
    frame = talk.submit(**changes)
    return only(talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}"), Submitted).smsc_id


@pytest.mark.parametrize(("dst", "status"), [("0", 1), ("1", 4), ("2", 2)])
def test_ucp_015_a_notification_names_its_submit(dst: str, status: int) -> None:
    talk = Talk().bound()
    smsc_id = submitted(talk)
    receipt = only(talk.deliver(53, Dst=dst, Rsn="000"), Receipted).receipt
    assert (receipt.smsc_id, receipt.status) == (smsc_id, status)


def test_ucp_015_an_early_notification_names_the_submit_to_come() -> None:
    talk = Talk().bound()
    frame = talk.submit()
    early = only(talk.deliver(53, Dst="0"), Receipted).receipt.smsc_id
    late = talk.result(frame.number, "A", "", f"{HANDSET}:{STAMP}")
    assert only(late, Submitted).smsc_id == early


def test_ucp_015_a_notification_that_comes_twice_names_the_same() -> None:
    talk = Talk().bound()
    smsc_id = submitted(talk)
    for _ in range(3):
        assert only(talk.deliver(53, Dst="0"), Receipted).receipt.smsc_id == smsc_id


def test_ucp_015_messages_of_one_second_to_one_phone_are_told_apart() -> None:
    talk = Talk().bound()
    ids = [submitted(talk, number=number) for number in range(3)]
    assert len(set(ids)) == 3
    told = [only(talk.deliver(53, Dst=dst), Receipted).receipt.smsc_id for dst in "10020"]
    assert told == [ids[0], ids[0], ids[1], ids[2], ids[2]]


def test_ucp_015_messages_of_one_second_to_two_phones_are_told_apart() -> None:
    talk = Talk().bound()
    one = submitted(talk)
    frame = talk.submit(destination="250788999999")
    other = only(talk.result(frame.number, "A", "", f"250788999999:{STAMP}"), Submitted).smsc_id
    assert one != other
    told = only(talk.deliver(53, OAdC="00250788999999", Dst="0"), Receipted).receipt
    assert told.smsc_id == other


def test_names_are_bounded() -> None:
    names = Names()
    for number in range(30_000):
        names.give(str(number))
    assert len(names._given) == 10_000
    assert names.find("1", final=True) == "1"


def test_numbers_run_out_only_when_all_are_taken() -> None:
    numbers = Numbers(60.0)
    assert {numbers.take() for _ in range(NUMBERS)} == set(range(NUMBERS))
    assert numbers.free == 0
    numbers.expire(7, 0.0)
    assert (numbers.deadline(), numbers.wake(59.0), numbers.wake(60.0)) == (60.0, 0, 1)
    assert (numbers.take(), numbers.deadline()) == (7, inf)


# ---- the end


def test_ucp_022_what_was_open_when_the_link_was_cut_comes_back_once() -> None:
    talk = Talk().bound()
    for number in range(5):
        talk.submit(number)
    lost = talk.session.connection_lost(1.0)
    assert [only([event], Unanswered).segment.id for event in lost] == list(range(5))
    assert list(talk.session.connection_lost(1.0)) == []


def test_a_stop_waits_for_answers_both_ways_and_then_closes() -> None:
    talk = Talk().bound()
    frame = talk.submit()
    talk.deliver(52)
    talk.session.stop(0.0)
    assert (talk.credit(), talk.session.state) == (0, LinkState.DRAINING)
    talk.result(frame.number, "A", "", "")
    assert talk.at(1.0) == []
    talk.session.answer(1, Outcome.DONE)
    assert len(talk.written()) == 1
    assert only(talk.at(1.0), Closing).reason == "stopped"


def test_a_stop_does_not_wait_for_ever() -> None:
    talk = Talk(unbind_timeout=5.0).bound()
    talk.submit()
    talk.session.stop(0.0)
    assert talk.at(4.9) == []
    assert only(talk.at(5.0), Closing)


def test_a_stop_before_the_login_was_answered_closes_at_once() -> None:
    talk = Talk()
    talk.session.stop(0.0)
    assert only(talk.at(0.0), Closing)
    assert talk.session.state is LinkState.CLOSED
