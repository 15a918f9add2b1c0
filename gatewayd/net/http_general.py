"""The general HTTP client: what the fast lane does not do, which is a proxy and rare methods."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IAddress, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    HTTPConnectionPool,
    ProxyAgent,
    ResponseDone,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from gatewayd.flow.targets import Targets
from gatewayd.model import HttpAnswer
from gatewayd.net.http_reach import way_to
from gatewayd.net.http_wire import Done, describe_failure
from gatewayd.net.tls import verified
from gatewayd.platforms.contract import HttpCall

_LONGEST_HEAD: Final = 16384


class _Tunnelling(Protocol):
    """Asks a proxy for a tunnel, then makes way for the protocol that goes through it."""

    transport: Any = None

    def __init__(self, tunnel: _Tunnel, factory: IProtocolFactory, ready: Deferred[Any]) -> None:
        self._tunnel = tunnel
        self._factory = factory
        self._ready = ready
        self._head = b""

    def connectionMade(self) -> None:
        self.transport.write(self._tunnel.request)

    def dataReceived(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > _LONGEST_HEAD:
                self._refuse("the proxy's answer is too long")
            return
        status = head.split(None, 2)[1:2]
        inner = self._factory.buildProtocol(self.transport.getPeer())
        if status != [b"200"] or inner is None:
            self._refuse("the proxy refused the tunnel")
            return
        self.transport.protocol = inner
        inner.makeConnection(self.transport)
        self._ready.callback(inner)
        if rest:
            inner.dataReceived(rest)

    def _refuse(self, why: str) -> None:
        self.transport.abortConnection()
        self._lose(ConnectError(string=why))

    def _lose(self, error: Exception) -> None:
        ready, self._ready = self._ready, Deferred()
        ready.errback(error)
        self._ready.addErrback(lambda _failure: None)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        if not self._ready.called:
            self._lose(ConnectError(string="the proxy closed the connection"))


class _TunnellingFactory(Factory):
    noisy = False

    def __init__(self, tunnel: _Tunnel, factory: IProtocolFactory, ready: Deferred[Any]) -> None:
        self._arguments = (tunnel, factory, ready)

    def buildProtocol(self, addr: IAddress | None) -> _Tunnelling:
        return _Tunnelling(*self._arguments)


@implementer(IStreamClientEndpoint)
class _Tunnel:
    """Reaches `host` through a proxy (CONNECT, RFC 9110, 9.3.6)."""

    def __init__(self, proxy: IStreamClientEndpoint, host: str, port: int, authorization: str):
        self._proxy = proxy
        name = f"[{host}]" if ":" in host else host
        head = f"CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n"
        if authorization:
            head += f"Proxy-Authorization: {authorization}\r\n"
        self.request = head.encode() + b"\r\n"

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        outer: Deferred[Any]

        def cancel(_ready: Deferred[Any]) -> None:
            outer.cancel()

        ready: Deferred[Any] = Deferred(cancel)
        outer = self._proxy.connect(_TunnellingFactory(self, protocolFactory, ready))
        outer.addErrback(lambda failure: None if ready.called else ready.errback(failure))
        return ready


@implementer(IAgentEndpointFactory)
class _Endpoints:
    """How https origins are reached: through a tunnel if there is a proxy."""

    def __init__(self, general: GeneralLane) -> None:
        self._general = general

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._general.endpoint(uri.scheme == b"https", uri.host.decode(), uri.port)


@implementer(IBodyProducer)
class _Body:
    """The octets of a request."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        consumer.write(self._body)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:
        """Nothing to pause: it was all written at once."""

    def resumeProducing(self) -> None:
        """Nothing to resume."""

    def stopProducing(self) -> None:
        """Nothing to stop."""


class _Collector(Protocol):
    """The first `limit` octets of a body; what comes behind them is not waited for."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self.finished: Deferred[bytes] = Deferred(lambda _deferred: self._abort())

    def dataReceived(self, data: bytes) -> None:
        room = self._limit - self._size
        self._size += len(data)
        if room > 0:
            self._parts.append(data[:room])
        if self._size > self._limit and not self.finished.called:
            self.finished.callback(b"".join(self._parts))
            self._abort()

    def _abort(self) -> None:
        abort = getattr(self.transport, "abortConnection", None)
        if abort is not None:
            abort()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        if self.finished.called:
            return
        if reason.check(ResponseDone, PotentialDataLoss):  # the latter: no length was given
            self.finished.callback(b"".join(self._parts))
        else:
            self.finished.errback(ConnectError(string="connection lost"))


def _as_received(response: Any) -> IResponse:
    """The response below treq's wrappers, whose body is what came over the wire.

    treq asks for gzip and unpacks it; what a small body unpacks to has no bound, so we read it as
    it is.
    """
    while (original := getattr(response, "original", None)) is not None:
        response = original
    found: IResponse = response
    return found


class GeneralLane:
    """Calls by treq, through `proxy` (host:port or http://user:password@host:port).

    Bodies are never decompressed: what a small one unpacks to has no bound. Behind a proxy the
    addresses that names lead to are the proxy's affair; here only the origin is checked.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        proxy: str = "",
        connect_timeout: float = 10.0,
        body_limit: int = 65536,
        trust_root: Any = None,
        targets: Targets | None = None,
    ) -> None:
        self._reactor = reactor
        self._targets = targets
        self._connect_timeout = connect_timeout
        self._body_limit = body_limit
        self._trust_root = trust_root
        self._authorization = ""
        self._proxy: IStreamClientEndpoint | None = None
        self._pool = HTTPConnectionPool(reactor)
        self._pool.retryAutomatically = False
        self._running: set[Deferred[HttpAnswer]] = set()
        self._closed = False
        direct = Agent.usingEndpointFactory(reactor, _Endpoints(self), pool=self._pool)
        self._agents: dict[str, Any] = {"http": direct, "https": direct}
        if proxy:
            self._use(proxy)

    def _use(self, proxy: str) -> None:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._authorization = "Basic " + b64encode(credentials.encode()).decode()
        self._proxy = HostnameEndpoint(
            self._reactor, parts.hostname or "", parts.port or 3128, timeout=self._connect_timeout
        )
        self._agents["http"] = ProxyAgent(self._proxy, self._reactor, pool=self._pool)

    def endpoint(self, tls: bool, host: str, port: int) -> IStreamClientEndpoint:
        """The way to an origin that the plain proxy agent does not serve."""
        way: IStreamClientEndpoint
        if self._proxy is not None:
            way = _Tunnel(self._proxy, host, port, self._authorization)
        else:
            scheme = "https" if tls else "http"
            way = way_to(self._reactor, self._targets, scheme, host, port, self._connect_timeout)
        if not tls:
            return way
        return verified(self._reactor, way, host, self._trust_root)

    def send(self, call: HttpCall, done: Done) -> None:
        """Make the call; `done` gets the answer, once and later."""
        if self._closed:
            self._reactor.callLater(0, done, HttpAnswer(0, error="closed"))
            return
        started: float = self._reactor.seconds()
        running = Deferred.fromCoroutine(self._run(call, started))
        self._running.add(running)
        timed_out: list[bool] = []

        def expire() -> None:
            timed_out.append(True)
            running.cancel()

        timer = self._reactor.callLater(call.timeout, expire)

        def failed(reason: Failure) -> HttpAnswer:
            seconds = self._reactor.seconds() - started
            if timed_out:
                return HttpAnswer(0, error="timeout", seconds=seconds)
            if self._closed:
                return HttpAnswer(0, error="closed", seconds=seconds)
            if reason.check(ResponseFailed, ResponseNeverReceived):
                return HttpAnswer(0, error="connection lost", seconds=seconds)
            if reason.check(ValueError):
                return HttpAnswer(0, error="bad URL", seconds=seconds)
            return HttpAnswer(0, error=describe_failure(reason), seconds=seconds)

        def finish(answer: HttpAnswer) -> None:
            if timer.active():
                timer.cancel()
            self._running.discard(running)
            # In a turn of its own, so that a caller's next call never runs within this one.
            self._reactor.callLater(0, done, answer)

        running.addErrback(failed)
        running.addCallback(finish)

    async def _run(self, call: HttpCall, started: float) -> HttpAnswer:
        scheme, mark, _ = call.url.partition("://")
        agent = self._agents.get(scheme.lower())
        if agent is None or not mark:
            return HttpAnswer(0, error="bad URL")
        if self._targets is not None and (why := self._targets.refusal(call.url)):
            return HttpAnswer(0, error=why)
        headers = Headers()
        for name, value in call.headers:
            headers.addRawHeader(name, value)
        if self._authorization and scheme.lower() == "http":
            headers.addRawHeader("Proxy-Authorization", self._authorization)
        body = _Body(call.body) if call.body or call.method in ("POST", "PUT") else None
        # A client each time: treq keeps cookies in its client, and calls must not meet in a jar.
        answer = await HTTPClient(agent).request(
            call.method,
            call.url,
            headers=headers,
            data=body,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        response = _as_received(answer)
        collector = _Collector(self._body_limit)
        response.deliverBody(collector)
        octets = await collector.finished
        found = tuple(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in response.headers.getAllRawHeaders()
            for value in values
        )
        seconds = self._reactor.seconds() - started
        return HttpAnswer(response.code, found, octets, seconds=seconds)

    def close(self) -> None:
        """Give up every call; each ends with the error "closed". May be repeated."""
        self._closed = True
        for running in list(self._running):
            running.cancel()
        self._pool.closeCachedConnections()
