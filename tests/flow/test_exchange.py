"""Between binds and flows: each event finds its flow, in order."""

from __future__ import annotations

import pytest

from gatewayd.model import Inbound, Outcome, Receipt
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from tests.flow.rig import URL, Rig, config, smsc


def test_one_read_with_everything_in_it_goes_to_all_three_flows() -> None:
    rig = Rig(config())
    rig.send("m0", dlr_mask=1, dlr_url=URL)
    rig.send("m1")
    first, second = rig.ports["a/0"].sent
    rig.events(
        "a/0",
        Submitted(first, "id0", 0.1),
        Receipted(1, Receipt("id0", 1)),
        Received(2, Inbound("+1", "100", b"mo")),
        SubmitFailed(second, Outcome.DEAD, "no"),
        Noted("alert", "x"),
        Alive(0.01),
    )
    rig.turn()
    assert sorted(rig.heard) == [("done", 1), ("done", 2)]
    assert (rig.mt.sent, rig.mt.failed, rig.mo.received, rig.dlr.receipts) == (1, 1, 1, 1)
    state = rig.states["a/0"]
    assert (state.accepted, state.refusals, state.received, state.receipts) == (1, 1, 1, 1)
    assert len(rig.web.calls) == 2


@pytest.mark.parametrize(
    "event", [Bound(), Closing("x"), BindRefused(Outcome.DEAD, "x"), Noted("a", "b"), Alive(1.0)]
)
def test_what_concerns_only_the_bind_changes_nothing(event: Event) -> None:
    rig = Rig(config())
    rig.events("a/0", event)
    assert (rig.mt.sent, rig.mt.uncertain, rig.mo.received, rig.heard) == (0, 0, 0, [])


def test_an_event_that_nobody_knows_is_a_mistake_of_ours() -> None:
    rig = Rig(config())
    with pytest.raises((AssertionError, TypeError)):  # a compiled flow looks at the type first
        rig.events("a/0", "what is this")  # type: ignore[arg-type]


def test_while_suspended_the_smsc_keeps_its_mo_and_receipts() -> None:
    rig = Rig(config())
    rig.send(dlr_mask=1, dlr_url=URL)
    rig.take_all()
    rig.exchange.open_for_mo = False
    tickets = [rig.deliver(), rig.receipt("id0")]
    assert [rig.outcome(ticket) for ticket in tickets] == ["retry", "retry"]
    rig.exchange.open_for_mo = True
    tickets = [rig.deliver(), rig.receipt("id0")]
    rig.turn()
    assert [rig.outcome(ticket) for ticket in tickets] == ["done", "done"]


def test_answers_make_room_when_they_are_on_disk() -> None:
    """G3: a kill repeats what is not on disk as answered, so that keeps its places till then."""
    rig = Rig(config(smsc(window=3)))
    for n in range(9):
        rig.send(f"m{n}")
    port = rig.ports["a/0"]
    rig.events("a/0", *[Submitted(segment, "x", 0.1) for segment in list(port.waiting)])
    assert len(port.sent) == 3
    rig.turn(0)
    assert len(port.sent) == 6
    assert port.most == 3


def test_a_lost_link_gives_its_window_back_oldest_first() -> None:
    rig = Rig(config(smsc(window=5)))
    for n in range(8):
        rig.send(f"m{n}")
    rig.lose("a/0")
    waiting = [segment.payload for segment in rig.lanes["a"].waiting(10)]
    assert waiting == [f"m{n}".encode() for n in range(8)]


def test_the_latency_of_each_answer_is_observed() -> None:
    rig = Rig(config())
    rig.send()
    rig.events("a/0", Submitted(rig.ports["a/0"].sent[0], "x", 0.2))
    assert rig.lanes["a"].latency.total == pytest.approx(0.2)


def test_each_uncertain_segment_is_counted() -> None:
    """G4."""
    rig = Rig(config())
    for n in range(3):
        rig.send(f"m{n}")
    for segment in list(rig.ports["a/0"].sent):
        rig.events("a/0", Unanswered(segment, "timeout"))
    assert rig.mt.uncertain == 3
