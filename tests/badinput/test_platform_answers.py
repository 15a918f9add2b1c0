"""Bad input from platforms: what an answer may be, and what a call costs at most."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from twisted.internet.task import Clock

from gatewayd.model import HttpAnswer
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
from tests.badinput.fuzz_http import Server

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
