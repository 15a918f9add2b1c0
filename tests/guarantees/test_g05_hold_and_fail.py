"""G5: an SMSC with `hold` or `fail` never gets a submit twice; what is held is decided by hand."""

from __future__ import annotations

import random

import pytest

from gatewayd.config import OnUncertain, Retry
from gatewayd.model import Outcome, Segment
from gatewayd.smsc.contract import SubmitFailed, Submitted, Unanswered
from gatewayd.store.contract import Queue, State
from tests.flow.rig import URL, Rig, config, smsc
from tests.guarantees.conftest import Record
from tests.live.torture import Verdict


def held(rig: Rig) -> list[int]:
    return [row.key for row in rig.disk.rows(Queue.MT, State.HELD)]


def one_held(policy: OnUncertain = OnUncertain.HOLD) -> tuple[Rig, Segment]:
    rig = Rig(config(smsc(on_uncertain=policy, resend=Retry(first=50.0, times=5))))
    rig.send("late", dlr_mask=31, dlr_url=URL)
    rig.turn()
    (segment,) = rig.ports["a/0"].sent
    rig.events("a/0", Unanswered(segment, "timeout"))
    rig.turn()
    return rig, segment


@pytest.mark.parametrize("policy", [OnUncertain.HOLD, OnUncertain.FAIL])
def test_g05_killed_at_random_moments(policy: OnUncertain, record: Record, long: bool) -> None:
    chance, kills = random.Random(5), 1000 if long else 100
    rig = Rig(config(smsc(binds=2, on_uncertain=policy, window=5)))
    sent: list[str] = []
    accepted = 0
    for kill in range(kills):
        for _ in range(chance.randrange(20)):
            told = rig.accept(f"m{kill}.{_}")
            rig.turn(chance.choice([0, 0.001, 0.01]))
            accepted += bool(told)
            for name, port in rig.ports.items():
                if chance.random() < 0.5 and port.waiting:
                    rig.taken(name, chance.choice(port.waiting), "x")
            if chance.random() < 0.05:
                rig.lose("a/0")
                rig.turn(0.01)
                rig.bind("a/0")
        sent += [text for port in rig.ports.values() for text in port.texts]
        rig = rig.again()
    rig.turn(10)
    for name in rig.ports:
        rig.take_all(name)
    sent += [text for port in rig.ports.values() for text in port.texts]
    twice = len(sent) - len(set(sent))
    figure = f"{twice} submitted twice; {len(held(rig))} held"
    name = f"G5 {policy.value}: never submitted again by itself"
    record(Verdict(name, f"{kills} x crash, lost links", accepted, figure, twice == 0))


def test_g05_what_is_held_is_released_or_failed_by_hand() -> None:
    rig, segment = one_held()
    assert held(rig) == [segment.id]
    rig.turn(1000)
    assert len(rig.ports["a/0"].sent) == 1
    rig.mt.release("a", segment)
    rig.turn()
    assert rig.ports["a/0"].texts == ["late", "late"]
    rig, segment = one_held()
    rig.mt.give_up("a", segment)
    assert rig.told() == [16]
    assert rig.kept() == []


@pytest.mark.parametrize("policy", [OnUncertain.HOLD, OnUncertain.RESUBMIT])
def test_g05_a_late_answer_settles_what_is_held_or_waits_to_be_sent_again(
    policy: OnUncertain,
) -> None:
    rig, segment = one_held(policy)
    rig.events("a/0", Submitted(segment, "77", 0.0, late=True))
    assert rig.told() == [8]
    rig.receipt("77")
    assert rig.told() == [8, 1]
    rig.turn(1000)
    assert (len(rig.ports["a/0"].sent), rig.kept(), rig.mt.reconciled) == (1, [], 1)
    assert rig.backlog.waiting == 0


def test_g05_a_late_refusal_settles_what_is_held() -> None:
    rig, segment = one_held()
    rig.events("a/0", SubmitFailed(segment, Outcome.DEAD, "0x0b", 0x0B, late=True))
    assert rig.told() == [16]
    assert rig.kept() == []


@pytest.mark.parametrize("policy", list(OnUncertain))
def test_g05_an_answer_that_is_too_late_changes_nothing(policy: OnUncertain) -> None:
    rig, segment = one_held(policy)
    if policy is OnUncertain.HOLD:
        rig.mt.give_up("a", segment)
    rig.turn(300)
    rig.take_all()
    before = rig.told()
    rig.events("a/0", Submitted(segment, "77", 0.0, late=True))
    assert rig.told() == before
    assert rig.mt.reconciled == 0


def test_g05_a_sibling_that_failed_does_not_set_a_held_part_free() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD, window=5)))
    rig.send("x" * 300, dlr_mask=31, dlr_url=URL)
    rig.turn()
    first, second = rig.ports["a/0"].sent
    rig.events("a/0", Unanswered(first, "timeout"))
    rig.events("a/0", SubmitFailed(second, Outcome.DEAD, "0x0b", 0x0B))
    rig.turn()
    assert held(rig) == [first.id]
    rig = rig.again()
    rig.turn(10)
    assert rig.ports["a/0"].sent == []
