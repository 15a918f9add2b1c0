"""How fast a lane may go: a token bucket, and the pause after the SMSC said "slower". Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from gatewayd.config import Retry


class Limiter:
    """`rate` units per second (0: no limit), with bursts of `burst` or 50 ms worth of them.

    The rate counts what the SMSC counts: segments.
    """

    __slots__ = ("_burst", "_rate", "_then", "_tokens")

    def __init__(self, rate: float, burst: float = 0.0) -> None:
        self._rate = rate
        self._burst = burst or max(1.0, rate / 20)
        self._tokens = burst or 1.0
        self._then = -inf

    def available(self, now: float) -> float:
        """How many units may go at `now` (inf without a limit)."""
        if not self._rate:
            return inf
        if self._then > -inf:
            self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now
        return (self._tokens + 1e-9) // 1  # a timer may come a rounding error early

    def spend(self, units: int) -> None:
        if self._rate:
            self._tokens -= units

    def wait(self) -> float:
        """Seconds until one unit may go, counted from the last `available`."""
        if not self._rate:
            return 0.0
        return max(0.0, (1.0 - self._tokens) / self._rate)


class Backoff:
    """The pauses of one `Retry`: longer with each failure, shorter again after a success."""

    __slots__ = ("_chance", "_retry", "pause")

    def __init__(self, retry: Retry, chance: Callable[[], float]) -> None:
        self._retry = retry
        self._chance = chance
        self.pause = 0.0  # the last one made; 0.0: none since the last reset

    def failed(self) -> float:
        """The pause to make now."""
        retry = self._retry
        self.pause = min(self.pause * retry.factor, retry.cap) if self.pause else retry.first
        return jittered(self.pause, retry.jitter, self._chance)

    def eased(self) -> None:
        """A success: the next pause is half as long, and in the end the first one again."""
        self.pause = self.pause / 2 if self.pause / 2 >= self._retry.first else 0.0

    def reset(self) -> None:
        self.pause = 0.0


def pause_after(retry: Retry, tries: int, chance: Callable[[], float]) -> float:
    """The pause before attempt `tries` + 1, when `tries` (1, 2 ...) have failed."""
    pause = retry.first
    for _ in range(min(tries - 1, 64)):
        pause *= retry.factor
        if pause >= retry.cap:
            pause = max(retry.first, retry.cap)
            break
    return jittered(pause, retry.jitter, chance)


def exhausted(retry: Retry, tries: int, age: float) -> bool:
    """Whether an item that failed `tries` times and is `age` seconds old is given up."""
    return 0 <= retry.times < tries or 0 < retry.horizon <= age


def jittered(pause: float, share: float, chance: Callable[[], float]) -> float:
    return pause * (1 + share * (2 * chance() - 1)) if share else pause
