"""G18: a reload changes what differs in a running gateway, and nothing else notices."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import CannotListenError

from gatewayd.config import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    Limits,
    ListenerConfig,
    OnUncertain,
    SmscConfig,
    StoreConfig,
    UserConfig,
)
from gatewayd.config.model import LoggingConfig, NumberRules, Secret, SmppOptions, TlsConfig
from gatewayd.model import Order, Verdict
from gatewayd.outcome import APPLIED, PARTLY, REFUSED, UNCHANGED, Outcome
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.store.contract import Queue
from tests.life import Life, Link, Start, answer, smsc, start

__all__ = ["start"]

HTTP = HttpConfig(sendsms=ListenerConfig(port=13013), admin=ListenerConfig(port=13000))


def reload(
    life: Life, config: Config | None = None, seconds: float = 20.0, **fields: Any
) -> Outcome:
    """Bring the gateway to `config`, or to what it has with other `fields`; time passes."""
    told: list[Outcome] = []
    new = config or replace(life.gateway.config, **fields)
    life.gateway.reload(new).addCallback(told.append)
    for _ in range(int(seconds / 0.5)):
        life.settle()
        if told:
            return told[0]
        life.reactor.advance(0.5)
    raise AssertionError("the reload did not end")


def begin(life: Life, **fields: Any) -> list[Outcome]:
    """A reload that is still under way when this returns; its outcome comes into the list."""
    told: list[Outcome] = []
    life.gateway.reload(replace(life.gateway.config, **fields)).addCallback(told.append)
    life.settle()
    return told


def texts(life: Life, link: Link) -> list[bytes]:
    """What the SMSC gets, taking everything."""
    found: list[bytes] = []
    while submits := life.submits(link):
        found += [submit.short_message for submit in submits]
        answer(life, link, *submits)
        life.settle()
    return found


def unbind(life: Life, link: Link) -> None:
    """The SMSC answers our unbind, and the link is closed."""
    plain = [pdu for pdu in link.pdus() if isinstance(pdu, pdus.Plain)]
    assert [pdu.command for pdu in plain] == [pdus.UNBIND]
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, plain[0].sequence))
    life.settle()


def up(link: Link) -> bool:
    return link.protocol is not None and not link.pdus()


def line(life: Life, start: str) -> float:
    page = life.gateway.metrics.render().decode().splitlines()
    (found,) = [row for row in page if row.startswith(start)]
    return float(found.rpartition(" ")[2])


# ---- nothing, and nothing that can be


def test_the_same_configuration_changes_nothing(start: Start) -> None:
    life = start()
    link = life.link()
    assert reload(life).result == UNCHANGED
    assert up(link)
    assert line(life, 'gatewayd_config_reloads_total{result="unchanged"}') == 1.0
    assert line(life, "gatewayd_config_last_reload_successful") == 1.0


def test_what_only_a_restart_can_change_refuses_all_of_it(start: Start) -> None:
    life = start()
    link = life.link()
    before = life.gateway.config
    outcome = reload(life, store=StoreConfig(path="/elsewhere"), smscs=(smsc(rate=5.0),))
    assert outcome.result == REFUSED
    assert "store path" in outcome.text
    assert "restart" in outcome.text
    assert life.gateway.config is before
    assert life.gateway.lanes["a"].config.rate == 0.0
    assert up(link)
    assert line(life, "gatewayd_config_last_reload_successful") == 0.0
    told = life.gateway.desk.status()["reload"]
    assert (told["result"], told["text"]) == (REFUSED, outcome.text)


# ---- SMSCs


def test_in_place_keys_leave_every_bind_bound(start: Start) -> None:
    life = start(smsc(window=2), smsc("b", denied_prefixes=("5",)))
    link, other = life.link(), life.link()
    for n in range(6):
        life.send(f"m{n}")
    assert len(life.submits(link)) == 2
    new = smsc(window=5, allowed_prefixes=("55",), on_uncertain=OnUncertain.HOLD)
    outcome = reload(life, smscs=(new, smsc("b", denied_prefixes=("5",))))
    assert outcome == Outcome(APPLIED, "SMSC a: window, allowed-prefixes, on-uncertain")
    life.settle()
    assert len(life.submits(link)) == 3, "the window is wider at once"
    assert up(link)
    assert up(other)
    assert life.send("elsewhere", receivers=["7711"]).verdict is Verdict.ACCEPTED
    assert len(life.submits(other)) == 1, "routed by the new prefixes"


def test_another_rate_counts_at_once(start: Start) -> None:
    life = start(smsc(rate=1.0, window=50))
    link = life.link()
    for n in range(20):
        life.send(f"m{n}")
    slow = len(life.submits(link))
    assert slow < 5
    assert reload(life, smscs=(smsc(window=50),)).result == APPLIED
    life.settle()
    assert slow + len(life.submits(link)) == 20


def test_other_credentials_drain_and_bind_that_smsc_alone(start: Start) -> None:
    life = start(smsc(denied_prefixes=("7",)), smsc("b", denied_prefixes=("5",)))
    link, other = life.link(), life.link()
    life.send("under way")
    (submit,) = life.submits(link)
    changed = smsc(denied_prefixes=("7",), smpp=SmppOptions(system_id="new", password=Secret("p")))
    told = begin(life, smscs=(changed, smsc("b", denied_prefixes=("5",))))
    assert told == [], "it waits for the answer that is under way"
    assert life.send("meanwhile").verdict is Verdict.QUEUED
    answer(life, link, submit)
    life.settle()
    unbind(life, link)
    assert told == [Outcome(APPLIED, "SMSC a: smpp system-id, smpp password")]
    fresh = Link()  # type: ignore[no-untyped-call]
    _, _, factory, _, _ = life.reactor.tcpClients[2]
    fresh.protocol = factory.buildProtocol(None)
    fresh.protocol.makeConnection(fresh)
    (bind,) = fresh.pdus()
    assert isinstance(bind, pdus.Bind)
    assert (bind.system_id, bind.password) == (b"new", b"p")
    life.say(fresh, pdus.BindResp(bind.command | pdus.RESPONSE, 0, bind.sequence, b"s"))
    life.settle()
    assert texts(life, fresh) == [b"meanwhile"]
    assert up(other)
    assert life.gateway.mt.uncertain == 0
    assert line(life, 'gatewayd_segments_total{result="accepted",smsc="a"}') == 2.0


def test_an_smsc_that_does_not_answer_is_cut_off_after_the_drain(start: Start) -> None:
    life = start(limits=Limits(drain=3.0))
    link = life.link()
    life.send("m0")
    life.submits(link)
    before = life.reactor.seconds()
    outcome = reload(life, smscs=(smsc(port=2776),))
    assert outcome.result == APPLIED
    assert 3.0 <= life.reactor.seconds() - before < 6.0
    assert life.reactor.tcpClients[1][1] == 2776
    again = life.link()
    life.settle()
    assert texts(life, again) == [b"m0"], "what was uncertain is sent again, as it says"


def test_new_credentials_are_tried_where_the_old_ones_were_refused_for_good(start: Start) -> None:
    life = start(smsc(refused_pause=0.0))
    life.link(status=0x0E)
    assert life.gateway.binds[0].dead
    reload(life, smscs=(smsc(refused_pause=0.0, smpp=SmppOptions(password=Secret("right"))),))
    life.link()
    assert life.gateway.binds[0].bound


def test_an_smsc_stopped_by_hand_stays_stopped(start: Start) -> None:
    life = start(smsc(), smsc("b"))
    link = life.link()
    life.link()
    life.gateway.control.stop_smsc("a")
    unbind(life, link)
    reload(life, smscs=(smsc(port=2776), smsc("b")))
    assert len(life.reactor.tcpClients) == 2
    assert life.gateway.control.start_smsc("a")
    assert life.reactor.tcpClients[2][1] == 2776


def test_an_smsc_that_comes_binds_and_is_routed_to(start: Start) -> None:
    life = start()
    link = life.link()
    assert life.send("x", smsc="b").verdict is Verdict.ACCEPTED
    reload(life, smscs=(smsc(), smsc("b", preferred_prefixes=("55",))))
    other = life.link()
    life.send("to b")
    assert texts(life, other) == [b"to b"]
    assert texts(life, link) == [b"x"]
    assert [entry.name for entry in life.gateway.control.snapshot().binds] == ["a/0", "b/0"]
    assert line(life, 'gatewayd_bind_up{bind="b/0",smsc="b"}') == 1.0


def test_what_waits_for_an_smsc_that_goes_is_given_to_one_that_takes_it(start: Start) -> None:
    life = start(smsc(window=1, preferred_prefixes=("55",)), smsc("b"))
    link, other = life.link(), life.link()
    for n in range(4):
        life.send(f"m{n}")
    (first,) = life.submits(link)
    told = begin(life, smscs=(smsc("b"),))
    answer(life, link, first)
    life.settle()
    unbind(life, link)
    assert told == [Outcome(APPLIED, "SMSC a removed")]
    assert texts(life, other) == [b"m1", b"m2", b"m3"]
    life.settle()
    assert life.rows(Queue.MT) == []
    assert life.gateway.backlog.waiting == 0
    assert [bind.name for bind in life.gateway.binds] == ["b/0"]
    assert "a/0" not in life.gateway.metrics.render().decode()


def test_what_nobody_takes_waits_until_its_smsc_comes_back(start: Start, tmp_path: Path) -> None:
    """Also what is beyond memory, and with the counters where they were."""
    one = smsc(window=1)
    other = smsc("b", denied_prefixes=("5",))
    life = start(one, other, store=StoreConfig(path=str(tmp_path / "s"), memory_items=3))
    link = life.link()
    life.link()
    for n in range(9):
        life.send(f"m{n}")
    (first,) = life.submits(link)
    begin(life, smscs=(other,))
    answer(life, link, first)
    life.settle()
    unbind(life, link)
    assert life.gateway.smscs.waiting_for_nobody() == {"a": 8}
    assert len(life.rows(Queue.MT)) == 8
    assert life.send("more").verdict is Verdict.UNROUTABLE
    life.settle(30.0)
    assert life.gateway.smscs.known["a"].lane.count <= 3, "not all of it comes to memory"
    assert reload(life, smscs=(one, other)).text == "SMSC a added"
    link = life.link()
    life.settle()
    assert texts(life, link) == [f"m{n}".encode() for n in range(1, 9)]
    assert line(life, 'gatewayd_segments_total{result="accepted",smsc="a"}') == 9.0
    life.settle()
    assert life.rows(Queue.MT) == []


def test_what_is_on_disk_only_is_given_away_too(start: Start, tmp_path: Path) -> None:
    store = StoreConfig(path=str(tmp_path / "s"), memory_items=3)
    life = start(smsc(window=1, preferred_prefixes=("55",)), smsc("b"), store=store)
    link, other = life.link(), life.link()
    for n in range(12):
        life.send(f"m{n}")
    (first,) = life.submits(link)
    begin(life, smscs=(smsc("b"),))
    answer(life, link, first)
    life.settle()
    unbind(life, link)
    found: list[bytes] = []
    for _ in range(120):
        found += texts(life, other)
        life.settle(1.0)
    assert sorted(found) == sorted(f"m{n}".encode() for n in range(1, 12))
    assert life.gateway.smscs.waiting_for_nobody() == {}
    assert life.gateway.backlog.waiting == 0


def test_rows_of_an_earlier_life_are_taken_up_when_their_smsc_comes(start: Start) -> None:
    life = start(smsc("old"), smsc("b", denied_prefixes=("5",)))
    for n in range(3):
        life.send(f"m{n}")
    life.kill()
    new = start(smsc("b", denied_prefixes=("5",)), smsc("c", denied_prefixes=("5",)))
    new.link(), new.link()
    others = (smsc("b", denied_prefixes=("5",)), smsc("c", denied_prefixes=("5",)))
    reload(new, smscs=(*others, smsc("old")))
    link = new.link()
    new.settle()
    new.settle()  # each priority is read by itself
    assert texts(new, link) == [b"m0", b"m1", b"m2"]


def test_rows_that_another_lane_adopted_are_not_sent_twice(start: Start) -> None:
    life = start(smsc("old"))
    life.send("once")
    life.kill()
    new = start(smsc("b"))  # takes over what is left of the other
    new.settle()
    reload(new, smscs=(smsc("b"), smsc("old")))
    one, two = new.link(), new.link()
    new.settle()
    assert texts(new, one) + texts(new, two) == [b"once"]


def test_a_message_that_commits_while_its_smsc_goes_is_not_lost(start: Start) -> None:
    life = start(smsc(preferred_prefixes=("55",)), smsc("b"))
    link, other = life.link(), life.link()
    told: list[Any] = []
    order = Order(user="u", source="100", text="between", receivers=["5511"])
    life.gateway.control.accept(order, told.append)  # not on disk yet, meant for a
    outcome: list[Outcome] = []
    life.gateway.reload(replace(life.gateway.config, smscs=(smsc("b"),))).addCallback(
        outcome.append
    )
    life.settle()
    assert [each.verdict for each in told] == [Verdict.ACCEPTED]
    unbind(life, link)
    life.settle(11.0)
    assert texts(life, other) == [b"between"]


def test_fewer_binds_drain_the_one_that_goes_and_keep_its_counts(start: Start) -> None:
    two = (BindConfig("a/0"), BindConfig("a/1"))
    life = start(smsc(binds=two))
    one, other = life.link(), life.link()
    for n in range(4):
        life.send(f"m{n}")
    assert sorted(texts(life, one) + texts(life, other)) == [b"m0", b"m1", b"m2", b"m3"]
    begin(life, smscs=(smsc(binds=two[:1]),))
    unbind(life, other)
    assert up(one)
    assert line(life, 'gatewayd_segments_total{result="accepted",smsc="a"}') == 4.0
    reload(life, smscs=(smsc(binds=two),))
    life.link()
    assert [bind.bound for bind in life.gateway.binds] == [True, True]


def test_a_suspended_gateway_sends_nothing_through_an_smsc_that_comes(start: Start) -> None:
    life = start()
    life.link()
    life.gateway.control.suspend()
    reload(life, smscs=(smsc(), smsc("b")))
    assert life.gateway.lanes["b"].held
    life.gateway.control.resume()
    assert not life.gateway.lanes["b"].held


# ---- users, channels, listeners


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
    intake.answered["", 200] = 7
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


def test_a_certificate_that_cannot_be_used_refuses_the_reload(start: Start) -> None:
    life = start(http=HTTP)
    tls = TlsConfig(enabled=True, certificate_file="/nowhere/cert.pem")
    outcome = reload(life, http=replace(HTTP, sendsms=ListenerConfig(port=13013, tls=tls)))
    assert outcome.result == REFUSED
    assert life.gateway.doors.address_of("sendsms").endswith(":13013")


def test_a_channel_is_called_at_its_new_url_also_for_what_waits(start: Start) -> None:
    life = start()
    calls = _recorded(life)
    link = life.link()
    _deliver(life, link, b"first")
    assert [url for url, _ in calls] == ["http://192.0.2.1/mo"]
    calls[0][1](503)
    reload(life, channels=(ChannelConfig("web", post_url="http://192.0.2.2/mo"),))
    life.settle(5.0)
    assert calls[-1][0] == "http://192.0.2.2/mo"
    assert life.gateway.targets.refusal("http://192.0.2.2/x") == ""
    assert life.gateway.targets.refusal("http://192.0.2.1/x") != ""


def test_what_waits_for_a_channel_that_goes_waits_for_its_return(start: Start) -> None:
    life = start()
    calls = _recorded(life)
    link = life.link()
    _deliver(life, link, b"one", b"two")
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
    _recorded(life)
    _deliver(life, life.link(), b"kept")
    life.kill()
    new = start(channels=())
    calls = _recorded(new)
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


# ---- helpers


def _deliver(life: Life, link: Link, *said: bytes) -> None:
    life.say(
        link,
        *[
            pdus.Sm(pdus.DELIVER_SM, 50 + n, source=b"5511", destination=b"100", short_message=text)
            for n, text in enumerate(said)
        ],
    )
    life.settle()
    assert {pdu.status for pdu in link.pdus() if isinstance(pdu, pdus.SmResp)} == {0}


def _recorded(life: Life) -> list[tuple[str, Callable[[int], None]]]:
    """Calls to platforms, each with a way to answer it."""
    from gatewayd.model import HttpAnswer  # noqa: PLC0415

    calls: list[tuple[str, Callable[[int], None]]] = []

    def send(call: Any, done: Callable[[HttpAnswer], None]) -> None:
        calls.append((call.url, lambda status: done(HttpAnswer(status))))

    for boxes in (life.gateway.calls, life.gateway.reports):
        boxes._send = send
    return calls


# ---- whatever the order


class Town:
    """SMSCs that take every connection and answer everything, sooner or later, as chance says."""

    def __init__(self, life: Life, chance: random.Random) -> None:
        self.life = life
        self._chance = chance
        self._seen = 0  # connections
        self._links: list[Link] = []
        self.texts: list[bytes] = []

    def turn(self, *, all_of_it: bool = False) -> None:
        reactor = self.life.reactor
        attempts = list(zip(reactor.tcpClients, reactor.connectors, strict=True))
        for (_, _, factory, _, _), connector in attempts[self._seen :]:
            if connector.stoppedConnecting:  # it was given up meanwhile
                continue
            link = Link()  # type: ignore[no-untyped-call]
            link.protocol = factory.buildProtocol(None)
            self._links.append(link)
            link.protocol.makeConnection(link)
        self._seen = len(attempts)
        for link in list(self._links):
            if link.protocol is None:
                self._links.remove(link)
            elif all_of_it or self._chance.random() < 0.7:
                self._answer(link)
        self.life.settle()

    def _answer(self, link: Link) -> None:
        for pdu in link.pdus():
            if link.protocol is None:
                return
            if isinstance(pdu, pdus.Bind):
                said: pdus.Pdu = pdus.BindResp(pdu.command | pdus.RESPONSE, 0, pdu.sequence, b"s")
            elif isinstance(pdu, pdus.Sm):
                self.texts.append(pdu.short_message)
                said = pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, pdu.sequence, b"i%d" % len(self.texts))
            elif isinstance(pdu, pdus.Plain) and not pdu.command & pdus.RESPONSE:
                said = pdus.Plain(pdu.command | pdus.RESPONSE, 0, pdu.sequence)
            else:
                continue
            self.life.say(link, said)


def _any_smscs(chance: random.Random) -> tuple[SmscConfig, ...]:
    """Some of three SMSCs, each with keys of all kinds."""
    return tuple(
        smsc(
            name,
            binds=tuple(BindConfig(f"{name}/{n}") for n in range(chance.choice([1, 1, 2]))),
            window=chance.choice([1, 2, 10]),
            rate=chance.choice([0.0, 0.0, 20.0]),
            port=chance.choice([2775, 2775, 2776]),
            on_uncertain=chance.choice([OnUncertain.RESUBMIT, OnUncertain.HOLD]),
            denied_prefixes=chance.choice([(), ("5",)]),
        )
        for name in "abc"
        if chance.random() < 0.7
    )


@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_and_goes_each_message_goes_out_once(
    start: Start, tmp_path: Path, seed: int
) -> None:
    """With little memory, so that much of what waits is on disk only."""
    chance = random.Random(seed)
    every = (smsc("a"), smsc("b"), smsc("c"))
    store = StoreConfig(path=str(tmp_path / "store.sqlite3"), memory_items=3)
    life = start(*every, store=store)
    town = Town(life, chance)
    accepted: list[bytes] = []
    under_way: list[list[Outcome]] = []
    for step in range(40):
        for n in range(chance.randrange(6)):
            text = f"{step}.{n}"
            receiver = chance.choice(["5511", "7711"])
            verdict = life.send(text, receivers=[receiver]).verdict
            if verdict in (Verdict.ACCEPTED, Verdict.QUEUED):
                accepted.append(text.encode())
        town.turn()
        if all(under_way) and chance.random() < 0.5:  # one at a time, as `Reloads` sees to it
            under_way.append(begin(life, smscs=_any_smscs(chance)))
    for _ in range(100):
        if all(under_way):
            break
        town.turn(all_of_it=True)
        life.reactor.advance(0.5)
    assert {told[0].result for told in under_way} <= {APPLIED, UNCHANGED}
    last = begin(life, smscs=every)
    for _ in range(400):
        town.turn(all_of_it=True)
        life.reactor.advance(0.5)
        if last and not life.gateway.backlog.waiting and not life.rows(Queue.MT):
            break
    assert life.gateway.mt.held == 0
    assert sorted(town.texts) == sorted(accepted)
    assert len(accepted) > 50
    assert life.gateway.backlog.waiting == 0
