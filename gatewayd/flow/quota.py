"""How many segments of one user may wait for an SMSC, so that nobody fills the queue for all."""

from __future__ import annotations

from collections.abc import Iterable

from gatewayd.config import UserConfig
from gatewayd.model import Segment


class Quotas:
    """Knows what waits of the users that have a `max_queued`; of the others it knows nothing.

    Counted is what was accepted since the start, until the SMSC takes it or it fails for good.
    """

    def __init__(self, users: Iterable[UserConfig]) -> None:
        self._waiting: dict[str, set[int]] = {}
        self.configure(users)

    def configure(self, users: Iterable[UserConfig]) -> None:
        """Other limits. Of a user that had none before, what waits already is not known."""
        limits = {user.name or user.username: user.max_queued for user in users}
        self._limits = {name: limit for name, limit in limits.items() if limit}
        self._waiting = {name: self._waiting.get(name, set()) for name in self._limits}
        self.idle = not self._limits

    def full(self, user: str) -> bool:
        """Whether so much waits that nothing more is taken."""
        limit = self._limits.get(user)
        return limit is not None and len(self._waiting[user]) >= limit

    def take(self, segments: Iterable[Segment]) -> None:
        """These wait from now on."""
        for segment in segments:
            if (waiting := self._waiting.get(segment.user)) is not None:
                waiting.add(segment.id)

    def give(self, segment: Segment) -> None:
        """It waits no longer, or never did."""
        if (waiting := self._waiting.get(segment.user)) is not None:
            waiting.discard(segment.id)
