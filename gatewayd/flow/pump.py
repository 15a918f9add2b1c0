"""One SMSC's lane at work: its binds pull segments as their credit and the rate allow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gatewayd.config import BindMode, OnUncertain, SmscConfig
from gatewayd.flow.journal import Journal, Unsaved
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff, Limiter
from gatewayd.flow.port import Port, PortState
from gatewayd.flow.router import LaneState
from gatewayd.metrics import Histogram
from gatewayd.model import Segment
from gatewayd.smsc.contract import Event
from gatewayd.store.contract import Change, Item, State, Work

# As in `mt`.
_DEAD: Final = LaneState.DEAD
_BOUND: Final = LaneState.BOUND
_RECEIVER: Final = BindMode.RECEIVER

CLAIM_PAUSE = 1.0  # seconds, when segments were marked as claimed and could not be written
MARKED = 1000  # segments of a lane marked ahead, at most


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
        self._marker = Marker(self, journal)
        self.ports: list[PortState] = []
        self.gone: PortState | None = None  # counts of binds that are gone
        self.held = False  # suspended by hand
        self.stopped = config.dead_start
        self.submitted = self.throttles = 0
        self.latency = Histogram()
        self.removed = False  # by hand; not shown any more
        self.on_event: Callable[[MtLane, PortState, Event], None] = _nobody
        self.on_expired: Callable[[MtLane, Segment], None] = _nobody_either

    def attach(self, port: Port) -> PortState:
        state = PortState(port, Backoff(self.config.throttle, self._chance), Unsaved(self._journal))
        self.ports.append(state)
        return state

    def detach(self, state: PortState) -> None:
        """The bind is gone for good; what it counted stays counted."""
        self.ports.remove(state)
        self.lost(state)
        if self.gone is None:
            self.gone = state
        else:
            self.gone.count_in(state)

    @property
    def counted(self) -> list[PortState]:
        """Whose counters make up the lane's."""
        return self.ports if self.gone is None else [*self.ports, self.gone]

    def configure(self, config: SmscConfig) -> None:
        """Go by `config` from now on. `pump` afterwards."""
        old, self.config = self.config, config
        if config.rate != old.rate:
            self._limiter = Limiter(config.rate)
        if config.throttle != old.throttle:
            for state in self.ports:
                state.backoff = Backoff(config.throttle, self._chance)
        marks = config.on_uncertain is not OnUncertain.RESUBMIT
        if marks != self._marks:
            self._marks = marks
            self._marker.unmark()

    def stir(self) -> None:
        """Have what is due or on disk come to memory, up to half of what may be there."""
        if self.lane.count >= max(1, self.lane.cap // 2):
            return
        segment = self.lane.take(self._clock.seconds())
        if segment is not None:
            self.lane.put_back(segment, max(segment.priority, 0))

    @property
    def state(self) -> LaneState:
        """BOUND counts only binds that transmit; without any bind that could, the lane is DEAD."""
        if self.stopped:
            return _DEAD
        found: LaneState = _DEAD
        for state in self.ports:
            if state.port.mode is _RECEIVER or state.port.dead:
                continue
            if state.port.bound:
                return _BOUND
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
        self._marker.forget()
        self._backlog.waiting -= len(segments)
        return segments

    def promise(self) -> bool:
        """Whether a new segment may be stored as CLAIMED: some window has room for it."""
        return self._marker.promise()

    def unpromise(self) -> None:
        """It was not stored, after all."""
        self._marker.promised -= 1

    def push(self, segment: Segment, promised: bool = False) -> None:
        """Take a segment that is on disk, as CLAIMED where that was promised. `pump` afterwards."""
        self._backlog.waiting += 1
        on_disk = self.lane.on_disk
        self.lane.put(segment, max(segment.priority, 0))
        if promised:
            self._marker.kept(segment, self.lane.on_disk == on_disk and not self._marks)

    def put_back(self, segment: Segment) -> None:
        """Return a segment that was taken; it keeps its place."""
        self._backlog.waiting += 1
        self.lane.put_back(segment, max(segment.priority, 0))

    def delay(self, segment: Segment, seconds: float) -> None:
        """Return a segment that was taken; it goes not before `seconds` have passed."""
        self._backlog.waiting += 1
        self.lane.delay(segment, self._clock.seconds() + seconds, max(segment.priority, 0))
        self.arm(seconds)

    def waiting(self, limit: int) -> list[Segment]:
        """The first segments that wait in memory, for people."""
        return self.lane.head(limit)

    def discard(self, key: int) -> bool:
        """Take out one waiting segment and forget it; whether it was there."""
        if not self.withdraw(key):
            return False
        self._journal.add(Work(ends=[key]))
        return True

    def withdraw(self, key: int) -> bool:
        """Take out one waiting segment; its row stays. Whether it was there."""
        if self.lane.discard(key) is None:
            return False
        self._backlog.waiting -= 1
        self._marker.keys.discard(key)
        return True

    def forget_on_disk(self) -> None:
        """One segment that was not in memory has ended; or it is with the SMSC just now."""
        if self.lane.on_disk > 0:
            self.lane.on_disk -= 1
            self._backlog.waiting -= 1

    def answered(self, state: PortState, seconds: float) -> None:
        """The SMSC took a segment on this bind, `seconds` after the submit."""
        state.accepted += 1
        state.unsaved.note()
        self.latency.observe(seconds)
        if state.backoff.pause:
            state.backoff.eased()

    def refused(self, state: PortState) -> None:
        """The SMSC did not take a segment on this bind."""
        state.unsaved.note()

    def throttled(self, state: PortState) -> float:
        """The SMSC said "slower" on this bind: it pauses; the pause in seconds comes back."""
        now = self._clock.seconds()
        self.throttles += 1
        if state.paused_until > now:  # several answers to one burst are one complaint
            return state.paused_until - now
        pause = state.backoff.failed()
        state.paused_until = now + pause
        self.arm(pause)
        return pause

    def lost(self, state: PortState) -> None:
        """The bind went: what it carried goes back to the lane."""
        while state.carry:
            self.put_back(state.carry.pop())
        if not any(other.port.bound for other in self.ports):
            self.unmark()

    def unmark(self) -> None:
        """Nothing is handed on for some time: what is only marked was not sent."""
        self._marker.unmark()

    def pump(self) -> None:
        """Hand out segments while there is credit; arms its own timer for what must wait."""
        if self._pumping or self.held or self.stopped:
            return
        now = self._clock.seconds()
        self._pumping = True
        try:
            self._marker.missed = False
            wait = self._hand_out(now)
            self._await_disk(now)
            if not self._marks:
                self._marker.look_ahead()
        finally:
            self._pumping = False
        if wait < inf:
            self.arm(wait)

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
            ready = [state for state in ready if progress and credit[state] > 0]
        limiter.spend(spent)
        for state in self.ports:
            state.port.flush()
        if claims:
            self._claim(claims)
        if spent >= allowance and (lane.has_work(now) or any(state.carry for state in self.ports)):
            return limiter.wait()
        return self._next(now)

    def _await_disk(self, now: float) -> None:
        """Go on when answers are on disk that keep places in a window until then."""
        kept = [state for state in self.ports if state.unsaved.count and state.room > 0]
        if kept and (self.lane.has_work(now) or any(state.carry for state in self.ports)):
            urgent = not any(s.credit > 0 and s.paused_until <= now for s in self.ports)
            for state in kept:
                state.unsaved.wait(self.pump, urgent)

    def _next_segment(self, state: PortState, now: float) -> Segment | None:
        """The lane's next segment; the rest of its message, if ready, stays with this bind."""
        while True:
            carried = bool(state.carry)
            segment = state.carry[0] if carried else self.lane.take(now)
            if segment is None:
                return None
            expired = segment.created < segment.validity <= self._wall()
            if not self._marks and not self._marker.use(segment) and not expired:
                if not carried:  # it keeps its place until its mark is on disk
                    self.lane.put_back(segment, max(segment.priority, 0))
                return None
            if carried:
                state.carry.popleft()
            else:
                self._backlog.waiting -= 1
            if expired:
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
                        self.arm(0)  # there is room for another one
                else:
                    left.append(segment)
                    self.lost(state)  # the rest of a message does not go before its beginning
            for segment in left:
                self.put_back(segment)
            if left:
                self.arm(CLAIM_PAUSE)
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

    def arm(self, seconds: float) -> None:
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


class Marker:
    """Sees to it that under `resubmit` a segment is CLAIMED on disk before it is written.

    So a restart knows what was perhaps sent, and none of it is sent again unseen. It costs no wait:
    a new segment that finds room in a window is stored as CLAIMED at once, and of what waits, a
    window's worth is marked ahead. Hence at most two windows are marked and not answered.
    """

    def __init__(self, lane: MtLane, journal: Journal) -> None:
        self._lane = lane
        self._journal = journal
        self.keys: set[int] = set()  # of segments in the lane, CLAIMED on disk and not written
        self.promised = 0  # new segments on their way to the disk, as CLAIMED
        self.missed = False  # the next segment could not be written for want of its mark
        self._spare = 0  # how many more may be promised
        self._life = 0  # marks of an earlier one are worth nothing
        self._marking = False

    def promise(self) -> bool:
        if self._spare <= 0:
            return False
        self._spare -= 1
        self.promised += 1
        return True

    def kept(self, segment: Segment, in_memory: bool) -> None:
        """A promised segment is on disk, and in the lane."""
        self.promised -= 1
        if in_memory:
            self.keys.add(segment.id)
        else:
            self._journal.add(_marked(State.WAITING, [segment]))

    def use(self, segment: Segment) -> bool:
        """Whether the segment may be written now; then its mark is used up."""
        if segment.id in self.keys:
            self.keys.remove(segment.id)
            return True
        self.missed = True
        return False

    def forget(self) -> None:
        """The lane was emptied: whoever has the segments now marks them again."""
        self.keys.clear()
        self._life += 1

    def unmark(self) -> None:
        keys, self.keys = self.keys, set()
        self._life += 1
        self._spare = 0
        if keys:
            self._journal.add(Work(changes=[Change(key, State.WAITING) for key in keys]))

    def look_ahead(self) -> None:
        """Mark what will be written next, and find out how much more may be promised."""
        owner, lane = self._lane, self._lane.lane
        room, bound, carried = 0, False, 0
        for state in owner.ports:
            room += state.room  # what is unsaved now is on disk before what is promised now
            carried += len(state.carry)
            bound = bound or state.port.bound
        taken = lane.count + carried + self.promised
        self._spare = 0 if lane.on_disk else min(room - taken, lane.cap - len(lane) - self.promised)
        if self._marking or not bound or not (lane.count or carried):
            return
        most = max(1, min(MARKED, owner.config.window * len(owner.ports)))
        if not self.missed and len(self.keys) >= most - most // 4:
            return
        ahead = [segment for state in owner.ports for segment in state.carry]
        ahead += lane.head(most)
        if len(self.keys) > 2 * most:  # some have left the lane in other ways
            self.keys.intersection_update([segment.id for segment in ahead])
        wanted = [segment for segment in ahead if segment.id not in self.keys]
        if wanted:
            self._marking = True
            work = _marked(State.CLAIMED, wanted)
            self._journal.add(work, partial(self._done, self._life, [s.id for s in wanted]))

    def _done(self, life: int, keys: Sequence[int], ok: bool) -> None:
        self._marking = False
        if not ok:
            self._lane.arm(CLAIM_PAUSE)
            return
        if life == self._life:
            self.keys.update(keys)
        self._lane.pump()


def _marked(state: State, segments: Sequence[Segment]) -> Work:
    return Work(changes=[Change(s.id, state, tries=s.tries) for s in segments])


def _same_message(segment: Segment, other: Segment) -> bool:
    return segment.message == other.message


def _nobody(lane: MtLane, state: PortState, event: Event) -> None:
    raise AssertionError("a lane is pumped before it was wired")


def _nobody_either(lane: MtLane, segment: Segment) -> None:
    raise AssertionError("a lane is pumped before it was wired")
