"""The composition root: the only module that knows every other. Config in, running gateway out.

Order of start: store, flows, binds, admin, sendsms last. Order of stop: sendsms first, then the
binds (drained), the outboxes, the journal, the HTTP client, the store. Each step is waited for, all
under one deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from gatewayd import failpoints
from gatewayd.access import NotedReports, open_logs
from gatewayd.config import Config, SmscConfig
from gatewayd.control import Control
from gatewayd.desk import Desk
from gatewayd.errors import ConfigError
from gatewayd.flow.calls import MoBoxes
from gatewayd.flow.dlr import DlrFlow, decode_parked
from gatewayd.flow.exchange import Exchange
from gatewayd.flow.journal import Journal
from gatewayd.flow.keys import Keys, key_at
from gatewayd.flow.lane import Lane
from gatewayd.flow.mo import MoFlow, decode_part
from gatewayd.flow.mt import MtFlow, decode
from gatewayd.flow.outbox import Budget
from gatewayd.flow.pump import Backlog, MtLane, PortState
from gatewayd.flow.reports import ReportBoxes
from gatewayd.flow.router import LaneState, Router
from gatewayd.flow.services import Services
from gatewayd.flow.targets import Targets
from gatewayd.log import Number
from gatewayd.metrics import Metrics
from gatewayd.model import Segment
from gatewayd.net import vpn
from gatewayd.net.bind import Answer, BindService
from gatewayd.net.connect import Connector
from gatewayd.net.http_client import HttpClient
from gatewayd.net.http_reach import is_ours
from gatewayd.net.process import execute
from gatewayd.smsc.contract import Event, SessionOptions, load
from gatewayd.store.contract import Item, Queue, Recovery, State
from gatewayd.store.sqlite import SqliteStore
from gatewayd.web.admin import Admin
from gatewayd.web.ctl import Ctl
from gatewayd.web.external import External
from gatewayd.web.intake import Handler, Intake
from gatewayd.web.sendota import SendOta
from gatewayd.web.sendsms import SendSms

CALLS = 3.0  # seconds for calls to platforms that are under way at a stop
LOOK = 0.02
ABORTED = 1.0  # seconds for what aborted links still have to tell
PAGE = 1000  # rows read at once
SWEEP = 1.0  # seconds between looks at what may have waited too long
PRUNE = 60.0  # seconds between looks for receipts that will never come
PRUNE_ROWS = 10_000
RECOVERED = {Queue.MT: "mt", Queue.MO: "mo", Queue.DLR: "report"}
STORE_PAUSE = 1.0  # before the store is asked again for what it could not read


def store_path(config: Config, environ: Mapping[str, str]) -> str:
    """The store's file: as configured, else in $STATE_DIRECTORY, else in the working directory."""
    if config.store.path:
        return config.store.path
    folder = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return str(Path(folder or ".") / "gatewayd.sqlite3")


class Gateway(Service):
    """One running gateway. `reactor` is the real one, or what tests make of it."""

    log = Logger()

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        environ: Mapping[str, str],
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] | None = None,
        on_end: Callable[[str], None] = lambda how: None,
    ) -> None:
        self.config = config
        self.reactor = reactor
        self.wall = wall
        self.on_end = on_end  # "stop" or "restart", asked for by the admin
        self._chance = chance or SystemRandom().random
        self.started = wall()
        self.began = reactor.seconds()
        self.listeners: list[tuple[str, IListeningPort]] = []
        self.intakes: dict[str, Intake] = {}
        self._loops: list[LoopingCall] = []
        self._stopping: Deferred[None] | None = None
        self._hurried = False
        self.loop_lag = 0.0
        self.recovered = dict.fromkeys(RECOVERED.values(), 0)  # rows that waited at the start
        self._expected = 0.0
        vpn.check(config)
        self.store = SqliteStore(
            store_path(config, environ),
            reactor.callFromThread,
            failpoint=failpoints.of_store(environ),
        )
        recovery = self.store.open(config.store.memory_items)
        self.keys = Keys(recovery.last_key, recovery.instance, wall)
        self.journal = Journal(self.store, reactor)
        self.backlog = Backlog()
        self.http = HttpClient(
            reactor,
            per_origin=config.http.connections_out,
            redirects=config.http.redirects,
            proxy=config.http.proxy,
            targets=Targets(config, is_ours),
        )
        self.access = open_logs(config, reactor, wall, self.keys.uuid)
        self._build(config)
        self._recover(recovery)
        failpoints.arm(self, environ)
        self.sendsms: SendSms | None = None
        self.control = Control(self)
        self.metrics = Metrics(self.control.fill)

    # -- composition -----------------------------------------------------------------------------

    def _build(self, config: Config) -> None:
        reactor, wall, chance = self.reactor, self.wall, self._chance
        access = self.access
        self.lanes = {smsc.name: self._lane(smsc) for smsc in config.smscs}
        self.router = Router(
            config.smscs,
            lambda name: self.lanes[name].state,
            lambda name: self.lanes[name].load,
            chance,
        )
        budget = Budget(config.http.max_requests_out)
        self.reports = ReportBoxes(
            config,
            self.keys,
            self.journal,
            reactor,
            wall,
            chance,
            budget,
            self.http.send,
            self._claimer(Queue.DLR, self._report_box),
            config.reports,
        )
        self.dlr = DlrFlow(
            config,
            self.keys,
            self.journal,
            self.reports if access is None else NotedReports(self.reports, access),
            wall,
            self._look_up,
            self._siblings,
        )
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
            reactor,
            wall,
            chance,
            budget,
            self.http.send,
            self._claimer(Queue.MO, self._mo_box),
        )
        self.mo = MoFlow(
            config,
            self.keys,
            self.journal,
            Services(config.channels),
            wall,
            self.calls.push if access is None else access.note(self.calls.push),
            self.calls.unserved if access is None else access.note(self.calls.unserved),
            lambda: len(self.calls),
        )
        self.exchange = Exchange(self.mt, self.mo, self.dlr)
        if access is not None:
            self.exchange.access = access
            self.mt.on_failed = access.failed
            self.mt.on_split = access.split
            self.dlr.on_unmatched = access.unmatched
            self.calls.access = access
        self.mt.on_uncertain = self._perhaps_sent
        if config.http.allow_exec:
            self.calls.execute = partial(execute, reactor)
        self.binds: list[BindService] = []
        self._ports: dict[BindService, tuple[MtLane, PortState]] = {}
        self.vpn = vpn.VpnWatcher(config.smscs, reactor, wall, self._path_changed, self._peers)
        connector = Connector(reactor)
        for smsc in config.smscs:
            lane = self.lanes[smsc.name]
            self.exchange.wire(lane)
            protocol = load(smsc.protocol)
            for bind in smsc.binds:
                options = SessionOptions(smsc, bind, config.tlvs, wall, chance)
                service = BindService(
                    smsc,
                    bind,
                    partial(protocol.esme, options),
                    partial(connector.endpoint, smsc),
                    self,
                    reactor,
                    chance,
                    smsc.smpp.unanswered_delivers,
                )
                self.binds.append(service)
                self._ports[service] = (lane, lane.attach(service))

    def reopen_logs(self) -> None:
        """Begin the access logs anew, for logrotate."""
        if self.access is not None:
            self.access.reopen()

    def _lane(self, smsc: SmscConfig) -> MtLane:
        lane = Lane(
            smsc.name,
            decode,
            self._claimer(Queue.MT, lambda name: self.lanes[name]),
            self.config.store.memory_items,
        )
        lane.screen = lambda name, rows: self.mt.recovered(smsc.name, rows)
        return MtLane(smsc, lane, self.backlog, self.journal, self.reactor, self.wall, self._chance)

    def _report_box(self, name: str) -> Any:
        return self.reports.box(name)

    def _mo_box(self, name: str) -> Any:
        return self.calls.box(name)

    def _claimer(
        self, queue: Queue, owner: Callable[[str], Any]
    ) -> Callable[[str, int, tuple[int, int]], None]:
        """Reads more of a lane from the store, and pumps the lane when it is there."""

        def claim(name: str, limit: int, after: tuple[int, int]) -> None:
            def filled(items: Sequence[Item]) -> None:
                holder = owner(name)
                if holder is not None:
                    holder.fill(items, limit, self.reactor.seconds(), self.wall())
                    holder.pump()

            def failed(failure: object) -> None:
                holder = owner(name)
                if holder is not None:
                    holder.lane.claim_failed()
                    self.reactor.callLater(STORE_PAUSE, holder.pump)

            self.store.claim(queue, name, limit, after).addCallbacks(filled, failed).addErrback(
                lambda failure: self.log.failure("Reading a lane failed", failure)
            )

        return claim

    def _look_up(self, name: str, then: Callable[[Item | None, bool], None]) -> None:
        self.store.find([name]).addCallbacks(
            lambda found: then(found.get(name), True), lambda failure: then(None, False)
        ).addErrback(lambda failure: self.log.failure("After a look-up", failure))

    def _siblings(self, first: int, total: int, then: Callable[[Sequence[Item]], None]) -> None:
        """Without an answer nothing can be said of the message, so it is asked for again."""
        self.store.siblings(first, total).addCallbacks(
            then,
            lambda failure: self.reactor.callLater(STORE_PAUSE, self._siblings, first, total, then),
        ).addErrback(lambda failure: self.log.failure("After a look-up", failure))

    def _recover(self, recovery: Recovery) -> None:
        """Take up what the store held."""
        now, wall = self.reactor.seconds(), self.wall()
        self.mt.seen.recovered(recovery.seen)
        heads: dict[tuple[int, str], list[Item]] = {}
        for item in recovery.heads:
            heads.setdefault((item.queue, item.lane), []).append(item)
        uncertain = 0
        self.recovered = {
            word: sum(depth.waiting for depth in recovery.depths if depth.queue == queue)
            for queue, word in RECOVERED.items()
        }
        for depth in recovery.depths:
            found = heads.get((depth.queue, depth.lane), [])
            if depth.queue == Queue.MT:
                uncertain += sum(item.state == State.CLAIMED for item in found)
                self._recover_lane(depth.lane, found, depth.waiting, now, wall)
            elif depth.queue == Queue.MO:
                known = self.calls.recovered(depth.lane, found, depth.waiting, now, wall)
                if not known and depth.waiting:
                    self.log.warn(
                        "{count} MO wait for channel {channel}, which is not configured any more",
                        count=depth.waiting,
                        channel=depth.lane,
                    )
            elif depth.queue == Queue.DLR:
                self.reports.recovered(depth.lane, found, depth.waiting, now, wall)
            elif depth.queue == Queue.PART:
                self._recover_parts(found)
                if depth.waiting > len(found):
                    self._read_on(Queue.PART, depth.lane, found[-1], self._recover_parts)
            elif depth.queue == Queue.PARKED:
                for item in found:
                    self.dlr.recovered(decode_parked(item.body))
        since = key_at(wall - self.config.limits.dedupe_window)
        self._remember_mos(Queue.MO, since)
        self._remember_mos(Queue.DEAD, since)
        waiting = sum(depth.waiting for depth in recovery.depths)
        if waiting:
            self.log.info(
                "{waiting} messages were waiting, {uncertain} of them perhaps sent already",
                waiting=waiting,
                uncertain=uncertain,
            )

    def _perhaps_sent(self, smsc: str, segment: Segment) -> None:
        self.log.warn(
            "Perhaps sent before the last end: segment {segment} of message {message_id}, {policy}",
            message_id=self.keys.uuid(segment.message),
            segment=segment.index + 1,
            smsc=smsc,
            policy=self.lanes[smsc].config.on_uncertain.value,
        )

    def _remember_mos(self, queue: Queue, since: int) -> None:
        """The MO of late, so that a delivery of theirs that is repeated is known."""
        if self.mo.repeats is None:
            return

        def read(rows: Sequence[Item]) -> None:
            self.mo.known([row for row in rows if row.queue == Queue.MO or row.lane[:3] == "mo/"])
            if len(rows) == PAGE:
                self._remember_mos(queue, rows[-1].key)

        self.store.browse(queue, None, [State.WAITING], since, PAGE).addCallback(read).addErrback(
            lambda failure: self.log.failure("Reading the MO of late failed", failure)
        )

    def _recover_parts(self, rows: Sequence[Item]) -> None:
        for row in rows:
            self.mo.recovered(decode_part(row.body))

    def _recover_lane(
        self, name: str, heads: Sequence[Item], waiting: int, now: float, wall: float
    ) -> None:
        lane = self.lanes.get(name)
        if lane is not None:
            lane.recovered(heads, waiting, now, wall)
        elif len(self.lanes) == 1:
            lane = next(iter(self.lanes.values()))  # the only one there is takes what is left
            lane.adopt(heads, now, wall)
            if heads:
                self._read_on(Queue.MT, name, heads[-1], partial(self._adopt, lane))
        elif waiting:
            self.log.warn(
                "{count} segments wait for SMSC {smsc}, which is not configured any more",
                count=waiting,
                smsc=name,
            )

    def _adopt(self, lane: MtLane, rows: Sequence[Item]) -> None:
        lane.adopt(rows, self.reactor.seconds(), self.wall())
        lane.pump()

    def _read_on(
        self, queue: Queue, lane: str, last: Item, each: Callable[[Sequence[Item]], None]
    ) -> None:
        """Hand on what waits in a lane behind `last`, page by page."""

        def read(rows: Sequence[Item]) -> None:
            each(rows)
            if len(rows) == PAGE:
                self._read_on(queue, lane, rows[-1], each)

        self.store.claim(queue, lane, PAGE, (last.priority, last.key)).addCallback(read).addErrback(
            lambda failure: self.log.failure("Reading a lane failed", failure)
        )

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
        self.exchange.events(lane, state, events, answer)

    def link_lost(self, bind: BindService, events: Sequence[Event]) -> None:
        lane, state = self._ports[bind]
        self.exchange.link_lost(lane, state, events)

    def state_changed(self, bind: BindService) -> None:
        """A bind came or went: where all binds of a lane are gone, others may take its messages."""
        lane, _ = self._ports[bind]
        if lane.state is not LaneState.BOUND and len(self.lanes) > 1:
            self.mt.reroute(lane.config.name)

    def port_of(self, bind: BindService) -> PortState:
        """What the lane keeps of a bind."""
        return self._ports[bind][1]

    # -- life ------------------------------------------------------------------------------------

    def startService(self) -> None:
        Service.startService(self)
        self.vpn.startService()
        for bind in self.binds:
            bind.startService()
        for lane in self.lanes.values():
            lane.pump()
        self.reports.pump()
        self.calls.pump()
        self._loop(self._sweep, SWEEP)
        self._loop(self._prune, PRUNE)
        http = self.config.http
        if http.admin is not None:
            ctl = Ctl(http, Desk(self), self.reactor)
            admin = Admin(http, self.control, self.reactor, self.metrics.render, ctl)
            self._listen("admin", http.admin, Intake(http, {}, self.reactor, default=admin))
        if http.sendsms is not None:
            self.sendsms = SendSms(
                self.config,
                self.control.accept,
                self.wall,
                self.access,
                now=self.reactor.seconds,
                run=self._elsewhere,
            )
            accept = self.control.accept
            routes: dict[str, Handler] = {http.sendsms_path: self.sendsms}
            if http.external_path:
                external = External(self.config, self.sendsms, accept, self.keys.uuid)
                routes[http.external_path] = external
            if http.sendota_path:
                routes[http.sendota_path] = SendOta(self.config, self.sendsms, accept)
            puts = [http.external_path]
            self._listen("sendsms", http.sendsms, Intake(http, routes, self.reactor, puts=puts))
        self.log.info(
            "gatewayd is up: {smscs} SMSCs, {binds} binds, sendsms {sendsms}, admin {admin}",
            smscs=len(self.lanes),
            binds=len(self.binds),
            sendsms=self.address_of("sendsms"),
            admin=self.address_of("admin"),
        )

    def _elsewhere(self, job: Callable[[], bool], done: Callable[[bool], None]) -> None:
        """Run what takes long in a thread of the reactor's."""

        def failed(failure: Any) -> None:
            self.log.failure("A password could not be checked", failure)
            done(False)

        pool = self.reactor.getThreadPool()
        deferToThreadPool(self.reactor, pool, job).addCallbacks(done, failed)

    def address_of(self, name: str) -> str:
        for found, port in self.listeners:
            if found == name:
                address: Any = port.getHost()
                return f"{address.host}:{address.port}"
        return "off"

    def _listen(self, name: str, listener: Any, intake: Intake) -> None:
        self.intakes[name] = intake
        port = Connector(self.reactor).listen(listener, intake)
        self.listeners.append((name, port))

    def reload_lists(self) -> bool:
        """Read the files of white and black lists again; False when one cannot be read."""
        if self.sendsms is None:
            return True
        try:
            self.sendsms.reload_lists()
        except ConfigError as error:
            self.log.error("Lists are not read: {reason}", reason=str(error))
            return False
        return True

    def _loop(self, call: Callable[[], None], seconds: float) -> None:
        def guarded() -> None:
            try:
                call()
            except Exception:  # noqa: BLE001 - a loop that raises would never be called again
                self.log.failure("A periodic task broke")

        loop = LoopingCall(guarded)
        loop.clock = self.reactor
        self._loops.append(loop)
        loop.start(seconds, now=False).addErrback(
            lambda failure: self.log.failure("A periodic task broke", failure)
        )

    def _sweep(self) -> None:
        now = self.reactor.seconds()
        if self._expected:
            self.loop_lag = max(0.0, now - self._expected)
        self._expected = now + SWEEP
        for parked in self.dlr.sweep():
            self.log.warn(
                "A receipt of {smsc} matched no message: id {smsc_id}, {stat}, of {number}",
                smsc=parked.scope,
                smsc_id=parked.receipt.smsc_id,
                stat=parked.receipt.stat,
                number=Number(parked.receipt.source),
            )
            if other := self.dlr.other_form(parked):
                self.log.warn(
                    "{smsc} answered a submit with id {answer} and calls it {receipt} in its"
                    " receipt: message-ids says in which form the ids come",
                    smsc=parked.scope,
                    answer=other,
                    receipt=parked.receipt.smsc_id,
                )
        self.mt.seen.sweep()
        late = self.mo.sweep()
        if late:
            self.log.warn("{count} long MO handed on with parts missing", count=late)
        self.control.tick(now)

    def _prune(self) -> None:
        before = key_at(self.wall() - self.config.store.receipt_days * 86400)

        def pruned(count: int) -> None:
            if count >= PRUNE_ROWS and self._stopping is None:  # there may be more
                self.reactor.callLater(SWEEP, self._prune)

        self.store.prune(before, PRUNE_ROWS).addCallbacks(
            pruned, lambda failure: self.log.failure("Pruning failed", failure)
        )

    def stopService(self) -> Deferred[None]:
        """Stop in order, within `limits.drain` seconds and a little. Stopping twice is harmless."""
        if self._stopping is None:
            Service.stopService(self)
            self._stopping = Deferred.fromCoroutine(self._stop())
        done: Deferred[None] = Deferred()

        def pass_on(result: Any) -> Any:
            done.callback(None)
            return result

        self._stopping.addBoth(pass_on)
        return done

    def hurry(self) -> None:
        """Have a stop that is under way wait neither for SMSCs nor for platforms any more.

        What they have not answered is on disk and comes again, as after a crash.
        """
        self._hurried = True
        for bind in self.binds:
            bind.abort()

    async def _stop(self) -> None:
        for loop in self._loops:
            if loop.running:
                loop.stop()
        for name, port in reversed(self.listeners):
            await maybeDeferred(port.stopListening)
            self.intakes[name].stop()
        for lane in self.lanes.values():
            lane.held = True
            lane.stop_timer()
        drained = DeferredList([bind.stopService() for bind in self.binds])
        await self._within(drained, 0.0 if self._hurried else self.config.limits.drain)
        for bind in self.binds:
            bind.abort()
        await self._within(drained, ABORTED)
        for lane in self.lanes.values():
            lane.unmark()
        self.vpn.stopService()
        self.calls.stop()
        self.reports.stop()
        await self._answered()
        await self._within(self.journal.settled(), 5.0)
        self.http.close()
        await self.store.close()
        if self.access is not None:
            self.access.close()
        self.log.info("gatewayd has stopped")

    def _answered(self) -> Deferred[None]:
        """Fires when no call to a platform is under way any more, or has had time enough."""
        done: Deferred[None] = Deferred()
        end = self.reactor.seconds() + CALLS

        def look() -> None:
            active = sum(box.active for box in self.calls.boxes.values())
            active += sum(box.active for box in self.reports.boxes.values())
            if active and self.reactor.seconds() < end and not self._hurried:
                self.reactor.callLater(LOOK, look)
            else:
                done.callback(None)

        look()
        return done

    async def _within(self, deferred: Deferred[Any], seconds: float) -> None:
        """Wait for `deferred`, but not longer than `seconds`."""
        over: Deferred[None] = Deferred()
        timer = self.reactor.callLater(seconds, over.callback, None)

        def finished(result: Any) -> None:
            if timer.active():
                timer.cancel()
                over.callback(None)

        deferred.addBoth(finished)
        await over
