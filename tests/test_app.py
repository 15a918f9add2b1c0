"""The whole gateway on a reactor of memory: order of start and stop, recovery, one owner."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from gatewayd import app, failpoints
from gatewayd.app import store_path
from gatewayd.config import (
    Config,
    HttpConfig,
    Limits,
    ListenerConfig,
    OnUncertain,
    StoreConfig,
)
from gatewayd.errors import StoreError, UsageError
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.store.contract import Item, Queue, State, Work
from tests.life import EPOCH, Life, Start, answer, smsc, start

__all__ = ["start"]


# ---- small things


def test_the_store_is_where_it_is_configured_or_in_the_state_directory() -> None:
    assert store_path(Config(store=StoreConfig(path="/x/y")), {"STATE_DIRECTORY": "/s"}) == "/x/y"
    assert store_path(Config(), {"STATE_DIRECTORY": "/s:/t"}) == "/s/gatewayd.sqlite3"
    assert store_path(Config(), {}) == "gatewayd.sqlite3"


def test_a_fail_point_kills_at_its_step_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, which: killed.append(which))
    failpoints.of_store({})("before-commit")
    with pytest.raises(UsageError, match="before-commit:kill"):
        failpoints.of_store({"GATEWAYD_FAILPOINT": "before-commit:nonsense"})
    reached = failpoints.of_store({"GATEWAYD_FAILPOINT": "before-commit:kill"})
    reached("after-commit")
    assert killed == []
    reached("before-commit")
    assert killed == [signal.SIGKILL]


# ---- start and stop


def test_a_message_goes_all_the_way(start: Start) -> None:
    life = start()
    link = life.link()
    assert life.send("hello").verdict is Verdict.ACCEPTED
    (submit,) = life.submits(link)
    assert submit.short_message == b"hello"
    answer(life, link, submit)
    life.settle()
    assert life.rows(Queue.MT) == []


def test_listeners_open_last_and_close_first(start: Start) -> None:
    http = HttpConfig(sendsms=ListenerConfig(port=13013), admin=ListenerConfig(port=13000))
    life = start(http=http)
    assert [port for port, _, _, _ in life.reactor.tcpServers] == [13000, 13013]
    assert len(life.reactor.tcpClients) == 1
    assert life.gateway.doors.address_of("sendsms").endswith(":13013")
    assert life.gateway.doors.address_of("nothing") == "off"
    closed: list[str] = []
    for name, port in life.gateway.listeners:
        port.stopListening = lambda name=name: closed.append(name)  # type: ignore[method-assign,misc]
    link = life.link()
    stopped: list[None] = []
    life.gateway.stopService().addCallback(stopped.append)
    assert closed == ["sendsms", "admin"]
    (unbind,) = link.pdus()
    assert isinstance(unbind, pdus.Plain)
    assert not stopped, "the bind is waited for"
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    assert life.stop() == [None]
    assert life.gateway.store._closed


def test_stop_drains_and_leaves_nothing_uncertain(start: Start) -> None:
    """G17."""
    life = start(smsc(window=2))
    link = life.link()
    for n in range(5):
        life.send(f"m{n}")
    first = life.submits(link)
    stopped: list[None] = []
    life.gateway.stopService().addCallback(stopped.append)
    answer(life, link, *first)
    life.settle()
    rest = link.pdus()
    assert not [pdu for pdu in rest if isinstance(pdu, pdus.Sm)], "nothing new goes out"
    (unbind,) = rest
    assert isinstance(unbind, pdus.Plain)
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    life.stop()
    new = start()
    texts = [submit.short_message for submit in _taken(new)]
    assert texts == [b"m2", b"m3", b"m4"]


def _taken(life: Life) -> list[pdus.Sm]:
    """All that the SMSC gets when it takes everything."""
    link = life.link()
    life.settle()
    found: list[pdus.Sm] = []
    while submits := life.submits(link):
        found += submits
        answer(life, link, *submits)
        life.settle()
    return found


def test_stop_ends_in_time_though_the_smsc_says_nothing(start: Start) -> None:
    life = start(limits=Limits(drain=3.0))
    link = life.link()
    life.send("m0")
    assert len(life.submits(link)) == 1
    before = life.reactor.seconds()
    assert life.stop() == [None]
    assert life.reactor.seconds() - before < 10
    new = start()
    assert [submit.short_message for submit in _taken(new)] == [b"m0"]


def test_stopping_twice_is_harmless(start: Start) -> None:
    life = start(limits=Limits(drain=1.0))
    stopped: list[None] = []
    for _ in range(2):
        life.gateway.stopService().addCallback(stopped.append)
    life.stop()
    assert stopped == [None, None]
    life.gateway.stopService().addCallback(stopped.append)
    assert len(stopped) == 3


def test_after_a_stop_no_timer_is_left(start: Start) -> None:
    life = start(limits=Limits(drain=1.0))
    life.link()
    life.send("m0")
    life.stop()
    left = [call for call in life.reactor.getDelayedCalls() if call.getTime() < 1e6]
    life.reactor.advance(600)
    assert [call for call in left if call.active()] == []
    assert life.reactor.getDelayedCalls() == []


# ---- recovery


def test_a_killed_gateway_loses_nothing_that_it_accepted(start: Start) -> None:
    """G1: accepted, submitted and answered, waiting for receipts."""
    life = start(smsc(window=3))
    link = life.link()
    for n in range(10):
        life.send(f"m{n}")
    first = life.submits(link)
    answer(life, link, first[0])
    life.settle()
    written = {submit.short_message for submit in [*first, *life.submits(link)]}
    life.kill()
    new = start(smsc(window=3))
    texts = [submit.short_message for submit in _taken(new)]
    assert set(texts) == {f"m{n}".encode() for n in range(1, 10)}
    assert len(texts) == 9
    again = written & set(texts)
    assert len(again) <= 3, "no more than a window is sent twice (G3)"
    assert new.gateway.mt.uncertain >= len(again)


def test_a_killed_gateway_that_holds_what_is_uncertain_sends_nothing_twice(start: Start) -> None:
    """G5."""
    life = start(smsc(window=3, on_uncertain=OnUncertain.HOLD))
    link = life.link()
    for n in range(6):
        life.send(f"m{n}")
    life.settle()
    written = [submit.short_message for submit in life.submits(link)]
    assert len(written) == 3
    life.kill()
    new = start(smsc(window=3, on_uncertain=OnUncertain.HOLD))
    texts = [submit.short_message for submit in _taken(new)]
    assert set(texts) | set(written) == {f"m{n}".encode() for n in range(6)}
    assert not set(texts) & set(written)
    assert len(new.rows(Queue.MT, State.HELD)) == 3


def test_a_receipt_after_the_restart_finds_its_message(start: Start) -> None:
    """G6, G7."""
    life = start()
    link = life.link()
    life.send("m0", dlr_mask=1, dlr_url="http://192.0.2.1/dlr?s=%d")
    (submit,) = life.submits(link)
    answer(life, link, submit)
    life.settle()
    life.kill()
    new = start()
    link = new.link()
    text = b"id:i%d sub:001 dlvrd:001 stat:DELIVRD err:000 text:" % submit.sequence
    receipt = pdus.Sm(
        pdus.DELIVER_SM, 1, source=b"5511", destination=b"100", esm_class=4, short_message=text
    )
    new.say(link, receipt)
    new.settle()
    (answered,) = link.pdus()
    assert isinstance(answered, pdus.SmResp)
    assert answered.status == 0
    assert len(new.rows(Queue.DLR)) == 1
    assert new.rows(Queue.MT) == []


def test_an_mo_and_parts_survive_a_kill(start: Start) -> None:
    """G9."""
    life = start()
    link = life.link()
    mo = pdus.Sm(pdus.DELIVER_SM, 1, source=b"5511", destination=b"100", short_message=b"whole")
    udh = b"\x05\x00\x03\x07\x02\x01"
    part = pdus.Sm(
        pdus.DELIVER_SM,
        2,
        source=b"5511",
        destination=b"100",
        esm_class=0x40,
        short_message=udh + b"first ",
    )
    life.say(link, mo, part)
    assert link.pdus() == [], "not before they are on disk"
    life.settle()
    assert [pdu.status for pdu in link.pdus() if isinstance(pdu, pdus.SmResp)] == [0, 0]
    life.kill()
    new = start()
    assert (len(new.gateway.calls), new.gateway.mo.parts_waiting) == (1, 1)
    link = new.link()
    second = pdus.Sm(
        pdus.DELIVER_SM,
        1,
        source=b"5511",
        destination=b"100",
        esm_class=0x40,
        short_message=udh[:-1] + b"\x02second",
    )
    new.say(link, second)
    new.settle()
    assert (len(new.gateway.calls), new.gateway.mo.parts_waiting) == (2, 0)
    assert new.rows(Queue.PART) == []


def test_more_than_memory_holds_is_recovered_in_order(start: Start, tmp_path: Path) -> None:
    """G20 in small."""
    store = StoreConfig(path=str(tmp_path / "store.sqlite3"), memory_items=4)
    life = start(store=store)
    for n in range(25):
        life.send(f"m{n}")
    life.kill()
    new = start(store=store)
    assert new.gateway.backlog.waiting == 25
    assert [submit.short_message for submit in _taken(new)] == [b"m%d" % n for n in range(25)]
    assert new.gateway.backlog.waiting == 0


def test_the_only_smsc_takes_over_what_waits_for_one_that_is_gone(
    start: Start, tmp_path: Path
) -> None:
    store = StoreConfig(path=str(tmp_path / "store.sqlite3"), memory_items=3)
    life = start(smsc("old"), smsc("new", denied_prefixes=("55",)), store=store)
    for n in range(6):
        life.send(f"old{n}")
        life.send(f"new{n}", receivers=["4411"])
    assert {row.lane for row in life.rows(Queue.MT)} == {"old", "new"}
    life.kill()
    new = start(smsc("new"), store=store)
    new.settle()
    texts = [submit.short_message for submit in _taken(new)]
    assert sorted(texts) == sorted(
        f"{which}{n}".encode() for which in ("old", "new") for n in range(6)
    )
    new.settle()
    assert new.rows(Queue.MT) == []
    assert new.gateway.backlog.waiting == 0


def test_what_waits_for_an_smsc_that_is_gone_stays_in_the_store(start: Start) -> None:
    life = start(smsc("old"))
    life.send("kept")
    life.kill()
    new = start(smsc("b"), smsc("c"))
    new.settle()
    assert [row.lane for row in new.rows(Queue.MT)] == ["old"]


def test_keys_never_repeat_over_a_kill_though_the_clock_goes_back(start: Start) -> None:
    life = start()
    first = life.send("m0").message
    life.kill()
    new = start()
    new.gateway.keys._wall = lambda: EPOCH - 86400
    assert new.gateway.keys.take() > first


def test_a_second_gateway_on_the_same_store_is_refused(start: Start) -> None:
    life = start()
    with pytest.raises(StoreError, match="another gatewayd"):
        start()
    life.stop()
    start()


# ---- running


def test_a_lane_that_loses_its_last_bind_gives_its_messages_to_another(start: Start) -> None:
    life = start(smsc("a", window=1, preferred_prefixes=("55",)), smsc("b"))
    one, other = life.link(), life.link()
    for n in range(5):
        life.send(f"m{n}")
    assert len(life.submits(one)) == 1
    one.loseConnection()
    life.settle()
    texts = []
    while submits := life.submits(other):
        texts += [submit.short_message for submit in submits]
        answer(life, other, *submits)
        life.settle()
    assert texts == [b"m0", b"m1", b"m2", b"m3", b"m4"]


def test_suspend_keeps_orders_and_resume_takes_them(start: Start) -> None:
    life = start()
    link = life.link()
    control = life.gateway.control
    control.suspend()
    told: list[Acceptance] = []
    control.accept(Order(user="u", receivers=["1"], source="2", text="x"), told.append)
    life.settle()
    assert (told, life.submits(link)) == ([], [])
    control.resume()
    life.settle()
    assert [each.verdict for each in told] == [Verdict.ACCEPTED]
    assert len(life.submits(link)) == 1


def test_an_smsc_may_be_stopped_and_started_by_hand(start: Start) -> None:
    life = start()
    link = life.link()
    control = life.gateway.control
    assert control.stop_smsc("a")
    assert not control.stop_smsc("a")
    assert not control.stop_smsc("nobody")
    (unbind,) = link.pdus()
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    assert life.send("x").verdict is Verdict.UNROUTABLE
    assert control.start_smsc("a")
    life.link()
    assert life.send("x").verdict is Verdict.ACCEPTED


def test_a_waiting_message_may_be_removed_by_hand(start: Start) -> None:
    life = start()
    kept = life.send("x").message
    control = life.gateway.control
    (shown,) = life.reactor.result(control.store_status())
    assert shown.id == life.gateway.keys.uuid(kept)
    assert not life.reactor.result(control.remove_message("no such id"))
    assert life.reactor.result(control.remove_message(shown.id))
    life.settle()
    assert life.rows(Queue.MT) == []


def test_the_end_asked_for_by_the_admin_is_told_to_whoever_runs_us(start: Start) -> None:
    life = start()
    life.gateway.control.shutdown()
    assert life.ended == ["stop"]


def test_a_periodic_task_that_breaks_is_called_again(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = start()
    swept: list[int] = []

    def broken(now: float) -> None:
        swept.append(1)
        raise ValueError("once")

    monkeypatch.setattr(life.gateway.monitor, "tick", broken)
    for _ in range(5):
        life.reactor.advance(1.0)
    assert len(swept) == 5


def test_receipts_that_never_come_are_pruned_however_many(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "PRUNE_ROWS", 10)
    life = start()
    items = [Item(Queue.MT, key, "a", b"{}", int(State.SENT)) for key in range(1, 46)]
    life.reactor.result(life.gateway.store.commit([Work(puts=items)]))
    life.settle(60.1)
    for _ in range(6):
        life.settle(1.1)
    assert life.rows(Queue.MT) == []


def test_every_series_is_filled_and_the_page_can_be_read(start: Start) -> None:
    life = start()
    link = life.link()
    life.send("x")
    answer(life, link, *life.submits(link))
    life.settle()
    life.gateway.binds[0].round_trip = 0.25
    page = life.gateway.metrics.render().decode()
    for line in (
        'gatewayd_enquire_link_rtt_seconds{bind="a/0",smsc="a"} 0.25',
        'gatewayd_bind_up{bind="a/0",smsc="a"} 1.0',
        'gatewayd_messages_total{direction="mt",result="accepted"} 1.0',
        'gatewayd_segments_total{result="accepted",smsc="a"} 1.0',
        'gatewayd_queue_messages{lane="a",queue="mt"} 0.0',
        'gatewayd_bind_state{bind="a/0",smsc="a",state="online"} 1.0',
    ):
        assert line in page
    assert life.gateway.control.snapshot().smscs[0].status.startswith("online ")
