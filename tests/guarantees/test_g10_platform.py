"""G10, G24: a platform that fails in every way still hears everything, in order."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from gatewayd.config import ChannelConfig, Retry
from gatewayd.model import HttpAnswer
from tests.flow.rig import Rig, config
from tests.guarantees.conftest import Record
from tests.live.torture import Verdict

TROUBLE = [
    HttpAnswer(500),
    HttpAnswer(503),
    HttpAnswer(429),
    HttpAnswer(0, error="timed out"),
    HttpAnswer(0, error="connection refused"),
    HttpAnswer(0, error="the connection was closed half way"),
]


def rig_with(retry: Retry) -> Rig:
    channel = ChannelConfig("web", post_url="http://platform.example/mo", retry=retry)
    return Rig(config(channels=(channel,), reports=replace(channel, name="")))


@pytest.mark.parametrize("kind", ["MO", "reports"])
def test_g10_g24_an_hour_of_outage(kind: str, record: Record, long: bool) -> None:
    """One hour on the virtual clock: 500, time-outs, refusals; crashes in between."""
    chance = random.Random(10)
    total = 2000 if long else 200
    rig = rig_with(Retry(first=1.0, factor=2.0, cap=300.0, jitter=0.2, horizon=86400.0))
    done: list[str] = []
    bodies: dict[str, int] = {}

    def answer_all(good: bool) -> None:
        while rig.web.open:
            call, told = rig.web.open.pop(0)
            name = call.url if kind == "reports" else call.body.decode()
            bodies[name] = bodies.get(name, 0) + 1
            if good:
                done.append(name)
                told(HttpAnswer(200))
            else:
                told(chance.choice(TROUBLE))
            rig.turn(0.01, 1)

    for n in range(total):
        if kind == "MO":
            rig.deliver(source=f"+{n % 10}", payload=b"m%05d" % n)
        else:
            rig.send(to=str(n), dlr_mask=8, dlr_url=f"http://platform.example/dlr?n={n}&s=%d")
            rig.take_all()
        if n % 20 == 0:
            rig.turn(1.0)
            answer_all(good=False)
    clock = rig.clock.seconds()
    while rig.clock.seconds() < clock + 3600:
        rig.turn(10.0, 2)
        answer_all(good=False)
        if chance.random() < 0.01:
            rig = rig.again()
    attempts = sum(bodies.values())
    for _ in range(3000):
        rig.turn(10.0, 2)
        answer_all(good=True)
        if not rig.disk.rows():
            break
    left = len(rig.disk.rows())
    lost = total - len(set(done))
    twice = len(done) - len(set(done))
    name = f"{'G10' if kind == 'MO' else 'G24'} {kind} reach a platform that failed for an hour"
    fault = "500, 503, 429, time-out, refused, closed half way; crashes"
    figure = f"{lost} lost, {twice} taken twice, {attempts:,} attempts in the hour"
    holds = not lost and not left and attempts < 60 * total
    record(Verdict(name, fault, total, figure, holds))


def test_g10_mo_of_one_sender_stay_in_order_while_the_platform_fails() -> None:
    chance = random.Random(3)
    rig = rig_with(Retry(first=1.0, cap=5.0, jitter=0.2))
    done: list[bytes] = []
    for n in range(60):
        rig.deliver(source="+1", payload=b"%03d" % n)
    for _ in range(1000):
        rig.turn(1.0)
        while rig.web.open:
            call, told = rig.web.open.pop(0)
            good = chance.random() < 0.5
            if good:
                done.append(call.body)
            told(HttpAnswer(200) if good else chance.choice(TROUBLE))
    assert len(done) == 60
    assert done == sorted(done)


def test_g10_each_attempt_carries_the_same_id() -> None:
    rig = rig_with(Retry(first=1.0, cap=5.0))
    rig.deliver()
    seen: list[Any] = []
    for _ in range(5):
        rig.turn(10.0)
        if rig.web.open:
            call, told = rig.web.open.pop(0)
            seen.append((call.url, call.headers, call.body))
            told(HttpAnswer(500))
    assert len(seen) > 2
    assert len({repr(call) for call in seen}) == 1


def test_g10_the_pauses_grow_from_a_second_to_five_minutes(record: Record) -> None:
    chance = random.Random(10)
    retry = Retry(first=1.0, factor=2.0, cap=300.0, jitter=0.2, horizon=86400.0)
    channel = ChannelConfig("web", post_url="http://platform.example/mo", retry=retry)
    rig = Rig(config(channels=(channel,)), chance=chance.random)
    rig.deliver()
    times: list[float] = []
    step = 0.1
    while rig.clock.seconds() < 7200:
        rig.turn(step, 1)
        while rig.web.open:
            times.append(rig.clock.seconds())
            rig.web.answer(500)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    last = pauses[-10:]
    figure = f"{len(times)} attempts; pauses {pauses[0]:.1f}, {pauses[1]:.1f}, {pauses[2]:.1f} ..."
    figure += f" {min(last):.0f} to {max(last):.0f} s"
    holds = 0.8 <= pauses[0] <= 1.2 + 2 * step and 240 <= min(last) < max(last) <= 360 + 2 * step
    record(Verdict("G10 retries back off", "500 for two hours", len(times), figure, holds))
