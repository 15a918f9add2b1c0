"""Bad input from platforms: what an answer may be, and what a call costs at most."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from gatewayd.config.model import ChannelConfig
from gatewayd.model import HttpAnswer
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
from gatewayd.store.contract import Queue
from tests.badinput.fuzz_http import Server
from tests.flow.rig import Rig, config

CALL = HttpCall("GET", "http://p/", timeout=10.0)


class Crawler(Server):
    """An octet a second, for ever."""

    def connect(self, protocolFactory: Any) -> Any:
        done = super().connect(protocolFactory)
        [protocol] = [done.result]
        for second in range(1, 200):
            self._clock.callLater(float(second), self._drip, protocol)
        return done

    def _drip(self, protocol: Any) -> None:
        if not protocol.transport.disconnecting:
            protocol.dataReceived(b"x")


def answer_to(case: bytes, *, kind: type[Server] = Server, seconds: int = 30) -> HttpAnswer:
    clock = Clock()
    client = HttpClient(clock, endpoint=lambda *_: kind(clock, case), body_limit=8192)
    got: list[HttpAnswer] = []
    client.send(CALL, got.append)
    for _ in range(seconds * 10):
        clock.advance(0.1)
    [answer] = got
    client.close()
    return answer


@pytest.mark.parametrize("status", [200, 201, 204, 302, 304, 401, 418, 429, 500, 503, 999])
def test_platform_06_each_status_is_an_answer(status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    assert answer_to(head.encode()).status == status


@pytest.mark.parametrize("value", ["-1", "1000000000", "Sat, 21 Nov 2026 12:00:00 GMT", "x"])
def test_platform_08_retry_after_in_every_form_is_survived(value: str) -> None:
    head = f"HTTP/1.1 429 X\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
    assert answer_to(head.encode()).status == 429


def test_platform_03_a_body_is_read_up_to_its_limit() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    answer = answer_to(head + b"x" * 1_000_000)
    assert answer.status == 200
    assert len(answer.body) == 8192


def test_platform_05_nothing_is_decompressed() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    assert answer_to(head + bomb).body == bomb[:8192]


def test_platform_04_endless_header_fields_end_the_call() -> None:
    assert answer_to(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 100_000).error == "headers too long"


@pytest.mark.parametrize(
    "octets",
    [b"", b"220 smtp.example ESMTP\r\n", b"\x16\x03\x01\x02\x00", b"HTTP/1.1 abc\r\n\r\n", b"\0"],
)
def test_platform_01_09_what_is_no_http_is_a_failed_call(octets: bytes) -> None:
    answer = answer_to(octets)
    assert answer.status == 0
    assert answer.error


def test_platform_02_an_octet_a_second_ends_with_the_time_of_the_call() -> None:
    answer = answer_to(b"HTTP/1.1 200 OK\r\nX: ", kind=Crawler)
    assert answer.status == 0
    assert answer.seconds <= 11


def test_platform_13_a_reset_after_half_a_body_is_a_failed_call() -> None:
    answer = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    assert (answer.status, answer.error) == (0, "connection lost")


def test_platform_07_a_redirect_is_not_followed_by_default() -> None:
    case = b"HTTP/1.1 302 F\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
    assert answer_to(case).status == 302


@pytest.mark.parametrize("hops", [0, 1, 5])
def test_platform_07_a_ring_of_redirects_ends(hops: int) -> None:
    ring = [b"http://p/%d" % (n % 2) for n in range(20)]
    heads = b"HTTP/1.1 302 F\r\nLocation: %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    clock, asked = Clock(), []

    def endpoint(*origin: Any) -> Server:
        asked.append(origin)
        return Server(clock, heads % ring[len(asked)])

    client = HttpClient(clock, endpoint=endpoint, redirects=hops)
    got: list[HttpAnswer] = []
    client.send(CALL, got.append)
    clock.pump([0.1] * 100)
    assert [answer.status for answer in got] == [302]
    client.close()


@implementer(IHostnameResolver)
class Dns:
    """A resolver that knows these addresses of every name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    def resolveHostName(
        self, resolutionReceiver: Any, hostName: str, portNumber: int = 0, *rest: Any
    ) -> Any:
        receiver = resolutionReceiver
        receiver.resolutionBegan(self)
        for address in self._addresses:
            kind = IPv6Address if ":" in address else IPv4Address
            receiver.addressResolved(kind("TCP", address, portNumber))
        receiver.resolutionComplete()
        return receiver

    def cancel(self) -> None:
        """Nothing is under way."""


class Net(MemoryReactorClock):
    def __init__(self, *addresses: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.nameResolver = Dns(*addresses)


def called(net: Net) -> HttpAnswer:
    client = HttpClient(net)
    got: list[HttpAnswer] = []
    client.send(CALL, got.append)
    for _ in range(200):
        net.advance(0.1)
    [answer] = got
    client.close()
    return answer


def test_platform_11_a_name_that_is_gone_is_a_failed_call() -> None:
    answer = called(Net())
    assert (answer.status, answer.error) == (0, "unknown host")


def test_platform_12_a_platform_that_has_ipv6_alone_is_called_there() -> None:
    net = Net("2001:db8::80")
    called(net)
    assert [(host, port) for host, port, *_ in net.tcpClients] == [("2001:db8::80", 80)]


FAILED = [
    HttpAnswer(0, error="timeout"),
    HttpAnswer(0, error="unknown host"),
    HttpAnswer(0, error="headers too long"),
    *[HttpAnswer(status) for status in (302, 401, 403, 404, 408, 418, 429, 500, 502, 503, 999)],
    HttpAnswer(429, headers=(("Retry-After", "-1"),)),
    HttpAnswer(503, headers=(("Retry-After", "1000000000"),)),
    HttpAnswer(503, headers=(("Retry-After", "Sat, 21 Nov 2026 12:00:00 GMT"),)),
]


@pytest.mark.parametrize("answer", FAILED, ids=lambda a: f"{a.status} {a.error} {a.headers}")
def test_platform_08_14_a_failed_call_is_made_again_by_our_own_schedule(
    answer: HttpAnswer,
) -> None:
    gateway = Rig(config(channels=(ChannelConfig("web", "rapidpro", post_url="http://p/x"),)))
    gateway.deliver()
    gateway.turn()
    _, done = gateway.web.open.pop()
    done(answer)
    gateway.turn(0.0)
    assert not gateway.web.open
    assert gateway.disk.rows(Queue.MO)
    gateway.turn(300.0, 1)
    assert len(gateway.web.open) == 1
    gateway.web.answer()
    gateway.turn()
    assert not gateway.disk.rows()


def test_platform_15_trouble_is_counted_and_logged_once(lines: list[str]) -> None:
    gateway = Rig(config())
    for number in range(20):
        gateway.deliver(payload=b"zebra%d" % number, source=f"{number}")
    for _ in range(30):
        gateway.turn(60.0, 1)
        while gateway.web.open:
            gateway.web.answer(500, b"zebra\r\nzebra" * 1000)
    assert len([line for line in lines if "is in trouble" in line]) == 1
    assert not any("zebra" in line for line in lines)
