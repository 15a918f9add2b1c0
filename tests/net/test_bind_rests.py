"""A bind whose session closed for want of traffic: it rests, and wakes when there is some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError, ConnectionDone
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.config import BindConfig, Retry, SmppOptions, SmscConfig
from gatewayd.model import Segment
from gatewayd.net.bind import Answer, BindService
from gatewayd.smsc.contract import Event, SessionOptions, load


@implementer(IStreamClientEndpoint)
class Target:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        bench = self._bench
        bench.connects += 1
        if bench.refuses:
            return fail(ConnectError())
        done: Deferred[IProtocol] = Deferred()
        bench.link = protocolFactory.buildProtocol(None)
        bench.wire = StringTransport()
        bench.link.makeConnection(bench.wire)
        done.callback(bench.link)
        return done


class Bench:
    """A bind that needs no login and rests after 20 seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connects = 0
        self.refuses = False
        self.wire: Any = None
        self.link: Any = None
        self.lost = 0
        bind = BindConfig("a/0")
        smpp = SmppOptions(inactivity=20.0, enquire_interval=0.0)
        pause = Retry(10.0, 1.0, 10.0, 0.0)
        smsc = SmscConfig("a", "a", "ucp", ("h",), 3000, (bind,), reconnect=pause, smpp=smpp)
        make = load("ucp").esme
        self.service = BindService(
            smsc,
            bind,
            lambda: make(SessionOptions(smsc, bind)),
            lambda host, port: Target(self),
            self,
            self.clock,
            lambda: 0.5,
        )
        self.service.startService()
        self.clock.advance(0)

    def ended(self) -> None:
        self.link.connectionLost(Failure(ConnectionDone()))

    def rested(self) -> Bench:
        self.clock.advance(20)
        assert self.wire.disconnecting
        self.ended()
        return self

    # -- Listener

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None:
        pass

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None:
        self.lost += 1

    def state_changed(self, bind: BindService) -> None:
        pass


def test_a_resting_bind_counts_as_bound_and_does_not_connect() -> None:
    bench = Bench().rested()
    bench.clock.advance(3600)
    assert (bench.connects, bench.lost) == (1, 1)
    assert (bench.service.bound, bench.service.status) == (True, "online")
    assert (bench.service.credit, bench.service.in_flight) == (0, 0)


def test_it_connects_as_soon_as_something_waits() -> None:
    bench = Bench().rested()
    bench.service.wake()
    bench.service.wake()
    bench.clock.advance(0)
    assert (bench.connects, bench.service.bound) == (2, True)
    assert bench.service.credit > 0
    assert bench.service.submit(Segment(1, "1", "2", b""), bench.clock.seconds()) is None


def test_a_bind_that_does_not_rest_has_no_use_for_waking() -> None:
    bench = Bench()
    bench.service.wake()
    assert bench.connects == 1
    bench.ended()  # the SMSC closed the link
    assert not bench.service.bound
    bench.service.wake()
    assert bench.connects == 1
    bench.clock.advance(10)
    assert bench.connects == 2


def test_a_bind_that_cannot_wake_counts_as_bound_no_more() -> None:
    bench = Bench().rested()
    bench.refuses = True
    bench.service.wake()
    assert (bench.connects, bench.service.bound) == (2, False)
    bench.refuses = False
    bench.clock.advance(10)
    bench.clock.advance(0)
    assert (bench.connects, bench.service.bound) == (3, True)


def test_a_resting_bind_stops_at_once() -> None:
    bench = Bench().rested()
    stopped: list[None] = []
    bench.service.stopService().addCallback(stopped.append)
    assert stopped == [None]
    bench.service.wake()
    assert bench.connects == 1


def test_a_killed_bind_does_not_wake() -> None:
    bench = Bench().rested()
    bench.service.kill()
    bench.service.wake()
    assert (bench.connects, bench.service.bound) == (1, False)
    bench.service.revive()
    assert bench.connects == 2
