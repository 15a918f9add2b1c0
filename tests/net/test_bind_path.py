"""One bind and its tunnel: when it connects, when it submits, and when its link is given up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.logger import ILogObserver, formatEvent, globalLogPublisher
from zope.interface import implementer

from gatewayd.config import Retry, VpnConfig
from gatewayd.net.bind import HASTY, PATIENCE
from gatewayd.net.path import GRACE, SETTLE
from gatewayd.net.vpn import Down, Up
from gatewayd.smsc.contract import Closing
from tests.net.test_bind import Bench


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    found: list[str] = []

    @implementer(ILogObserver)
    def observe(event: Any) -> None:
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


UP = Up("10.66.0.2", 7)
ANEW = Up("10.66.0.2", 8)
GONE = Down("tun0 does not exist")


def bench(*, require: bool = True, **fields: Any) -> Bench:
    return Bench(vpn=VpnConfig("tun0", require), **fields)


def bound(*, require: bool = True, **fields: Any) -> Bench:
    found = bench(require=require, **fields)
    found.service.path_changed(UP)
    found.start()
    if not found.wires:
        found.clock.advance(SETTLE)
    found.accept()
    return found


# ---- connecting


def test_a_required_path_that_nobody_has_looked_at_is_none() -> None:
    it = bench().start()
    it.clock.advance(100)
    assert it.tried == []
    assert it.service.reason == "not started"
    assert not it.service.bound


def test_while_the_path_is_down_nothing_connects() -> None:
    """G15: also not when somebody asks for it, and not after any pause."""
    it = bench()
    it.service.path_changed(GONE)
    it.start()
    it.service.revive()
    it.clock.advance(1000)
    assert it.tried == []
    assert it.service.reason == "path down: tun0 does not exist"
    assert it.service.status == "connecting"


def test_a_path_that_opens_has_its_bind_connect_after_a_moment() -> None:
    it = bench()
    it.service.path_changed(GONE)
    it.start()
    it.clock.advance(100)
    it.service.path_changed(UP)
    assert it.tried == []
    it.clock.advance(SETTLE)
    assert [time for time, _ in it.tried] == [100 + SETTLE]


def test_a_path_that_opens_ends_a_long_pause() -> None:
    it = bench()
    it.service.path_changed(UP)
    it.refuses = "no"
    it.start()
    for _ in range(200):
        it.clock.advance(0.1)
    it.refuses = ""
    last = it.tried[-1][0]
    it.service.path_changed(GONE)
    it.clock.advance(3)
    it.service.path_changed(UP)
    it.clock.advance(SETTLE)
    assert len(it.wires) == 1
    assert it.tried[-1][0] > last


def test_an_attempt_under_way_is_given_up_when_the_path_goes() -> None:
    it = bench()
    it.service.path_changed(UP)
    it.slow = True
    it.start()
    it.clock.advance(SETTLE)
    attempt: Any = it.service._attempt
    assert attempt is not None
    it.service.path_changed(GONE)
    assert it.service._attempt is None
    it.clock.advance(100)
    assert len(it.tried) == 1, "and that counts as no failure"


def test_first_attempts_on_a_new_path_are_cut_short() -> None:
    """A SYN that is lost in a tunnel which still wakes up is not waited for."""
    it = bench()
    it.service.path_changed(GONE)
    it.start()
    it.slow = True
    it.service.path_changed(UP)
    for _ in range(1000):
        it.clock.advance(0.01)
    times = [round(time, 1) for time, _ in it.tried]
    assert times == [round(SETTLE + n * PATIENCE, 1) for n in range(HASTY + 1)]
    it.pending[-1]()
    it.accept()
    assert it.service.bound


def test_a_path_that_flaps_never_makes_it_faster_than_its_first_pause() -> None:
    """G14."""
    it = bench(reconnect=Retry(first=1.0, factor=2.0, cap=8.0, jitter=0.0))
    it.service.path_changed(UP)
    it.refuses = "no"
    it.start()
    for _ in range(100):
        it.service.path_changed(GONE)
        it.clock.advance(0.05)
        it.service.path_changed(UP)
        it.clock.advance(SETTLE)
    times = [time for time, _ in it.tried]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.99


def test_a_path_that_opens_does_not_shorten_the_pause_after_wrong_credentials() -> None:
    """Operators lock accounts."""
    it = bench(refused_pause=600.0)
    it.service.path_changed(UP)
    it.start()
    it.accept(status=0x0E)
    it.clock.advance(1)
    it.service.path_changed(GONE)
    it.clock.advance(1)
    it.service.path_changed(UP)
    it.clock.advance(500)
    assert len(it.tried) == 1
    it.clock.advance(100)
    assert len(it.tried) == 2


def test_a_bind_that_was_stopped_stays_so_when_the_path_opens() -> None:
    it = bench()
    it.service.path_changed(GONE)
    it.start()
    it.service.kill()
    it.service.path_changed(UP)
    it.clock.advance(10)
    assert it.tried == []
    it.service.revive()
    assert len(it.tried) == 1


# ---- a bound link


def test_submits_stop_in_the_moment_the_path_is_lost() -> None:
    it = bound(window=5)
    assert it.service.credit == 5
    changes = it.changes
    it.service.path_changed(GONE)
    assert (it.service.credit, it.service.bound, it.service.status) == (0, False, "re-connecting")
    assert it.service.reason == "path down: tun0 does not exist"
    assert it.changes == changes + 1, "another SMSC may take what waits"


def test_a_gap_between_two_routes_costs_nothing() -> None:
    it = bound(window=5)
    it.service.path_changed(GONE)
    it.clock.advance(GRACE / 2)
    it.service.path_changed(UP)
    it.clock.advance(GRACE * 2)
    assert (it.service.credit, it.service.bound, it.service.reason) == (5, True, "bound")
    assert (len(it.wires), it.service.losses) == (1, 0)


def test_another_reason_gives_a_link_no_more_time() -> None:
    it = bound()
    it.service.path_changed(GONE)
    it.clock.advance(GRACE - 0.5)
    it.service.path_changed(Down("tun0 has no address"))
    assert it.service.reason == "path down: tun0 has no address"
    it.clock.advance(0.5)
    assert it.service.losses == 1


def test_a_path_that_stays_away_ends_the_link() -> None:
    it = bound(window=5)
    it.submit(1, 2)
    it.service.path_changed(GONE)
    it.clock.advance(GRACE)
    assert it.service.losses == 1
    assert [segment.id for segment in it.given_back] == [1, 2]
    it.clock.advance(100)
    assert len(it.tried) == 1
    it.service.path_changed(UP)
    it.clock.advance(SETTLE)
    it.accept()
    assert it.service.bound


def test_a_link_made_on_a_device_that_was_made_anew_is_dropped_at_once() -> None:
    """Its socket is tied to the old device."""
    it = bound(reconnect=Retry(first=0.1, jitter=0.0))
    it.clock.advance(5)
    it.service.path_changed(GONE)
    it.clock.advance(0.1)
    it.service.path_changed(ANEW)
    assert it.service.losses == 1
    it.clock.advance(SETTLE)
    assert len(it.wires) == 2
    it.accept()
    assert it.service.bound


def test_a_stop_while_the_path_is_down_does_not_wait_for_the_smsc() -> None:
    it = bound()
    it.submit(1)
    it.service.path_changed(GONE)
    done: list[None] = []
    it.service.stopService().addCallback(done.append)
    it.clock.advance(GRACE)
    assert done == [None]


def test_a_resting_bind_stays_at_rest_when_the_path_returns() -> None:
    """A link that was closed for want of traffic (UCP) counts as bound until there is some."""
    it = bound()
    it.service.heard(it.wire.protocol, [Closing("nothing to do", rest=True)])
    it.wire.ended(ConnectionDone())
    assert it.service.bound
    it.service.path_changed(GONE)
    assert it.service.credit == 0
    it.service.wake()
    assert len(it.tried) == 1
    states = [it.service.bound]
    it.service.path_changed(UP)
    it.clock.advance(10)
    assert [*states, it.service.bound] == [False, True]
    assert len(it.tried) == 1


# ---- not required


def test_a_path_that_is_not_required_keeps_nobody_from_connecting() -> None:
    it = bench(require=False)
    it.service.path_changed(GONE)
    it.start()
    assert len(it.tried) == 1
    it.accept()
    assert it.service.credit > 0
    it.service.path_changed(UP)
    it.clock.advance(10)
    assert (it.service.bound, it.service.losses) == (True, 0), "it works, whichever way it goes"


def test_a_link_through_a_tunnel_that_went_is_dropped_though_it_was_not_required() -> None:
    it = bench(require=False)
    it.service.path_changed(Up("10.0.0.1", 7))  # where the wire says that we are
    it.start()
    it.clock.advance(SETTLE)
    it.accept()
    it.service.path_changed(GONE)
    assert it.service.losses == 1
    it.clock.advance(2)
    assert len(it.tried) == 2, "another way may serve"


def test_without_a_tunnel_there_is_no_path_to_wait_for() -> None:
    it = Bench().start()
    assert len(it.tried) == 1


# ---- the log


def test_retries_and_changes_of_path_log_nothing_more(lines: list[str]) -> None:
    """The watcher says what becomes of the path; the bind, that it is bound again."""
    it = bound()
    for _ in range(3):
        it.service.path_changed(GONE)
        it.clock.advance(GRACE + 1)
        it.service.path_changed(UP)
        it.clock.advance(2)
        it.accept()
    assert lines == ["a/0 is bound", *["a/0 is bound again"] * 3]


def test_the_smscs_address_is_known_while_there_is_a_link() -> None:
    """Not longer: its name may stand for another one by then, which has a route."""
    it = bound()
    assert it.service.peer == "192.168.1.1"
    it.wire.ended(ConnectionDone())
    assert it.service.peer == ""
