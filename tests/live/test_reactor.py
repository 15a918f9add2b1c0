"""The lean reactor does what any reactor does; only sooner."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.protocol import ClientFactory, Protocol

from gatewayd.net.reactor import AT_ONCE, LeanReactor

pytestmark = pytest.mark.live

PATIENCE = 10.0  # seconds until a test that hangs is ended


class Ends:
    """A reactor of its own, and both ends of connections through it."""

    def __init__(self) -> None:
        self.reactor: Any = LeanReactor()
        self.served: list[Recorder] = []
        self.made: list[Recorder] = []
        self.on_data: Callable[[Recorder, bytes], None] = lambda one, data: None
        self.on_end: Callable[[Recorder], None] = lambda one: None

    def recorder(self, into: list[Recorder]) -> ClientFactory:
        class Recording(ClientFactory):
            noisy = False

            def buildProtocol(factory, addr: object) -> Recorder:
                one = Recorder(self)
                into.append(one)
                return one

        return Recording()

    def connect(self, ready: Callable[[Recorder, Recorder], None]) -> None:
        """`ready(client, server)` once both ends are there."""
        port = self.reactor.listenTCP(0, self.recorder(self.served), interface="127.0.0.1")
        number = port.getHost().port
        self.reactor.connectTCP("127.0.0.1", number, self.recorder(self.made))

        def look() -> None:
            if self.served and self.made and self.made[-1].transport is not None:
                ready(self.made[-1], self.served[-1])
            else:
                self.reactor.callLater(0.001, look)

        self.reactor.callWhenRunning(look)

    def stop_when_both_are_over(self) -> None:
        def over(one: Recorder) -> None:
            if self.served[0].over and self.made[0].over:
                self.reactor.stop()

        self.on_end = over

    def run(self) -> None:
        hung: list[str] = []

        def hangs() -> None:
            hung.append("hung")
            self.reactor.stop()

        ended = self.reactor.callLater(PATIENCE, hangs)
        self.reactor.run(installSignalHandlers=False)
        if ended.active():
            ended.cancel()
        assert not hung


class Recorder(Protocol):
    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        self.data = b""
        self.over = False

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self.ends.on_data(self, data)

    def connectionLost(self, reason: object = None) -> None:
        self.over = True
        self.ends.on_end(self)


@pytest.fixture
def ends() -> Iterator[Ends]:
    found = Ends()
    yield found
    for reader in found.reactor.removeAll():
        reader.connectionLost(OSError("over"))


def test_what_is_written_in_one_turn_arrives_in_order(ends: Ends) -> None:
    def ready(client: Recorder, server: Recorder) -> None:
        for n in range(10):
            client.transport.write(b"%d" % n)  # type: ignore[union-attr]

    def got(one: Recorder, data: bytes) -> None:
        if one.data == b"0123456789":
            ends.reactor.stop()

    ends.on_data = got
    ends.connect(ready)
    ends.run()


def test_what_the_peer_does_not_take_waits_and_then_goes(ends: Ends) -> None:
    """More than fits into both socket buffers, to a peer that begins to read later."""
    whole = bytes(range(256)) * 40_000

    def ready(client: Recorder, server: Recorder) -> None:
        server.transport.pauseProducing()  # type: ignore[union-attr]
        client.transport.write(whole)  # type: ignore[union-attr]

        def later() -> None:
            assert client.transport in ends.reactor.getWriters()
            server.transport.resumeProducing()  # type: ignore[union-attr]

        ends.reactor.callLater(0.05, later)

    def got(one: Recorder, data: bytes) -> None:
        if len(one.data) == len(whole):
            ends.reactor.stop()

    ends.on_data = got
    ends.connect(ready)
    ends.run()
    assert ends.served[0].data == whole
    assert ends.reactor.getWriters() == []


def test_a_peer_that_sends_much_is_read_in_turn_with_the_others(ends: Ends) -> None:
    """What one sends at once is many turns, so who sent a little never waits for all of it."""
    pieces: list[int] = []

    def ready(client: Recorder, server: Recorder) -> None:
        client.transport.write(bytes(60_000))  # type: ignore[union-attr]

    def got(one: Recorder, data: bytes) -> None:
        pieces.append(len(data))
        if sum(pieces) == 60_000:
            ends.reactor.stop()

    ends.on_data = got
    ends.connect(ready)
    ends.run()
    assert max(pieces) <= AT_ONCE < 5000


def test_a_connection_closes_after_what_was_written(ends: Ends) -> None:
    def ready(client: Recorder, server: Recorder) -> None:
        client.transport.write(b"last words")  # type: ignore[union-attr]
        client.transport.loseConnection()  # type: ignore[union-attr]

    ends.stop_when_both_are_over()
    ends.connect(ready)
    ends.run()
    assert ends.served[0].data == b"last words"


def test_nothing_is_sent_on_a_connection_that_was_aborted(ends: Ends) -> None:
    def ready(client: Recorder, server: Recorder) -> None:
        client.transport.write(b"too")  # type: ignore[union-attr]
        client.transport.abortConnection()  # type: ignore[union-attr]
        client.transport.write(b"late")  # type: ignore[union-attr]

    ends.stop_when_both_are_over()
    ends.connect(ready)
    ends.run()
    assert ends.served[0].data == b""


@pytest.mark.parametrize("streaming", [True, False])
def test_a_producer_goes_on_when_its_writes_are_sent(ends: Ends, streaming: bool) -> None:
    """A streaming one was told to pause, since it wrote more than a buffer holds."""
    chunk = bytes(100_000)

    class Producer:
        left = 5

        def __init__(self, transport: Any) -> None:
            self.transport = transport
            self.paused = False

        def resumeProducing(self) -> None:
            self.paused = False
            self.left -= 1
            if self.left < 0:
                self.transport.unregisterProducer()
            else:
                self.transport.write(chunk)

        def pauseProducing(self) -> None:
            self.paused = True

        def stopProducing(self) -> None:
            pass

    def ready(client: Recorder, server: Recorder) -> None:
        producer = Producer(client.transport)
        client.transport.registerProducer(producer, streaming)  # type: ignore[union-attr]
        if streaming:
            producer.resumeProducing()
            assert producer.paused

    def got(one: Recorder, data: bytes) -> None:
        if len(one.data) == 5 * len(chunk):
            ends.reactor.stop()

    ends.on_data = got
    ends.connect(ready)
    ends.run()
    assert len(ends.served[0].data) == 5 * len(chunk)


def test_it_ends_when_a_write_leads_to_its_end(ends: Ends) -> None:
    """The end is asked for while writers write: nothing else would wake the reactor."""

    def over(one: Recorder) -> None:
        if one is ends.made[0]:
            ends.reactor.stop()

    ends.on_end = over
    ends.connect(lambda client, server: client.transport.loseConnection())  # type: ignore[union-attr]
    ends.run()


def test_a_mistake_in_reading_costs_its_own_connection(ends: Ends) -> None:
    def ready(client: Recorder, server: Recorder) -> None:
        client.transport.write(b"x")  # type: ignore[union-attr]

    def broken(one: Recorder, data: bytes) -> None:
        raise ValueError("ours")

    def over(one: Recorder) -> None:
        if one is ends.made[0]:
            ends.reactor.stop()

    ends.on_data = broken
    ends.on_end = over
    ends.connect(ready)
    ends.run()
    assert ends.served[0].over


def test_a_mistake_in_writing_costs_its_own_connection(ends: Ends) -> None:
    lost: list[object] = []

    class Broken:
        def __init__(self) -> None:
            self.ours, self.theirs = socket.socketpair()

        def fileno(self) -> int:
            return self.ours.fileno()

        def doWrite(self) -> None:
            raise ValueError("ours")

        def connectionLost(self, reason: object) -> None:
            lost.append(reason)
            self.ours.close()
            self.theirs.close()
            ends.reactor.stop()

        def logPrefix(self) -> str:
            return "broken"

    ends.reactor.callWhenRunning(lambda: ends.reactor.addWriter(Broken()))
    ends.run()
    assert len(lost) == 1
