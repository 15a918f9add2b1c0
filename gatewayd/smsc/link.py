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

    __hash__ = object.__hash__  # as with `model.Outcome`


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


class Pulse(Enum):
    """What a keep-alive wants done."""

    NOTHING = "nothing"
    ASK = "ask"  # send a keep-alive request, and say so with `asked`
    DEAD = "dead"  # too many went unanswered: the link is dead


@dataclass(slots=True)
class KeepAlive:
    """When to ask the SMSC whether it is still there, and when to believe that it is not.

    Asked `interval` seconds after the last PDU from the SMSC, or with `always` in any case; 0:
    never. An answer, and any other PDU, may take `timeout` seconds; `limit` such waits in vain make
    the link dead (0: never).
    """

    interval: float
    timeout: float
    limit: int
    always: bool = False
    heard: float = 0.0  # when the last PDU came
    waiting: int = 0  # number of the request that waits for its answer; 0: none
    asked_at: float = 0.0
    missed: int = 0

    def asked(self, number: int, now: float) -> None:
        self.waiting = number
        self.asked_at = now

    def answered(self, number: int) -> bool:
        """Whether `number` is the request that waited; then it waits no more."""
        if number != self.waiting:
            return False
        self.waiting = self.missed = 0
        return True

    def check(self, now: float) -> Pulse:
        if now < self.deadline():
            return Pulse.NOTHING
        if self.waiting and self.limit > 0:
            if self.heard <= self.asked_at:
                self.missed += 1
                return Pulse.DEAD if self.missed >= self.limit else Pulse.ASK
            self.waiting = self.missed = 0  # whatever came proves that the SMSC is there
        return Pulse.ASK if now >= self.deadline() else Pulse.NOTHING

    def deadline(self) -> float:
        if self.interval <= 0:
            return inf
        if self.waiting and self.limit > 0:
            # With `always` the next request goes out even while one waits.
            wait = min(self.timeout, self.interval) if self.always else self.timeout
            return self.asked_at + wait
        return (self.asked_at if self.always else max(self.heard, self.asked_at)) + self.interval
