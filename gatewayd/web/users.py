"""Who may call: names, passwords and the addresses they come from."""

from __future__ import annotations

import hmac
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import ClassVar

from twisted.logger import Logger

from gatewayd.config.model import UserConfig
from gatewayd.config.passwords import Hashed, is_hash, parse
from gatewayd.web.logins import Checks, Failures, LoginBlocked, LoginPending, Run

Digest = Callable[[bytes], bytes]


def keyed_digest() -> Digest:
    """A digest of passwords under a key that only this process knows."""
    keyed = blake2b(digest_size=32, key=os.urandom(32))

    def digest(password: bytes) -> bytes:
        found = keyed.copy()  # has done with the key already
        found.update(password)
        return found.digest()

    return digest


_EVERYWHERE = frozenset({"*", "*.*.*.*"})


class AddressPatterns:
    """IP patterns as Kannel writes them (``10.0.*.*``), networks (``10.0.0.0/8``) or addresses."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.everywhere = False
        self._exact: set[str] = set()
        self._octets: list[list[str]] = []
        self._networks: list[IPv4Network | IPv6Network] = []
        for pattern in patterns:
            if pattern in _EVERYWHERE:
                self.everywhere = True
            elif "/" in pattern:
                self._networks.append(ip_network(pattern, strict=False))
            elif "*" in pattern:
                self._octets.append(pattern.split("."))
            else:
                self._exact.add(pattern)

    def __bool__(self) -> bool:
        return bool(self.everywhere or self._exact or self._octets or self._networks)

    def match(self, address: str) -> bool:
        """Whether one of the patterns covers `address`."""
        if self.everywhere or address in self._exact:
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

    def names(self, address: str) -> bool:
        """Whether the allow list means this address, and not just everybody."""
        return not self._allow.everywhere and self._allow.match(address)


class _Entry:
    __slots__ = ("digest", "hashed", "name", "rules", "user")

    def __init__(self, user: UserConfig, rules: AddressRules, digest: Digest) -> None:
        written = user.password.reveal()
        self.user = user
        self.rules = rules
        self.name = user.username.encode()
        self.hashed: Hashed | None = None
        if is_hash(written):
            # a kannel.conf may have a password that only begins like one
            with suppress(ValueError):
                self.hashed = parse(written)
        self.digest = b"" if self.hashed or not written else digest(written.encode())


class Users:
    """The users of sendsms. Of several with one name the first counts, as in Kannel.

    Passwords are compared as digests under a key of this process, so that the time tells neither
    what they begin with nor how long they are. With `most_failures` an address that fails so often
    in a minute is not checked for a while, and so is a name at an address; a user whose allow-ip
    names the address does not suffer from what others fail at there. `run` checks hashes elsewhere,
    since they take long; without it they are checked here and now. `now` is a monotonic clock.

    Those who look for a user may see LoginBlocked and LoginPending.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        users: Sequence[UserConfig],
        *,
        only_allowed: bool,
        most_failures: int = 0,
        now: Callable[[], float] = lambda: 0.0,
        run: Run | None = None,
    ) -> None:
        self._digest = keyed_digest()
        self._users: dict[bytes, _Entry] = {}
        for user in users:
            rules = AddressRules(user.allow_ip, user.deny_ip, only_allowed=only_allowed)
            entry = _Entry(user, rules, self._digest)
            self._users.setdefault(entry.name, entry)
        nobody = os.urandom(16)
        self._nobody = self._digest(nobody)
        hashes = [entry.hashed for entry in self._users.values() if entry.hashed is not None]
        # what an unknown name is checked against, so that it takes as long as a known one
        self._decoy = hashes[0]._replace(salt=nobody) if hashes else None
        self._checks = Checks(run)
        self._failures = Failures(most_failures, now) if most_failures else None
        self._asked_again: Counter[object] = Counter()
        self.failed = self.blocked = 0

    def inherit(self, before: Users) -> None:
        """Go on where `before` ended: who failed too often stays blocked. Checked hashes do not."""
        self.failed, self.blocked = before.failed, before.blocked
        if self._failures is not None and before._failures is not None:
            self._failures.inherit(before._failures)

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

        All passwords are compared, so that the time tells nothing. A user whose password is a hash
        is not found so: each hash would have to be tried.
        """
        self._refuse_blocked(None, address)
        digest = self._digest(password)
        found: UserConfig | None = None
        for entry in self._users.values():
            same = hmac.compare_digest(digest, entry.digest or self._nobody)
            if same and found is None:
                found = entry.user if entry.rules.admit(address) else None
        if found is None:
            self._count(None, address)
        return found

    def find(self, username: bytes, password: bytes, address: str) -> UserConfig | None:
        """The user, or None when name, password or address is wrong.

        An unknown name takes as long as a wrong password.
        """
        entry = self._users.get(username)
        digest = self._digest(password)
        again = bool(self._asked_again) and self._take_turn((username, digest, address))
        if not again:
            self._refuse_blocked(entry, address)
        plain = entry.digest if entry is not None else b""
        good = hmac.compare_digest(digest, plain or self._nobody)
        if not good and self._decoy is not None:
            good = self._check(entry, username, digest, password, address)
        if good and entry is not None and entry.rules.admit(address):
            if self._failures is not None:
                self._failures.passed((entry.name, address))
            return entry.user
        self._count(None if again else entry, address)
        return None

    def _check(
        self, entry: _Entry | None, username: bytes, digest: bytes, password: bytes, address: str
    ) -> bool:
        """Whether the hash is of this password.

        A try is counted against the name before its result is known, so that many at once do not
        get by.
        """
        hashed = entry.hashed if entry is not None else None
        against = hashed or self._decoy
        assert against is not None
        key = (self._digest(username), digest)
        found = self._checks.known(key)
        if found is None:
            first = not self._checks.pending(key)
            try:
                found = self._checks.check(key, lambda: against.matches(password))
            except LoginPending as pending:
                if first and entry is not None and self._failures is not None:
                    self._failures.failed((entry.name, address))
                pending.then(lambda: self._asked_again.update([(username, digest, address)]))
                raise
        return found and hashed is not None

    def _take_turn(self, key: object) -> bool:
        """Whether this is asked again after its password was checked."""
        if not self._asked_again[key]:
            return False
        self._asked_again[key] -= 1
        self._asked_again += Counter()  # without those at nought
        return True

    def _refuse_blocked(self, entry: _Entry | None, address: str) -> None:
        failures = self._failures
        if failures is None:
            return
        seconds = 0.0
        if entry is not None:
            seconds = failures.blocked((entry.name, address))
        if entry is None or not entry.rules.names(address):
            seconds = max(seconds, failures.blocked(address))
        if seconds:
            self.blocked += 1
            raise LoginBlocked(seconds)

    def _count(self, entry: _Entry | None, address: str) -> None:
        self.failed += 1
        failures = self._failures
        if failures is None:
            return
        seconds = failures.failed(address)
        if entry is not None:
            seconds = max(seconds, failures.failed((entry.name, address)))
        if seconds:
            self.log.warn(
                "Too many failed logins from {address}: none is checked for {seconds:.0f} s",
                address=address,
                seconds=seconds,
            )
