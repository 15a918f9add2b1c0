"""Hostile input at the sendsms listener, from platforms, and in URLs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from zope.interface import implementer

from gatewayd.config import passwords
from gatewayd.config.model import ChannelConfig, Config, HttpConfig, Secret, UserConfig
from gatewayd.config.url_patterns import url_pattern
from gatewayd.flow.targets import Targets
from gatewayd.model import Acceptance, HttpAnswer, Order, Verdict
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
from gatewayd.web.external import External
from gatewayd.web.intake import Intake
from gatewayd.web.request import Handler
from gatewayd.web.sendota import SendOta
from gatewayd.web.sendsms import SendSms
from tests.badinput.chance import NASTY, Wire, mutated

USER = UserConfig("u", Secret("p"))
HASHED = UserConfig("h", Secret(passwords.make("p", b"0123456789abcdef", n=2)))
CHANNEL = ChannelConfig("x", "external", post_url="https://platform.example/c/ex/1")
STATUSES = frozenset((200, 202, 400, 403, 404, 405, 413, 414, 415, 431, 503))


class Doors:
    """All doors of the sendsms listener over one intake; checks what comes out of them."""

    def __init__(self, http: HttpConfig) -> None:
        self.http = http
        config = Config(users=(USER, HASHED), channels=(CHANNEL,), http=http)
        sendsms = SendSms(config, self.accept, lambda: 1.8e9)
        routes: dict[str, Handler] = {
            "/cgi-bin/sendsms": sendsms,
            "/external": External(config, sendsms, self.accept, str),
            "/cgi-bin/sendota": SendOta(config, sendsms, self.accept),
        }
        self.clock = Clock()
        self.intake = Intake(http, routes, self.clock, puts=["/external"], wall=lambda: 1.8e9)

    def accept(self, order: Order, done: Callable[[Acceptance], None]) -> None:
        if self.http.strict:
            values = [order.source, order.account, order.binfo, order.meta, order.dlr_url]
            values += [order.smsc or "", order.external_id, *order.receivers]
            for value in values:
                assert value.isprintable() or not any(c < " " or c == "\x7f" for c in value), value
            assert order.receivers
            assert len(order.receivers) <= 100
            assert all(len(number) <= 21 for number in order.receivers)
        done(Acceptance(Verdict.ACCEPTED))

    def send(self, *pieces: bytes) -> bytes:
        connection = self.intake.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert connection is not None
        wire = Wire()  # type: ignore[no-untyped-call]
        connection.makeConnection(wire)
        for piece in pieces:
            connection.dataReceived(piece)
        self.clock.advance(0)
        written: bytes = wire.value()  # type: ignore[no-untyped-call]
        connection.connectionLost()
        failures, self.intake.counts.failures = self.intake.counts.failures, 0
        assert not failures, "a handler broke"
        assert not self.intake.connections
        for line in written.split(b"HTTP/1.")[1:]:
            status = int(line[2:5])
            assert status in STATUSES or status == 100, status
        return written


DOORS: dict[str, Doors] = {}


def doors(which: str) -> Doors:
    if not DOORS:
        DOORS["yaml"] = Doors(HttpConfig(login_failures=0, sendota_path="/cgi-bin/sendota"))
        DOORS["kannel"] = Doors(
            HttpConfig(strict=False, require_host=False, login_failures=0, dlr_url_allow=("any",))
        )
    return DOORS[which]


LOGIN = b"username=u&password=p&from=8000&to=258840000001&text=hello"
REQUESTS = (
    b"GET /cgi-bin/sendsms?" + LOGIN + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded"
    b"\r\nContent-Length: 59\r\n\r\n" + LOGIN,
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nX-Kannel-Username: u\r\nX-Kannel-Password: p\r\n"
    b"X-Kannel-To: 1\r\nX-Kannel-From: 2\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: 149"
    b"\r\n\r\n<message><submit><da><number>1</number></da><oa><number>2</number>"
    b"</oa><ud>x</ud><from><username>u</username></from></submit></message>",
    b"POST /external HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dTpw\r\nContent-Type: "
    b"application/json\r\nContent-Length: 46\r\n\r\n"
    b'{"to":"1","from":"2","text":"x","id":"7","a":1}',
    b"PUT /external?to=1&from=2&text=x HTTP/1.1\r\nHost: h\r\nAuthorization: p\r\n"
    b"Content-Length: 0\r\n\r\n",
    b"HEAD /cgi-bin/sendota?username=h&password=p&to=1 HTTP/1.0\r\n\r\n",
)


def make_http(chance: Random) -> bytes:
    return mutated(chance, b"".join(chance.choices(REQUESTS, k=chance.randint(1, 3))))


def try_http(case: bytes) -> None:
    cut = len(case) * 2 // 3
    for which in ("yaml", "kannel"):
        doors(which).send(case[:cut], case[cut:])


FIELDS = (
    b"username password user pass from to text charset coding udh mclass mwi pid rpi",
    b"alt-dcs compress validity deferred dlr-mask dlr-url dlrmask dlrurl smsc",
    b"account binfo meta-data priority channel id",
)
NAMES = b" ".join(FIELDS).split()
VALUES = (b"u", b"p", b"8000", b"258840000001", b"1", b"2", b"0", b"UTF-8", b"gsm", b"hello",
          b"\x05\x00\x03\x01\x02\x01", b"?smpp?a=b&",
          b"https://platform.example/", b"")  # fmt: skip


def make_sendsms(chance: Random) -> bytes:
    fields = [(name, b"") for name in chance.sample(NAMES, chance.randint(0, 8))]
    fields += [(b"username", b"u"), (b"password", b"p"), (b"to", b"1"), (b"text", b"x")]
    parts = []
    for name, given in fields:
        value = given or chance.choice(VALUES)
        if chance.random() < 0.3:
            value = mutated(chance, value + chance.choice(NASTY), 3)
        written = quote_from_bytes(value) if chance.random() < 0.9 else value.decode("latin-1")
        parts.append(name + b"=" + written.encode("latin-1"))
    chance.shuffle(parts)
    return b"&".join(parts)


def try_sendsms(case: bytes) -> None:
    line = case.replace(b"\r", b"%0d").replace(b"\n", b"%0a").replace(b" ", b"%20")
    line = line.replace(b"\x00", b"%00")
    for path in (b"/cgi-bin/sendsms", b"/external"):
        request = b"GET " + path + b"?" + line + b" HTTP/1.1\r\nHost: h\r\n\r\n"
        for which in ("yaml", "kannel"):
            assert doors(which).send(request).startswith(b"HTTP/1.1 ")


# -- platforms

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0 202 Accepted\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


@implementer(IStreamClientEndpoint)
class Server:
    """Answers every connection with the case, in pieces, and then goes away."""

    def __init__(self, clock: Clock, case: bytes) -> None:
        self._clock = clock
        self._case = case

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        protocol: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 80))
        wire = Wire()  # type: ignore[no-untyped-call]
        protocol.makeConnection(wire)
        half = len(self._case) // 2
        self._clock.callLater(0.1, self._say, protocol, wire, self._case[:half])
        self._clock.callLater(0.2, self._say, protocol, wire, self._case[half:])
        self._clock.callLater(0.3, protocol.connectionLost)
        return succeed(protocol)

    def _say(self, protocol: Any, wire: Wire, data: bytes) -> None:
        if not wire.disconnecting and data:
            protocol.dataReceived(data)


def make_platform(chance: Random) -> bytes:
    return mutated(chance, b"".join(chance.choices(ANSWERS, k=chance.randint(1, 2))))


def try_platform(case: bytes) -> None:
    clock = Clock()
    client = HttpClient(
        clock, redirects=len(case) % 3, endpoint=lambda *_: Server(clock, case), body_limit=8192
    )
    got: list[HttpAnswer] = []
    calls = [HttpCall("GET", "http://p/x", timeout=5.0), HttpCall("POST", "http://p/", (), b"b")]
    for call in calls:
        client.send(call, got.append)
    for _ in range(80):
        clock.advance(0.5)
    assert len(got) == len(calls)
    assert all(len(answer.body) <= 8192 for answer in got)
    client.close()


URLS = (b"https://platform.example/c?x=%p", b"http://[::1]:80/", b"http://10.0.0.1:8080/", b"any",
        b"https://*.example.net:8443", b"http://10.0.0.0/8:*", b"http://0x7f.1/")  # fmt: skip
TARGETS = [
    Targets(Config(channels=(CHANNEL,), http=HttpConfig(dlr_url_allow=allow)))
    for allow in ((), ("http://*:*", "https://*.example.net"))
]


def make_url(chance: Random) -> bytes:
    return mutated(chance, chance.choice(URLS), 4)


def try_url(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    for targets in TARGETS:
        targets.refusal(text)
    with suppress(ValueError):
        url_pattern(text)
    with suppress(ValueError):
        passwords.parse(text)
