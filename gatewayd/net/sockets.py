"""Sockets to SMSCs, made ready before their first packet: device, keep-alive, time-outs.

Twisted makes a socket and begins to connect it in one go. Its own hook for making the socket,
`createInternetSocket`, is where the options go: later would be after the SYN.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import directlyProvides

from gatewayd.config import SmscConfig
from gatewayd.errors import GatewayError

Option = tuple[int, int, int | bytes]  # level, name, value: what setsockopt takes
_WITHOUT_ENQUIRE = 60.0  # seconds, where no enquire_link bounds the silence


def options_for(smsc: SmscConfig) -> tuple[Option, ...]:
    """What is set on each of its sockets, the device first. What a system lacks is left out.

    Raises:
        GatewayError: the socket must be bound to a device and this system cannot.
    """
    found: list[Option] = []
    if smsc.bound_to:
        to_device = getattr(socket, "SO_BINDTODEVICE", None)
        if to_device is None:
            raise GatewayError(f"no socket can be bound to {smsc.bound_to} on this system")
        found.append((socket.SOL_SOCKET, to_device, smsc.bound_to.encode() + b"\0"))
    settings: list[tuple[str, int]] = [("TCP_USER_TIMEOUT", round(1000 * user_timeout(smsc)))]
    if smsc.tcp.keepalive:
        found.append((socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1))
        settings += [
            ("TCP_KEEPIDLE", max(1, round(smsc.tcp.keepalive))),
            ("TCP_KEEPINTVL", max(1, round(smsc.tcp.keepalive_interval))),
            ("TCP_KEEPCNT", smsc.tcp.keepalive_probes),
        ]
    for name, value in settings:
        if (option := getattr(socket, name, None)) is not None:
            found.append((socket.IPPROTO_TCP, option, value))
    return tuple(found)


def user_timeout(smsc: SmscConfig) -> float:
    """Seconds that written data may stay unacknowledged: as long as enquire_link would take."""
    options = smsc.smpp
    if smsc.tcp.user_timeout:
        return smsc.tcp.user_timeout
    if not options.enquire_interval:
        return _WITHOUT_ENQUIRE
    return options.enquire_interval + options.enquire_timeout * max(1, options.enquire_misses)


def keep_open(transport: Any) -> socket.socket | None:
    """Another handle on the socket under `transport`, which outlives it; None if there is none.

    Packets of a connection whose socket is closed are answered by the kernel with resets, by
    whatever route there is. While the socket is open they belong to it, and so to its device. The
    kernel is told not to give it up by itself. Closing the handle resets the connection.
    """
    under = getattr(transport, "transport", transport)  # TLS lies above TCP
    handle = getattr(under, "getHandle", lambda: None)()
    if not isinstance(handle, socket.socket):
        return None
    try:
        kept = handle.dup()
    except OSError:
        return None
    with suppress(OSError):
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
        if (option := getattr(socket, "TCP_USER_TIMEOUT", None)) is not None:
            kept.setsockopt(socket.IPPROTO_TCP, option, 0)
    return kept


class ReadySocket(tcp.Client):
    """A connection whose socket has its options before it connects."""

    connector: ReadyConnector

    def createInternetSocket(self) -> socket.socket:
        made: socket.socket = super().createInternetSocket()  # type: ignore[no-untyped-call]
        try:
            for level, name, value in self.connector.options:
                made.setsockopt(level, name, value)
        except OSError:  # told as the connection's failure
            made.close()
            raise
        return made


class ReadyConnector(tcp.Connector):
    options: tuple[Option, ...] = ()

    def _makeTransport(self) -> ReadySocket:
        return ReadySocket(self.host, self.port, self.bindAddress, self, self.reactor)  # type: ignore[no-untyped-call]


class ReadyReactor:
    """The reactor for one SMSC's endpoints: what it connects over TCP has `options`."""

    def __init__(self, reactor: Any, options: tuple[Option, ...]) -> None:
        self._reactor = reactor
        self._options = options
        directlyProvides(self, IReactorPluggableNameResolver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> ReadyConnector:
        connector = ReadyConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.options = self._options
        connector.connect()
        return connector


def ready(reactor: Any, smsc: SmscConfig) -> Any:
    """A reactor whose connections have what the SMSC's configuration asks for.

    Raises:
        GatewayError: they must be bound to a device, and this reactor or system cannot.
    """
    if isinstance(reactor, PosixReactorBase):
        return ReadyReactor(reactor, options_for(smsc))
    if smsc.bound_to:
        raise GatewayError(f"no socket can be bound to {smsc.bound_to} with this reactor")
    return reactor
