"""TLS: what a listener shows, what is asked of an SMSC, and how a connection is wrapped in it.

Imported only where TLS is wanted, see `tls_later`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from gatewayd.config import TlsConfig
from gatewayd.errors import GatewayError

LOOK = 5.0  # seconds between two looks at whether a certificate was renewed


@implementer(IStreamClientEndpoint)
class Secured:
    """The way to a server, with TLS on it. Twisted's wrapClientTLS is not there without OpenSSL."""

    def __init__(self, reactor: Any, options: Any, way: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._options = options
        self._way = way

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        factory = TLSMemoryBIOFactory(self._options, True, protocolFactory, self._reactor)
        outer: Deferred[Any] = self._way.connect(factory)
        return outer.addCallback(lambda protocol: protocol.wrappedProtocol)


def verified(
    reactor: Any, way: IStreamClientEndpoint, host: str, trust_root: Any
) -> IStreamClientEndpoint:
    """The way to an https origin; None: the system's authorities. Raises ValueError."""
    return Secured(reactor, optionsForClientTLS(host, trustRoot=trust_root), way)


@implementer(IOpenSSLClientConnectionCreator)
class Unverified:
    """TLS without checking who the other side is: asked for by `verify: no`, and only then."""

    def __init__(self, server_name: str) -> None:
        self._name = server_name
        self._context = CertificateOptions(
            verify=False, raiseMinimumTo=TLSVersion.TLSv1_2
        ).getContext()

    def clientConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection


def _state(file: str) -> tuple[int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


@implementer(IOpenSSLContextFactory)
class ServerContext:
    """A listener's certificate (with its chain) and key, TLS 1.2 and later.

    When the files change, connections from then on get the new ones; those that cannot be used are
    told in the log, and the old ones stay. `now` is a monotonic clock: the files are looked at
    every `LOOK` seconds at most.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(self, tls: TlsConfig, now: Callable[[], float] = lambda: 0.0) -> None:
        self._files = (tls.certificate_file, tls.key_file or tls.certificate_file)
        self._now = now
        self._looked = now()
        self._seen = self._look()
        self._context = self._load()  # raises GatewayError

    def getContext(self) -> SSL.Context:
        now = self._now()
        if now - self._looked >= LOOK:
            self._looked = now
            self._refresh()
        return self._context

    def _refresh(self) -> None:
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._context = self._load()
        except (GatewayError, OSError) as error:
            self.log.error("The old certificate stays: {reason}", reason=str(error)[:300])
            return
        self.log.info("{file} is used from now on", file=self._files[0])

    def _load(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        try:
            context.use_certificate_chain_file(self._files[0])
            context.use_privatekey_file(self._files[1])
            context.check_privatekey()
        except SSL.Error as error:  # who handles it may have no TLS, and cannot name it
            raise GatewayError(f"{self._files[0]} cannot be used: {error}") from error
        return context

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(file) for file in self._files]


def behind(reactor: Any, tls: TlsConfig, factory: Any) -> TLSMemoryBIOFactory:
    """What listens for `factory` with TLS before it. Raises GatewayError."""
    return TLSMemoryBIOFactory(ServerContext(tls, reactor.seconds), False, factory, reactor)


def client_options(tls: TlsConfig, host: str) -> Any:
    """How we check an SMSC's certificate, and show ours if it wants one."""
    name = tls.server_name or host
    if not tls.verify:
        return Unverified(name)
    trust = platformTrust()
    if tls.ca_file:
        trust = trustRootFromCertificates(_certificates(tls.ca_file))
    mine = None
    if tls.certificate_file:
        pem = Path(tls.certificate_file).read_text("ascii")
        if tls.key_file:
            pem += Path(tls.key_file).read_text("ascii")
        mine = PrivateCertificate.loadPEM(pem)
    return optionsForClientTLS(name, trustRoot=trust, clientCertificate=mine)


def _certificates(path: str) -> list[Certificate]:
    """Every certificate of a PEM file."""
    end = "-----END CERTIFICATE-----"
    pieces = Path(path).read_text("ascii").split(end)[:-1]
    return [
        Certificate.loadPEM((piece[piece.index("-----BEGIN") :] + end).encode()) for piece in pieces
    ]
