"""Patterns of the URLs that may be called: scheme, host and port, as ``https://*.example.net``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gatewayd.config.values import host as host_name
from gatewayd.config.values import port as port_number
from gatewayd.config.values import shown, string

ANY = "any"
PORTS = {"http": 80, "https": 443}

_PATTERN = re.compile(r"(https?)://(\[[^\]]*\](?:/[0-9]+)?|[^:\[\]]+)(?::([0-9]+|\*))?", re.I)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """One pattern, taken apart. Exactly one of `network`, `suffix` and `host` says which host."""

    scheme: str
    port: int  # 0: every port
    host: str = ""  # a name, exactly
    suffix: str = ""  # ".example.net": every name below it; ".": every name and address
    network: Network | None = None

    def matches(self, scheme: str, host: str, port: int, address: Address | None) -> bool:
        """Whether a URL's origin is covered; `address` is `host` when that is one."""
        if scheme != self.scheme or self.port not in (0, port):
            return False
        if self.network is not None:
            return address is not None and address in self.network
        if self.suffix:
            return self.suffix == "." or (address is None and host.endswith(self.suffix))
        return host == self.host


def parse(text: str) -> UrlPattern:
    """A pattern as it is written in the configuration; not ``any``.

    ``https://host``, ``https://*.example.net:8443``, ``http://10.0.0.0/8:*``,
    ``http://[2001:db8::]/32:8080``. Without a port it is the scheme's own. Raises ValueError.
    """
    found = _PATTERN.fullmatch(string(text))
    if found is None:
        raise ValueError(
            f"{shown(text)} is neither {ANY} nor scheme://host or scheme://host:port "
            "(https://*.example.net, http://10.0.0.0/8:8080)"
        )
    scheme, host = found[1].lower(), found[2].lower().rstrip(".")
    port = 0 if found[3] == "*" else port_number(found[3]) if found[3] else PORTS[scheme]
    plain = host.replace("[", "").replace("]", "")
    if plain == "*":
        return UrlPattern(scheme, port, suffix=".")
    if plain.startswith("*."):
        return UrlPattern(scheme, port, suffix="." + host_name(plain[2:]))
    try:
        return UrlPattern(scheme, port, network=ip_network(plain))
    except ValueError:
        if "/" in plain:
            raise ValueError(f"{shown(plain)} is not a network (10.0.0.0/8)") from None
    return UrlPattern(scheme, port, host=host_name(plain))


def url_pattern(text: str) -> str:
    """A parser for the configuration: the text itself, once it was understood."""
    if text != ANY:
        parse(text)
    return text


def address_of(host: str) -> Address | None:
    """The address that `host` is; None for a name. An IPv4 one inside IPv6 is taken out."""
    try:
        found = ip_address(host)
    except ValueError:
        return None
    return unwrapped(found)


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64), else itself."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address


_NAT64 = IPv6Network("64:ff9b::/96")
