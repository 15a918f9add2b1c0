"""What a message leaves behind is freed at once: a cycle in each would keep the collector busy."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from tests.flow.rig import URL, Rig, config

ROUNDS = 50


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def submit(rig: Rig, number: int) -> None:
    rig.send()
    rig.take_all()
    rig.turn()


def submit_and_report(rig: Rig, number: int) -> None:
    rig.send(dlr_mask=31, dlr_url=URL)
    rig.take_all()
    rig.turn()
    rig.receipt(f"id{number}")
    answer_all(rig)
    assert len(rig.told()) == 2 * (number + 1)


def deliver(rig: Rig, number: int) -> None:
    rig.deliver(payload=b"hello %d" % number)
    answer_all(rig)


def answer_all(rig: Rig) -> None:
    rig.turn()
    while rig.web.open:
        rig.web.answer()
        rig.turn()


@pytest.mark.parametrize("act", [submit, submit_and_report, deliver])
@pytest.mark.usefixtures("uncollected")
def test_a_message_leaves_no_cycle(act: Callable[[Rig, int], None]) -> None:
    rig = Rig(config())
    act(rig, 0)
    gc.collect()
    for number in range(1, ROUNDS + 1):
        act(rig, number)
    assert gc.collect() < ROUNDS
