"""The composition root: the only module that knows every other. Config in, running gateway out.

Order of start: store, flows, binds, admin, sendsms last. Order of stop: sendsms first, then the
binds (drained), the outboxes, the journal, the HTTP client, the store. Each step is waited for, all
under one deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import Any, ClassVar

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from gatewayd import failpoints
from gatewayd.access import AccessLog, NotedReports, open_logs
from gatewayd.config import Config, LoggingConfig
from gatewayd.control import Control
from gatewayd.desk import Desk
from gatewayd.doors import Doors
from gatewayd.flow.calls import MoBoxes
from gatewayd.flow.dlr import DlrFlow
from gatewayd.flow.exchange import Exchange
from gatewayd.flow.journal import Journal
from gatewayd.flow.keys import Keys, key_at
from gatewayd.flow.mo import MoFlow
from gatewayd.flow.mt import MtFlow
from gatewayd.flow.outbox import Budget, Outbox
from gatewayd.flow.reports import ReportBoxes
from gatewayd.flow.services import Services
from gatewayd.flow.targets import Targets
from gatewayd.log import Number
from gatewayd.metrics import Metrics
from gatewayd.model import Mo, Report, Segment
from gatewayd.monitor import Monitor
from gatewayd.net import tls_later, vpn
from gatewayd.net.http_client import HttpClient
from gatewayd.net.http_reach import is_ours
from gatewayd.net.process import execute
from gatewayd.outcome import Outcome, Reloads
from gatewayd.recovery import Recoverer
from gatewayd.reload import reload
from gatewayd.rows import Rows
from gatewayd.smscs import Smscs
from gatewayd.store.contract import Queue
from gatewayd.store.sqlite import SqliteStore
from gatewayd.web.sendsms import SendSms

CALLS = 3.0  # seconds for calls to platforms that are under way at a stop
LOOK = 0.02
ABORTED = 1.0  # seconds for what aborted links still have to tell
SWEEP = 1.0  # seconds between looks at what may have waited too long
GIVE_AWAY = 10.0  # seconds between looks at lanes whose SMSC is not configured any more
PRUNE = 60.0  # seconds between looks for receipts that will never come
PRUNE_ROWS = 10_000


def store_path(config: Config, environ: Mapping[str, str]) -> str:
    """The store's file: as configured, else in $STATE_DIRECTORY, else in the working directory."""
    if config.store.path:
        return config.store.path
    folder = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return str(Path(folder or ".") / "gatewayd.sqlite3")


class Gateway(Service):
    """One running gateway. `reactor` is the real one, or what tests make of it."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        config: Config,
        reactor: Any,
        *,
        environ: Mapping[str, str],
        wall: Callable[[], float] = time.time,
        chance: Callable[[], float] | None = None,
        on_end: Callable[[str], None] = lambda how: None,
        apply_logging: Callable[[LoggingConfig], None] = lambda logging: None,
    ) -> None:
        self.config = config
        self.reactor = reactor
        self.wall = wall
        self.on_end = on_end  # "stop" or "restart", asked for by the admin
        self.apply_logging = apply_logging  # may raise OSError
        self._chance = chance or SystemRandom().random
        self.started = wall()
        self.began = reactor.seconds()
        self._loops: list[LoopingCall] = []
        self._stopping: Deferred[None] | None = None
        self._hurried = False
        self.loop_lag = 0.0
        self.reloads = Reloads(self.started)
        self._expected = 0.0
        vpn.check(config)
        self.targets = Targets(config, is_ours)
        tls_later.prepare(config, self.targets)
        self.store = SqliteStore(
            store_path(config, environ),
            reactor.callFromThread,
            failpoint=failpoints.of_store(environ),
        )
        recovery = self.store.open(config.store.memory_items)
        self.keys = Keys(recovery.last_key, recovery.instance, wall)
        self.journal = Journal(self.store, reactor)
        self.rows = Rows(self.store, reactor, wall)
        self.http = HttpClient(
            reactor,
            per_origin=config.http.connections_out,
            redirects=config.http.redirects,
            proxy=config.http.proxy,
            targets=self.targets,
        )
        self._build(config)
        self.access: AccessLog | None = None
        self.note_access(open_logs(config, reactor, wall, self.keys.uuid))
        recoverer = Recoverer(
            self.store,
            self.rows,
            self.smscs,
            self.mt,
            self.mo,
            self.dlr,
            self.calls,
            self.reports,
        )
        self.recovered = recoverer.recover(  # rows that waited at the start
            recovery, reactor.seconds(), wall(), config.limits.dedupe_window
        )
        failpoints.arm(self, environ)
        self.monitor = Monitor(self)
        self.control = Control(self)
        self.metrics = Metrics(self.monitor.fill)
        self.desk = Desk(self)
        self.doors = Doors(self)
        self.listeners, self.intakes = self.doors.listeners, self.doors.intakes

    # -- composition -----------------------------------------------------------------------------

    def _build(self, config: Config) -> None:
        reactor, wall, chance = self.reactor, self.wall, self._chance
        self.smscs = Smscs(config, self.rows, self.journal, reactor, wall, chance)
        self.lanes, self.binds = self.smscs.lanes, self.smscs.binds
        self.router, self.vpn = self.smscs.router, self.smscs.vpn
        self.backlog = self.smscs.backlog
        self.port_of = self.smscs.port_of
        self.budget = Budget(config.http.max_requests_out)
        self.reports = ReportBoxes(
            config,
            self.keys,
            self.journal,
            reactor,
            wall,
            chance,
            self.budget,
            self.http.send,
            self.rows.claimer(Queue.DLR, self._report_box),
            config.reports,
        )
        self.dlr = DlrFlow(
            config,
            self.keys,
            self.journal,
            self.reports,
            wall,
            self.rows.look_up,
            self.rows.siblings,
        )
        self.mt = MtFlow(
            config,
            self.keys,
            self.journal,
            self.router,
            self.smscs.known,
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
            self.budget,
            self.http.send,
            self.rows.claimer(Queue.MO, self._mo_box),
        )
        self.services = Services(config.channels)
        self.mo = MoFlow(
            config,
            self.keys,
            self.journal,
            self.services,
            wall,
            self.calls.push,
            self.calls.unserved,
            lambda: len(self.calls),
        )
        self.exchange = Exchange(self.mt, self.mo, self.dlr)
        self.mt.on_uncertain = self._perhaps_sent
        self.allow_exec(config.http.allow_exec)
        self.smscs.wire(self.mt, self.exchange)

    def _report_box(self, name: str) -> Outbox[Report]:
        return self.reports.box(name)

    def _mo_box(self, name: str) -> Outbox[Mo] | None:
        return self.calls.box(name)

    def allow_exec(self, allowed: bool) -> None:
        """Whether channels may run commands."""
        self.calls.execute = partial(execute, self.reactor) if allowed else None

    def note_access(self, access: AccessLog | None) -> None:
        """Tell these access logs from now on what the flows do, and those before nothing more."""
        before, self.access = self.access, access
        if before is access:
            return
        self.exchange.access = self.calls.access = access
        mt, mo, dlr, calls = self.mt, self.mo, self.dlr, self.calls
        if access is not None:
            mt.on_failed, mt.on_split = access.failed, access.split
            dlr.on_unmatched = access.unmatched
            dlr.reports = NotedReports(self.reports, access)
            mo.push, mo.unserved = access.note(calls.push), access.note(calls.unserved)
        else:
            mt.on_failed, mt.on_split = _nobody, None
            dlr.on_unmatched = _nobody
            dlr.reports = self.reports
            mo.push, mo.unserved = calls.push, calls.unserved
        if before is not None and access is not None:
            access.inherit(before)
        elif before is not None:
            before.close()

    def reopen_logs(self) -> None:
        """Begin the log and the access logs anew, for logrotate."""
        self.apply_logging(self.config.logging)
        if self.access is not None:
            self.access.reopen()

    def _perhaps_sent(self, smsc: str, segment: Segment) -> None:
        self.log.warn(
            "Perhaps sent before the last end: segment {segment} of message {message_id}, {policy}",
            message_id=self.keys.uuid(segment.message),
            segment=segment.index + 1,
            smsc=smsc,
            policy=self.smscs.known[smsc].config.on_uncertain.value,
        )

    # -- another configuration -------------------------------------------------------------------

    def reload(self, config: Config) -> Deferred[Outcome]:
        """Go on by `config`; fires when everything is as it says, or with why not."""

        def noted(outcome: Outcome) -> Outcome:
            self.note_reload(outcome)
            return outcome

        return Deferred.fromCoroutine(reload(self, config)).addCallback(noted)

    def note_reload(self, outcome: Outcome) -> None:
        """Remember what came of a reload, for those who ask; and say it in the log."""
        self.reloads.note(outcome, self.wall())
        if outcome.error is not None:
            self.log.error("Reload {result}: {text}", result=outcome.result, text=outcome.text)
        else:
            self.log.info("Reload {result}: {text}", result=outcome.result, text=outcome.text)

    def reload_lists(self) -> bool:
        """Read the files of white and black lists again; False when one cannot be read."""
        return self.doors.reload_lists()

    @property
    def sendsms(self) -> SendSms | None:
        return self.doors.sendsms

    @property
    def stopping(self) -> bool:
        return self._stopping is not None

    # -- life ------------------------------------------------------------------------------------

    def startService(self) -> None:
        Service.startService(self)
        self.smscs.start()
        self.reports.pump()
        self.calls.pump()
        self._loop(self._sweep, SWEEP)
        self._loop(self.smscs.give_away, GIVE_AWAY)
        self._loop(self._prune, PRUNE)
        self.doors.open()
        self.log.info(
            "gatewayd is up: {smscs} SMSCs, {binds} binds, sendsms {sendsms}, admin {admin}",
            smscs=len(self.lanes),
            binds=len(self.binds),
            sendsms=self.doors.address_of("sendsms"),
            admin=self.doors.address_of("admin"),
        )

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
        self.monitor.tick(now)

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
        await self.doors.close()
        self.smscs.hold()
        drained = DeferredList(self.smscs.disconnect())
        await self.within(drained, 0.0 if self._hurried else self.config.limits.drain)
        self.smscs.abort()
        await self.within(drained, ABORTED)
        self.smscs.stop()
        self.calls.stop()
        self.reports.stop()
        await self._answered()
        await self.within(self.journal.settled(), 5.0)
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

    async def within(self, deferred: Deferred[Any], seconds: float) -> None:
        """Wait for `deferred`, but not longer than `seconds`."""
        over: Deferred[None] = Deferred()
        timer = self.reactor.callLater(seconds, over.callback, None)

        def finished(result: Any) -> None:
            if timer.active():
                timer.cancel()
                over.callback(None)

        deferred.addBoth(finished)
        await over


def _nobody(*_: object) -> None:
    """No access log is kept."""
