"""What a durable store must offer: queues of items, changed in batches that last together.

Flows never write by halves: they describe a `Work`, and the store makes all of it durable or none.
Every call takes a batch; reading happens at start (`recover`), after overflow (`claim`) and for
look-ups (`find`, `siblings`, `browse`). An item's `key` is unique over all queues and grows with
time; a queue is read by priority (highest first), then by key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class Queue(IntEnum):
    MT = 0  # segments: waiting for an SMSC, submitted, or waiting for receipts
    MO = 1  # inbound messages on their way to a platform
    DLR = 2  # reports on their way to a platform
    PART = 3  # parts of long MO that wait for the others
    PARKED = 4  # receipts that matched nothing yet
    DEAD = 5  # dead letters of MO and DLR, kept for replay
    SEEN = 6  # requests that were accepted, so that a repeated one is known


class State(IntEnum):
    WAITING = 0  # to be handed on
    CLAIMED = 1  # perhaps written to the SMSC: uncertain after a crash
    SENT = 2  # answered by the SMSC; waits for its receipt
    DONE = 3  # final, kept until its siblings (other segments of the message) are
    HELD = 4  # uncertain, waits for a decision by hand


class Item(Struct, frozen=True, gc=False):
    """One row."""

    queue: int
    key: int
    lane: str  # what it waits for: an SMSC, a channel, its missing parts
    body: bytes
    state: int = 0
    priority: int = 0
    due: float = 0.0  # not before this time (seconds since the epoch)
    tries: int = 0
    name: str = ""  # what receipts will call it by: "<SMSC id>/<message id>"; "" for none


AS_IT_IS = -1  # a Change's state that leaves state, due and tries of the row alone


class Change(Struct, frozen=True, gc=False):
    """A row's new state; `name` None and `body` None leave those as they are."""

    key: int
    state: int
    due: float = 0.0
    tries: int = 0
    name: str | None = None
    body: bytes | None = None


class Work(Struct, gc=False):
    """What must become durable together. Order within: puts, changes, ends."""

    puts: list[Item] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)  # keys; an unknown key is no error

    def add(self, other: Work) -> None:
        """Take `other` in, as if it came after."""
        self.puts += other.puts
        self.changes += other.changes
        self.ends += other.ends


class Depth(NamedTuple):
    """How much of one lane is in the store."""

    queue: int
    lane: str
    waiting: int  # WAITING and CLAIMED
    others: int  # SENT, DONE, HELD


class Recovery(NamedTuple):
    """What was found at start."""

    depths: Sequence[Depth]
    heads: Sequence[Item]  # the first `per_lane` waiting items of every lane, in handing order
    last_key: int  # the highest key ever used; after a crash perhaps a little more
    instance: bytes  # 8 octets, made when the store was made; part of every UUID we show
    seen: Sequence[Item] = ()  # all of Queue.SEEN, by key


class Store(Protocol):
    """The engine. Deferreds fire on the reactor's thread; a failed one carries `StoreError`."""

    def open(self, per_lane: int) -> Recovery:
        """Open or make the store and say what is in it; blocks.

        Raises `StoreError` when another daemon holds it, when it is damaged, or when a newer
        gatewayd wrote it.
        """

    def close(self) -> Deferred[None]:
        """Finish what was committed before, then close. Closing twice is harmless."""

    def commit(self, works: Sequence[Work]) -> Deferred[None]:
        """Fires once all `works` would survive a power cut; on failure none of them happened."""

    def claim(
        self, queue: int, lane: str, limit: int, after: tuple[int, int]
    ) -> Deferred[Sequence[Item]]:
        """The next waiting items of the lane in handing order, behind `after`.

        `after` is (priority, key) of the last item that is in memory; items with a lower priority,
        or the same and a higher key, come back. As in `Depth`, CLAIMED ones count as waiting: one
        that comes back from behind `after` was claimed before the last stop, and is uncertain.
        """

    def find(self, names: Sequence[str]) -> Deferred[Mapping[str, Item]]:
        """The items that carry these names; of several the newest."""

    def siblings(self, first: int, total: int) -> Deferred[Sequence[Item]]:
        """The items with keys `first` to `first + total - 1` that still exist."""

    def browse(
        self, queue: int, lane: str | None, states: Sequence[int], after: int, limit: int
    ) -> Deferred[Sequence[Item]]:
        """A page of items by key, for people: `after` is the last key of the page before."""

    def depths(self) -> Deferred[Sequence[Depth]]: ...

    def prune(self, before_key: int, limit: int) -> Deferred[int]:
        """End up to `limit` SENT and DONE items with keys below `before_key`.

        For segments whose receipts never came. Fires with how many were ended: as many as `limit`
        means that there may be more.
        """

    def size(self) -> int:
        """Octets on disk; cheap, may be called at every scrape."""


FailPoint = Callable[[str], None]  # called by name at each step of the order of writes
