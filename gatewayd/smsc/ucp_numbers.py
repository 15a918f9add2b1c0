"""Which transaction numbers are free, and which message a notification speaks of."""

from __future__ import annotations

from math import inf

from gatewayd.errors import UsageError

NUMBERS = 100
_NAMES_KEPT = 10_000


class Numbers:
    """Our transaction numbers 00-99: each is free, in use, or rests.

    A number whose result did not come in time rests for `rest` seconds, so that a late result
    cannot be taken for that of another operation.
    """

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._busy: dict[int, float] = {}  # until when; inf: in use
        self._last = NUMBERS - 1

    @property
    def free(self) -> int:
        return NUMBERS - len(self._busy)

    def take(self) -> int:
        """The next free number; the caller has looked at `free`."""
        for step in range(1, NUMBERS + 1):
            number = (self._last + step) % NUMBERS
            if number not in self._busy:
                self._last = number
                self._busy[number] = inf
                return number
        raise UsageError("no transaction number is free")

    def give_back(self, number: int) -> bool:
        """The result of `number` came; whether it was in use or rested."""
        return self._busy.pop(number, None) is not None

    def expire(self, number: int, now: float) -> None:
        """The result of `number` did not come in time."""
        self._busy[number] = now + self._rest

    def wake(self, now: float) -> int:
        """Free the numbers that have rested long enough; how many."""
        rested = [number for number, until in self._busy.items() if until <= now]
        for number in rested:
            del self._busy[number]
        return len(rested)

    def deadline(self) -> float:
        """When the next number has rested; inf: none rests."""
        return min(self._busy.values(), default=inf)


class Names:
    """Tells apart messages that an SMSC gave the same recipient and time stamp.

    Parts of a long message submitted within one second share them at some SMSCs. The second such
    message is named with "#2" behind, and the notifications are dealt out in the order of the
    submits: a final one ends the turn of its message. Bounded; the oldest are forgotten.
    """

    def __init__(self) -> None:
        self._given: dict[str, list[int]] = {}  # name: messages, final notifications

    def give(self, name: str) -> str:
        """The name for a message that was just taken."""
        found = self._given.get(name)
        if found is None:
            if len(self._given) >= _NAMES_KEPT:
                del self._given[next(iter(self._given))]
            self._given[name] = [1, 0]
            return name
        found[0] += 1
        return f"{name}#{found[0]}"

    def find(self, name: str, *, final: bool) -> str:
        """The name of the message that a notification speaks of."""
        found = self._given.get(name)
        if found is None:
            return name
        turn = min(found[1] + 1, found[0])
        if final and found[1] < found[0]:
            found[1] += 1
        return name if turn == 1 else f"{name}#{turn}"
