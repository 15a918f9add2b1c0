"""The External API channel: our calls by the platform's rules, its answers as verdicts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from gatewayd.config import ChannelConfig
from gatewayd.model import HttpAnswer, Mo, Outcome, Report
from gatewayd.platforms.contract import load
from gatewayd.platforms.external import FORMAT

GOLDEN = Path(__file__).parents[1] / "golden" / "platform"
RECEIVE: dict[str, Any] = json.loads((GOLDEN / "ex_receive.json").read_text())
STATUS: dict[str, Any] = json.loads((GOLDEN / "ex_status.json").read_text())
PATH = "/c/ex/8eb23e93-5ecb-45ba-b726-3b064e0c56ab"
BASE = f"https://platform.example{PATH}"
CHANNEL = ChannelConfig("ex", "external", post_url=BASE, timeout=20.0)
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def mo_of(text: bytes = b"Join", coding: int = 0) -> Mo:
    return Mo(1, "op", "+2349067554729", "2020", text, coding, time=1498221000.0)


def report_of(status: int, external_id: str = "019a0719-ac96-7eb9-a837-cac215164834") -> Report:
    url = "http://other.example/dlr?s=%d"
    return Report(1, 2, status, url, external_id=external_id)


def platform_says(headers: dict[str, str], form: dict[str, list[str]]) -> str:
    """What the channel makes of a receive call, by the rules that the fixtures show."""
    if headers["Content-Type"] != "application/x-www-form-urlencoded":
        return "must have one of 'sender' or 'from' set"
    if not re.fullmatch(r"\+?\d{3,15}", form.get("from", [""])[0]):
        return "not a possible number"
    if not RFC_3339.fullmatch(form["date"][0]):
        return "invalid date format, must be RFC 3339"
    return "Accepted"


def test_it_is_found_by_its_name() -> None:
    assert load("external") is FORMAT


def test_an_mo_has_sender_text_and_date() -> None:
    call = FORMAT.mo(mo_of("ol\u00e1 & +".encode()), CHANNEL, "uuid")
    assert (call.method, call.url, call.timeout) == ("POST", f"{BASE}/receive", 20.0)
    form = parse_qs(call.body.decode(), strict_parsing=True)
    assert form == {
        "from": ["+2349067554729"],
        "text": ["olá & +"],
        "date": ["2017-06-23T12:30:00.000Z"],
    }
    assert platform_says(dict(call.headers), form) == "Accepted"


def test_the_seeds_example_comes_out_as_it_is_printed() -> None:
    [example] = [case for case in RECEIVE["cases"] if case["id"] == "seed-example"]
    mo = Mo(1, "op", "+250788123123", "2020", b"Love is patient. Love is kind.")
    mo.time = 1335205543.511
    call = FORMAT.mo(mo, CHANNEL, "uuid")
    assert parse_qs(call.body.decode()) == parse_qs(example["request"]["body"])
    assert call.url.endswith(example["request"]["target"])
    assert dict(call.headers)["Content-Type"] == example["request"]["headers"]["Content-Type"]


def test_an_empty_text_is_told_as_such() -> None:
    call = FORMAT.mo(mo_of(b""), CHANNEL, "uuid")
    assert parse_qs(call.body.decode(), keep_blank_values=True)["text"] == [""]


def test_ucs2_and_damaged_text_arrive_as_utf8() -> None:
    call = FORMAT.mo(mo_of("☺".encode("utf-16-be"), 2), CHANNEL, "uuid")
    assert parse_qs(call.body.decode())["text"] == ["☺"]
    call = FORMAT.mo(mo_of(b"a\xff", 1), CHANNEL, "uuid")
    assert parse_qs(call.body.decode())["text"] == ["a\ufffd"]


@pytest.mark.parametrize("ending", ["", "/", "/receive", "/sent", "/delivered/", "/failed"])
def test_any_url_of_the_channel_will_do(ending: str) -> None:
    channel = ChannelConfig(
        "ex", "external", post_url=f"https://u:p@platform.example{PATH}{ending}"
    )
    call = FORMAT.mo(mo_of(), channel, "uuid")
    assert call.url == f"{BASE}/receive"
    assert dict(call.headers)["Authorization"] == "Basic dTpw"


def test_a_query_stays_behind_the_path() -> None:
    channel = ChannelConfig("ex", "external", post_url=f"{BASE}/receive?key=1")
    assert FORMAT.report(report_of(1), channel, "u").url == f"{BASE}/delivered?key=1"


@pytest.mark.parametrize(
    ("status", "ending"),
    [*((8, "sent"), (4, "sent"), (1, "delivered"), (2, "failed")), (16, "failed"), (34, "failed")],
)
@pytest.mark.parametrize("message", ["019a0719-ac96-7eb9-a837-cac215164834", "1241244"])
def test_each_status_has_its_path_and_the_id_comes_back(
    status: int, ending: str, message: str
) -> None:
    call = FORMAT.report(report_of(status, message), CHANNEL, "uuid")
    assert (call.method, call.url) == ("POST", f"{BASE}/{ending}")
    assert parse_qs(call.body.decode()) == {"id": [message]}
    [known] = [
        case["request"]
        for case in STATUS["cases"]
        if case["id"] in ("sent", "delivered-form", "failed")
        and case["request"]["target"].partition("?")[0].endswith(ending)
    ]
    assert known["target"].partition("?")[0] == f"{PATH}/{ending}"


def test_the_form_is_the_one_of_the_platforms_fixture() -> None:
    [known] = [case["request"] for case in STATUS["cases"] if case["id"] == "delivered-form"]
    call = FORMAT.report(report_of(1), CHANNEL, "uuid")
    assert call.body.decode() == known["body"]
    assert dict(call.headers)["Content-Type"] == known["headers"]["Content-Type"]


def test_a_message_without_an_id_has_its_dlr_url_called() -> None:
    call = FORMAT.report(report_of(8, ""), CHANNEL, "uuid")
    assert (call.method, call.url) == ("GET", "http://other.example/dlr?s=8")
    assert FORMAT.report(report_of(8), None, "uuid").url == "http://other.example/dlr?s=8"


@pytest.mark.parametrize("case", RECEIVE["cases"], ids=lambda case: str(case["id"]))
def test_what_the_platform_says_to_an_mo_is_judged(case: dict[str, Any]) -> None:
    response = case["response"]
    said = response.get("body_contains", "Accepted").encode()
    verdict = FORMAT.mo_verdict(HttpAnswer(response["status"], body=said))
    assert verdict is (Outcome.DONE if response["status"] == 200 else Outcome.DEAD)


@pytest.mark.parametrize("case", STATUS["cases"], ids=lambda case: str(case["id"]))
def test_what_the_platform_says_to_a_report_is_judged(case: dict[str, Any]) -> None:
    response = case["response"]
    wanted = {200: Outcome.DONE, 400: Outcome.DEAD, 404: Outcome.RETRY}[response["status"]]
    said = response["body_contains"].encode()
    assert FORMAT.report_verdict(HttpAnswer(response["status"], body=said)) is wanted


@pytest.mark.parametrize("status", [0, 404, 405, 408, 429, 500, 502, 503, 504])
def test_trouble_of_the_platform_is_tried_again(status: int) -> None:
    answer = HttpAnswer(status, body=b"required")
    assert FORMAT.mo_verdict(answer) is FORMAT.report_verdict(answer) is Outcome.RETRY
    passing = HttpAnswer(400, body=b"channel not found")
    assert FORMAT.mo_verdict(passing) is Outcome.RETRY
