"""The lock that keeps a second daemon off a store."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime

from gatewayd.errors import StoreError


class OwnerLock:
    """Holds `path` by flock, so the kernel lets go when the process ends, however it ends.

    The file says who holds it: process id and start time. It is never removed: a daemon that waits
    for the lock and one that makes a new file would otherwise both believe that they have it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def acquire(self) -> None:
        """Raises `StoreError` naming the holder; OSError when the file cannot be made."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 200).decode("ascii", "replace").strip() or "pid unknown"
            os.close(fd)
            raise StoreError(
                f"another gatewayd uses this store ({holder});"
                " stop that one first, or give this one a store of its own"
            ) from None
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        now = datetime.now(UTC).isoformat(timespec="seconds")
        # On a full disk the daemon still starts; only the message to a second one is poorer.
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"pid {os.getpid()}, since {now}\n".encode(), 0)
        except OSError:
            pass

    def release(self) -> None:
        """Let go; releasing twice is harmless."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
