"""TLS is loaded for whom it is configured: it is a fifth of the memory of an idle gateway.

Twisted loads OpenSSL wherever it is installed (see `no_tls_yet` for how it does not), and all that
we need of it is in `tls`. `prepare` loads that at the start, and at a reload, if the configuration
names TLS or an https URL. Where every dlr-url may be called nobody can know whether one will be
https: the first that is waits while a thread of the reactor's loads TLS.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from gatewayd.config import Config
from gatewayd.flow.targets import Targets

_loaded: list[bool] = []  # and completely: a module being loaded is in sys.modules already


def prepare(config: Config, targets: Targets) -> None:
    """Load TLS if `config`, or the `targets` that it allows, name it."""
    http = config.http
    if (
        any(smsc.tls.enabled for smsc in config.smscs)
        or any(at.tls.enabled for at in (http.admin, http.sendsms) if at is not None)
        or targets.https
    ):
        load()


def load() -> None:
    """Load TLS, in whatever thread."""
    import gatewayd.net.tls  # noqa: F401, PLC0415 - what this module is for

    _loaded.append(True)


@implementer(IStreamClientEndpoint)
class Https:
    """The way to an https origin; `trust_root` None: by the system's authorities."""

    def __init__(
        self, reactor: Any, way: IStreamClientEndpoint, host: str, trust_root: Any
    ) -> None:
        self._reactor = reactor
        self._way = way
        self._host = host
        self._trust_root = trust_root
        self._secured: IStreamClientEndpoint | None = None

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        loading: Deferred[None] = succeed(None)
        if not _loaded:
            loading = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), load)
        return loading.addCallback(self._connect, protocolFactory)

    def _connect(self, _: None, factory: IProtocolFactory) -> Deferred[Any]:
        if self._secured is None:
            from gatewayd.net.tls import verified  # noqa: PLC0415 - it is loaded by now

            try:
                self._secured = verified(self._reactor, self._way, self._host, self._trust_root)
            except ValueError as error:  # no name that a certificate could have
                raise ConnectError(string=str(error)) from error
        secured: Deferred[Any] = self._secured.connect(factory)
        return secured
