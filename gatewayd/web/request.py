"""One HTTP request and its answer, as handlers see them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, cast

from twisted.internet.interfaces import IAddress

from gatewayd.errors import UsageError


class Answering(Protocol):
    """What a request needs of its connection."""

    @property
    def peer(self) -> str: ...

    def answer(self, request: Request, answer: Answer) -> None: ...

    def drop(self) -> None: ...


class Answer:
    """What a request is answered: status, header fields in order, body; `close` ends the link."""

    __slots__ = ("body", "close", "fields", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.close = close
        self.fields = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("latin-1")


KANNEL_HEADERS: Final = (
    ("Content-type", "text/html"),
    ("Pragma", "no-cache"),
    ("Cache-Control", "no-cache"),
)
UNKNOWN_REQUEST: Final = Answer(404, b"Unknown request.", KANNEL_HEADERS)
FAILED: Final = Answer(500, close=True)


class Request:
    """One request. `reply` may be called at once or later, and once only."""

    __slots__ = (
        "_connection",
        "_headers",
        "body",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "raw",
        "version",
    )

    def __init__(self, connection: Answering, method: str, target: bytes, version: str) -> None:
        self._connection: Answering | None = connection
        self.peer = connection.peer  # IP address; "" for a UNIX socket
        path, _, self.query = target.partition(b"?")
        self.path = path.decode("latin-1")
        self.method = method
        self.version = version
        self.body = b""
        self.keep_alive = True
        self.raw: list[tuple[bytes, bytes]] = []
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header fields by lower-case name; the first of those with the same name counts."""
        if self._headers is None:
            self._headers = {}
            for name, value in self.raw:
                self._headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        return self._headers

    @property
    def pending(self) -> bool:
        """Whether it still waits for its answer."""
        return self._connection is not None

    def reply(self, answer: Answer) -> None:
        """Answer. A caller that went away is counted, nothing else. Raises UsageError if twice."""
        connection, self._connection = self._connection, None
        if connection is None:
            raise UsageError("this request was already answered")
        connection.answer(self, answer)

    def drop(self) -> None:
        """Close the connection without an answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.drop()


Handler = Callable[[Request], None]


def unknown_request(request: Request) -> None:
    """Kannel's answer for a path that nothing serves."""
    request.reply(UNKNOWN_REQUEST)


def address_of(address: IAddress | None) -> str:
    """The IP address of a peer; an IPv4 address that came through IPv6 is written as IPv4."""
    host = cast(str, getattr(address, "host", ""))
    return host.removeprefix("::ffff:") if "." in host else host
