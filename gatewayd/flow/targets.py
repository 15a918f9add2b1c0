"""Which URLs may be called, and to which addresses that may lead: nobody calls inside through us.

A dlr-url comes from a caller, and so does what its host's DNS says. So the origin (scheme, host and
port) must be one that the configuration names, and the address that the name leads to is looked at
again before each connection (`net.http_reach`).
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Final
from urllib.parse import urlsplit

from gatewayd.config.model import Config, ListenerConfig
from gatewayd.config.url_patterns import (
    ANY,
    PORTS,
    Address,
    Network,
    UrlPattern,
    address_of,
    parse,
)

REFUSED: Final = "not allowed"  # how every refusal begins

_REMEMBERED = 1000  # origins whose verdict is kept
_LOWEST_PORT = 1024  # below it, behind a pattern for all ports, only those of the web
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_SHARED = ip_network("100.64.0.0/10")  # carriers' networks behind NAT: not public, not "private"
_NEIGHBOURS = {4: 24, 6: 64}  # an SMSC's network, when all we know is one of its addresses


class Origin:
    """Scheme, host and port of one URL, and how far it is trusted."""

    __slots__ = ("exact", "host", "literal", "port")

    def __init__(self, host: str, port: int, *, literal: bool, exact: bool) -> None:
        self.host = host
        self.port = port
        self.literal = literal  # the address itself is listed, so it may be any
        self.exact = exact  # the name itself is listed, so it may be one of our own networks


class Targets:
    """Decides by the configuration. `is_ours` tells whether an address is one of this machine's."""

    def __init__(
        self, config: Config, is_ours: Callable[[str], bool] = lambda address: False
    ) -> None:
        self._is_ours = is_ours
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Decide by `config` from now on."""
        self._known: dict[str, str] = {}
        allow = config.http.dlr_url_allow
        self.anything = ANY in allow
        self._patterns: list[UrlPattern] = [parse(text) for text in allow if text != ANY]
        self._own = [one for one in (config.http.sendsms, config.http.admin) if one is not None]
        self._smscs: list[Address] = []
        for smsc in config.smscs:
            hosts = (*smsc.hosts, *(bind.host for bind in smsc.binds if bind.host))
            self._smscs += [known for host in hosts if (known := address_of(host))]
        self._smsc_networks: list[Network] = [
            ip_network(f"{address}/{_NEIGHBOURS[address.version]}", strict=False)
            for address in self._smscs
        ]
        urls = [user.dlr_url for user in config.users]
        for channel in config.channels:
            urls += [channel.get_url, channel.post_url, channel.post_xml, channel.dlr_url]
        self._origins = {found for url in urls if (found := _origin(url))}
        # Whether an https URL is named; with `anything` there may be others.
        self.https = any(scheme == "https" for scheme, _, _ in self._origins) or any(
            pattern.scheme == "https" for pattern in self._patterns
        )

    def refusal(self, url: str) -> str:
        """Why `url` may not be called as it stands; "" when it may. The name is not looked up."""
        if self.anything:
            return ""
        cut = url.find("/", 8)
        head = url if cut < 0 else url[:cut]  # whatever else it holds, all of the origin
        why = self._known.get(head)
        if why is None:
            why = self._refusal(head)
            if len(self._known) < _REMEMBERED and len(head) < 300:
                self._known[head] = why
        return why

    def _refusal(self, url: str) -> str:
        origin = _origin(url)
        if origin is None:
            return f"{REFUSED}: not an http URL without user and password"
        found = self.find(*origin)
        return found if isinstance(found, str) else ""

    def find(self, scheme: str, host: str, port: int) -> Origin | str:
        """The origin with the trust it has, or why it may not be called."""
        host = host.lower().rstrip(".")
        address = address_of(host)
        if self.anything:
            return Origin(host, port, literal=True, exact=True)
        if (scheme, host, port) in self._origins:
            return Origin(host, port, literal=address is not None, exact=True)
        if address is None and host.rpartition(".")[2][:1].isdigit():
            return f"{REFUSED}: {host[:100]} is neither a name nor an address"
        literal = exact = matched = False
        for pattern in self._patterns:
            if not pattern.matches(scheme, host, port, address):
                continue
            if not pattern.port and port < _LOWEST_PORT and port not in PORTS.values():
                continue
            matched = True
            literal |= pattern.network is not None
            exact |= bool(pattern.host)
        if not exact and (host == "localhost" or host.endswith(".localhost")):
            matched = False
        if not matched:
            return f"{REFUSED}: {host[:100]}:{port} is in no channel and not in dlr-url-allow"
        origin = Origin(host, port, literal=literal, exact=exact)
        why = self.address_refusal(origin, host) if address is not None else ""
        return why or origin

    def address_refusal(self, origin: Origin, address: str) -> str:
        """Why a connection to `address`, where the origin's name led, is refused; "": it is not."""
        if origin.literal:
            return ""
        found = address_of(address.partition("%")[0])
        if found is None:
            return f"{REFUSED}: {address[:50]} is no address"
        if any(
            pattern.network is not None
            and pattern.port in (0, origin.port)
            and found in pattern.network
            for pattern in self._patterns
        ):
            return ""
        what = self._what(found, origin)
        return f"{REFUSED}: {origin.host[:100]} leads to {found}, {what}" if what else ""

    def _what(self, address: Address, origin: Origin) -> str:
        """What is wrong with an address that no pattern names."""
        if any(self._is_own(one, address, origin.port) for one in self._own):
            return "our own port"
        if address in self._smscs:
            return "an SMSC"
        if address.is_multicast or address.is_unspecified or address.is_link_local:
            return "which is link-local, multicast or nowhere"
        if address.is_loopback:
            return "" if origin.exact and origin.host == "localhost" else "which is loopback"
        if not origin.exact and any(address in network for network in self._smsc_networks):
            return "in the network of an SMSC"
        if not _public(address) and not origin.exact:
            return "which is not public"
        return ""

    def _is_own(self, listener: ListenerConfig, address: Address, port: int) -> bool:
        if port != listener.port:
            return False
        if listener.host in _WILDCARDS or listener.host == "localhost":
            return address.is_loopback or address.is_unspecified or self._is_ours(str(address))
        return address == address_of(listener.host) or address.is_unspecified


def _public(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and address not in _SHARED


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is no plain http or https URL."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or parts.scheme not in PORTS or port == 0 or "@" in parts.netloc:
        return None
    if not (host.isascii() and host.isprintable()) or " " in host or "%" in host:
        return None
    return parts.scheme, host.lower().rstrip("."), port or PORTS[parts.scheme]
