"""G25: a message of five parts, and the process is killed in its middle."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

import pytest

from tests.guarantees.caller import Caller, with_binds
from tests.guarantees.conftest import Record
from tests.guarantees.smsc import Smsc, Submit
from tests.live.harness import Rig, drain, until
from tests.live.torture import Verdict, claimed
from tests.live.yaml_conf import yaml_conf

pytestmark = [pytest.mark.live, pytest.mark.waits]

PARTS, WINDOW, AT_ONCE = 5, 7, 4
Part = tuple[str, int]  # the receiver, who gets one message, and which part of it


def part_of(submit: Submit) -> Part:
    return submit.sm.destination.decode(), submit.text[5]


def test_g25_killed_in_the_middle_of_five_parts(rig: Rig, record: Record, long: bool) -> None:
    kills = 40 if long else 2
    chance = random.Random(25)
    gateway = rig.gateway(yaml_conf(rig, smscs={"live": {"window": WINDOW}}), suffix=".yaml")
    store = gateway.state / "gatewayd.sqlite3"
    certain_again = uncertain_again = accepted = 0
    with Smsc(rig.smsc_port) as smsc:
        answers = 0  # how many submits are answered before the kill

        def some(submit: Submit) -> None:
            nonlocal answers
            if answers > 0:
                answers -= 1
                smsc.later(0.005, lambda: smsc.take(submit))

        smsc.on_submit = some
        gateway.start()
        receivers: list[str] = []
        for _ in range(kills):
            with_binds(gateway, smsc, 1)
            begun = len(smsc.submits)
            answers = chance.randrange(PARTS * (AT_ONCE - 1))
            wanted = begun + min(answers + WINDOW, PARTS * AT_ONCE)
            caller = Caller(rig)
            for _ in range(AT_ONCE):
                receivers.append(f"25884{len(receivers):07}")
                accepted += caller.send("abcde" * 150, receivers[-1])
            drain(lambda: len(smsc.submits), wanted, stall=3)
            gateway.kill()
            until(lambda: not smsc.bound, 10)
            before = {part_of(submit) for submit in smsc.submits[begun:]}
            perhaps = {(segment.destination, segment.index + 1) for segment in claimed(store)}
            answers, middle = 10**6, len(smsc.submits)
            gateway.start()
            with_binds(gateway, smsc, 1)
            everything = {(to, part) for to in receivers for part in range(1, PARTS + 1)}
            drain(
                lambda: len({part_of(s) for s in smsc.submits}),
                len(everything),
                stall=5,
            )
            drain(lambda: len(smsc.submits), middle + len(perhaps), stall=2)
            again = {part_of(submit) for submit in smsc.submits[middle:]} & before
            certain_again += len(again - perhaps)
            uncertain_again += len(again & perhaps)
        seen = Counter(part_of(submit) for submit in smsc.submits)
        references = defaultdict(set)
        for submit in smsc.submits:
            references[submit.sm.destination].add(submit.text[3])
    assert gateway.stop() == 0
    missing = sum(any((to, part) not in seen for part in range(1, PARTS + 1)) for to in receivers)
    mixed = sum(len(found) > 1 for found in references.values())
    figure = (
        f"{missing} with parts missing, {certain_again} certain parts again, {mixed} references"
    )
    figure += " mixed"
    fault = f"{kills} x kill -9 in the middle ({uncertain_again} uncertain parts again)"
    holds = not (missing or certain_again or mixed) and accepted == len(receivers)
    record(Verdict("G25 a long message holds together", fault, accepted, figure, holds))
