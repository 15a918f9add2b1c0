"""`gatewayd hash-password`: the scrypt hash of a password, for the configuration."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import TextIO

from gatewayd.config.passwords import make

LONGEST = 4096


def hash_password(source: TextIO) -> int:
    """Reads a password, one line, from `source`; the exit code comes back."""
    try:
        typed = getpass("Password: ") if source.isatty() else source.readline(LONGEST + 2)
    except (EOFError, UnicodeDecodeError):
        typed = ""
    password = typed.removesuffix("\n").removesuffix("\r")
    if not 0 < len(password) <= LONGEST or not password.isprintable():
        print("a password is one line of text on standard input", file=sys.stderr)
        return 2
    print(make(password))
    return 0
