from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gatewayd.config.model import HttpConfig, Secret
from gatewayd.web.admin import LONGEST_DENIAL, METRICS_TYPE, Admin
from gatewayd.web.status import BindEntry, Snapshot, StoredMessage
from tests.web.http_bench import Line, Reply, make_intake

CONFIG = HttpConfig(
    admin_password=Secret("adminpw"),
    status_password=Secret("statuspw"),
    strict=False,
    admin_by_get=True,
)
UUID = "62dbd151-ac70-4b77-9c66-01ffac5b867b"
COMMANDS = (
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


class FakeControl:
    """Does nothing but remember; one SMSC "smsc2" is running."""

    def __init__(self) -> None:
        self.now = Snapshot(binds=(BindEntry("smsc2/0", True),))
        self.done: list[str] = []
        self.works = True
        self.later: Deferred[bool] | None = None

    def _state(self, state: str) -> None:
        self.now = replace(self.now, state=state)

    def snapshot(self) -> Snapshot:
        return self.now

    def store_status(self) -> Sequence[StoredMessage]:
        return (StoredMessage(UUID, "MO", "", "1", "2", "", "", "", "a%3Cb"),)

    def suspend(self) -> None:
        self._state("suspended")

    def isolate(self) -> None:
        self._state("isolated")

    def resume(self) -> None:
        self._state("running")

    def shutdown(self) -> None:
        self._state("going down")

    def restart(self, graceful: bool) -> None:
        self.done.append(f"restart {graceful}")

    def flush_dlr(self) -> None:
        self.done.append("flush")

    def log_level(self, level: int) -> None:
        self.done.append(f"level {level}")

    def stop_smsc(self, smsc: str) -> bool:
        return smsc == "smsc2"

    def start_smsc(self, smsc: str) -> bool:
        return smsc == "smsc2"

    def add_smsc(self, smsc: str) -> bool:
        return smsc == "smsc2"

    def remove_smsc(self, smsc: str) -> bool:
        return smsc == "smsc2"

    def reload_lists(self) -> bool:
        return self.works

    def remove_message(self, uuid: str) -> bool | Deferred[bool]:
        if self.later is not None:
            return self.later
        return uuid == UUID


class Desk:
    """An admin listener, its clock and what it controls."""

    def __init__(self, config: HttpConfig = CONFIG, peer: str = "127.0.0.1") -> None:
        self.clock = Clock()
        self.control = FakeControl()
        self.admin = Admin(config, self.control, self.clock, lambda: b"gatewayd_x 1\n")
        self.intake = make_intake({}, config, self.clock, default=self.admin)
        self.line = Line(self.intake, peer)

    def ask(self, target: str, accept: str = "") -> Reply:
        field = f"Accept: {accept}\r\n" if accept else ""
        return self.line.ask(f"GET {target} HTTP/1.1\r\n{field}\r\n".encode())

    def text(self, target: str) -> str:
        joint = "&" if "?" in target else "?"
        reply = self.ask(f"{target}{joint}password=adminpw")
        assert reply.status == 200
        assert reply.header("Content-Type") == "text/plain"
        return reply.body.decode()


def test_the_commands_say_what_kannel_says() -> None:
    desk = Desk()
    dialogue = [
        ("/flush-dlr", "Suspend Kannel before trying to flush DLR queue"),
        ("/suspend", "Kannel suspended"),
        ("/suspend", "Already suspended"),
        ("/flush-dlr", "DLR queue flushed"),
        ("/resume", "Running resumed"),
        ("/resume", "Already running"),
        ("/isolate", "Kannel isolated from message providers"),
        ("/isolate", "Already isolated"),
        ("/suspend", "Kannel suspended"),
        ("/isolate", "Kannel isolated from message providers"),
        ("/resume", "Running resumed"),
        ("/log-level", "New level not given"),
        ("/log-level?level=1", "log-level set to 1"),
        ("/log-level?level=abc", "log-level set to 0"),
        ("/stop-smsc", "SMSC id not given"),
        ("/stop-smsc?smsc=nosuch", "Could not shut down smsc-id `nosuch'"),
        ("/stop-smsc?smsc=smsc2", "SMSC `smsc2' shut down"),
        ("/start-smsc?smsc=nosuch", "Could not re-start smsc-id `nosuch'"),
        ("/start-smsc?smsc=smsc2", "SMSC `smsc2' re-started"),
        ("/add-smsc?smsc=nosuch", "Could not add smsc-id `nosuch'"),
        ("/add-smsc?smsc=smsc2", "SMSC `smsc2' added"),
        ("/remove-smsc?smsc=nosuch", "Could not remove smsc-id `nosuch'"),
        ("/remove-smsc?smsc=smsc2", "SMSC `smsc2' removed"),
        ("/reload-lists", "Black/white lists re-loaded"),
        ("/remove-message", "Message id not given"),
        ("/remove-message?id=short", "Message id should be 36 characters long"),
        (f"/remove-message?id={UUID}", f"Message id `{UUID}' removed"),
        (f"/remove-message?id={UUID[::-1]}", f"Could not remove message id `{UUID[::-1]}'"),
        ("/graceful-restart", "Restarting gracefully....."),
        ("/restart", "Restarting....."),
        ("/cgi-bin/suspend", "Kannel suspended"),
        ("/shutdown", "Bringing system down"),
        ("/shutdown", "Bringing system down"),
        ("/resume", "Avalanche has already started, too late to save the sheeps"),
    ]
    assert [(asked, desk.text(asked)) for asked, _ in dialogue] == dialogue
    assert desk.control.done == ["flush", "level 1", "level 0", "restart True", "restart False"]
    assert "Status: going down, uptime" in desk.text("/status")


def test_lists_that_cannot_be_read_again_are_told() -> None:
    desk = Desk()
    desk.control.works = False
    assert desk.text("/reload-lists") == "Could not re-load lists."


def test_an_unknown_command_lists_the_known_ones_to_anybody() -> None:
    desk = Desk()
    listed = "Possible commands are:\n" + "".join(f"{name}\n" for name in COMMANDS)
    for path in ("/nosuch", "/nosuch.txt", "/", "/loglevel", "/Status"):
        reply = desk.ask(path)
        assert (reply.status, reply.body.decode()) == (200, f"Unknown command `{path}'.\n{listed}")


def test_a_path_is_never_repeated_as_html() -> None:
    assert b"<script>" not in Desk().ask("/<script>.html").body


@pytest.mark.parametrize(
    ("path", "accept", "kind", "begin"),
    [
        ("/status", "", "text/plain", "gatewayd bearerbox"),
        ("/status.txt", "text/html", "text/plain", "gatewayd bearerbox"),
        ("/status.json", "", "text/plain", "gatewayd bearerbox"),
        ("/status", "*/*", "text/plain", "gatewayd bearerbox"),
        ("/status.html", "", "text/html", "<!DOCTYPE HTML"),
        ("/status", "text/xml", "text/xml", '<?xml version="1.0"?>\n<gateway>'),
        ("/status.xml", "", "text/xml", '<?xml version="1.0"?>\n<gateway>'),
        ("/status", "a/b, text/HTML;q=0.9, text/xml", "text/html", "<!DOCTYPE HTML"),
        ("/status.wml", "", "text/vnd.wap.wml", '<?xml version="1.0"?>\n<!DOCTYPE wml'),
        ("/cgi-bin/status.wml", "", "text/vnd.wap.wml", '<?xml version="1.0"?>\n<!DOCTYPE wml'),
        ("/store-status", "", "text/plain", "[SMS ID] [Type]"),
        ("/store-status.xml", "", "text/xml", '<?xml version="1.0"?>\n<gateway>\n\t<message>'),
    ],
)
def test_suffix_and_accept_choose_the_page(path: str, accept: str, kind: str, begin: str) -> None:
    reply = Desk().ask(f"{path}?password=statuspw", accept)
    assert reply.status == 200
    assert [name for name, _ in reply.headers] == [
        "Server",
        "Date",
        "Content-Length",
        "Connection",
        "Content-Type",
    ]
    assert reply.header("Content-Type") == kind
    assert reply.body.decode().startswith(begin)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_wants_its_password(command: str) -> None:
    wrong = Desk()
    assert wrong.ask(f"/{command}?password=x").body == b"Denied"
    missing = Desk()
    assert missing.ask(f"/{command}").body == b"Denied"
    status = Desk()
    denied = status.ask(f"/{command}?password=statuspw").body == b"Denied"
    assert denied is (command not in ("status", "store-status"))
    assert all(desk.control.now.state == "running" for desk in (wrong, missing, status))


@pytest.mark.parametrize("command", COMMANDS)
def test_http_22_whatever_is_wrong_with_a_password_the_answer_is_one(command: str) -> None:
    """In YAML with 403; a kannel.conf has Kannel's 200."""
    for config, status in ((replace(CONFIG, strict=True), 403), (CONFIG, 200)):
        passwords = ("", "?password=", "?password=x", "?password=adminp", f"?password={'x' * 9000}")
        replies = [Desk(config).ask(f"/{command}{password}") for password in passwords]
        assert {(reply.status, reply.body) for reply in replies} == {(status, b"Denied")}


def test_http_23_a_status_page_with_a_huge_query_is_a_status_page_or_refused() -> None:
    desk = Desk(replace(CONFIG, strict=True))
    assert desk.ask("/status.txt?password=statuspw&" + "a=b&" * 20_000).status == 200
    assert Desk().ask("/status.txt?password=statuspw&" + "a=b&" * 40_000).status in (400, 414)
    assert Desk(replace(CONFIG, strict=True)).ask("/status?" + "x" * 200_000).status == 414


def test_denied_is_written_on_every_page() -> None:
    assert Desk().ask("/status.xml").body == b'<?xml version="1.0"?>\n<gateway>\nDenied</gateway>\n'
    assert b"<p>Denied</p>" in Desk().ask("/status.html").body


def test_without_a_status_password_the_status_is_open_and_nothing_else() -> None:
    desk = Desk(HttpConfig(admin_password=Secret("adminpw")))
    assert desk.ask("/status?password=zz").body.startswith(b"gatewayd")
    assert desk.ask("/suspend").body == b"Denied"
    assert Desk(HttpConfig()).ask("/suspend?password=").body == b"Denied"


def test_each_denial_in_a_row_is_a_second_later() -> None:
    desk = Desk()
    for delay in range(4):
        desk.line.send(b"GET /status HTTP/1.1\r\n\r\n")
        if delay:
            desk.clock.advance(delay - 0.5)
            assert desk.line.taken() == b""
            desk.clock.advance(0.5)
        assert desk.line.replies()[0].body == b"Denied"
    desk.text("/status")
    assert desk.ask("/status").body == b"Denied"


def test_a_denial_is_never_endlessly_late() -> None:
    desk = Desk()
    for _ in range(30):
        desk.line.send(b"GET /status HTTP/1.1\r\n\r\n")
        desk.clock.advance(LONGEST_DENIAL)
        assert len(desk.line.replies()) == 1


def test_http_22_an_address_that_may_not_come_in_gets_no_answer() -> None:
    config = replace(CONFIG, admin_deny_ip=("*.*.*.*",), admin_allow_ip=("10.0.0.1",))
    for path in ("/status.txt?password=statuspw", "/metrics", "/healthz"):
        outside = Desk(config, "10.0.0.2")
        outside.line.send(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        assert outside.line.taken() == b""
        assert outside.line.wire.aborted
    assert Desk(config, "10.0.0.1").text("/status")


def test_post_takes_its_fields_from_the_query_and_head_has_no_body() -> None:
    desk = Desk()
    target = b"/status.txt?password=statuspw HTTP/1.1\r\n"
    assert desk.line.ask(b"POST " + target + b"Content-Length: 0\r\n\r\n").body
    reply = desk.line.ask(b"HEAD " + target + b"\r\n", head=True)
    assert int(reply.header("Content-Length")) > 500


def test_metrics_health_and_readiness_need_no_password() -> None:
    desk = Desk()
    metrics = desk.ask("/metrics")
    assert (metrics.status, metrics.body) == (200, b"gatewayd_x 1\n")
    assert metrics.header("Content-Type") == METRICS_TYPE
    assert json.loads(desk.ask("/healthz").body)["status"] == "ok"
    assert desk.ask("/readyz").status == 200
    desk.text("/suspend")
    ready = desk.ask("/readyz")
    assert ready.status == 503
    assert json.loads(ready.body)["reasons"] == ["the gateway is suspended"]


def test_shutdown_is_answered_before_it_begins() -> None:
    desk = Desk()
    written: list[bool] = []

    def shutdown() -> None:
        written.append(desk.intake.counts.answered["", 200] == 1)

    desk.control.shutdown = shutdown  # type: ignore[method-assign]
    assert desk.text("/shutdown") == "Bringing system down"
    assert written == [True]


SAFE = replace(CONFIG, admin_by_get=False)


def asked(desk: Desk, method: str, target: str, header: str = "") -> Reply:
    head = f"{method} {target} HTTP/1.1\r\nContent-Length: 0\r\n{header}\r\n"
    return desk.line.ask(head.encode())


@pytest.mark.parametrize("command", [name for name in COMMANDS if "status" not in name])
def test_t10_unless_allowed_a_get_changes_nothing(command: str) -> None:
    desk = Desk(SAFE)
    reply = asked(desk, "GET", f"/{command}?password=adminpw&smsc=smsc2&id={UUID}")
    assert reply.status == 405
    assert reply.header("Allow") == "POST"
    assert not desk.control.done
    assert desk.control.now.state == "running"


def test_a_post_or_a_password_in_a_header_changes_something() -> None:
    desk = Desk(SAFE)
    assert asked(desk, "POST", "/suspend?password=adminpw").body == b"Kannel suspended"
    reply = asked(desk, "GET", "/resume", "X-Password: adminpw\r\n")
    assert reply.body == b"Running resumed"
    assert asked(desk, "GET", "/suspend", "X-Password: wrong\r\n").body == b"Denied"
    assert asked(desk, "GET", "/status.txt?password=statuspw").status == 200


def test_what_the_store_tells_later_is_answered_later() -> None:
    desk = Desk()
    found: Deferred[bool] = Deferred()
    desk.control.later = found
    target = f"/remove-message?password=adminpw&id={UUID}"
    desk.line.send(f"GET {target} HTTP/1.1\r\n\r\n".encode())
    assert desk.line.taken() == b""
    found.callback(True)
    assert f"Message id `{UUID}' removed".encode() in desk.line.taken()
