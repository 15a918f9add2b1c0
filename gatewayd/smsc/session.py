"""The life of a session with an SMSC, we being the ESME, whatever protocol it speaks. Pure.

A protocol's session says how things are put: what binds, asks, refuses and unbinds, and what an
answer means. When that is due, and what becomes of the window and of broken input, is here. Time
costs little on the way of a message: `_due` is only ever moved earlier there, and `tick` works out
the true next moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import Any, ClassVar, Final, Protocol

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.model import Outcome
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    SessionOptions,
    Unanswered,
)
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, Window, after

BAD_PDUS = 10  # broken PDUs within a minute before the link is given up
# Under names of their own: to find a member in its Enum takes 70 ns each time.
_BOUND: Final = LinkState.BOUND
_DRAINING: Final = LinkState.DRAINING
_CLOSED: Final = LinkState.CLOSED
OPEN_STATES = frozenset({_BOUND, _DRAINING})


class Framing(Protocol):
    """Cuts a byte stream into PDUs; once `broken` says why, it is out of step for good."""

    broken: PeerError | None
    partial_since: float  # `now` of the first octet of a PDU not yet whole; inf: none

    def feed(self, data: bytes, now: float = 0.0) -> Sequence[Any]: ...


class EsmeSession(ABC):
    """What all sessions with an SMSC share; see `contract.Session`.

    A protocol without goodbye makes its `_unbind` an `_end`.
    """

    # How the protocol calls a PDU, its bind and unbind, and the request that keeps a link alive.
    PDU: ClassVar[str] = "PDU"
    BIND: ClassVar[str] = "login"
    UNBIND: ClassVar[str] = "logout"
    ENQUIRE: ClassVar[str] = "alive"

    def __init__(self, options: SessionOptions, framer: Framing, most_window: float = inf) -> None:
        smpp = options.smsc.smpp
        self._options = smpp
        self._transmits = options.bind.mode is not BindMode.RECEIVER
        self._framer = framer
        self._out: list[bytes] = []
        self._state: LinkState = LinkState.OPEN
        timeout = inf if smpp.on_timeout == "wait" else smpp.response_timeout
        window = options.bind.window or options.smsc.window
        self._most_window = most_window
        self._window = Window(int(min(window, most_window)), timeout)
        self._alive = KeepAlive(
            smpp.enquire_interval, smpp.enquire_timeout, smpp.enquire_misses, smpp.enquire_always
        )
        self._tickets: dict[int, Any] = {}  # ticket: what its answer needs
        self._ticket = 0
        self._bad: deque[float] = deque(maxlen=BAD_PDUS + 1)
        self._ending = ""  # reason of a Closing that the next tick has to tell
        self._rests = False  # the link ends for want of traffic alone
        self._now = 0.0
        self._entered = 0.0  # when the present state began
        self._active = 0.0  # when the last message went either way
        self._due = inf

    # ---- how the protocol puts it

    @abstractmethod
    def _bind(self) -> None:
        """The link is up: write what binds."""

    @abstractmethod
    def _hear(self, frame: Any, events: list[Event]) -> None:
        """Act on one frame. Raises `PeerError` when it is broken."""

    @abstractmethod
    def _answer_broken(self, error: PeerError, events: list[Event]) -> None:
        """Tell the SMSC that what it sent cannot be read."""

    @abstractmethod
    def _enquire(self, now: float) -> None:
        """Ask whether the SMSC lives, and say so to `_alive`."""

    @abstractmethod
    def _unbind(self) -> None:
        """Everything under way was answered, or had time enough: say goodbye."""

    @abstractmethod
    def _tick_numbers(self, late: list[int], now: float, events: list[Event]) -> None:
        """The submits with the numbers `late` have run out of time."""

    def _out_of_step(self, error: PeerError, events: list[Event]) -> None:
        """Nothing that still comes can be read."""
        events.append(Noted("bad_pdu", str(error)))
        self._close(str(error), events)

    def _can_enquire(self) -> bool:
        """Whether there is room for a request besides the submits."""
        return True

    def _numbers_due(self) -> float:
        """When `_tick_numbers` has work of its own."""
        return inf

    def _drained_too_long(self, events: list[Event]) -> None:
        """Draining has taken all the time it may."""
        self._unbind()

    def _inactive(self, now: float) -> None:
        """No message went either way for too long."""
        self.stop(now)

    # ---- contract.Session

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        if self._state is _BOUND and self._transmits:
            return self._window.room
        return 0

    @property
    def in_flight(self) -> int:
        return len(self._window.waiting)

    @property
    def unanswered(self) -> int:
        return len(self._tickets)

    def resize(self, window: int) -> None:
        self._window.size = int(min(window, self._most_window))

    def start(self, now: float) -> None:
        self._now = self._alive.heard = self._active = now
        self._enter(Step.BIND)
        self._bind()

    def receive(self, data: bytes, now: float) -> Sequence[Event]:
        if self.state is _CLOSED:
            return ()
        self._now = now
        frames = self._framer.feed(data, now)
        if frames:
            self._alive.heard = now
        events: list[Event] = []
        for frame in frames:
            try:
                self._hear(frame, events)
            except PeerError as error:
                self._broken(error, events)
            if self._state is _CLOSED:
                return events
        self._received(events)
        return events

    def _received(self, events: list[Event]) -> None:
        """All frames of a piece were heard."""
        framer = self._framer
        if framer.broken is not None:
            self._out_of_step(framer.broken, events)
        elif framer.partial_since + self._options.partial_pdu_timeout < self._due:
            self._due = framer.partial_since + self._options.partial_pdu_timeout

    def tick(self, now: float) -> Sequence[Event]:
        events: list[Event] = []
        self._now = now
        if self._ending:
            self._close(self._ending, events, rest=self._rests)
        options = self._options
        state = self._state
        if state is _CLOSED:
            pass
        elif now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close(f"a {self.PDU} was begun and not ended", events)
        elif state is LinkState.BINDING:
            self._tick_binding(now, events)
        elif state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close(f"no answer to the {self.UNBIND}", events)
        elif state in OPEN_STATES:
            self._tick_bound(now, events)
        self._due = self._next_due()
        return events

    def deadline(self) -> float:
        return self._due

    def stop(self, now: float) -> None:
        self._now = now
        if self._state in OPEN_STATES:
            if self._state is _BOUND:
                self._enter(Step.STOP)
            self._unbind_when_drained()
        elif self._state in (LinkState.OPEN, LinkState.BINDING):
            self._enter(Step.STOP)
            self._end("stopped")

    def connection_lost(self, now: float) -> Sequence[Event]:
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._ending = ""
        self._tickets.clear()
        return [Unanswered(segment, "link lost") for segment in self._window.drain()]

    def take_bytes(self) -> bytes:
        if not self._out:
            return b""
        data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
        self._out.clear()
        return data

    # ---- what every SMSC says in its own way

    def _is_bound(self, events: list[Event]) -> None:
        """The SMSC let us in."""
        self._active = self._alive.asked_at = self._now  # the keep-alive counts from here
        self._enter(Step.BOUND)
        events.append(Bound())

    def _bind_refused(self, outcome: Outcome, reason: str, events: list[Event]) -> None:
        # DONE: the status means well and yet the bind was refused.
        events.append(BindRefused(Outcome.RETRY if outcome is Outcome.DONE else outcome, reason))
        self._close(f"{self.BIND} refused: {reason}", events)

    def _lives(self, number: int, events: list[Event]) -> bool:
        """Whether `number` is the keep-alive request that waited for its answer."""
        if not self._alive.answered(number):
            return False
        self._due = min(self._due, self._alive_due())
        events.append(Alive(self._now - self._alive.asked_at))
        return True

    def _keep(self, what: Any) -> int:
        """A ticket for what somebody else has to answer for."""
        self._active = self._now
        self._ticket = ticket = self._ticket + 1
        self._tickets[ticket] = what
        return ticket

    def _broken(self, error: PeerError, events: list[Event], *, answer: bool = True) -> None:
        events.append(Noted("bad_pdu", str(error)))
        if answer:
            self._answer_broken(error, events)
        self._bad.append(self._now)
        if len(self._bad) > BAD_PDUS and self._now - self._bad[0] <= 60.0:
            self._close(f"too many broken {self.PDU}s", events)

    # ---- what time brings

    def _tick_binding(self, now: float, events: list[Event]) -> None:
        if now >= self._entered + self._options.bind_timeout:
            self._close(f"no answer to the {self.BIND}", events)

    def _tick_bound(self, now: float, events: list[Event]) -> None:
        options = self._options
        late: list[int] = []
        if now >= self._window.deadline():
            if options.on_timeout == "reconnect":
                self._close("a submit was not answered in time", events)
                return
            waiting = self._window.waiting
            known = list(waiting)
            reason = f"no answer within {options.response_timeout:g} s"
            events += [Unanswered(segment, reason) for segment in self._window.expired(now)]
            late = [number for number in known if number not in waiting]
        self._tick_numbers(late, now, events)
        if self.state is _CLOSED:
            return
        if options.idle_timeout and now >= self._alive.heard + options.idle_timeout:
            self._close("nothing came from the SMSC for too long", events)
        elif self._state is _DRAINING:
            if now >= self._entered + options.unbind_timeout:
                self._drained_too_long(events)
            else:
                self._unbind_when_drained()
        elif options.inactivity and now >= self._active + options.inactivity:
            self._inactive(now)
        elif self._can_enquire():
            self._keep_alive(now, events)

    def _keep_alive(self, now: float, events: list[Event]) -> None:
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close(f"{self.ENQUIRE} was not answered", events)
        elif pulse is Pulse.ASK:
            self._enquire(now)

    def _alive_due(self) -> float:
        return self._alive.deadline() if self._can_enquire() else inf

    def _next_due(self) -> float:
        if self._ending:
            return self._now
        if self._state is _CLOSED:
            return inf
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.BINDING:
            return min(due, self._entered + options.bind_timeout)
        if self._state is LinkState.UNBINDING:
            return min(due, self._entered + options.unbind_timeout)
        due = min(due, self._window.deadline(), self._numbers_due())
        if options.idle_timeout:
            due = min(due, self._alive.heard + options.idle_timeout)
        if self._state is _DRAINING:
            return min(due, self._entered + options.unbind_timeout)
        if options.inactivity:
            due = min(due, self._active + options.inactivity)
        return min(due, self._alive_due())

    # ---- small things

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now
        self._due = self._next_due()

    def _unbind_when_drained(self) -> None:
        if not self._window.waiting and not self._tickets:
            self._unbind()

    def _end(self, reason: str) -> None:
        """Close at the next tick, which is due now."""
        self._ending = self._ending or reason
        self._due = self._now

    def _close(self, reason: str, events: list[Event], *, rest: bool = False) -> None:
        self._state = after(self._state, Step.LOST)
        self._due = inf
        self._ending = ""
        events.append(Closing(reason, rest))
