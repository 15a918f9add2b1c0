"""One SMSC's lane at work: its binds pull segments as their credit and the rate allow."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gatewayd.config import BindMode, OnUncertain, SmscConfig
from gatewayd.flow.journal import Journal
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff, Limiter
from gatewayd.flow.router import LaneState
from gatewayd.metrics import Histogram
from gatewayd.model import Segment
from gatewayd.smsc.contract import Event
from gatewayd.store.contract import Change, Item, State, Work

CLAIM_PAUSE = 1.0  # seconds, when segments were marked as claimed and could not be written


class Port(Protocol):
    """A bind, as a lane sees it."""

    name: str
    mode: BindMode

    @property
    def credit(self) -> int: ...

    @property
    def bound(self) -> bool: ...

    @property
    def dead(self) -> bool:
        """Stopped, or refused for good."""

    def submit(self, segment: Segment, now: float) -> Event | None: ...

    def flush(self) -> None:
        """Write what `submit` gathered, at the end of this turn."""

    def wake(self) -> None:
        """Something waits: a bind that rests for want of traffic connects again."""


class PortState:
    """What the lane remembers of one bind."""

    __slots__ = (
        "accepted",
        "backoff",
        "carry",
        "claimed",
        "paused_until",
        "port",
        "receipts",
        "received",
        "refusals",
        "reports",
    )

    def __init__(self, port: Port, backoff: Backoff) -> None:
        self.port = port
        self.backoff = backoff
        self.carry: deque[Segment] = deque()  # rest of a message whose beginning went here
        self.claimed = 0  # segments handed to it, which it may write once that is on disk
        self.paused_until = -inf
        self.accepted = self.refusals = 0  # segments
        self.received = self.receipts = 0
        self.reports = 0  # reports 8 and 16, which Kannel counts as if they came from the SMSC

    @property
    def credit(self) -> int:
        return self.port.credit - self.claimed


class Backlog:
    """How many segments wait in all lanes together, for the limit of accepted messages."""

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        self.waiting = 0


class MtLane:
    """The lane of one SMSC. `refused(lane, event)` hears of segments that could not be written."""

    def __init__(
        self,
        config: SmscConfig,
        lane: Lane[Segment],
        backlog: Backlog,
        journal: Journal,
        clock: IReactorTime,
        wall: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self.config = config
        self.lane = lane
        self._backlog = backlog
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._limiter = Limiter(config.rate)
        self._timer: IDelayedCall | None = None
        self._pumping = False
        self._marks = config.on_uncertain is not OnUncertain.RESUBMIT
        self.ports: list[PortState] = []
        self.held = False  # suspended by hand
        self.stopped = config.dead_start
        self.submitted = self.throttles = 0
        self.latency = Histogram()
        self.removed = False  # by hand; not shown any more
        self.on_event: Callable[[MtLane, PortState, Event], None] = _nobody
        self.on_expired: Callable[[MtLane, Segment], None] = _nobody_either

    def attach(self, port: Port) -> PortState:
        state = PortState(port, Backoff(self.config.throttle, self._chance))
        self.ports.append(state)
        return state

    @property
    def state(self) -> LaneState:
        """BOUND counts only binds that transmit; without any bind that could, the lane is DEAD."""
        if self.stopped:
            return LaneState.DEAD
        found = LaneState.DEAD
        for state in self.ports:
            if state.port.mode is BindMode.RECEIVER or state.port.dead:
                continue
            if state.port.bound:
                return LaneState.BOUND
            found = LaneState.WAITING
        return found

    @property
    def load(self) -> int:
        """What waits here, for choosing between equal lanes."""
        return len(self.lane)

    def recovered(self, heads: Sequence[Item], waiting: int, now: float, wall: float) -> None:
        """Start with what the store had for this lane."""
        self.lane.recovered(heads, waiting, now, wall)
        self._backlog.waiting += len(self.lane)

    def adopt(self, rows: Sequence[Item], now: float, wall: float) -> None:
        """Take in waiting rows of a lane that is not configured any more."""
        before = len(self.lane)
        self.lane.adopt(rows, now, wall)
        self._backlog.waiting += len(self.lane) - before

    def fill(self, rows: Sequence[Item], limit: int, now: float, wall: float) -> None:
        """What the lane's claim brought; what was counted as waiting may prove to be less."""
        before = len(self.lane)
        self.lane.fill(rows, limit, now, wall)
        self._backlog.waiting += len(self.lane) - before

    def drain(self) -> list[Segment]:
        """Take out what waits in memory, in order."""
        segments = self.lane.drain()
        self._backlog.waiting -= len(segments)
        return segments

    def push(self, segment: Segment) -> None:
        """Take a segment that is on disk. `pump` afterwards."""
        self._backlog.waiting += 1
        self.lane.put(segment, max(segment.priority, 0))

    def put_back(self, segment: Segment) -> None:
        """Return a segment that was taken; it keeps its place."""
        self._backlog.waiting += 1
        self.lane.put_back(segment, max(segment.priority, 0))

    def delay(self, segment: Segment, seconds: float) -> None:
        """Return a segment that was taken; it goes not before `seconds` have passed."""
        self._backlog.waiting += 1
        self.lane.delay(segment, self._clock.seconds() + seconds, max(segment.priority, 0))
        self._arm(seconds)

    def waiting(self, limit: int) -> list[Segment]:
        """The first segments that wait in memory, for people."""
        return self.lane.head(limit)

    def discard(self, key: int) -> bool:
        """Take out one waiting segment and forget it; whether it was there."""
        if self.lane.discard(key) is None:
            return False
        self._backlog.waiting -= 1
        self._journal.add(Work(ends=[key]))
        return True

    def forget_on_disk(self) -> None:
        """One segment that was not in memory has ended; or it is with the SMSC just now."""
        if self.lane.on_disk > 0:
            self.lane.on_disk -= 1
            self._backlog.waiting -= 1

    def answered(self, state: PortState, seconds: float) -> None:
        """The SMSC took a segment on this bind, `seconds` after the submit."""
        state.accepted += 1
        self.latency.observe(seconds)
        if state.backoff.pause:
            state.backoff.eased()

    def throttled(self, state: PortState) -> float:
        """The SMSC said "slower" on this bind: it pauses; the pause in seconds comes back."""
        now = self._clock.seconds()
        self.throttles += 1
        if state.paused_until > now:  # several answers to one burst are one complaint
            return state.paused_until - now
        pause = state.backoff.failed()
        state.paused_until = now + pause
        self._arm(pause)
        return pause

    def lost(self, state: PortState) -> None:
        """The bind went: what it carried goes back to the lane."""
        while state.carry:
            self.put_back(state.carry.pop())

    def pump(self) -> None:
        """Hand out segments while there is credit; arms its own timer for what must wait."""
        if self._pumping or self.held or self.stopped:
            return
        now = self._clock.seconds()
        self._pumping = True
        try:
            wait = self._hand_out(now)
        finally:
            self._pumping = False
        if wait < inf:
            self._arm(wait)

    def _hand_out(self, now: float) -> float:
        """Returns the seconds until it is worth trying again; inf when an event will tell."""
        lane, limiter = self.lane, self._limiter
        ready = [state for state in self.ports if state.credit > 0 and state.paused_until <= now]
        credit = {state: state.credit for state in ready}
        allowance = limiter.available(now)
        if not ready or not (lane.has_work(now) or any(state.carry for state in ready)):
            if not ready and lane.has_work(now):
                for state in self.ports:
                    state.port.wake()
            return self._next(now)
        claims: list[tuple[PortState, Segment]] = []
        spent = 0
        while ready and spent < allowance:
            progress = False
            for state in ready:
                segment = self._next_segment(state, now)
                if segment is None:
                    continue
                progress = True
                if self._marks:
                    claims.append((state, segment))
                elif not self._submit(state, segment, now):
                    continue  # it took no place in the window
                credit[state] -= 1
                spent += 1
                if spent >= allowance:
                    break
            if not progress:
                break
            ready = [state for state in ready if credit[state] > 0]
        limiter.spend(spent)
        for state in self.ports:
            state.port.flush()
        if claims:
            self._claim(claims)
        if spent >= allowance and (lane.has_work(now) or any(state.carry for state in ready)):
            return limiter.wait()
        return self._next(now)

    def _next_segment(self, state: PortState, now: float) -> Segment | None:
        """The lane's next segment; the rest of its message, if ready, stays with this bind."""
        while True:
            carried = bool(state.carry)
            segment = state.carry.popleft() if carried else self.lane.take(now)
            if segment is None:
                return None
            if not carried:
                self._backlog.waiting -= 1
            if segment.created < segment.validity <= self._wall():
                self.on_expired(self, segment)
                continue
            if segment.total > 1 and not carried:
                for rest in self.lane.take_while(partial(_same_message, segment)):
                    self._backlog.waiting -= 1
                    state.carry.append(rest)
            return segment

    def _submit(self, state: PortState, segment: Segment, now: float) -> bool:
        """Whether it was written; else the flows have been told why not."""
        segment.via = self.config.name
        event = state.port.submit(segment, now)
        if event is not None:
            self.on_event(self, state, event)
        else:
            self.submitted += 1
        return event is None

    def _claim(self, claims: list[tuple[PortState, Segment]]) -> None:
        """Write only after "perhaps written" is on disk: a restart must know what is uncertain."""

        def claimed(ok: bool) -> None:
            now = self._clock.seconds()
            left: list[Segment] = []
            for state, segment in claims:
                state.claimed -= 1
                if ok and state.port.credit > 0:
                    if not self._submit(state, segment, now):
                        self._arm(0)  # there is room for another one
                else:
                    left.append(segment)
                    self.lost(state)  # the rest of a message does not go before its beginning
            for segment in left:
                self.put_back(segment)
            if left:
                self._arm(CLAIM_PAUSE)
                if ok:  # none of them was written, after all
                    self._journal.add(_marked(State.WAITING, left))
            for state in self.ports:
                state.port.flush()

        for state, _ in claims:
            state.claimed += 1
        self._journal.add(_marked(State.CLAIMED, [segment for _, segment in claims]), claimed)

    def _next(self, now: float) -> float:
        due = self.lane.next_due()
        for state in self.ports:
            if state.paused_until > now:
                due = min(due, state.paused_until)
        return max(0.0, due - now)

    def _arm(self, seconds: float) -> None:
        """One timer, moved only to come earlier."""
        due = self._clock.seconds() + seconds
        if self._timer is not None:
            if self._timer.getTime() <= due + 0.001:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.pump()

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _marked(state: State, segments: Sequence[Segment]) -> Work:
    return Work(changes=[Change(s.id, state, tries=s.tries) for s in segments])


def _same_message(segment: Segment, other: Segment) -> bool:
    return segment.message == other.message


def _nobody(lane: MtLane, state: PortState, event: Event) -> None:
    raise AssertionError("a lane is pumped before it was wired")


def _nobody_either(lane: MtLane, segment: Segment) -> None:
    raise AssertionError("a lane is pumped before it was wired")
