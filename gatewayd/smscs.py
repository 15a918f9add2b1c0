"""The SMSCs of a running gateway: lanes, binds and tunnels; how they come, change and go.

A lane outlives its SMSC's configuration. One whose SMSC was removed is *retired*: nothing is routed
to it and none of it goes out, but what its binds still say finds it, and its counters go on should
the SMSC come back. What waits in it is given to other lanes where their rules take it; the rest
stays, in the store too, and is taken up when the SMSC is configured again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gatewayd.config import BindConfig, Config, SmscConfig
from gatewayd.config.difference import Difference, SmscChange
from gatewayd.flow.exchange import Exchange
from gatewayd.flow.journal import Journal
from gatewayd.flow.lane import Lane
from gatewayd.flow.mt import MtFlow, decode
from gatewayd.flow.port import PortState
from gatewayd.flow.pump import Backlog, MtLane
from gatewayd.flow.router import LaneState, Router
from gatewayd.net import vpn
from gatewayd.net.bind import Answer, BindService
from gatewayd.net.connect import Connector
from gatewayd.rows import Holder, Rows
from gatewayd.smsc.contract import Event, Session, SessionOptions, load
from gatewayd.store.contract import Item, Queue


class _Retired:
    """A lane whose SMSC is gone: what is read of it is given away at once."""

    def __init__(self, lane: MtLane, give_away: Callable[[MtLane], None]) -> None:
        self._owner = lane
        self._give_away = give_away
        self.lane = lane.lane
        self.fill = lane.fill

    def pump(self) -> None:
        self._give_away(self._owner)


class Smscs:
    """All of them. `wire` names the flows before anything is started."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        rows: Rows,
        journal: Journal,
        reactor: Any,
        wall: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._config = config
        self._rows = rows
        self._journal = journal
        self._reactor = reactor
        self._wall = wall
        self._chance = chance
        self._connector = Connector(reactor)
        self._running = False
        self._ports: dict[BindService, tuple[MtLane, PortState]] = {}
        self.backlog = Backlog()
        self.lanes: dict[str, MtLane] = {}  # those that are configured, in their order
        self.known: dict[str, MtLane] = {}  # and those that are retired
        self.binds: list[BindService] = []
        self.adopted: set[str] = set()  # names of lanes whose rows another lane took over
        self.router = Router(config.smscs, self.lanes, chance)
        self.vpn = vpn.VpnWatcher(config.smscs, reactor, wall, self._path_changed, self._peers)
        for smsc in config.smscs:
            self.lanes[smsc.name] = self.known[smsc.name] = self._lane(smsc)

    def wire(self, mt: MtFlow, exchange: Exchange) -> None:
        """Who settles what the SMSCs say; then the binds are made."""
        self._mt = mt
        self._exchange = exchange
        for lane in self.lanes.values():
            exchange.wire(lane)
            for bind in lane.config.binds:
                self._bind(lane, bind)

    def _lane(self, smsc: SmscConfig) -> MtLane:
        claim = self._rows.claimer(Queue.MT, self._holder)
        lane = Lane(smsc.name, decode, claim, self._config.store.memory_items)
        lane.screen = self._screen
        return MtLane(
            smsc, lane, self.backlog, self._journal, self._reactor, self._wall, self._chance
        )

    def _holder(self, name: str) -> Holder | None:
        lane = self.known.get(name)
        return _Retired(lane, self._give_away) if lane and name not in self.lanes else lane

    def _screen(self, name: str, rows: Sequence[Item]) -> Sequence[Item]:
        return self._mt.recovered(name, rows)

    def _bind(self, lane: MtLane, bind: BindConfig) -> BindService:
        smsc = lane.config
        load(smsc.protocol)  # now, and not in the middle of traffic when the first link comes up

        def session() -> Session:
            """By the configuration as it is when the link comes up."""
            smsc, bind = service.smsc, service.config
            options = SessionOptions(smsc, bind, self._config.tlvs, self._wall, self._chance)
            return load(smsc.protocol).esme(options)

        service = BindService(
            smsc,
            bind,
            session,
            lambda host, port: self._connector.endpoint(service.smsc, host, port),
            self,
            self._reactor,
            self._chance,
            smsc.smpp.unanswered_delivers,
        )
        self.binds.append(service)
        self._ports[service] = (lane, lane.attach(service))
        return service

    # -- life ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._running = True
        self.vpn.startService()
        for bind in self.binds:
            bind.startService()
        for lane in self.lanes.values():
            lane.pump()

    def hold(self) -> None:
        """Nothing goes out any more."""
        for lane in self.known.values():
            lane.held = True
            lane.stop_timer()

    def disconnect(self) -> list[Deferred[None]]:
        """Drain and unbind; one Deferred for each bind."""
        self._running = False
        return [bind.stopService() for bind in self.binds]

    def abort(self) -> None:
        for bind in self.binds:
            bind.abort()

    def stop(self) -> None:
        """The binds are gone."""
        for lane in self.known.values():
            lane.unmark()
            lane.stop_timer()
        self.vpn.stopService()

    # -- another configuration -------------------------------------------------------------------

    def check(self, added: Iterable[SmscConfig]) -> None:
        """Whether these can be made at all. Raises UsageError."""
        for smsc in added:
            load(smsc.protocol)

    def configure(
        self, config: Config, change: Difference, waiting: Mapping[str, int], *, held: bool
    ) -> list[Deferred[None]]:
        """Come from one configuration to the next; the links that nothing changes stay.

        `waiting` tells how many rows the store has for lanes that come. Of each link that is
        drained there is a Deferred, which fires when it is closed.
        """
        self._config = config
        for lane in self.known.values():
            lane.lane.cap = max(1, config.store.memory_items)
        for smsc in change.smscs_added:
            self._add(smsc, waiting.get(smsc.name, 0), held)
        self.router.configure(config.smscs)  # from here on nothing is routed to those that go
        made: list[BindService] = []
        closing: list[Deferred[None]] = []
        for one in change.smscs_changed:
            self._change(one, made, closing)
        for smsc in change.smscs_removed:
            closing += self._remove(smsc.name)
        for smsc in change.smscs_added:
            made += [self._bind(self.lanes[smsc.name], bind) for bind in smsc.binds]
        self._sort()
        self.vpn.replace(config.smscs)
        for bind in made:
            self._introduce(bind)
        for lane in self.lanes.values():
            lane.pump()
        return closing

    def _add(self, smsc: SmscConfig, waiting: int, held: bool) -> None:
        lane = self.known.get(smsc.name)
        if lane is None:
            lane = self.known[smsc.name] = self._lane(smsc)
            self._exchange.wire(lane)
            if smsc.name not in self.adopted:
                lane.recovered((), waiting, self._reactor.seconds(), self._wall())
        else:  # it was here before
            lane.configure(smsc)
            lane.removed, lane.stopped = False, smsc.dead_start
        lane.held = held
        self.lanes[smsc.name] = lane

    def _change(
        self, change: SmscChange, made: list[BindService], closing: list[Deferred[None]]
    ) -> None:
        lane = self.lanes[change.new.name]
        lane.configure(change.new)
        configured = {bind.name: bind for bind in change.new.binds}
        for bind in self._binds_of(lane):
            if bind.name in change.removed:
                closing.append(self._part(bind))
            elif bind.name in change.rebound:
                if not lane.stopped:  # the new credentials may be better than those refused
                    bind.dead = False
                limit = change.new.smpp.unanswered_delivers
                rebound = bind.rebind(change.new, configured[bind.name], limit)
                closing.append(self._drained(bind, rebound))
                made.append(bind)
            else:
                bind.configure(change.new, configured[bind.name])
        made += [self._bind(lane, bind) for bind in change.added]
        for bind in made:
            if lane.stopped and self._ports[bind][0] is lane:
                bind.dead = True

    def _remove(self, name: str) -> list[Deferred[None]]:
        lane = self.lanes.pop(name)
        lane.held = True
        lane.stop_timer()
        closing = [self._part(bind) for bind in self._binds_of(lane)]
        lane.unmark()
        self._give_away(lane)
        return closing

    def _part(self, bind: BindService) -> Deferred[None]:
        """The bind goes for good, once it is drained."""
        lane, state = self._ports[bind]

        def gone(result: None) -> None:
            if bind in self._ports:
                del self._ports[bind]
                self.binds.remove(bind)
                lane.detach(state)

        return self._drained(bind, bind.stopService()).addCallback(gone)

    def _drained(self, bind: BindService, closed: Deferred[None]) -> Deferred[None]:
        """`closed`, with an end to the patience for answers that are under way."""
        if closed.called:
            return closed
        timer = self._reactor.callLater(self._config.limits.drain, bind.abort)

        def in_time(result: None) -> None:
            if timer.active():
                timer.cancel()

        return closed.addCallback(in_time)

    def _introduce(self, bind: BindService) -> None:
        """A bind that is new, or has a new gate, hears how its tunnel is."""
        tunnel = self.vpn.tunnels.get(bind.smsc.name)
        if tunnel is not None and tunnel.path is not None:
            bind.path_changed(tunnel.path)
        if self._running and not bind.running:
            bind.startService()

    def _sort(self) -> None:
        """Lanes and binds stand in the order of the configuration."""
        ordered = {smsc.name: self.lanes[smsc.name] for smsc in self._config.smscs}
        self.lanes.clear()
        self.lanes.update(ordered)
        places = [bind.name for smsc in self._config.smscs for bind in smsc.binds]
        rank = {name: place for place, name in enumerate(places)}
        self.binds.sort(key=lambda bind: rank.get(bind.name, len(places)))

    # -- retired lanes ---------------------------------------------------------------------------

    def retired(self) -> dict[str, MtLane]:
        return {name: lane for name, lane in self.known.items() if name not in self.lanes}

    def waiting_for_nobody(self) -> dict[str, int]:
        """How many segments wait for each SMSC that is not configured any more."""
        return {name: lane.load for name, lane in self.retired().items() if lane.load}

    def give_away(self) -> None:
        """Let the lanes that go on take what waits in those that do not."""
        for lane in self.retired().values():
            self._give_away(lane)

    def _give_away(self, lane: MtLane) -> None:
        if self._running and lane.load:
            lane.stir()
            self._mt.reroute(lane.config.name)

    # -- what the tunnels tell (net.vpn) ---------------------------------------------------------

    def _path_changed(self, smsc: str, path: vpn.Path) -> None:
        for bind in self.binds:
            if bind.smsc.name == smsc:
                bind.path_changed(path)

    def _peers(self, smsc: str) -> list[str]:
        return [bind.peer for bind in self.binds if bind.peer and bind.smsc.name == smsc]

    # -- what binds tell (net.bind.Listener) -----------------------------------------------------

    def events(self, bind: BindService, events: Sequence[Event], answer: Answer) -> None:
        lane, state = self._ports[bind]
        self._exchange.events(lane, state, events, answer)

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None:
        lane, state = self._ports[bind]
        self._exchange.link_lost(lane, state, events)

    def state_changed(self, bind: BindService) -> None:
        """A bind came or went: where all binds of a lane are gone, others may take its messages."""
        lane, _ = self._ports[bind]
        name = lane.config.name
        if lane.state is not LaneState.BOUND and any(other != name for other in self.lanes):
            self._mt.reroute(name)

    # -- who is who ------------------------------------------------------------------------------

    def port_of(self, bind: BindService) -> PortState:
        """What the lane keeps of a bind."""
        return self._ports[bind][1]

    def _binds_of(self, lane: MtLane) -> list[BindService]:
        return [bind for bind in self.binds if self._ports[bind][0] is lane]

    def adopt(self, lane: MtLane, rows: Sequence[Item]) -> None:
        """Give a lane rows of one that is not configured."""
        lane.adopt(rows, self._reactor.seconds(), self._wall())
        lane.pump()
