"""G11: a deliver_sm that the SMSC repeats, since our answer did not arrive, is posted once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gatewayd.flow.repeats import LATE, MOST, Repeats
from gatewayd.model import Inbound, Outcome
from tests.flow.rig import EPOCH, Rig, config, with_limits
from tests.guarantees.conftest import Record
from tests.live.torture import Verdict

PART: dict[str, Any] = {"udh": bytes((5, 0, 3, 7, 2, 1)), "coding": 1}


def new() -> Rig:
    return Rig(config())


def posts(rig: Rig) -> int:
    rig.turn()
    while rig.web.open:
        rig.web.answer()
        rig.turn()
    return len(rig.web.calls)


def lose(rig: Rig) -> None:
    rig.lose("a/0")
    rig.turn()
    rig.bind("a/0")


@pytest.mark.parametrize("fields", [{}, {"foreign_id": "77"}, {"time": EPOCH}])
def test_g11_repeated_on_the_next_link(fields: dict[str, Any], record: Record) -> None:
    total = 200
    rig = new()
    for n in range(total):
        rig.deliver(payload=b"%d" % n, **fields)
        rig.turn()
        lose(rig)
        again = rig.deliver(payload=b"%d" % n, **fields)
        rig.turn()
        assert rig.outcome(again) == "done"
    found = posts(rig)
    name = "G11 a repeated deliver_sm is posted once"
    kind = f"its answer was lost with the link ({', '.join(fields) or 'neither id nor time'})"
    record(Verdict(name, kind, total, f"{found} posts", found == total))


def test_g11_repeated_before_it_is_answered_gets_the_outcome_of_the_first() -> None:
    rig = new()
    first, second = rig.deliver(), rig.deliver()
    assert (rig.outcome(first), rig.outcome(second)) == ("", "")
    rig.turn()
    assert (rig.outcome(first), rig.outcome(second)) == ("done", "done")
    assert posts(rig) == 1


def test_g11_when_the_first_could_not_be_kept_the_second_is_not_answered_as_if_it_were() -> None:
    rig = new()
    rig.disk.broken = True
    first, second = rig.deliver(), rig.deliver()
    rig.turn()
    assert (rig.outcome(first), rig.outcome(second)) == ("retry", "retry")
    rig.disk.broken = False
    rig.deliver()
    rig.turn(2)
    assert posts(rig) == 1


def test_g11_after_a_restart_what_was_not_posted_yet_is_known() -> None:
    rig = new()
    rig.deliver()
    rig.turn()
    rig = rig.again()
    ticket = rig.deliver()
    rig.turn()
    assert rig.outcome(ticket) == "done"
    assert posts(rig) == 1


def test_g11_the_last_part_of_a_long_mo_repeated_begins_no_new_message() -> None:
    rig = new()
    last: dict[str, Any] = {**PART, "udh": bytes((5, 0, 3, 7, 2, 2))}
    rig.deliver(payload=b"one", **PART)
    rig.deliver(payload=b"two", **last)
    rig.turn()
    lose(rig)
    rig.deliver(payload=b"two", **last)
    rig = rig.again()
    rig.deliver(payload=b"one", **PART)
    rig.turn()
    assert rig.mo.parts_waiting == 0
    assert posts(rig) == 1


def test_g11_somebody_who_says_yes_twice_is_heard_twice() -> None:
    rig = new()
    for _ in range(2):
        rig.deliver(payload=b"yes")
        rig.turn()
    assert posts(rig) == 2
    other = new()
    for time in (EPOCH, EPOCH + 1):
        other.deliver(payload=b"yes", time=time)
        other.turn()
    assert posts(other) == 2


def test_g11_a_late_answer_may_have_been_given_up() -> None:
    now = 0.0
    repeats = Repeats(600.0, lambda: now)
    inbound = Inbound("1", "2", b"yes")
    heard: list[Outcome] = []
    line = Rig(config()).states["a/0"].line
    told = repeats.admit(b"n", inbound, line, heard.append)
    now = LATE + 1
    told(Outcome.DONE)
    repeats.admit(b"n", inbound, line, heard.append)
    assert (heard, repeats.count) == ([Outcome.DONE] * 2, 1)


def test_g11_it_is_forgotten_after_the_window_and_off_when_that_is_nought() -> None:
    rig = Rig(with_limits(config(), dedupe_window=60.0))
    rig.deliver()
    rig.turn()
    lose(rig)
    rig.turn(61)
    rig.deliver()
    assert posts(rig) == 2
    off = Rig(with_limits(config(), dedupe_window=0.0))
    for _ in range(2):
        off.deliver()
        lose(off)
    assert posts(off) == 2


def test_g11_what_is_remembered_is_bounded() -> None:
    repeats = Repeats(600.0, lambda: 0.0)
    for n in range(MOST + 10):
        repeats.recovered(n.to_bytes(16, "big"), 0.0)
    assert len(repeats) == MOST
    assert replace(config().limits).dedupe_window == 600.0
