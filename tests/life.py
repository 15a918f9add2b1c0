"""A whole gateway on a reactor of memory, seen from its SMSCs: for tests of its life."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from gatewayd.app import Gateway
from gatewayd.config import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    SmscConfig,
    StoreConfig,
)
from gatewayd.model import Acceptance, Order
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.store.contract import Item, Queue, State

T = TypeVar("T")
EPOCH = 1_800_000_000.0


class Reactor(MemoryReactorClock):
    """Time stands still unless told; what the store's thread says is heard in `settle`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.from_thread: SimpleQueue[tuple[Callable[..., object], Sequence[Any]]] = SimpleQueue()

    def callFromThread(self, call: Callable[..., object], *args: Any) -> None:
        self.from_thread.put((call, args))

    def result(self, deferred: Deferred[T]) -> T:
        got: list[Any] = []
        deferred.addBoth(got.append)
        while not got:
            call, args = self.from_thread.get(timeout=10)
            call(*args)
        if isinstance(got[0], Failure):
            got[0].raiseException()
        value: T = got[0]
        return value


class Link(StringTransport):
    """One connection of a bind, seen from the SMSC."""

    protocol: Any = None
    producer: Any

    def loseConnection(self) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            protocol.connectionLost(Failure(ConnectionDone()))

    abortConnection = loseConnection

    def pdus(self) -> list[pdus.Pdu]:
        data: bytes = self.value()  # type: ignore[no-untyped-call]
        self.clear()  # type: ignore[no-untyped-call]
        found = []
        while data:
            length = int.from_bytes(data[:4], "big")
            found.append(pdus.decode(data[:length]))
            data = data[length:]
        return found


class Life:
    """One life of a gateway on a store file."""

    def __init__(self, config: Config, **options: Any) -> None:
        self.reactor = Reactor()
        self.ended: list[str] = []
        self.gateway = Gateway(
            config,
            self.reactor,
            environ={},
            wall=lambda: EPOCH + self.reactor.seconds(),
            chance=lambda: 0.5,
            on_end=self.ended.append,
            **options,
        )
        self.links: list[Link] = []

    def settle(self, seconds: float = 0.05) -> None:
        """Let time pass until nothing is under way at the store."""
        reactor = self.reactor
        reactor.advance(seconds)
        for _ in range(4):
            reactor.result(self.gateway.store.depths())
            reactor.advance(0.0)

    def link(self, status: int = 0) -> Link:
        """The SMSC takes the connection that is waited for, and the bind."""
        link = Link()  # type: ignore[no-untyped-call]
        _, _, factory, _, _ = self.reactor.tcpClients[len(self.links)]
        link.protocol = factory.buildProtocol(None)
        self.links.append(link)
        link.protocol.makeConnection(link)
        (bind,) = link.pdus()
        assert isinstance(bind, pdus.Bind)
        self.say(link, pdus.BindResp(bind.command | pdus.RESPONSE, status, bind.sequence, b"s"))
        return link

    def say(self, link: Link, *what: pdus.Pdu) -> None:
        link.protocol.dataReceived(b"".join(map(pdus.encode, what)))

    def submits(self, link: Link) -> list[pdus.Sm]:
        return [pdu for pdu in link.pdus() if isinstance(pdu, pdus.Sm)]

    def send(self, text: str, **fields: Any) -> Acceptance:
        told: list[Acceptance] = []
        fields.setdefault("receivers", ["5511"])
        order = Order(user="u", source="100", text=text, **fields)
        self.gateway.control.accept(order, told.append)
        self.settle()
        assert len(told) == 1
        return told[0]

    def rows(self, queue: Queue, *states: State) -> list[Item]:
        page = self.gateway.store.browse(queue, None, states or tuple(State), 0, 10_000)
        found: Sequence[Item] = self.reactor.result(page)
        return list(found)

    def kill(self) -> None:
        """The process ends here: nothing is told to anybody, the kernel lets go of the lock."""
        database = self.gateway.store._database
        self.reactor.result(self.gateway.store._call(database._abandon))

    def stop(self, seconds: float = 30.0) -> list[None]:
        stopped: list[None] = []
        self.gateway.stopService().addCallback(stopped.append)
        for _ in range(int(seconds * 2)):
            if stopped:
                break
            self.reactor.advance(0.5)
            if not self.gateway.store._closed:
                self.drain()
        return stopped

    def drain(self) -> None:
        if self.gateway.store._closing is None:
            self.reactor.result(self.gateway.store.depths())
        else:
            call, args = self.reactor.from_thread.get(timeout=10)
            call(*args)


Start = Callable[..., Life]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Begins a life; all on one store file."""
    lives: list[Life] = []

    def begin(*smscs: SmscConfig, service: bool = True, **fields: Any) -> Life:
        fields.setdefault("http", HttpConfig(sendsms=None, admin=None))
        fields.setdefault("channels", (ChannelConfig("web", post_url="http://192.0.2.1/mo"),))
        fields.setdefault("store", StoreConfig(path=str(tmp_path / "store.sqlite3")))
        lives.append(Life(Config(smscs=smscs or (smsc(),), **fields)))
        if service:
            lives[-1].gateway.startService()
        return lives[-1]

    yield begin
    for life in lives:
        life.gateway.store._database._lock.release()


def smsc(name: str = "a", **fields: Any) -> SmscConfig:
    fields.setdefault("binds", (BindConfig(f"{name}/0"),))
    return SmscConfig(name, name, hosts=("192.0.2.7",), **fields)


def answer(life: Life, link: Link, *submits: pdus.Sm) -> None:
    life.say(
        link,
        *[
            pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, submit.sequence, f"i{submit.sequence}".encode())
            for submit in submits
        ],
    )
