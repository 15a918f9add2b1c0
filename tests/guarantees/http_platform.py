"""A platform for a test to steer: it answers, fails, hangs, or hangs up, call by call."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import parse_qsl, urlsplit

OK, ERROR, BUSY, HANG, HALF, CLOSE = "200", "500", "503", "hangs", "closed half way", "closed"
_ANSWERS = {
    OK: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ERROR: b"HTTP/1.1 500 Error\r\nContent-Length: 3\r\n\r\nerr",
    BUSY: b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    HALF: b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\nhalf",
    CLOSE: b"",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came, and how it was treated."""

    path: str
    fields: dict[str, str]  # of its query and of its form
    at: float  # monotonic
    answer: str


class Platform:
    """Listens on `port`; `choose(path, fields)` says what each call gets. `calls` only grows."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls: list[Call] = []
        self.choose: Callable[[str, dict[str, str]], str] = lambda path, fields: OK
        self._server: socket.socket | None = None
        self._lines: set[socket.socket] = set()
        self.up()

    def up(self) -> None:
        if self._server is None:
            self._server = socket.create_server(("127.0.0.1", self.port), backlog=256)
            threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def down(self) -> None:
        """Connections are broken, and new ones refused."""
        server, self._server = self._server, None
        if server is not None:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes who waits in accept
            server.close()
        for line in list(self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def taken(self, path: str) -> list[Call]:
        """The calls below `path` that were answered 200."""
        return [call for call in list(self.calls) if call.answer == OK and call.path == path]

    def __enter__(self) -> Platform:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.down()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._lines.add(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError), line, line.makefile("rb") as file:
            while words := file.readline().split():
                length = 0
                while header := file.readline().strip().lower():
                    if header.startswith(b"content-length:"):
                        length = int(header.partition(b":")[2])
                body = file.read(length)
                parts = urlsplit(words[1].decode())
                fields = dict(parse_qsl(parts.query, keep_blank_values=True))
                fields |= dict(parse_qsl(body.decode(), keep_blank_values=True))
                answer = self.choose(parts.path, fields)
                self.calls.append(Call(parts.path, fields, time.monotonic(), answer))
                if answer == HANG:
                    file.readline()  # until the caller gives up
                    break
                line.sendall(_ANSWERS[answer])
                if answer in (HALF, CLOSE):
                    break
        self._lines.discard(line)
