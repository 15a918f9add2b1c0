"""Both wire forms that platforms send today, from their own test suites."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gatewayd.config.model import Config, HttpConfig, Secret, UserConfig
from gatewayd.model import Acceptance, Verdict
from tests.web.http_bench import GOLDEN, Gateway, sendsms_line

FIXTURES = [
    case
    for name in ("kn_mt_current", "kn_mt_legacy")
    for case in json.loads((GOLDEN / "platform" / f"{name}.json").read_text())["cases"]
]
VERDICTS = {202: Verdict.ACCEPTED, 403: Verdict.UNROUTABLE, 503: Verdict.OVERLOADED}


@pytest.mark.parametrize("case", FIXTURES, ids=lambda case: str(case["id"]))
@pytest.mark.parametrize("strict", [True, False])
def test_what_the_platform_means_is_what_is_ordered(case: dict[str, Any], strict: bool) -> None:
    decoded = case["decoded"]
    user = UserConfig(decoded["username"], Secret(decoded["password"]))
    gateway = Gateway(Acceptance(VERDICTS.get(case["response"]["status"], Verdict.ACCEPTED)))
    config = Config(users=(user,), http=HttpConfig(strict=strict, dlr_url_allow=("any",)))
    line, _ = sendsms_line(gateway, config)
    request = (
        f"GET {case['request']['target']} HTTP/1.1\r\nHost: gw\r\nAccept-Encoding: gzip\r\n\r\n"
    )
    reply = line.ask(request.encode("latin-1"))
    [order] = gateway.orders
    sms = case["expect_sms"]
    wanted = sms.get("text", "Hi ☺ ção" if "text_kannel" in sms else None)
    text = order.data.decode("utf-16-be") if order.coding == 2 else order.text
    if wanted is not None:
        assert text == wanted
    if "text_bytes_hex" in case and order.coding == 2:
        assert order.data.hex() == case["text_bytes_hex"]
    assert order.receivers == [decoded["to"]]
    assert order.source == decoded["from"]
    assert order.dlr_url == decoded["dlr-url"]
    assert order.dlr_mask == int(decoded["dlr-mask"])
    assert order.priority == int(decoded.get("priority", -1))
    if case["response"]["status"] in VERDICTS:
        assert reply.status == case["response"]["status"]
        if not case["id"].endswith("queued"):
            assert reply.body.decode() == case["response"]["body"]
