"""A lane: what waits for one SMSC or one channel, in order, bounded in memory.

The head of the lane is in memory; beyond `cap` items the rest is on disk only and is read back, in
order, when the head runs low. Items are handed out by priority (highest first), then by key; those
that come back keep their place. Items whose time has not come wait in a heap.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import islice
from math import inf
from typing import Generic, Protocol, TypeVar

from gatewayd.store.contract import Item


class Keyed(Protocol):
    """What a lane holds: anything with a key."""

    id: int


T = TypeVar("T", bound=Keyed)

PRIORITIES = 4  # Kannel's and SMPP's 0-3
_DOWNWARDS = range(PRIORITIES - 1, -1, -1)


class Lane(Generic[T]):
    """One lane. `claim` reads more from the store: (limit, after (priority, key)) -> later `fill`.

    Each priority overflows by itself: `_tails[p]` is the last key of it that came to memory, while
    later ones are on disk only; None while nothing is.

    `late(item, due)`, when set, takes over what comes from the store and is not due yet: where
    others must not overtake it, whoever keeps the order has to know of it.

    `screen(name, rows)`, when set, sees every row that comes from the store and says which of them
    wait at all: what was perhaps sent before a crash may have to be treated otherwise.
    """

    __slots__ = (
        "_back",
        "_claim",
        "_claiming",
        "_decode",
        "_last",
        "_later",
        "_missed",
        "_ready",
        "_tails",
        "cap",
        "count",
        "late",
        "name",
        "on_disk",
        "screen",
    )

    def __init__(
        self,
        name: str,
        decode: Callable[[bytes], T],
        claim: Callable[[str, int, tuple[int, int]], None],
        cap: int = 20000,
    ) -> None:
        self.name = name
        self.cap = max(1, cap)
        self.count = 0  # ready in memory
        self.on_disk = 0  # waiting, not in memory
        self.screen: Callable[[str, Sequence[Item]], Sequence[Item]] | None = None
        self.late: Callable[[T, float], None] | None = None
        self._decode = decode
        self._claim = claim
        self._claiming: int | None = None  # the priority that is being read
        self._missed = False  # something of that priority went to disk meanwhile
        self._ready: tuple[deque[T], ...] = tuple(deque() for _ in range(PRIORITIES))
        self._back: tuple[list[tuple[int, T]], ...] = tuple([] for _ in range(PRIORITIES))  # heaps
        self._last = [0] * PRIORITIES  # highest key that ever came to memory
        self._tails: list[int | None] = [None] * PRIORITIES
        self._later: list[tuple[float, int, int, T]] = []  # due, key, priority, item

    def __len__(self) -> int:
        """Everything that waits: in memory, delayed and on disk."""
        return self.count + len(self._later) + self.on_disk

    def put(self, item: T, priority: int = 0) -> None:
        """Add a new item, which is on disk already: as a rule behind all of its priority."""
        if item.id <= self._last[priority]:  # its commit was late: nobody would read it any more
            self.put_back(item, priority)
            return
        if self._tails[priority] is None:
            if self.count + len(self._later) < self.cap:
                self._ready[priority].append(item)
                self._last[priority] = item.id
                self.count += 1
                return
            self._tails[priority] = self._last[priority]
        self.on_disk += 1
        if self._claiming == priority:
            self._missed = True

    def put_back(self, item: T, priority: int = 0) -> None:
        """Return an item that was taken, or take over another lane's; its key says its place."""
        heappush(self._back[priority], (item.id, item))
        self.count += 1

    def delay(self, item: T, due: float, priority: int = 0) -> None:
        """Return an item that may be taken again at `due` (the clock of `take`)."""
        heappush(self._later, (due, item.id, priority, item))

    def take(self, now: float) -> T | None:
        """The next item, no longer the lane's; None also while it is being read from disk."""
        if self._later and self._later[0][0] <= now:
            self._ripen(now)
        if self.on_disk:
            self._refill()
        if not self.count:
            return None
        for priority in _DOWNWARDS:
            if self._ready[priority] or self._back[priority]:
                return self._pop(priority)
            if self._tails[priority] is not None and self._claiming is not None:
                return None  # what comes next is on its way
        return None

    def take_while(self, wanted: Callable[[T], bool]) -> Iterator[T]:
        """The next ready items, as long as `wanted` likes them."""
        for priority in _DOWNWARDS:
            if self._ready[priority] or self._back[priority]:
                while (first := self._first(priority)) is not None and wanted(first):
                    yield self._pop(priority)
                return

    def discard(self, key: int) -> T | None:
        """Take out one item wherever it waits in memory; None when it is not there."""
        for queue in self._ready:
            for item in queue:
                if item.id == key:
                    queue.remove(item)
                    self.count -= 1
                    return item
        for back in self._back:
            for entry in back:
                if entry[0] == key:
                    back.remove(entry)
                    heapify(back)
                    self.count -= 1
                    return entry[1]
        for index, (_, found, _, item) in enumerate(self._later):
            if found == key:
                self._later[index] = self._later[-1]
                self._later.pop()
                heapify(self._later)
                return item
        return None

    def head(self, limit: int) -> list[T]:
        """The first ready items, left where they are."""
        items = (item for priority in _DOWNWARDS for item in self._in_memory(priority))
        return list(islice(items, limit))

    def drain(self) -> list[T]:
        """Take out everything that is ready in memory, in order."""
        items = self.head(self.count)
        for priority in _DOWNWARDS:
            self._ready[priority].clear()
            self._back[priority].clear()
        self.count = 0
        return items

    def has_work(self, now: float) -> bool:
        """Whether `take` would bring something, now or after a refill."""
        return bool(self.count or self.on_disk) or (bool(self._later) and self._later[0][0] <= now)

    def next_due(self) -> float:
        """When the first delayed item may be taken; inf when none is delayed."""
        return self._later[0][0] if self._later else inf

    def recovered(self, heads: Sequence[Item], waiting: int, now: float, wall: float) -> None:
        """Start with what the store had: `heads` is the beginning of `waiting` items.

        `wall` is the time since the epoch that belongs to `now`, since rows keep that.
        """
        self._load(heads, now, wall)
        self.on_disk = max(0, waiting - len(heads))
        if self.on_disk:
            lowest = _priority(heads[-1]) if heads else PRIORITIES - 1
            for priority in range(lowest + 1):
                self._tails[priority] = self._last[priority]

    def adopt(self, rows: Sequence[Item], now: float, wall: float) -> None:
        """Take in waiting rows of another lane."""
        for row in self._screened(rows):
            item, priority = self._decode(row.body), _priority(row)
            if row.due > wall:
                self.delay(item, now + row.due - wall, priority)
            else:
                self.put_back(item, priority)

    def fill(self, items: Sequence[Item], limit: int, now: float, wall: float) -> None:
        """What `claim` brought. Fewer than `limit` of the priority mean that the disk has no more.

        Unless something was put meanwhile: it may have come after the reading.
        """
        priority, self._claiming = self._claiming, None
        if priority is None:
            return
        mine = [item for item in items if _priority(item) == priority]
        self._load(mine, now, wall)
        self.on_disk = max(0, self.on_disk - len(mine))
        if len(mine) < limit and not self._missed:
            self._tails[priority] = None
        else:
            self._tails[priority] = self._last[priority]
        self._missed = False
        if all(tail is None for tail in self._tails):
            self.on_disk = 0
        elif not self.on_disk:
            self.on_disk = 1  # the count was off: rows ended while they were on disk only

    def claim_failed(self) -> None:
        """The store could not be read; the next `take` asks again."""
        self._claiming = None
        self._missed = False

    def _first(self, priority: int) -> T | None:
        """The next item of this priority, left where it is."""
        ready, back = self._ready[priority], self._back[priority]
        if back and not (ready and ready[0].id < back[0][0]):
            return back[0][1]
        return ready[0] if ready else None

    def _pop(self, priority: int) -> T:
        ready, back = self._ready[priority], self._back[priority]
        self.count -= 1
        if back and not (ready and ready[0].id < back[0][0]):
            return heappop(back)[1]
        return ready.popleft()

    def _in_memory(self, priority: int) -> Iterable[T]:
        ready, back = self._ready[priority], self._back[priority]
        if not back:
            return ready
        return sorted([*ready, *(item for _, item in back)], key=lambda item: item.id)

    def _screened(self, rows: Sequence[Item]) -> Sequence[Item]:
        return rows if self.screen is None or not rows else self.screen(self.name, rows)

    def _load(self, items: Sequence[Item], now: float, wall: float) -> None:
        for row in items:
            priority = _priority(row)
            self._last[priority] = max(self._last[priority], row.key)
        for row in self._screened(items):
            item = self._decode(row.body)
            priority = _priority(row)
            if row.due > wall and self.late is not None:
                self.late(item, now + row.due - wall)
            elif row.due > wall:
                heappush(self._later, (now + row.due - wall, row.key, priority, item))
            else:
                self._ready[priority].append(item)
                self.count += 1

    def _refill(self) -> None:
        """Read on in the highest priority that runs low in memory."""
        if self._claiming is not None or len(self._later) >= 4 * self.cap:
            return
        low = max(1, self.cap // 2)
        for priority in _DOWNWARDS:
            tail = self._tails[priority]
            if tail is not None and len(self._ready[priority]) < low:
                self._claiming = priority
                self._missed = False
                self._claim(self.name, low, (priority, tail))
                return

    def _ripen(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            _, _, priority, item = heappop(self._later)
            self.put_back(item, priority)


def _priority(row: Item) -> int:
    return min(max(row.priority, 0), PRIORITIES - 1)
