"""T14: a platform can tell our calls from forged ones."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from gatewayd.config.model import ChannelConfig, Secret
from gatewayd.platforms.contract import HttpCall
from gatewayd.platforms.signature import signed, target_of

CHANNEL = ChannelConfig("p", signature_key=Secret("key"))


def test_t14_the_signature_is_over_time_method_target_and_body() -> None:
    call = HttpCall("POST", "https://p.example:8/in?a=%20b#x", (("A", "b"),), b"body")
    found = dict(signed(call, CHANNEL, 1_795_301_000.9).headers)
    assert found["A"] == "b"
    assert found["X-Gatewayd-Time"] == "1795301000"
    text = b"1795301000\nPOST\n/in?a=%20b\nbody"
    wanted = hmac.new(b"key", text, hashlib.sha256).hexdigest()
    assert found["X-Gatewayd-Signature"] == "sha256=" + wanted
    # computed by `printf '1795301000\nPOST\n/in?a=%%20b\nbody' | openssl dgst -sha256 -hmac key`
    assert wanted == "d3e6f75b48871c97ed77d741484aa81c83bfd07367bc0eae6f09ef58f378a5ed"


def test_t14_without_a_key_nothing_is_added() -> None:
    call = HttpCall("GET", "https://p.example/")
    assert signed(call, ChannelConfig("p"), 0.0) is call


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", "/"),
        ("http://h?x=/", "/?x=/"),
        ("http://h/a?b#c", "/a?b"),
        ("http://h#c", "/"),
    ],
)
def test_t14_the_target_is_what_is_sent(url: str, target: str) -> None:
    assert target_of(url) == target
