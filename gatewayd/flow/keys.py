"""Keys: numbers that grow with time, one for everything that is kept; and their UUID form.

A key is milliseconds since the epoch times 2**20 plus a counter, so it fits SQLite's 63-bit row id,
sorts by age, and needs no look-up after a restart: the next one is above the last in the store.
"""

from __future__ import annotations

from collections.abc import Callable

COUNTER_BITS = 20
_INSTANCE_BITS = 54


class Keys:
    """Gives out keys. `instance` (8 octets from the store) makes the UUIDs of two stores differ."""

    def __init__(self, last: int, instance: bytes, wall: Callable[[], float]) -> None:
        self._last = last
        self._wall = wall
        self._instance = int.from_bytes(instance, "big") & ((1 << _INSTANCE_BITS) - 1)
        # of a UUID's digits the instance is the last thirteen and half of the one before
        self._high = self._instance >> 52
        digits = f"{self._instance & ((1 << 52) - 1):013x}"
        self._digits = f"{digits[0]}-{digits[1:]}"

    def take(self, count: int = 1) -> int:
        """The first of `count` consecutive new keys.

        When the clock jumps back the keys go on counting from the last one.
        """
        first = int(self._wall() * 1000) << COUNTER_BITS
        if first <= self._last:
            first = self._last + 1
        self._last = first + count - 1
        return first

    def uuid(self, key: int) -> str:
        """The key as a UUID (RFC 9562 version 7): what platforms and people see."""
        stamp = key >> COUNTER_BITS
        count = key & ((1 << COUNTER_BITS) - 1)
        variant = (0x200 | count & 0xFF) << 2 | self._high
        return "%08x-%04x-%04x-%03x%s" % (  # noqa: UP031 - half the time of an f-string
            stamp >> 16 & 0xFFFFFFFF,
            stamp & 0xFFFF,
            0x7000 | count >> 8,
            variant,
            self._digits,
        )

    def key(self, uuid: str) -> int | None:
        """The key behind one of our UUIDs; None for anything else."""
        text = uuid.replace("-", "")
        if len(uuid) != 36 or len(text) != 32:
            return None
        try:
            value = int(text, 16)
        except ValueError:
            return None
        stamp, high, low = value >> 80, value >> 64 & 0xFFF, value >> _INSTANCE_BITS & 0xFF
        key = stamp << COUNTER_BITS | high << 8 | low
        return key if self.uuid(key) == uuid.lower() else None


def stamp_of(key: int) -> float:
    """When the key was made, seconds since the epoch."""
    return (key >> COUNTER_BITS) / 1000


def key_at(when: float) -> int:
    """The lowest key that could have been made at `when`."""
    return int(when * 1000) << COUNTER_BITS
