"""Rows of the store for those who ask while the gateway runs: lanes that read on, and look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gatewayd.store.contract import Depth, Item, Queue, Store

PAGE = 1000  # rows read at once
STORE_PAUSE = 1.0  # before the store is asked again for what it could not read

Claim = Callable[[str, int, tuple[int, int]], None]


class Holder(Protocol):
    """Who has a lane: an MtLane, or an Outbox."""

    @property
    def lane(self) -> Any: ...

    def fill(self, rows: Sequence[Item], limit: int, now: float, wall: float) -> None: ...

    def pump(self) -> None: ...


class Rows:
    """Asks the store, and hands on what it says, here and later."""

    log = Logger()

    def __init__(self, store: Store, reactor: Any, wall: Callable[[], float]) -> None:
        self._store = store
        self._reactor = reactor
        self._wall = wall

    def claimer(self, queue: Queue, owner: Callable[[str], Holder | None]) -> Claim:
        """Reads more of a lane from the store, and pumps the lane when it is there."""

        def claim(name: str, limit: int, after: tuple[int, int]) -> None:
            def filled(items: Sequence[Item]) -> None:
                holder = owner(name)
                if holder is not None:
                    holder.fill(items, limit, self._reactor.seconds(), self._wall())
                    holder.pump()

            def failed(failure: object) -> None:
                holder = owner(name)
                if holder is not None:
                    holder.lane.claim_failed()
                    self._reactor.callLater(STORE_PAUSE, holder.pump)

            self._store.claim(queue, name, limit, after).addCallbacks(filled, failed).addErrback(
                lambda failure: self.log.failure("Reading a lane failed", failure)
            )

        return claim

    def look_up(self, name: str, then: Callable[[Item | None, bool], None]) -> None:
        """The row that carries this name, and whether the store could be asked."""
        self._store.find([name]).addCallbacks(
            lambda found: then(found.get(name), True), lambda failure: then(None, False)
        ).addErrback(lambda failure: self.log.failure("After a look-up", failure))

    def siblings(self, first: int, total: int, then: Callable[[Sequence[Item]], None]) -> None:
        """Without an answer nothing can be said of the message, so it is asked for again."""
        self._store.siblings(first, total).addCallbacks(
            then,
            lambda failure: self._reactor.callLater(STORE_PAUSE, self.siblings, first, total, then),
        ).addErrback(lambda failure: self.log.failure("After a look-up", failure))

    def read_on(
        self, queue: Queue, lane: str, last: Item, each: Callable[[Sequence[Item]], None]
    ) -> None:
        """Hand on what waits in a lane behind `last`, page by page."""

        def read(rows: Sequence[Item]) -> None:
            each(rows)
            if len(rows) == PAGE:
                self.read_on(queue, lane, rows[-1], each)

        after = (last.priority, last.key)
        self._store.claim(queue, lane, PAGE, after).addCallback(read).addErrback(
            lambda failure: self.log.failure("Reading a lane failed", failure)
        )

    def waiting(self, queue: Queue) -> Deferred[dict[str, int]]:
        """How much waits in each lane of a queue. May fail with StoreError."""

        def told(depths: Sequence[Depth]) -> dict[str, int]:
            return {depth.lane: depth.waiting for depth in depths if depth.queue == queue}

        return self._store.depths().addCallback(told)
