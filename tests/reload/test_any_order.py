"""Whatever comes and goes, in whatever order: each message goes out once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from gatewayd.config import (
    BindConfig,
    OnUncertain,
    SmscConfig,
    StoreConfig,
)
from gatewayd.model import Verdict
from gatewayd.outcome import APPLIED, UNCHANGED, Outcome
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.store.contract import Queue
from tests.life import Life, Link, Start, smsc, start
from tests.reload.steps import begin

__all__ = ["start"]


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
