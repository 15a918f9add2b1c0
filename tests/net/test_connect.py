"""Endpoints and ports as the configuration asks for them; TLS itself is in tests/live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from gatewayd.config import ListenerConfig, SmscConfig, TlsConfig
from gatewayd.errors import GatewayError
from gatewayd.net.connect import Connector
from gatewayd.net.tls import ServerContext, Unverified, client_options


def connected(**fields: Any) -> tuple[Any, ...]:
    """Host, port, factory, time-out and own address of the connect that is made."""
    reactor = MemoryReactorClock()
    smsc = SmscConfig("a", "a", **fields)
    Connector(reactor).endpoint(smsc, "192.0.2.1", 2775).connect(Factory.forProtocol(Protocol))
    (client,) = reactor.tcpClients
    return client


def test_an_smsc_is_connected_to_within_its_time() -> None:
    _, port, _, timeout, own = connected(connect_timeout=7.0)
    assert (port, timeout, own) == (2775, 7.0, None)


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"source_address": "192.0.2.9"}, ("192.0.2.9", 0)),
        ({"source_port": 4000}, ("0.0.0.0", 4000)),
        ({"source_address": "192.0.2.9", "source_port": 4000}, ("192.0.2.9", 4000)),
    ],
)
def test_our_own_address_may_be_fixed(fields: dict[str, Any], own: tuple[str, int]) -> None:
    assert connected(**fields)[4] == own


@implementer(IHostnameResolver)
class Names:
    """Gives a name another address each time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(None)
        address = IPv4Address("TCP", f"192.0.2.{len(self.asked)}", portNumber)
        resolutionReceiver.addressResolved(address)
        resolutionReceiver.resolutionComplete()


def test_a_name_is_looked_up_again_at_each_connect() -> None:
    reactor = MemoryReactorClock()
    names = Names()
    reactor.installNameResolver(names)
    connector = Connector(reactor)
    for _ in range(2):
        endpoint = connector.endpoint(SmscConfig("a", "a"), "smsc.example", 2775)
        endpoint.connect(Factory.forProtocol(Protocol))
    assert names.asked == ["smsc.example"] * 2
    assert [client[0] for client in reactor.tcpClients] == ["192.0.2.1", "192.0.2.2"]


@pytest.mark.parametrize(
    ("host", "interface"), [("127.0.0.1", "127.0.0.1"), ("*", ""), ("all", ""), ("::1", "::1")]
)
def test_a_listener_listens_where_it_is_told(host: str, interface: str) -> None:
    reactor = MemoryReactorClock()
    factory: Any = Factory.forProtocol(Protocol)
    Connector(reactor).listen(ListenerConfig(host, 13013), factory)
    assert reactor.tcpServers == [(13013, factory, 1024, interface)]


def test_nothing_but_verify_no_switches_verification_off() -> None:
    assert isinstance(client_options(TlsConfig(enabled=True, verify=False), "h"), Unverified)
    assert not isinstance(client_options(TlsConfig(enabled=True), "h.example"), Unverified)


def test_an_authority_or_certificate_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    for tls in (
        TlsConfig(enabled=True, ca_file=missing),
        TlsConfig(enabled=True, certificate_file=missing),
    ):
        with pytest.raises(OSError, match=r"missing\.pem"):
            client_options(tls, "h.example")
    with pytest.raises(GatewayError, match=r"missing\.pem cannot be used"):
        ServerContext(TlsConfig(enabled=True, certificate_file=missing))
