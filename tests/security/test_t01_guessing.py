"""T1: passwords cannot be guessed fast, and others' failures shut nobody out."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from time import perf_counter

import pytest

from gatewayd.config.model import Config, HttpConfig, Secret, UserConfig
from gatewayd.web.external import External
from gatewayd.web.logins import REMEMBERED, Failures, LoginBlocked
from gatewayd.web.sendsms import SendSms
from gatewayd.web.users import Users
from tests.web.http_bench import TESTER, WALL, Gateway, Line, make_intake


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def limited(time: Time, *users: UserConfig) -> Users:
    return Users(users or (TESTER,), only_allowed=True, most_failures=5, now=time)


def tries(users: Users, count: int, name: bytes = b"tester", peer: str = "9.9.9.9") -> int:
    """How many of so many wrong passwords are checked."""
    checked = 0
    for number in range(count):
        try:
            assert users.find(name, b"guess%d" % number, peer) is None
            checked += 1
        except LoginBlocked:
            pass
    return checked


@pytest.mark.parametrize("name", [b"tester", b"nobody"])
def test_t01_of_a_thousand_tries_at_most_ten_are_checked(name: bytes) -> None:
    assert tries(limited(Time()), 1000, name) <= 10


def test_t01_other_names_from_one_address_count_together() -> None:
    users = limited(Time(), *(replace(TESTER, username=f"u{n}") for n in range(100)))
    checked = sum(tries(users, 1, b"u%d" % number) for number in range(100))
    assert checked <= 10


def test_t01_the_block_doubles_up_to_fifteen_minutes() -> None:
    time = Time()
    failures = Failures(5, time)
    blocks = []
    for _ in range(7):
        while not (seconds := failures.failed("k")):
            pass
        blocks.append(seconds)
        time.now += seconds
    assert blocks == [60, 120, 240, 480, 900, 900, 900]
    assert failures.blocked("k") == 0


def test_t01_failures_that_are_far_apart_do_not_add_up() -> None:
    time = Time()
    failures = Failures(5, time)
    for _ in range(100):
        assert not failures.failed("k")
        time.now += 20


def test_t01_the_memory_of_failures_is_bounded() -> None:
    failures = Failures(5, Time())
    for number in range(REMEMBERED + 500):
        failures.failed(number)
    assert len(failures) == REMEMBERED


def test_t01_a_block_holds_for_the_right_password_too_and_ends() -> None:
    time = Time()
    users = limited(time)
    tries(users, 5)
    with pytest.raises(LoginBlocked) as blocked:
        users.find(b"tester", b"foobar", "9.9.9.9")
    assert blocked.value.seconds == 60
    time.now += 60
    assert users.find(b"tester", b"foobar", "9.9.9.9") is not None


def test_t01_other_addresses_are_not_shut_out() -> None:
    users = limited(Time())
    for peer in ("9.9.9.1", "9.9.9.2", "2001:db8::1"):
        tries(users, 100, peer=peer)
    assert users.find(b"tester", b"foobar", "9.9.9.9") is not None


def test_t01_an_allowed_address_is_not_shut_out_by_what_others_fail_at_there() -> None:
    platform = replace(TESTER, username="platform", allow_ip=("10.0.0.0/8",), deny_ip=("*",))
    users = limited(Time(), platform, TESTER)
    tries(users, 100, b"tester", "10.0.0.7")
    tries(users, 100, b"nobody", "10.0.0.7")
    assert users.find(b"platform", b"foobar", "10.0.0.7") is not None
    with pytest.raises(LoginBlocked):
        users.find(b"tester", b"foobar", "10.0.0.7")


def doors(time: Time, config: Config) -> Line:
    gateway = Gateway()
    sendsms = SendSms(config, gateway.accept, lambda: WALL, now=time)
    external = External(config, sendsms, gateway.accept, str)
    return Line(make_intake({"/cgi-bin/sendsms": sendsms, "/external": external}, config.http))


@pytest.mark.parametrize("path", ["/cgi-bin/sendsms", "/external"])
def test_t01_the_sixth_failure_is_answered_503_with_retry_after(path: str) -> None:
    time = Time()
    line = doors(time, Config(users=(TESTER,)))
    query = b"username=tester&password=wrong&to=1&from=1&text=x"
    replies = [line.ask(b"GET %b?%b HTTP/1.1\r\n\r\n" % (path.encode(), query)) for _ in range(6)]
    assert [reply.status for reply in replies] == [403] * 5 + [503]
    assert replies[-1].header("Retry-After") == "60"


def test_t01_kannel_has_no_limit() -> None:
    line = doors(Time(), Config(users=(TESTER,), http=HttpConfig(login_failures=0)))
    request = b"GET /cgi-bin/sendsms?username=tester&password=wrong HTTP/1.1\r\n\r\n"
    assert {line.ask(request).status for _ in range(50)} == {403}


def test_t01_an_unknown_name_a_wrong_password_and_a_wrong_address_look_the_same() -> None:
    time = Time()
    far = replace(TESTER, username="far", allow_ip=("10.0.0.1",), deny_ip=("*",))
    line = doors(time, Config(users=(TESTER, far)))
    replies = []
    for name, password in (("tester", "x"), ("nobody", "x"), ("far", "foobar")):
        query = f"username={name}&password={password}&to=1&from=1&text=x"
        reply = line.ask(f"GET /cgi-bin/sendsms?{query} HTTP/1.1\r\n\r\n".encode())
        replies.append((reply.status, reply.headers, reply.body))
    assert replies[0] == replies[1] == replies[2]


def test_t01_an_unknown_name_takes_as_long_as_a_wrong_password() -> None:
    many = [UserConfig(f"user{n}", Secret("p" * (n + 1))) for n in range(64)]
    users = Users(many, only_allowed=True)
    names = {"known": b"user60", "unknown": b"nobody"}
    spent: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(1000):  # in turns, ten at a time, so that the machine's moods hit both
        for which, name in names.items():
            began = perf_counter()
            for _ in range(10):
                users.find(name, b"wrong", "9.9.9.9")
            spent[which].append(perf_counter() - began)
    known, unknown = (median(spent[which]) for which in ("known", "unknown"))
    # 5 % of a request; the look-up itself is a hundredth of that
    assert abs(known - unknown) / 10 < 0.05 * 100e-6
