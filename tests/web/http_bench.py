"""What the HTTP tests share: a pretend wire to a real intake."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gatewayd.config.model import Config, HttpConfig, Secret, UserConfig
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.web.intake import Connection, Intake
from gatewayd.web.request import Handler
from gatewayd.web.sendsms import SendSms

GOLDEN = Path(__file__).parents[1] / "golden"
WALL = 1_795_301_000.0  # Sat, 21 Nov 2026


class Wire(StringTransport):
    """A transport that remembers how it was ended."""

    closed = False
    aborted = False

    def loseConnection(self) -> None:
        self.closed = True
        super().loseConnection()  # type: ignore[no-untyped-call]

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()  # type: ignore[no-untyped-call]


@dataclass
class Reply:
    """One answer, read from the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def status(self) -> int:
        return int(self.line.split()[1])

    def header(self, name: str) -> str:
        return dict(self.headers).get(name, "")


def parse_replies(data: bytes, *, head: bool = False) -> list[Reply]:
    """All answers in `data`; those to HEAD have no body."""
    replies = []
    while data:
        top, separator, data = data.partition(b"\r\n\r\n")
        assert separator, top
        line, *fields = top.decode("latin-1").split("\r\n")
        pairs = [(name, value) for name, _, value in (each.partition(": ") for each in fields)]
        length = 0 if head else int(dict(pairs)["Content-Length"])
        assert len(data) >= length
        replies.append(Reply(line, pairs, data[:length]))
        data = data[length:]
    return replies


class Line:
    """A connection to an intake."""

    def __init__(self, intake: Intake, peer: str = "127.0.0.1") -> None:
        self.intake = intake
        self.wire = Wire()  # type: ignore[no-untyped-call]
        connection = intake.buildProtocol(IPv4Address("TCP", peer, 40000))
        self.refused = connection is None
        if connection is not None:
            self.connection: Connection = connection
            connection.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        self.connection.dataReceived(data)

    def taken(self) -> bytes:
        data: bytes = self.wire.value()  # type: ignore[no-untyped-call]
        self.wire.clear()  # type: ignore[no-untyped-call]
        return data

    def replies(self, *, head: bool = False) -> list[Reply]:
        return parse_replies(self.taken(), head=head)

    def ask(self, data: bytes, *, head: bool = False) -> Reply:
        self.send(data)
        [reply] = self.replies(head=head)
        return reply


def make_intake(
    routes: Mapping[str, Handler],
    config: HttpConfig | None = None,
    clock: Clock | None = None,
    default: Handler | None = None,
) -> Intake:
    intake = Intake(
        replace(config or HttpConfig(), require_host=False),
        routes,
        clock or Clock(),
        wall=lambda: WALL,
    )
    if default is not None:
        intake.default = default
    return intake


@dataclass
class Gateway:
    """A fake of the message flow: it keeps the orders and decides as it was told."""

    acceptance: Acceptance = field(default_factory=lambda: Acceptance(Verdict.ACCEPTED))
    orders: list[Order] = field(default_factory=list)
    waiting: list[Callable[[Acceptance], None]] | None = None

    def accept(self, order: Order, done: Callable[[Acceptance], None]) -> None:
        self.orders.append(order)
        if self.waiting is not None:
            self.waiting.append(done)
        else:
            done(self.acceptance)


TESTER = UserConfig("tester", Secret("foobar"))
KANNEL = HttpConfig(strict=False, retry_after=0, json_posts=False, dlr_url_allow=("any",))
OPEN = HttpConfig(dlr_url_allow=("any",))  # strict, but any URL may be called


def kannel(**user: object) -> Config:
    """The user "tester", changed as told, under Kannel's rules."""
    return Config(users=(replace(TESTER, **user),), http=KANNEL)  # type: ignore[arg-type]


def sendsms_line(
    gateway: Gateway, config: Config | None = None, peer: str = "127.0.0.1"
) -> tuple[Line, SendSms]:
    """A connection to sendsms as `config` (else: the user "tester", strict, any dlr-url) has it."""
    config = config or Config(users=(TESTER,), http=OPEN)
    sendsms = SendSms(config, gateway.accept, lambda: WALL)
    intake = make_intake({config.http.sendsms_path: sendsms}, config.http)
    return Line(intake, peer), sendsms
