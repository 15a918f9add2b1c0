"""The life of a session with an ESME, we being the SMSC, whatever protocol it speaks. Pure.

It decides nothing: whoever owns it says whether a bind is let in, what a submit is answered and
what is delivered. Bytes and the time (monotonic seconds) go in, events come out, bytes to write
wait in `take_bytes()`, as with `contract.Session`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Any, ClassVar

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc.contract import Alive, Closing, Noted
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, after
from gatewayd.smsc.server import (
    Attached,
    Delivered,
    ServerEvent,
    ServerOptions,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.session import Framing

BAD_PDUS = 10  # broken PDUs before the link is given up
MISSES = 2  # keep-alive requests unanswered before the link is dead
OPEN_STATES = frozenset({LinkState.BOUND, LinkState.DRAINING})


class SmscSession(ABC):
    """What all sessions with an ESME share; see `server.ServerSession`."""

    # How the protocol calls a PDU, its bind and unbind, and the request that keeps a link alive.
    PDU: ClassVar[str] = "PDU"
    BIND: ClassVar[str] = "login"
    UNBIND: ClassVar[str] = "logout"
    ENQUIRE: ClassVar[str] = "alive"
    ANSWER: ClassVar[str] = "answer"

    def __init__(self, options: ServerOptions, framer: Framing) -> None:
        self._options = options
        self._framer = framer
        self._alive = KeepAlive(options.enquire_interval, options.enquire_timeout, MISSES)
        self._bind_timeout = options.bind_timeout
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        self._window = options.window
        self._ticket = 0
        self._tickets: dict[int, Any] = {}  # ticket: what its answer needs
        self._delivering: dict[int, tuple[float, int]] = {}  # number: sent at, tag
        self._bad = 0
        self._now = self._entered = 0.0
        self.system_id = ""  # the ESME's, once it is bound
        self.mode: BindMode | None = None

    # ---- how the protocol puts it

    @abstractmethod
    def _hear(self, frame: Any, events: list[ServerEvent]) -> None:
        """Act on one frame. Raises `PeerError` when it is broken."""

    @abstractmethod
    def _answer_broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        """Tell the ESME that what it sent cannot be read."""

    @abstractmethod
    def _enquire(self, now: float) -> None:
        """Ask whether the ESME lives, and say so to `_alive`."""

    @abstractmethod
    def _unbind(self) -> None:
        """Everything under way was answered, or had time enough: say goodbye."""

    def _out_of_step(self, error: PeerError, events: list[ServerEvent]) -> None:
        """Nothing that still comes can be read."""
        events.append(Noted("bad_pdu", str(error)))
        self._close(str(error), events)

    def _drained_too_long(self, events: list[ServerEvent]) -> None:
        """Draining has taken all the time it may."""
        self._unbind()

    def _free(self, number: int, *, answered: bool) -> None:
        """The delivery `number` is over; unanswered, its answer may still come."""
        del self._delivering[number]

    # ---- what its owner does

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the ESME is bound to receive."""
        if self._state is not LinkState.BOUND or self.mode is BindMode.TRANSMITTER:
            return 0
        return self._window - len(self._delivering)

    @property
    def unanswered(self) -> int:
        """Submits that wait for `answer` or `forget`."""
        return len(self._tickets)

    def start(self, now: float) -> None:
        """The link is up; the ESME speaks first."""
        self._now = self._entered = self._alive.heard = now

    def forget(self, ticket: int) -> None:
        """This submit will never be answered."""
        self._tickets.pop(ticket, None)
        self._unbind_when_drained()

    def stop(self, now: float) -> None:
        """Deliver no more, wait for the answers under way, then end."""
        self._now = now
        if self._state is LinkState.BOUND:
            self._enter(Step.STOP)
            self._unbind_when_drained()

    def connection_lost(self, now: float) -> Sequence[ServerEvent]:
        """The link is down: what was not answered comes back."""
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._tickets.clear()
        lost = [Undelivered(tag, "link lost") for _, tag in self._delivering.values()]
        self._delivering.clear()
        return lost

    def take_bytes(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the ESME says

    def receive(self, data: bytes, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        if self._state is LinkState.CLOSED:
            return events
        self._now = now
        framer = self._framer
        for frame in framer.feed(data, now):
            self._alive.heard = now
            try:
                self._hear(frame, events)
            except PeerError as error:
                self._broken(error, events)
            if self.state is LinkState.CLOSED:
                return events
        if framer.broken is not None:
            self._out_of_step(framer.broken, events)
        return events

    def _attached(self, system_id: str, mode: BindMode, events: list[ServerEvent]) -> None:
        """The bind was let in."""
        self._enter(Step.BOUND)
        self._alive.asked_at = self._now  # the keep-alive counts from here
        self.system_id, self.mode = system_id, mode
        events.append(Attached(system_id, mode))

    def _turned_away(
        self, system_id: str, status: int, reason: str, events: list[ServerEvent]
    ) -> None:
        """The bind was refused."""
        events.append(TurnedAway(system_id, status))
        self._close(f"{self.BIND} refused: {reason}", events)

    def _submitted(self, what: Any, message: Any, events: list[ServerEvent]) -> None:
        """A submit, `what` being all that its answer needs."""
        self._ticket += 1
        self._tickets[self._ticket] = what
        events.append(Submit(self._ticket, message))

    def _delivered(self, number: int, status: int, events: list[ServerEvent]) -> bool:
        """Whether the delivery `number` waited for this answer."""
        found = self._delivering.get(number)
        if found is None:
            return False
        self._free(number, answered=True)
        sent, tag = found
        events.append(Delivered(tag, status, self._now - sent))
        self._unbind_when_drained()
        return True

    def _lives(self, number: int, events: list[ServerEvent]) -> bool:
        """Whether `number` is the keep-alive request that waited for its answer."""
        if not self._alive.answered(number):
            return False
        events.append(Alive(self._now - self._alive.asked_at))
        return True

    def _broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        events.append(Noted("bad_pdu", str(error)))
        self._answer_broken(error, events)
        self._bad += 1
        if self._bad > BAD_PDUS:
            self._close(f"too many broken {self.PDU}s", events)

    # ---- what time brings

    def tick(self, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        self._now = now
        options = self._options
        state = self._state
        if state is LinkState.CLOSED:
            return events
        if now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close(f"a {self.PDU} was begun and not ended", events)
        elif state is LinkState.OPEN:
            if now >= self._entered + self._bind_timeout:
                self._close(f"no {self.BIND} came", events)
        elif state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close(f"no answer to the {self.UNBIND}", events)
        else:
            self._tick_bound(now, events)
        return events

    def _tick_bound(self, now: float, events: list[ServerEvent]) -> None:
        limit = now - self._options.response_timeout
        for number, (sent, tag) in list(self._delivering.items()):
            if sent > limit:
                break  # they were sent in this order
            self._free(number, answered=False)
            events.append(Undelivered(tag, f"no {self.ANSWER} in time"))
        if self._state is LinkState.DRAINING:
            if now >= self._entered + self._options.unbind_timeout:
                self._drained_too_long(events)
            else:
                self._unbind_when_drained()
            return
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close(f"{self.ENQUIRE} was not answered", events)
        elif pulse is Pulse.ASK:
            self._enquire(now)

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never)."""
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.CLOSED:
            return inf
        if self._state is LinkState.OPEN:
            return min(due, self._entered + self._bind_timeout)
        if self._state in (LinkState.UNBINDING, LinkState.DRAINING):
            due = min(due, self._entered + options.unbind_timeout)
        else:
            due = min(due, self._alive.deadline())
        for sent, _ in self._delivering.values():
            return min(due, sent + options.response_timeout)
        return due

    # ---- small things

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now

    def _unbind_when_drained(self) -> None:
        if self._state is LinkState.DRAINING and not self._tickets and not self._delivering:
            self._unbind()

    def _close(self, reason: str, events: list[Any]) -> None:
        self._state = after(self._state, Step.LOST)
        events.append(Closing(reason))
