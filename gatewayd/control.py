"""What an operator may see of and do to a running gateway: status, commands, metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from gatewayd.access import together
from gatewayd.flow.dlr import decode_report
from gatewayd.flow.keys import stamp_of
from gatewayd.flow.mo import decode as decode_mo
from gatewayd.flow.mt import decode
from gatewayd.flow.pump import MtLane
from gatewayd.model import Acceptance, Mo, Order, Report, Segment, Verdict
from gatewayd.monitor import binds_of
from gatewayd.net.bind import BindService
from gatewayd.outcome import REFUSED, Outcome
from gatewayd.sms.alphabets import decode_gsm
from gatewayd.store.contract import Queue, State, Work
from gatewayd.web.status import Snapshot, StoredMessage

if TYPE_CHECKING:
    from gatewayd.app import Gateway

log = Logger(namespace=__name__)

RESTART_PAUSE = 5.0  # seconds in which callers can see that we are going down
SHOWN = 1000  # rows of each queue on a store-status page
WAITING = (State.WAITING, State.CLAIMED)


class Control:
    """The commands of the admin listener and of `gatewayd ctl`, on one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.state = "running"
        self._held: list[tuple[Order, Callable[[Acceptance], None]]] = []
        self.set_level: Callable[[str], None] = lambda level: None
        # the admin ids in the configuration file as it is now
        self.admin_ids: Callable[[], frozenset[str]] = frozenset
        # reads the file again; fires with what came of it
        self.reload: Callable[[], Deferred[Outcome]] = _nobody_reads

    def snapshot(self) -> Snapshot:
        return self._gateway.monitor.snapshot(self.state)

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
        """Begin anew with the file as it is then; `graceful`: only what has changed in it.

        Else the binds go first, and for a while callers are told what is going on.
        """
        gateway = self._gateway
        if graceful:
            self.reload()
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
        return binds_of(self._gateway, lane)

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
            self.reload()
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


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))


def _nobody_reads() -> Deferred[Outcome]:
    return succeed(Outcome(REFUSED, "this gateway was not started from a file"))
