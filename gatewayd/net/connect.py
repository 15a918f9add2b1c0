"""Where binds connect to and listeners listen, with TLS where it is configured."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IListeningPort, IStreamClientEndpoint

from gatewayd.config import ListenerConfig, SmscConfig
from gatewayd.net.sockets import ready

BACKLOG = 1024  # connects that may wait; Twisted's 50 costs some of a burst a whole second


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
        from gatewayd.net import tls  # noqa: PLC0415 - see tls_later

        return tls.Secured(self._reactor, tls.client_options(smsc.tls, host), endpoint)

    def listen(self, listener: ListenerConfig, factory: Any) -> IListeningPort:
        """`factory` has the methods of an IProtocolFactory."""
        host = "" if listener.host in ("*", "all") else listener.host
        if listener.tls.enabled:
            from gatewayd.net import tls  # noqa: PLC0415 - see tls_later

            factory = tls.behind(self._reactor, listener.tls, factory)
        port: IListeningPort = self._reactor.listenTCP(listener.port, factory, BACKLOG, host)
        return port
