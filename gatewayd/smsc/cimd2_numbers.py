"""The packet numbers of our requests: the odd ones.

There are few, so a number whose answer never came rests before it is used again: a late answer must
not be taken for that of another request.
"""

from __future__ import annotations

from collections.abc import Container
from math import inf

from gatewayd.smsc.cimd2_frame import NUMBERS

LOGIN_NUMBER = 1  # of every login; the next request has 3
OURS = NUMBERS // 2
RESTING = 300.0  # seconds a number rests whose request was never answered
MOST_RESTING = OURS // 2


class OurNumbers:
    """The numbers of our requests: 001, 003 ... 255 and again 001."""

    __slots__ = ("_resting", "_tries", "last")

    def __init__(self) -> None:
        self.last = LOGIN_NUMBER
        self._resting: dict[int, float] = {}  # number: until when it is not used
        self._tries: dict[int, int] = {}  # number: how often its packet was sent again

    @property
    def resting(self) -> int:
        return len(self._resting)

    def next(self, busy: Container[int], other: int) -> int:
        """The next number that is not `busy`, not `other` and does not rest; see `credit`."""
        number = self.last
        for _ in range(OURS):
            number = (number + 2) % NUMBERS
            if number not in busy and number not in self._resting and number != other:
                break
        return number

    def rest(self, number: int, now: float) -> None:
        """The request with `number` is given up."""
        self._resting[number] = now + RESTING
        self._tries.pop(number, None)

    def answered(self, number: int) -> None:
        """The request with `number` has its answer."""
        self._tries.pop(number, None)

    def late(self, number: int) -> bool:
        """Whether an answer with `number` is that of a request that was given up."""
        return self._resting.pop(number, None) is not None

    def tried_again(self, number: int) -> int:
        """Count one more try; how often that makes."""
        self._tries[number] = tries = self._tries.get(number, 0) + 1
        return tries

    def renumber(self, old: int, new: int, now: float) -> None:
        """A request goes out again as `new`, which the SMSC expects next."""
        self._tries[new] = self._tries.get(old, 0)
        self.rest(old, now)
        self._resting.pop(new, None)
        self.last = new

    def wake(self, now: float) -> None:
        """End the rest of those that have rested enough."""
        while self._resting:  # they began in this order
            number = next(iter(self._resting))
            if self._resting[number] > now:
                break
            del self._resting[number]

    def deadline(self) -> float:
        return next(iter(self._resting.values()), inf)
