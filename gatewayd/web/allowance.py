"""What one user may send: how fast, how much a day, through which SMSCs and as whom."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

from gatewayd.config.model import UserConfig
from gatewayd.flow.limiter import Limiter

_DAY = 86400.0
_LONGEST_WAIT = 3600  # seconds; nobody need wait longer before asking again


class Allowance:
    """Keeps count for a user. `now` is a monotonic clock, `wall` seconds since the epoch.

    The count of a day (UTC) begins anew when the gateway does.
    """

    def __init__(
        self, user: UserConfig, now: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._now = now
        self._wall = wall
        self._rate = user.rate
        self._limiter = Limiter(user.rate, burst=max(1.0, user.rate))
        self._cap = user.daily_cap
        self._day = -1
        self._sent = 0
        self._senders = user.allowed_senders
        self._smscs = None if user.allowed_smscs is None else frozenset(user.allowed_smscs)
        self.taken = self.refused = 0

    def inherit(self, before: Allowance) -> None:
        """Go on counting where `before`, the same user's, ended."""
        self._day, self._sent = before._day, before._sent
        self.taken, self.refused = before.taken, before.refused
        if self._rate == before._rate:
            self._limiter = before._limiter

    def may_use(self, smsc: str | None) -> bool:
        """Whether its messages may carry this tag; None: none."""
        return self._smscs is None or (smsc is not None and smsc in self._smscs)

    def may_be(self, sender: str) -> bool:
        """Whether it may send as `sender`: one of the patterns covers it, or there are none."""
        if not self._senders:
            return True
        return any(fnmatchcase(sender, pattern) for pattern in self._senders)

    def wait(self, messages: int) -> int:
        """Take leave to send so many: 0, or the seconds after which to ask again."""
        seconds = self._wait(messages)
        if seconds:
            self.refused += 1
            return max(1, min(int(seconds + 0.999), _LONGEST_WAIT))
        self._sent += messages
        self.taken += messages
        self._limiter.spend(messages)
        return 0

    def _wait(self, messages: int) -> float:
        if self._cap:
            day, spent = divmod(self._wall(), _DAY)
            if day != self._day:
                self._day, self._sent = int(day), 0
            if self._sent + messages > self._cap:
                return _DAY - spent
        # a bucket that is not empty lets a whole request through and pays it back later
        return 0.0 if self._limiter.available(self._now()) >= 1 else self._limiter.wait()
