"""Failed logins: how many are checked before an address must wait, and who checks slow hashes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

WINDOW: Final = 60.0  # seconds in which failures count together
FIRST_BLOCK: Final = 60.0
LONGEST_BLOCK: Final = 900.0
REMEMBERED: Final = 10_000  # callers; of more, those that failed longest ago are forgotten
PENDING: Final = 16  # hashes that wait to be checked
BUSY: Final = 2  # seconds to wait when more would

Job = Callable[[], bool]
# Runs a job elsewhere and calls back, here and later, with what it found.
Run = Callable[[Job, Callable[[bool], None]], None]


class LoginBlocked(Exception):
    """Nothing is checked for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = max(1, int(seconds + 0.999))


class LoginPending(Exception):
    """The password is being checked; ask again when `then` calls."""

    def __init__(self, waiting: list[Callable[[], None]]) -> None:
        super().__init__()
        self._waiting = waiting

    def then(self, call: Callable[[], None]) -> None:
        """`call` asks again: the answer is known by then."""
        self._waiting.append(call)


class _Caller:
    __slots__ = ("blocks", "count", "since", "until")

    def __init__(self, now: float) -> None:
        self.count = 0
        self.since = now
        self.until = 0.0
        self.blocks = 0


class Failures:
    """Counts failures per caller; `most` a minute, then a block of 60 s that doubles to 15 min.

    A caller is any key. `now` is a clock that only goes forward.
    """

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._callers: OrderedDict[object, _Caller] = OrderedDict()

    def __len__(self) -> int:
        return len(self._callers)

    def inherit(self, before: Failures) -> None:
        """Know what `before` knows."""
        self._callers = before._callers

    def blocked(self, key: object) -> float:
        """Seconds that this caller still has to wait."""
        caller = self._callers.get(key)
        return max(0.0, caller.until - self._now()) if caller is not None else 0.0

    def failed(self, key: object) -> float:
        """Count a failure; the seconds of the block that begins with it, or 0."""
        now = self._now()
        caller = self._callers.get(key)
        if caller is None:
            caller = self._callers[key] = _Caller(now)
            if len(self._callers) > REMEMBERED:
                self._callers.popitem(last=False)
        self._callers.move_to_end(key)
        if now - caller.since > WINDOW:
            caller.count, caller.since = 0, now
            if now - caller.until > LONGEST_BLOCK:
                caller.blocks = 0
        caller.count += 1
        if caller.count < self._most:
            return 0.0
        seconds = min(FIRST_BLOCK * 2.0 ** min(caller.blocks, 10), LONGEST_BLOCK)
        caller.until = now + seconds
        caller.count, caller.since, caller.blocks = 0, now, caller.blocks + 1
        return seconds

    def passed(self, key: object) -> None:
        """A success: what this caller did wrong before is forgotten."""
        self._callers.pop(key, None)


class Checks:
    """Checks slow hashes one after another, elsewhere; each result is remembered."""

    def __init__(self, run: Run | None) -> None:
        self._run = run
        self._waiting: OrderedDict[object, tuple[Job, list[Callable[[], None]]]] = OrderedDict()
        self._running = False
        self._known: OrderedDict[object, bool] = OrderedDict()

    def known(self, key: object) -> bool | None:
        """What an earlier check found."""
        return self._known.get(key)

    def check(self, key: object, job: Job) -> bool:
        """What `job` finds. Raises LoginPending while it runs elsewhere, LoginBlocked when busy."""
        if self._run is None:
            found = job()
            self._keep(key, found)
            return found
        waiting = self._waiting.get(key)
        if waiting is None:
            if len(self._waiting) >= PENDING:
                raise LoginBlocked(BUSY)
            waiting = self._waiting[key] = (job, [])
            self._next()
        raise LoginPending(waiting[1])

    def pending(self, key: object) -> bool:
        """Whether it is being checked already."""
        return key in self._waiting

    def _next(self) -> None:
        if self._running or not self._waiting or self._run is None:
            return
        self._running = True
        key, (job, _) = next(iter(self._waiting.items()))

        def done(found: bool) -> None:
            self._running = False
            self._keep(key, found)
            _, calls = self._waiting.pop(key)
            for call in calls:
                call()
            self._next()

        self._run(job, done)

    def _keep(self, key: object, found: bool) -> None:
        self._known[key] = found
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
