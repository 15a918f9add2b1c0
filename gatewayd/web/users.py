"""Who may call: names, passwords and the addresses they come from."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from gatewayd.config.model import UserConfig

_EVERYWHERE = frozenset({"*", "*.*.*.*"})


class AddressPatterns:
    """IP patterns as Kannel writes them (``10.0.*.*``), networks (``10.0.0.0/8``) or addresses."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._everywhere = False
        self._exact: set[str] = set()
        self._octets: list[list[str]] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for pattern in patterns:
            if pattern in _EVERYWHERE:
                self._everywhere = True
            elif "/" in pattern:
                self._networks.append(ip_network(pattern, strict=False))
            elif "*" in pattern:
                self._octets.append(pattern.split("."))
            else:
                self._exact.add(pattern)

    def __bool__(self) -> bool:
        return bool(self._everywhere or self._exact or self._octets or self._networks)

    def match(self, address: str) -> bool:
        """Whether one of the patterns covers `address`."""
        if self._everywhere or address in self._exact:
            return True
        if self._octets:
            octets = address.split(".")
            for pattern in self._octets:
                if len(pattern) == len(octets) and all(
                    wanted in ("*", given) for wanted, given in zip(pattern, octets, strict=True)
                ):
                    return True
        if self._networks:
            try:
                number = ip_address(address)
            except ValueError:
                return False
            return any(number in network for network in self._networks)
        return False


class AddressRules:
    """An allow list and a deny list.

    As in Kannel an allowed address is always let in, a denied one never, and any other one too,
    unless `only_allowed` is set and there is an allow list.
    """

    def __init__(
        self, allow: Sequence[str], deny: Sequence[str], *, only_allowed: bool = False
    ) -> None:
        self._allow = AddressPatterns(allow)
        self._deny = AddressPatterns(deny)
        self._rest = not (only_allowed and self._allow)
        self._open = self._rest and not self._deny

    def admit(self, address: str) -> bool:
        """Whether `address` may come in."""
        if self._open or self._allow.match(address):
            return True
        return self._rest and not self._deny.match(address)


class Users:
    """The users of sendsms. Of several with one name the first counts, as in Kannel."""

    def __init__(self, users: Sequence[UserConfig], *, only_allowed: bool) -> None:
        self._users: dict[bytes, tuple[UserConfig, bytes, AddressRules]] = {}
        for user in users:
            rules = AddressRules(user.allow_ip, user.deny_ip, only_allowed=only_allowed)
            entry = (user, user.password.reveal().encode(), rules)
            self._users.setdefault(user.username.encode(), entry)

    def find_by_fields(self, fields: Mapping[str, bytes], address: str) -> UserConfig | None:
        """The user that username and password name, or user and pass."""
        username = fields.get("username")
        if username is None:
            username = fields.get("user")
        password = fields.get("password")
        if password is None:
            password = fields.get("pass")
        if username is None or password is None:
            return None
        return self.find(username, password, address)

    def find_by_password(self, password: bytes, address: str) -> UserConfig | None:
        """The first user with this password, for callers that can send one word only.

        All passwords are compared, so that the time tells nothing.
        """
        found: UserConfig | None = None
        for user, wanted, rules in self._users.values():
            if hmac.compare_digest(password, wanted) and found is None and wanted:
                found = user if rules.admit(address) else None
        return found

    def find(self, username: bytes, password: bytes, address: str) -> UserConfig | None:
        """The user, or None when name, password or address is wrong.

        An unknown name takes as long as a wrong password.
        """
        entry = self._users.get(username)
        if entry is None:
            hmac.compare_digest(password, b"-" * 16)
            return None
        user, wanted, rules = entry
        if not hmac.compare_digest(password, wanted):
            return None
        return user if rules.admit(address) else None
