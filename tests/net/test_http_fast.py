"""The keep-alive client over pretend connections and a pretend clock."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.model import HttpAnswer
from gatewayd.net.http_fast import FastLane
from gatewayd.platforms.contract import HttpCall

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = HttpCall("GET", "http://h:8/a?b=1", (("User-Agent", "x"),), timeout=30.0)
POST = HttpCall("POST", "http://h:8/p", (), b"body", timeout=30.0)


class Wire:
    """The far end of one connection."""

    def __init__(self, factory: IProtocolFactory) -> None:
        self.transport = StringTransport()
        protocol: Any = factory.buildProtocol(None)  # type: ignore[arg-type]
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def sent(self) -> bytes:
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def answer(self, data: bytes = OK) -> None:
        self.protocol.dataReceived(data)

    def lose(self, error: Exception | None = None) -> None:
        self.protocol.connectionLost(Failure(error or ConnectionDone()))

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting)


@implementer(IStreamClientEndpoint)
class Host:
    """Takes connections at once, or later when `slow`, or not at all when `refuses`."""

    def __init__(self) -> None:
        self.wires: list[Wire] = []
        self.slow = self.refuses = False
        self.attempts: list[tuple[IProtocolFactory, Deferred[Any]]] = []

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        if self.refuses:
            return fail(ConnectionRefusedError())
        if self.slow:
            attempt: Deferred[Any] = Deferred()
            self.attempts.append((protocolFactory, attempt))
            return attempt
        self.wires.append(Wire(protocolFactory))
        return succeed(self.wires[-1].protocol)

    def let_in(self) -> None:
        factory, attempt = self.attempts.pop(0)
        self.wires.append(Wire(factory))
        attempt.callback(self.wires[-1].protocol)


class Bench:
    """A fast lane with one host behind every name, and the answers that came."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.host = Host()
        self.asked: list[tuple[str, str, int]] = []
        self.lane = FastLane(self.clock, endpoint=self._endpoint, **limits)
        self.got: list[HttpAnswer] = []

    def _endpoint(self, *origin: Any) -> Host:
        self.asked.append(origin)
        return self.host

    def send(self, call: HttpCall = GET) -> None:
        self.lane.send(call, self.got.append)

    @property
    def wires(self) -> list[Wire]:
        return self.host.wires

    def errors(self) -> list[str]:
        return [answer.error for answer in self.got]

    def statuses(self) -> list[int]:
        return [answer.status for answer in self.got]


def test_a_request_is_written_whole() -> None:
    bench = Bench()
    bench.send()
    assert bench.wires[0].sent() == b"GET /a?b=1 HTTP/1.1\r\nHost: h:8\r\nUser-Agent: x\r\n\r\n"
    bench.wires[0].answer()
    bench.send(POST)
    assert (
        bench.wires[0].sent() == b"POST /p HTTP/1.1\r\nHost: h:8\r\nContent-Length: 4\r\n\r\nbody"
    )
    assert bench.asked == [("http", "h", 8)]


@pytest.mark.parametrize(
    ("url", "target", "origin"),
    [
        ("http://h", "/", ("http", "h", 80)),
        ("https://h?x=/y", "/?x=/y", ("https", "h", 443)),
        ("http://h/a#b", "/a", ("http", "h", 80)),
        ("http://[::1]:81/", "/", ("http", "::1", 81)),
        ("HTTP://H/", "/", ("http", "h", 80)),
    ],
)
def test_urls_of_every_shape_find_their_origin(
    url: str, target: str, origin: tuple[str, str, int]
) -> None:
    bench = Bench()
    bench.send(HttpCall("GET", url))
    assert bench.wires[0].sent().split(b" ")[1].decode() == target
    assert bench.asked == [origin]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "/",
        "http:",
        "http://",
        "http:///x",
        "ftp://h/",
        "http://h:0/",
        "http://h:99999/",
        "http://h:x/",
        "http://u:p@h/",
        "http://h/a b",
        "http://h/é",
        "http://h/a\r\nb",
        "http://h\r\nx/",
        "http://[::1/",
    ],
)
def test_a_url_that_cannot_be_asked_for_is_an_answer_not_an_exception(url: str) -> None:
    bench = Bench()
    bench.send(HttpCall("GET", url))
    assert bench.got == []  # never before send returns
    bench.clock.advance(0)
    assert bench.errors() == ["bad URL"]


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b"])
def test_a_header_cannot_smuggle_another(value: str) -> None:
    bench = Bench()
    bench.send(HttpCall("GET", "http://h/", (("X", value),)))
    bench.clock.advance(0)
    assert bench.errors() == ["bad header"]
    assert bench.wires == []


def test_an_answer_carries_status_headers_body_and_time() -> None:
    bench = Bench()
    bench.send()
    bench.clock.advance(2)
    bench.wires[0].answer(b"HTTP/1.1 404 No\r\nX-A: 1\r\nX-a: 2\r\nContent-Length: 3\r\n\r\nabc")
    assert bench.got == [
        HttpAnswer(404, (("X-A", "1"), ("X-a", "2"), ("Content-Length", "3")), b"abc", "", 2.0)
    ]


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
)


@given(st.integers(min_value=1, max_value=9), st.sampled_from([OK, CHUNKED]))
@settings(max_examples=20)
def test_any_cutting_of_the_stream_gives_the_same_answer(size: int, data: bytes) -> None:
    bench = Bench()
    for turn in range(2):  # the connection serves both
        bench.send()
        for at in range(0, len(data), size):
            assert len(bench.got) == turn
            bench.wires[0].answer(data[at : at + size])
        assert bench.got[turn].body == (b"ok" if data is OK else b"abcde")
    assert len(bench.wires) == 1
    assert all(name != "Trailer" for name, _ in bench.got[0].headers)


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"])
def test_a_body_without_a_length_ends_with_the_connection(head: bytes) -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer(head + b"abc")
    assert bench.got == []
    bench.wires[0].lose()
    assert bench.got[0].body == b"abc"
    bench.send()
    assert len(bench.wires) == 2


def test_a_body_that_breaks_off_is_no_answer() -> None:
    bench = Bench()
    for data in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", CHUNKED[:-8]):
        bench.send()
        bench.wires[-1].answer(data)
        bench.wires[-1].lose()
    bench.send()
    bench.wires[-1].answer(b"HTTP/1.1 200 OK\r\n\r\nabc")
    bench.wires[-1].lose(ConnectionLost())
    assert bench.errors() == ["connection lost"] * 3


def test_a_connection_is_closed_when_the_server_says_so() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert bench.wires[0].closed
    bench.send()
    assert len(bench.wires) == 2


def test_empty_answers_leave_the_connection_open() -> None:
    bench = Bench()
    for status in (b"204", b"304", b"202"):
        bench.send()
        bench.wires[0].answer(b"HTTP/1.1 " + status + b" X\r\nContent-Length: 0\r\n\r\n")
    assert bench.statuses() == [204, 304, 202]
    assert len(bench.wires) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
    ],
)
def test_garbage_closes_the_connection_and_is_told(data: bytes) -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer(data)
    assert bench.errors() == ["bad answer"]
    assert bench.wires[0].closed


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    ],
)
def test_an_interim_answer_is_refused(data: bytes) -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer(data)
    assert bench.errors() in (["unexpected interim answer"], ["bad answer"])
    assert bench.wires[0].closed


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200)
def test_any_octets_end_in_at_most_one_answer(data: bytes, headed: bool) -> None:
    bench = Bench(header_limit=100, body_limit=10)
    bench.send(POST)
    bench.wires[0].answer((b"HTTP/1.1 200 OK\r\n" if headed else b"") + data)
    bench.wires[0].lose()
    bench.clock.advance(60)
    assert len(bench.got) == 1


def test_a_second_answer_to_one_request_closes_the_connection() -> None:
    for surplus in (OK, b"H", b"junk junk\r\n"):
        bench = Bench()
        bench.send()
        bench.wires[0].answer(OK + surplus)
        assert bench.statuses() == [200]
        assert bench.got[0].body == b"ok"
        assert bench.wires[0].closed


def test_octets_that_nobody_asked_for_close_the_connection() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.wires[0].answer(OK)
    assert bench.wires[0].closed
    assert len(bench.got) == 1


def test_headers_are_bounded() -> None:
    bench = Bench(header_limit=1000)
    lines = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 50) for i in range(40))
    for data in (
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000,  # never ends
        b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + lines + b"\r\n",
    ):
        bench.send()
        bench.wires[-1].answer(data)
        assert bench.errors()[-1] == "headers too long"
        assert bench.wires[-1].closed


def test_a_long_body_is_cut_and_the_rest_not_waited_for() -> None:
    bench = Bench(body_limit=10)
    bench.send()
    bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n0123456")
    assert bench.got == []
    bench.wires[0].answer(b"789abc")
    assert bench.got[0].body == b"0123456789"
    assert bench.wires[0].closed


def test_an_endless_trailer_is_bounded() -> None:
    bench = Bench(header_limit=100, body_limit=100)
    bench.send()
    bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ")
    for _ in range(20):
        bench.wires[0].answer(b"y" * 100)
    assert bench.errors() == ["answer too long"]


def test_calls_share_a_bounded_number_of_connections_in_turn() -> None:
    bench = Bench(per_origin=2)
    for number in range(5):
        bench.send(HttpCall("GET", f"http://h/{number}"))
    assert len(bench.wires) == 2
    order = []
    for turn in range(5):
        wire = bench.wires[turn % 2]
        order.append(wire.sent().split()[1])
        wire.answer()
    assert order == [b"/0", b"/1", b"/2", b"/3", b"/4"]
    assert bench.statuses() == [200] * 5
    assert len(bench.wires) == 2


def test_a_call_made_within_an_answer_does_not_recurse() -> None:
    bench = Bench()
    within: list[HttpAnswer] = []

    def again(answer: HttpAnswer) -> None:
        assert not within
        within.append(answer)
        bench.got.append(answer)
        bench.lane.send(GET, again)
        within.clear()

    bench.lane.send(GET, again)
    for _ in range(50):
        bench.wires[0].answer()
    assert (len(bench.got), len(bench.wires)) == (50, 1)


def test_a_stale_connection_is_tried_once_more_for_a_get() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.clock.advance(3)
    bench.send()
    bench.wires[0].lose()
    assert len(bench.got) == 1
    bench.wires[1].lose()  # new, and gone too: that is no stale connection
    assert bench.errors()[1:] == ["connection lost"]


def test_a_connection_in_use_just_before_is_not_stale_the_server_had_the_call() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.clock.advance(1)
    bench.send()
    bench.wires[0].lose()
    assert bench.errors()[-1] == "connection lost"
    assert len(bench.wires) == 1


def test_a_post_or_an_answer_begun_is_not_tried_again() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.send(POST)
    bench.wires[0].lose()
    assert bench.errors()[-1] == "connection lost"
    bench.send()
    bench.wires[1].answer()
    bench.clock.advance(3)
    bench.send()
    bench.wires[1].answer(b"H")
    bench.wires[1].lose()
    assert bench.errors()[-1] == "connection lost"
    assert len(bench.wires) == 2


def test_a_retry_does_not_use_another_old_connection() -> None:
    bench = Bench()
    for _ in range(2):
        bench.send()
    for wire in bench.wires:
        wire.answer()
    bench.clock.advance(3)
    bench.send()
    bench.wires[1].lose()
    assert bench.wires[0].closed
    assert len(bench.wires) == 3
    bench.wires[2].answer()
    assert bench.statuses() == [200] * 3


def test_a_post_takes_no_connection_that_may_just_be_closing() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.clock.advance(1)
    bench.send(POST)
    assert len(bench.wires) == 1
    bench.wires[0].answer()
    bench.clock.advance(2)
    bench.send(POST)
    assert len(bench.wires) == 2
    assert bench.wires[0].closed


def test_idle_connections_are_closed_after_their_time_and_the_origin_is_forgotten() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer()
    bench.clock.advance(14.9)
    assert [wire.closed for wire in bench.wires] == [False]
    bench.clock.advance(0.2)
    assert [wire.closed for wire in bench.wires] == [True]
    bench.wires[0].lose()
    bench.clock.advance(10)
    assert bench.clock.getDelayedCalls() == []
    bench.send()
    assert bench.asked == [("http", "h", 8)] * 2


def test_a_call_ends_at_its_timeout_wherever_it_is() -> None:
    bench = Bench(per_origin=1)
    bench.send(HttpCall("GET", "http://h/1", timeout=10))
    bench.send(HttpCall("GET", "http://h/2", timeout=5))  # waits for the first
    bench.clock.advance(4.9)
    assert bench.got == []
    bench.clock.advance(0.1)
    bench.clock.advance(0)
    assert bench.errors() == ["timeout"]
    bench.wires[0].answer(b"HTTP/1.1 200 OK\r\n")  # one line, then silence
    bench.clock.advance(5)
    bench.clock.advance(0)
    assert bench.errors() == ["timeout"] * 2
    assert bench.wires[0].closed
    assert bench.got[1].seconds == 10.0


def test_a_drip_of_octets_does_not_put_off_the_timeout() -> None:
    bench = Bench()
    bench.send()
    bench.wires[0].answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(30):
        bench.wires[0].answer(b"x")
        bench.clock.advance(1)
    bench.clock.advance(0)
    assert bench.errors() == ["timeout"]


def test_there_is_one_timer_however_many_calls() -> None:
    bench = Bench(per_origin=4)
    for number in range(100):
        bench.send(HttpCall("GET", "http://h/", timeout=10 + number))
    assert len(bench.clock.getDelayedCalls()) == 1


def test_a_refused_connection_is_told_to_one_call_each_and_later() -> None:
    bench = Bench(per_origin=2)
    bench.host.refuses = True
    for _ in range(5):
        bench.send()
    assert bench.got == []
    for _ in range(5):
        bench.clock.advance(0)
    assert [error.split(":")[0] for error in bench.errors()] == ["cannot connect"] * 5
    bench.host.refuses = False
    bench.send()
    bench.wires[0].answer()
    assert bench.statuses()[-1] == 200


def test_a_slow_connection_serves_whoever_waits_longest() -> None:
    bench = Bench(per_origin=1)
    bench.host.slow = True
    bench.send(HttpCall("GET", "http://h/1", timeout=5))
    bench.send(HttpCall("GET", "http://h/2", timeout=50))
    bench.clock.advance(6)
    bench.clock.advance(0)
    assert bench.errors() == ["timeout"]
    bench.host.let_in()
    assert bench.wires[0].sent().startswith(b"GET /2 ")


def test_closing_tells_every_call_and_may_be_repeated() -> None:
    bench = Bench(per_origin=1)
    bench.send()
    bench.send()
    bench.lane.close()
    bench.lane.close()
    assert bench.errors() == ["closed"] * 2
    assert bench.wires[0].closed
    bench.wires[0].lose()
    bench.send()
    bench.clock.advance(60)
    assert bench.errors() == ["closed"] * 3
    assert bench.clock.getDelayedCalls() == []


def test_attempts_under_way_end_with_the_client() -> None:
    bench = Bench()
    bench.host.slow = True
    bench.send()
    bench.lane.close()
    bench.clock.advance(60)
    assert bench.errors() == ["closed"]
    assert bench.host.attempts[0][1].called
    assert bench.clock.getDelayedCalls() == []


def test_a_connection_that_is_gone_is_no_garbage_to_be_looked_for() -> None:
    bench = Bench()

    def alive() -> int:
        return sum(type(each) is kind for each in gc.get_objects())

    bench.send()
    kind = type(bench.wires[0].protocol)
    gc.collect()
    gc.disable()
    try:
        for answer in (OK, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"nonsense"):
            bench.wires[0].answer(answer)
            bench.wires[0].lose()
            bench.wires.clear()
            assert alive() == 0
            bench.send()
    finally:
        gc.enable()
