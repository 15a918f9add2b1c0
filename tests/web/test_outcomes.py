"""What the platform reads of our answers: each condition has the one that loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest

from gatewayd.config import Limits, NumberRules, SmscConfig
from gatewayd.config.model import Config
from gatewayd.web import external, sendota, sendsms
from gatewayd.web.request import Answer
from gatewayd.web.sendsms import SendSms
from tests.flow.rig import Rig, config
from tests.web.http_bench import GOLDEN, TESTER, WALL, Line, Reply, make_intake

OUTCOMES: dict[str, Any] = json.loads((GOLDEN / "platform" / "kn_mt_outcomes.json").read_text())
WANTED: dict[str, tuple[int, str]] = OUTCOMES["recommended_gateway_mapping"]
# the columns of the recorded rows
PLATFORMS = [name for name in OUTCOMES["rows"][0] if name != "gateway_answer"]


def rig(*smscs: SmscConfig, **fields: Any) -> Rig:
    return Rig(config(*smscs, **{"users": (TESTER,), **fields}))


def call(gateway: Rig, **fields: str) -> Reply:
    whole: Config = gateway.config
    handler = SendSms(whole, gateway.mt.accept, lambda: WALL)
    line = Line(make_intake({whole.http.sendsms_path: handler}, whole.http))
    asked = {"username": "tester", "password": "foobar", "from": "1", "to": "5511", "text": "x"}
    line.send(f"GET /cgi-bin/sendsms?{urlencode({**asked, **fields})} HTTP/1.1\r\n\r\n".encode())
    gateway.turn()
    [reply] = line.replies()
    return reply


def said(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.body.decode()


def wanted(condition: str) -> tuple[int, str]:
    status, body = WANTED[condition]
    return status, body


def test_stored_with_a_link() -> None:
    assert said(call(rig())) == wanted("accepted and stored")


def test_stored_without_a_link() -> None:
    gateway = rig()
    gateway.lose("a/0")
    assert said(call(gateway)) == wanted("accepted, link down")


def test_the_store_fails() -> None:
    gateway = rig()
    gateway.disk.broken = True
    reply = call(gateway)
    assert said(reply) == wanted("queue full, cannot store, overload, shutting down")
    assert reply.header("Retry-After") == "30"


def test_too_much_waits() -> None:
    gateway = rig(limits=Limits(queued_mt=1))
    gateway.lose("a/0")
    call(gateway)
    reply = call(gateway)
    assert said(reply) == wanted("queue full, cannot store, overload, shutting down")
    assert reply.header("Retry-After") == "30"


def test_bad_credentials() -> None:
    assert said(call(rig(), password="no")) == wanted("bad credentials")


def test_no_route() -> None:
    [plain] = config().smscs
    gateway = rig(replace(plain, allowed_prefixes=("99",)))
    assert said(call(gateway)) == wanted("no route")
    gateway = rig(receivers=NumberRules(black_list_regex="55"))
    assert said(call(gateway)) == wanted("no route")


@pytest.mark.parametrize("field", [("priority", "9"), ("coding", "7"), ("dlr-url", "x")])
def test_a_bad_parameter(field: tuple[str, str]) -> None:
    reply = call(rig(), **dict([field]))
    assert reply.status == wanted("bad parameter")[0]
    assert reply.body.endswith(b", rejected")


def test_every_condition_has_a_test() -> None:
    assert len(WANTED) == 6


def test_no_answer_is_429_which_loses_messages_on_some_platforms() -> None:
    row = next(row for row in OUTCOMES["rows"] if row["gateway_answer"] == "429")
    assert "failed" in [row[name] for name in PLATFORMS]
    row = next(row for row in OUTCOMES["rows"] if "503" in row["gateway_answer"])
    assert {row[name] for name in PLATFORMS} == {"errored-retry"}
    for module in (sendsms, external, sendota):
        answers = [each for each in vars(module).values() if isinstance(each, Answer)]
        assert answers
        assert all(answer.status != 429 for answer in answers)
