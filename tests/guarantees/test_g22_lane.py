"""G22, G23, G25, G26, G27: what a lane keeps to: rate, validity, parts, order, clocks."""

from __future__ import annotations

import random
from bisect import bisect_left
from itertools import pairwise

import pytest

from gatewayd.model import Outcome
from gatewayd.smsc.contract import SubmitFailed
from tests.flow.rig import EPOCH, URL, Rig, config, smsc
from tests.guarantees.conftest import Record
from tests.live.torture import Verdict


@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_g22_the_rate_of_the_smsc_is_kept(full: bool, record: Record) -> None:
    rig = Rig(config(smsc(binds=2, window=1000, rate=50.0)))
    chance = random.Random(22)
    failed = 0
    for n in range(6000):
        if (full and n == 0) or not full:
            for m in range(4000 if full else n % 2):
                rig.accept(f"m{n}.{m}", to=str(m))
        rig.turn(0.01, 1)
        for name, port in rig.ports.items():
            for segment in list(port.waiting):
                if chance.random() < 0.02:
                    rig.events(name, SubmitFailed(segment, Outcome.THROTTLED, "", 0x58))
                else:
                    rig.taken(name, segment, "x")
    times = sorted(time for port in rig.ports.values() for time in port.times)
    most = [
        max(bisect_left(times, start + span - 1e-6) - at for at, start in enumerate(times))
        for span in (1.0, 10.0)
    ]
    failed = rig.mt.failed
    name = "G22 submits in any 1 s and 10 s, 50 a second allowed"
    fault = f"60 s from a{' full' if full else 'n empty'} queue, 2 % throttled"
    figure = f"{most[0]} and {most[1]}; {failed} failed"
    holds = most[0] <= 52.5 and most[1] <= 505 and not failed
    record(Verdict(name, fault, len(times), figure, holds))


def test_g23_what_expires_while_the_link_is_down_is_not_sent(record: Record) -> None:
    total = 1000
    rig = Rig(config(smsc(window=100)))
    rig.ports["a/0"].bound = False
    chance = random.Random(23)
    expiring = 0
    for n in range(total):
        minutes = chance.choice([0, 1, 5, 600])
        expiring += minutes in (1, 5)
        validity = rig.wall() + minutes * 60 if minutes else 0.0
        rig.accept(f"m{n}", to=str(n), validity=validity, dlr_mask=16, dlr_url=URL)
    rig.turn(600)
    rig = rig.again()
    rig.take_all()
    for _ in range(20):
        rig.turn()
        rig.take_all()
    late = sum(0 < s.validity < EPOCH + 600 for s in rig.ports["a/0"].sent)
    reports = rig.told().count(16)
    sent = len(rig.ports["a/0"].sent)
    figure = f"{late} sent after their end, {reports} reports of {expiring}"
    holds = not late and reports == expiring and sent == total - expiring
    record(Verdict("G23 validity", "10 min without link, crash", total, figure, holds))


def test_g25_a_long_message_holds_together_through_crashes(record: Record, long: bool) -> None:
    total = 300 if long else 60
    chance = random.Random(25)
    missing = again = mixed = repeated = 0
    for _ in range(total):
        rig = Rig(config(smsc(window=chance.randrange(1, 7))))
        rig.accept("abcde" * 150, dlr_mask=31, dlr_url=URL)  # five parts
        rig.turn(chance.choice([0, 0.001, 0.05]))
        taken: set[int] = set()
        sent = []
        while chance.random() < 0.8 and rig.ports["a/0"].waiting:
            segment = rig.ports["a/0"].waiting[0]
            rig.taken("a/0", segment, f"id{segment.index}")
            rig.turn()
            taken.add(segment.index)
        sent += rig.ports["a/0"].sent
        under_way = {segment.index for segment in rig.ports["a/0"].waiting}
        rig = rig.again()
        for _ in range(8):
            rig.take_all()
            rig.turn()
        second = [segment.index for segment in rig.ports["a/0"].sent]
        sent += rig.ports["a/0"].sent
        missing += {segment.index for segment in sent} != set(range(5))
        repeated += bool(taken & set(second))
        again += len(set(second) & under_way)
        mixed += len({segment.udh[3] for segment in sent}) != 1
    figure = (
        f"{missing} with parts missing, {repeated} answered parts again, {mixed} references mixed"
    )
    fault = f"crash in the middle of five parts ({again} uncertain parts again)"
    holds = not (missing or repeated or mixed)
    record(Verdict("G25 a long message holds together", fault, total, figure, holds))


def test_g26_order_is_kept_without_faults(record: Record, long: bool) -> None:
    total = 10_000 if long else 2000
    rig = Rig(config(smsc(window=20)))
    chance = random.Random(26)
    for n in range(total):
        rig.accept(f"{n:06}", to=str(n % 7))
        if chance.random() < 0.1:
            rig.turn(0.005)
        port = rig.ports["a/0"]
        while port.waiting and chance.random() < 0.6:
            rig.taken("a/0", port.waiting[0], "x")
    for _ in range(total):
        rig.turn(0.01, 1)
        rig.take_all()
        if not rig.backlog.waiting:
            break
    texts = rig.ports["a/0"].texts
    inversions = sum(a > b for a, b in pairwise(texts))
    figure = f"{inversions} inversions"
    holds = not inversions and len(texts) == total
    record(Verdict("G26 order per sender and receiver", "none, 1 bind", total, figure, holds))


class Jumping(Rig):
    """Its wall clock goes by jumps; the monotonic one does not."""

    jump = 0.0

    def wall(self) -> float:
        return super().wall() + Jumping.jump


@pytest.mark.parametrize("jump", [86400.0, -86400.0, 3600.0, -3600.0])
def test_g27_clock_jumps(jump: float, record: Record) -> None:
    Jumping.jump = 0.0
    try:
        rig = Jumping(config(smsc(window=5)))
        for n in range(20):
            rig.accept(f"m{n}", to=str(n))
        rig.turn()
        for segment in list(rig.ports["a/0"].waiting):
            rig.events("a/0", SubmitFailed(segment, Outcome.RETRY, "", 0x08))
        rig.deliver()
        rig.turn(0.1)
        rig.web.answer(500)
        before, posts = len(rig.ports["a/0"].sent), len(rig.web.calls)
        Jumping.jump = jump
        rig.turn(0.3, 10)
        storm = len(rig.web.calls) - posts
        early = len(rig.ports["a/0"].sent) - before
        texts = rig.ports["a/0"].texts
        for n in range(20, 30):
            rig.accept(f"m{n}", to=str(n))
        for _ in range(100):
            rig.turn(1.0)
            rig.take_all()
            while rig.web.open:
                rig.web.answer()
        texts = rig.ports["a/0"].texts
        missing = 30 - len(set(texts))
        figure = f"{storm} posts and {early} submits too early, {missing} missing"
        holds = not (storm or early or missing) and rig.kept() == []
        fault = f"wall clock {jump / 3600:+.0f} h"
        record(Verdict("G27 clock jumps", fault, 30, figure, holds))
    finally:
        Jumping.jump = 0.0
