"""A file that lines are appended to: gathered in a turn of the reactor, written at its end."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import ClassVar, Final

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

_PENDING: Final = 65_536  # lines that wait for one turn's end; beyond, they are written at once
_MODE: Final = 0o640  # numbers and perhaps texts: not for everybody


class Lines:
    """One file that lines are appended to."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self, path: str, clock: IReactorTime, stamp: Callable[[], str] | None, marked: bool
    ) -> None:
        """`stamp` begins every line; `marked`: the file says when it begins and ends.

        Raises OSError when the file cannot be opened.
        """
        self._path = path
        self._clock = clock
        self._stamp = stamp
        self._marked = marked
        self._waiting: list[str] = []
        self._failing = False
        self._fd: int | None = self._open()

    def add(self, text: str) -> None:
        """`text` without control characters; it is in the file when the turn has ended."""
        if not self._waiting:
            self._clock.callLater(0, self.flush)
        self._append(text)
        if len(self._waiting) >= _PENDING:
            self.flush()

    def _append(self, text: str) -> None:
        stamp = "" if self._stamp is None else f"{self._stamp()} "
        self._waiting.append(f"{stamp}{text}\n")

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._fd is None:
            return
        data = "".join(waiting).encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            if not self._failing:
                self._failing = True
                self.log.error("{path}: {reason}", path=self._path, reason=error.strerror)
            return
        self._failing = False

    def reopen(self) -> None:
        """After logrotate moved the file away. When it cannot be made again the old one stays."""
        try:
            new = self._open(begin=False)
        except OSError as error:
            self.log.error("{path}: {reason}", path=self._path, reason=error.strerror)
            return
        self._end()
        self._fd = new
        self._mark("Log begins")

    def close(self) -> None:
        self._end()

    def _open(self, begin: bool = True) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._path, flags, _MODE)
        if begin:
            self._fd = fd
            self._mark("Log begins")
        return fd

    def _end(self) -> None:
        self._mark("Log ends")
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _mark(self, text: str) -> None:
        if self._marked:
            self._append(text)
        self.flush()
