"""Calls that wait for their next attempt can be brought forward by hand."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from gatewayd.config import Retry
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff
from gatewayd.flow.outbox import Budget, Done, Outbox
from gatewayd.model import HttpAnswer, Mo


class Bench:
    """An outbox whose platform answers `status`, and that tries again after a minute."""

    def __init__(self, probing: bool) -> None:
        self.clock = Clock()
        self.status = 503
        self.called: list[int] = []
        lane: Lane[Mo] = Lane("a", lambda body: Mo(0, "", "", "", b""), lambda *_: None)
        self.box = Outbox(
            lane,
            call=self._call,
            settle=lambda mo, answer: None if answer.status == 200 else 60.0,
            clock=self.clock,
            budget=Budget(10),
            parallel=5,
            probing=Backoff(Retry(first=60.0), lambda: 0.5) if probing else None,
        )

    def _call(self, mo: Mo, done: Done) -> None:
        self.called.append(mo.id)
        done(HttpAnswer(self.status))

    def push(self, *ids: int) -> None:
        for number in ids:
            self.box.push(Mo(number, "s", "1", "2", b""))
        self.box.pump()


def test_items_that_wait_for_their_next_attempt_are_called_at_once_in_order() -> None:
    bench = Bench(probing=False)
    bench.push(2, 1)
    bench.called.clear()
    bench.status = 200
    assert bench.box.retry() == 2
    assert (bench.called, len(bench.box)) == ([1, 2], 0)
    assert bench.box.retry() == 0


@pytest.mark.parametrize(("status", "called"), [(200, [1, 2, 3]), (503, [1])])
def test_a_platform_that_is_being_probed_gets_one_call_and_the_rest_once_it_answers(
    status: int, called: list[int]
) -> None:
    bench = Bench(probing=True)
    bench.push(1, 2, 3)
    assert bench.called == [1]
    bench.called.clear()
    bench.status = status
    assert bench.box.retry() == 1
    assert bench.called == called
