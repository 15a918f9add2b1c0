"""The client's own part: redirects, and which lane takes a call."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from gatewayd.model import HttpAnswer
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall

CALL = HttpCall("POST", "http://a/x?y=1", (("Authorization", "B"), ("Content-Type", "t")), b"body")


@implementer(IStreamClientEndpoint)
class World:
    """Every origin; each request is answered by the next of `answers`."""

    def __init__(self, redirects: int, *answers: bytes) -> None:
        self.clock = Clock()
        self.client = HttpClient(
            self.clock, redirects=redirects, endpoint=lambda *origin: self._at(origin)
        )
        self.answers = list(answers)
        self.asked: list[tuple[str, bytes]] = []
        self.got: list[HttpAnswer] = []
        self._origin = ""
        self._links: dict[Any, tuple[Any, StringTransport]] = {}

    def _at(self, origin: tuple[str, str, int]) -> World:
        self._origin = f"{origin[0]}://{origin[1]}:{origin[2]}"
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        protocol: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]
        transport = StringTransport()
        protocol.makeConnection(transport)
        self._links[self._origin] = protocol, transport
        return succeed(protocol)

    def run(self, call: HttpCall = CALL, seconds: float = 0.0) -> HttpAnswer:
        self.client.send(call, self.got.append)
        while self.answers and not self.got:
            for origin, (protocol, transport) in list(self._links.items()):
                if request := transport.value():
                    transport.clear()
                    self.asked.append((origin, request))
                    self.clock.advance(seconds)
                    protocol.dataReceived(self.answers.pop(0))
        self.clock.advance(0)
        return self.got[0]


def moved(status: int, location: str) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
    return head.encode()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def test_a_redirect_is_an_answer_unless_following_is_allowed() -> None:
    world = World(0, moved(302, "http://b/"))
    assert world.run().status == 302


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_repeats_the_call_elsewhere_without_its_credentials(status: int) -> None:
    world = World(5, moved(status, "https://b:9/z?q"), OK)
    assert world.run().body == b"ok"
    assert [origin for origin, _ in world.asked] == ["http://a:80", "https://b:9"]
    assert world.asked[1][1] == (
        b"POST /z?q HTTP/1.1\r\nHost: b:9\r\nContent-Type: t\r\nContent-Length: 4\r\n\r\nbody"
    )


def test_a_relative_redirect_stays_at_its_origin_with_its_credentials() -> None:
    world = World(5, moved(302, "z"), OK)
    world.run()
    assert world.asked[1][0] == "http://a:80"
    assert world.asked[1][1].startswith(b"POST /z HTTP/1.1\r\nHost: a\r\nAuthorization: B\r\n")


def test_see_other_becomes_a_get_without_a_body() -> None:
    world = World(5, moved(303, "http://b/z"), OK)
    world.run()
    assert world.asked[1][1] == b"GET /z HTTP/1.1\r\nHost: b\r\n\r\n"


def test_redirects_in_a_ring_end() -> None:
    ring = [moved(302, f"/{number}") for number in range(20)]
    world = World(5, *ring)
    assert world.run().status == 302
    assert len(world.asked) == 6


@pytest.mark.parametrize(
    "location", ["", "file:///etc/passwd", "gopher://a/", "http://[::1/", "http://a/x?y=1"]
)
def test_a_redirect_to_nowhere_is_the_answer(location: str) -> None:
    world = World(5, moved(302, location), OK)
    assert world.run().status == 302
    assert len(world.asked) == 1


def test_a_redirect_to_a_url_with_credentials_is_refused() -> None:
    world = World(5, moved(302, "http://u:p@b/"))
    assert world.run().error == "bad URL"


def test_all_hops_share_the_timeout() -> None:
    call = HttpCall("GET", "http://a/", timeout=10.0)
    world = World(5, moved(302, "/1"), moved(302, "/2"), moved(302, "/3"))
    answer = world.run(call, seconds=4.0)
    assert answer.error == "timeout"
    assert answer.seconds == pytest.approx(10.0, abs=2.1)


def test_closing_ends_both_lanes() -> None:
    world = World(0)
    world.client.close()
    for method in ("GET", "HEAD"):
        world.client.send(HttpCall(method, "http://a/"), world.got.append)
    assert world.got == []
    world.clock.advance(0)
    assert [answer.error for answer in world.got] == ["closed", "closed"]
