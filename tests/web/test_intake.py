from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv6Address
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import provider

from gatewayd.config.model import HttpConfig
from gatewayd.web.intake import PER_TURN
from gatewayd.web.request import Answer, Request, unknown_request
from tests.web.http_bench import Line, make_intake, parse_replies

OK = Answer(200, b"ok", (("Content-Type", "text/plain"),))

REFUSALS = {400, 405, 413, 414, 431}  # tests/badinput has which is for what


class Echo:
    """Answers with what it was asked; keeps requests when told to."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.hold = False

    def __call__(self, request: Request) -> None:
        self.requests.append(request)
        if not self.hold:
            self.release()

    def release(self) -> None:
        request = next(each for each in self.requests if each.pending)
        body = b"|".join((request.method.encode(), request.query, request.body))
        request.reply(Answer(200, body, (("Content-Type", "text/plain"),)))


def echo_line(config: HttpConfig | None = None, clock: Clock | None = None) -> tuple[Line, Echo]:
    echo = Echo()
    return Line(make_intake({"/e": echo}, config, clock)), echo


def test_the_headers_are_kannels_in_its_order() -> None:
    line = Line(make_intake({}))
    line.send(b"GET /nosuch HTTP/1.1\r\n\r\n")
    assert line.taken() == (
        b"HTTP/1.1 404 Not Found\r\nServer: gatewayd/0.1.0\r\n"
        b"Date: Sat, 21 Nov 2026 22:43:20 GMT\r\nContent-Length: 16\r\n"
        b"Connection: Keep-Alive\r\nContent-type: text/html\r\nPragma: no-cache\r\n"
        b"Cache-Control: no-cache\r\n\r\nUnknown request."
    )


def test_paths_match_exactly() -> None:
    line, _ = echo_line()
    for path in ("/e/", "/E", "//e", "/%65", "http://127.0.0.1/e", "/e;x", "/e#"):
        assert line.ask(f"GET {path} HTTP/1.1\r\n\r\n".encode()).status == 404
    assert line.ask(b"GET /e?a=1?b HTTP/1.1\r\n\r\n").body == b"GET|a=1?b|"


def test_a_refused_request_is_answered_as_kannel_does() -> None:
    line, echo = echo_line(HttpConfig(strict=False))
    line.send(b"PUT /e HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
    assert line.taken() == (
        b"HTTP/1.1 400 Bad Request\r\nServer: gatewayd/0.1.0\r\n"
        b"Date: Sat, 21 Nov 2026 22:43:20 GMT\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n"
    )
    assert line.wire.closed
    assert not echo.requests


BAD = {
    "obs-fold": b"GET /e HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
    "length and chunks": b"POST /e HTTP/1.1\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"POST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Length: 5\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /e HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks in 1.0": b"POST /e HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /e HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "signed length": b"POST /e HTTP/1.1\r\nContent-Length: +1\r\n\r\na",
    "bare line feeds": b"GET /e HTTP/1.1\nA: b\n\n",
    "space before the colon": b"GET /e HTTP/1.1\r\nA : b\r\n\r\n",
    "NUL": b"GET /e HTTP/1.1\r\nA: \0\r\n\r\n",
    "HTTP/0.9": b"GET /e\r\n\r\n",
    "HTTP/2": b"GET /e HTTP/2.0\r\n\r\n",
    "HTTP/3.7": b"GET /e HTTP/3.7\r\n\r\n",
    "no slash": b"GET e HTTP/1.1\r\n\r\n",
    "space in the path": b"GET /e e HTTP/1.1\r\n\r\n",
    "lower case method": b"get /e HTTP/1.1\r\n\r\n",
    "CONNECT": b"CONNECT e:80 HTTP/1.1\r\n\r\n",
    "TRACE": b"TRACE /e HTTP/1.1\r\n\r\n",
    "DELETE": b"DELETE /e HTTP/1.1\r\n\r\n",
    "SOURCE": b"SOURCE /e ICE/1.0\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "zeros": bytes(100),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_could_be_read_two_ways_is_refused_and_the_connection_closed(data: bytes) -> None:
    line, echo = echo_line()
    assert line.ask(data + b"GET /e HTTP/1.1\r\n\r\n").status in REFUSALS
    assert line.wire.closed
    assert not echo.requests
    line.send(b"GET /e HTTP/1.1\r\n\r\n")
    assert line.taken() == b""


def test_what_came_before_a_bad_request_is_answered_first() -> None:
    line, _ = echo_line()
    line.send(b"GET /e?1 HTTP/1.1\r\n\r\nGET /e?2 HTTP/1.1\r\n\r\nnonsense\r\n\r\n")
    assert [reply.status for reply in line.replies()] == [200, 200, 400]


def test_head_gets_the_headers_of_get_without_the_body() -> None:
    line, _ = echo_line()
    reply = line.ask(b"HEAD /e?x HTTP/1.1\r\n\r\n", head=True)
    assert reply.header("Content-Length") == str(len("HEAD|x|"))


@pytest.mark.parametrize(
    ("version", "field", "kept"),
    [
        ("1.1", "", True),
        ("1.1", "Connection: close\r\n", False),
        ("1.1", "Connection: Keep-Alive\r\n", True),
        ("1.0", "", False),
        ("1.0", "Connection: keep-alive\r\n", True),
        ("1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", False),
    ],
)
def test_connections_are_kept_as_version_and_header_say(
    version: str, field: str, kept: bool
) -> None:
    line, _ = echo_line()
    reply = line.ask(f"GET /e HTTP/{version}\r\n{field}\r\n".encode())
    assert reply.line == f"HTTP/{version} 200 OK"
    assert reply.header("Connection") == ("Keep-Alive" if kept else "Close")
    assert line.wire.closed is not kept


def test_nothing_is_read_behind_a_request_that_closes() -> None:
    line, echo = echo_line()
    line.send(b"GET /e HTTP/1.1\r\nConnection: close\r\n\r\nGET /e HTTP/1.1\r\n\r\n")
    assert [reply.status for reply in line.replies()] == [200]
    assert len(echo.requests) == 1


PIPELINE = (
    b"GET /e?a=1 HTTP/1.1\r\nHost: h\r\nX-Long: " + b"x" * 50 + b"\r\n\r\n"
    b"GET /e?\xc3\xa9 HTTP/1.1\r\nX: \xe9\r\n\r\n"
    b"POST /e?b HTTP/1.1\r\nContent-Length: 5\r\n\r\nb\xc3\xa9\0y"
    b"HEAD /nosuch HTTP/1.1\r\n\r\n"
    b"POST /e HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    b"GET /e?end HTTP/1.0\r\n\r\n"
)


def whole_answer() -> bytes:
    line, _ = echo_line()
    line.send(PIPELINE)
    return line.taken()


def test_pipelined_requests_are_answered_in_order() -> None:
    answer = whole_answer()
    bodies = [b"a=1|", b"GET|%C3%A9|", b"POST|b|b\xc3\xa9\0y", b"POST||abcd", b"GET|end|"]
    places = [answer.index(body) for body in bodies]
    assert places == sorted(places)
    assert answer.count(b"HTTP/1.") == 6


@pytest.mark.parametrize("step", [1, 2, 3, 7, 40])
def test_requests_in_small_pieces_get_the_same_answers(step: int) -> None:
    line, _ = echo_line()
    for place in range(0, len(PIPELINE), step):
        line.send(PIPELINE[place : place + step])
    assert line.taken() == whole_answer()


def test_requests_cut_anywhere_get_the_same_answers() -> None:
    for cut in range(1, len(PIPELINE)):
        line, _ = echo_line()
        line.send(PIPELINE[:cut])
        line.send(PIPELINE[cut:])
        assert line.taken() == whole_answer()


def test_the_next_request_waits_for_the_answer_before_it() -> None:
    line, echo = echo_line()
    echo.hold = True
    line.send(b"GET /e?1 HTTP/1.1\r\n\r\nGET /e?2 HTTP/1.1\r\n\r\n")
    line.send(b"GET /e?3 HTTP/1.1\r\n\r\n")
    assert len(echo.requests) == 1
    assert line.wire.producerState == "paused"
    echo.release()
    assert [reply.body for reply in line.replies()] == [b"GET|1|"]
    echo.release()
    echo.release()
    assert [reply.body for reply in line.replies()] == [b"GET|2|", b"GET|3|"]
    assert line.wire.producerState == "producing"


def test_a_late_answer_that_closes_ends_the_connection() -> None:
    line, echo = echo_line()
    echo.hold = True
    line.send(b"GET /e HTTP/1.0\r\n\r\n")
    assert not line.wire.closed
    echo.release()
    assert line.wire.closed


def test_the_answers_of_one_turn_are_written_at_once() -> None:
    line, _ = echo_line()
    writes: list[bytes] = []
    line.wire.write = writes.append  # type: ignore[method-assign]
    line.send(b"GET /e HTTP/1.1\r\n\r\n" * 5)
    assert len(writes) == 1
    assert len(parse_replies(writes[0])) == 5


def test_a_flood_of_pipelined_requests_is_spread_over_turns() -> None:
    clock = Clock()
    line, echo = echo_line(clock=clock)
    line.send(b"GET /e HTTP/1.1\r\n\r\n" * (2 * PER_TURN + 1))
    assert len(echo.requests) == PER_TURN
    clock.advance(0)
    assert len(line.replies()) == 2 * PER_TURN + 1


def test_empty_lines_before_raw_octets_are_one_thing_to_parse() -> None:
    fed: list[bytes] = []

    class Parser:
        def feed_data(self, data: bytes) -> None:
            fed.append(data)

    line, _ = echo_line()
    line.connection._parser = Parser()
    line.send(b"\r\n" * 30_000 + b"GET /e?\xe9 HTTP/1.1\r\n\r\n")
    assert len(fed) < 10
    line, _ = echo_line()
    assert line.ask(b"\r\n\n" * 100 + b"GET /e?\xe9 HTTP/1.1\r\n\r\n").status == 200


def test_a_peer_that_takes_no_answers_is_not_read_any_more() -> None:
    clock = Clock()
    line, echo = echo_line(clock=clock)
    line.connection.pauseProducing()
    line.send(b"GET /e HTTP/1.1\r\n\r\n")
    assert not echo.requests
    line.connection.resumeProducing()
    assert len(line.replies()) == 1
    line.connection.pauseProducing()
    clock.pump([1.0] * 62)
    assert line.wire.aborted


def test_an_answer_to_a_caller_that_went_away_is_counted() -> None:
    line, echo = echo_line()
    echo.hold = True
    line.send(b"GET /e HTTP/1.1\r\n\r\n")
    intake = line.intake
    line.connection.connectionLost()
    echo.release()
    assert intake.counts.unheard == 1
    assert line.taken() == b""


def test_answering_twice_is_an_error_of_ours() -> None:
    line, echo = echo_line()
    line.send(b"GET /e HTTP/1.1\r\n\r\n")
    with pytest.raises(Exception, match="already answered"):
        echo.requests[0].reply(OK)
    assert len(line.replies()) == 1


def test_a_failing_handler_costs_its_own_request() -> None:
    def fail(request: Request) -> None:
        raise RuntimeError(request.path)

    events: list[LogEvent] = []

    @provider(ILogObserver)
    def observer(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(observer)
    try:
        line = Line(make_intake({"/f": fail}))
        reply = line.ask(b"GET /f HTTP/1.1\r\n\r\n")
    finally:
        globalLogPublisher.removeObserver(observer)
    assert (reply.status, reply.body) == (500, b"")
    assert line.wire.closed
    assert len(events) == 1


# -- limits


def test_a_request_line_of_128_kb_is_taken_and_a_longer_one_refused() -> None:
    line, _ = echo_line()
    most = HttpConfig().max_line
    target = b"/e?" + b"a" * (most - 3)
    assert line.ask(b"GET " + target + b" HTTP/1.1\r\n\r\n").status == 200
    assert line.ask(b"GET " + target + b"a HTTP/1.1\r\n\r\n").status in REFUSALS


def test_a_long_request_line_may_come_in_pieces() -> None:
    line, _ = echo_line()
    request = b"GET /e?" + b"%41" * 40000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    for place in range(0, len(request), 1460):
        line.send(request[place : place + 1460])
    assert line.replies()[0].body == b"GET|" + b"%41" * 40000 + b"|"


def test_header_fields_together_have_a_limit() -> None:
    line, _ = echo_line(HttpConfig(max_header=1000))
    assert line.ask(b"GET /e HTTP/1.1\r\nA: " + b"x" * 900 + b"\r\n\r\n").status == 200
    assert line.ask(b"GET /e HTTP/1.1\r\n" + b"A: x\r\n" * 300 + b"\r\n").status in REFUSALS


def test_a_header_that_never_ends_is_cut_off() -> None:
    config = HttpConfig(max_line=1000, max_header=1000)
    for begin in (b"GET /e HTTP/1.1\r\nA: ", b"GET /e HTTP/1.1\r\nA"):
        line, _ = echo_line(config)
        line.send(begin)
        for _ in range(40):
            line.send(b"x" * 100)
        assert line.replies()[0].status in REFUSALS
        assert line.wire.closed


@pytest.mark.parametrize(
    "head", [b"Content-Length: 101\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n65\r\n"]
)
def test_a_body_has_a_limit(head: bytes) -> None:
    line, echo = echo_line(HttpConfig(max_body=100))
    assert line.ask(b"POST /e HTTP/1.1\r\n" + head + b"b" * 101).status in REFUSALS
    assert not echo.requests


def test_a_body_of_one_request_does_not_count_for_the_next() -> None:
    line, _ = echo_line(HttpConfig(max_body=100))
    for _ in range(3):
        reply = line.ask(b"POST /e HTTP/1.1\r\nContent-Length: 80\r\n\r\n" + b"b" * 80)
        assert reply.status == 200


def test_a_caller_that_asks_whether_to_go_on_is_told_so() -> None:
    line, _ = echo_line()
    line.send(b"POST /e HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert line.taken() == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert line.ask(b"x").body == b"POST||x"


def test_connections_have_a_limit_in_all_and_per_address() -> None:
    intake = make_intake({}, HttpConfig(max_connections=5, max_connections_per_address=2))
    first, second = Line(intake, "10.0.0.1"), Line(intake, "10.0.0.1")
    assert not (first.refused or second.refused)
    assert Line(intake, "10.0.0.1").refused
    assert not any(Line(intake, f"10.0.0.{last}").refused for last in (2, 3, 4))
    assert Line(intake, "10.0.0.5").refused
    first.connection.connectionLost()
    assert not Line(intake, "10.0.0.1").refused
    assert intake.counts.refused_connections == 2


def test_one_address_never_takes_the_last_tenth() -> None:
    intake = make_intake({}, HttpConfig(max_connections=10))
    assert [Line(intake).refused for _ in range(10)] == [False] * 9 + [True]
    assert not Line(intake, "10.0.0.1").refused


def test_an_idle_connection_is_closed_after_its_time() -> None:
    clock = Clock()
    line, _ = echo_line(clock=clock)
    clock.pump([1.0] * 50)
    line.ask(b"GET /e HTTP/1.1\r\n\r\n")
    clock.pump([1.0] * 59)
    assert not line.wire.aborted
    clock.pump([1.0] * 3)
    assert line.wire.aborted


def test_a_request_that_trickles_in_is_cut_off() -> None:
    clock = Clock()
    line, _ = echo_line(clock=clock)
    for octet in b"GET /e HTTP/1.1\r\n"[: 10 + 2]:
        line.send(bytes([octet]))
        clock.advance(1.0)
    assert line.wire.aborted


def test_a_request_that_waits_for_us_is_never_cut_off() -> None:
    clock = Clock()
    line, echo = echo_line(clock=clock)
    echo.hold = True
    line.send(b"GET /e HTTP/1.1\r\n\r\n")
    clock.pump([1.0] * 600)
    assert not line.wire.aborted
    echo.release()
    assert len(line.replies()) == 1


def test_one_timer_serves_all_connections_and_ends_with_the_last() -> None:
    clock = Clock()
    intake = make_intake({}, clock=clock)
    lines = [Line(intake) for _ in range(20)]
    assert len(clock.getDelayedCalls()) == 1
    for line in lines:
        line.connection.connectionLost()
    clock.advance(1.0)
    assert not clock.getDelayedCalls()
    assert intake.connections == 0


def test_a_connection_that_is_gone_leaves_no_cycle() -> None:
    """With a connection for each request the collector would have to find every one of them."""
    intake = make_intake({"/e": Echo()})
    gc.collect()
    gc.disable()
    try:
        lines = [Line(intake) for _ in range(20)]
        while lines:
            line = lines.pop()
            line.send(b"GET /e HTTP/1.1\r\n\r\n")
            assert len(line.replies()) == 1
            line.connection.connectionLost()
            line.wire.producer = None  # as a real transport does when it is gone
        assert gc.collect() < 20
    finally:
        gc.enable()


def test_stopping_closes_idle_connections_and_lets_the_others_finish() -> None:
    echo = Echo()
    echo.hold = True
    intake = make_intake({"/e": echo})
    idle, busy = Line(intake), Line(intake)
    busy.send(b"GET /e HTTP/1.1\r\n\r\n")
    intake.stop()
    assert idle.wire.closed
    assert not busy.wire.closed
    echo.release()
    assert busy.replies()[0].header("Connection") == "Close"
    assert busy.wire.closed


def test_a_dropped_request_gets_no_answer() -> None:
    line = Line(make_intake({"/d": Request.drop}))
    line.send(b"GET /d HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n")
    assert line.wire.aborted
    assert line.taken() == b""


def test_an_ipv4_caller_through_ipv6_is_known_by_its_ipv4_address() -> None:
    intake = make_intake({})
    connection = intake.buildProtocol(IPv6Address("TCP", "::ffff:10.0.0.1", 1))
    assert connection is not None
    assert connection.peer == "10.0.0.1"


def test_headers_are_found_by_lower_case_name_and_the_first_counts() -> None:
    line, echo = echo_line()
    line.send(b"GET /e HTTP/1.1\r\nX-A: 1\r\nx-a: 2\r\nB: \xe9\r\n\r\n")
    assert echo.requests[0].headers == {"x-a": "1", "b": "é"}
    assert echo.requests[0].peer == "127.0.0.1"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=80), max_size=8))
def test_garbage_ends_in_400_or_silence(pieces: list[bytes]) -> None:
    line = Line(make_intake({}, default=unknown_request))
    for piece in pieces:
        line.send(piece)
    for reply in line.replies():
        assert reply.status in (400, 404, 405)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_pipeline_never_raises(data: st.DataObject) -> None:
    damaged = bytearray(PIPELINE)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    line, _ = echo_line()
    line.send(bytes(damaged))
    assert line.taken().count(b"HTTP/1.") <= 8
