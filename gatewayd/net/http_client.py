"""The one way out to platforms: the fast lane, redirects where they are allowed, else Agent."""

from __future__ import annotations

from functools import partial
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec

from gatewayd.flow.targets import Targets
from gatewayd.model import HttpAnswer
from gatewayd.net.http_fast import METHODS, EndpointFor, FastLane
from gatewayd.net.http_wire import Done
from gatewayd.platforms.contract import HttpCall

_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_SEE_OTHER: Final = 303
# Not for the eyes of another origin; and what describes a body that is not sent along.
_PRIVATE: Final = frozenset({"authorization", "cookie"})
_OF_BODY: Final = frozenset({"content-type"})


class _Journey:
    """One call that may be sent on to other URLs, all within its timeout."""

    __slots__ = ("_call", "_client", "_done", "_left", "_spent")

    def __init__(self, client: HttpClient, call: HttpCall, done: Done, left: int) -> None:
        self._client = client
        self._call = call
        self._done = done
        self._left = left
        self._spent = 0.0

    def arrived(self, answer: HttpAnswer) -> None:
        self._spent += answer.seconds
        call = self._onward(answer) if answer.status in _MOVED and self._left else None
        if call is None:
            self._done(msgspec.structs.replace(answer, seconds=self._spent))
            return
        self._left -= 1
        self._call = call
        self._client.direct(call, self.arrived)

    def _onward(self, answer: HttpAnswer) -> HttpCall | None:
        call = self._call
        timeout = call.timeout - answer.seconds
        try:
            url = urljoin(call.url, answer.header("Location").strip())
            old, new = urlsplit(call.url), urlsplit(url)
        except ValueError:
            return None
        if timeout <= 0 or url == call.url or new.scheme not in ("http", "https"):
            return None
        dropped: frozenset[str] = frozenset()
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            dropped |= _PRIVATE
        method, body = call.method, call.body
        if answer.status == _SEE_OTHER:
            method, body, dropped = "GET", b"", dropped | _OF_BODY
        headers = tuple(header for header in call.headers if header[0].lower() not in dropped)
        return HttpCall(method, url, headers, body, timeout)


class HttpClient:
    """Calls to platforms. `redirects`: how many are followed in a row (0: none).

    TLS is always verified, by `trust_root` or by the system's authorities. Bodies are read up to
    `body_limit` octets and never decompressed. `per_origin` bounds the connections to one host and
    port; how many calls wait at once is the caller's affair. `targets` says what may be called,
    also after a redirect (None: everything).
    """

    def __init__(
        self,
        reactor: Any,
        *,
        per_origin: int = 16,
        redirects: int = 0,
        proxy: str = "",
        connect_timeout: float = 10.0,
        idle_timeout: float = 15.0,
        header_limit: int = 16384,
        body_limit: int = 65536,
        trust_root: Any = None,
        endpoint: EndpointFor | None = None,
        targets: Targets | None = None,
    ) -> None:
        self._reactor = reactor
        self._redirects = redirects
        self._proxied = bool(proxy)
        self._fast = FastLane(
            reactor,
            per_origin=per_origin,
            connect_timeout=connect_timeout,
            idle_timeout=idle_timeout,
            header_limit=header_limit,
            body_limit=body_limit,
            trust_root=trust_root,
            endpoint=endpoint,
            targets=targets,
        )
        self._general: Any = None
        self._for_general = {
            "proxy": proxy,
            "connect_timeout": connect_timeout,
            "body_limit": body_limit,
            "trust_root": trust_root,
            "targets": targets,
        }
        if proxy:
            self._general_lane()

    def configure(self, *, per_origin: int, redirects: int) -> None:
        """Other limits from now on; calls under way go on as they began."""
        self._redirects = redirects
        self._fast.per_origin = per_origin

    def send(self, call: HttpCall, done: Done) -> None:
        """Make the call. `done` is called exactly once, never before this returns.

        Status 0 with an `error` means that there was no answer: "timeout", "connection lost",
        "cannot connect: ...", "unknown host", "bad answer", "bad URL", "closed" and the like.
        """
        if self._redirects:
            self.direct(call, partial(self._arrived, call, done))
        else:
            self.direct(call, done)

    def _arrived(self, call: HttpCall, done: Done, answer: HttpAnswer) -> None:
        if answer.status in _MOVED:
            _Journey(self, call, done, self._redirects).arrived(answer)
        else:
            done(answer)

    def direct(self, call: HttpCall, done: Done) -> None:
        """`send` without following redirects."""
        if self._proxied or call.method not in METHODS:
            self._general_lane().send(call, done)
        else:
            self._fast.send(call, done)

    def _general_lane(self) -> Any:
        """Loaded for a proxy: treq and its kin are megabytes that nothing else wants."""
        if self._general is None:
            from gatewayd.net.http_general import GeneralLane  # noqa: PLC0415

            self._general = GeneralLane(self._reactor, **self._for_general)
            if self._fast.closed:
                self._general.close()
        return self._general

    def close(self) -> None:
        """Close every connection; calls under way end with the error "closed". May be repeated."""
        self._fast.close()
        if self._general is not None:
            self._general.close()
