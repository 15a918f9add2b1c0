"""What makes two sendsms calls one."""

from __future__ import annotations

from urllib.parse import quote, urlencode

import pytest

from gatewayd.config.model import ChannelConfig, Config, UserConfig
from gatewayd.model import Order
from tests.web.http_bench import OPEN, TESTER, Gateway, sendsms_line

HOST = "https://platform.example"
RAPIDPRO = ChannelConfig("rp", "rapidpro", post_url=f"{HOST}/c/kn/u/receive", idempotent=True)
STATUS = f"{HOST}/c/kn/u/status"


def order_of(
    url: str = "",
    text: str = "x",
    to: str = "5511",
    key: str = "",
    channel: str = "",
    on: bool = True,
) -> Order:
    gateway = Gateway()
    user = UserConfig(TESTER.username, TESTER.password, channel=channel)
    kannel = ChannelConfig("kn", post_url=f"{HOST}/in")
    config = Config(users=(user,), channels=(RAPIDPRO, kannel) if on else (kannel,), http=OPEN)
    line, _ = sendsms_line(gateway, config)
    query = urlencode({"username": "tester", "password": "foobar", "from": "1", "to": to})
    header = f"Idempotency-key: {key}\r\n" if key else ""
    target = f"/cgi-bin/sendsms?{query}&text={text}&dlr-url={quote(url)}"
    line.ask(f"GET {target} HTTP/1.1\r\n{header}\r\n".encode())
    [order] = gateway.orders
    return order


@pytest.mark.parametrize("query", ["uuid=a-b&status=%d", "id=10&status=%d", "status=%d&id=1"])
def test_a_dlr_url_that_names_the_message_makes_it_one(query: str) -> None:
    url = f"{STATUS}?{query}"
    order = order_of(url)
    assert len(order.once) == 16
    assert order_of(url).once == order.once
    others = [order_of(url, text="y"), order_of(url, to="5522"), order_of(url + "1")]
    assert order.once not in [other.once for other in others]


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"{STATUS}?status=%d",
        f"{STATUS}?id=&status=%d",
        f"{STATUS}?grid=1",
        "http://other/?id=1",
    ],
)
def test_another_dlr_url_does_not(url: str) -> None:
    assert order_of(url).once == b""


def test_the_users_channel_decides_before_the_host() -> None:
    url = "http://other.example/status?id=1"
    assert order_of(url, channel="rp").once
    assert not order_of(f"{STATUS}?id=1", channel="kn").once


def test_no_channel_means_no_key_but_a_header_does() -> None:
    url = f"{STATUS}?id=1"
    assert not order_of(url, on=False).once
    keyed = order_of(url, on=False, key="k1")
    assert len(keyed.once) == 16
    assert order_of(url, on=False, key="k1").once == keyed.once
    assert order_of("", on=False, key="k1").once == keyed.once
    assert order_of(url, on=False, key="k2").once != keyed.once


def test_a_key_used_again_for_another_text_is_another_message() -> None:
    assert order_of(key="k", text="a").once != order_of(key="k", text="b").once
