"""One bind: a service that keeps a link to its SMSC, and reconnects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import ClassVar, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from gatewayd.config import BindConfig, BindMode, SmscConfig
from gatewayd.flow.limiter import Backoff
from gatewayd.model import Outcome, Segment
from gatewayd.net.link import BindProtocol
from gatewayd.net.path import SETTLE, Closable, Gate
from gatewayd.net.vpn import Path
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Session,
)
from gatewayd.smsc.link import LinkState

Answer = Callable[[int, Outcome], None]
_BOUND: Final = LinkState.BOUND  # as in `flow.mt`
STABLE = 60.0  # bound for so long: the next reconnect begins with the shortest pause again
# A route may show before its tunnel carries anything, and a SYN lost in it is repeated after 1, 3,
# 7 ... seconds: the first attempts on a new path are given up and made again instead.
HASTY, PATIENCE = 4, 0.5  # attempts, seconds for each


class _Links(Factory):
    """Makes the protocol of one attempt."""

    noisy = False

    def __init__(self, make: Callable[[], BindProtocol]) -> None:
        self._make = make

    def buildProtocol(self, addr: object) -> BindProtocol:  # type: ignore[override]
        return self._make()


class Listener(Protocol):
    """Who hears of a bind's events."""

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None: ...

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None: ...

    def state_changed(self, bind: BindService) -> None: ...


class BindService(Service):
    """Keeps one bind: connects, binds, reconnects after a pause, stops in order.

    `connect(host, port)` gives an endpoint. The pauses: `reconnect` of the SMSC, `refused_pause`
    after wrong credentials (0: never again by itself).
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)
    name: str

    def __init__(
        self,
        smsc: SmscConfig,
        bind: BindConfig,
        new_session: Callable[[], Session],
        connect: Callable[[str, int], IStreamClientEndpoint],
        listener: Listener,
        clock: IReactorTime,
        chance: Callable[[], float],
        unanswered_limit: int = 50,
    ) -> None:
        self.smsc = smsc
        self.config = bind
        self.name = bind.name
        self.mode: BindMode = bind.mode
        self.unanswered_limit = unanswered_limit
        self._new_session = new_session
        self._connect = connect
        self._listener = listener
        self._clock = clock
        self._chance = chance
        self._backoff = Backoff(smsc.reconnect, chance)
        self._targets = _targets(smsc, bind)
        self._target = 0
        self._link: BindProtocol | None = None
        self._attempt: Deferred[IProtocol] | None = None
        self._timer: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None
        self._refused: BindRefused | None = None
        self._resting = False  # the link was closed for want of traffic; see `wake`
        self._told: dict[int, str] = {}  # by target: trouble already told in the log
        self._tried = False
        self._tried_at = self._not_before = -inf
        self._abandoning = self._hurry = False
        self._hasty = 0  # attempts left that are cut short
        self._gate = Gate(bool(smsc.vpn.device) and smsc.vpn.require, self, clock)
        self.peer = ""  # the SMSC's address, while there is a link
        self.dead = smsc.dead_start
        self.since = -inf  # monotonic time of the last Bound
        self.connects = self.binds_made = self.losses = 0
        self.round_trip = 0.0  # of the last enquire_link
        self.notes: dict[str, int] = {}
        self.reason = "not started"

    # -- what a lane asks ------------------------------------------------------------------------

    @property
    def credit(self) -> int:
        link = self._link
        return 0 if link is None or link.blocked or self._gate.shut else link.session.credit

    @property
    def bound(self) -> bool:
        if self._gate.shut:
            return False
        if self._resting:
            return not self.dead
        return self._link is not None and self._link.session.state is _BOUND

    @property
    def in_flight(self) -> int:
        return 0 if self._link is None else self._link.session.in_flight

    def submit(self, segment: Segment, now: float) -> Event | None:
        assert self._link is not None
        return self._link.submit(segment, now)

    def wake(self) -> None:
        """Something waits: connect, if the bind rests."""
        if self._resting and self._link is None and self._attempt is None and self._timer is None:
            self._try()

    def flush(self) -> None:
        if self._link is not None:
            self._link.write_soon()

    @property
    def status(self) -> str:
        """Kannel's status word: online, connecting, re-connecting, disconnected, dead."""
        if self.bound:
            return "online"
        if self.dead:
            return "dead" if self._tried else "disconnected"
        return "re-connecting" if self.binds_made or self._told else "connecting"

    # -- life ------------------------------------------------------------------------------------

    def startService(self) -> None:
        Service.startService(self)
        if not self.dead:
            self._try()

    def stopService(self) -> Deferred[None]:
        """Fires when the link is closed. Stopping twice is harmless."""
        Service.stopService(self)
        return self.disconnect()

    def revive(self) -> None:
        """Connect (again) although it was stopped or refused."""
        self.dead = False
        self._refused = None
        if self.running and self._link is None and self._attempt is None:
            self._cancel_timer()
            self._try()

    def kill(self) -> Deferred[None]:
        """Unbind and stay away until `revive`."""
        self.dead = True
        return self.disconnect()

    def abort(self) -> None:
        """Drop the link, if there still is one, without ceremony."""
        if self._link is not None:
            self._link.abort()

    def configure(self, smsc: SmscConfig, bind: BindConfig) -> None:
        """Take another configuration that leaves the link as it is."""
        if smsc.reconnect != self.smsc.reconnect:
            self._backoff = Backoff(smsc.reconnect, self._chance)
        self.smsc, self.config = smsc, bind
        if self._link is not None:
            self._link.session.resize(bind.window or smsc.window)

    def rebind(self, smsc: SmscConfig, bind: BindConfig, unanswered_limit: int) -> Deferred[None]:
        """Take another configuration and make the link anew, as it says.

        The old link is drained first; fires when it is closed. Counters go on.
        """
        self.configure(smsc, bind)
        self.mode, self.unanswered_limit = bind.mode, unanswered_limit
        self._targets, self._target = _targets(smsc, bind), 0
        self._told.clear()
        self._refused, self._not_before, self._hasty = None, -inf, 0
        self._backoff.reset()
        self._gate.unlinked()
        self._gate = Gate(bool(smsc.vpn.device) and smsc.vpn.require, self, self._clock)
        if self._link is not None:
            return self.disconnect()
        self.hold()
        if not self._resting:
            self._try()
        return _fired()

    # -- what the tunnel's path asks (net.path.Gated) --------------------------------------------

    def path_changed(self, path: Path) -> None:
        """The watcher's word on the tunnel."""
        self._gate.tell(path)

    def part(self) -> Closable | None:
        return None if self._link is None else self._link.part()

    def hold(self) -> None:
        self._cancel_timer()
        self._abandon()

    def kick(self, settle: float) -> None:
        """Never faster than the first pause, and never before a refusal's pause is over."""
        if self._link is not None:
            self._hurry = True  # `_again` comes when the link is gone
            return
        if not self.running or self.dead or self._resting:
            return
        self.hold()
        self._backoff.reset()
        self._hasty = HASTY
        self._timer = self._clock.callLater(self._soonest(settle), self._try)

    def path_told(self) -> None:
        shut = self._gate.shut
        if shut:
            self.reason = shut
        elif self._link is not None:
            bound = self._link.session.state is LinkState.BOUND
            self.reason = "bound" if bound else "binding"
        elif self.reason.startswith("path down"):
            self.reason = "connecting"
        if self.running and not self.dead:
            self._listener.state_changed(self)
            if not shut:
                self._listener.events(self, (), _nobody)

    def _soonest(self, pause: float) -> float:
        now = self._clock.seconds()
        since = self._tried_at + self.smsc.reconnect.first - now
        return max(pause, since, self._not_before - now)

    def _abandon(self) -> None:
        if self._attempt is not None:
            self._abandoning = True
            try:
                self._attempt.cancel()
            finally:
                self._abandoning = False

    def disconnect(self) -> Deferred[None]:
        self._cancel_timer()
        if self._attempt is not None:
            self._attempt.cancel()
        if self._stopped is not None:
            return _follow(self._stopped)
        if self._link is None:
            return _fired()
        stopped = self._stopped = Deferred()
        done = _follow(stopped)
        self._link.stop()
        return done

    def _try(self) -> None:
        self._timer = None
        if not self.running or self.dead or self._gate.shut:
            return
        self._tried_at = self._clock.seconds()
        host, port = self._targets[self._target % len(self._targets)]
        self.connects += 1
        self._tried = True
        try:
            attempt = self._connect(host, port).connect(_Links(self._new_link))
        except Exception as error:  # noqa: BLE001 - a certificate file that went, say
            self._not_connected(Failure(error))
            return
        self._attempt = attempt
        attempt.addCallbacks(self._connected, self._not_connected)
        attempt.addErrback(lambda failure: self.log.failure("A bind broke", failure))
        if self._hasty and self._attempt is not None:
            self._hasty -= 1
            self._timer = self._clock.callLater(PATIENCE, self._cut_short)

    def _new_link(self) -> BindProtocol:
        return BindProtocol(self._new_session(), self, self._clock)

    def _cut_short(self) -> None:
        self._timer = None
        if self._link is None:
            self._abandon()
            self._try()

    def _connected(self, link: IProtocol) -> None:
        self._attempt = None
        self._cancel_timer()
        if self._link is not None and (not self.running or self.dead):
            self._link.abort()

    def _not_connected(self, failure: Failure) -> None:
        self._attempt = None
        self._cancel_timer()
        if not self.running or self.dead or self._abandoning:
            return
        self._hasty = 0
        self._target += 1
        self._resting = False
        self._again(f"cannot connect: {failure.getErrorMessage()}")

    # -- what the link tells ---------------------------------------------------------------------

    def linked(self, link: BindProtocol) -> None:
        self._link = link
        self._refused = None
        self._hurry = False
        self.reason = "binding"
        assert link.transport is not None
        self.peer = getattr(link.transport.getPeer(), "host", "")
        self._gate.linked(getattr(link.transport.getHost(), "host", ""))

    def heard(self, link: BindProtocol, events: Sequence[Event]) -> None:
        for event in events:
            kind = type(event)
            if kind is Bound:
                self._bound()
            elif kind is BindRefused:
                self._refused = event  # type: ignore[assignment]
            elif kind is Alive:
                self.round_trip = event.seconds  # type: ignore[union-attr]
            elif kind is Noted:
                self._noted(event)  # type: ignore[arg-type]
            elif kind is Closing:
                self.reason = event.reason  # type: ignore[union-attr]
                self._resting = event.rest  # type: ignore[union-attr]
        self._listener.events(self, events, link.answer)

    def resumed(self, link: BindProtocol) -> None:
        self._listener.events(self, (), link.answer)

    def unlinked(self, link: BindProtocol, events: Sequence[Event], failure: Failure) -> None:
        if self._link is not link:
            return
        was_bound = self.since > -inf
        lasted = self._clock.seconds() - self.since if was_bound else 0.0
        self._link = None
        self._gate.unlinked()
        self.peer = ""  # the name may stand for another one next time
        if self._resting and self._stopped is None and self.running and not self.dead:
            self._listener.link_lost(self, events)
            return
        self._resting = False
        self.since = -inf
        if was_bound:
            self.losses += 1
            if lasted >= STABLE:
                self._backoff.reset()
        self._listener.link_lost(self, events)
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            again = self.running and not self.dead  # it was revived meanwhile, or is bound anew
            self.reason = (self._gate.shut or "connecting") if again else "stopped"
            self._listener.state_changed(self)
            stopped.callback(None)
            self._try()
            return
        if not failure.check(ConnectionDone) and self.reason in ("bound", "binding"):
            self.reason = failure.getErrorMessage()
        elif self.reason in ("bound", "binding"):
            self.reason = "the SMSC closed the link"
        self._again(self.reason)

    def _bound(self) -> None:
        self.since = self._clock.seconds()
        self._resting = False
        self.binds_made += 1
        self.reason = "bound"
        if self._told:
            self.log.info("{bind} is bound again", bind=self.name)
            self._told.clear()
        else:
            self.log.info("{bind} is bound", bind=self.name)
        self._listener.state_changed(self)

    def _noted(self, note: Noted) -> None:
        count = self.notes[note.what] = self.notes.get(note.what, 0) + 1
        if count & (count - 1) == 0:  # the first, second, fourth ... of a kind
            self.log.warn(
                "{bind}: {what} ({detail}), {count} so far",
                bind=self.name,
                what=note.what,
                detail=note.detail[:200],
                count=count,
            )

    def _again(self, reason: str) -> None:
        """Arrange the next attempt."""
        self.reason = reason
        refused, self._target = self._refused, self._target
        pause = self._backoff.failed()
        if refused is not None and refused.outcome is Outcome.DEAD:
            if not self.smsc.refused_pause:
                self.dead = True
                self._say(f"the SMSC refuses our credentials ({refused.reason}); not tried again")
                self._listener.state_changed(self)
                return
            pause = self.smsc.refused_pause
            self._not_before = self._clock.seconds() + pause  # accounts get locked
            reason = f"the SMSC refuses our credentials ({refused.reason})"
        elif refused is not None:
            reason = f"the SMSC refuses the bind ({refused.reason})"
        if self._hurry:
            self._backoff.reset()
            self._hasty = HASTY
            pause = self._soonest(SETTLE)
        self._hurry = False
        if shut := self._gate.shut:  # told by the watcher already; its word will bring us back
            self.reason = self._told[0] = shut
            self._listener.state_changed(self)
            return
        self.reason = reason
        self._say(f"{reason}; next attempt in {pause:.1f} s")
        self._listener.state_changed(self)
        if self.running and not self.dead:
            self._timer = self._clock.callLater(pause, self._try)

    def _say(self, text: str) -> None:
        """The same trouble twice is said once."""
        trouble = text.split(";", 1)[0]
        target = self._target % len(self._targets)
        if trouble != self._told.get(target):
            self._told[target] = trouble
            self.log.warn("{bind}: {text}", bind=self.name, text=text)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _targets(smsc: SmscConfig, bind: BindConfig) -> list[tuple[str, int]]:
    hosts = (bind.host,) if bind.host else smsc.hosts
    return [(host, bind.port or smsc.port) for host in hosts]


def _nobody(ticket: int, outcome: Outcome) -> None:
    """The answer to no event at all."""


def _fired() -> Deferred[None]:
    done: Deferred[None] = Deferred()
    done.callback(None)
    return done


def _follow(other: Deferred[None]) -> Deferred[None]:
    """A Deferred of one's own that fires with `other`."""
    mine: Deferred[None] = Deferred()

    def pass_on(result: None) -> None:
        mine.callback(None)

    other.addCallback(pass_on)
    return mine
