"""What an operator may see of and do to a running gateway: status, commands, metrics."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gatewayd import __version__
from gatewayd.access import together
from gatewayd.flow.dlr import decode_report
from gatewayd.flow.keys import stamp_of
from gatewayd.flow.mo import decode as decode_mo
from gatewayd.flow.mt import decode
from gatewayd.flow.pump import MtLane
from gatewayd.metrics import Scrape
from gatewayd.model import Acceptance, Mo, Order, Report, Segment, Verdict
from gatewayd.net.bind import BindService
from gatewayd.net.vpn import Down, Tunnel, Up
from gatewayd.sms.alphabets import decode_gsm
from gatewayd.store.contract import Queue, State, Work
from gatewayd.web.status import (
    BindEntry,
    LoadMeter,
    PathEntry,
    SmscEntry,
    Snapshot,
    StoredMessage,
    Traffic,
)

if TYPE_CHECKING:
    from gatewayd.app import Gateway

log = Logger()

RESTART_PAUSE = 5.0  # seconds in which callers can see that we are going down
SHOWN = 1000  # rows of each queue on a store-status page
WAITING = (State.WAITING, State.CLAIMED)
STATES = ("online", "connecting", "re-connecting", "disconnected", "dead")


class Meters:
    """The four counters of one SMSC, or of the whole gateway, with their rates."""

    __slots__ = ("_then", "received_dlr", "received_sms", "sent_dlr", "sent_sms")

    def __init__(self, now: float) -> None:
        self.received_sms = LoadMeter(now)
        self.received_dlr = LoadMeter(now)
        self.sent_sms = LoadMeter(now)
        self.sent_dlr = LoadMeter(now)

    def update(self, now: float, sms_in: int, dlr_in: int, sms_out: int, dlr_out: int) -> None:
        """Feed the totals counted so far."""
        for meter, total in (
            (self.received_sms, sms_in),
            (self.received_dlr, dlr_in),
            (self.sent_sms, sms_out),
            (self.sent_dlr, dlr_out),
        ):
            if total > meter.total:
                meter.add(now, total - meter.total)


class Control:
    """The commands of the admin listener and of `gatewayd ctl`, on one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        now = gateway.reactor.seconds()
        self._meters = {bind: Meters(now) for bind in gateway.binds}
        self._all = Meters(now)
        self.state = "running"
        self._held: list[tuple[Order, Callable[[Acceptance], None]]] = []
        self.set_level: Callable[[str], None] = lambda level: None
        # the admin ids in the configuration file as it is now
        self.admin_ids: Callable[[], frozenset[str]] = frozenset

    # -- sendsms ---------------------------------------------------------------------------------

    def accept(self, order: Order, reply: Callable[[Acceptance], None]) -> None:
        """Take an order, unless the gateway is suspended: then it waits for `resume`."""
        if self.state == "suspended":
            if len(self._held) < 1000:
                self._held.append((order, reply))
            else:
                reply(Acceptance(Verdict.OVERLOADED, reason="suspended"))
            return
        if self.state == "going down":  # not lost: whoever asks again meets the next gateway
            reply(Acceptance(Verdict.OVERLOADED, reason="going down"))
            return
        self._gateway.mt.accept(order, reply)

    # -- commands --------------------------------------------------------------------------------

    def suspend(self) -> None:
        self.state = "suspended"
        self._gateway.exchange.open_for_mo = False
        for lane in self._gateway.lanes.values():
            lane.held = True

    def isolate(self) -> None:
        """Nothing comes in from SMSCs; MT go on."""
        self.state = "isolated"
        self._gateway.exchange.open_for_mo = False
        self._go_on()

    def resume(self) -> None:
        self.state = "running"
        self._gateway.exchange.open_for_mo = True
        self._go_on()

    def _go_on(self) -> None:
        held, self._held = self._held, []
        for order, reply in held:
            self._gateway.mt.accept(order, reply)
        for lane in self._gateway.lanes.values():
            lane.held = False
            lane.pump()

    def shutdown(self) -> None:
        self.state = "going down"
        self._gateway.on_end("stop")

    def restart(self, graceful: bool) -> None:
        """Begin anew with the file as it is then; `graceful`: only if the file has changed.

        Else the binds go first, and for a while callers are told what is going on.
        """
        gateway = self._gateway
        if graceful:
            gateway.on_end("reload")
            return
        self.state = "going down"
        for lane in gateway.lanes.values():
            lane.stopped = True
        for bind in gateway.binds:
            bind.kill()
        gateway.reactor.callLater(RESTART_PAUSE, gateway.on_end, "restart")

    def flush_dlr(self) -> None:
        """Forget every message that waits for a receipt."""
        gateway = self._gateway
        gateway.dlr.forget()
        gateway.store.prune(gateway.keys.take(), 1_000_000).addErrback(
            lambda failure: log.failure("Flushing what waits for receipts failed", failure)
        )

    def log_level(self, level: int) -> None:
        levels = ("debug", "info", "warning", "error")
        self.set_level(levels[max(0, min(level, 3))])

    def _named(self, smsc: str, removed: bool = False) -> list[MtLane]:
        return [
            lane
            for lane in self._gateway.lanes.values()
            if smsc == (lane.config.admin_id or lane.config.id) and lane.removed is removed
        ]

    def _binds(self, lane: MtLane) -> list[BindService]:
        return [bind for bind in self._gateway.binds if bind.smsc is lane.config]

    def stop_smsc(self, smsc: str) -> bool:
        lanes = [lane for lane in self._named(smsc) if not lane.stopped]
        for lane in lanes:
            lane.stopped = True
            for bind in self._binds(lane):
                bind.kill()
        return bool(lanes)

    def start_smsc(self, smsc: str) -> bool:
        """Connect again what was stopped or refused for good."""
        started = False
        for lane in self._named(smsc):
            binds = [bind for bind in self._binds(lane) if bind.dead]
            if lane.stopped or binds:
                started = True
                lane.stopped = False
                for bind in binds:
                    bind.revive()
                lane.pump()
        return started

    def add_smsc(self, smsc: str) -> bool:
        """An SMSC that was removed comes back; one that is new in the file is begun."""
        lanes = self._named(smsc, removed=True)
        for lane in lanes:
            lane.removed = lane.stopped = False
            for bind in self._binds(lane):
                bind.revive()
            lane.pump()
        if not lanes and not self._named(smsc) and smsc in self.admin_ids():
            self._gateway.on_end("reload")
            return True
        return bool(lanes)

    def remove_smsc(self, smsc: str) -> bool:
        """Stop it and leave it out of status pages."""
        lanes = self._named(smsc)
        for lane in lanes:
            lane.removed = lane.stopped = True
            for bind in self._binds(lane):
                bind.kill()
        return bool(lanes)

    def reload_lists(self) -> bool:
        return self._gateway.reload_lists()

    def remove_message(self, uuid: str) -> Deferred[bool]:
        """Take a message that waits for an SMSC out of the queue and the store."""
        return Deferred.fromCoroutine(self._remove_message(uuid))

    async def _remove_message(self, uuid: str) -> bool:
        key = self._gateway.keys.key(uuid)
        if key is None:
            return False
        store = self._gateway.store
        found = await store.siblings(key, 1)
        if not found or found[0].queue != Queue.MT:
            return False
        total = decode(found[0].body).total
        rows = await store.siblings(key, total) if total > 1 else found
        waiting = [row for row in rows if row.queue == Queue.MT and row.state in WAITING]
        for row in waiting:
            self._gateway.mt.quotas.give(decode(row.body))
            lane = self._gateway.lanes.get(row.lane)
            if lane is None or not lane.discard(row.key):
                self._gateway.journal.add(Work(ends=[row.key]))
                if lane is not None:
                    lane.forget_on_disk()
        return bool(waiting)

    def store_status(self) -> Deferred[Sequence[StoredMessage]]:
        """What the store holds that has not reached an SMSC or a platform, the oldest first."""
        return Deferred.fromCoroutine(self._store_status())

    async def _store_status(self) -> Sequence[StoredMessage]:
        found: list[StoredMessage] = []
        browse = self._gateway.store.browse
        segments: dict[int, list[Segment]] = {}
        for item in await browse(Queue.MT, None, WAITING, 0, SHOWN):
            segment = decode(item.body)
            segments.setdefault(segment.message or segment.id, []).append(segment)
        found += [self._stored(parts) for parts in segments.values()]
        for item in await browse(Queue.MO, None, WAITING, 0, SHOWN):
            found.append(self._stored_mo(decode_mo(item.body)))
        for item in await browse(Queue.DLR, None, WAITING, 0, SHOWN):
            found.append(self._stored_report(decode_report(item.body)))
        return found

    def _stored(self, parts: Sequence[Segment]) -> StoredMessage:
        segment = parts[0]
        payload, udh = together(parts) if len(parts) > 1 else (segment.payload, segment.udh)
        text = decode_gsm(payload).encode("utf-8", "replace") if segment.coding == 0 else payload
        flags = f"{segment.mclass}:{segment.coding}:{segment.mwi}:{segment.compress}:"
        return StoredMessage(
            id=self._gateway.keys.uuid(segment.message or segment.id),
            kind="MT-REPLY" if segment.reply else "MT-PUSH",
            time=_moment(stamp_of(segment.id)),
            sender=segment.source,
            receiver=segment.destination,
            smsc=segment.smsc,
            flags=flags + str(segment.dlr_mask or -1),
            udh=udh.hex(),
            text=quote_plus(text),
        )

    def _stored_mo(self, mo: Mo) -> StoredMessage:
        return StoredMessage(
            id=self._gateway.keys.uuid(mo.known_as or mo.id),
            kind="MO",
            time=_moment(mo.time),
            sender=mo.source,
            receiver=mo.destination,
            smsc=mo.smsc,
            flags=f"{mo.mclass}:{mo.coding}:{mo.mwi}:{mo.compress}:-1",
            udh=mo.udh.hex(),
            text=quote_plus(mo.payload),
        )

    def _stored_report(self, report: Report) -> StoredMessage:
        return StoredMessage(
            id=self._gateway.keys.uuid(report.known_as or report.id),
            kind="DLR",
            time=_moment(report.time),
            sender=report.source,
            receiver=report.destination,
            smsc=report.smsc,
            flags=f"-1:-1:-1:-1:{report.status}",
            udh="",
            text=quote_plus(report.text),
        )

    # -- what can be seen ------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Feed the load meters; once a second is often enough for rates of a minute."""
        gateway = self._gateway
        for bind, meters in self._meters.items():
            state = gateway.port_of(bind)
            receipts = state.receipts + state.reports
            meters.update(now, state.received, receipts, state.accepted, 0)
        self._all.update(
            now,
            gateway.mo.received,
            gateway.dlr.receipts,
            gateway.mt.sent,
            gateway.dlr.made,
        )

    def snapshot(self) -> Snapshot:
        gateway = self._gateway
        now = gateway.reactor.seconds()
        self.tick(now)
        total = self._all
        config = gateway.config
        queued = gateway.backlog.waiting
        return Snapshot(
            state=self.state,
            uptime=now - gateway.began,
            received=_traffic(total.received_sms, now),
            received_queued=len(gateway.calls) + gateway.calls.set_aside,
            sent=_traffic(total.sent_sms, now),
            sent_queued=queued,
            store_size=self._stored_count() if config.store.kannel_storesize else -1,
            dlr_received=_traffic(total.received_dlr, now),
            dlr_sent=_traffic(total.sent_dlr, now),
            dlr_queued=gateway.dlr.pending,
            smscs=tuple(
                self._smsc_entry(lane, bind, now)
                for lane in gateway.lanes.values()
                if not lane.removed
                for bind in self._binds(lane)
            ),
            binds=tuple(
                BindEntry(bind.name, bind.bound, "" if bind.bound else bind.reason)
                for bind in gateway.binds
            ),
            paths=tuple(map(_path_entry, gateway.vpn.tunnels.values())),
            problem="the store fails" if gateway.journal.failing else "",
        )

    def _stored_count(self) -> int:
        """Messages that have not reached an SMSC or a platform."""
        gateway = self._gateway
        in_flight = sum(bind.in_flight for bind in gateway.binds)
        return gateway.backlog.waiting + in_flight + len(gateway.calls) + len(gateway.reports)

    def _smsc_entry(self, lane: MtLane, bind: BindService, now: float) -> SmscEntry:
        """One bind as Kannel shows it; what waits is the lane's, and stands at its first bind."""
        config = lane.config
        meters = self._meters[bind]
        first = bind is self._binds(lane)[0]
        return SmscEntry(
            name=config.status_name or config.name,
            id=config.id,
            admin_id=config.admin_id or config.id,
            status=f"online {int(now - bind.since)}s" if bind.bound else bind.status,
            received_sms=_traffic(meters.received_sms, now),
            received_dlr=_traffic(meters.received_dlr, now),
            sent_sms=_traffic(meters.sent_sms, now),
            sent_dlr=_traffic(meters.sent_dlr, now),
            failed=self._gateway.port_of(bind).refusals,
            queued=lane.load if first else 0,
        )

    def fill(self, scrape: Scrape) -> None:
        """Every series of gatewayd at this moment."""
        gateway = self._gateway
        now = gateway.reactor.seconds()
        put = scrape.put
        put("gatewayd_build", 1, __version__, platform.python_version())
        put("gatewayd_start_time_seconds", gateway.started)
        put("gatewayd_loop_lag_seconds", gateway.loop_lag)
        put("gatewayd_timers", len(gateway.reactor.getDelayedCalls()))
        for lane in gateway.lanes.values():
            self._fill_lane(scrape, lane)
        for tunnel in gateway.vpn.tunnels.values():
            put("gatewayd_vpn_up", float(tunnel.up), tunnel.name)
            put("gatewayd_vpn_changes", tunnel.changes, tunnel.name)
            put("gatewayd_vpn_last_change_time_seconds", tunnel.changed_at, tunnel.name)
        mt, mo, dlr = gateway.mt, gateway.mo, gateway.dlr
        for result, value in (
            ("accepted", mt.accepted),
            ("unroutable", mt.unroutable),
            ("overloaded", mt.overloaded),
            ("repeated", mt.seen.repeated),
        ):
            put("gatewayd_messages", value, "mt", result)
        for result, value in (
            ("received", mo.received),
            ("joined", mo.joined),
            ("refused", mo.refused),
            ("forwarded", gateway.calls.sent),
            ("failed", gateway.calls.failed),
        ):
            put("gatewayd_messages", value, "mo", result)
        for result, value in (
            ("stored", mt.segments),
            ("sent", mt.sent),
            ("failed", mt.failed),
            ("expired", mt.expired),
            ("retried", mt.retried),
            ("held", mt.held),
            ("reconciled", mt.reconciled),
        ):
            put("gatewayd_mt_segments", value, result)
        for queue, count in gateway.recovered.items():
            put("gatewayd_recovered", count, queue)
        put("gatewayd_uncertain", mt.uncertain)
        put("gatewayd_charset_lossy", mt.lossy)
        put("gatewayd_text_cut", mt.cut)
        put("gatewayd_mo_repeated", 0 if mo.repeats is None else mo.repeats.count)
        put("gatewayd_mo_unrouted", mo.unrouted)
        put("gatewayd_concat_parts", mo.parts_waiting)
        put("gatewayd_concat_incomplete", mo.incomplete)
        put("gatewayd_dlr_receipts", dlr.receipts)
        put("gatewayd_dlr_reports", dlr.made)
        put("gatewayd_dlr_unmatched", dlr.unmatched)
        put("gatewayd_dlr_ids_repeated", dlr.ids_repeated)
        put("gatewayd_dlr_parked", dlr.parked)
        put("gatewayd_dlr_pending", dlr.pending)
        self._fill_forwards(scrape)
        if gateway.sendsms is not None:
            users = gateway.sendsms.users
            put("gatewayd_logins", users.failed, "failed")
            put("gatewayd_logins", users.blocked, "blocked")
            for name, allowance in gateway.sendsms.allowances.items():
                put("gatewayd_user_messages", allowance.taken, name)
                put("gatewayd_user_refused", allowance.refused, name)
        put("gatewayd_store_commits", gateway.journal.commits)
        put("gatewayd_store_commit_seconds", gateway.journal.commit_seconds)
        put("gatewayd_store_bytes", gateway.store.size())
        put("gatewayd_store_failing", float(gateway.journal.failing))
        for name, intake in gateway.intakes.items():
            put("gatewayd_http_connections", intake.connections, name)
            codes: Counter[int] = Counter()
            for (_, code), count in intake.answered.items():
                codes[code] += count
            for code, count in sorted(codes.items()):
                put("gatewayd_http_requests", count, name, str(code))
            for what, count in intake.notes.items():
                put("gatewayd_http_notes", count, name, what)
        self.tick(now)

    def _fill_lane(self, scrape: Scrape, lane: MtLane) -> None:
        put = scrape.put
        smsc = lane.config.name
        binds = self._binds(lane)
        put("gatewayd_smsc_up", float(any(bind.bound for bind in binds)), smsc)
        put("gatewayd_queue_messages", lane.load, "mt", smsc)
        ports = lane.ports
        for result, value in (
            ("submitted", lane.submitted),
            ("accepted", sum(port.accepted for port in ports)),
            ("refused", sum(port.refusals for port in ports)),
            ("received", sum(port.received for port in ports)),
            ("receipts", sum(port.receipts for port in ports)),
        ):
            put("gatewayd_segments", value, smsc, result)
        put("gatewayd_throttled", lane.throttles, smsc)
        scrape.put_histogram("gatewayd_submit_latency_seconds", lane.latency, smsc)
        for bind in binds:
            name = bind.name
            put("gatewayd_bind_up", float(bind.bound), smsc, name)
            for state in STATES:
                put("gatewayd_bind_state", float(bind.status == state), smsc, name, state)
            put("gatewayd_bind_connects", bind.connects, smsc, name)
            put("gatewayd_bind_losses", bind.losses, smsc, name)
            put("gatewayd_window_in_flight", bind.in_flight, smsc, name)
            put("gatewayd_window_size", bind.config.window or lane.config.window, smsc, name)
            put("gatewayd_enquire_link_rtt_seconds", bind.round_trip, smsc, name)
            for what, count in bind.notes.items():
                put("gatewayd_bind_notes", count, smsc, name, what)

    def _fill_forwards(self, scrape: Scrape) -> None:
        put = scrape.put
        gateway = self._gateway
        for kind, boxes in (("mo", gateway.calls), ("dlr", gateway.reports)):
            put("gatewayd_forward_attempts", boxes.attempts, kind)
            put("gatewayd_forward_results", boxes.sent, kind, "done")
            put("gatewayd_forward_results", boxes.failed, kind, "failed")
        put("gatewayd_forward_results", gateway.reports.dropped, "dlr", "dropped")
        for name, box in gateway.calls.boxes.items():
            put("gatewayd_queue_messages", len(box), "mo", name)
            put("gatewayd_forward_failing", box.failures, name)
        channels = {channel.name for channel in gateway.config.channels}
        others = 0
        for name, reports in gateway.reports.boxes.items():
            if name in channels:
                put("gatewayd_queue_messages", len(reports), "dlr", name)
            else:  # a host from a dlr-url: no label from traffic
                others += len(reports)
        put("gatewayd_queue_messages", others, "dlr", "other")


def _path_entry(tunnel: Tunnel) -> PathEntry:
    path = tunnel.path
    return PathEntry(
        tunnel.name,
        tunnel.device,
        isinstance(path, Up),
        address=path.address if isinstance(path, Up) else "",
        reason=path.reason if isinstance(path, Down) else "",
        since=tunnel.changed_at,
        changes=tunnel.changes,
    )


def _traffic(meter: LoadMeter, now: float) -> Traffic:
    return Traffic(meter.total, meter.loads(now))


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))
