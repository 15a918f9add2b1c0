"""The Kannel format against what Kannel 1.4.5 was recorded to send."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gatewayd.config import ChannelConfig, HttpConfig, NumberRules, TextOptions
from gatewayd.flow.services import Services
from gatewayd.model import HttpAnswer, Mo, Report
from gatewayd.platforms import replies
from gatewayd.platforms.kannel import FORMAT
from gatewayd.sms.alphabets import encode_gsm
from gatewayd.sms.dcs import to_dcs

GOLDEN = Path(__file__).parents[1] / "golden" / "platform" / "kannel_recorded.json"
RECORDED: dict[str, Any] = json.loads(GOLDEN.read_text())


def channel(fields: dict[str, Any]) -> ChannelConfig:
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
    values["text"] = TextOptions(**fields["text"])
    if senders := fields.get("senders"):
        rules: dict[str, Any] = {k: tuple(v) for k, v in senders.items()}
        values["senders"] = NumberRules(**rules)
    return ChannelConfig(**values)


CHANNELS = {name: [channel(c) for c in found] for name, found in RECORDED["channels"].items()}


def message(fields: dict[str, Any]) -> Mo:
    octets = {k: bytes.fromhex(fields.get(k, "")) for k in ("payload", "udh")}
    return Mo(**(fields | octets))


def cases(kind: str) -> list[Any]:
    return [pytest.param(case, id=case["case"]) for case in RECORDED[kind]]


@pytest.mark.parametrize("case", cases("mo"))
def test_an_mo_is_told_as_kannel_tells_it(case: dict[str, Any]) -> None:
    mo = message(case["mo"])
    found = Services(CHANNELS[case["config"]]).choose(mo)
    assert found is not None
    call = FORMAT.mo(mo, found, case["uuid"])
    assert (call.method, call.url) == (case["method"], case["url"])
    assert [list(header) for header in call.headers[1:]] == case["headers"]
    assert call.headers[0][0] == "User-Agent"
    assert call.body == bytes.fromhex(case["body"])


@pytest.mark.parametrize("case", cases("match"))
def test_an_mo_takes_the_service_that_kannel_chose(case: dict[str, Any]) -> None:
    found = Services(CHANNELS[case["config"]]).choose(message(case["mo"]))
    assert (found.name if found else None) == case["channel"]


@pytest.mark.parametrize("case", cases("reports"))
def test_a_report_is_told_as_kannel_tells_it(case: dict[str, Any]) -> None:
    call = FORMAT.report(Report(**case["report"]), None, case["uuid"])
    assert (call.method, call.url) == ("GET", case["url"])


@pytest.mark.parametrize("case", cases("replies"))
def test_an_answer_becomes_the_reply_that_kannel_sent(case: dict[str, Any]) -> None:
    mo = message(case["mo"])
    found = Services(CHANNELS[case["config"]]).choose(mo)
    assert found is not None
    answer = None
    if given := case["answer"]:
        headers = tuple((name, value) for name, value in given["headers"])
        answer = HttpAnswer(given["status"], headers, bytes.fromhex(given["body"]))
    order = replies.reply_to(mo, found, answer, HttpConfig(), now=1000.0)
    expected = case["reply"]
    if expected is None:
        assert order is None
        return
    assert order is not None
    assert order.source == expected["source"]
    assert order.receivers == [expected["receiver"]]
    octets = (
        encode_gsm(order.text, replace=True, kannel_cedilla=True)
        if order.coding == 0
        else order.data
    )
    assert octets is not None
    # A reply that is too long was cut to one part, as the service's max-messages says.
    assert (order.udh + octets)[:160] == bytes.fromhex(expected["octets"])
    coding = to_dcs(order.coding, order.mclass, order.mwi, order.compress, order.alt_dcs)
    assert coding == expected["data_coding"]
    assert max(order.pid, 0) == expected["pid"]
    assert max(order.priority, 0) == expected["priority"]
    assert order.reply
    assert order.channel == found.name
