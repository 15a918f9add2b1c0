"""T2: passwords may be kept as hashes, which cost a guesser and not us."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.commands.hash_password import hash_password
from gatewayd.config import passwords
from gatewayd.config.model import Config, Secret, UserConfig
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError
from gatewayd.web.logins import PENDING, LoginBlocked, LoginPending
from gatewayd.web.sendsms import SendSms
from gatewayd.web.users import Users
from tests.web.http_bench import WALL, Gateway, Line, make_intake

HASH = passwords.make("opensesame", b"a salt of 16 oct", n=16)
USER = UserConfig("platform", Secret(HASH))
PLAIN = UserConfig("plain", Secret("simple"))


class Thread:
    """A thread that works when it is told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Callable[[], bool], Callable[[bool], None]]] = []
        self.done = 0

    def __call__(self, job: Callable[[], bool], done: Callable[[bool], None]) -> None:
        self.jobs.append((job, done))

    def work(self) -> None:
        while self.jobs:
            job, done = self.jobs.pop(0)
            self.done += 1
            done(job())


def test_t02_the_hash_is_scrypts() -> None:
    # RFC 7914, 12: scrypt("", "", 16, 1, 1, 64)
    known = passwords.Hashed(
        16,
        1,
        1,
        b"",
        bytes.fromhex(
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
            "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906"
        ),
    )
    assert known.matches(b"")
    assert not known.matches(b"x")


def test_t02_what_is_made_is_read() -> None:
    made = passwords.make("pässword")
    assert made.startswith("scrypt$16384$8$1$")
    assert passwords.parse(made).matches("pässword".encode())
    assert passwords.make("pässword") != made


@pytest.mark.parametrize(
    "text",
    [
        "scrypt$",
        "scrypt$16$8$1$AAAA$BBBB",
        "scrypt$15$8$1$" + HASH.split("$", 4)[4],
        "scrypt$-2$8$1$" + HASH.split("$", 4)[4],
        "scrypt$1073741824$8$1$" + HASH.split("$", 4)[4],
        "scrypt$16384$8$100000$" + HASH.split("$", 4)[4],
        "scrypt$x$8$1$" + HASH.split("$", 4)[4],
        HASH + "$",
        HASH[:-4] + "!!!!",
    ],
)
def test_t02_a_hash_that_is_none_or_too_dear_is_told_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match="is ") as told:
        passwords.parse(text)
    assert text[7:] not in str(told.value) or text == "scrypt$"


def test_t02_a_hash_is_checked_once_elsewhere_and_then_remembered() -> None:
    thread = Thread()
    users = Users([USER], only_allowed=True, most_failures=5, run=thread)
    for _ in range(3):
        with pytest.raises(LoginPending):
            users.find(b"platform", b"opensesame", "")
    thread.work()
    assert thread.done == 1
    assert users.find(b"platform", b"opensesame", "") is USER
    assert not thread.jobs
    fresh = Users([USER], only_allowed=True, run=thread)  # a reload forgets
    with pytest.raises(LoginPending):
        fresh.find(b"platform", b"opensesame", "")


def test_t02_an_unknown_name_costs_as_much_as_a_wrong_password() -> None:
    thread = Thread()
    users = Users([USER, PLAIN], only_allowed=True, run=thread)
    for name in (b"platform", b"nobody", b"somebody", b"plain"):
        with pytest.raises(LoginPending):
            users.find(name, b"wrong", "")
    thread.work()
    assert thread.done == 4
    assert users.find(b"plain", b"simple", "") is PLAIN
    assert not thread.jobs


def test_t02_the_queue_of_checks_is_limited() -> None:
    users = Users([USER], only_allowed=True, run=Thread())
    for number in range(PENDING):
        with pytest.raises(LoginPending):
            users.find(b"nobody", b"%d" % number, "")
    with pytest.raises(LoginBlocked):
        users.find(b"platform", b"opensesame", "")


def test_t02_many_guesses_at_once_do_not_get_by_the_limit() -> None:
    thread = Thread()
    users = Users([USER], only_allowed=True, most_failures=5, run=thread)
    outcomes = []
    for number in range(100):
        try:
            users.find(b"platform", b"guess%d" % number, "9.9.9.9")
        except (LoginPending, LoginBlocked) as error:
            outcomes.append(type(error))
    assert outcomes.count(LoginPending) == 5


def line_of(thread: Thread, gateway: Gateway) -> Line:
    config = Config(users=(USER, PLAIN))
    sendsms = SendSms(config, gateway.accept, lambda: WALL, run=thread)
    return Line(make_intake({"/cgi-bin/sendsms": sendsms}))


@pytest.mark.parametrize(
    ("name", "password", "status"),
    [("platform", "opensesame", 202), ("platform", "x", 403), ("nobody", "x", 403)],
)
def test_t02_a_request_waits_for_its_check_and_others_do_not(
    name: str, password: str, status: int
) -> None:
    thread, gateway = Thread(), Gateway()
    line = line_of(thread, gateway)
    rest = "&from=1&to=2&text=x HTTP/1.1\r\n\r\n"
    line.send(f"GET /cgi-bin/sendsms?username={name}&password={password}{rest}".encode())
    assert not line.taken()
    other = Line(line.connection._intake)
    asked = f"GET /cgi-bin/sendsms?username=plain&password=simple{rest}".encode()
    assert other.ask(asked).status == 202
    thread.work()
    [reply] = line.replies()
    assert reply.status == status


def test_t02_a_good_login_leaves_no_failure_behind() -> None:
    thread = Thread()
    users = Users([USER], only_allowed=True, most_failures=2, run=thread)
    for _ in range(5):
        with pytest.raises(LoginPending) as pending:
            users.find(b"platform", b"opensesame", "9.9.9.9")
        thread.work()
        pending.value.then(lambda: None)
        assert users.find(b"platform", b"opensesame", "9.9.9.9") is USER
        users._checks._known.clear()
    assert users.failed == 0


def test_t02_the_command_prints_a_hash_of_its_input(capsys: pytest.CaptureFixture[str]) -> None:
    assert hash_password(io.StringIO("open sesame\n")) == 0
    assert passwords.parse(capsys.readouterr().out.strip()).matches(b"open sesame")
    assert hash_password(io.StringIO("\n")) == 2


YAML = """\
smscs: [{{id: op, host: h, system-id: s, password: "${{P}}"}}]
users: [{{username: u, password: "{password}"}}]
http: {{admin: off}}
"""


def test_t02_plain_passwords_are_warned_of_and_hashes_are_not(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.touch(mode=0o600)
    for password, warned in (("simple", True), (HASH, False)):
        path.write_text(YAML.format(password=password))
        config = read_yaml(str(path), {"P": "x"})
        assert any("plain text" in warning for warning in config.warnings) is warned


def test_t02_a_broken_hash_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(YAML.format(password="scrypt$1$2"))
    with pytest.raises(ConfigError, match="hash-password"):
        read_yaml(str(path), {"P": "x"})
