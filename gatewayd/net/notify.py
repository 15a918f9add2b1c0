"""Tells the service manager how the daemon is: datagrams of sd_notify(3), and nothing else.

Without NOTIFY_SOCKET every word goes nowhere, so whoever calls need not ask. The variables are
taken out of the environment: a child that inherited them could speak in the daemon's name.

A datagram is never waited for: a service manager that does not read must not stop the reactor.
`send` says whether it went; what must not be lost is for the caller to say again.
"""

from __future__ import annotations

import socket
import time
from collections.abc import MutableMapping

LONGEST = 500  # characters of a STATUS: it is one line of `systemctl status`

READY = "READY=1"
STOPPING = "STOPPING=1"
WATCHDOG = "WATCHDOG=1"


def reloading() -> str:
    """The clock tells a service manager which READY=1 belongs to this reload."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"


def status(text: str) -> str:
    """One line for people. Line ends would begin a new assignment, so they become blanks."""
    line = " ".join(text.split())
    return f"STATUS={line if len(line) <= LONGEST else line[: LONGEST - 3] + '...'}"


def extend(seconds: float) -> str:
    """What is under way, a start or a stop, may take `seconds` more from now on."""
    return f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}"


class Notifier:
    """The way to the service manager at `address`; an empty one leads nowhere.

    `watchdog` is the longest pause in seconds between two WATCHDOG=1; 0 where none is expected.
    """

    def __init__(self, address: str = "", watchdog: float = 0.0) -> None:
        # "@" stands for the NUL of an abstract address. What is neither is vsock: not for us.
        self._address = address if address.startswith(("/", "@")) else ""
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        self.watchdog = watchdog if self._address else 0.0

    @classmethod
    def take(cls, environ: MutableMapping[str, str], pid: int) -> Notifier:
        """What the environment says, which then says it no more. `pid` is our own.

        A watchdog that is meant for another process (WATCHDOG_PID) is none of ours.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        microseconds = environ.pop("WATCHDOG_USEC", "")
        owner = environ.pop("WATCHDOG_PID", "")
        ours = owner in {"", str(pid)} and microseconds.isascii() and microseconds.isdigit()
        return cls(address, int(microseconds) / 1_000_000 if ours else 0.0)

    @property
    def enabled(self) -> bool:
        return bool(self._address)

    def send(self, *assignments: str) -> bool:
        """Send them in one datagram; False when it did not go. True without a manager."""
        if not self._address:
            return True
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            try:
                sender.sendto("\n".join(assignments).encode(), self._address)
            except OSError:
                return False
        return True
