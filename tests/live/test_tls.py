"""TLS over loopback: SMSCs whose certificates are checked, and links that close."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor as _reactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol

from gatewayd.config import BindConfig, ListenerConfig, SmscConfig, TlsConfig
from gatewayd.net.bind import Answer, BindService
from gatewayd.net.connect import Connector
from gatewayd.net.tls import ServerContext
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import Event, SessionOptions
from gatewayd.smsc.smpp import SmppSession
from tests.live.certificates import Authority

pytestmark = pytest.mark.live

shared: Any = _reactor
NAME = "smsc.example"
HOST = "127.0.0.1"


class Smsc(Protocol):
    """Takes every bind and answers an unbind."""

    factory: Any

    def connectionMade(self) -> None:
        self.factory.links.append(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.ended += 1

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        command, sequence = int.from_bytes(data[4:8], "big"), int.from_bytes(data[12:16], "big")
        if command == pdus.BIND_TRANSCEIVER:
            answer = pdus.BindResp(pdus.BIND_TRANSCEIVER | pdus.RESPONSE, 0, sequence, b"s")
            self.transport.write(pdus.encode(answer))
        elif command == pdus.UNBIND:
            self.transport.write(pdus.encode_plain(pdus.UNBIND_RESP, 0, sequence))


class Stage:
    """A reactor of its own, an SMSC on a free port, and a bind towards it."""

    def __init__(self) -> None:
        self.reactor: Any = EPollReactor()
        self.reactor.startRunning(installSignalHandlers=False)
        self.connector = Connector(self.reactor)
        factory: Any = Factory.forProtocol(Smsc)
        self.factory = factory
        self.factory.links = []
        self.factory.ended = 0
        self.port: Any = None
        self.service: BindService

    def listen(self, certificate: str) -> None:
        tls = TlsConfig(enabled=True, certificate_file=certificate)
        self.port = self.connector.listen(ListenerConfig(HOST, 0, tls), self.factory)

    def bind(self, tls: TlsConfig) -> None:
        bind = BindConfig("a/0")
        smsc = SmscConfig(
            "a", "a", binds=(bind,), hosts=(HOST,), port=self.port.getHost().port, tls=tls
        )
        self.service = BindService(
            smsc,
            bind,
            lambda: SmppSession(SessionOptions(smsc, bind)),
            partial(self.connector.endpoint, smsc),
            self,
            self.reactor,
            lambda: 0.5,
        )
        self.service.startService()

    def until(self, true: Callable[[], bool], seconds: float = 3.0) -> bool:
        """Run until it is so, or `seconds` have passed; whether it is so."""
        reactor = self.reactor
        ends = reactor.seconds() + seconds
        while not true() and reactor.seconds() < ends:
            reactor.iterate(0.01)
            shared.runUntilCurrent()  # Twisted's TLS has its timers there
        return true()

    def close(self) -> None:
        self.service.stopService()
        self.service.abort()
        self.port.stopListening()
        self.reactor.stop()
        for _ in range(5):
            self.reactor.iterate(0.01)

    # -- Listener

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None: ...

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None: ...

    def state_changed(self, bind: BindService) -> None: ...


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def outcome(certificate: str, tls: TlsConfig) -> tuple[bool, str]:
    """Whether the bind came up, and what it says of itself."""
    stage = Stage()
    stage.listen(certificate)
    try:
        stage.bind(tls)
        stage.until(
            lambda: stage.service.bound or stage.service.reason not in ("not started", "binding")
        )
        return stage.service.bound, stage.service.reason
    finally:
        stage.close()


def trusting(authority: Authority, **fields: Any) -> TlsConfig:
    fields.setdefault("server_name", NAME)
    return TlsConfig(enabled=True, ca_file=authority.file, **fields)


def test_a_certificate_of_the_trusted_authority_for_this_name_is_taken(
    authority: Authority,
) -> None:
    assert outcome(authority.issue("s", x509.DNSName(NAME)), trusting(authority))[0]


def test_an_address_may_stand_in_the_certificate_instead_of_a_name(authority: Authority) -> None:
    certificate = authority.issue("s", x509.IPAddress(ip_address(HOST)))
    assert outcome(certificate, trusting(authority, server_name=""))[0]


@pytest.mark.parametrize("case", ["expired", "self-signed", "other name", "system's authorities"])
def test_t04_any_other_certificate_is_refused_by_default(
    case: str, authority: Authority, tmp_path: Path
) -> None:
    tls = trusting(authority)
    if case == "expired":
        certificate = authority.issue("s", x509.DNSName(NAME), days=-1)
    elif case == "self-signed":
        certificate = Authority(tmp_path, "other").issue("s", x509.DNSName(NAME))
    elif case == "other name":
        certificate = authority.issue("s", x509.DNSName("other.example"))
    else:
        certificate = authority.issue("s", x509.DNSName(NAME))
        tls = TlsConfig(enabled=True, server_name=NAME)
    bound, reason = outcome(certificate, tls)
    assert not bound
    assert reason
    assert outcome(certificate, TlsConfig(enabled=True, verify=False))[0], "unless it is asked for"


def test_our_own_certificate_is_shown_to_an_smsc_that_wants_one(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = authority.issue("s", x509.DNSName(NAME))
    mine = authority.issue("me", x509.DNSName("me.example"))
    make = ServerContext.getContext

    def wants_one(self: ServerContext) -> SSL.Context:
        context = make(self)
        context.load_verify_locations(authority.file)
        context.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *seen: bool(seen[-1])
        )
        return context

    monkeypatch.setattr(ServerContext, "getContext", wants_one)
    assert outcome(server, trusting(authority, certificate_file=mine))[0]
    stage = Stage()
    stage.listen(server)
    stage.bind(trusting(authority))
    assert stage.until(lambda: stage.service.reason not in ("not started", "binding", "bound"))
    stage.close()


@pytest.mark.parametrize("who", ["we", "the SMSC"])
def test_a_tls_link_closes_when_either_side_unbinds(who: str, authority: Authority) -> None:
    stage = Stage()
    stage.listen(authority.issue("s", x509.DNSName(NAME)))
    stage.bind(trusting(authority))
    assert stage.until(lambda: stage.service.bound)
    stopped: list[None] = []
    if who == "we":
        stage.service.stopService().addCallback(stopped.append)
        assert stage.until(lambda: bool(stopped))
    else:
        stage.factory.links[0].transport.write(pdus.encode_plain(pdus.UNBIND, 0, 5))
        assert stage.until(lambda: stage.service.losses == 1)
    assert stage.until(lambda: stage.factory.ended == 1)
    stage.close()
