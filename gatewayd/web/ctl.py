"""The JSON side of the admin listener, under /ctl/: what `gatewayd ctl` asks and orders.

The password travels in the header X-Password, never in a URL. What changes something is a POST.
Every answer is a JSON object; one that is no success has an `error` for people.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from gatewayd.config.model import HttpConfig
from gatewayd.errors import StoreError
from gatewayd.web.arguments import decode_query, read_integer
from gatewayd.web.request import Answer, Request

PREFIX: Final = "/ctl/"
LONGEST_DENIAL: Final = 10.0  # seconds
PAGE: Final = 100  # dead letters told at once, unless asked otherwise
MOST: Final = 1000

Result = dict[str, Any]


class Desk(Protocol):
    """What stands behind the orders. Ids are UUIDs as people see them."""

    def status(self) -> Result: ...

    def queues(self) -> Deferred[Result]: ...

    def message(self, uuid: str) -> Deferred[Result | None]:
        """By UUID, or as "<SMSC id>/<the SMSC's message id>". None: nothing is kept of it."""

    def dead(self, after: str, limit: int) -> Deferred[Result]:
        """A page of dead letters, those behind the id `after`."""

    def replay(self, uuid: str, limit: int, before: str) -> Deferred[Result]:
        """Bring one dead letter back to life, or with "" up to `limit` of those before `before`.

        The result's `before` belongs into the next call, so that one which dies again in between
        is not brought back for ever.
        """

    def held(self, after: str, limit: int) -> Deferred[Result]:
        """A page of segments that were perhaps sent and wait for a decision."""

    def decide(self, uuid: str, limit: int, *, send: bool) -> Deferred[Result]:
        """Send held segments again, or report them as failed: those of one message; "": any."""

    def suspend(self) -> Result: ...

    def resume(self) -> Result: ...

    def retry(self) -> Result: ...

    def reload(self) -> Deferred[Result]:
        """Read the configuration again. The result says `applied`, `unchanged`, `refused` or
        `partly`, and why."""


class BadRequest(Exception):
    """The caller's mistake, in words."""


class Ctl:
    """Handler of every path below `PREFIX`.

    A wrong password is answered 403, each one in a row a second later than the last, at most
    `LONGEST_DENIAL`. Status and queue ask for the status-password, if there is one; all else for
    the admin-password, and without one is closed.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(self, config: HttpConfig, desk: Desk, clock: IReactorTime) -> None:
        self._clock = clock
        self._admin_password = config.admin_password.reveal().encode()
        self._status_password = config.status_password.reveal().encode()
        self._denials = 0
        fields = Mapping[str, bytes]
        self._reads: dict[str, Callable[[fields], Any]] = {
            "status": lambda _: desk.status(),
            "queue": lambda _: desk.queues(),
            "message": lambda given: desk.message(_text(given, "id", needed=True)),
            "dead": lambda given: desk.dead(_text(given, "after"), _limit(given, PAGE)),
            "held": lambda given: desk.held(_text(given, "after"), _limit(given, PAGE)),
        }
        self._orders: dict[str, Callable[[fields], Any]] = {
            "replay": lambda given: desk.replay(
                _which(given), _limit(given, MOST), _text(given, "before")
            ),
            "release": lambda given: desk.decide(_which(given), _limit(given, MOST), send=True),
            "fail": lambda given: desk.decide(_which(given), _limit(given, MOST), send=False),
            "suspend": lambda _: desk.suspend(),
            "resume": lambda _: desk.resume(),
            "retry": lambda _: desk.retry(),
            "reload": lambda _: desk.reload(),
        }

    def __call__(self, request: Request) -> None:
        name = request.path.removeprefix(PREFIX)
        run = self._reads.get(name)
        method = "GET"
        if run is None:
            run, method = self._orders.get(name), "POST"
        if run is None:
            known = ", ".join([*self._reads, *self._orders])
            self._fail(request, 404, f"nothing is called {name!r} here; there is {known}")
            return
        if not self._may(name, request.headers.get("x-password", "").encode("latin-1")):
            self._deny(request)
            return
        self._denials = 0
        if request.method != method:
            self._fail(request, 405, f"{name} wants {method}", (("Allow", method),))
            return
        fields = decode_query(request.body if method == "POST" else request.query)
        done = maybeDeferred(run, fields)
        done.addCallback(self._answer, request)
        done.addErrback(self._failed, request)

    def _answer(self, result: Result | None, request: Request) -> None:
        if result is None:
            self._fail(
                request, 404, "nothing is kept of it: it never was here, or its story is over"
            )
        else:
            request.reply(_json(200, result))

    def _failed(self, failure: Failure, request: Request) -> None:
        if not request.pending:
            self.log.failure("After an answer of ctl", failure)
        elif failure.check(BadRequest):
            self._fail(request, 400, failure.getErrorMessage())
        elif failure.check(StoreError):
            self._fail(request, 503, failure.getErrorMessage())
        else:
            self.log.failure("ctl failed", failure)
            self._fail(request, 500, "a fault of gatewayd; its log says more")

    def _fail(
        self, request: Request, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        request.reply(_json(status, {"error": text}, headers))

    def _deny(self, request: Request) -> None:
        if self._admin_password:
            text = "wrong password: the header X-Password must carry the admin-password"
        else:
            text = "the configuration has no admin-password: only status and queue are open"
        delay = min(float(self._denials), LONGEST_DENIAL)
        self._denials += 1
        if delay:
            self._clock.callLater(delay, self._fail, request, 403, text)
        else:
            self._fail(request, 403, text)

    def _may(self, name: str, given: bytes) -> bool:
        admin = bool(self._admin_password) and hmac.compare_digest(given, self._admin_password)
        if name in ("status", "queue"):
            if not self._status_password:
                return True
            return hmac.compare_digest(given, self._status_password) or admin
        return admin


def _text(fields: Mapping[str, bytes], name: str, *, needed: bool = False) -> str:
    value = fields.get(name, b"").decode("latin-1")
    if needed and not value:
        raise BadRequest(f"{name} is missing")
    return value


def _which(fields: Mapping[str, bytes]) -> str:
    """The one dead letter or message meant; all of them must be asked for in so many words."""
    if fields.get("all") == b"1":
        return ""
    return _text(fields, "id", needed=True)


def _limit(fields: Mapping[str, bytes], otherwise: int) -> int:
    given = fields.get("limit")
    if given is None:
        return otherwise
    number = read_integer(given)
    if number is None or not 1 <= number <= MOST:
        raise BadRequest(f"limit is a number from 1 to {MOST}")
    return number


def _json(status: int, value: Result, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    return Answer(status, body, (("Content-Type", "application/json"), *headers))
