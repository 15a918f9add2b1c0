"""What the store held when the gateway starts, given to those who go on with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from twisted.logger import Logger

from gatewayd.flow.calls import MoBoxes
from gatewayd.flow.dlr import DlrFlow, decode_parked
from gatewayd.flow.keys import key_at
from gatewayd.flow.mo import MoFlow, decode_part
from gatewayd.flow.mt import MtFlow
from gatewayd.flow.reports import ReportBoxes
from gatewayd.rows import PAGE, Rows
from gatewayd.smscs import Smscs
from gatewayd.store.contract import Item, Queue, Recovery, State, Store

WORDS = {Queue.MT: "mt", Queue.MO: "mo", Queue.DLR: "report"}

log = Logger()


class Recoverer:
    """Knows who takes what. `now` and `wall` are the moment of the start, on both clocks."""

    def __init__(
        self,
        store: Store,
        rows: Rows,
        smscs: Smscs,
        mt: MtFlow,
        mo: MoFlow,
        dlr: DlrFlow,
        calls: MoBoxes,
        reports: ReportBoxes,
    ) -> None:
        self._store = store
        self._rows = rows
        self._smscs = smscs
        self._mt = mt
        self._mo = mo
        self._dlr = dlr
        self._calls = calls
        self._reports = reports

    def recover(self, recovery: Recovery, now: float, wall: float, window: float) -> dict[str, int]:
        """Hand everything on; how many rows waited comes back, by queue.

        Deliveries of the last `window` seconds are made known, so that a repeated one is found.
        """
        self._mt.seen.recovered(recovery.seen)
        heads: dict[tuple[int, str], list[Item]] = {}
        for item in recovery.heads:
            heads.setdefault((item.queue, item.lane), []).append(item)
        uncertain = 0
        for depth in recovery.depths:
            found = heads.get((depth.queue, depth.lane), [])
            if depth.queue == Queue.MT:
                uncertain += sum(item.state == State.CLAIMED for item in found)
                self._lane(depth.lane, found, depth.waiting, now, wall)
            elif depth.queue == Queue.MO:
                known = self._calls.recovered(depth.lane, found, depth.waiting, now, wall)
                if not known and depth.waiting:
                    tell_of_channel(depth.lane, depth.waiting)
            elif depth.queue == Queue.DLR:
                self._reports.recovered(depth.lane, found, depth.waiting, now, wall)
            elif depth.queue == Queue.PART:
                self._parts(found)
                if depth.waiting > len(found):
                    self._rows.read_on(Queue.PART, depth.lane, found[-1], self._parts)
            elif depth.queue == Queue.PARKED:
                for item in found:
                    self._dlr.recovered(decode_parked(item.body))
        since = key_at(wall - window)
        self._remember_mos(Queue.MO, since)
        self._remember_mos(Queue.DEAD, since)
        waiting = sum(depth.waiting for depth in recovery.depths)
        if waiting:
            log.info(
                "{waiting} messages were waiting, {uncertain} of them perhaps sent already",
                waiting=waiting,
                uncertain=uncertain,
            )
        return {
            word: sum(depth.waiting for depth in recovery.depths if depth.queue == queue)
            for queue, word in WORDS.items()
        }

    def _lane(
        self, name: str, heads: Sequence[Item], waiting: int, now: float, wall: float
    ) -> None:
        smscs = self._smscs
        lane = smscs.lanes.get(name)
        if lane is not None:
            lane.recovered(heads, waiting, now, wall)
        elif len(smscs.lanes) == 1:
            lane = next(iter(smscs.lanes.values()))  # the only one there is takes what is left
            smscs.adopted.add(name)
            lane.adopt(heads, now, wall)
            if heads:
                adopt: Callable[[Sequence[Item]], None] = partial(smscs.adopt, lane)
                self._rows.read_on(Queue.MT, name, heads[-1], adopt)
        elif waiting:
            tell_of_smsc(name, waiting)

    def _parts(self, rows: Sequence[Item]) -> None:
        for row in rows:
            self._mo.recovered(decode_part(row.body))

    def _remember_mos(self, queue: Queue, since: int) -> None:
        """The MO of late, so that a delivery of theirs that is repeated is known."""
        if self._mo.repeats is None:
            return

        def read(rows: Sequence[Item]) -> None:
            self._mo.known([row for row in rows if row.queue == Queue.MO or row.lane[:3] == "mo/"])
            if len(rows) == PAGE:
                self._remember_mos(queue, rows[-1].key)

        self._store.browse(queue, None, [State.WAITING], since, PAGE).addCallback(read).addErrback(
            lambda failure: log.failure("Reading the MO of late failed", failure)
        )


def tell_of_smsc(name: str, waiting: int) -> None:
    log.warn(
        "{count} segments wait for SMSC {smsc}, which is not configured any more",
        count=waiting,
        smsc=name,
    )


def tell_of_channel(name: str, waiting: int) -> None:
    log.warn(
        "{count} MO wait for channel {channel}, which is not configured any more",
        count=waiting,
        channel=name,
    )
