"""Passwords kept as scrypt hashes: ``scrypt$n$r$p$salt$hash``, salt and hash in base64."""

from __future__ import annotations

import binascii
import hmac
import os
from base64 import b64decode, b64encode
from hashlib import scrypt
from typing import NamedTuple

PREFIX = "scrypt$"
# 16 MB and some 60 ms: dear for who guesses, and paid once per password (RFC 7914).
N, R, P = 1 << 14, 8, 1
_SALT, _LENGTH = 16, 32
_MOST_MEMORY = 1 << 26  # octets; 128 * n * r of them are needed
_MOST_WORK = 1 << 22  # n * r * p: about two seconds


class Hashed(NamedTuple):
    """The parts of a hash; salt and digest as octets."""

    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def matches(self, password: bytes) -> bool:
        """Whether this is the password. Takes its time, and blocks."""
        found = _scrypt(password, self.salt, self.n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(found, self.digest)


def parse(text: str) -> Hashed:
    """Take a hash apart. Raises ValueError with what is wrong; the text is not repeated."""
    parts = text.split("$")
    wrong = "is not scrypt$n$r$p$salt$hash; `gatewayd hash-password` makes one"
    if len(parts) != 6 or parts[0] != "scrypt":
        raise ValueError(wrong)
    try:
        n, r, p = (int(part) for part in parts[1:4] if part.isascii() and len(part) <= 9)
        salt, digest = (b64decode(part, validate=True) for part in parts[4:])
    except (ValueError, binascii.Error):
        raise ValueError(wrong) from None
    if n < 2 or n & (n - 1) or r < 1 or p < 1 or len(salt) < 8 or not 16 <= len(digest) <= 64:
        raise ValueError(wrong)
    if 128 * n * r > _MOST_MEMORY // 2 or n * r * p > _MOST_WORK:
        raise ValueError("is a hash that takes too long or too much memory to check")
    return Hashed(n, r, p, salt, digest)


def is_hash(text: str) -> bool:
    """Whether a configured password is meant as a hash."""
    return text.startswith(PREFIX)


def make(password: str, salt: bytes = b"", n: int = N) -> str:
    """The hash of a password, with a random salt unless one is given."""
    salt = salt or os.urandom(_SALT)
    digest = _scrypt(password.encode(), salt, n, R, P, _LENGTH)
    return f"{PREFIX}{n}${R}${P}${b64encode(salt).decode()}${b64encode(digest).decode()}"


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    return scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=length)
