"""Where binds connect to and listeners listen, with TLS where it is configured."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from OpenSSL import SSL
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
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
from zope.interface import implementer

from gatewayd.config import ListenerConfig, SmscConfig, TlsConfig
from gatewayd.net.sockets import ready

LOOK = 5.0  # seconds between two looks at whether a certificate was renewed
BACKLOG = 1024  # connects that may wait; Twisted's 50 costs some of a burst a whole second


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
        self._context = self._load()

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
        except (SSL.Error, OSError) as error:
            self.log.error(
                "{file} cannot be used, the old certificate stays: {reason}",
                file=self._files[0],
                reason=str(error)[:200],
            )
            return
        self.log.info("{file} is used from now on", file=self._files[0])

    def _load(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate_chain_file(self._files[0])
        context.use_privatekey_file(self._files[1])
        context.check_privatekey()
        return context

    def _look(self) -> list[tuple[int, int] | None]:
        return [_state(file) for file in self._files]


class Connector:
    """Makes endpoints and ports on one reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def endpoint(self, smsc: SmscConfig, host: str, port: int) -> IStreamClientEndpoint:
        """The SMSC's address; names are resolved again at each connect.

        Raises:
            GatewayError: its sockets must be bound to a device, which is not possible here.
        """
        source = (smsc.source_address, smsc.source_port) if smsc.source_address else None
        if source is None and smsc.source_port:
            source = ("0.0.0.0", smsc.source_port)  # noqa: S104 - any of our addresses, as asked
        # An address needs no name resolved, and its refusal is known at once, where
        # HostnameEndpoint would wait 0.3 s for other addresses of the name.
        kind: Any = HostnameEndpoint
        if isIPAddress(host):
            kind = TCP4ClientEndpoint
        elif isIPv6Address(host):
            kind = TCP6ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(
            ready(self._reactor, smsc),
            host,
            port,
            timeout=smsc.connect_timeout,
            bindAddress=source,
        )
        if not smsc.tls.enabled:
            return endpoint
        return wrapClientTLS(client_options(smsc.tls, host), endpoint)

    def listen(self, listener: ListenerConfig, factory: Any) -> IListeningPort:
        """`factory` has the methods of an IProtocolFactory."""
        host = "" if listener.host in ("*", "all") else listener.host
        if listener.tls.enabled:
            port: IListeningPort = self._reactor.listenSSL(
                listener.port,
                factory,
                ServerContext(listener.tls, self._reactor.seconds),
                BACKLOG,
                host,
            )
        else:
            port = self._reactor.listenTCP(listener.port, factory, BACKLOG, host)
        return port


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
