"""A lane's binds at work: windows, rate, throttling, order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import pytest
from twisted.internet.defer import Deferred

from gatewayd.config import BindMode, OnUncertain, Retry, SmscConfig, StoreConfig
from gatewayd.flow.journal import Journal
from gatewayd.flow.router import LaneState
from gatewayd.model import Outcome, Segment
from gatewayd.smsc.contract import Event, SubmitFailed
from gatewayd.store.contract import Queue, State, Work
from tests.flow.rig import Disk, Rig, config, smsc

LONG = "x" * 153


def long_text(parts: int) -> str:
    return "".join(chr(ord("a") + n) * 153 for n in range(parts))


def parts_of(rig: Rig, bind: str) -> list[tuple[int, int]]:
    return [(segment.message, segment.index) for segment in rig.ports[bind].sent]


def test_the_window_is_never_exceeded_and_the_next_goes_on_the_first_answer() -> None:
    """SMPP-017."""
    rig = Rig(config(smsc(window=5)))
    port = rig.ports["a/0"]
    for n in range(20):
        rig.send(f"m{n}")
    assert len(port.sent) == 5
    rig.taken("a/0", port.waiting[2], "x")  # answers come in any order (SMPP-018)
    assert len(port.sent) == 6
    while port.waiting:
        rig.taken("a/0", port.waiting[-1], "x")
    assert port.most == 5
    assert port.texts == [f"m{n}" for n in range(20)]


def test_nothing_is_submitted_before_the_bind_and_nothing_is_lost() -> None:
    """SMPP-011."""
    rig = Rig(config())
    port = rig.ports["a/0"]
    port.bound = False
    for n in range(15):
        rig.send(f"m{n}")
    rig.turn(60)
    assert port.sent == []
    assert rig.backlog.waiting == 15
    rig.bind("a/0")
    rig.take_all()
    assert port.texts == [f"m{n}" for n in range(15)]
    assert rig.backlog.waiting == 0


def test_only_binds_that_transmit_get_segments() -> None:
    """SMPP-014: the credit of a receiver is nought; its lane is dead to the router."""
    rig = Rig(config(smsc(binds=2)))
    rig.ports["a/0"].mode = BindMode.RECEIVER
    rig.ports["a/0"].window = 0
    lane = rig.lanes["a"]
    states = [lane.state]
    rig.ports["a/1"].bound = False
    states.append(lane.state)
    rig.ports["a/1"].dead = True
    states.append(lane.state)
    rig.ports["a/1"].dead, lane.stopped = False, True
    states.append(lane.state)
    assert states == [LaneState.BOUND, LaneState.WAITING, LaneState.DEAD, LaneState.DEAD]


def test_two_binds_share_the_lane() -> None:
    rig = Rig(config(smsc(binds=2, window=3)))
    for n in range(10):
        rig.send(f"m{n}")
    assert [len(rig.ports[name].sent) for name in ("a/0", "a/1")] == [3, 3]


def test_the_parts_of_a_message_stay_on_one_bind_and_in_order() -> None:
    """SMPP-037, SMPP 3.4 gives no order between binds."""
    rig = Rig(config(smsc(binds=2, window=2)))
    for n in range(6):
        rig.send(long_text(3), to=f"55{n}")
    while any(port.waiting for port in rig.ports.values()):
        for name, port in rig.ports.items():
            if port.waiting:
                rig.taken(name, port.waiting[-1], "x")
        rig.turn(0)
    sent = {name: parts_of(rig, name) for name in rig.ports}
    assert sum(map(len, sent.values())) == 18
    for parts in sent.values():
        messages = [message for message, _ in parts]
        assert [index for _, index in parts] == [0, 1, 2] * (len(parts) // 3)
        assert messages == sorted(messages)
    assert not {m for m, _ in sent["a/0"]} & {m for m, _ in sent["a/1"]}


def test_a_burst_that_fills_every_window_at_once_drains_completely() -> None:
    """20,000 segments for a silent SMSC, more than memory holds; then it answers."""
    rig = Rig(config(smsc(binds=3, window=100), store=StoreConfig(memory_items=2000)))
    for n in range(20_000):
        rig.accept(str(n))
    rig.turn(0)
    assert sum(len(port.waiting) for port in rig.ports.values()) == 300
    rig.turn(30)
    assert rig.backlog.waiting == 19_700
    rounds = 0
    while any(port.waiting for port in rig.ports.values()):
        rounds += 1
        for name, port in rig.ports.items():
            waiting = list(port.waiting)
            for segment in waiting:
                rig.taken(name, segment, "")
    sent = sorted(int(text) for port in rig.ports.values() for text in port.texts)
    assert sent == list(range(20_000))
    rig.turn()
    assert rig.kept() == []
    assert (rig.backlog.waiting, len(rig.lanes["a"].lane)) == (0, 0)


@pytest.mark.parametrize("full", [True, False], ids=["from a full queue", "from an empty one"])
def test_the_smscs_rate_is_kept_counting_segments(full: bool) -> None:
    """G22: 50 a second, at most 105 % in any second and 101 % in any ten."""
    rig = Rig(config(smsc(binds=2, window=1000, rate=50.0)))
    if full:
        for n in range(1000):
            rig.accept(long_text(3), to=str(n))
        rig.turn(0)
    for n in range(2000):
        if not full and n % 3 == 0:
            rig.accept(long_text(4) if n % 2 else "short", to=str(n))
        rig.turn(0.01)
        for name in rig.ports:
            rig.take_all(name)
    times = sorted(time for port in rig.ports.values() for time in port.times)
    assert len(times) > 950
    for start in times:
        for span, most in ((1.0, 52.5), (10.0, 505)):
            within = bisect_left(times, start + span - 1e-6) - bisect_left(times, start)
            assert within <= most
    total = len(times) / (times[-1] - times[0])
    assert total == pytest.approx(50, rel=0.02)


def test_the_last_parts_of_a_message_do_not_wait_for_an_event_when_the_rate_is_low() -> None:
    """The lane is empty, the rest of the message waits at its bind for the rate."""
    rig = Rig(config(smsc(rate=2.0)))
    rig.send(long_text(4))
    rig.turn(2.1, steps=50)
    assert len(rig.ports["a/0"].sent) == 4


def test_throttling_pauses_only_that_bind() -> None:
    """SMPP-021."""
    rig = Rig(config(smsc(binds=2, window=4)))
    slow, other = rig.ports["a/0"], rig.ports["a/1"]
    for n in range(40):
        rig.send(f"m{n}")
    segment = slow.waiting[0]
    before = len(slow.sent)
    rig.events("a/0", SubmitFailed(segment, Outcome.THROTTLED, "0x58", 0x58))
    assert len(slow.sent) == before
    rig.take_all("a/1", "b")
    assert len(other.sent) > 30
    assert other.texts.count(segment.payload.decode()) == 1, "the refused one goes first, there"
    rig.send("later")
    assert len(slow.sent) == before
    assert rig.mt.retried == 0
    assert segment.tries == 0, "no attempt is counted against it"


def test_pauses_double_while_it_goes_on_and_halve_with_each_success() -> None:
    throttle = Retry(first=1.0, factor=2.0, cap=60.0, jitter=0.0)
    rig = Rig(config(smsc(window=1, throttle=throttle)))
    port = rig.ports["a/0"]
    rig.send()
    for pause in (1.0, 2.0, 4.0, 8.0):
        segment = port.waiting[0]
        count = len(port.sent)
        rig.events("a/0", SubmitFailed(segment, Outcome.THROTTLED, "", 0x58))
        rig.turn(pause - 0.01)
        assert len(port.sent) == count
        rig.turn(0.011)
        assert len(port.sent) == count + 1
    rig.take_all()
    assert rig.states["a/0"].backoff.pause == 4.0
    for n in range(3):
        rig.send(f"n{n}")
        rig.take_all()
    assert rig.states["a/0"].backoff.pause == 0.0


def test_several_throttled_answers_to_one_burst_are_one_complaint() -> None:
    rig = Rig(config(smsc(window=5)))
    port = rig.ports["a/0"]
    for n in range(5):
        rig.send(f"m{n}")
    events: list[Event] = [
        SubmitFailed(segment, Outcome.THROTTLED, "", 0x58) for segment in port.waiting
    ]
    rig.events("a/0", *events)
    assert rig.lanes["a"].throttles == 5
    rig.turn(1.01)
    assert len(port.sent) == 10
    assert port.texts[5:] == port.texts[:5], "and their order is kept"


def test_a_lost_bind_gives_back_what_it_carried_in_order() -> None:
    """SMPP-029: window and the rest of a message go to the front of the lane, once each."""
    rig = Rig(config(smsc(window=3)))
    port = rig.ports["a/0"]
    for n in range(3):
        rig.send(long_text(4), to=f"55{n}")
    assert len(port.waiting) == 3
    rig.lose("a/0")
    assert rig.backlog.waiting == 12
    assert len(port.sent) == 3
    rig.bind("a/0")
    rig.take_all()
    assert [index for _, index in parts_of(rig, "a/0")[3:]] == [0, 1, 2, 3] * 3
    assert len(port.sent) == 15
    assert rig.mt.uncertain == 3


def test_another_bind_goes_on_with_what_a_lost_one_had() -> None:
    rig = Rig(config(smsc(binds=2, window=2)))
    for n in range(8):
        rig.send(f"m{n}")
    rig.lose("a/0")
    rig.take_all("a/1")
    seen = rig.ports["a/0"].texts + rig.ports["a/1"].texts
    assert sorted(set(seen)) == [f"m{n}" for n in range(8)]
    assert len(seen) == 10, "what was in the lost window is submitted a second time"


@pytest.mark.parametrize("policy", [OnUncertain.HOLD, OnUncertain.FAIL])
def test_hold_and_fail_write_only_after_claimed_is_on_disk(policy: OnUncertain) -> None:
    rig = Rig(config(smsc(on_uncertain=policy, window=2)))
    port = rig.ports["a/0"]
    seen: list[list[int]] = []

    def look(segment: Segment) -> None:
        seen.append([row.key for row in rig.disk.rows(Queue.MT, State.CLAIMED)])

    port.refuses = look
    told = [rig.accept(f"m{n}") for n in range(5)]
    rig.turn(0)
    assert all(told)
    rig.turn(0)
    assert len(port.sent) == 2
    for segment, claimed in zip(port.sent, seen, strict=True):
        assert segment.id in claimed
    assert len(rig.disk.rows(Queue.MT, State.CLAIMED)) == 2, "no more than can be written"


def test_what_finds_room_in_a_window_is_stored_as_claimed_and_costs_one_commit() -> None:
    rig = Rig(config(smsc(window=2)))
    before = rig.disk.commits
    rig.send()
    assert len(rig.ports["a/0"].sent) == 1
    assert len(rig.disk.rows(Queue.MT, State.CLAIMED)) == 1
    assert rig.disk.commits == before + 1


def test_under_resubmit_nothing_is_written_that_is_not_claimed_on_disk() -> None:
    """G4: a backlog, answers, a lost link, throttling and retries; and two windows at most."""
    rig = Rig(config(smsc(binds=2, window=5)))
    claimed: list[int] = []

    def look(segment: Segment) -> None:
        rows = [row.key for row in rig.disk.rows(Queue.MT, State.CLAIMED)]
        assert segment.id in rows
        claimed.append(len(rows))

    for port in rig.ports.values():
        port.refuses = look
    for n in range(60):
        rig.accept(f"m{n}" if n % 7 else long_text(4), to=str(n))
    rig.turn()
    rig.take_all("a/1")
    segment = rig.ports["a/0"].waiting[0]
    rig.events("a/0", SubmitFailed(segment, Outcome.THROTTLED, "", 0x58))
    segment = rig.ports["a/0"].waiting[0]
    rig.events("a/0", SubmitFailed(segment, Outcome.RETRY, "", 0x08))
    rig.lose("a/0")
    rig.turn(30)
    rig.take_all("a/1")
    rig.bind("a/0")
    rig.turn(30)
    for name in rig.ports:
        rig.take_all(name)
    rig.turn()
    assert rig.kept() == []
    assert max(claimed) <= 2 * 10 + 10, "the answered ones are committed a little later"


def test_what_was_only_marked_is_not_uncertain_after_the_binds_went() -> None:
    rig = Rig(config(smsc(window=2)))
    for n in range(9):
        rig.send(f"m{n}")
    assert len(rig.disk.rows(Queue.MT, State.CLAIMED)) == 4
    rig.lose("a/0")
    rig.turn()
    assert len(rig.disk.rows(Queue.MT, State.CLAIMED)) == 2, "those that were written"
    assert rig.again().mt.uncertain == 2


def test_a_store_that_fails_stops_the_lane_so_that_duplicates_stay_bounded() -> None:
    rig = Rig(config(smsc(window=2)))
    for n in range(20):
        rig.send(f"m{n}")
    rig.disk.broken = True
    for _ in range(20):
        for segment in list(rig.ports["a/0"].waiting):
            rig.taken("a/0", segment, "x")
    assert len(rig.ports["a/0"].sent) == 2, "one window, and no more"
    rig.disk.broken = False
    rig.turn(3)
    rig.take_all()
    assert rig.ports["a/0"].texts == [f"m{n}" for n in range(20)]


def test_a_marked_segment_that_cannot_be_written_leaves_room_for_the_next() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD, window=1)))
    port = rig.ports["a/0"]
    port.refuses = lambda segment: (
        SubmitFailed(segment, Outcome.DEAD, "MALFORMED SMS") if segment.payload == b"bad" else None
    )
    rig.accept("bad")
    rig.accept("good")
    rig.turn()
    assert port.texts == ["good"]


class SlowDisk:
    """Commits end when the test says so."""

    def __init__(self) -> None:
        self.marked: list[int] = []
        self.waiting: list[Deferred[None]] = []

    def commit(self, works: Sequence[Work]) -> Deferred[None]:
        self.marked += [change.key for work in works for change in work.changes]
        self.waiting.append(Deferred())
        return self.waiting[-1]


def test_no_more_is_marked_than_the_window_has_room_for() -> None:
    """Several turns of handing out before the first mark is on disk."""
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD, window=2)))
    rig.ports["a/0"].bound = False
    for n in range(5):
        rig.send(f"m{n}")
    lane, disk = rig.lanes["a"], SlowDisk()
    lane._journal = Journal(disk, rig.clock)
    rig.bind("a/0")
    for _ in range(3):
        lane.pump()
        rig.clock.advance(0.1)
    assert len(disk.marked) == 2
    while disk.waiting:
        disk.waiting.pop().callback(None)
        rig.clock.advance(0.1)
    assert rig.ports["a/0"].texts == ["m0", "m1"]
    assert len(disk.marked) == 2


def test_a_mark_that_cannot_be_kept_is_tried_again_by_itself() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD)))
    rig.ports["a/0"].bound = False
    rig.send(long_text(3))
    rig.disk.broken = True
    rig.bind("a/0")
    rig.turn()
    assert rig.ports["a/0"].sent == []
    rig.disk.broken = False
    rig.turn(3, steps=30)
    assert [index for _, index in parts_of(rig, "a/0")] == [0, 1, 2]


def test_what_was_marked_and_not_written_is_not_uncertain() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD)))
    rig.accept("m0")
    port = rig.ports["a/0"]
    lane = rig.lanes["a"]
    port.bound = False
    rig.turn(0)
    port.bound = True
    lane.pump()  # marks
    port.bound = False  # the bind goes before the mark is on disk
    rig.turn()
    assert port.sent == []
    assert rig.disk.rows(Queue.MT, State.CLAIMED) == []
    assert len(rig.disk.rows(Queue.MT, State.WAITING)) == 1


def test_a_throttled_segment_is_not_uncertain_either() -> None:
    rig = Rig(config(smsc(on_uncertain=OnUncertain.HOLD)))
    rig.accept("m0")
    rig.turn()
    port = rig.ports["a/0"]
    rig.events("a/0", SubmitFailed(port.waiting[0], Outcome.THROTTLED, "", 0x58))
    rig.turn()
    assert rig.disk.rows(Queue.MT, State.CLAIMED) == []


def test_an_expired_segment_is_never_submitted_and_reported_once() -> None:
    """G23."""
    rig = Rig(config())
    port = rig.ports["a/0"]
    port.bound = False
    for n in range(3):
        rig.send(
            f"m{n}",
            validity=rig.wall() + 10 * (n + 1),
            dlr_mask=31,
            dlr_url="http://p.example/dlr?s=%d",
        )
    rig.turn(15)
    rig.bind("a/0")
    assert port.texts == ["m1", "m2"]
    assert rig.mt.expired == 1
    rig.turn()
    assert len(rig.web.urls) == 1
    assert "s=16" in rig.web.urls[0]


def test_parts_that_wait_at_a_bind_expire_as_well() -> None:
    rig = Rig(config(smsc(window=1)))
    rig.send(long_text(3), validity=rig.wall() + 10)
    rig.turn(11)
    rig.take_all()
    assert len(rig.ports["a/0"].sent) == 1
    assert rig.mt.expired == 2


def test_what_the_bind_cannot_write_goes_to_the_event_handler_and_costs_no_slot() -> None:
    rig = Rig(config(smsc(window=1)))
    port = rig.ports["a/0"]
    port.refuses = lambda segment: (
        SubmitFailed(segment, Outcome.DEAD, "MALFORMED SMS") if segment.payload == b"bad" else None
    )
    rig.accept("bad")
    rig.accept("good")
    rig.turn(0)
    assert port.texts == ["good"]
    assert rig.mt.failed == 1
    assert rig.lanes["a"].submitted == 1
    rig.turn()
    assert len(rig.kept()) == 1


def test_a_held_lane_hands_out_nothing_until_it_is_let_go() -> None:
    rig = Rig(config())
    lane = rig.lanes["a"]
    lane.held = True
    rig.send()
    assert rig.ports["a/0"].sent == []
    lane.held = False
    lane.pump()
    assert len(rig.ports["a/0"].sent) == 1


def test_a_discarded_segment_is_gone_from_memory_and_disk() -> None:
    rig = Rig(config())
    rig.ports["a/0"].bound = False
    accepted = rig.send()
    lane = rig.lanes["a"]
    assert [segment.id for segment in lane.waiting(10)] == [accepted.message]
    assert lane.discard(accepted.message)
    assert not lane.discard(accepted.message)
    rig.turn()
    assert rig.kept() == []
    assert rig.backlog.waiting == 0


def test_a_restart_counts_what_waits_even_beyond_memory() -> None:
    settings = config(smsc(window=2), store=StoreConfig(memory_items=3))
    rig = Rig(settings)
    rig.ports["a/0"].bound = False
    for n in range(10):
        rig.accept(f"m{n}")
    rig.turn()
    new = rig.again()
    assert new.backlog.waiting == 8
    new.take_all()
    assert new.ports["a/0"].texts == [f"m{n}" for n in range(10)]
    assert new.backlog.waiting == 0


def test_the_count_of_what_waits_follows_rows_that_ended_on_disk() -> None:
    rig = Rig(config(smsc(window=1), store=StoreConfig(memory_items=2)), Disk())
    keys = [rig.send(f"m{n}").message for n in range(8)]
    rig.turn()
    for key in keys[5:]:
        rig.journal.add(_ended(key))
    rig.turn()
    rig.take_all()
    assert rig.ports["a/0"].texts == [f"m{n}" for n in range(5)]
    assert rig.backlog.waiting == 0


def _ended(key: int) -> Work:
    return Work(ends=[key])


def test_stop_timer_leaves_nothing_behind() -> None:
    rig = Rig(config(SmscConfig("a", "a", rate=1.0, binds=smsc().binds)))
    for n in range(3):
        rig.send(f"m{n}")
    rig.turn(0.1)
    rig.lanes["a"].stop_timer()
    rig.lanes["a"].stop_timer()
    rig.turn(60)
    assert len(rig.ports["a/0"].sent) == 1
