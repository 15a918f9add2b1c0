"""G18: users, channels and logs take a reload over, and what waits goes on by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import CannotListenError

from gatewayd.config import (
    ChannelConfig,
    HttpConfig,
    Limits,
    ListenerConfig,
    UserConfig,
)
from gatewayd.config.model import LoggingConfig, NumberRules, Secret, TlsConfig
from gatewayd.net import tls_later
from gatewayd.outcome import APPLIED, PARTLY, REFUSED
from gatewayd.store.contract import Queue
from tests.life import Start, answer, smsc, start
from tests.reload.steps import begin, deliver, line, recorded, reload, up

__all__ = ["start"]

HTTP = HttpConfig(sendsms=ListenerConfig(port=13013), admin=ListenerConfig(port=13000))


def test_users_and_limits_are_swapped_and_their_counts_go_on(start: Start) -> None:
    user = UserConfig("u", Secret("p"), rate=1.0, daily_cap=10)
    life = start(http=HTTP, users=(user,))
    sendsms = life.gateway.sendsms
    assert sendsms is not None
    sendsms.allowances["u"].wait(4)
    sendsms.users.failed = 3
    ports = list(life.gateway.listeners)
    outcome = reload(
        life,
        users=(replace(user, daily_cap=6), UserConfig("v", Secret("q"))),
        limits=Limits(receivers=3),
    )
    assert outcome.text == "user v added; user u: daily-cap; limits: receivers"
    now = life.gateway.sendsms
    assert now is not None
    assert life.gateway.intakes["sendsms"].routes["/cgi-bin/sendsms"] is now
    assert now.users.find(b"v", b"q", "192.0.2.1") is not None
    assert (now.users.failed, now.allowances["u"].taken) == (3, 4)
    assert now.allowances["u"].wait(3) > 0, "the day's count goes on"
    assert life.gateway.listeners == ports


def test_a_list_that_cannot_be_read_refuses_the_reload(start: Start) -> None:
    life = start(http=HTTP)
    rules = NumberRules(white_list="/nowhere/list")
    outcome = reload(life, users=(UserConfig("u", Secret("p"), numbers=rules),))
    assert outcome.result == REFUSED
    assert "/nowhere/list" in outcome.text
    assert life.gateway.config.users == ()


def test_a_listener_moves_without_a_gap(start: Start) -> None:
    life = start(http=HTTP)
    intake = life.gateway.intakes["sendsms"]
    intake.counts.answered["", 200] = 7
    opened: list[int] = []
    closed: list[tuple[int, int]] = []
    (old,) = [port for name, port in life.gateway.listeners if name == "sendsms"]
    old.stopListening = lambda: closed.append((13013, len(life.reactor.tcpServers)))  # type: ignore[method-assign]
    outcome = reload(life, http=replace(HTTP, sendsms=ListenerConfig(port=14014)))
    opened += [port for port, _, _, _ in life.reactor.tcpServers]
    assert outcome.result == APPLIED
    assert opened == [13000, 13013, 14014]
    assert closed == [(13013, 3)], "the old one closes after the new one is open"
    assert life.gateway.doors.address_of("sendsms").endswith(":14014")
    assert life.gateway.intakes["sendsms"] is not intake
    assert line(life, 'gatewayd_http_requests_total{code="200",listener="sendsms"}') == 7.0


def test_a_port_that_is_taken_refuses_the_reload_whole(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = start(http=HTTP)
    link = life.link()

    def taken(port: int, *_: Any) -> Any:
        raise CannotListenError("127.0.0.1", port, OSError("taken"))

    monkeypatch.setattr(life.reactor, "listenTCP", taken)
    outcome = reload(
        life,
        http=replace(HTTP, admin=ListenerConfig(port=14000)),
        smscs=(smsc(rate=9.0),),
    )
    assert outcome.result == REFUSED
    assert "127.0.0.1:14000" in outcome.text
    assert life.gateway.lanes["a"].config.rate == 0.0
    assert [name for name, _ in life.gateway.listeners] == ["admin", "sendsms"]
    assert up(link)


def test_another_interface_on_the_same_port_closes_first_and_comes_back_if_it_must(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = start(http=HTTP)
    listen = life.reactor.listenTCP

    def picky(port: int, factory: Any, backlog: int, interface: str) -> Any:
        if interface == "192.0.2.9":
            raise CannotListenError(interface, port, OSError("no such address"))
        return listen(port, factory, backlog, interface)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(life.reactor, "listenTCP", picky)
    moved = replace(HTTP, sendsms=ListenerConfig("192.0.2.9", 13013))
    outcome = reload(life, http=moved, limits=Limits(receivers=3))
    assert outcome.result == PARTLY
    assert "sendsms cannot listen as configured" in outcome.text
    assert "limits: receivers" in outcome.text
    assert life.gateway.doors.address_of("sendsms").endswith(":13013")


def test_a_listener_that_cannot_come_back_is_named(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = start(http=HTTP)

    def taken(port: int, *_: Any) -> Any:
        raise CannotListenError("127.0.0.1", port, OSError("taken"))

    monkeypatch.setattr(life.reactor, "listenTCP", taken)
    moved = replace(HTTP, sendsms=ListenerConfig("192.0.2.9", 13013))
    outcome = reload(life, http=moved)
    assert outcome.result == PARTLY
    assert "and is closed" in outcome.text
    assert life.gateway.doors.address_of("sendsms") == "off"
    monkeypatch.undo()
    outcome = reload(life, http=moved)
    assert outcome.text == "http: sendsms", "it is a difference still, so it is tried again"
    assert life.gateway.doors.address_of("sendsms").endswith(":13013")


def test_tls_is_loaded_before_a_channel_that_is_https_comes(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[bool] = []
    monkeypatch.setattr(tls_later, "_loaded", loaded)
    life = start()
    assert not loaded
    reload(life, channels=(ChannelConfig("web", post_url="https://192.0.2.1/mo"),))
    assert loaded


def test_a_certificate_that_cannot_be_used_refuses_the_reload(start: Start) -> None:
    life = start(http=HTTP)
    tls = TlsConfig(enabled=True, certificate_file="/nowhere/cert.pem")
    outcome = reload(life, http=replace(HTTP, sendsms=ListenerConfig(port=13013, tls=tls)))
    assert outcome.result == REFUSED
    assert life.gateway.doors.address_of("sendsms").endswith(":13013")


def test_a_channel_is_called_at_its_new_url_also_for_what_waits(start: Start) -> None:
    life = start()
    calls = recorded(life)
    link = life.link()
    deliver(life, link, b"first")
    assert [url for url, _ in calls] == ["http://192.0.2.1/mo"]
    calls[0][1](503)
    reload(life, channels=(ChannelConfig("web", post_url="http://192.0.2.2/mo"),))
    life.settle(5.0)
    assert calls[-1][0] == "http://192.0.2.2/mo"
    assert life.gateway.targets.refusal("http://192.0.2.2/x") == ""
    assert life.gateway.targets.refusal("http://192.0.2.1/x") != ""


def test_what_waits_for_a_channel_that_goes_waits_for_its_return(start: Start) -> None:
    life = start()
    calls = recorded(life)
    link = life.link()
    deliver(life, link, b"one", b"two")
    web = life.gateway.config.channels[0]
    reload(life, channels=())
    calls[0][1](503)  # the answer to a call that was under way then
    life.settle(60.0)
    assert len(calls) == 1
    assert life.gateway.calls.waiting_for_nobody() == {"web": 2}
    assert len(life.rows(Queue.MO)) == 2
    reload(life, channels=(web,))
    life.settle(5.0)
    for _, done in list(calls[1:]):
        done(200)
    life.settle(5.0)
    calls[-1][1](200)
    life.settle()
    assert life.rows(Queue.MO) == []


def test_rows_of_an_earlier_life_are_taken_up_when_their_channel_comes(start: Start) -> None:
    life = start()
    recorded(life)
    deliver(life, life.link(), b"kept")
    life.kill()
    new = start(channels=())
    calls = recorded(new)
    new.link()
    new.settle()
    assert calls == []
    reload(new, channels=(ChannelConfig("web", post_url="http://192.0.2.1/mo"),))
    new.settle()
    assert [url for url, _ in calls] == ["http://192.0.2.1/mo"]


def test_access_logs_begin_move_and_end(start: Start, tmp_path: Path) -> None:
    life = start()
    link = life.link()
    one, two = tmp_path / "one.log", tmp_path / "two.log"
    for number, file in enumerate((str(one), str(two), "")):
        assert reload(life, logging=LoggingConfig(access_log=file)).result == APPLIED
        life.send(f"m{number}")
        answer(life, link, *life.submits(link))
        life.settle()
    assert one.read_text().count("Sent SMS") == 1
    assert two.read_text().count("Sent SMS") == 1
    assert reload(life, logging=LoggingConfig(access_log="/nowhere/log")).result == REFUSED


def test_a_stop_in_the_middle_of_a_reload_is_a_stop(start: Start) -> None:
    life = start(limits=Limits(drain=1.0))
    link = life.link()
    life.send("m0")
    life.submits(link)
    told = begin(life, smscs=(smsc(port=2776),))
    assert told == []
    assert life.stop() == [None]
    life.reactor.advance(600)
    assert life.reactor.getDelayedCalls() == []
