"""What is left of a link whose path went: its socket, until there is a path again."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from twisted.internet.task import Clock

from gatewayd.net.path import GRACE, Closable, Gate
from gatewayd.net.sockets import keep_open
from gatewayd.net.vpn import Down, Up

UP, ANEW, GONE = Up("10.66.0.2", 7), Up("10.66.0.2", 8), Down("tun0 is down")


class Left:
    """A socket that stayed open."""

    closed = 0

    def close(self) -> None:
        self.closed += 1


class Bind:
    """A bind that writes down what its gate asks for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left: Left | None = Left()

    def hold(self) -> None: ...

    def kick(self, settle: float) -> None: ...

    def abort(self) -> None:
        self.asked.append("abort")

    def part(self) -> Closable | None:
        self.asked.append("part")
        return self.left

    def path_told(self) -> None: ...


def parted(left: Left | None) -> Gate:
    """The gate of a bind whose path has been down for long enough."""
    bind, clock = Bind(), Clock()
    bind.left = left
    gate = Gate(True, bind, clock)
    gate.tell(UP)
    gate.linked("10.66.0.2")
    gate.tell(GONE)
    clock.advance(GRACE)
    assert bind.asked == ["part"]
    gate.unlinked()
    return gate


@pytest.mark.parametrize("path", [UP, ANEW])
def test_the_socket_stays_open_until_there_is_a_path(path: Up) -> None:
    left = Left()
    gate = parted(left)
    gate.tell(Down("tun0 has no address"))
    assert left.closed == 0
    gate.tell(path)
    gate.tell(GONE)
    gate.tell(path)
    assert left.closed == 1


def test_a_link_without_a_socket_leaves_nothing() -> None:
    parted(None).tell(UP)


# ---- the socket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        mine = socket.create_connection(server.getsockname())
        its, _ = server.accept()
        with mine, its:
            yield mine, its


def test_a_connection_outlives_its_transport(pair: tuple[socket.socket, socket.socket]) -> None:
    """Also one with TLS, which lies above TCP; the kernel does not give it up by itself."""
    mine, its = pair
    mine.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tcp = SimpleNamespace(getHandle=lambda: mine)
    for transport in (tcp, SimpleNamespace(getHandle=object, transport=tcp)):
        kept = keep_open(transport)
        assert kept is not None
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
        assert kept.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        kept.send(b"x")
        assert its.recv(1) == b"x"
        kept.close()
    last = keep_open(tcp)
    assert last is not None
    mine.close()
    last.send(b"y")
    assert its.recv(1) == b"y"
    last.close()
    assert its.recv(1) == b""


def test_where_there_is_no_socket_none_is_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    mine, _ = pair
    mine.close()
    assert keep_open(None) is None
    assert keep_open(object()) is None
    assert keep_open(SimpleNamespace(getHandle=lambda: mine)) is None
