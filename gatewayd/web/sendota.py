"""sendota: Kannel's way to push browser settings and bookmarks to a phone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from gatewayd.config.model import Config, OtaConfig
from gatewayd.model import Acceptance, Coding, Order
from gatewayd.sms import ota
from gatewayd.web.answers import Refused, too_many_failures
from gatewayd.web.arguments import decode_query
from gatewayd.web.logins import LoginBlocked, LoginPending
from gatewayd.web.request import KANNEL_HEADERS, Answer, Request
from gatewayd.web.sendsms import SendSms

UNAUTHORIZED: Final = Answer(403, b"Authorization failed for sendota", KANNEL_HEADERS)
WRONG_ARGUMENTS: Final = Answer(400, b"Wrong sendota args.", KANNEL_HEADERS)
MISSING: Final = Answer(400, b"Missing ota-setting or ota-bookmark group.", KANNEL_HEADERS)
BAD_KIND: Final = Answer(400, b"Erroneous document type, cannot compile\n", KANNEL_HEADERS)
BAD_SOURCE: Final = Answer(400, b"Erroneous ota source, cannot compile\n", KANNEL_HEADERS)
BAD_TYPE: Final = Answer(415, b"Unsupported content-type, rejected", KANNEL_HEADERS)

# Content-Type of a POST -> kind of the document
_KINDS: Final = {
    "application/x-wap-prov.browser-settings": "settings",
    "application/x-wap-prov.browser-bookmarks": "bookmarks",
}
_HEADERS: Final = ("username", "password", "to", "from", "smsc")


class SendOta:
    """Handler of the sendota path; users, senders and SMSC tags are as for `sendsms`."""

    def __init__(
        self,
        config: Config,
        sendsms: SendSms,
        accept: Callable[[Order, Callable[[Acceptance], None]], None],
    ) -> None:
        self._sendsms = sendsms
        self._accept = accept
        self._documents = config.ota

    def __call__(self, request: Request) -> None:
        """Check the request and hand its order over; the answer follows when it is decided."""
        try:
            order = self._order(request)
        except LoginPending as pending:
            pending.then(partial(self, request))
            return
        except LoginBlocked as blocked:
            request.reply(too_many_failures(blocked))
            return
        except Refused as refused:
            self._sendsms.begin()
            self._sendsms.note_refusal(request.peer, refused.answer)
            request.reply(refused.answer)
            return
        self._accept(order, partial(self._sendsms.decided, request, []))

    def _order(self, request: Request) -> Order:
        posted = request.method == "POST"
        fields = _headers_of(request) if posted else decode_query(request.query)
        user = self._sendsms.users.find_by_fields(fields, request.peer)
        if user is None:
            raise Refused(UNAUTHORIZED)
        to = fields.get("to", fields.get("phonenumber"))
        if not to:
            raise Refused(WRONG_ARGUMENTS)
        source = self._sendsms.source_of(user, fields)
        data = self._posted(request) if posted else self._asked(fields)
        order = Order(
            user=user.name or user.username,
            receivers=[self._sendsms.text_of("To", to)],
            source=source,
            coding=int(Coding.OCTETS),
            data=data,
            udh=ota.PORTS,
            smsc=self._sendsms.smsc_of(user, fields),
            account=self._sendsms.account_of(fields),
            options=user.text,
        )
        self._sendsms.allow(user, order)
        self._sendsms.note(user, request.peer, order)
        return order

    def _posted(self, request: Request) -> bytes:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _KINDS:
            raise Refused(BAD_TYPE)
        return _compiled(_KINDS[kind], request.body)

    def _asked(self, fields: dict[str, bytes]) -> bytes:
        """The document in `text`, else the one configured under `otaid`, else the first."""
        text = fields.get("text")
        if text is not None:
            return _compiled(fields.get("type", b"settings").decode("latin-1"), text)
        wanted = fields.get("otaid")
        for document in self._documents:
            if wanted is None or document.id.encode() == wanted:
                return octets_of(document)
        raise Refused(MISSING)


def _compiled(kind: str, xml: bytes) -> bytes:
    try:
        return ota.push(kind, ota.compile_document(xml))
    except ota.UnknownKind:
        raise Refused(BAD_KIND) from None
    except ota.NotSettings:
        raise Refused(BAD_SOURCE) from None


def _headers_of(request: Request) -> dict[str, bytes]:
    fields = {}
    for name in _HEADERS:
        value = request.headers.get(f"x-kannel-{name}")
        if value is not None:
            fields[name] = value.strip().encode("latin-1")
    return fields


def octets_of(document: OtaConfig) -> bytes:
    """The message that pushes a configured setting or bookmark."""
    named = [("NAME", document.name)] if document.name else []
    if document.kind == "bookmark":
        linked = [("URL", document.url)] if document.url else []
        return ota.push("bookmarks", ota.build([("BOOKMARK", "", named + linked)]))
    parts: list[tuple[str, str, list[ota.Parm] | None]] = [("ADDRESS", "", _address(document))]
    if document.url:
        parts.append(("URL", document.url, None))
    parts.append(("NAME", "", named))
    return ota.push("settings", ota.build(parts))


def _address(document: OtaConfig) -> list[ota.Parm]:
    """How the phone reaches the WAP gateway, in Kannel's order."""
    port = 9200 if document.connectionless else 9201
    found = [
        ("BEARER", "GSM/CSD" if document.data_call else ""),
        ("PROXY", document.address),
        ("PORT", str(port + 2 if document.secure else port)),
        ("CSD_DIALSTRING", document.number),
        ("PPP_AUTHTYPE", "CHAP" if document.chap else "PAP"),
        ("PPP_AUTHNAME", document.login),
        ("PPP_AUTHSECRET", document.secret.reveal()),
        ("CSD_CALLTYPE", "ANALOGUE" if document.analogue else "ISDN"),
        ("CSD_CALLSPEED", "9600"),
    ]
    return [parm for parm in found if parm[1]]
