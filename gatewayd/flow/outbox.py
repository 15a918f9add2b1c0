"""One lane towards a platform: calls under way, retries, and one-after-another where order counts.

Items with the same chain (the reports of one message, the MO of one sender) are called strictly one
after another: the next begins after the answer to the one before, and after `spacing`. A platform
that fails is probed with one call at a time until it answers again, so that an outage costs a few
calls a minute and not every item an attempt.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from heapq import heapify, heappop, heappush
from math import inf
from typing import ClassVar, Generic, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from gatewayd.flow.journal import Unsaved
from gatewayd.flow.lane import Keyed, Lane
from gatewayd.flow.limiter import Backoff
from gatewayd.model import HttpAnswer
from gatewayd.store.contract import Item

T = TypeVar("T", bound=Keyed)

Done = Callable[[HttpAnswer], None]

NOT_MADE = "not made"  # how the error of a call that we could not make begins
TROUBLE = frozenset({0, 408, 429})  # with every 5xx: the platform's trouble, not the item's


class Budget:
    """Calls under way at once, over all outboxes."""

    def __init__(self, limit: int) -> None:
        self._limit = self.left = limit
        self._hungry: dict[object, Callable[[], None]] = {}

    def resize(self, limit: int) -> None:
        """Another limit; what is under way above a smaller one is not disturbed."""
        self.left += limit - self._limit
        self._limit = limit
        self._feed()

    def take(self, owner: object, wake: Callable[[], None]) -> bool:
        if self.left > 0:
            self.left -= 1
            return True
        self._hungry[owner] = wake
        return False

    def give(self) -> None:
        self.left += 1
        self._feed()

    def _feed(self) -> None:
        while self.left > 0 and self._hungry:  # whoever is woken may have no use for it by now
            owner = next(iter(self._hungry))
            self._hungry.pop(owner)()


class _Waiter(Generic[T]):
    """Takes the answer to one call, and only the first: whatever the client does."""

    __slots__ = ("_answered", "_box", "_item")

    def __init__(self, box: Outbox[T], item: T) -> None:
        self._box = box
        self._item = item
        self._answered = False

    def __call__(self, answer: HttpAnswer) -> None:
        if not self._answered:
            self._answered = True
            self._box.answered(self._item, answer)


class Outbox(Generic[T]):
    """The calls of one lane.

    `call(item, done)` makes one call; `settle(item, answer)` keeps what came of it and says after
    how many seconds to try again, or None when the item is finished.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        lane: Lane[T],
        *,
        call: Callable[[T, Done], None],
        settle: Callable[[T, HttpAnswer], float | None],
        clock: IReactorTime,
        budget: Budget,
        parallel: int,
        chain: Callable[[T], Hashable] | None = None,
        spacing: float = 0.0,
        probing: Backoff | None = None,
        unsaved: Unsaved | None = None,
    ) -> None:
        self.lane = lane
        self.name = lane.name
        self._call = call
        self._settle = settle
        self._clock = clock
        self._budget = budget
        self._parallel = parallel
        self._chain = chain
        lane.late = self._late
        self._spacing = spacing
        self._probing = probing
        self._unsaved = unsaved  # calls that were answered
        # what waits behind an item of the same chain; as a rule nothing does
        self._chains: dict[Hashable, deque[T] | None] = {}
        self._chained = 0
        self._waiting: list[tuple[float, int, T]] = []  # retries: due, key, item
        self._cooling: deque[tuple[float, Hashable]] = deque()  # chains that keep their distance
        self._timer: IDelayedCall | None = None
        self._pumping = False
        self._resume_at = -inf
        self.active = 0
        self.failures = 0  # in a row; above 0 the platform is being probed
        self.stopped = False

    def configure(
        self,
        *,
        parallel: int,
        chain: Callable[[T], Hashable] | None,
        spacing: float,
        probing: Backoff | None,
    ) -> None:
        """Go by other rules from now on; without `chain` what it held back is let go."""
        self._parallel = parallel
        self._spacing = spacing
        self._probing = probing
        if (chain is None) != (self._chain is None):
            self._chain = chain
        if self._chain is None:
            held, self._chains, self._chained = self._chains, {}, 0
            self._cooling.clear()
            for behind in held.values():
                for item in behind or ():
                    heappush(self._waiting, (-inf, item.id, item))

    def go_on(self) -> None:
        """Begin calls again after a `stop`."""
        self.stopped = False
        self.pump()

    def __len__(self) -> int:
        """Everything not finished."""
        return len(self.lane) + self._chained + len(self._waiting) + self.active

    def push(self, item: T) -> None:
        """Take an item that is on disk. `pump` afterwards."""
        self.lane.put(item)

    def fill(self, rows: Sequence[Item], limit: int, now: float, wall: float) -> None:
        """What the lane's claim brought. `pump` afterwards."""
        self.lane.fill(rows, limit, now, wall)

    def pump(self) -> None:
        if self._pumping or self.stopped:
            return
        self._pumping = True
        try:
            self._run()
        finally:
            self._pumping = False

    def _run(self) -> None:
        now = self._clock.seconds()
        while self._cooling and self._cooling[0][0] <= now:
            self._release(self._cooling.popleft()[1])
        most = 1 if self.failures and self._probing else self._parallel
        while self.active < most:
            if self._unsaved is not None and self.active + self._unsaved.count >= most:
                self._unsaved.wait(self.pump)
                break
            if self.failures and self._resume_at > now:
                break
            if not self._waiting and not self.lane.has_work(now):
                break
            if not self._budget.take(self, self.pump):
                return None
            item = self._next(now)
            if item is None:
                self._budget.give()
                break
            self._begin(item)
        return self._arm(now)

    def _next(self, now: float) -> T | None:
        if self._waiting and self._waiting[0][0] <= now:
            return heappop(self._waiting)[2]
        while self._chained < max(64 * self._parallel, self.lane.cap):
            item = self.lane.take(now)
            if item is None or self._chain is None:
                return item
            chain = self._chain(item)
            if chain not in self._chains:
                self._chains[chain] = None
                return item
            behind = self._chains[chain]
            if behind is None:
                behind = self._chains[chain] = deque()
            behind.append(item)
            self._chained += 1
        return None

    def _late(self, item: T, due: float) -> None:
        """An item from the store waits for its next attempt, and its chain behind it."""
        if self._chain is None:
            self.lane.delay(item, due)
            return
        self._chains.setdefault(self._chain(item), None)
        heappush(self._waiting, (due, item.id, item))

    def _begin(self, item: T) -> None:
        self.active += 1
        done = _Waiter(self, item)
        try:
            self._call(item, done)
        except Exception as error:  # noqa: BLE001 - a call that cannot be made costs its own item only
            self.log.failure("A call could not be made")
            done(HttpAnswer(0, error=f"{NOT_MADE}: {error}"))

    def answered(self, item: T, answer: HttpAnswer) -> None:
        """The call of `item` has ended."""
        self.active -= 1
        pause: float | None = None
        try:
            pause = self._settle(item, answer)
        except Exception:  # noqa: BLE001 - it costs its own item, which the next start finds again
            self.log.failure("An answer could not be settled")
        if self._unsaved is not None:
            self._unsaved.note()
        now = self._clock.seconds()
        trouble = answer.status in TROUBLE or answer.status >= 500
        if trouble and not answer.error.startswith(NOT_MADE):
            self.failures += 1
            if self.failures == 1:
                self.log.warn(
                    "{channel} is in trouble: {status} {reason}",
                    channel=self.name,
                    status=answer.status,
                    reason=answer.error,
                )
            if self._probing is not None and self._resume_at <= now:  # a burst is one complaint
                self._resume_at = now + self._probing.failed()
        elif self.failures:
            self.log.info(
                "{channel} answers again after {count} failures",
                channel=self.name,
                count=self.failures,
            )
            self.failures = 0
            if self._probing is not None:
                self._probing.reset()
        if pause is not None:
            heappush(self._waiting, (now + pause, item.id, item))
        elif self._chain is not None:
            chain = self._chain(item)
            if self._spacing:
                self._cooling.append((now + self._spacing, chain))
            else:
                self._release(chain)
        self._budget.give()
        self.pump()

    def _release(self, chain: Hashable) -> None:
        behind = self._chains.get(chain)
        if not behind:
            self._chains.pop(chain, None)
            return
        item = behind.popleft()
        self._chained -= 1
        heappush(self._waiting, (-inf, item.id, item))

    def _arm(self, now: float) -> None:
        due = self.lane.next_due()
        if self._waiting:
            due = min(due, self._waiting[0][0])
        if self._cooling:
            due = min(due, self._cooling[0][0])
        if self.failures:
            due = max(due, self._resume_at) if due < inf else due
            if self.active == 0 and (self.lane.count or self.lane.on_disk):
                due = min(due, self._resume_at)
        if due == inf or due <= now:
            return
        if self._timer is not None:
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(due - now, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.pump()

    def retry(self) -> int:
        """Call now what waits for its next attempt, and a platform that is being probed.

        How many items have waited comes back.
        """
        late = [entry for entry in self._waiting if entry[0] > -inf]
        self._waiting = [(-inf, key, item) for _, key, item in self._waiting]
        heapify(self._waiting)
        self._resume_at = -inf
        self.pump()
        return len(late)

    def stop(self) -> None:
        """Begin no more calls."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
