"""What can be seen of a running gateway: the status page's snapshot, and every metric."""

from __future__ import annotations

import platform
from collections import Counter
from typing import TYPE_CHECKING

from gatewayd import __version__
from gatewayd.flow.pump import MtLane
from gatewayd.metrics import Scrape
from gatewayd.net.bind import BindService
from gatewayd.net.vpn import Down, Tunnel, Up
from gatewayd.outcome import RESULTS
from gatewayd.web.status import (
    BindEntry,
    LoadMeter,
    PathEntry,
    Reload,
    SmscEntry,
    Snapshot,
    Traffic,
)

if TYPE_CHECKING:
    from gatewayd.app import Gateway

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


class Monitor:
    """Reads everything from the gateway when it is asked; only the load meters are fed before."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._meters: dict[BindService, Meters] = {}
        self._all = Meters(gateway.reactor.seconds())

    def tick(self, now: float) -> None:
        """Feed the load meters; once a second is often enough for rates of a minute."""
        gateway = self._gateway
        known = self._meters
        self._meters = {bind: known.get(bind) or Meters(now) for bind in gateway.binds}
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

    def snapshot(self, state: str) -> Snapshot:
        gateway = self._gateway
        now = gateway.reactor.seconds()
        self.tick(now)
        total = self._all
        config = gateway.config
        reloads = gateway.reloads
        queued = gateway.backlog.waiting
        return Snapshot(
            state=state,
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
                for bind in binds_of(gateway, lane)
            ),
            binds=tuple(
                BindEntry(bind.name, bind.bound, "" if bind.bound else bind.reason)
                for bind in gateway.binds
            ),
            paths=tuple(map(_path_entry, gateway.vpn.tunnels.values())),
            problem="the store fails" if gateway.journal.failing else "",
            reload=Reload(reloads.last.result, reloads.last.text, reloads.when),
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
        first = bind is binds_of(self._gateway, lane)[0]
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
        reloads = gateway.reloads
        for result in RESULTS:
            put("gatewayd_config_reloads", reloads.counts[result], result)
        put("gatewayd_config_last_reload_successful", float(not reloads.last.error))
        put("gatewayd_config_last_reload_time_seconds", reloads.when)
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
        self._fill_listeners(scrape)
        self.tick(now)

    def _fill_lane(self, scrape: Scrape, lane: MtLane) -> None:
        put = scrape.put
        smsc = lane.config.name
        binds = binds_of(self._gateway, lane)
        put("gatewayd_smsc_up", float(any(bind.bound for bind in binds)), smsc)
        put("gatewayd_queue_messages", lane.load, "mt", smsc)
        ports = lane.counted
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

    def _fill_listeners(self, scrape: Scrape) -> None:
        put = scrape.put
        for name, intake in self._gateway.intakes.items():
            put("gatewayd_http_connections", intake.connections, name)
            codes: Counter[int] = Counter()
            for (_, code), count in intake.counts.answered.items():
                codes[code] += count
            for code, count in sorted(codes.items()):
                put("gatewayd_http_requests", count, name, str(code))
            for what, count in intake.counts.notes.items():
                put("gatewayd_http_notes", count, name, what)

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


def binds_of(gateway: Gateway, lane: MtLane) -> list[BindService]:
    return [bind for bind in gateway.binds if bind.smsc.name == lane.config.name]


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
