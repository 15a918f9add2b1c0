"""MO that an SMSC delivers again because our answer did not reach it: told to the platform once.

The same delivery has the same SMSC, sender, receiver, header, octets, and the same id and time, if
the SMSC gives these. With an id or a time that is enough. SMPP as a rule gives neither, and people
do answer "yes" twice within minutes. There a delivery is a repeated one only if the answer to the
first may have been lost: it is still to come, came late, or its link (or our process) ended since.

What is remembered is bounded in time and number. After a restart the rows of MO say it again, since
each carries the name of its delivery.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from gatewayd.model import Inbound, Outcome

MOST = 100_000  # deliveries remembered, some 300 octets each
LATE = 5.0  # seconds; an SMSC may have given up waiting for an answer that took longer
NAME = 16  # octets of a delivery's name

Answer = Callable[[Outcome], None]


class Line:
    """One link of a bind, from Bound to its end."""

    __slots__ = ("up",)

    def __init__(self) -> None:
        self.up = True


class _Delivery:
    __slots__ = ("came", "line", "sure", "told", "waiting")

    def __init__(self, came: float, line: Line | None, sure: bool) -> None:
        self.came = came
        self.line = line
        self.sure = sure  # the SMSC's own id or time makes it one of its kind
        self.told: float | None = None  # when it was answered; None: not yet
        self.waiting: list[Answer] = []

    @property
    def doubtful(self) -> bool:
        """Whether the SMSC may not have our answer."""
        if self.sure or self.told is None or self.line is None or not self.line.up:
            return True
        return self.told - self.came > LATE


class Repeats:
    """Remembers deliveries for `window` seconds. `count`: how many were not new."""

    def __init__(self, window: float, wall: Callable[[], float]) -> None:
        self.window = window
        self._wall = wall
        self._known: OrderedDict[bytes, _Delivery] = OrderedDict()
        self.count = 0

    def __len__(self) -> int:
        return len(self._known)

    def name(self, smsc: str, inbound: Inbound) -> bytes:
        """What a repeated delivery shares with the first."""
        fields = (
            smsc.encode(),
            inbound.source.encode("utf-8", "surrogatepass"),
            inbound.destination.encode("utf-8", "surrogatepass"),
            inbound.udh,
            inbound.raw or inbound.payload,
            repr((inbound.dcs, inbound.sar, inbound.foreign_id, inbound.time)).encode(),
        )
        digest = blake2b(digest_size=NAME)
        for field in fields:
            digest.update(len(field).to_bytes(4, "big") + field)
        return digest.digest()

    def admit(self, name: bytes, inbound: Inbound, line: Line | None, answer: Answer) -> Answer:
        """Who is to be answered when the delivery is kept.

        For a repeated one that is `is_repeated`: it is answered here, as the first one is.
        """
        now = self._wall()
        known = self._known.get(name)
        if known is not None and now - known.came < self.window and known.doubtful:
            self.count += 1
            if known.told is None:
                known.waiting.append(answer)
            else:
                answer(Outcome.DONE)
            return is_repeated
        delivery = _Delivery(now, line, bool(inbound.foreign_id or inbound.time))
        self._remember(name, delivery)

        def told(outcome: Outcome) -> None:
            if outcome is Outcome.DONE:
                delivery.told = self._wall()
            elif self._known.get(name) is delivery:
                del self._known[name]
            waiting, delivery.waiting = delivery.waiting, []
            for each in (answer, *waiting):
                each(outcome)

        return told

    def recovered(self, names: bytes, came: float) -> None:
        """A message of these deliveries was on disk when the gateway started."""
        for start in range(0, len(names), NAME):
            delivery = _Delivery(came, None, True)
            delivery.told = came
            self._remember(names[start : start + NAME], delivery)

    def sweep(self) -> None:
        """Forget what is old; once a second is often enough."""
        limit = self._wall() - self.window
        while self._known and next(iter(self._known.values())).came <= limit:
            self._known.popitem(last=False)

    def _remember(self, name: bytes, delivery: _Delivery) -> None:
        self._known.pop(name, None)
        self._known[name] = delivery
        if len(self._known) > MOST:
            self._known.popitem(last=False)


def is_repeated(outcome: Outcome) -> None:
    """Nobody waits any more: the delivery is a repeated one."""
