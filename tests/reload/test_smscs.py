"""G18: a reload changes the SMSCs that differ, and the others do not notice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gatewayd.config import (
    BindConfig,
    Limits,
    OnUncertain,
    StoreConfig,
)
from gatewayd.config.model import Secret, SmppOptions
from gatewayd.model import Order, Verdict
from gatewayd.outcome import APPLIED, Outcome
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.store.contract import Queue
from tests.life import Link, Start, answer, smsc, start
from tests.reload.steps import begin, line, reload, texts, unbind, up

__all__ = ["start"]


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
