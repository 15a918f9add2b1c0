"""Every recorded sendsms exchange of Kannel, byte for byte but for Server and Date."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from gatewayd.config.model import Config, HttpConfig, NumberRules, Secret, UserConfig
from gatewayd.model import Acceptance, Verdict
from gatewayd.sms.alphabets import encode_gsm
from tests.web.http_bench import GOLDEN, Gateway, sendsms_line

RECORDED = json.loads((GOLDEN / "sendsms_answers.json").read_text())
VERDICTS = {
    "3: Queued for later delivery": Verdict.QUEUED,
    "Not routable. Do not try again.": Verdict.UNROUTABLE,
    "Temporal failure, try again later.": Verdict.OVERLOADED,
}


def config_of(name: str) -> Config:
    recorded = RECORDED["configs"][name]
    users = tuple(
        UserConfig(
            user["username"],
            Secret(user["password"]),
            name=user.get("name", ""),
            allow_ip=tuple(filter(None, user.get("user-allow-ip", "").split(";"))),
            deny_ip=tuple(filter(None, user.get("user-deny-ip", "").split(";"))),
            forced_smsc=user.get("forced-smsc"),
            default_smsc=user.get("default-smsc"),
            faked_sender=user.get("faked-sender", ""),
            default_sender=user.get("default-sender", ""),
            dlr_url=user.get("dlr-url", ""),
            numbers=NumberRules(
                white_list_regex=user.get("white-list-regex", ""),
                black_list_regex=user.get("black-list-regex", ""),
            ),
        )
        for user in recorded["users"]
    )
    box = recorded["smsbox"]
    http = HttpConfig(
        dlr_url_allow=("any",),
        strict=False,
        retry_after=0,
        json_posts=False,
        immediate_reply=box.get("immediate-sendsms-reply") == "true",
        global_sender=box.get("global-sender", ""),
        receiver_characters=box.get("sendsms-chars", "0123456789 +-"),
    )
    return Config(users=users, http=http)


# Forms that Kannel refuses and we take.
FORMS = ("a221-", "a222-", "a223-", "a224-")


@pytest.mark.parametrize(
    "case",
    [case for case in RECORDED["cases"] if not case["id"].startswith(FORMS)],
    ids=lambda case: str(case["id"]),
)
def test_the_answer_is_the_recorded_one(case: dict[str, Any]) -> None:
    splits = re.search(r"splits: (\d+)", case["body"])
    gateway = Gateway(
        Acceptance(
            VERDICTS.get(case["body"], Verdict.ACCEPTED), segments=int(splits[1]) if splits else 1
        )
    )
    line, _ = sendsms_line(gateway, config_of(case["config"]))
    request = case["request"].encode("latin-1")
    reply = line.ask(request, head=request.startswith(b"HEAD"))
    assert reply.line.split()[:2] == case["status_line"].split()[:2]  # Kannel says "503 Foo"
    assert [list(h) for h in reply.headers if h[0] not in ("Server", "Date")] == case["headers"]
    assert reply.body.decode() == case["body"]
    assert line.wire.closed == (reply.header("Connection") == "Close")


@pytest.mark.parametrize(
    "case",
    [case for case in RECORDED["cases"] if "receivers" in case],
    ids=lambda case: str(case["id"]),
)
def test_the_order_says_what_the_submit_carried(case: dict[str, Any]) -> None:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config_of(case["config"]))
    line.send(case["request"].encode("latin-1"))
    [order] = gateway.orders
    assert sorted(number.removeprefix("+") for number in order.receivers) == case["receivers"]
    if "source" in case:
        assert order.source.removeprefix("+").encode() == case["source"].encode("latin-1")
    payload = bytes.fromhex(case.get("payload", ""))
    if payload and b"?" not in payload and case["id"] not in CHANGED_LATER:
        ours = order.data if order.coding else encode_gsm(order.text)
        assert ours == payload


# the cut and alt-charset are the flow's and the session's
CHANGED_LATER = frozenset({"a057-text-161-default", "g01001-alt-charset-utf8"})
