"""Twisted's epoll reactor with less work for each event.

Three things cost as much as a whole request of ours, and are left out here:

* A write waits for the next poll, with an `epoll_ctl` before and one after it. Here what was given
  to transports in one turn is written at the end of that turn, and only what the peer's window
  does not take waits for epoll.
* Writing is prepared for what the peer does not take; here what it takes at once is sent at once.
* Each event is wrapped into a context of `twisted.python.log`. Nothing here logs by it.

It reads less at once than Twisted does. Thousands of small things that one peer sends in a moment,
requests that are refused or packets that mean nothing, are work for tens of milliseconds; so they
are many turns, and whoever sent one thing has its turn in between.

Everything else, and every event that is not plain "readable", takes Twisted's own way.
"""

from __future__ import annotations

from select import EPOLLIN
from typing import TYPE_CHECKING, Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.log import callWithLogger

if TYPE_CHECKING:
    from twisted.internet.interfaces import IWriteDescriptor

log = Logger(namespace=__name__)

# Octets read from a peer in one turn; Twisted takes 65536. For a transport it is one size: what is
# written fills its buffer at as many, and a producer pauses until the turn ends and they are sent.
AT_ONCE = 4096


class LeanReactor(EPollReactor):
    """See the module. What it offers is the same as of any other reactor."""

    def __init__(self) -> None:
        self._fresh: dict[Any, None] = {}  # have something to write, and epoll does not know
        self._waiting: set[Any] = set()  # whose peers did not take everything: epoll tells
        self._writing: Any = None  # is being asked to write, and has not said that it is done
        Connection.bufferSize = AT_ONCE
        super().__init__()

    def addWriter(self, writer: IWriteDescriptor) -> None:
        if writer not in self._waiting:
            self._fresh[writer] = None

    def removeWriter(self, writer: IWriteDescriptor) -> None:
        if writer is self._writing:
            self._writing = None
        self._fresh.pop(writer, None)
        if writer in self._waiting:
            self._waiting.remove(writer)
            super().removeWriter(writer)

    def getWriters(self) -> list[Any]:
        return [*super().getWriters(), *self._fresh]

    def removeAll(self) -> list[Any]:
        known = list(super().removeAll())
        known += [writer for writer in self._fresh if writer not in known]
        self._fresh.clear()
        self._waiting.clear()
        return known

    def doPoll(self, timeout: float | None) -> None:
        if self._fresh:
            self._write()
            timeout = 0  # it may have led to anything: a call to be made now, the reactor's end
        try:
            ready = self._poller.poll(-1 if timeout is None else timeout, len(self._selectables))
        except InterruptedError:
            return
        find = self._selectables.get
        for fd, event in ready:
            selectable = find(fd)
            if selectable is None:  # gone by what an event before it did
                continue
            if event != EPOLLIN:
                callWithLogger(selectable, self._doReadOrWrite, selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:  # noqa: BLE001 - a mistake costs its own connection only
                log.failure("Reading broke")
                why = error
            if why:
                self._disconnectSelectable(selectable, why, True)

    doIteration = doPoll  # noqa: N815 - Twisted's name

    def _write(self) -> None:
        fresh = self._fresh
        for _ in range(len(fresh)):  # who is added meanwhile has its turn after the next poll
            if not fresh:
                return
            writer = next(iter(fresh))
            del fresh[writer]
            if isinstance(writer, Connection) and _sent(writer):
                continue
            self._writing = writer
            try:
                why = writer.doWrite()
            except BaseException as error:  # noqa: BLE001 - as above
                log.failure("Writing broke")
                why = error
            unfinished, self._writing = self._writing is writer, None
            if why:
                self._disconnectSelectable(writer, why, False)
            elif unfinished or writer in fresh:
                fresh.pop(writer, None)
                self._waiting.add(writer)
                super().addWriter(writer)


def _sent(connection: Any) -> bool:
    """Send what was written in this turn; False when more has to be done than that.

    As `doWrite` does it, which is ten times the work: it is made for what a peer does not take.
    """
    pieces = connection._tempDataBuffer
    if (
        not pieces
        or connection.dataBuffer
        or connection.disconnecting
        or connection._writeDisconnecting
        or connection._aborting
        or (connection.producer is not None and not connection.streamingProducer)
        or connection.producerPaused
    ):
        return False
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    try:
        sent = connection.socket.send(data)
    except OSError:
        return False  # it will be told again, and what it means
    if sent == len(data):
        pieces.clear()
        connection._tempDataLen = 0
        return True
    connection._tempDataBuffer = [data[sent:]]
    connection._tempDataLen = len(data) - sent
    return False


def install() -> None:
    """Make it the process's reactor, before anybody imports another."""
    installReactor(LeanReactor())
