"""The HTTP server: a lean HTTP/1.0 and 1.1 protocol that answers its requests one by one."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_from_bytes
from wsgiref.handlers import format_date_time

import httptools
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.logger import Logger

from gatewayd import __version__
from gatewayd.config.model import HttpConfig
from gatewayd.web.counts import Counts
from gatewayd.web.request import (
    FAILED,
    Answer,
    Handler,
    Request,
    address_of,
    unknown_request,
)

LINGER: Final = 2  # seconds a refused peer may go on sending before it is cut off
PER_TURN: Final = 64  # pipelined requests of one connection handled in one turn of the reactor

_METHODS = frozenset({"GET", "HEAD", "POST"})
_BEGINNINGS = (b"GET ", b"POST ", b"HEAD ", b"PUT ")
_NOT_URL = bytes(range(0x80))
_LARGEST_SWEEP = 1.0  # seconds between two looks at the timeouts

log = Logger(namespace=__name__)


class _Refused(Exception):
    """Raised in a parser's call-back to end the parsing: a limit was passed."""


class Connection:
    """One connection: its parser, the requests that wait their turn, and its answers.

    An IProtocol and an IPushProducer by its methods; a class with foreign bases compiles badly.

    Reading stops while a request is being handled and there is more to read, and while the peer
    does not take its answers, so a peer can make us keep one read's worth of requests at most.
    """

    def __init__(self, intake: Intake, peer: str) -> None:
        self.transport: Any = None
        self._intake = intake
        self.peer = peer
        self._parser: Any = httptools.HttpRequestParser(self)
        self._target = b""
        self._raw: list[tuple[bytes, bytes]] = []
        self._raw_size = 0
        self._body: list[bytes] = []
        self._body_size = 0
        self._open = False  # a request has begun and is not complete
        self._head = False  # its header fields are still to come
        self._line = False  # its request line is not over
        self._began = False  # in what is being parsed now
        self._is_11 = False  # the request under way says so in the first line that came of it
        self._unparsed = 0  # octets of a header not yet complete
        self._waiting: deque[Request] = deque()
        self._current: Request | None = None
        self._why = 400  # the status of that
        self._bad = False  # the stream is out of step: 400 once the others are answered
        self._last = False  # a request ended the connection; what follows is not read
        self._closing = False
        self._gone = False
        self._held: list[bytes] = []  # read while a request was being handled
        self._paused = False
        self._choked = False  # the peer does not take its answers
        self._out: list[bytes] | None = None  # answers of this turn
        self._later: IDelayedCall | None = None
        self.since = intake.tick

    # -- transport

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)
        self._intake.opened(self)

    def connectionLost(self, reason: object = None) -> None:
        self._gone = True
        self._waiting.clear()
        self._held.clear()
        self._parser = None  # it knows this connection, which is a cycle
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._intake.closed(self)

    def pauseProducing(self) -> None:
        self._choked = True
        self._pause()

    def resumeProducing(self) -> None:
        self._choked = False
        self.since = self._intake.tick
        self._work()

    def stopProducing(self) -> None:
        self._choked = True

    def _pause(self) -> None:
        if not (self._paused or self._gone):
            self._paused = True
            self.transport.pauseProducing()

    def _resume(self) -> None:
        if self._paused and not self._gone:
            self._paused = False
            self.transport.resumeProducing()

    # -- reading

    def dataReceived(self, data: bytes) -> None:
        if self._closing or self._last or self._bad:
            return
        if self._current is not None or self._waiting or self._choked:
            self._held.append(data)
            self._pause()
            return
        self._feed(data)
        self._work()

    def _feed(self, data: bytes) -> None:
        if not self._open:
            self.since = self._intake.tick
            self._is_11 = data[: data.find(b"\n") + 1].endswith(b" HTTP/1.1\r\n")
        if data.isascii() or (self._open and not self._head):
            self._parse(data)
            return
        # Kannel takes octets above 127 raw in a request line, the parser does not
        rest = data
        while rest and not (self._bad or self._last):
            if self._open and not self._head:
                self._parse(rest)
                return
            if not self._open:  # thousands of empty lines are one to the parser, too
                rest = rest.lstrip(b"\r\n")
            line, newline, rest = rest.partition(b"\n")
            if self._line or not self._open:
                line = quote_from_bytes(line, safe=_NOT_URL).encode()
            self._parse(line + newline)

    def _parse(self, data: bytes) -> None:
        self._began = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # we offer no other protocol: answer what was asked, then close
            if self._waiting:
                self._waiting[-1].keep_alive = False
            self._last = True
        except httptools.HttpParserError:
            # behind a request that ends the connection anything may follow
            self._bad = not self._last
        if self._open and self._head:
            self._unparsed += len(data.rpartition(b"\r\n\r\n")[2])
            if self._began:
                line = data[data.rfind(b"\n") + 1 :]
                self._line = any(m.startswith(line[:5]) or line.startswith(m) for m in _BEGINNINGS)
            else:
                self._line = self._line and b"\n" not in data
            if self._unparsed > self._intake.most_head:
                self._bad = True

    def on_message_begin(self) -> None:
        self._open = self._head = self._line = self._began = True
        self._unparsed = 0
        self._target = b""
        self._raw = []
        self._raw_size = 0

    def on_url(self, url: bytes) -> None:
        self._target = self._target + url if self._target else url
        if len(self._target) > self._intake.max_line:
            self._why = 414
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw_size += len(name) + len(value) + 4
        if self._raw_size > self._intake.max_header:
            self._why = 431
            raise _Refused
        self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        self._head = self._line = False
        if self._parser.get_method() in (b"POST", b"PUT"):
            for name, value in self._raw:
                asked = name.lower() == b"expect" and value.lower() == b"100-continue"
                if asked and not (self._waiting or self._current is not None):
                    self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size > self._intake.max_body:
            self._why = 413
            raise _Refused
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._open = False
        parser = self._parser
        version = "1.1" if self._is_11 else parser.get_http_version()
        self._is_11 = False  # of the next one it is not known
        method = parser.get_method().decode("latin-1")
        if version not in ("1.1", "1.0"):
            raise _Refused
        if version == "1.0" and any(n.lower() == b"transfer-encoding" for n, _ in self._raw):
            raise _Refused  # HTTP/1.0 has no such thing: the framing would be a guess
        request = Request(self, method, self._target, version)
        if method not in _METHODS and (method != "PUT" or request.path not in self._intake.puts):
            self._why = 405
            raise _Refused
        if self._intake.require_host and version == "1.1" and not self._has_host():
            raise _Refused
        request.raw = self._raw
        if self._body:
            request.body = b"".join(self._body)
            self._body = []
            self._body_size = 0
        if not parser.should_keep_alive():
            request.keep_alive = False
            self._last = True
        self._waiting.append(request)

    def _has_host(self) -> bool:
        return sum(name.lower() == b"host" for name, _ in self._raw) == 1

    # -- handling

    def _work(self) -> None:
        """Handle what waits, as far as it goes in this turn, and write the answers as one."""
        if self._out is not None or self._gone:
            return
        self._out = []
        handled = 0
        while not (self._closing or self._choked or self._current is not None or self._later):
            if self._waiting:
                if handled == PER_TURN:
                    self._later = self._intake.clock.callLater(0, self._go_on)
                    break
                handled += 1
                self._handle(self._waiting.popleft())
            elif self._bad:
                self._answer_bad()
            elif self._held:
                self._feed(self._held.pop(0))
            else:
                break
        out, self._out = self._out, None
        if out:
            self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if self._closing:
            self._close()
        elif self._current is None and not (self._choked or self._later):
            self._resume()

    def _go_on(self) -> None:
        self._later = None
        self._work()

    def _handle(self, request: Request) -> None:
        self._current = request
        intake = self._intake
        handler = intake.routes.get(request.path, intake.default)
        try:
            handler(request)
        except Exception:  # noqa: BLE001 - a fault of ours costs this request only
            log.failure("Handler of {path} failed", path=request.path[:200])
            intake.counts.failures += 1
            if request.pending:
                request.reply(FAILED)

    def answer(self, request: Request, answer: Answer) -> None:
        """Take the answer to the request that is being handled."""
        intake = self._intake
        path = request.path
        intake.counts.count(path if path in intake.routes else "", answer.status, self.peer)
        if self._gone or self._closing:
            intake.counts.unheard += 1
            return
        self._current = None
        self.since = intake.tick
        keep = request.keep_alive and not (answer.close or intake.stopping)
        self._write(
            b"%b%d\r\nConnection: %b\r\n%b\r\n%b"
            % (
                intake.prefix(answer.status, request.version),
                len(answer.body),
                b"Keep-Alive" if keep else b"Close",
                answer.fields,
                b"" if request.method == "HEAD" else answer.body,
            )
        )
        if not keep:
            self._closing = True
        if self._out is None:
            if self._waiting or self._held or self._bad:
                self._work()
            elif self._closing:
                self._close()
            else:
                self._resume()

    def _answer_bad(self) -> None:
        intake = self._intake
        status = self._why if intake.tells_why else 400
        intake.counts.count("", status, self.peer)
        allow = b"\r\nAllow: GET, HEAD, POST" if status == 405 else b""
        self._write(intake.prefix(status, "1.1") + b"0%b\r\nConnection: Close\r\n\r\n" % allow)
        self._closing = True

    def _write(self, data: bytes) -> None:
        if self._out is not None:
            self._out.append(data)
        else:
            self.transport.write(data)

    def _close(self) -> None:
        """Close when the answers are written.

        After a refusal the peer may still be sending; closing at once would reset the connection
        and could take our answer away from it, so only our half is closed and the rest is read
        into nothing for a moment.
        """
        self._closing = True
        self.since = self._intake.tick
        self._held.clear()
        self._waiting.clear()
        transport = self.transport
        transport.unregisterProducer()
        if (
            self._bad
            and ITCPTransport.providedBy(transport)
            and not ISSLTransport.providedBy(transport)
        ):
            self._resume()
            transport.loseWriteConnection()
        else:
            transport.loseConnection()

    def finish(self) -> None:
        """Close now, unless a request is under way: then its answer closes."""
        if self._current is None and not (self._closing or self._waiting):
            self._close()

    def drop(self) -> None:
        """Cut the connection off without a word."""
        self._closing = True
        if not self._gone:
            self.transport.abortConnection()

    # -- time

    def overdue(self, tick: int, idle: float) -> bool:
        """Whether this connection has used up its time (`tick` and `idle` in seconds)."""
        waited = tick - self.since
        if self._closing and self._bad:
            return waited > LINGER
        if self._current is not None and not self._choked:
            return False  # it waits for us
        if self._open and not (self._choked or self._closing):
            return waited > self._intake.request_timeout
        return waited > idle


class Intake:
    """Makes a `Connection` per caller, finds the handler by path, and keeps the limits.

    An IProtocolFactory by its methods. `routes` maps a path, exactly and with its case, to its
    handler; `default` takes the others. A PUT is refused except on the paths in `puts`.
    """

    def __init__(
        self,
        config: HttpConfig,
        routes: Mapping[str, Handler],
        clock: IReactorTime,
        *,
        default: Handler = unknown_request,
        wall: Callable[[], float] = time.time,
        puts: Collection[str] = (),
    ) -> None:
        self.counts = Counts()
        self.clock = clock
        self.tick = 0
        self.stopping = False
        self._wall = wall
        self._connections: set[Connection] = set()
        self._by_address: Counter[str] = Counter()
        self._prefixes: dict[tuple[int, str], bytes] = {}
        self._sweeper: IDelayedCall | None = None
        self.configure(config, routes, default, puts)

    def configure(
        self,
        config: HttpConfig,
        routes: Mapping[str, Handler],
        default: Handler = unknown_request,
        puts: Collection[str] = (),
    ) -> None:
        """Answer so from now on, also on the connections that are open."""
        self.routes = dict(routes)
        self.puts = frozenset(puts)
        self.default = default
        self.max_line = config.max_line
        self.max_header = config.max_header
        self.max_body = config.max_body
        self.request_timeout = config.request_timeout
        self.require_host = config.require_host
        self.tells_why = config.strict  # Kannel has 400 for everything
        # one more read may arrive before an unfinished header is found too long
        self.most_head = config.max_line + config.max_header + 1024
        self._idle_timeout = config.idle_timeout
        self._most = config.max_connections
        # one address never takes the last tenth, so others still get in
        rest = max(1, self._most - self._most // 10)
        self._most_per_address = min(config.max_connections_per_address or rest, rest)

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def doStart(self) -> None:
        """A port listens for it."""

    def doStop(self) -> None:
        """No port does any more."""

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:
        peer = address_of(addr)
        if len(self._connections) >= self._most or self._by_address[peer] >= self._most_per_address:
            self.counts.refused_connections += 1
            return None
        return Connection(self, peer)

    def opened(self, connection: Connection) -> None:
        """A connection is there."""
        self._connections.add(connection)
        self._by_address[connection.peer] += 1
        if self._sweeper is None:
            self._prefixes.clear()
            self._sweeper = self.clock.callLater(_LARGEST_SWEEP, self._sweep)

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._by_address[connection.peer] -= 1
        if self._by_address[connection.peer] <= 0:
            del self._by_address[connection.peer]

    def _sweep(self) -> None:
        """Once a second, for all connections together: the date, and who is overdue."""
        self.tick += 1
        self._prefixes.clear()
        self._sweeper = None
        overdue = [c for c in self._connections if c.overdue(self.tick, self._idle_timeout)]
        for connection in overdue:
            self.counts.timeouts += 1
            connection.drop()
        if self._connections:
            self._sweeper = self.clock.callLater(_LARGEST_SWEEP, self._sweep)

    def stop(self) -> None:
        """Close the connections: idle ones now, the others with the answer they wait for."""
        self.stopping = True
        for connection in list(self._connections):
            connection.finish()

    def prefix(self, status: int, version: str) -> bytes:
        """Status line and header fields up to the value of Content-Length, kept for a second."""
        prefix = self._prefixes.get((status, version))
        if prefix is None:
            prefix = self._prefixes[status, version] = (
                f"HTTP/{version} {status} {HTTPStatus(status).phrase}\r\n"
                f"Server: gatewayd/{__version__}\r\n"
                f"Date: {format_date_time(self._wall())}\r\nContent-Length: "
            ).encode("latin-1")
        return prefix
