"""The flows over the real store, wired as the gateway wires them; only binds and HTTP are fakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from gatewayd.config import BindConfig, BindMode, ChannelConfig, Config, SmscConfig
from gatewayd.errors import StoreError
from gatewayd.flow.calls import MoBoxes
from gatewayd.flow.dlr import DlrFlow, decode_parked
from gatewayd.flow.exchange import Exchange
from gatewayd.flow.journal import Journal
from gatewayd.flow.keys import Keys
from gatewayd.flow.lane import Lane
from gatewayd.flow.mo import MoFlow, decode_part
from gatewayd.flow.mt import MtFlow, decode
from gatewayd.flow.outbox import Budget, Done
from gatewayd.flow.port import PortState
from gatewayd.flow.pump import Backlog, MtLane
from gatewayd.flow.reports import ReportBoxes
from gatewayd.flow.router import Router
from gatewayd.flow.services import Services
from gatewayd.model import Acceptance, HttpAnswer, Inbound, Order, Outcome, Receipt, Segment
from gatewayd.platforms.contract import HttpCall
from gatewayd.smsc.contract import (
    Event,
    Receipted,
    Received,
    SubmitFailed,
    Submitted,
    Unanswered,
)
from gatewayd.store.contract import Item, Queue, State
from gatewayd.store.sqlite import SqliteStore

T = TypeVar("T")

EPOCH = 1_800_000_000.0  # wall time at second 0 of the clock
URL = "http://platform.example/dlr?s=%d"


class DiskTrouble(Exception):
    """What the failpoint raises while the disk is said to fail."""


class Disk:
    """The real store, done in-line; `broken` makes its commits fail, `blind` its look-ups."""

    def __init__(self, path: str = ":memory:") -> None:
        self.broken = self.blind = False
        self.commits = 0
        self.store = SqliteStore(path, lambda f, *a: f(*a), self._step, threaded=False)
        self.recovery = self.store.open(20000)

    def _step(self, name: str) -> None:
        if name == "before-commit":
            if self.broken:
                raise DiskTrouble("the disk fails")
            self.commits += 1

    def commit(self, works: Sequence[Any]) -> Deferred[None]:
        return self.store.commit(works)

    def ask(self, question: Callable[[], Deferred[T]]) -> Deferred[T]:
        return fail(StoreError("the disk cannot be read")) if self.blind else question()

    def rows(self, queue: Queue | None = None, *states: State) -> list[Item]:
        found: list[Item] = []
        for each in Queue if queue is None else (queue,):
            page = self.store.browse(each, None, states or tuple(State), 0, 1_000_000)
            rows: Sequence[Item] = result(page)
            found += rows
        return found


def new_clock() -> Clock:
    return Clock()


def result(deferred: Deferred[T]) -> T:
    """What the Deferred holds already."""
    got: list[Any] = []
    deferred.addBoth(got.append)
    assert got, "it has not fired"
    if isinstance(got[0], Failure):
        got[0].raiseException()
    value: T = got[0]
    return value


class FakePort:
    """A bind that writes nothing: segments stay in its window until a test answers them."""

    def __init__(
        self, name: str = "a/0", window: int = 10, mode: BindMode = BindMode.TRANSCEIVER
    ) -> None:
        self.name = name
        self.mode = mode
        self.window = window
        self.bound = True
        self.dead = False
        self.sent: list[Segment] = []  # all ever
        self.times: list[float] = []
        self.waiting: list[Segment] = []  # in the window
        self.most = 0
        self.refuses: Callable[[Segment], Event | None] = lambda segment: None

    @property
    def credit(self) -> int:
        return self.window - len(self.waiting) if self.bound else 0

    def submit(self, segment: Segment, now: float) -> Event | None:
        assert self.credit > 0, "the window is full"
        event = self.refuses(segment)
        if event is None:
            self.sent.append(segment)
            self.times.append(now)
            self.waiting.append(segment)
            self.most = max(self.most, len(self.waiting))
        return event

    def wake(self) -> None:
        pass

    def flush(self) -> None:
        """Nothing is gathered."""

    @property
    def texts(self) -> list[str]:
        return [segment.payload.decode("latin-1") for segment in self.sent]


class Web:
    """Calls to platforms, recorded; a test answers them, or `auto` does."""

    def __init__(self) -> None:
        self.calls: list[HttpCall] = []
        self.open: list[tuple[HttpCall, Done]] = []
        self.auto: Callable[[HttpCall], int] | None = None
        self.raises = False

    def send(self, call: HttpCall, done: Done) -> None:
        if self.raises:
            raise ValueError("no such call")
        self.calls.append(call)
        if self.auto is not None:
            done(HttpAnswer(self.auto(call)))
        else:
            self.open.append((call, done))

    def answer(self, status: int = 200, body: bytes = b"", index: int = 0) -> HttpCall:
        call, done = self.open.pop(index)
        done(HttpAnswer(status, body=body))
        return call

    @property
    def urls(self) -> list[str]:
        return [call.url for call in self.calls]


def smsc(name: str = "a", binds: int = 1, **fields: Any) -> SmscConfig:
    fields = {"id": name} | fields
    configs = tuple(BindConfig(f"{name}/{n}") for n in range(binds))
    return SmscConfig(name=name, binds=configs, **fields)


def config(*smscs: SmscConfig, **fields: Any) -> Config:
    fields = {"channels": (ChannelConfig("web", post_url="http://platform.example/mo"),)} | fields
    return Config(smscs=smscs or (smsc(),), **fields)


class Rig:
    """The flows of one gateway. `again` is the same store in a new life, after a crash."""

    def __init__(
        self,
        config: Config,
        disk: Disk | None = None,
        clock: Clock | None = None,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self.config = config
        self.disk = disk or Disk()
        self.clock = clock or new_clock()
        self.web = Web()
        self.heard: list[tuple[str, int]] = []  # what the SMSC was answered: outcome and ticket
        self._ticket = 0
        clock_, wall, store = self.clock, self.wall, self.disk.store
        recovery = self.disk.recovery
        self.keys = Keys(recovery.last_key, recovery.instance, wall)
        self.journal = Journal(self.disk, clock_)
        self.backlog = Backlog()
        self.lanes: dict[str, MtLane] = {}
        for each in config.smscs:
            lane = Lane(each.name, decode, self._claimer(Queue.MT), config.store.memory_items)
            lane.screen = self._screen
            self.lanes[each.name] = MtLane(
                each, lane, self.backlog, self.journal, clock_, wall, chance
            )
        self.router = Router(config.smscs, self.lanes, chance)
        budget = Budget(config.http.max_requests_out)
        self.reports = ReportBoxes(
            config,
            self.keys,
            self.journal,
            clock_,
            wall,
            chance,
            budget,
            self.web.send,
            self._claimer(Queue.DLR),
            config.reports,
        )

        def look_up(name: str, then: Callable[[Item | None, bool], None]) -> None:
            later = self.clock.callLater  # what is read now is heard of in a turn to come
            self.disk.ask(lambda: store.find([name])).addCallbacks(
                lambda found: later(0, then, found.get(name), True),
                lambda failure: later(0, then, None, False),
            )

        def siblings(first: int, total: int, then: Callable[[Sequence[Item]], None]) -> None:
            rows = result(store.siblings(first, total))
            self.clock.callLater(0, then, rows)

        self.dlr = DlrFlow(config, self.keys, self.journal, self.reports, wall, look_up, siblings)
        self.mt = MtFlow(
            config,
            self.keys,
            self.journal,
            self.router,
            self.lanes,
            self.dlr,
            wall,
            chance,
            lambda: self.backlog.waiting,
        )
        self.calls = MoBoxes(
            config,
            self.keys,
            self.journal,
            self.mt,
            clock_,
            wall,
            chance,
            budget,
            self.web.send,
            self._claimer(Queue.MO),
        )
        self.mo = MoFlow(
            config,
            self.keys,
            self.journal,
            Services(config.channels),
            wall,
            self.calls.push,
            self.calls.unserved,
            lambda: len(self.calls),
        )
        self.exchange = Exchange(self.mt, self.mo, self.dlr)
        self.ports: dict[str, FakePort] = {}
        self.states: dict[str, PortState] = {}
        for each in config.smscs:
            self.exchange.wire(self.lanes[each.name])
            for bind in each.binds:
                port = FakePort(bind.name, bind.window or each.window, bind.mode)
                self.ports[bind.name] = port
                self.states[bind.name] = self.lanes[each.name].attach(port)
        self._recover()
        for each_lane in self.lanes.values():
            each_lane.pump()

    def wall(self) -> float:
        return EPOCH + self.clock.seconds()

    def _screen(self, name: str, rows: Sequence[Item]) -> Sequence[Item]:
        return self.mt.recovered(name, rows)

    def _claimer(self, queue: Queue) -> Callable[[str, int, tuple[int, int]], None]:
        def claim(name: str, limit: int, after: tuple[int, int]) -> None:
            owners: dict[Queue, Callable[[str], Any]] = {
                Queue.MT: lambda lane: self.lanes[lane],
                Queue.MO: self.calls.box,
                Queue.DLR: self.reports.box,
            }
            holder = owners[queue](name)

            def filled(rows: Sequence[Item]) -> None:
                holder.fill(rows, limit, self.clock.seconds(), self.wall())
                holder.pump()

            self.disk.store.claim(queue, name, limit, after).addCallback(filled)

        return claim

    def _recover(self) -> None:
        """What the store holds, read anew: as after a crash."""
        now, wall = self.clock.seconds(), self.wall()
        self.mt.seen.recovered(self.disk.rows(Queue.SEEN))
        self.mo.known(self.disk.rows(Queue.MO))
        for depth in result(self.disk.store.depths()):
            heads = result(
                self.disk.store.claim(
                    depth.queue, depth.lane, self.config.store.memory_items, (1 << 31, 0)
                )
            )
            if depth.queue == Queue.MT:
                self.lanes[depth.lane].recovered(heads, depth.waiting, now, wall)
            elif depth.queue == Queue.MO:
                assert self.calls.recovered(depth.lane, heads, depth.waiting, now, wall)
            elif depth.queue == Queue.DLR:
                self.reports.recovered(depth.lane, heads, depth.waiting, now, wall)
            elif depth.queue == Queue.PART:
                for item in heads:
                    self.mo.recovered(decode_part(item.body))
            elif depth.queue == Queue.PARKED:
                for item in heads:
                    self.dlr.recovered(decode_parked(item.body))

    def again(self, config: Config | None = None) -> Rig:
        """The process is killed here and starts again on the same store."""
        clock = new_clock()
        clock.rightNow = self.clock.rightNow
        highest = max((row.key for row in self.disk.rows()), default=0)
        self.disk.recovery = self.disk.recovery._replace(last_key=highest + 10_000)
        new = Rig(config or self.config, self.disk, clock)
        for lane in new.lanes.values():
            lane.pump()
        new.calls.pump()
        new.reports.pump()
        new.turn()
        return new

    # -- what happens ----------------------------------------------------------------------------

    def turn(self, seconds: float = 0.05, steps: int = 5) -> None:
        """Let time pass, and what is gathered be committed."""
        for _ in range(steps):
            self.clock.advance(seconds / steps)

    def accept(self, text: str = "hello", to: str = "5511", **fields: Any) -> list[Acceptance]:
        """One sendsms call; its answer is in the list once there is one."""
        fields = {"receivers": [to], "source": "100", "user": "u", "text": text} | fields
        told: list[Acceptance] = []
        self.mt.accept(Order(**fields), told.append)
        return told

    def send(self, text: str = "hello", to: str = "5511", **fields: Any) -> Acceptance:
        told = self.accept(text, to, **fields)
        self.turn(0)
        assert len(told) == 1
        return told[0]

    def lane_of(self, bind: str) -> MtLane:
        return self.lanes[bind.split("/", maxsplit=1)[0]]

    def events(self, bind: str, *events: Event) -> None:
        """What one read of the bind brought."""
        port = self.ports[bind]
        for event in events:
            if isinstance(event, Submitted | SubmitFailed | Unanswered):
                port.waiting = [each for each in port.waiting if each is not event.segment]
        self.exchange.events(self.lane_of(bind), self.states[bind], events, self._answer)

    def _answer(self, ticket: int, outcome: Outcome) -> None:
        self.heard.append((outcome.value, ticket))

    def taken(self, bind: str, segment: Segment, smsc_id: str) -> None:
        """The SMSC took the segment."""
        self.events(bind, Submitted(segment, smsc_id, 0.01))
        if self.backlog.waiting or any(state.carry for state in self.states.values()):
            self.turn(0)  # what follows is written once its mark is on disk

    def take_all(self, bind: str = "a/0", ids: str = "id") -> None:
        """The SMSC takes everything in the window: ids id0, id1 ... by the segment's place."""
        port = self.ports[bind]
        while port.waiting:
            segment = port.waiting[0]
            place = next(n for n, sent in enumerate(port.sent) if sent is segment)
            self.taken(bind, segment, f"{ids}{place}")
            if not port.waiting:  # places are free, and the next are marked, when that is on disk
                self.turn(0)
                self.turn(0)

    def lose(self, bind: str, reason: str = "link lost") -> None:
        """The link goes."""
        port = self.ports[bind]
        port.bound = False
        lost, port.waiting = port.waiting, []
        events = [Unanswered(segment, reason) for segment in lost]
        self.exchange.link_lost(self.lane_of(bind), self.states[bind], events)

    def bind(self, bind: str) -> None:
        """The bind is up (again)."""
        self.ports[bind].bound = True
        self.events(bind)
        self.turn(0)  # what waits is written once its mark is on disk

    def receipt(self, smsc_id: str, status: int = 1, bind: str = "a/0", **fields: Any) -> int:
        """A receipt came; the ticket that its answer will carry."""
        self._ticket += 1
        self.events(bind, Receipted(self._ticket, Receipt(smsc_id, status, **fields)))
        return self._ticket

    def deliver(self, bind: str = "a/0", **fields: Any) -> int:
        """An MO came; the ticket that its answer will carry."""
        self._ticket += 1
        fields = {"source": "+5511", "destination": "100", "payload": b"hello"} | fields
        self.events(bind, Received(self._ticket, Inbound(**fields)))
        return self._ticket

    def outcome(self, ticket: int) -> str:
        """What the SMSC was answered; "" when nothing yet."""
        found = [outcome for outcome, other in self.heard if other == ticket]
        assert len(found) < 2, "answered twice"
        return found[0] if found else ""

    def told(self) -> list[int]:
        """The statuses of the reports that were called, in order; each call is answered 200."""
        self.turn()
        while self.web.open:
            self.web.answer()
            self.turn()
        return [int(url.rsplit("=", 1)[1]) for url in self.web.urls if "/dlr" in url]

    def kept(self) -> list[int]:
        """Keys of segments that are still in the store."""
        return [row.key for row in self.disk.rows(Queue.MT)]


def file_disk(folder: Path) -> Disk:
    return Disk(str(folder / "store.sqlite3"))


def with_limits(config: Config, **fields: Any) -> Config:
    return replace(config, limits=replace(config.limits, **fields))
