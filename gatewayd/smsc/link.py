"""What every SMSC protocol shares: the link's states and its window. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import inf

from gatewayd.errors import UsageError
from gatewayd.model import Segment


class LinkState(Enum):
    OPEN = "open"
    BINDING = "binding"
    BOUND = "bound"
    DRAINING = "draining"
    UNBINDING = "unbinding"
    CLOSED = "closed"


class Step(Enum):
    BIND = "bind"
    BOUND = "bound"
    REFUSED = "refused"
    STOP = "stop"
    UNBIND = "unbind"
    LOST = "lost"


# The one place where the life of a link is written down; docs/states is drawn from it.
TRANSITIONS: dict[LinkState, dict[Step, LinkState]] = {
    LinkState.OPEN: {
        Step.BIND: LinkState.BINDING,
        Step.STOP: LinkState.CLOSED,
        Step.LOST: LinkState.CLOSED,
    },
    LinkState.BINDING: {
        Step.BOUND: LinkState.BOUND,
        Step.REFUSED: LinkState.CLOSED,
        Step.STOP: LinkState.CLOSED,
        Step.UNBIND: LinkState.UNBINDING,
        Step.LOST: LinkState.CLOSED,
    },
    LinkState.BOUND: {
        Step.STOP: LinkState.DRAINING,
        Step.UNBIND: LinkState.UNBINDING,
        Step.LOST: LinkState.CLOSED,
    },
    LinkState.DRAINING: {
        Step.STOP: LinkState.DRAINING,
        Step.UNBIND: LinkState.UNBINDING,
        Step.LOST: LinkState.CLOSED,
    },
    LinkState.UNBINDING: {
        Step.STOP: LinkState.UNBINDING,
        Step.UNBIND: LinkState.UNBINDING,
        Step.LOST: LinkState.CLOSED,
    },
    LinkState.CLOSED: {Step.STOP: LinkState.CLOSED, Step.LOST: LinkState.CLOSED},
}


def after(state: LinkState, step: Step) -> LinkState:
    """The state that `step` leads to; `UsageError` when the table does not know it."""
    try:
        return TRANSITIONS[state][step]
    except KeyError:
        raise UsageError(f"{step.value} while {state.value}") from None


@dataclass(slots=True)
class Window:
    """Submits sent and not yet answered, by sequence number, oldest first.

    All wait equally long, so the oldest is always the first to run out.
    """

    size: int
    timeout: float
    waiting: dict[int, tuple[float, Segment]] = field(default_factory=dict)  # sent at, segment

    @property
    def room(self) -> int:
        return self.size - len(self.waiting)

    def add(self, sequence: int, segment: Segment, now: float) -> None:
        self.waiting[sequence] = (now, segment)

    def take(self, sequence: int) -> tuple[float, Segment] | None:
        return self.waiting.pop(sequence, None)

    def expired(self, now: float) -> list[Segment]:
        """Take out what has waited too long."""
        late: list[Segment] = []
        for sequence, (sent, segment) in list(self.waiting.items()):
            if sent + self.timeout > now:
                break
            del self.waiting[sequence]
            late.append(segment)
        return late

    def drain(self) -> list[Segment]:
        """Take out everything, oldest first."""
        left = [segment for _, segment in self.waiting.values()]
        self.waiting.clear()
        return left

    def deadline(self) -> float:
        return next((sent + self.timeout for sent, _ in self.waiting.values()), inf)
