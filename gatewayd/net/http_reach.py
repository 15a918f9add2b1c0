"""How a platform's host is reached: looked up, its addresses checked, connected to one of those.

Twisted's HostnameEndpoint asks the reactor's resolver and connects to what it is told. The resolver
it is given here leaves out every address that `Targets` refuses, so that what was checked is what
is connected to, whatever the DNS says a moment later.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.flow.targets import Origin, Targets


def is_ours(address: str) -> bool:
    """Whether `address` is one of this machine's: only those can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
    except OSError:
        return False
    return True


@implementer(IResolutionReceiver)
class _Sieve:
    """Hands on the addresses that are allowed, and remembers why others were not."""

    def __init__(self, receiver: Any, way: Reach) -> None:
        self._receiver = receiver
        self._way = way

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        self._receiver.resolutionBegan(resolutionInProgress)

    def addressResolved(self, address: IAddress) -> None:
        if not self._way.refuse(str(getattr(address, "host", ""))):
            self._receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class _Resolver:
    def __init__(self, reactor: Any, way: Reach) -> None:
        self._reactor = reactor
        self._way = way

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        found: IHostResolution = self._reactor.nameResolver.resolveHostName(
            _Sieve(resolutionReceiver, self._way),
            hostName,
            portNumber,
            addressTypes,
            transportSemantics,
        )
        return found


@implementer(IReactorPluggableNameResolver)
class _CheckedReactor:
    """The reactor for one host's endpoint."""

    def __init__(self, reactor: Any, way: Reach) -> None:
        self._reactor = reactor
        self.nameResolver = _Resolver(reactor, way)

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """The reactor's own; ours asks it."""
        before: IHostnameResolver = self._reactor.installNameResolver(resolver)
        return before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IStreamClientEndpoint)
class Reach:
    """The way to one origin, over TCP, to allowed addresses only."""

    def __init__(self, reactor: Any, targets: Targets, origin: Origin, timeout: float) -> None:
        self._targets = targets
        self._origin = origin
        self._refused = ""
        self._endpoint = HostnameEndpoint(
            _CheckedReactor(reactor, self), origin.host, origin.port, timeout=timeout
        )

    def refuse(self, address: str) -> bool:
        """Whether this address of the host is refused."""
        why = self._targets.address_refusal(self._origin, address)
        self._refused = why or self._refused
        return bool(why)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        self._refused = ""
        return self._endpoint.connect(protocolFactory).addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        if self._refused and failure.check(DNSLookupError):
            return Failure(ConnectError(string=self._refused))
        return failure


def way_to(
    reactor: Any, targets: Targets | None, scheme: str, host: str, port: int, timeout: float
) -> IStreamClientEndpoint:
    """How to reach an origin over TCP. Raises ValueError, with the reason, if it may not be."""
    if targets is None or targets.anything:
        plain: IStreamClientEndpoint = HostnameEndpoint(reactor, host, port, timeout=timeout)
        return plain
    origin = targets.find(scheme, host, port)
    if isinstance(origin, Origin):
        return Reach(reactor, targets, origin, timeout)
    raise ValueError(origin)
