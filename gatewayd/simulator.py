"""A simulated SMSC: it takes submits, sends receipts and MO, and misbehaves as it is told.

Accounts are the system_ids that bind. What is to be delivered to an account waits until one of its
binds may receive and has room; every delivery is followed until it is answered. What protocol is
spoken, SMPP or another, is the business of a `Speech`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from gatewayd.config.model import BindMode
from gatewayd.log import masked
from gatewayd.smsc import smpp_sim
from gatewayd.smsc.contract import Closing
from gatewayd.smsc.server import (
    Attached,
    Credentials,
    Delivered,
    ServerEvent,
    Speech,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.smpp_sim import Fate, SimulatorOptions

RETRY_PAUSE = 5.0  # seconds before that
MOST_TRIES = 100
MOST_WAITING = 100_000  # deliveries of one account; what comes beyond is dropped and counted
MOST_ACCOUNTS = 1000
MOST_CONNECTIONS = 1000
RECEIVERS = frozenset({BindMode.RECEIVER, BindMode.TRANSCEIVER})


@dataclass(slots=True, eq=False)
class Delivery:
    """One receipt or MO on its way to an account."""

    sm: Any
    what: str  # "receipt" or "MO", and of what, for people
    tries: int = 0


@dataclass(slots=True, eq=False)
class Account:
    """What belongs to one system_id, over all its binds."""

    system_id: str
    links: list[Link] = field(default_factory=list)
    waiting: deque[Delivery] = field(default_factory=deque)


class Agenda:
    """What is to be done when, on one timer."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._timer: IDelayedCall | None = None

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._entries, (self._clock.seconds() + seconds, self._count, call))
        self._arm()

    def stop(self) -> None:
        """Nothing more is done."""
        self._entries.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if not self._entries:
            return
        due = self._entries[0][0]
        if self._timer is not None:
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(max(0.0, due - self._clock.seconds()), self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._entries and self._entries[0][0] <= now:
            heappop(self._entries)[2]()
        self._arm()


class Link(Protocol):
    """One connection of an ESME: carries bytes and time to and from its session."""

    def __init__(self, simulator: Simulator, peer: str) -> None:
        self.peer = peer
        self._simulator = simulator
        self._clock = simulator.clock
        self.session = simulator.speech.session(simulator.options.server, simulator.admit)
        self.account: Account | None = None
        self.deliveries: dict[int, Delivery] = {}  # by tag, unanswered
        self._timer: IDelayedCall | None = None
        self._closing = False
        self._choked = False  # the ESME does not read

    def connectionMade(self) -> None:
        assert self.transport is not None
        register = getattr(self.transport, "registerProducer", None)
        if register is not None:
            register(self, True)
        self.session.start(self._clock.seconds())
        self._simulator.connected(self)
        self._rearm()

    def dataReceived(self, data: bytes) -> None:
        self._tell(self.session.receive(data, self._clock.seconds()))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        events = self.session.connection_lost(self._clock.seconds())
        self._simulator.gone(self, events)

    # a push producer towards its own transport: an ESME that does not read is not read either

    def pauseProducing(self) -> None:
        self._choked = True
        self._reading("pauseProducing")

    def resumeProducing(self) -> None:
        self._choked = False
        self._reading("resumeProducing")
        self._simulator.ready(self)

    def stopProducing(self) -> None:
        self._choked = True

    def _reading(self, action: str) -> None:
        act = getattr(self.transport, action, None)
        if act is not None and not self._closing:
            act()

    @property
    def credit(self) -> int:
        return 0 if self._closing or self._choked else self.session.credit

    def deliver(self, delivery: Delivery, tag: int) -> None:
        self.deliveries[tag] = delivery
        self.session.deliver(delivery.sm, tag, self._clock.seconds())

    def flush(self) -> None:
        """Write what the session has to say."""
        data = self.session.take_bytes()
        if data and not self._closing:
            assert self.transport is not None
            self.transport.write(data)
        self._rearm()

    def stop(self) -> None:
        """Unbind; close at once where nobody is bound."""
        self.session.stop(self._clock.seconds())
        if self.session.mode is None and self.transport is not None:
            self.transport.loseConnection()
        self.flush()

    def _tell(self, events: Sequence[ServerEvent]) -> None:
        for event in events:
            self._simulator.heard(self, event)
        self.flush()
        if not self._closing and any(type(event) is Closing for event in events):
            self._closing = True
            assert self.transport is not None
            self.transport.loseConnection()

    def _rearm(self) -> None:
        if self._closing:
            return
        due = self.session.deadline()
        if self._timer is not None:
            if self._timer.getTime() <= due:
                return
            self._timer.cancel()
        pause = max(0.0, due - self._clock.seconds())
        self._timer = self._clock.callLater(pause, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._tell(self.session.tick(self._clock.seconds()))


class Simulator(Factory):
    """Listen with it, or hand `buildProtocol(None)` a transport of a test.

    `chance` gives numbers from 0 up to 1, `wall` seconds since the epoch, `tell` gets a line for
    people at each bind, submit, receipt and MO. The counters are for tests and summaries.
    """

    noisy = False

    def __init__(
        self,
        options: SimulatorOptions,
        clock: IReactorTime,
        *,
        chance: Callable[[], float],
        wall: Callable[[], float],
        tell: Callable[[str], None] = lambda line: None,
        speech: Speech = smpp_sim,
    ) -> None:
        self.options = options
        self.speech = speech
        self.clock = clock
        self.accounts: dict[str, Account] = {}
        self.links: list[Link] = []
        self.submits = self.taken = self.receipts = self.mos = self.dropped = 0
        self._chance = chance
        self._wall = wall
        self._tell = tell
        self._agenda = Agenda(clock)
        self._id = int(wall() * 1000)  # so that ids of two runs differ
        self._tag = 0
        self._reference = 0
        self._turn = 0
        self._stopped = False
        self._gone: Deferred[None] | None = None  # fires when the last link has closed
        if options.mo_rate > 0:
            self._agenda.after(1 / options.mo_rate, self._mo_is_due)

    def buildProtocol(self, addr: IAddress | None) -> Link | None:
        if len(self.links) >= MOST_CONNECTIONS:
            return None
        host, port = getattr(addr, "host", "memory"), getattr(addr, "port", 0)
        link = Link(self, f"{host}:{port}")
        link.factory = self
        return link

    def stop(self) -> Deferred[None]:
        """Unbind every ESME; nothing more is planned. Fires when all links are closed."""
        self._stopped = True
        self._agenda.stop()
        done = self._gone = Deferred[None]()
        for link in list(self.links):
            link.stop()
        self._maybe_gone()
        return done

    def _maybe_gone(self) -> None:
        gone = self._gone
        if gone is not None and not self.links:
            self._gone = None
            gone.callback(None)

    # ---- what links tell

    def admit(self, bind: Credentials) -> int:
        """The status that answers a bind."""
        options = self.options
        system_id = bind.system_id.decode("utf-8", "backslashreplace")
        if options.system_id and system_id != options.system_id:
            return self.speech.WRONG_ACCOUNT
        if options.password and bind.password != options.password.encode():
            return self.speech.WRONG_PASSWORD
        if self._stopped:
            return self.speech.NOT_NOW
        full = len(self.accounts) >= MOST_ACCOUNTS and system_id not in self.accounts
        return self.speech.NOT_NOW if full else 0

    def connected(self, link: Link) -> None:
        self.links.append(link)

    def gone(self, link: Link, events: Sequence[ServerEvent]) -> None:
        self.links.remove(link)
        for event in reversed(events):  # the first one lost goes first again
            self.heard(link, event)
        account = link.account
        if account is not None:
            self._tell(f"unbound   {account.system_id} from {link.peer}")
            account.links.remove(link)
            self._deliver(account)
        self._maybe_gone()

    def ready(self, link: Link) -> None:
        """The link has room again."""
        if link.account is not None:
            self._deliver(link.account)

    def heard(self, link: Link, event: ServerEvent) -> None:
        """One event of a link's session."""
        if isinstance(event, Submit):
            self._submitted(link, event)
        elif isinstance(event, Delivered):
            self._delivered(link, link.deliveries.pop(event.tag), event.status)
        elif isinstance(event, Undelivered):
            account = link.account
            delivery = link.deliveries.pop(event.tag)
            if account is not None:
                account.waiting.appendleft(delivery)
        elif isinstance(event, Attached):
            account = self.accounts.setdefault(event.system_id, Account(event.system_id))
            account.links.append(link)
            link.account = account
            self._tell(f"bound     {event.system_id} as {event.mode.value} from {link.peer}")
            self._agenda.after(0, lambda: self._deliver(account))
        elif isinstance(event, TurnedAway):
            reason = self.speech.reason_of(event.status)
            self._tell(f"refused   a bind as {event.system_id!r} from {link.peer}: {reason}")
        elif not isinstance(event, Closing):
            self._tell(f"note      {link.peer}: {event}")

    # ---- submits

    def _submitted(self, link: Link, event: Submit) -> None:
        self.submits += 1
        fate = self.options.fate(self._chance())
        if self.options.latency > 0 and fate is not Fate.SILENT:
            self._agenda.after(self.options.latency, lambda: self._answer(link, event, fate))
        else:
            self._answer(link, event, fate)

    def _answer(self, link: Link, event: Submit, fate: Fate) -> None:
        account, sm = link.account, event.pdu
        what = self._route(sm)
        if fate is Fate.SILENT:
            link.session.forget(event.ticket)
        elif fate is Fate.THROTTLED:
            link.session.answer(event.ticket, self.speech.THROTTLED)
        elif fate is Fate.REFUSED:
            link.session.answer(event.ticket, self.options.error_status)
            fate_text = f"refused, {self.speech.reason_of(self.options.error_status)}"
            self._tell(f"submit    {what}: {fate_text}")
        else:
            self.taken += 1
            self._id += 1
            told, name = self.speech.ids(self._id, self.options.hex_ids)
            link.session.answer(event.ticket, 0, told)
            self._tell(f"submit    {what}: accepted, id {told}")
            if account is not None:
                self._after_acceptance(account, sm, name)
        if fate in (Fate.SILENT, Fate.THROTTLED):
            self._tell(f"submit    {what}: {fate.value}")
        link.flush()

    def _after_acceptance(self, account: Account, sm: Any, message_id: str) -> None:
        options = self.options
        if options.echo:
            answer = self.speech.echo(sm, self._wall())
            mo = Delivery(answer, f"MO        {self._route(answer)}")
            self._agenda.after(max(options.receipts, 0.0) + 0.5, lambda: self._offer(account, mo))
        if options.receipts < 0:
            return
        delivered = self._chance() >= options.failures
        if not self.speech.wants_receipt(sm, delivered):
            return
        submitted = self._wall()

        def make() -> None:
            made = self.speech.receipt(
                sm, message_id, delivered=delivered, submitted=submitted, done=self._wall()
            )
            word = "DELIVRD" if delivered else "UNDELIV"
            self._offer(account, Delivery(made, f"receipt   id {message_id} {word}"))

        self._agenda.after(options.receipts, make)

    # ---- deliveries

    def _mo_is_due(self) -> None:
        options = self.options
        self._agenda.after(1 / options.mo_rate, self._mo_is_due)
        receiving = [
            account
            for account in self.accounts.values()
            if any(link.session.mode in RECEIVERS for link in account.links)
        ]
        if receiving:
            self._turn += 1
            account = receiving[self._turn % len(receiving)]
            text = options.mo_text.replace("{n}", str(self._turn))
            self.send_mo(account, options.mo_from, options.mo_to, text)

    def send_mo(self, account: Account, source: str, destination: str, text: str) -> None:
        """A phone sends `text`; a long one goes in parts."""
        self._reference = self._reference + 1 & 0xFF
        now = self._wall()
        for sm in self.speech.messages(source, destination, text, self._reference, now):
            self._offer(account, Delivery(sm, f"MO        {self._route(sm)}"))

    def _offer(self, account: Account, delivery: Delivery) -> None:
        if len(account.waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        account.waiting.append(delivery)
        self._deliver(account)

    def _deliver(self, account: Account) -> None:
        """Hand out what waits, to each bind as much as it has room for."""
        waiting = account.waiting
        for link in list(account.links):
            credit = link.credit
            while waiting and credit > 0:
                credit -= 1
                delivery = waiting.popleft()
                delivery.tries += 1
                self._tag += 1
                link.deliver(delivery, self._tag)
            link.flush()

    def _delivered(self, link: Link, delivery: Delivery, status: int) -> None:
        account = link.account
        assert account is not None
        again = status in self.speech.TEMPORARY and delivery.tries < MOST_TRIES
        if not status:
            if delivery.what.startswith("MO"):
                self.mos += 1
            else:
                self.receipts += 1
            self._tell(f"{delivery.what}: taken by {account.system_id}")
        else:
            plan = f"again in {RETRY_PAUSE:g} s" if again else "given up"
            self._tell(f"{delivery.what}: refused, {self.speech.reason_of(status)}, {plan}")
            self.dropped += not again
        if again:
            self._agenda.after(RETRY_PAUSE, lambda: self._offer(account, delivery))
        self._deliver(account)

    # ---- for people

    def _route(self, sm: Any) -> str:
        """Who writes to whom, and what where that may be shown."""
        source, destination = self.speech.addresses(sm)
        if not self.options.show:
            return f"{_number(source)} -> {_number(destination)}"
        return f"{source} -> {destination} {_quoted(self.speech.readable(sm))}"


def _number(address: str) -> str:
    """Masked, unless it is a short code or a name."""
    digits = address.removeprefix("+")
    return masked(address) if digits.isdigit() and len(digits) > 6 else address


def _quoted(text: str) -> str:
    shown = "".join(c if c.isprintable() else " " for c in text[:100])
    return f'"{shown}{"..." if len(text) > 100 else ""}"'


def listen(reactor: Any, simulator: Simulator, host: str, port: int) -> Any:
    """Open the port, 0 for a free one; Twisted's listening port comes back."""
    return reactor.listenTCP(port, simulator, 1024, host)
