"""The door for RapidPro's External API: a request as its users' templates make it.

The fields stand in JSON, a form, XML or the query, under their English names or the translations
that are found in guides, in any case. The caller is a sendsms user: by username and password among
the fields, or by Authorization (Basic; or with any other word the password, or ``user:password``).
The answer to an accepted message is 200 and ``{"status":"accepted","id":"<uuid>"}``; refusals are
one line of text.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from msgspec import json

from gatewayd.config.model import ChannelConfig, Config, UserConfig
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.web.answers import Refused, too_many_failures
from gatewayd.web.logins import LoginBlocked, LoginPending
from gatewayd.web.once import Once, digest
from gatewayd.web.payload import Fields, Unreadable, content_type, read_body
from gatewayd.web.request import Answer, Request
from gatewayd.web.sendsms import SendSms

_ALIASES: Final = {
    "text": ("text", "texto", "message", "msg", "content"),
    "to": ("to", "para", "destino", "to_no_plus"),
    "from": ("from", "de", "remitente", "sender", "from_no_plus"),
    "channel": ("channel", "canal"),
    "id": ("id", "uuid", "message_id"),
}
# fields of sendsms that a template may have too; charset and coding are this door's own affair
_ALSO: Final[tuple[str, ...]] = (
    *("smsc", "priority", "validity", "deferred", "mclass", "pid", "account", "binfo"),
    *("meta-data", "dlr-url", "dlr-mask"),
)
_LONGEST_ID: Final = 255
_REPORTS: Final = 1 | 2 | 8 | 16  # what an External channel can be told
_RETRY_AFTER: Final = 30  # seconds; told even where sendsms does not

Accept = Callable[[Order, Callable[[Acceptance], None]], None]

_LINE: Final = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
_JSON: Final = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


def _line(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    return Answer(status, text.encode("utf-8", "replace"), _LINE + headers)


UNAUTHORIZED: Final = _line(403, "Authorization failed for external")
METHOD: Final = _line(405, "Use POST, PUT or GET", ("Allow", "GET, POST, PUT"))


class External:
    """Handler of the External path. It makes orders as `sendsms` does, by the same rules.

    `uuid` gives a message's id as people see it.
    """

    def __init__(
        self, config: Config, sendsms: SendSms, accept: Accept, uuid: Callable[[int], str]
    ) -> None:
        self._sendsms = sendsms
        self._accept = accept
        self._uuid = uuid
        self._once = Once(config)
        self._by_name = {one.name: one for one in config.channels if one.format == "external"}
        self._by_word: dict[str, ChannelConfig] = {}
        for channel in self._by_name.values():
            for word in urlsplit(channel.post_url).path.split("/"):
                self._by_word.setdefault(word, channel)
        self._channels = {channel.name: channel for channel in config.channels}
        retry_after = str(config.http.retry_after or _RETRY_AFTER)
        self._refusals = {
            Verdict.UNROUTABLE: _line(403, "Not routable. Do not try again."),
            Verdict.OVERLOADED: _line(
                503, "Temporal failure, try again later.", ("Retry-After", retry_after)
            ),
            Verdict.TOO_LONG: _line(400, "Text is too long, rejected"),
        }

    def __call__(self, request: Request) -> None:
        """Check the request and hand its order over; the answer follows when it is decided."""
        if request.method == "HEAD":
            request.reply(METHOD)
            return
        self._sendsms.begin()
        try:
            order = self._order(request)
        except LoginPending as pending:
            pending.then(partial(self, request))
            return
        except LoginBlocked as blocked:
            request.reply(too_many_failures(blocked))
            return
        except Unreadable as error:
            request.reply(_line(400, str(error)))
            return
        except Refused as refused:
            answer = refused.answer
            self._sendsms.note_refusal(request.peer, answer)
            retry = [field for field in answer.headers if field[0] == "Retry-After"]
            request.reply(_line(answer.status, answer.body.decode("utf-8", "replace"), *retry))
            return
        self._accept(order, partial(self._decided, request))

    def _decided(self, request: Request, acceptance: Acceptance) -> None:
        refusal = self._refusals.get(acceptance.verdict)
        if refusal is not None:
            request.reply(refusal)
            return
        uuid = self._uuid(acceptance.message) if acceptance.message else ""
        request.reply(Answer(200, json.encode({"status": "accepted", "id": uuid}), _JSON))

    def _order(self, request: Request) -> Order:
        fields = self._fields(request)
        user = self._user(request, fields)
        if user is None:
            raise Refused(UNAUTHORIZED)
        to = _pick(fields, "to").strip()
        if not to:
            raise Refused(_line(400, "to is missing, rejected"))
        if not any(name in fields for name in _ALIASES["text"]):
            raise Refused(_line(400, "text is missing, rejected"))
        asked = {name: fields[name] for name in _ALSO if name in fields}
        asked["text"] = _pick(fields, "text")
        asked["from"] = _pick(fields, "from").strip()
        order, _denied = self._sendsms.compose(user, asked, to)
        order.external_id = self._id(fields)
        self._ask_for_reports(order, user, _pick(fields, "channel"))
        self._once.mark(order, request.raw)
        if order.external_id and not order.once:
            order.once = digest(order, "id", order.external_id.encode())
        self._sendsms.note(user, request.peer, order)
        return order

    def _fields(self, request: Request) -> Fields:
        """What the body says, and behind it the query; names in lower case."""
        kind, charset = content_type(request.headers.get("content-type", ""))
        found: Fields = {}
        for fields in (
            read_body(request.body, kind, charset),
            self._sendsms.fields_of(request.query),
        ):
            for name, value in fields.items():
                found.setdefault(name.lower(), value)
        return found

    def _user(self, request: Request, fields: Fields) -> UserConfig | None:
        users, peer = self._sendsms.users, request.peer
        scheme, _, word = request.headers.get("authorization", "").strip().partition(" ")
        if not scheme:
            return users.find_by_fields(fields, peer)
        token = (word.strip() or scheme).encode("latin-1")
        if scheme.lower() == "basic":
            try:
                token = b64decode(token, validate=True)
            except (binascii.Error, ValueError):
                return None
            username, _, password = token.partition(b":")
            return users.find(username, password, peer)
        username, colon, password = token.partition(b":")
        if colon and (user := users.find(username, password, peer)) is not None:
            return user
        named = fields.get("username", fields.get("user"))
        if named is not None:
            return users.find(named, token, peer)
        return users.find_by_password(token, peer)

    def _id(self, fields: Fields) -> str:
        value = _pick(fields, "id").strip()
        if len(value) > _LONGEST_ID:
            raise Refused(_line(400, "id is too long, rejected"))
        return self._sendsms.text_of("ID", value) if value else ""

    def _ask_for_reports(self, order: Order, user: UserConfig, named: bytes) -> None:
        """Reports go to the External channel of the user, or the request's, or the only one.

        They name the message by the caller's id; without one there is nothing to report on.
        """
        if user.channel:
            channel = self._by_name.get(user.channel)
        else:
            word = named.strip().decode("latin-1")
            channel = self._by_name.get(word) or (self._by_word.get(word) if word else None)
            if channel is None and len(self._by_name) == 1:
                [channel] = self._by_name.values()
        if channel is None:
            return
        order.channel = channel.name
        if order.external_id and not order.dlr_url:
            order.dlr_url = channel.post_url
            order.dlr_mask = order.dlr_mask or _REPORTS


def _pick(fields: Fields, what: str) -> bytes:
    """The first of a field's names that says something, else b""."""
    for name in _ALIASES[what]:
        value = fields.get(name)
        if value:
            return value
    return b""
