"""The HTTP client against real sockets: servers that die, crawl, flood, and speak TLS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet import ssl
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from gatewayd.model import HttpAnswer
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall

pytestmark = pytest.mark.live


class Stage:
    """One reactor of its own, servers on free ports, and the answers that came."""

    def __init__(self, **options: Any) -> None:
        self.reactor: Any = EPollReactor()
        self.client = HttpClient(self.reactor, **options)
        self.got: list[HttpAnswer] = []
        self.wanted = 0
        self.failed = False

    def listen(self, factory: Any) -> Any:
        return self.reactor.listenTCP(0, factory, interface="127.0.0.1")

    def site(self, resource: Resource) -> Site:
        return Site(resource, reactor=self.reactor)

    def send(self, call: HttpCall, then: Callable[[], None] | None = None) -> None:
        def done(answer: HttpAnswer) -> None:
            self.got.append(answer)
            self.wanted -= 1
            if then is not None:
                then()
            if not self.wanted:
                self.reactor.callLater(0, self.reactor.stop)

        self.wanted += 1
        self.client.send(call, done)

    def run(self, begin: Callable[[], None]) -> list[HttpAnswer]:
        """Until every call is answered; 20 s at the most."""

        def late() -> None:
            self.failed = True
            self.reactor.stop()

        self.reactor.callWhenRunning(begin)
        timer = self.reactor.callLater(20, late)
        self.reactor.run(installSignalHandlers=False)
        if timer.active():
            timer.cancel()
        self.client.close()
        for _ in range(5):
            self.reactor.iterate(0)
        for reader in self.reactor.removeAll():
            if hasattr(reader, "getHost"):
                reader.socket.close()
        assert not self.failed, f"no end; {len(self.got)} answers, {self.wanted} missing"
        return self.got


class Echo(Resource):
    """Says what it was asked; `slow` seconds later."""

    isLeaf = True

    def __init__(self, slow: float = 0.0) -> None:
        Resource.__init__(self)
        self._slow = slow
        self.peers: set[int] = set()

    def render(self, request: Request) -> Any:
        self.peers.add(request.getClientAddress().port)
        assert request.content is not None
        body = request.method + b" " + request.uri + b" " + request.content.read()
        if not self._slow:
            return body

        def finish() -> None:
            request.write(body)  # no length: chunked
            request.finish()

        request.channel.callLater(self._slow, finish)
        return NOT_DONE_YET


class Speaker(Protocol):
    """Answers every request by `say`, which may call itself later; counts connections."""

    transport: Any = None

    def __init__(self, say: Callable[[Any], None]) -> None:
        self._say = say

    def dataReceived(self, data: bytes) -> None:
        self._say(self.transport)


class Speakers(Factory):
    noisy = False

    def __init__(self, say: Callable[[Any], None]) -> None:
        self._say = say
        self.links = 0

    def buildProtocol(self, addr: IAddress | None) -> Speaker:
        self.links += 1
        return Speaker(self._say)


def test_many_calls_share_few_connections() -> None:
    stage = Stage(per_origin=4)
    echo = Echo()
    port = stage.listen(stage.site(echo)).getHost().port

    def begin() -> None:
        for number in range(300):
            method, body = ("POST", b"b") if number % 2 else ("GET", b"")
            stage.send(HttpCall(method, f"http://127.0.0.1:{port}/{number}", (), body))

    got = stage.run(begin)
    bodies = {answer.body for answer in got}
    assert bodies == {b"POST /%d b" % n if n % 2 else b"GET /%d " % n for n in range(300)}
    assert len(echo.peers) <= 4


def test_a_chunked_answer_and_one_that_never_comes() -> None:
    stage = Stage()
    quick = stage.listen(stage.site(Echo(slow=0.05))).getHost().port
    never = stage.listen(stage.site(Echo(slow=60))).getHost().port

    def begin() -> None:
        stage.send(HttpCall("GET", f"http://127.0.0.1:{quick}/", timeout=5))
        stage.send(HttpCall("GET", f"http://127.0.0.1:{never}/", timeout=0.3))

    quick_answer, never_answer = stage.run(begin)
    assert quick_answer.body == b"GET / "
    assert quick_answer.header("transfer-encoding") == "chunked"
    assert never_answer.error == "timeout"
    assert 0.2 < never_answer.seconds < 5


def test_an_answer_octet_by_octet() -> None:
    stage = Stage()
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello"

    def say(transport: Any, at: int = 0) -> None:
        if at < len(data):
            transport.write(data[at : at + 1])
            stage.reactor.callLater(0, say, transport, at + 1)

    port = stage.listen(Speakers(say)).getHost().port

    def begin() -> None:
        stage.send(HttpCall("GET", f"http://127.0.0.1:{port}/"))

    assert stage.run(begin)[0].body == b"hello"


@pytest.mark.parametrize("proxied", [False, True])
def test_platform_03_a_hundred_megabytes_are_not_read(proxied: bool) -> None:
    sent = [0]

    def say(transport: Any) -> None:
        transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        pour(transport)

    def pour(transport: Any) -> None:
        if sent[0] < 104857600 and transport.connected:
            sent[0] += 65536
            transport.write(b"x" * 65536)
            stage.reactor.callLater(0, pour, transport)

    stage = Stage()
    port = stage.listen(Speakers(say)).getHost().port
    if proxied:
        stage.client = HttpClient(stage.reactor, proxy=f"127.0.0.1:{port}")

    def begin() -> None:
        stage.send(HttpCall("GET", f"http://127.0.0.1:{port}/"))

    answer = stage.run(begin)[0]
    assert (answer.status, answer.body) == (200, b"x" * 65536)
    assert sent[0] < 50_000_000


def test_a_server_that_is_started_again_is_found_again() -> None:
    """The old connection dies while a GET is on it; the GET is made again on a new one."""
    stage = Stage()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
    answers = [head + b"a", b"", head + b"b"]

    def say(transport: Any) -> None:
        if data := answers.pop(0):
            transport.write(data)
        else:
            transport.abortConnection()

    speakers = Speakers(say)
    port = stage.listen(speakers).getHost().port
    call = HttpCall("GET", f"http://127.0.0.1:{port}/", timeout=5)

    def begin() -> None:
        stage.wanted += 1  # the call that comes later
        stage.send(call, lambda: stage.reactor.callLater(2, rested))

    def rested() -> None:
        stage.wanted -= 1
        stage.send(call)

    first, second = stage.run(begin)
    assert (first.body, second.body) == (b"a", b"b")
    assert speakers.links == 2


def test_nobody_listening_is_told_at_once() -> None:
    stage = Stage()
    closed = stage.listen(stage.site(Echo()))
    port = closed.getHost().port

    def begin() -> None:
        closed.stopListening().addCallback(
            lambda _: stage.send(HttpCall("GET", f"http://127.0.0.1:{port}/"))
        )

    assert stage.run(begin)[0].error.startswith("cannot connect")


# -- TLS


def certificate(name: str, days: int = 1) -> tuple[ssl.CertificateOptions, ssl.Certificate]:
    """A self-signed certificate for `name`, for a server and for who trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    own = ssl.PrivateCertificate.loadPEM(pem)
    return own.options(), ssl.Certificate.loadPEM(pem)


def serve_tls(stage: Stage, name: str, days: int = 1) -> tuple[int, ssl.Certificate, Echo]:
    options, trusted = certificate(name, days)
    echo = Echo()
    wrapped = TLSMemoryBIOFactory(options, False, stage.site(echo), clock=stage.reactor)
    return stage.listen(wrapped).getHost().port, trusted, echo


def test_tls_is_spoken_with_keep_alive_when_the_certificate_is_trusted() -> None:
    stage = Stage()
    port, trusted, echo = serve_tls(stage, "localhost")
    stage.client = HttpClient(stage.reactor, trust_root=trusted)
    call = HttpCall("POST", f"https://localhost:{port}/", (), b"secret")

    def again() -> None:
        if len(stage.got) < 5:
            stage.send(call, again)

    def begin() -> None:
        stage.send(call, again)

    got = stage.run(begin)
    assert [answer.body for answer in got] == [b"POST / secret"] * 5
    assert len(echo.peers) == 1


@pytest.mark.parametrize(
    ("name", "days"), [("localhost", 1), ("elsewhere.example", 1), ("localhost", -1)]
)
def test_platform_10_tls_with_an_unknown_authority_another_name_or_out_of_date_is_refused(
    name: str, days: int
) -> None:
    stage = Stage()
    port, trusted, echo = serve_tls(stage, name, days)
    if name != "localhost" or days < 0:
        stage.client = HttpClient(stage.reactor, trust_root=trusted)

    def begin() -> None:
        stage.send(HttpCall("GET", f"https://localhost:{port}/", timeout=5))

    answer = stage.run(begin)[0]
    assert answer.status == 0
    assert answer.error.startswith("connection lost")
    assert not echo.peers


# -- a proxy


class Pipe(Protocol):
    """One direction of a tunnel."""

    transport: Any = None

    def __init__(self, other: Any) -> None:
        self._other = other

    def dataReceived(self, data: bytes) -> None:
        self._other.transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        self._other.transport.loseConnection()


class Proxy(Protocol):
    """Answers plain requests itself and opens tunnels to local ports; keeps the request heads."""

    transport: Any = None

    def __init__(self, stage: Stage, heads: list[bytes]) -> None:
        self._stage = stage
        self._heads = heads
        self._out: Any = None

    def dataReceived(self, data: bytes) -> None:
        if self._out is not None:
            self._out.transport.write(data)
            return
        self._heads.append(data)
        if not data.startswith(b"CONNECT"):
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nvi")
            return
        port = int(data.split()[1].rpartition(b":")[2])
        if not port > 1:
            self.transport.write(b"HTTP/1.1 403 No\r\n\r\n")
            return
        pipes = Factory.forProtocol(lambda: Pipe(self))
        TCP4ClientEndpoint(self._stage.reactor, "127.0.0.1", port).connect(pipes).addCallback(
            self._opened
        )

    def _opened(self, out: Any) -> None:
        self._out = out
        self.transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")


def serve_proxy(stage: Stage) -> tuple[int, list[bytes]]:
    heads: list[bytes] = []
    factory = Factory.forProtocol(lambda: Proxy(stage, heads))
    return stage.listen(factory).getHost().port, heads


def test_a_proxy_gets_plain_calls_whole_and_opens_tunnels_for_tls() -> None:
    stage = Stage()
    proxy, heads = serve_proxy(stage)
    port, trusted, _echo = serve_tls(stage, "localhost")
    stage.client = HttpClient(
        stage.reactor, proxy=f"http://us:p%40w@127.0.0.1:{proxy}", trust_root=trusted
    )

    def begin() -> None:
        stage.send(
            HttpCall("GET", "http://platform.example/x?y=1"),
            lambda: stage.send(HttpCall("POST", f"https://localhost:{port}/z", (), b"b")),
        )

    plain, tunnelled = stage.run(begin)
    assert (plain.body, tunnelled.body) == (b"vi", b"POST /z b")
    assert heads[0].startswith(b"GET http://platform.example/x?y=1 HTTP/1.1\r\n")
    assert heads[1].startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % port)
    assert all(b"Proxy-Authorization: Basic dXM6cEB3\r\n" in head for head in heads)


def test_a_proxy_that_refuses_or_hangs_is_told() -> None:
    stage = Stage()
    proxy, _heads = serve_proxy(stage)
    silent = stage.listen(Speakers(lambda _transport: None)).getHost().port
    refusing = HttpClient(stage.reactor, proxy=f"127.0.0.1:{proxy}")
    hanging = HttpClient(stage.reactor, proxy=f"127.0.0.1:{silent}")

    def begin() -> None:
        stage.client = refusing
        stage.send(HttpCall("GET", "https://localhost:1/"))
        stage.client = hanging
        stage.send(HttpCall("GET", "https://localhost:1/", timeout=0.3))
        stage.send(HttpCall("GET", "http://localhost:1/", timeout=0.3))

    got = stage.run(begin)
    refusing.close()
    assert "the proxy refused the tunnel" in got[0].error
    assert [answer.error for answer in got[1:]] == ["timeout", "timeout"]


def test_an_unusual_method_takes_the_general_lane() -> None:
    stage = Stage()
    port = stage.listen(stage.site(Echo())).getHost().port

    def begin() -> None:
        stage.send(HttpCall("DELETE", f"http://127.0.0.1:{port}/q", (("X", "y"),)))

    answer = stage.run(begin)[0]
    assert (answer.status, answer.body) == (200, b"DELETE /q ")
