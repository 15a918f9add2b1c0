"""The access log, line by line as bearerbox and smsbox 1.4.5 wrote it for the same events."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from gatewayd.access import AccessLog, NotedReports
from gatewayd.access.entry import Entry, compiled
from gatewayd.config.model import LoggingConfig
from gatewayd.model import HttpAnswer, Inbound, Mo, Order, Receipt, Report, Segment
from gatewayd.sms.alphabets import encode_gsm

GOLDEN = Path(__file__).parents[1] / "golden" / "access" / "kannel.txt"
NOW = 1795311804.0  # 2026-11-22 01:43:24 UTC
CONCATENATED = "050003aa02"


class Bench:
    """Both logs in a folder; `lines` says what is in a file once the turn has ended."""

    def __init__(self, folder: Path, *, redact: bool = False, form: str = "", clean: bool = False):
        self.folder = folder
        self.clock = Clock()
        self.now = NOW
        config = LoggingConfig(
            access_log=str(folder / "access.log"),
            access_log_format=form,
            access_log_time="gmt",
            access_log_clean=clean,
            access_log_redact=redact,
            request_log=str(folder / "requests.log"),
        )
        self.access = AccessLog(
            config, self.clock, lambda: self.now, {"smsc1": "smsc1"}.__getitem__, lambda key: "UUID"
        )

    def lines(self, name: str = "access.log") -> list[str]:
        self.clock.advance(0)
        return (self.folder / name).read_text().splitlines()

    def last(self, name: str = "access.log") -> str:
        return self.lines(name)[-1].removeprefix("2026-11-22 01:43:24 ")


def segment(text: str = "hello", **fields: Any) -> Segment:
    payload = encode_gsm(text)
    values: dict[str, Any] = {
        "source": "12345",
        "destination": "5582999000111",
        "payload": payload,
        "user": "svc-tester",
        "via": "smsc1",
        "dlr_mask": 31,
        **fields,
    }
    return Segment(id=1, **values)


def inbound(**fields: Any) -> Inbound:
    values: dict[str, Any] = {
        "account": "user1",
        "meta": "?smpp?",
        "destination": "28282",
        "compress": 0,
        **fields,
    }
    return Inbound(**values)


def test_each_event_is_written_as_kannel_wrote_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.access
    log.sent(segment(smsc_id="id0001"), "?smpp_resp?")
    reply: dict[str, Any] = {
        "source": "28282",
        "destination": "+5582999000111",
        "user": "svc-gg",
        "dlr_mask": 0,
    }
    log.sent(segment("açé €".replace("ç", "Ç"), smsc_id="id0005", **reply), "?smpp_resp?")
    octets: dict[str, Any] = {"coding": 1, "mclass": 1, "mwi": 0, "compress": 0, "account": "acc"}
    udh = bytes.fromhex("06050415820000")
    log.sent(
        segment(payload=b"41424344", udh=udh, destination="5511", smsc_id="id0228", **octets),
        "?smpp_resp?",
    )
    for index, payload in enumerate((b"\x04\x1f", b"\x04\x40")):
        part = bytes.fromhex(CONCATENATED) + bytes([index + 1])
        several: dict[str, Any] = {
            "message": 1,
            "index": index,
            "total": 2,
            "destination": "5511",
            "coding": 2,
        }
        log.sent(segment(payload=payload, udh=part, dlr_mask=0, **several), "?smpp_resp?")
    log.failed(segment(), "0x00000065/ESME Receiver Permanent App Error Code")
    barred: dict[str, Any] = {"source": "777", "destination": "5511", "via": ""}
    log.failed(segment("x", **barred), "sender not in white-list")
    log.failed(segment("x", source="123456789012345678901", dlr_mask=0), "MALFORMED SMS")
    log.failed(segment("x", via="", smsc="zzz"), "no SMSC")
    log.failed(segment(), "Retries Exceeded")
    text = "caf\u00e9 \u2603".encode("utf-16-be")
    log.received(
        Mo(
            id=2,
            smsc="smsc1",
            source="+250788383383",
            destination="2020",
            payload=text,
            coding=2,
            compress=0,
            account="user1",
            meta="?smpp?",
        )
    )
    log.refused("smsc1", inbound(source="+5582999000111", payload=b"m2"), "")
    log.refused("smsc1", inbound(source="+4411", payload=b"x"), "black-regex-listed")
    log.reported(
        Report(
            id=3,
            message=1,
            status=1,
            url="http://x/",
            smsc="smsc1",
            smsc_id="id0001",
            text="id:id0001 sub:001",
            source="12345",
            destination="5582999000111",
            user="svc-tester",
            account="user1",
            meta="?orig_msg?dlr_mask=31&?smpp?dlr_err=%03%00%00&",
        )
    )
    number: dict[str, Any] = {"source": "+5582999000111", "destination": "12345"}
    log.unmatched("smsc1", Receipt("id0015", 1, "id:id0015 sub:001", **number))
    log.close()
    assert bench.lines() == GOLDEN.read_text().splitlines()


def test_a_message_of_several_segments_is_one_line_whatever_becomes_of_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    parts = [
        segment(
            text,
            message=1,
            index=index,
            total=2,
            udh=bytes.fromhex(CONCATENATED) + bytes([index + 1]),
        )
        for index, text in enumerate(("one ", "two"))
    ]
    bench.access.split(parts)
    bench.access.sent(parts[0], "?smpp_resp?")
    bench.access.failed(parts[1], "0x00000065/x")
    lines = bench.lines()
    assert len(lines) == 2
    assert "REJECTED Send SMS" in lines[1]
    assert "[msg:7:one two] [udh:0:]" in lines[1]


def test_segments_that_no_phone_puts_together_have_a_line_each(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for index in range(2):
        bench.access.sent(segment("a", message=1, index=index, total=2), "")
    assert len(bench.lines()) == 3


def test_a_report_is_noted_and_goes_on_its_way(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    gone: list[Report] = []

    class Boxes:
        def push(self, report: Report) -> None:
            gone.append(report)

        def lane_of(self, report: Report) -> str:
            return "there"

    report = Report(id=1, message=1, status=8, url="http://x/", text="ACK/")
    noted = NotedReports(Boxes(), bench.access)
    noted.push(report)
    assert gone == [report]
    assert noted.lane_of(report) == "there"
    assert bench.last().startswith("Receive DLR ")


def test_redacted_lines_hold_no_text_and_no_number(tmp_path: Path) -> None:
    bench = Bench(tmp_path, redact=True)
    log = bench.access
    log.sent(segment("secret"), "")
    log.sent(segment(payload="secret".encode("utf-16-be"), coding=2), "")
    order = Order(user="u", receivers=["5582999000111"], source="5577123", text="secret")
    log.asked("tester", "127.0.0.1", order)
    mo = Mo(id=1, smsc="s", source="5582999000111", destination="28282", payload=b"secret")
    log.received(mo)
    log.called(mo, "http://p/in?text=secret", "secret", HttpAnswer(200))
    log.answered(mo, "fixed", "secret")
    log.unmatched("s", Receipt("7", 1, "id:7 stat:DELIVRD Text:secret and\nmore"))
    whole = "\n".join([*bench.lines(), *bench.lines("requests.log")])
    for canary in ("secret", "5582999", "5577", "".join(f"{ord(c):04X}" for c in "secret")):
        assert canary not in whole
    assert "[msg:6:******]" in whole
    assert "id:7 stat:DELIVRD Text:***************]" in whole
    assert "**********111" in whole


def test_requests_are_written_as_smsbox_wrote_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    log = bench.access

    def after(act: Callable[[], None]) -> str:
        act()
        return bench.last("requests.log")

    order = Order(user="svc", receivers=["550", "551"], source="1", text="two")
    log.asked("tester", "127.0.0.1", order)
    assert [line[20:] for line in bench.lines("requests.log")[1:]] == [
        "send-SMS request added - sender:tester:1 127.0.0.1 target:550 request: 'two'",
        "send-SMS request added - sender:tester:1 127.0.0.1 target:551 request: 'two'",
    ]
    order = Order(user="svc", receivers=["5511"], source="1", data=b"x", coding=1, udh=b"\x01a")
    assert after(lambda: log.asked("tester", "127.0.0.1", order)).endswith("'<< UDH >>'")
    wrong = "Coding field misformed, rejected"
    assert after(lambda: log.refused_request(wrong)) == f"send-SMS request failed - {wrong}"
    mo = Mo(id=1, smsc="s", source="+55", destination="28282", payload=b"gg q")
    for answer, said in (
        (HttpAnswer(200, body=b"x"), "url: 'http://p/gg' reply: 200 '<< successful >>'"),
        (HttpAnswer(202, body=b"x"), "url: 'http://p/gg' reply: 202 ''"),
        (HttpAnswer(500, body=b"oops"), "url: 'http://p/gg' reply: 500 'oops'"),
        (HttpAnswer(0, error="refused"), "url: '' reply: -1 ''"),
    ):
        log.called(mo, "http://p/gg", "hello", answer)
        assert bench.last("requests.log") == (
            f"SMS HTTP-request sender:+55 request: 'hello' {said}"
        )
    assert after(lambda: log.answered(mo, "fixed", "one ok")) == (
        "SMS request sender:+55 request: 'gg q' fixed answer: 'one ok'"
    )


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("%l %p>%P %c", "Sent SMS 12345>5582999000111 0"),
        ("%t|%T", "2026-11-22 01:43:24|1795311804"),
        (
            "<%a><%k><%r><%s><%S><%r>",
            "<one two three, four><one><two+three%2C+four><two><three,><four>",
        ),
        ("%L:%b %U:%u", "19:one two three, four 0:"),
        ("%e%j%%%", "%e%j%%"),
        ("%I %R [%N]", "UUID http://x/ []"),
    ],
)
def test_each_code_of_a_form_stands_for_its_field(form: str, line: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, form=form, clean=True)
    bench.access.sent(segment("one two three, four", dlr_url="http://x/"), "")
    assert bench.lines() == [line]


def test_only_the_message_is_squeezed_into_ascii(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.access.sent(segment("caf\u00e9", source="Caf\u00e9@"), "")
    assert "[from:Caf\u00e9@]" in bench.last()
    assert "[msg:5:caf..]" in bench.last()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("?smpp?tariff=1&foo=bar", "?smpp?tariff=1&foo=bar&?smpp_resp?"),
        ("garbage", "?smpp_resp?"),
        ("?smpp?", "?smpp??smpp_resp?"),
    ],
)
def test_what_the_answer_brought_stands_behind_the_callers_meta_data(
    given: str, shown: str, tmp_path: Path
) -> None:
    bench = Bench(tmp_path)
    bench.access.sent(segment(meta=given), "?smpp_resp?")
    assert f"[META:{shown}]" in bench.last()


def test_a_recoded_text_is_shown_as_it_was(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    data = "\u044f".encode("utf-16-be")
    order = Order(user="u", receivers=["1"], source="1", coding=2, data=data, charset="UTF-8")
    bench.access.asked("u", "127.0.0.1", order)
    assert bench.last("requests.log").endswith("request: '\u044f'")


def test_the_log_is_reopened_where_it_was_moved_away(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.access.sent(segment("one"), "")
    (tmp_path / "access.log").rename(tmp_path / "access.log.1")
    bench.access.reopen()
    bench.access.sent(segment("two"), "")
    before = (tmp_path / "access.log.1").read_text()
    assert "[msg:3:one]" in before
    assert before.endswith(" Log ends\n")
    assert bench.lines()[0].endswith(" Log begins")
    assert "[msg:3:two]" in bench.last()


def test_a_turn_is_written_in_one_piece_at_its_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for _ in range(100):
        bench.access.sent(segment(), "")
    assert len((tmp_path / "access.log").read_text().splitlines()) == 1
    assert len(bench.clock.getDelayedCalls()) == 1
    assert len(bench.lines()) == 101


def test_others_may_not_read_the_log(tmp_path: Path) -> None:
    Bench(tmp_path)
    assert not stat.S_IMODE((tmp_path / "access.log").stat().st_mode) & 0o007


@given(text=st.text(max_size=40), form=st.sampled_from(["", "%b %k %s %r %a", "%D%A%p"]))
@settings(max_examples=60)
def test_nothing_that_was_sent_starts_a_line_of_its_own(
    text: str, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("log"), form=form, clean=True)
    octets = text.encode("utf-8", "replace")
    mo = Mo(id=1, smsc=text, source=text, destination=text, payload=octets, account=text, meta=text)
    bench.access.received(mo)
    bench.access.called(mo, text, text, HttpAnswer(500, body=octets))
    bench.clock.advance(0)
    line = (bench.folder / "access.log").read_bytes()
    assert line.count(b"\n") == 1
    assert not (set(range(0x20)) - {10}) & set(line)
    assert (bench.folder / "requests.log").read_text().count("\n") == 2


def test_the_usual_line_is_the_same_by_either_way() -> None:
    form = (
        "%l [SMSC:%i] [SVC:%n] [ACT:%A] [BINF:%B] [FID:%F] [META:%D] [from:%p] [to:%P] "
        "[flags:%m:%c:%M:%C:%d] [msg:%L:%b] [udh:%U:%u]"
    )
    entry = Entry("Sent SMS", "s", "n", "a", "b", "f", "m", "1", "2", 0, 1, 2, 0, 31, b"xy", b"\1a")
    quick = compiled(form, str, lambda: 0.0)
    slow = compiled(form + " ", str, lambda: 0.0)
    assert quick(entry) + " " == slow(entry)
