"""Repeated requests: the second one gets the answer of the first and sends nothing.

A caller whose answer was lost (a time-out after the message was stored) asks again: RapidPro five
minutes later, with the same dlr-url. What the two share is `Order.once`, 16 octets that the web
side makes (`web.once`): of user, receivers, text, and either the URL of the reports, where that
names the message, or the caller's own id for it, or the header Idempotency-Key. Without it nothing
here is called.

What is remembered is one row per order, in a queue of its own (`Queue.SEEN`), put in the same
`Work` as the segments: both are on disk or neither, and one commit serves both. Its body says what
was answered and which messages were made. All rows are in memory too, so a request costs one look
into a dict and never one into the store; a restart reads them again. Their state is HELD, which no
lane reads and no pruning ends.

* While the first request is being stored, others like it wait for its outcome. When the store fails
  all of them are told so, and nothing is remembered.
* A message that failed takes its name off the row, in the work that makes the report of the failure
  (2 and 16 ask the platform to send again). When all messages of the order have failed the row
  ends, and the same request is a new one.
* Rows end after `KEPT` seconds, the oldest earlier when there are more messages than `MOST`. A
  refused order (no route, too long, too much waits) is not remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from msgspec import DecodeError, Struct, json

from gatewayd.flow.journal import Log
from gatewayd.flow.keys import Keys, key_at
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.store.contract import Change, Item, Queue, State, Work

KEPT = 86_400.0  # seconds; RapidPro asks again after 5 and 10 minutes, then never
MOST = 200_000  # messages remembered, some 500 octets each
WAITERS = 100  # requests that wait for the outcome of one like them
PER_WORK = 1000  # rows ended at once

Reply = Callable[[Acceptance], None]


class Row(Struct, omit_defaults=True):
    """What is kept of an order."""

    once: bytes
    messages: list[int]  # ids of those that have not failed
    verdict: str
    segments: int = 1
    message: int = 0


_encode = json.Encoder().encode
_decode = json.Decoder(Row).decode


class _Seen:
    """An order that is on disk: its row, and the key of that."""

    __slots__ = ("key", "row")

    def __init__(self, key: int, row: Row) -> None:
        self.key = key
        self.row = row

    @property
    def acceptance(self) -> Acceptance:
        row = self.row
        return Acceptance(Verdict(row.verdict), row.segments, row.message)


class _First:
    """An order on its way to the disk, and who asked for the same meanwhile."""

    __slots__ = ("seen", "waiting")

    def __init__(self) -> None:
        self.seen: _Seen | None = None
        self.waiting: list[Reply] = []


class Seen:
    """Remembers the orders that have a `once`. `repeated` counts requests that were not new."""

    def __init__(self, keys: Keys, journal: Log, wall: Callable[[], float]) -> None:
        self._keys = keys
        self._journal = journal
        self._wall = wall
        self._firsts: dict[bytes, _First] = {}
        self._seen: OrderedDict[bytes, _Seen] = OrderedDict()
        self._by_message: dict[int, _Seen] = {}
        self._ended: list[int] = []
        self.repeated = 0

    def __len__(self) -> int:
        """Orders remembered."""
        return len(self._seen)

    def admit(self, order: Order, reply: Reply, accept: Callable[[Order, Reply], None]) -> None:
        """Have `order` accepted, unless one like it was: then `reply` gets that one's outcome."""
        once = order.once
        seen = self._seen.get(once)
        if seen is not None and seen.key >= self._oldest():
            self.repeated += 1
            reply(seen.acceptance)
            return
        first = self._firsts.get(once)
        if first is not None:
            if len(first.waiting) < WAITERS:
                self.repeated += 1
                first.waiting.append(reply)
            else:
                reply(Acceptance(Verdict.OVERLOADED, reason="the same request waits too often"))
            return
        first = self._firsts[once] = _First()

        def decided(acceptance: Acceptance) -> None:
            self._firsts.pop(once, None)
            if first.seen is not None and acceptance.verdict is not Verdict.OVERLOADED:
                self._remember(first.seen)
            for each in (reply, *first.waiting):
                each(acceptance)

        try:
            accept(order, decided)
        except BaseException:
            self._firsts.pop(once, None)
            raise

    def keep(
        self, once: bytes, work: Work, messages: Iterable[int], acceptance: Acceptance
    ) -> None:
        """Put into `work`, which keeps the order's segments, what shall be remembered of it."""
        first = self._firsts.get(once)
        if first is None:
            return
        row = Row(
            once,
            sorted(set(messages)),
            acceptance.verdict.value,
            acceptance.segments,
            acceptance.message,
        )
        first.seen = _Seen(self._keys.take(), row)
        work.puts.append(Item(Queue.SEEN, first.seen.key, "", _encode(row), State.HELD))

    def failed(self, message: int, work: Work) -> None:
        """A message failed for good: `work`, which says so, also forgets it."""
        if not self._by_message:
            return
        seen = self._by_message.pop(message, None)
        if seen is None:
            return
        seen.row.messages.remove(message)
        if seen.row.messages:
            work.changes.append(Change(seen.key, State.HELD, body=_encode(seen.row)))
        else:
            work.ends.append(seen.key)
            del self._seen[seen.row.once]

    def recovered(self, items: Sequence[Item]) -> None:
        """Take up what the store held, oldest first."""
        oldest = self._oldest()
        for item in items:
            try:
                row = _decode(item.body)
                Verdict(row.verdict)
            except (DecodeError, ValueError):
                self._ended.append(item.key)
                continue
            if item.key < oldest or not row.messages:
                self._ended.append(item.key)
            else:
                self._remember(_Seen(item.key, row))

    def sweep(self) -> None:
        """Forget what is old; once a second is often enough."""
        oldest = self._oldest()
        while self._seen and next(iter(self._seen.values())).key < oldest:
            self._forget(self._seen.popitem(last=False)[1])
        while self._ended:
            ended, self._ended = self._ended[:PER_WORK], self._ended[PER_WORK:]
            self._journal.add(Work(ends=ended))

    def _oldest(self) -> int:
        return key_at(self._wall() - KEPT)

    def _remember(self, seen: _Seen) -> None:
        old = self._seen.pop(seen.row.once, None)
        if old is not None:
            self._forget(old)
        self._seen[seen.row.once] = seen
        for message in seen.row.messages:
            self._by_message[message] = seen
        while len(self._by_message) > MOST and len(self._seen) > 1:
            self._forget(self._seen.popitem(last=False)[1])

    def _forget(self, seen: _Seen) -> None:
        """Its row ends with the next sweep: a work that only puts must stay one."""
        for message in seen.row.messages:
            self._by_message.pop(message, None)
        self._ended.append(seen.key)
