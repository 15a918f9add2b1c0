"""RapidPro: its requests as its own fixtures have them, its answers as verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gatewayd.config import ChannelConfig
from gatewayd.model import HttpAnswer, Mo, Outcome, Report
from gatewayd.platforms.rapidpro import FORMAT

GOLDEN = Path(__file__).parents[1] / "golden" / "platform"
RECEIVE: dict[str, Any] = json.loads((GOLDEN / "kn_receive.json").read_text())
STATUS: dict[str, Any] = json.loads((GOLDEN / "kn_status.json").read_text())
OBSERVED: dict[str, Any] = json.loads((GOLDEN / "kannel145_observed.json").read_text())
HOST = "https://platform.example"
PATH = "/c/kn/8eb23e93-5ecb-45ba-b726-3b064e0c56ab/receive"
QUERY = "?backend=%i&sender=%p&message=%b&ts=%T&id=%I&to=%P"


def cases(found: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in found]


def test_a_receive_url_without_its_query_gets_the_one_of_the_snippet() -> None:
    mo = Mo(id=1, smsc="NIG_MTN", source="+2349067554729", destination="24453", payload=b"Join")
    mo.time = 1493735509.0
    bare = FORMAT.mo(mo, ChannelConfig(name="c", post_url=HOST + PATH), "asdf-asdf")
    pasted = FORMAT.mo(mo, ChannelConfig(name="c", post_url=HOST + PATH + QUERY), "asdf-asdf")
    valid = RECEIVE["cases"][0]["request"]
    assert bare.url == pasted.url == HOST + valid["target"]
    assert bare.method == valid["method"]
    assert bare.body == valid["body"].encode()
    assert dict(bare.headers)["Content-Type"] == valid["headers"]["Content-Type"]


@pytest.mark.parametrize("index", range(len(OBSERVED["mo"])))
def test_an_mo_is_posted_as_kannel_does_with_the_snippet(index: int) -> None:
    seen = OBSERVED["mo"][index]
    query = parse_qs(urlsplit(seen["target"]).query, keep_blank_values=True)
    coding = int(seen["headers"]["X-Kannel-Coding"])
    mo = Mo(
        id=1,
        smsc="YOUR-SMSC",
        source=query["sender"][0],
        destination="2020",
        payload=seen["body_utf8"].encode(),
        coding=coding,
        time=float(query["ts"][0]),
    )
    channel = ChannelConfig(name="default", post_url=HOST + PATH + QUERY)
    call = FORMAT.mo(mo, channel, query["id"][0])
    assert call.url == HOST + seen["target"]
    headers = {
        k: v for k, v in seen["headers"].items() if k.startswith(("X-", "Date", "Content-T"))
    }
    assert dict(call.headers[1:]) == headers
    assert call.body == seen["body_utf8"].encode()


def test_unicode_reaches_the_platform_as_utf8() -> None:
    mo = Mo(
        id=1, smsc="s", source="1", destination="2", payload="ção ☺".encode("utf-16-be"), coding=2
    )
    call = FORMAT.mo(mo, ChannelConfig(name="c", post_url=HOST + PATH + QUERY), "id")
    assert "&message=%C3%A7%C3%A3o+%E2%98%BA&" in call.url
    assert call.body == "ção ☺".encode()


@pytest.mark.parametrize("case", cases(RECEIVE["cases"]))
def test_what_the_platform_says_to_an_mo_is_judged(case: dict[str, Any]) -> None:
    response = case["response"]
    answer = HttpAnswer(response["status"], body=response["body_contains"].encode())
    verdict = FORMAT.mo_verdict(answer)
    if response["status"] == 200:
        assert verdict is Outcome.DONE
    elif "required" in response["body_contains"] or "possible number" in response["body_contains"]:
        assert verdict is Outcome.DEAD
    else:  # among them 400 "channel not found", 404 and 405
        assert verdict is Outcome.RETRY


def test_the_older_words_for_no_number_are_final_too() -> None:
    body = b'{"error":"the phone number supplied is not a number"}'
    assert FORMAT.mo_verdict(HttpAnswer(400, body=body)) is Outcome.DEAD
    assert FORMAT.mo_verdict(HttpAnswer(500, body=body)) is Outcome.RETRY


@pytest.mark.parametrize("status", [0, 301, 401, 403, 408, 418, 429, 500, 502, 503, 504])
def test_passing_trouble_is_tried_again(status: int) -> None:
    assert FORMAT.mo_verdict(HttpAnswer(status, body=b"required")) is Outcome.RETRY
    assert FORMAT.report_verdict(HttpAnswer(status)) is Outcome.RETRY


@pytest.mark.parametrize(
    "case", cases([c for c in STATUS["cases"] if "status=" in str(c["request"])])
)
def test_a_report_is_the_dlr_url_with_its_status_and_the_answer_is_judged(
    case: dict[str, Any],
) -> None:
    target = case["request"]["target"]
    head, _, status = target.rpartition("status=")
    if status.isdigit() and case["request"]["method"] == "GET":
        report = Report(id=1, message=1, status=int(status), url=f"{HOST}{head}status=%d")
        call = FORMAT.report(report, None, "id")
        assert (call.method, call.url) == ("GET", HOST + target)
    verdict = FORMAT.report_verdict(HttpAnswer(case["response"]["status"]))
    expected = {200: Outcome.DONE, 400: Outcome.DEAD}
    assert verdict is expected.get(case["response"]["status"], Outcome.RETRY)
