"""MO on their way to platforms, and the replies that come back."""

from __future__ import annotations

from typing import Any

from gatewayd.config import ChannelConfig, Config, HttpConfig, Retry
from gatewayd.flow.mo import decode
from gatewayd.model import HttpAnswer
from gatewayd.store.contract import Queue
from tests.flow.rig import Rig, config, smsc

PLAIN = (("Content-Type", "text/plain"),)


def with_channel(*more: ChannelConfig, **fields: Any) -> Config:
    fields = {"name": "web", "post_url": "http://platform.example/mo?id=%I"} | fields
    return config(smsc(), channels=(ChannelConfig(**fields), *more))


def reply(rig: Rig, text: bytes, index: int = 0) -> None:
    _, done = rig.web.open.pop(index)
    done(HttpAnswer(200, PLAIN, text))


def test_an_mo_that_was_taken_is_gone_from_the_store() -> None:
    rig = Rig(config())
    rig.deliver()
    rig.turn()
    assert len(rig.disk.rows(Queue.MO)) == 1
    rig.web.answer(200)
    rig.turn()
    assert rig.disk.rows() == []
    assert (rig.calls.sent, rig.calls.attempts, len(rig.calls)) == (1, 1, 0)


def test_the_mo_of_one_sender_are_told_in_their_order() -> None:
    """G10: the next after the answer to the one before; other senders meanwhile."""
    rig = Rig(config())
    for n in range(3):
        rig.deliver(payload=f"a{n}".encode(), source="+1")
    rig.deliver(payload=b"b", source="+2")
    rig.turn()
    bodies = [call.body for call in rig.web.calls]
    assert bodies == [b"a0", b"b"]
    rig.web.answer(500)
    rig.turn(2)
    rig.web.answer(200)
    while rig.web.open:
        rig.web.answer(200)
        rig.turn(2)
    assert [call.body for call in rig.web.calls if call.body != b"b"] == [
        b"a0",
        b"a0",
        b"a1",
        b"a2",
    ]


def test_an_unordered_channel_waits_for_nobody() -> None:
    rig = Rig(with_channel(ordered=False))
    for n in range(3):
        rig.deliver(payload=f"a{n}".encode())
    rig.turn()
    assert len(rig.web.calls) == 3


def test_a_repeat_carries_the_same_id_and_survives_a_restart() -> None:
    """G10: so that the platform can drop repeats."""
    rig = Rig(with_channel())
    rig.deliver()
    rig.turn()
    rig.web.answer(503)
    rig.turn()
    first = rig.web.calls[0]
    new = rig.again()
    assert new.web.calls == []
    new.turn(2)
    assert new.web.calls == [first]
    new.web.answer(200)
    new.turn()
    assert new.disk.rows() == []


def test_an_mo_is_not_overtaken_by_the_next_of_its_sender_after_a_restart() -> None:
    """G10: the first waits for its next attempt; what came behind it stays behind it."""
    rig = Rig(with_channel())
    rig.deliver(payload=b"first")
    rig.turn()
    rig.web.answer(503)
    rig.deliver(payload=b"second")
    rig.turn()
    new = rig.again()
    new.turn(0.2)
    assert new.web.calls == []
    new.turn(2)
    assert new.web.calls == rig.web.calls
    new.web.answer(200)
    new.turn()
    assert len(new.web.calls) == 2


def test_what_is_under_way_at_a_crash_is_told_again() -> None:
    rig = Rig(with_channel())
    rig.deliver()
    rig.turn()
    new = rig.again()
    assert new.web.calls == rig.web.calls


def test_beyond_its_horizon_an_mo_becomes_a_dead_letter_that_says_why() -> None:
    rig = Rig(with_channel(retry=Retry(first=1.0, horizon=60.0, jitter=0.0)))
    rig.deliver()
    rig.turn()
    rig.web.auto = lambda call: 500
    rig.web.answer(500)
    rig.turn(200, steps=400)
    assert rig.calls.failed == 1
    assert len(rig.web.calls) < 12
    (dead,) = rig.disk.rows()
    assert (dead.queue, dead.lane) == (Queue.DEAD, "mo/web")
    assert b"HTTP 500" in dead.body


def test_the_horizon_does_not_count_from_the_smscs_clock() -> None:
    """A time stamp in another zone must not end an MO at its first failure."""
    rig = Rig(with_channel(retry=Retry(first=1.0, horizon=3600.0, jitter=0.0)))
    rig.deliver(time=rig.wall() - 7200)
    rig.turn()
    rig.web.answer(500)
    rig.turn(2)
    assert len(rig.web.calls) == 2
    assert rig.disk.rows(Queue.DEAD) == []


def test_a_fixed_number_of_attempts_is_kept() -> None:
    rig = Rig(with_channel(retry=Retry(first=1.0, factor=1.0, times=2, jitter=0.0)))
    rig.deliver()
    rig.turn()
    rig.web.auto = lambda call: 500
    rig.web.answer(500)
    rig.turn(60, steps=120)
    assert len(rig.web.calls) == 3


def test_a_restart_does_not_begin_the_count_of_attempts_anew() -> None:
    rig = Rig(with_channel(retry=Retry(first=1.0, factor=1.0, times=2, jitter=0.0)))
    rig.deliver()
    rig.turn()
    rig.web.answer(500)
    rig.turn(1.5)
    rig.web.answer(500)
    rig.turn(0.5)
    new = rig.again()
    new.turn(2)
    new.web.answer(500)
    new.turn()
    assert len(new.disk.rows(Queue.DEAD)) == 1


def test_a_dead_letter_comes_back_by_hand_with_its_old_id() -> None:
    rig = Rig(with_channel(retry=Retry(times=0)))
    rig.deliver()
    rig.turn()
    rig.web.answer(500)
    rig.turn()
    (dead,) = rig.disk.rows(Queue.DEAD)
    revived = rig.calls.revived(dead, lambda mo: None)
    assert revived is not None
    work, then = revived
    rig.journal.add(work, lambda ok: then())
    rig.turn()
    assert rig.web.calls[1].url == rig.web.calls[0].url
    rig.web.answer(200)
    rig.turn()
    assert rig.disk.rows() == []


def test_a_dead_letter_without_a_channel_needs_one_that_takes_it() -> None:
    rig = Rig(with_channel(retry=Retry(times=0)))
    rig.deliver()
    rig.turn()
    rig.web.answer(500)
    rig.turn()
    (dead,) = rig.disk.rows(Queue.DEAD)
    other = ChannelConfig("other", post_url="http://other.example/")
    new = rig.again(config(smsc(), channels=(other,)))
    assert new.calls.revived(dead, lambda mo: None) is None
    revived = new.calls.revived(dead, lambda mo: other)
    assert revived is not None
    assert revived[0].puts[0].lane == "other"


def test_the_platforms_text_goes_back_to_the_phone_and_is_kept_with_the_end_of_the_mo() -> None:
    rig = Rig(with_channel(replies=True))
    rig.ports["a/0"].bound = False
    rig.deliver(source="+5511", destination="100")
    rig.turn()
    reply(rig, b"thank you")
    rig.turn()
    (row,) = rig.disk.rows()
    assert row.queue == Queue.MT
    rig.bind("a/0")
    (segment,) = rig.ports["a/0"].sent
    assert (segment.payload, segment.destination, segment.source) == (b"thank you", "+5511", "100")
    assert segment.reply
    assert rig.calls.replies == 1


def test_neither_mo_nor_reply_is_lost_when_the_store_fails_at_the_answer() -> None:
    rig = Rig(with_channel(replies=True))
    rig.deliver()
    rig.turn()
    rig.disk.broken = True
    reply(rig, b"thank you")
    rig.turn(3)
    assert rig.ports["a/0"].sent == []
    rig.disk.broken = False
    rig.turn(3)
    assert rig.ports["a/0"].texts == ["thank you"]
    assert rig.disk.rows(Queue.MO) == []


def test_a_channel_that_answers_by_itself_calls_nobody() -> None:
    rig = Rig(with_channel(post_url="", text_reply="you said %a", replies=True))
    rig.deliver(payload=b"hello")
    rig.turn()
    assert rig.web.calls == []
    assert rig.ports["a/0"].texts == ["you said hello"]
    rig.take_all()
    rig.turn()
    assert rig.disk.rows() == []


def test_an_mo_that_no_channel_takes_is_set_aside_or_answered() -> None:
    nobody = ChannelConfig("k", post_url="http://p.example/", keyword="never")
    rig = Rig(config(smsc(), channels=(nobody,)))
    ticket = rig.deliver(payload=b"hello")
    rig.turn()
    assert rig.outcome(ticket) == "done"
    (dead,) = rig.disk.rows()
    assert (dead.queue, rig.mo.unrouted) == (Queue.DEAD, 1)
    assert b"no channel takes it" in dead.body
    polite = Rig(
        config(smsc(), channels=(nobody,), http=HttpConfig(reply_request_failed="Try HELP"))
    )
    polite.deliver(payload=b"hello")
    polite.turn()
    assert polite.ports["a/0"].texts == ["Try HELP"]
    assert polite.disk.rows(Queue.DEAD) == []


def test_one_channels_outage_is_not_the_others() -> None:
    other = ChannelConfig("other", post_url="http://other.example/", keyword="other")
    rig = Rig(with_channel(other, default=True))
    for n in range(5):
        rig.deliver(payload=b"hello", source=f"+{n}")
    rig.turn()
    while rig.web.open:
        rig.web.answer(0)
    rig.deliver(payload=b"other one")
    rig.turn()
    assert rig.web.calls[-1].url.startswith("http://other.example/")


def test_an_mo_for_a_channel_that_is_gone_becomes_a_dead_letter() -> None:
    rig = Rig(config())
    rig.deliver()
    rig.turn()
    (row,) = rig.disk.rows(Queue.MO)
    mo = decode(row.body)
    mo.channel = "gone"
    rig.calls.push(mo)
    rig.turn()
    (dead,) = rig.disk.rows()
    assert (dead.queue, dead.lane) == (Queue.DEAD, "mo/gone")


def test_stop_begins_no_more_calls() -> None:
    rig = Rig(config())
    rig.deliver()
    rig.deliver()
    rig.turn()
    rig.calls.stop()
    rig.web.answer()
    rig.turn(60)
    assert len(rig.web.calls) == 1
