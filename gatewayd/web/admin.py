"""The admin listener: Kannel's commands, its status pages, health, readiness and metrics."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from gatewayd.config.model import HttpConfig
from gatewayd.web.arguments import decode_query, read_integer
from gatewayd.web.ctl import PREFIX
from gatewayd.web.request import Answer, Handler, Request, unknown_request
from gatewayd.web.status import (
    Page,
    Snapshot,
    StoredMessage,
    banner,
    render_health,
    render_ready,
    render_status,
    render_store,
)
from gatewayd.web.users import AddressRules

T = TypeVar("T")

LONGEST_DENIAL: Final = 10.0  # seconds
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_UUID_LENGTH = 36
_GOING_DOWN = "going down"
_READS: Final = frozenset({"status", "store-status"})
_NOT_BY_GET: Final = "This changes something: POST it, or give the password in an X-Password header"
_TOO_LATE = "Avalanche has already started, too late to save the sheeps"

# in the order in which the list of commands names them
_COMMANDS: Final = (
    "status",
    "store-status",
    "log-level",
    "shutdown",
    "suspend",
    "isolate",
    "resume",
    "restart",
    "graceful-restart",
    "flush-dlr",
    "stop-smsc",
    "start-smsc",
    "add-smsc",
    "remove-smsc",
    "reload-lists",
    "remove-message",
)
_ACCEPTED: Final = (Page.WML, Page.HTML, Page.XML)  # the first one that Accept names is taken
_SUFFIXES: Final = {"txt": Page.TEXT, "html": Page.HTML, "xml": Page.XML, "wml": Page.WML}


class Control(Protocol):
    """What the commands do. `smsc` is an admin-id; those that return bool say whether it worked."""

    def snapshot(self) -> Snapshot: ...

    def store_status(self) -> Sequence[StoredMessage] | Deferred[Sequence[StoredMessage]]: ...

    def suspend(self) -> None: ...

    def isolate(self) -> None: ...

    def resume(self) -> None: ...

    def shutdown(self) -> None: ...

    def restart(self, graceful: bool) -> None: ...

    def flush_dlr(self) -> None: ...

    def log_level(self, level: int) -> None: ...

    def stop_smsc(self, smsc: str) -> bool: ...

    def start_smsc(self, smsc: str) -> bool: ...

    def add_smsc(self, smsc: str) -> bool: ...

    def remove_smsc(self, smsc: str) -> bool: ...

    def reload_lists(self) -> bool: ...

    def remove_message(self, uuid: str) -> bool | Deferred[bool]: ...


class Admin:
    """Handler of every path of the admin listener; pass it as the intake's default.

    `render` makes the metrics page, `ctl` answers what begins with its prefix. A wrong password is
    answered ``Denied``, each one in a row a second later than the last, at most `LONGEST_DENIAL`;
    with status 403, where Kannel has 200.
    """

    def __init__(
        self,
        config: HttpConfig,
        control: Control,
        clock: IReactorTime,
        render: Callable[[], bytes] = bytes,
        ctl: Handler = unknown_request,
    ) -> None:
        self._control = control
        self._clock = clock
        self._render = render
        self._ctl = ctl
        self._admin_password = config.admin_password.reveal().encode()
        self._status_password = config.status_password.reveal().encode()
        self._rules = AddressRules(
            config.admin_allow_ip, config.admin_deny_ip, only_allowed=config.strict
        )
        self._by_get = config.admin_by_get
        self._denied_status = 403 if config.strict else 200
        self._denials = 0
        self._banner = banner()

    def __call__(self, request: Request) -> None:
        """Answer, or close the connection of an address that may not come in."""
        if not self._rules.admit(request.peer):
            request.drop()
            return
        if (special := self._special(request.path)) is not None:
            request.reply(special)
            return
        if request.path.startswith(PREFIX):
            self._ctl(request)
            return
        command, page = _command_of(request)
        if command not in _COMMANDS:
            end = page.line_end
            known = "".join(f"{name}{end}" for name in _COMMANDS)
            unknown = f"Unknown command `{page.quote(request.path)}'."
            self._reply(request, page, f"{unknown}{end}Possible commands are:{end}{known}")
            return
        fields = decode_query(request.query)
        header = request.headers.get("x-password")
        if header is not None:
            fields["password"] = header.encode("latin-1")
        if not self._may(command, fields):
            self._deny(request, page)
            return
        self._denials = 0
        if (
            command not in _READS
            and header is None
            and request.method != "POST"
            and not self._by_get
        ):
            self._reply(request, page, _NOT_BY_GET, 405, (("Allow", "POST"),))
            return
        after: list[Callable[[], None]] = []
        text = self._run(command, fields, page, after)
        if isinstance(text, Deferred):
            text.addCallbacks(
                lambda found: self._reply(request, page, found),
                lambda failure: self._reply(request, page, failure.getErrorMessage(), 503),
            )
        else:
            self._reply(request, page, text)
        for action in after:
            action()

    def _reply(
        self,
        request: Request,
        page: Page,
        text: str,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        if request.pending:  # the caller may have gone while the store was read
            request.reply(Answer(status, page.wrap(text), (("Content-Type", page.value), *headers)))

    def _deny(self, request: Request, page: Page) -> None:
        delay = min(float(self._denials), LONGEST_DENIAL)
        self._denials += 1
        if delay:
            self._clock.callLater(delay, self._reply, request, page, "Denied", self._denied_status)
        else:
            self._reply(request, page, "Denied", self._denied_status)

    def _special(self, path: str) -> Answer | None:
        if path == "/metrics":
            return Answer(200, self._render(), (("Content-Type", METRICS_TYPE),))
        if path == "/healthz":
            return _json_answer(200, render_health(self._control.snapshot()))
        if path == "/readyz":
            ready, body = render_ready(self._control.snapshot())
            return _json_answer(200 if ready else 503, body)
        return None

    def _may(self, command: str, fields: dict[str, bytes]) -> bool:
        password = fields.get("password")
        if command in _READS:
            if not self._status_password:
                return True
            if password is None:
                return False
            # both are compared, so that the time tells nothing
            status = hmac.compare_digest(password, self._status_password)
            return hmac.compare_digest(password, self._admin_password) or status
        return (
            password is not None
            and bool(self._admin_password)
            and hmac.compare_digest(password, self._admin_password)
        )

    def _run(
        self, command: str, fields: dict[str, bytes], page: Page, after: list[Callable[[], None]]
    ) -> str | Deferred[str]:
        """Do what the command says; what must wait for the answer to be on its way is `after`."""
        control = self._control
        snapshot = control.snapshot()
        if command == "status":
            return render_status(snapshot, page, self._banner)
        if command == "store-status":
            return _then(control.store_status(), lambda messages: render_store(messages, page))
        if command == "log-level":
            return self._log_level(fields)
        if command == "shutdown":
            after.append(control.shutdown)
            return "Bringing system down"
        if snapshot.state == _GOING_DOWN:
            return "Trying harder to restart" if command == "restart" else _TOO_LATE
        if command == "restart":
            after.append(lambda: control.restart(graceful=False))
            return "Restarting....."
        if command == "graceful-restart":
            after.append(lambda: control.restart(graceful=True))
            return "Restarting gracefully....."
        if command == "reload-lists":
            done = control.reload_lists()
            return "Black/white lists re-loaded" if done else "Could not re-load lists."
        if command == "remove-message":
            return self._remove_message(fields, page)
        if command.endswith("-smsc"):
            return self._smsc(command, fields, page)
        return self._change(command, snapshot.state)

    def _change(self, command: str, state: str) -> str:
        control = self._control
        if command == "suspend":
            if state == "suspended":
                return "Already suspended"
            control.suspend()
            return "Kannel suspended"
        if command == "isolate":
            if state == "isolated":
                return "Already isolated"
            control.isolate()
            return "Kannel isolated from message providers"
        if command == "resume":
            if state not in ("suspended", "isolated"):
                return "Already running"
            control.resume()
            return "Running resumed"
        if state != "suspended":
            return "Suspend Kannel before trying to flush DLR queue"
        control.flush_dlr()
        return "DLR queue flushed"

    def _log_level(self, fields: dict[str, bytes]) -> str:
        given = fields.get("level")
        if given is None:
            return "New level not given"
        level = read_integer(given) or 0
        self._control.log_level(level)
        return f"log-level set to {level}"

    def _smsc(self, command: str, fields: dict[str, bytes], page: Page) -> str:
        given = fields.get("smsc")
        if given is None:
            return "SMSC id not given"
        smsc = given.decode("utf-8", "replace")
        control = self._control
        act, failed, done = {
            "stop-smsc": (control.stop_smsc, "shut down", "shut down"),
            "start-smsc": (control.start_smsc, "re-start", "re-started"),
            "add-smsc": (control.add_smsc, "add", "added"),
            "remove-smsc": (control.remove_smsc, "remove", "removed"),
        }[command]
        if act(smsc):
            return f"SMSC `{page.quote(smsc)}' {done}"
        return f"Could not {failed} smsc-id `{page.quote(smsc)}'"

    def _remove_message(self, fields: dict[str, bytes], page: Page) -> str | Deferred[str]:
        given = fields.get("id")
        if given is None:
            return "Message id not given"
        if len(given) != _UUID_LENGTH:
            return f"Message id should be {_UUID_LENGTH} characters long"
        uuid = given.decode("latin-1")
        shown = f"message id `{page.quote(uuid)}'"

        def told(removed: bool) -> str:
            return f"M{shown[1:]} removed" if removed else f"Could not remove {shown}"

        return _then(self._control.remove_message(uuid), told)


def _then(found: T | Deferred[T], tell: Callable[[T], str]) -> str | Deferred[str]:
    """What `tell` says of what was found, at once or when it is there."""
    return found.addCallback(tell) if isinstance(found, Deferred) else tell(found)


def _command_of(request: Request) -> tuple[str, Page]:
    """The command a path names, and the page wanted: by suffix, else by the Accept header."""
    page = Page.TEXT
    if accept := request.headers.get("accept", ""):
        types = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
        page = next((page for page in _ACCEPTED if page.value in types), Page.TEXT)
    prefix, cgi_bin, rest = request.path.partition("/cgi-bin/")
    path = prefix + rest if cgi_bin else request.path.removeprefix("/")
    command, _, suffix = path.partition(".")
    return command, _SUFFIXES.get(suffix, page)


def _json_answer(status: int, body: bytes) -> Answer:
    return Answer(status, body, (("Content-Type", "application/json"),))
