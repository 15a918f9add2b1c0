"""sendsms: Kannel's way to hand in a message over HTTP, checks and texts included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final

from twisted.logger import Logger

from gatewayd.access import AccessLog
from gatewayd.config.model import Config, UserConfig
from gatewayd.flow.targets import Targets
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.sms import charsets
from gatewayd.web.allowance import Allowance
from gatewayd.web.answers import (
    ACCEPTED,
    BAD_ACCOUNT,
    BAD_TEXT,
    BAD_TYPE,
    BAD_URL,
    DENIED,
    EMPTY_RECEIVER,
    FORBIDDEN_SENDER,
    FORBIDDEN_SMSC,
    LONG_UDH,
    NO_RECEIVER,
    NO_RECEIVERS,
    NO_SENDER,
    QUEUED,
    TOO_LONG,
    TOO_MANY,
    UNAUTHORIZED,
    UNROUTABLE,
    UNSUPPORTED,
    Refused,
    answer_of,
    misformed,
    too_many_failures,
)
from gatewayd.web.arguments import decode_query, is_integer, problem_of, read_integer
from gatewayd.web.forms import Posted, octets_of, read_post
from gatewayd.web.lists import NumberCheck
from gatewayd.web.logins import LoginBlocked, LoginPending, Run
from gatewayd.web.once import Once
from gatewayd.web.payload import FORM, JSON, Unreadable, content_type, read_json
from gatewayd.web.request import KANNEL_HEADERS, Answer, Request
from gatewayd.web.senders import LONGEST_ADDRESS, is_sender
from gatewayd.web.users import Users

_LONGEST_UDH = 140
_LONGEST_ACCOUNT = 64
_SHORTEST_URL = 8
_LONGEST_URL = 4096
_LONGEST_STRICT_URL = 2000
_LONGEST_DELAY = 10 * 366 * 24 * 60  # minutes; more is as good as for ever

# what may stand in a number field, -1 aside: the most, the name its refusal gives it, and where it
# goes in an order; checked in this order
_NUMBERS: Final[dict[str, tuple[int, str, str]]] = {
    "dlr-mask": (66, "DLR-Mask", "dlr_mask"),
    "mclass": (3, "MClass", "mclass"),
    "pid": (255, "PID", "pid"),
    "rpi": (2, "RPI", "rpi"),
    "alt-dcs": (1, "Alt-DCS", "alt_dcs"),
    "mwi": (7, "MWI", "mwi"),
    "coding": (2, "Coding", "coding"),
    "compress": (1, "Compress", "compress"),
    "validity": (2**31, "Validity", "validity"),
    "deferred": (2**31, "Deferred", "deferred"),
    "priority": (3, "Priority", "priority"),
}
_MINUTES: Final = frozenset({"validity", "deferred"})
_NUMBER_NAMES: Final = frozenset(_NUMBERS) | {"dlrmask"}


@dataclass(frozen=True, slots=True)
class _Caller:
    """A user with what was made ready of its configuration."""

    name: str
    numbers: NumberCheck


class SendSms:
    """Handler of the sendsms path.

    `accept` takes each order and calls back, at once or later, with what became of it; `wall`
    gives seconds since the epoch, `now` those of a monotonic clock; `run` checks hashes elsewhere.
    What `before` counted of callers and users goes on.
    Lists of numbers are read here and in `reload_lists`, which blocks; both raise ConfigError.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        config: Config,
        accept: Callable[[Order, Callable[[Acceptance], None]], None],
        wall: Callable[[], float],
        access: AccessLog | None = None,
        *,
        now: Callable[[], float] = lambda: 0.0,
        run: Run | None = None,
        before: SendSms | None = None,
    ) -> None:
        self._access = access
        self._asking: UserConfig | None = None  # whose request is being checked
        self._refusals: dict[str, int] = {}
        self._config = config
        self._accept = accept
        self._wall = wall
        http = config.http
        self._strict = http.strict
        self._immediate = http.immediate_reply
        self._global_sender = http.global_sender
        self._most_fields = http.max_fields
        self._most_receivers = config.limits.receivers
        self._characters = http.receiver_characters.encode()
        self._json = http.json_posts
        self._once = Once(config)
        self._targets = Targets(config)
        self._longest_url = _LONGEST_STRICT_URL if http.strict else _LONGEST_URL
        self.users = Users(
            config.users,
            only_allowed=http.strict,
            most_failures=http.login_failures,
            now=now,
            run=run,
        )
        self.allowances = {user.username: Allowance(user, now, wall) for user in config.users}
        busy: tuple[tuple[str, str], ...] = KANNEL_HEADERS
        if http.retry_after:
            busy += (("Retry-After", str(http.retry_after)),)
        self._overloaded = Answer(503, b"Temporal failure, try again later.", busy)
        self._answers = {
            Verdict.ACCEPTED: ACCEPTED,
            Verdict.QUEUED: QUEUED,
            Verdict.UNROUTABLE: UNROUTABLE,
            Verdict.OVERLOADED: self._overloaded,
            Verdict.TOO_LONG: TOO_LONG,
        }
        self.reload_lists()
        if before is not None:
            self._refusals = before._refusals
            self.users.inherit(before.users)
            for name, allowance in self.allowances.items():
                if name in before.allowances:
                    allowance.inherit(before.allowances[name])

    def reload_lists(self) -> None:
        """Read all lists of numbers again; when one cannot be read the old ones stay."""
        numbers = NumberCheck(self._config.http.numbers, "sendsms")
        callers = {
            id(user): _Caller(
                user.name or user.username, NumberCheck(user.numbers, f"user {user.username}")
            )
            for user in self._config.users
        }
        self._numbers, self._callers = numbers, callers

    def __call__(self, request: Request) -> None:
        """Check the request and hand its order over; the answer follows when it is decided."""
        try:
            order, denied = self._take(request)
        except LoginPending as pending:
            pending.then(partial(self, request))
            return
        except LoginBlocked as blocked:
            request.reply(too_many_failures(blocked))
            return
        except Refused as refused:
            if self._access is not None and self._asking is not None:
                self._access.refused_request(refused.answer.body.decode())
            self.note_refusal(request.peer, refused.answer)
            request.reply(refused.answer)
            return
        if self._access is not None and self._asking is not None:
            self._access.asked(self._asking.username, request.peer, order)
        self._once.mark(order, request.raw)
        self._accept(order, partial(self.decided, request, denied))

    def begin(self) -> None:
        """A request begins: nobody is known to ask yet."""
        self._asking = None

    def note_refusal(self, peer: str, answer: Answer) -> None:
        """Tell of a refused request in the log: the first, second, fourth ... of a user's."""
        user = self._asking.username if self._asking is not None else "nobody"
        count = self._refusals[user] = self._refusals.get(user, 0) + 1
        if count & (count - 1) == 0:
            self.log.info(
                "sendsms refused {user} at {address}: {status} {answer}, {count} so far",
                user=user,
                address=peer,
                status=answer.status,
                answer=answer.body.decode("utf-8", "replace")[:100],
                count=count,
            )

    def note(self, user: UserConfig, peer: str, order: Order) -> None:
        """Write down what `user` asks for at another door."""
        if self._access is not None:
            self._access.asked(user.username, peer, order)

    def _take(self, request: Request) -> tuple[Order, list[str]]:
        self.begin()
        return self._take_post(request) if request.method == "POST" else self._take_get(request)

    def decided(self, request: Request, denied: list[str], acceptance: Acceptance) -> None:
        """Answer a request whose order was decided."""
        verdict = acceptance.verdict
        if self._immediate and verdict not in (Verdict.OVERLOADED, Verdict.TOO_LONG):
            # this answer was promised before anybody looked for a way to the SMSC
            text = "Sent."
            if denied:
                text += " Denied receivers are: " + " ".join(denied)
            if acceptance.segments > 1:
                text += f" Message splits: {acceptance.segments}"
            request.reply(answer_of(202, text))
            return
        request.reply(self._answers[verdict])

    # -- forms

    def fields_of(self, query: bytes) -> dict[str, bytes]:
        """The fields of a query or a form. Raises Refused for what `strict` does not take."""
        if self._strict and (problem := problem_of(query, self._most_fields)):
            raise Refused(answer_of(400, problem))
        return decode_query(query)

    def _take_get(self, request: Request) -> tuple[Order, list[str]]:
        return self._take_fields(self.fields_of(request.query), request.peer)

    def _take_fields(self, fields: dict[str, bytes], peer: str) -> tuple[Order, list[str]]:
        user = self._authorize(fields, peer)
        to = fields.get("to")
        if to is None:
            raise Refused(NO_RECEIVER)
        if not to:
            raise Refused(EMPTY_RECEIVER)
        return self.compose(user, fields, to)

    def _take_post(self, request: Request) -> tuple[Order, list[str]]:
        posted: Posted | None = read_post(request)
        if posted is None:
            return self._take_extension(request)
        fields = posted.fields
        user = self._authorize(fields, request.peer)
        to = fields.get("to")
        if to is None:
            raise Refused(NO_RECEIVERS)
        if not to:
            raise Refused(EMPTY_RECEIVER)
        if posted.unsupported:
            raise Refused(UNSUPPORTED)
        return self.compose(user, fields, to, posted.coding)

    def _take_extension(self, request: Request) -> tuple[Order, list[str]]:
        """A form or JSON with the fields of a GET; what it lacks may stand in the query."""
        kind, _ = content_type(request.headers.get("content-type", ""))
        if kind == FORM:
            fields = self.fields_of(request.body)
        elif kind == JSON and self._json:
            try:
                fields = read_json(request.body)
            except Unreadable as error:
                raise Refused(answer_of(400, str(error))) from None
            # JSON is text: octets are written in hex there, and no charset need be told
            if "udh" in fields:
                fields["udh"] = octets_of(fields["udh"])
            if fields.get("coding") == b"2":
                fields.setdefault("charset", b"UTF-8")
        else:
            raise Refused(BAD_TYPE)
        fields = {**self.fields_of(request.query), **fields}
        if "username" not in fields and "user" not in fields:
            raise Refused(BAD_TYPE)  # not meant as our extension, so it is what it is for Kannel
        return self._take_fields(fields, request.peer)

    def _authorize(self, fields: dict[str, bytes], peer: str) -> UserConfig:
        user = self.users.find_by_fields(fields, peer)
        if user is None:
            raise Refused(UNAUTHORIZED)
        return user

    # -- checks, in Kannel's order

    def compose(
        self, user: UserConfig, fields: dict[str, bytes], to: bytes, default_coding: int = 0
    ) -> tuple[Order, list[str]]:
        """What a known user asks for, and the receivers it was denied. Raises Refused."""
        self._asking = user
        caller = self._callers[id(user)]
        udh = fields.get("udh", b"")
        if udh:
            if len(udh) != udh[0] + 1:
                raise Refused(misformed("UDH"))
            if len(udh) > _LONGEST_UDH:
                raise Refused(LONG_UDH)
        receivers, denied = self._receivers(caller, to)
        source = self.source_of(user, fields)
        order = Order(
            user=caller.name,
            receivers=receivers,
            source=source,
            udh=udh,
            account=self.account_of(fields),
            dlr_url=self._dlr_url(user, fields),
            options=user.text,
            channel=user.channel,
        )
        coding = -1
        if not _NUMBER_NAMES.isdisjoint(fields):
            coding = self._numbers_into(order, fields)
        if coding < 0:
            coding = 1 if udh else default_coding
        order.coding = coding
        if "binfo" in fields:
            order.binfo = self.text_of("BInfo", fields["binfo"])
        if "meta-data" in fields:
            order.meta = self.text_of("Meta-Data", fields["meta-data"])
        self._body_into(order, fields, coding)
        order.smsc = self.smsc_of(user, fields)
        self.allow(user, order)
        return order, denied

    def allow(self, user: UserConfig, order: Order) -> None:
        """Count a message that is about to be accepted. Raises Refused."""
        allowance = self.allowances[user.username]
        if not allowance.may_use(order.smsc):
            raise Refused(FORBIDDEN_SMSC)
        if not allowance.may_be(order.source):
            raise Refused(FORBIDDEN_SENDER)
        if seconds := allowance.wait(len(order.receivers)):
            headers = (*KANNEL_HEADERS, ("Retry-After", str(seconds)))
            raise Refused(Answer(503, b"Too many messages, try again later.", headers))

    def smsc_of(self, user: UserConfig, fields: dict[str, bytes]) -> str | None:
        """The tag of the user's message. Raises Refused."""
        if user.forced_smsc is not None:
            return user.forced_smsc
        if "smsc" in fields:
            return self.text_of("SMSC", fields["smsc"])
        return user.default_smsc

    def _receivers(self, caller: _Caller, to: bytes) -> tuple[list[str], list[str]]:
        """Who may get it, each once, and who may not."""
        numbers = to.split(None, self._most_receivers)
        if len(numbers) > self._most_receivers:
            raise Refused(TOO_MANY)
        characters, user_numbers, all_numbers = self._characters, caller.numbers, self._numbers
        allowed: list[str] = []
        denied: list[str] = []
        for octets in numbers:
            number = octets.decode("latin-1")
            if (
                octets.translate(None, characters)
                or (self._strict and len(octets) > LONGEST_ADDRESS + 1)
                or not (user_numbers.idle or user_numbers.admit(number))
                or not (all_numbers.idle or all_numbers.admit(number))
            ):
                if number not in denied:
                    denied.append(number)
            elif number not in allowed:
                allowed.append(number)
        if not allowed:
            raise Refused(DENIED)
        return allowed, denied

    def source_of(self, user: UserConfig, fields: dict[str, bytes]) -> str:
        """The sender of the user's message. Raises Refused."""
        if user.faked_sender:
            return user.faked_sender
        given = fields.get("from")
        if given:
            source = self.text_of("Sender", given)
            if self._strict and not is_sender(source):
                raise Refused(misformed("Sender"))
            return source
        source = user.default_sender or self._global_sender
        if not source:
            raise Refused(NO_SENDER)
        return source

    def account_of(self, fields: dict[str, bytes]) -> str:
        """Whom the caller bills. Raises Refused."""
        account = fields.get("account")
        if not account:
            return ""
        if len(account) > _LONGEST_ACCOUNT or account.translate(None, b"[]\n\r") != account:
            raise Refused(BAD_ACCOUNT)
        return self.text_of("Account", account)

    def _dlr_url(self, user: UserConfig, fields: dict[str, bytes]) -> str:
        url = fields.get("dlr-url")
        if url is None:
            url = fields.get("dlrurl")
        if not url:
            return user.dlr_url
        if (
            not _SHORTEST_URL <= len(url) <= self._longest_url
            or not url[:8].lower().startswith((b"http://", b"https://"))
            or b"\r" in url
            or b"\n" in url
            or b"\0" in url
        ):
            raise Refused(misformed("DLR-URL"))
        text = self.text_of("DLR-URL", url)
        if self._targets.refusal(text):
            raise Refused(BAD_URL)
        return text

    def text_of(self, field: str, value: bytes) -> str:
        """A field that is text. Kannel hands octets on whatever they are; `strict` refuses some."""
        try:
            text = value.decode()
        except UnicodeDecodeError:
            if self._strict:
                raise Refused(misformed(field)) from None
            return value.decode("latin-1")
        if self._strict and not text.isprintable() and any(c < " " or c == "\x7f" for c in text):
            raise Refused(misformed(field))
        return text

    def _numbers_into(self, order: Order, fields: dict[str, bytes]) -> int:
        """Read the number fields into `order`; the coding, or -1, is the result."""
        if "dlr-mask" not in fields and "dlrmask" in fields:
            fields["dlr-mask"] = fields["dlrmask"]
        order.coding = -1
        for name in _NUMBERS:
            value = fields.get(name)
            if value is None:
                continue
            most, label, place = _NUMBERS[name]
            if self._strict and value and not is_integer(value):
                raise Refused(misformed(label))
            number = read_integer(value)
            if number is None:
                continue
            if not -1 <= number <= most:
                raise Refused(misformed(label))
            setattr(order, place, self._moment(number) if name in _MINUTES else number)
        order.dlr_mask = max(order.dlr_mask, 0)
        return order.coding

    def _moment(self, minutes: int) -> float:
        if minutes < 0:
            return 0.0
        return self._wall() + 60 * min(minutes, _LONGEST_DELAY)

    def _body_into(self, order: Order, fields: dict[str, bytes], coding: int) -> None:
        text = fields.get("text", b"")
        if coding == 1:
            order.data = text
            return
        charset = fields.get("charset", b"") if text else b""
        if charset:
            order.charset = charset.decode("latin-1")
            try:
                text = self._recode(text, order.charset, "UTF-16BE" if coding else "UTF-8")
            except charsets.UnknownCharset:
                raise Refused(BAD_TEXT) from None
        if coding == 2:
            if self._strict and len(text) % 2:
                raise Refused(BAD_TEXT)
            order.data = text
            return
        try:
            order.text = text.decode()
        except UnicodeDecodeError:
            if self._strict:
                raise Refused(BAD_TEXT) from None
            order.text = charsets.decode_utf8_cut(text)

    def _recode(self, text: bytes, charset: str, target: str) -> bytes:
        if self._strict and "\ufffd" in charsets.decode(text, charset):
            raise Refused(BAD_TEXT)
        return charsets.recode(text, charset, target)
