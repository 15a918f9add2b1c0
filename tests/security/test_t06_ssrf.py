"""T6: nobody has us call where the configuration does not say, whatever the DNS answers."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from gatewayd.config.model import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    ListenerConfig,
    SmscConfig,
)
from gatewayd.config.url_patterns import url_pattern
from gatewayd.flow.targets import Targets
from gatewayd.model import HttpAnswer
from gatewayd.net import tls_later
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
from tests.web.http_bench import TESTER, Gateway, sendsms_line

SMSC = SmscConfig("op", "op", hosts=("10.90.1.15",), binds=(BindConfig("op/0", host="8.9.8.9"),))
CHANNEL = ChannelConfig("p", "rapidpro", post_url="https://platform.example.net/c/kn/u/receive")


def config(*allow: str, channel: ChannelConfig = CHANNEL, **http: Any) -> Config:
    return Config(
        smscs=(SMSC,),
        users=(TESTER,),
        channels=(channel,),
        http=HttpConfig(dlr_url_allow=allow, **http),
    )


LITERALLY_BAD = [
    "file:///etc/passwd",
    "gopher://platform.example.net/",
    "http://",
    "https:///x",
    "https://user:pass@platform.example.net/",
    "http://127.0.0.1/",
    "http://127.0.0.1:13000/shutdown?password=x",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://0x7f.1/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://127.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
    "http://10.90.1.15:2775/",
    "http://10.90.1.77/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://224.0.0.1/",
    "http://[fd00::1]/",
    "http://8.9.8.9/",
    "http://localhost/",
    "https://platform.example.net:25/",
    "https://platform.example.net.evil.example/",
    "https://platform.example.net" + "/" + "x" * 2000,
    "https://platform.example.net\\@127.0.0.1/",
    "https://platform.example.net%2f@127.0.0.1/",
    "https://other.example.net/",
]


@pytest.mark.parametrize("url", LITERALLY_BAD)
def test_t06_http_12_a_bad_dlr_url_is_refused_at_submit(url: str) -> None:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config())
    query = b"username=tester&password=foobar&from=1&to=2&text=x&dlr-mask=31&dlr-url="
    escaped = "".join(f"%{octet:02x}" for octet in url.encode())
    reply = line.ask(b"GET /cgi-bin/sendsms?%b%b HTTP/1.1\r\n\r\n" % (query, escaped.encode()))
    assert reply.status == 400
    assert reply.body.startswith(b"DLR-URL ")
    assert not gateway.orders


@pytest.mark.parametrize("url", [one for one in LITERALLY_BAD if "//platform" not in one])
def test_t06_a_pattern_for_all_hosts_still_means_the_internet(url: str) -> None:
    targets = Targets(config("http://*:*", "https://*:*"))
    assert (targets.refusal(url) == "") is (url == "https://other.example.net/")


def test_t06_the_host_of_a_channel_may_be_called_and_any_in_a_kannel_conf() -> None:
    assert not Targets(config()).refusal("https://platform.example.net/report?x")
    assert Targets(config()).refusal("http://platform.example.net/report?x")
    for url in LITERALLY_BAD:
        assert not Targets(config("any")).refusal(url)


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        ("https://*.example.org", "https://a.b.example.org/", "https://example.org/"),
        ("https://*.example.org", "https://A.example.ORG./", "https://aexample.org/"),
        ("http://10.0.0.0/8:8080", "http://10.90.1.15:8080/", "http://10.1.1.1/"),
        ("http://[fd00::]/8:*", "http://[fd00::7]:99/", "http://[fe00::7]:99/"),
        ("http://h.example:*", "http://h.example:8000/", "http://h.example:25/"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1/x", "http://127.0.0.2:1/x"),
    ],
)
def test_t06_patterns_say_scheme_host_and_port(pattern: str, good: str, bad: str) -> None:
    targets = Targets(config(url_pattern(pattern)))
    if ":*" in pattern and "[" in pattern:
        good = good.replace(":99", ":9900")
    assert not targets.refusal(good)
    assert targets.refusal(bad)


@pytest.mark.parametrize(
    "pattern", ["", "example.org", "ftp://x", "https://", "http://10.0.0.1/8", "https://a b", "*"]
)
def test_t06_a_pattern_that_is_none_is_told(pattern: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        url_pattern(pattern)


@implementer(IHostnameResolver)
class Dns:
    """Answers as it is told; the answer may change between two questions."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def resolveHostName(self, receiver: Any, name: str, port: int = 0, *rest: Any) -> Any:
        self.asked += 1
        receiver.resolutionBegan(self)
        for address in self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]:
            receiver.addressResolved(IPv4Address("TCP", address, port))
        receiver.resolutionComplete()
        return receiver

    def cancel(self) -> None:
        """Nothing is under way."""


@implementer(IReactorPluggableNameResolver)
class World(MemoryReactorClock):
    def __init__(self, dns: Dns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nameResolver = dns

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        raise NotImplementedError


def called(whole: Config, url: str, *answers: list[str]) -> tuple[list[tuple[str, int]], str]:
    """Where one call connected to, and the error it ended with."""
    world = World(Dns(*answers))
    ours = Targets(whole, lambda address: address == "192.0.2.80")
    client = HttpClient(world, targets=ours)
    got: list[HttpAnswer] = []
    client.send(HttpCall("GET", url, timeout=5.0), got.append)
    for _ in range(60):
        world.advance(0.1)
    return [(host, port) for host, port, *_ in world.tcpClients], got[0].error


def test_t06_http_13_the_checked_address_is_the_one_that_is_connected_to() -> None:
    # the second answer is what a rebinding name would say to whoever asks again
    found, _ = called(
        config("http://*.example"), "http://e.example/", ["93.184.216.34"], ["127.0.0.1"]
    )
    assert found == [("93.184.216.34", 80)]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("10.1.1.1", "not public"),
        ("169.254.169.254", "link-local"),
        ("224.0.0.5", "multicast"),
        ("0.0.0.0", "nowhere"),
        ("100.64.3.3", "not public"),
        ("10.90.1.15", "an SMSC"),
        ("8.9.8.200", "the network of an SMSC"),
    ],
)
def test_t06_http_13_a_name_that_leads_inside_is_not_connected_to(address: str, why: str) -> None:
    found, error = called(config("http://*.example"), "http://e.example/", [address])
    assert not found
    assert "not allowed" in error
    assert why in error


def test_t06_of_several_addresses_only_the_allowed_ones_are_tried() -> None:
    answers = ["127.0.0.1", "93.184.216.34", "10.0.0.1"]
    found, _ = called(config("http://*.example"), "http://e.example/", answers)
    assert {host for host, _ in found} == {"93.184.216.34"}


def test_t06_a_name_listed_exactly_may_lead_to_a_private_network_but_not_to_smscs_or_us() -> None:
    allow = ("http://rapidpro:8000", "http://rapidpro:13013")
    inside = config(*allow, sendsms=ListenerConfig("0.0.0.0", 13013))
    assert called(inside, "http://rapidpro:8000/", ["10.5.5.5"])[0] == [("10.5.5.5", 8000)]
    for address in ("10.90.1.15", "127.0.0.1", "169.254.169.254"):
        assert not called(inside, "http://rapidpro:8000/", [address])[0]
    for url, ok in (("http://rapidpro:13013/", False), ("http://rapidpro:8000/", True)):
        assert bool(called(inside, url, ["192.0.2.80"])[0]) is ok


def test_t06_a_listed_network_is_allowed_behind_any_listed_name() -> None:
    allow = ("http://*.example:8080", "http://10.5.0.0/16:8080")
    assert called(config(*allow), "http://e.example:8080/", ["10.5.5.5"])[0]
    assert not called(config(*allow), "http://e.example:8080/", ["10.6.5.5"])[0]


def test_t06_what_is_not_allowed_any_more_is_not_called_either() -> None:
    found, error = called(config(), "http://stored.example/", ["93.184.216.34"])
    assert not found
    assert error.startswith("not allowed: stored.example:80")


def test_t06_http_13_a_redirect_to_elsewhere_is_not_followed() -> None:
    targets = Targets(config())
    tls_later.prepare(config(), targets)  # as at a start: a channel is https
    world = World(Dns(["93.184.216.34"]))
    client = HttpClient(world, redirects=5, targets=targets)
    got: list[HttpAnswer] = []
    client.send(HttpCall("GET", "https://platform.example.net/", timeout=5.0), got.append)
    call = HttpCall("GET", "http://169.254.169.254/latest/", timeout=5.0)
    client.direct(call, got.append)
    world.advance(0.1)
    assert [answer.error for answer in got] == [
        "not allowed: 169.254.169.254:80 is in no channel and not in dlr-url-allow"
    ]


def test_t06_http_13_a_proxy_is_asked_for_allowed_origins_only() -> None:
    world = World(Dns(["93.184.216.34"]))
    client = HttpClient(world, proxy="proxy.example:3128", targets=Targets(config()))
    got: list[HttpAnswer] = []
    client.send(HttpCall("GET", "http://169.254.169.254/latest/", timeout=5.0), got.append)
    world.advance(0.1)
    assert got[0].error.startswith("not allowed")
    assert not world.tcpClients
