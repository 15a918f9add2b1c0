"""How an HTTP request is written, and what its failures are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from twisted.internet.error import ConnectError, DNSLookupError, TCPTimedOutError, TimeoutError
from twisted.python.failure import Failure

from gatewayd.model import HttpAnswer
from gatewayd.platforms.contract import HttpCall

Done = Callable[[HttpAnswer], None]

_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> tuple[str, str, str, int]:
    """Scheme, authority as written, host and port of the URL; raises `ValueError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("bad URL") from None
    default = _PORTS.get(parts.scheme)
    netloc = parts.netloc
    if default is None or not host or "@" in netloc or port == 0:
        raise ValueError("bad URL")
    if not (netloc.isascii() and netloc.isprintable()) or " " in netloc:
        raise ValueError("bad URL")
    return parts.scheme, netloc, host, port or default


def request_octets(call: HttpCall, target: str, host: str) -> bytes:
    """The octets of the request; raises `ValueError` for what would not stay in its place."""
    if target[0] != "/":  # a query right behind the host
        target = "/" + target
    if "#" in target:
        target = target.partition("#")[0]
    if not (target.isascii() and target.isprintable()) or " " in target:
        raise ValueError("bad URL")
    lines = [f"{call.method} {target} HTTP/1.1\r\nHost: {host}"]
    lines += [f"{name}: {value}" for name, value in call.headers]
    body = call.body
    if body or call.method != "GET":
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines) + "\r\n\r\n"
    ends = len(lines) + 2
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head:
        raise ValueError("bad header")
    return head.encode("utf-8", "replace") + body


def describe_loss(reason: Failure) -> str:
    """Why a connection ended, in few words."""
    name = reason.type.__name__ if reason.type is not None else ""
    if name in ("ConnectionDone", "ConnectionLost", "ConnectionAborted"):
        return "connection lost"
    return f"connection lost: {reason.getErrorMessage()}"[:200]


def describe_failure(reason: Failure) -> str:
    """Why a connection could not be made, in few words."""
    if reason.check(TimeoutError, TCPTimedOutError):
        return "connect timeout"
    if reason.check(DNSLookupError):
        return "unknown host"
    if reason.check(ConnectError):
        return f"cannot connect: {reason.getErrorMessage()}"[:200]
    return f"cannot connect: {reason.type.__name__ if reason.type else ''}"


class Exchange:
    """One call: the request's octets, and who is told of the answer."""

    __slots__ = ("deadline", "done", "request", "retried", "safe", "started")

    def __init__(self, request: bytes, safe: bool, started: float, timeout: float, done: Done):
        self.request = request
        self.safe = safe
        self.started = started
        self.deadline = started + timeout
        self.done = done
        self.retried = False
