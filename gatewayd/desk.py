"""The operator's desk: what `gatewayd ctl` may look up in a running gateway and order of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import DecodeError, json
from twisted.internet.defer import Deferred

from gatewayd.errors import StoreError
from gatewayd.flow.keys import stamp_of
from gatewayd.model import Mo, Part, Report, Segment, shown_id
from gatewayd.outcome import Outcome
from gatewayd.store.contract import Change, Item, Queue, State, Work
from gatewayd.web.ctl import BadRequest, Result

if TYPE_CHECKING:
    from gatewayd.app import Gateway

QUEUES = {
    Queue.MT: "mt",
    Queue.MO: "mo",
    Queue.DLR: "report",
    Queue.PART: "part",
    Queue.PARKED: "receipt",
    Queue.DEAD: "dead",
}
STATES = {
    State.WAITING: "waiting",
    State.CLAIMED: "perhaps sent",
    State.SENT: "sent, waits for its receipt",
    State.DONE: "done",
    State.HELD: "held: perhaps sent, waits for a decision",
}
MOST_PARTS = 255  # segments of one message
_segment = json.Decoder(Segment).decode
_mo = json.Decoder(Mo).decode
_report = json.Decoder(Report).decode
_part = json.Decoder(Part).decode


class Desk:
    """`web.ctl.Desk` on one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._replaying = False  # two at once would bring the same letter back twice

    # ---- look-ups

    def status(self) -> Result:
        snapshot = self._gateway.control.snapshot()
        return {
            "state": snapshot.state,
            "problem": snapshot.problem,
            "uptime": round(snapshot.uptime, 1),
            "sms": {
                "received": snapshot.received.total,
                "received_queued": snapshot.received_queued,
                "sent": snapshot.sent.total,
                "sent_queued": snapshot.sent_queued,
            },
            "dlr": {
                "received": snapshot.dlr_received.total,
                "sent": snapshot.dlr_sent.total,
                "queued": snapshot.dlr_queued,
            },
            "smscs": [
                {
                    "id": smsc.id,
                    "admin_id": smsc.admin_id,
                    "name": smsc.name,
                    "status": smsc.status,
                    "received": smsc.received_sms.total,
                    "receipts": smsc.received_dlr.total,
                    "sent": smsc.sent_sms.total,
                    "failed": smsc.failed,
                    "queued": smsc.queued,
                }
                for smsc in snapshot.smscs
            ],
            "binds": [asdict(bind) for bind in snapshot.binds],
            "reload": {
                "result": snapshot.reload.result,
                "text": snapshot.reload.text,
                "time": _time(snapshot.reload.time),
            },
            "paths": [asdict(path) for path in snapshot.paths],
        }

    def queues(self) -> Deferred[Result]:
        def told(depths: Sequence[Any]) -> Result:
            return {
                "queues": [
                    {
                        "queue": QUEUES[Queue(depth.queue)],
                        "lane": depth.lane,
                        "waiting": depth.waiting,
                        "others": depth.others,
                    }
                    for depth in depths
                ]
            }

        return self._gateway.store.depths().addCallback(told)

    def message(self, uuid: str) -> Deferred[Result | None]:
        return Deferred.fromCoroutine(self._message(uuid))

    async def _message(self, uuid: str) -> Result | None:
        store = self._gateway.store
        if "/" in uuid:  # what receipts will call it by
            found: Sequence[Item] = list((await store.find([uuid])).values())
        else:
            found = await store.siblings(self._key(uuid), 1)
        if not found:
            return None
        item = found[0]
        if item.queue != Queue.MT:
            return self._described(item)
        segment = _segment(item.body)
        rows = found
        if segment.total > 1:
            rows = await store.siblings(segment.message, segment.total)
        rows = [row for row in rows if row.queue == Queue.MT]
        return {
            "id": self._uuid(segment.message),
            "kind": "mt",
            "from": segment.source,
            "to": segment.destination,
            "user": segment.user,
            "created": _time(segment.created),
            "dlr_mask": segment.dlr_mask,
            "parts": segment.total,
            # parts whose story is over are not kept
            "segments": [self._segment_row(row) for row in rows],
        }

    def _segment_row(self, item: Item) -> Result:
        segment = _segment(item.body)
        return {
            "id": self._uuid(item.key),
            "part": segment.index + 1,
            "state": STATES[State(item.state)],
            "smsc": item.lane,
            "tries": item.tries,
            "due": _time(item.due) if item.due else "",
            "smsc_id": shown_id(item.name.partition("/")[2] or segment.smsc_id),
        }

    def dead(self, after: str, limit: int) -> Deferred[Result]:
        key = self._key(after) if after else 0

        def told(items: Sequence[Item]) -> Result:
            letters = [self._described(item) for item in items]
            return {"dead": letters, "next": letters[-1]["id"] if len(items) == limit else ""}

        store = self._gateway.store
        return store.browse(Queue.DEAD, None, list(State), key, limit).addCallback(told)

    def _described(self, item: Item) -> Result:
        """One row that is no MT, without its text."""
        row: Result = {
            "id": self._uuid(item.key),
            "kind": QUEUES[Queue(item.queue)],
            "lane": item.lane,
            "state": STATES[State(item.state)],
            "since": _time(stamp_of(item.key)),
            "tries": item.tries,
            "due": _time(item.due) if item.due else "",
        }
        try:
            row |= self._contents(item)
        except DecodeError as error:
            row["reason"] = f"cannot be read: {error}"
        return row

    def _contents(self, item: Item) -> Result:
        if item.queue == Queue.MO or (item.queue == Queue.DEAD and item.lane.startswith("mo/")):
            mo = _mo(item.body)
            return {
                "what": "mo",
                "channel": mo.channel,
                "smsc": mo.smsc,
                "from": mo.source,
                "to": mo.destination,
                "time": _time(mo.time),
                "reason": mo.failure,
            }
        if item.queue in (Queue.DLR, Queue.DEAD):
            report = _report(item.body)
            return {
                "what": "report",
                "channel": report.channel,
                "smsc": report.smsc,
                "from": report.source,
                "to": report.destination,
                "time": _time(report.time),
                "status": report.status,
                "message": self._uuid(report.message),
                "reason": report.failure,
            }
        if item.queue == Queue.PART:
            part = _part(item.body)
            inbound = part.inbound
            return {
                "what": f"part {part.number} of {part.total} of an MO",
                "smsc": part.smsc,
                "from": inbound.source,
                "to": inbound.destination,
            }
        return {"what": "a receipt that has matched no message yet"}

    def held(self, after: str, limit: int) -> Deferred[Result]:
        key = self._key(after) if after else 0

        def told(items: Sequence[Item]) -> Result:
            rows = [self._held_row(item) for item in items]
            return {"held": rows, "next": self._uuid(items[-1].key) if len(items) == limit else ""}

        store = self._gateway.store
        return store.browse(Queue.MT, None, [State.HELD], key, limit).addCallback(told)

    def _held_row(self, item: Item) -> Result:
        segment = _segment(item.body)
        return {
            "id": self._uuid(segment.message),
            "part": segment.index + 1,
            "parts": segment.total,
            "smsc": item.lane,
            "from": segment.source,
            "to": segment.destination,
            "created": _time(segment.created),
        }

    # ---- orders

    def decide(self, uuid: str, limit: int, *, send: bool) -> Deferred[Result]:
        return Deferred.fromCoroutine(self._decide(uuid, limit, send))

    async def _decide(self, uuid: str, limit: int, send: bool) -> Result:
        gateway = self._gateway
        store = gateway.store
        if uuid:
            message = self._key(uuid)
            found = await store.siblings(message, MOST_PARTS)
            items = [
                item
                for item in found
                if item.queue == Queue.MT
                and item.state == State.HELD
                and _segment(item.body).message == message
            ]
            if not items:
                raise BadRequest("nothing of a message with this id is held")
        else:
            items = list(await store.browse(Queue.MT, None, [State.HELD], 0, limit))
        known = [item for item in items if item.lane in gateway.lanes]
        if send and known:
            work = Work(
                changes=[Change(item.key, State.WAITING, 0.0, item.tries) for item in known]
            )
            kept: Deferred[bool] = Deferred()
            gateway.journal.add(work, kept.callback)
            if not await kept:
                raise StoreError("the store failed; nothing was released")
        for item in known:
            if send:
                gateway.mt.release(item.lane, _segment(item.body))
            else:
                gateway.mt.give_up(item.lane, _segment(item.body))
        return {
            "released" if send else "failed": len(known),
            "stuck": [
                {"id": self._uuid(item.key), "reason": f"SMSC {item.lane} is not configured"}
                for item in items
                if item.lane not in gateway.lanes
            ],
            "more": bool(known) and len(items) == limit,
        }

    def replay(self, uuid: str, limit: int, before: str) -> Deferred[Result]:
        if self._replaying:
            raise BadRequest("a replay is under way; try again in a moment")
        self._replaying = True
        done = Deferred.fromCoroutine(self._replay(uuid, limit, before))
        return done.addBoth(self._replayed)

    def _replayed(self, result: Any) -> Any:
        self._replaying = False
        return result

    async def _replay(self, uuid: str, limit: int, before: str) -> Result:
        store = self._gateway.store
        end = self._key(before) if before else self._gateway.keys.take()
        whole = False  # whether there may be more
        if uuid:
            found = await store.siblings(self._key(uuid), 1)
            items = [item for item in found if item.queue == Queue.DEAD]
            if not items:
                raise BadRequest("no dead letter has this id")
        else:
            page = await store.browse(Queue.DEAD, None, list(State), 0, limit)
            items = [item for item in page if item.key < end]
            whole = len(items) == limit
        work, then, stuck = Work(), [], []
        for item in items:
            try:
                life = self._revived(item)
            except DecodeError as error:
                stuck.append({"id": self._uuid(item.key), "reason": f"cannot be read: {error}"})
                continue
            if life is None:
                stuck.append({"id": self._uuid(item.key), "reason": "no channel takes it"})
            else:
                work.add(life[0])
                then.append(life[1])
        if then:
            kept: Deferred[bool] = Deferred()
            self._gateway.journal.add(work, kept.callback)
            if not await kept:
                raise StoreError("the store failed; nothing was brought back")
            for go_on in then:
                go_on()
        return {
            "replayed": len(then),
            "stuck": stuck,
            "more": whole and bool(then),
            "before": self._uuid(end),
        }

    def _revived(self, item: Item) -> Any:
        gateway = self._gateway
        if item.lane.startswith("mo/"):
            return gateway.calls.revived(item, gateway.services.choose)
        return gateway.reports.revived(item)

    def suspend(self) -> Result:
        control = self._gateway.control
        already = control.state == "suspended"
        if not already:
            control.suspend()
        return {"state": control.state, "changed": not already}

    def resume(self) -> Result:
        control = self._gateway.control
        already = control.state == "running"
        if not already:
            control.resume()
        return {"state": control.state, "changed": not already}

    def reload(self) -> Deferred[Result]:
        def told(outcome: Outcome) -> Result:
            return {"result": outcome.result, "text": outcome.text}

        return self._gateway.control.reload().addCallback(told)

    def retry(self) -> Result:
        """Connect now what waits for its next attempt, call now what waits for a platform.

        An SMSC that was stopped by hand stays so.
        """
        gateway = self._gateway
        binds = []
        for bind in gateway.binds:
            if not bind.bound and not gateway.lanes[bind.smsc.name].stopped:
                binds.append(bind.name)
                bind.revive()
        calls = 0
        for boxes in (gateway.calls.boxes, gateway.reports.boxes):
            for box in list(boxes.values()):
                calls += box.retry()  # type: ignore[attr-defined]
        return {"binds": binds, "calls": calls}

    # ---- ids

    def _key(self, uuid: str) -> int:
        key = self._gateway.keys.key(uuid)
        if key is None:
            raise BadRequest(f"{uuid!r} is no id of this gateway's")
        return key

    def _uuid(self, key: int) -> str:
        return self._gateway.keys.uuid(key)


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
