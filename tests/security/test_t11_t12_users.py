"""T11 and T12: nobody sends more, through more, or as more than the configuration gives a user."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewayd.config.model import Config, HttpConfig, NumberRules, UserConfig
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError
from gatewayd.flow.quota import Quotas
from gatewayd.model import Segment
from gatewayd.net.connect import BACKLOG
from gatewayd.web.external import External
from gatewayd.web.request import Handler
from gatewayd.web.sendsms import SendSms
from tests.web.http_bench import TESTER, WALL, Gateway, Line, Reply, make_intake

ASK = "username=tester&password=foobar&text=x"


class Time:
    def __init__(self, now: float = WALL) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Door:
    def __init__(self, time: Time | None = None, **user: Any) -> None:
        self.time = time or Time()
        config = Config(users=(replace(TESTER, **user),))
        self.gateway = Gateway()
        sendsms = SendSms(config, self.gateway.accept, self.time, now=self.time)
        external = External(config, sendsms, self.gateway.accept, str)
        routes: dict[str, Handler] = {"/cgi-bin/sendsms": sendsms, "/external": external}
        self.line = Line(make_intake(routes))

    def get(self, also: str = "&from=8000&to=1", path: str = "/cgi-bin/sendsms") -> Reply:
        return self.line.ask(f"GET {path}?{ASK}{also} HTTP/1.1\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/cgi-bin/sendsms", "/external"])
def test_t11_a_users_rate_is_kept_and_told(path: str) -> None:
    door = Door(rate=5.0)
    taken = [door.get(path=path).status < 300 for _ in range(20)]
    assert taken == [True] * 5 + [False] * 15
    late = door.get(path=path)
    assert (late.status, late.header("Retry-After")) == (503, "1")
    door.time.now += 1.0
    assert [door.get(path=path).status < 300 for _ in range(6)] == [True] * 5 + [False]


def test_t11_many_receivers_count_each() -> None:
    door = Door(rate=2.0)
    assert door.get("&from=1&to=1+2+3+4+5+6").status == 202
    door.time.now += 1.0
    assert door.get().status == 503
    door.time.now += 2.0
    assert door.get().status == 202


def test_t12_the_cap_of_a_day_ends_with_it() -> None:
    door = Door(Time(86400.0 * 20000 + 86400 - 100), daily_cap=3)
    assert [door.get().status for _ in range(4)] == [202, 202, 202, 503]
    assert door.get().header("Retry-After") == "100"
    assert door.get("&from=1&to=1+2+3+4").status == 503
    door.time.now += 100
    assert door.get().status == 202


def test_t11_another_user_is_not_slowed_down() -> None:
    config = Config(users=(replace(TESTER, rate=1.0), replace(TESTER, username="b")))
    gateway, time = Gateway(), Time()
    sendsms = SendSms(config, gateway.accept, time, now=time)
    line = Line(make_intake({"/cgi-bin/sendsms": sendsms}))
    rest = "password=foobar&text=x&from=1&to=1 HTTP/1.1\r\n\r\n"
    status = [
        line.ask(f"GET /cgi-bin/sendsms?username={name}&{rest}".encode()).status
        for name in ("tester", "tester", "b", "b", "b")
    ]
    assert status == [202, 503, 202, 202, 202]


@pytest.mark.parametrize(
    ("user", "also", "status"),
    [
        ({"allowed_smscs": ("op",)}, "&smsc=op", 202),
        ({"allowed_smscs": ("op",)}, "&smsc=other", 403),
        ({"allowed_smscs": ("op",)}, "&smsc=", 403),
        ({"allowed_smscs": ("op",)}, "", 403),
        ({"allowed_smscs": ("op",), "default_smsc": "op"}, "", 202),
        ({"allowed_smscs": ()}, "", 403),
        ({"forced_smsc": "op"}, "&smsc=other", 202),
        ({"allowed_senders": ("8000", "INFO*")}, "&from=8000", 202),
        ({"allowed_senders": ("8000", "INFO*")}, "&from=INFO1", 202),
        ({"allowed_senders": ("8000", "INFO*")}, "&from=80001", 403),
        ({"allowed_senders": ("8000", "INFO*")}, "&from=info", 403),
        ({"allowed_senders": ("8000",), "faked_sender": "8000"}, "&from=1", 202),
    ],
)
def test_t12_smscs_and_senders_of_a_user(user: dict[str, Any], also: str, status: int) -> None:
    sender = "" if "from=" in also else "&from=8000"
    assert Door(**user).get(f"&to=1{sender}{also}").status == status


def test_t12_prefixes_of_a_user() -> None:
    rules = NumberRules(allowed_prefixes=("258",), denied_prefixes=("2589",))
    door = Door(numbers=replace(rules, denied_prefixes=()))
    assert door.get("&from=1&to=25884").status == 202
    assert door.get("&from=1&to=19005551234").status == 400


def test_t12_a_tag_that_no_smsc_has_is_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "smscs: [{id: op, host: h, system-id: s, password: p}]\n"
        "users: [{username: u, password: p, allowed-smscs: [po]}]\n"
    )
    with pytest.raises(ConfigError, match=r"allowed-smscs\[0\]: no SMSC is called po"):
        read_yaml(str(path), {})


def segment(number: int, user: str) -> Segment:
    return Segment(number, "1", "2", b"", user=user)


def test_t11_what_waits_of_a_user_is_bounded() -> None:
    quotas = Quotas([replace(TESTER, max_queued=2), UserConfig("b", TESTER.password)])
    quotas.take([segment(1, "tester"), segment(2, "tester"), segment(3, "b")])
    assert quotas.full("tester")
    assert not quotas.full("b")
    quotas.give(segment(2, "tester"))
    quotas.give(segment(2, "tester"))
    assert not quotas.full("tester")


def test_t11_the_listener_has_its_limits_by_default() -> None:
    http = HttpConfig()
    assert (http.max_connections, http.max_connections_per_address) == (1000, 100)
    assert (http.max_body, http.max_fields, http.max_line) == (65536, 100, 131072)
    assert (http.max_header, http.request_timeout, BACKLOG) == (16384, 10.0, 1024)


def test_t11_one_address_gets_so_many_connections() -> None:
    intake = make_intake({}, HttpConfig(max_connections_per_address=3))
    assert [Line(intake).refused for _ in range(5)] == [False] * 3 + [True] * 2
    assert not Line(intake, "10.0.0.1").refused
