"""The fast lane to the platforms: keep-alive HTTP/1.1, a few connections for each origin.

A connection carries one request at a time. A call takes an idle connection, the one used last, or
opens one, or waits in a row for the first that is free. One timer per origin watches over
everything that can be late; it is moved when something becomes due earlier, never per call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from gatewayd.flow.targets import Targets
from gatewayd.model import HttpAnswer
from gatewayd.net.http_reach import way_to
from gatewayd.net.http_wire import (
    Done,
    Exchange,
    describe_failure,
    describe_loss,
    origin_of,
    request_octets,
)
from gatewayd.net.tls_later import Https
from gatewayd.platforms.contract import HttpCall

# Scheme, host and port in; how to reach them out.
EndpointFor = Callable[[str, str, int], IStreamClientEndpoint]

METHODS: Final = frozenset({"GET", "POST", "PUT"})
# May be made again on a new connection when an old one turns out to be dead.
_SAFE: Final = frozenset({"GET"})
# Servers close idle connections after two seconds at the earliest. One that has rested for longer
# than this may just be closing: a call that may not be made twice does not take it, and only there
# is a loss without an answer taken for the server's closing. Elsewhere it had the request.
_FRESH: Final = 1.9
# How long a connection may take to close in good order.
_LINGER: Final = 5.0
# Idle connections kept over all origins: dlr-urls may name very many hosts.
_MOST_IDLE: Final = 256
# Octets on the wire for one octet of body: the smallest chunks take six.
_CHUNK_OVERHEAD: Final = 8


class _Connection:
    """One connection. The methods that begin with `on_` are called by the parser.

    An IProtocol by its methods; a class with foreign bases compiles badly.
    """

    def __init__(self, origin: _Origin) -> None:
        self.transport: Any = None
        self._origin = origin
        self.exchange: Exchange | None = None
        self.rested = False  # before the call that is under way
        self.since = 0.0  # idle, or closing, since then
        self._parser: Any = None  # made for the first answer, and good for those after it
        self._begin()

    def _begin(self) -> None:
        self._received = 0
        self._header_octets = 0
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._headed = False
        self._complete = False
        self._keep = False

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        nodelay = getattr(self.transport, "setTcpNoDelay", None)
        if nodelay is not None:
            nodelay(True)

    def start(self, exchange: Exchange, rested: bool = False) -> None:
        """Write the request; nothing else is under way."""
        self.exchange = exchange
        self.rested = rested
        self._begin()
        self.transport.write(exchange.request)

    # -- the answer

    def dataReceived(self, data: bytes) -> None:
        if self.exchange is None:  # nobody asked for anything
            self._origin.retire(self)
            return
        parser = self._parser
        if parser is None:
            parser = self._parser = HttpResponseParser(self)
        self._received += len(data)
        limits = self._origin.lane
        try:
            parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._keep = False
            if not self._complete:
                self._fail("bad answer")
                return
        if self._headed and self._status < 200:
            self._fail("unexpected interim answer")
        elif self._header_octets > limits.header_limit or (
            not self._headed and self._received > limits.header_limit
        ):
            self._fail("headers too long")
        elif self._complete or self._size > limits.body_limit:
            self._finish()
        elif self._received > limits.header_limit + _CHUNK_OVERHEAD * limits.body_limit:
            self._fail("answer too long")

    def on_message_begin(self) -> None:
        if self._complete:  # a second answer to one request
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            return
        self._header_octets += len(name) + len(value) + 4
        if not self._headed:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if not self._headed:
            self._headed = True
            self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        if self._complete:
            return
        room = self._origin.lane.body_limit - self._size
        if room > 0:
            self._body.append(body[:room] if len(body) > room else body)
        self._size += len(body)

    def on_message_complete(self) -> None:
        if not self._complete:
            self._complete = True
            self._keep = self._parser.should_keep_alive()
        else:
            self._keep = False

    # -- the end

    def _finish(self, lost: bool = False) -> None:
        """Hand the answer over; a body that was cut off ends the connection too."""
        exchange = self.exchange
        assert exchange is not None
        self.exchange = None
        origin = self._origin
        now = origin.lane.seconds()
        answer = HttpAnswer(
            self._status,
            tuple(self._headers),
            b"".join(self._body),
            seconds=now - exchange.started,
        )
        if lost:
            pass  # nothing left to close
        elif not self._complete:
            self.abort()
        elif self._keep:
            origin.free(self, now)
        else:
            origin.retire(self)
        exchange.done(answer)

    def _fail(self, error: str) -> None:
        """The answer is no use: end the connection, tell the caller."""
        exchange = self.exchange
        self.exchange = None
        self.abort()
        if exchange is not None:
            self._origin.fail(exchange, error)

    def abort(self) -> None:
        """Close at once. The origin forgets the connection now, not when the socket is gone."""
        self._origin.forget(self)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        origin = self._origin
        origin.forget(self)
        self._parser = None  # it knows this connection, which is a cycle
        exchange = self.exchange
        if exchange is None:
            return
        if self._headed and not self._bounded() and reason.check(ConnectionDone):
            self._finish(lost=True)  # a body without a length ends with the connection
            return
        self.exchange = None
        if exchange.safe and self.rested and not self._received and not exchange.retried:
            origin.retry(exchange)
        else:
            origin.fail(exchange, describe_loss(reason))

    def _bounded(self) -> bool:
        return any(
            name.lower() in ("content-length", "transfer-encoding") for name, _ in self._headers
        )


class _Factory(Factory):
    noisy = False

    def __init__(self, origin: _Origin) -> None:
        self._origin = origin

    def buildProtocol(self, addr: IAddress | None) -> _Connection:  # type: ignore[override]
        return _Connection(self._origin)


class _Origin:
    """Scheme, host and port, with its connections and the calls that wait for one."""

    def __init__(self, lane: FastLane, key: str, host: str, endpoint: IStreamClientEndpoint):
        self.lane = lane
        self.key = key
        self.host = host
        self._endpoint = endpoint
        self._factory = _Factory(self)
        self._open: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._closing: set[_Connection] = set()
        self._waiting: deque[Exchange] = deque()
        self._connecting: set[Deferred[Any]] = set()
        self._attempts = 0
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0

    # -- calls come in

    def send(self, exchange: Exchange) -> None:
        idle = self._idle
        while idle:
            connection = idle.pop()
            self.lane.idle -= 1
            rested = exchange.started - connection.since >= _FRESH
            if exchange.safe or not rested:
                connection.start(exchange, rested)
                break
            self.retire(connection)
        else:
            self._waiting.append(exchange)
            self._grow()
        self._watch(exchange.deadline)

    def retry(self, exchange: Exchange) -> None:
        """Make the call on a new connection: what else is idle has probably been closed too."""
        exchange.retried = True
        while self._idle:
            self.lane.idle -= 1
            self.retire(self._idle.pop())
        self._waiting.appendleft(exchange)
        self._grow()
        self._watch(exchange.deadline)

    def fail(self, exchange: Exchange, error: str) -> None:
        exchange.done(HttpAnswer(0, error=error, seconds=self.lane.seconds() - exchange.started))

    # -- connections come and go

    def _grow(self) -> None:
        while (
            self._attempts < len(self._waiting)
            and len(self._open) + self._attempts < self.lane.per_origin
            and not self.lane.closed
        ):
            self._attempts += 1
            attempt: Deferred[Any] = self._endpoint.connect(self._factory)
            self._connecting.add(attempt)
            attempt.addCallbacks(self._connected, self._refused)
            attempt.addBoth(self._ended, attempt)

    def _ended(self, _result: object, attempt: Deferred[Any]) -> None:
        self._connecting.discard(attempt)

    def _connected(self, connection: _Connection) -> None:
        self._attempts -= 1
        if self.lane.closed:
            connection.abort()
            return
        self._open.add(connection)
        self.free(connection, self.lane.seconds())

    def _refused(self, reason: Failure) -> None:
        # Later, since an endpoint may know at once, within somebody's `send`.
        self.lane.later(self._refused_later, describe_failure(reason))

    def _refused_later(self, error: str) -> None:
        self._attempts -= 1
        if self._waiting:
            self.fail(self._waiting.popleft(), error)
        self._grow()
        self._watch_all()

    def free(self, connection: _Connection, now: float) -> None:
        """Give the connection its next call, or let it rest."""
        if self._waiting:
            connection.start(self._waiting.popleft())
        elif self.lane.idle >= _MOST_IDLE or self.lane.closed:
            self.retire(connection)
        else:
            connection.since = now
            self._idle.append(connection)
            self.lane.idle += 1
            self._watch(now + self.lane.idle_timeout)

    def retire(self, connection: _Connection) -> None:
        """Close in good order a connection that has no call."""
        self.forget(connection)
        connection.since = self.lane.seconds()
        self._closing.add(connection)
        connection.transport.loseConnection()
        self._watch(connection.since + _LINGER)

    def forget(self, connection: _Connection) -> None:
        self._closing.discard(connection)
        if connection in self._open:
            self._open.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
                self.lane.idle -= 1
            if self._waiting:
                self._grow()

    # -- time

    def _watch(self, at: float) -> None:
        timer = self._timer
        if timer is None:
            self._timer_at = at
            self._timer = self.lane.later_at(at, self._tick)
        elif at < self._timer_at:
            self._timer_at = at
            timer.reset(max(0.0, at - self.lane.seconds()))

    def _watch_all(self) -> None:
        """Set the timer for what is due first, or leave the stage when nothing is left."""
        due = [exchange.deadline for exchange in self._waiting]
        due += [c.exchange.deadline for c in self._open if c.exchange is not None]
        due += [c.since + self.lane.idle_timeout for c in self._idle]
        due += [c.since + _LINGER for c in self._closing]
        if due:
            self._watch(min(due))
        elif not self._open and not self._attempts:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.lane.drop(self)

    def _tick(self) -> None:
        self._timer = None
        now = self.lane.seconds()
        late = [e for e in self._waiting if e.deadline <= now]
        if late:
            self._waiting = deque(e for e in self._waiting if e.deadline > now)
        for connection in [c for c in self._open if c.exchange and c.exchange.deadline <= now]:
            assert connection.exchange is not None
            late.append(connection.exchange)
            connection.exchange = None
            connection.abort()
        for connection in [c for c in self._idle if c.since + self.lane.idle_timeout <= now]:
            self.retire(connection)
        for connection in [c for c in self._closing if c.since + _LINGER <= now]:
            connection.abort()
        self._watch_all()
        for exchange in late:
            self.lane.later(self.fail, exchange, "timeout")

    def close(self) -> None:
        """Close everything now; calls under way get an error."""
        lost = list(self._waiting)
        self._waiting.clear()
        for connection in list(self._open | self._closing):
            if connection.exchange is not None:
                lost.append(connection.exchange)
                connection.exchange = None
            connection.abort()
        for attempt in list(self._connecting):
            attempt.cancel()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for exchange in lost:
            self.fail(exchange, "closed")


class FastLane:
    """All origins. Limits are per answer in octets and per origin in connections.

    `trust_root` are the authorities for https (None: the system's); names are always verified.
    `endpoint` says how to reach an origin; None: by name, over TCP or TLS,
    where `targets` allow it.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        per_origin: int = 16,
        connect_timeout: float = 10.0,
        idle_timeout: float = 15.0,
        header_limit: int = 16384,
        body_limit: int = 65536,
        trust_root: Any = None,
        endpoint: EndpointFor | None = None,
        targets: Targets | None = None,
    ) -> None:
        self._reactor = reactor
        self._targets = targets
        self.per_origin = per_origin
        self.idle_timeout = idle_timeout
        self.header_limit = header_limit
        self.body_limit = body_limit
        self._connect_timeout = connect_timeout
        self._trust_root = trust_root
        self._endpoint = endpoint or self._by_name
        self._origins: dict[str, _Origin] = {}
        self.idle = 0
        self.closed = False

    def seconds(self) -> float:
        now: float = self._reactor.seconds()
        return now

    def later(self, function: Callable[..., None], *arguments: object) -> None:
        """Call in the reactor's next turn."""
        self._reactor.callLater(0, function, *arguments)

    def later_at(self, at: float, function: Callable[[], None]) -> IDelayedCall:
        call: IDelayedCall = self._reactor.callLater(
            max(0.0, at - self._reactor.seconds()), function
        )
        return call

    def send(self, call: HttpCall, done: Done) -> None:
        """Make the call (its method one of METHODS); `done` gets the answer, once and later.

        Status 0 with `error` stands for no answer: "timeout", "connection lost", "bad answer" ...
        """
        url = call.url
        cut = url.find("/", 8)
        origin = self._origins.get(url[:cut] if cut > 0 else url)
        try:
            if origin is None:
                cut, origin = self._find(url)
            request = request_octets(call, url[cut:] if cut < len(url) else "/", origin.host)
        except ValueError as error:
            self.later(done, HttpAnswer(0, error=str(error)))
            return
        if self.closed:
            self.later(done, HttpAnswer(0, error="closed"))
            return
        origin.send(
            Exchange(request, call.method in _SAFE, self._reactor.seconds(), call.timeout, done)
        )

    def _find(self, url: str) -> tuple[int, _Origin]:
        """Where path or query of the URL begin, and its origin; raises `ValueError`."""
        scheme, netloc, host, port = origin_of(url)
        cut = url.index("//") + 2 + len(netloc)
        key = url[:cut]
        origin = self._origins.get(key)
        if origin is None:
            endpoint = self._endpoint(scheme, host, port)
            origin = self._origins[key] = _Origin(self, key, netloc, endpoint)
        return cut, origin

    def _by_name(self, scheme: str, host: str, port: int) -> IStreamClientEndpoint:
        endpoint = way_to(self._reactor, self._targets, scheme, host, port, self._connect_timeout)
        if scheme == "http":
            return endpoint
        return Https(self._reactor, endpoint, host, self._trust_root)

    def drop(self, origin: _Origin) -> None:
        """Forget an origin that has nothing under way."""
        if self._origins.get(origin.key) is origin:
            del self._origins[origin.key]

    def close(self) -> None:
        """Close every connection; calls under way end with the error "closed". May be repeated."""
        self.closed = True
        for origin in list(self._origins.values()):
            origin.close()
        self._origins.clear()
