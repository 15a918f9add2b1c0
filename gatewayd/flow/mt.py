"""The way of an MT: order, segments, store, lane, and what the SMSC answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from msgspec import json

from gatewayd.config import Config, NumberRules, OnUncertain, SmscConfig
from gatewayd.flow.composed import Composed, LanePort, Log
from gatewayd.flow.dlr import DlrFlow
from gatewayd.flow.keys import Keys
from gatewayd.flow.limiter import exhausted, pause_after
from gatewayd.flow.numbers import Numbers
from gatewayd.flow.quota import Quotas
from gatewayd.flow.router import LaneState, Router, unified_prefix
from gatewayd.flow.seen import Seen
from gatewayd.model import Acceptance, Coding, Order, Outcome, Segment, Verdict
from gatewayd.sms.alphabets import encode_gsm
from gatewayd.sms.segments import TooLong, encode_text, split
from gatewayd.smsc.contract import SubmitFailed, Submitted, Unanswered
from gatewayd.store.contract import Change, Item, Queue, State, Work

encode = json.Encoder().encode
decode = json.Decoder(Segment).decode

# Under names of their own: to find a member in its Enum takes 70 ns each time.
_GSM: Final = int(Coding.GSM)
_BOUND: Final = LaneState.BOUND
_ACCEPTED: Final = Verdict.ACCEPTED
_MT: Final = Queue.MT
_CLAIMED: Final = State.CLAIMED
_UNROUTABLE: Final = Acceptance(Verdict.UNROUTABLE, reason="no SMSC takes it")

Then = Callable[[bool], None]
NO_ANSWER = "No answer from the SMSC"
SINGLE = 160  # septets of a message that needs no splitting
DEFAULT_SHAPE = (140, False)  # octets of a segment, and whether references have 16 bits
PAYLOAD = 8192  # octets of a text that travels whole in message_payload


class MtFlow:
    """Accepts orders, and settles what the SMSC says of their segments.

    `waiting` tells how many segments wait in all lanes. Counters are plain numbers: whoever shows
    them reads them.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        journal: Log,
        router: Router,
        lanes: Mapping[str, LanePort],
        dlr: DlrFlow,
        wall: Callable[[], float],
        chance: Callable[[], float],
        waiting: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._journal = journal
        self._router = router
        self._lanes = lanes
        self._dlr = dlr
        self._wall = wall
        self._chance = chance
        self._waiting = waiting
        self._smscs: dict[str, SmscConfig] = {}
        self._shapes: dict[str, tuple[int, bool]] = {}
        self._reference = int(chance() * 65536)
        # the steps that a fail point can be put around
        self.accepting: Callable[[Order, Callable[[Acceptance], None]], None] = self._accept
        self.handing: Callable[[Composed], None] = self.hand
        self.quotas = Quotas(())
        self.configure(config)
        self.seen = Seen(keys, journal, wall)
        dlr.failed = self.seen.failed
        self._woken: dict[str, LanePort] = {}
        self.accepted = self.unroutable = self.overloaded = 0  # messages
        self.segments = 0
        self.lossy = self.cut = 0
        self.uncertain = self.held = self.reconciled = 0
        self.holding: set[int] = set()  # keys of segments that this life holds
        self.expired = self.retried = self.failed = self.sent = 0
        self.on_failed: Callable[[Segment, str], None] = _nobody
        # hears of segments that a restart found perhaps sent
        self.on_uncertain: Callable[[str, Segment], None] = _nobody_either
        # hears of the messages of several segments that go to their lanes
        self.on_split: Callable[[Sequence[Segment]], None] | None = None

    def configure(self, config: Config) -> None:
        """Go by `config` from now on; what is under way may still name an SMSC that is gone."""
        self._limit = config.limits.queued_mt
        self._smscs |= {smsc.name: smsc for smsc in config.smscs}
        self._shapes |= {
            smsc.name: (
                PAYLOAD if smsc.smpp.concatenation == "payload" else smsc.smpp.max_octets,
                smsc.smpp.concatenation == "udh16",
            )
            for smsc in config.smscs
        }
        self._unify = unified_prefix(config.unified_prefix)
        self._unify_link = {
            smsc.name: unified_prefix(smsc.unified_prefix)
            for smsc in config.smscs
            if smsc.unified_prefix
        }
        self._senders = Numbers(config.senders)
        self._receivers = Numbers(config.receivers)
        self._guarded = config.senders != NumberRules() or config.receivers != NumberRules()
        self.quotas.configure(config.users)

    # -- from a caller to the lane ---------------------------------------------------------------

    def accept(self, order: Order, reply: Callable[[Acceptance], None]) -> None:
        """Keep the order's messages and tell `reply` once they are on disk, or why not."""
        if order.once:
            self.seen.admit(order, reply, self.accepting)
        else:
            self.accepting(order, reply)

    def _accept(self, order: Order, reply: Callable[[Acceptance], None]) -> None:
        waiting = self._waiting()
        if waiting >= self._limit and (waiting > self._limit or not self._router.any_bound()):
            self.overloaded += 1
            reply(Acceptance(Verdict.OVERLOADED, reason="too many messages wait"))
            return
        if not self.quotas.idle and self.quotas.full(order.user):
            self.overloaded += 1
            reply(Acceptance(Verdict.OVERLOADED, reason="too many messages of the user wait"))
            return
        composed = self.compose(order, at_once=True)
        acceptance = composed.acceptance
        if not composed.work.puts:
            self._report_unroutable(composed)
            reply(acceptance)
            return
        if order.once:
            messages = [segment.message for _, segment, _ in composed.segments]
            self.seen.keep(order.once, composed.work, messages, acceptance)

        self._journal.add(composed.work, partial(self._kept, composed, reply))

    def _kept(self, composed: Composed, reply: Callable[[Acceptance], None], ok: bool) -> None:
        if not ok:
            for name, _, promised in composed.segments:
                if promised:
                    self._lanes[name].unpromise()
            self.overloaded += 1
            reply(Acceptance(Verdict.OVERLOADED, reason="the store failed"))
            return
        try:
            reply(composed.acceptance)
        finally:  # it is ours now, whoever hears of it
            self.handing(composed)

    def hand(self, composed: Composed) -> None:
        """Give segments that are on disk to their lanes."""
        self.accepted += len(composed.segments) // max(1, composed.acceptance.segments)
        self.segments += len(composed.segments)
        if self.on_split is not None and composed.acceptance.segments > 1:
            self.on_split([segment for _, segment, _ in composed.segments])
        for segments in composed.folds:
            self._dlr.opened(segments)
        if not self.quotas.idle:
            self.quotas.take(segment for _, segment, _ in composed.segments)
        woken = self._woken
        for name, segment, promised in composed.segments:
            lane = self._lanes[name]
            lane.push(segment, promised)
            if not woken:
                self._journal.after_commit(self._wake)
            woken[name] = lane
        self._report_unroutable(composed)

    def _wake(self) -> None:
        woken, self._woken = self._woken, {}
        for lane in woken.values():
            lane.pump()

    def _report_unroutable(self, composed: Composed) -> None:
        for segment, reason in composed.reports:
            self.on_failed(segment, reason)
            self._dlr.unroutable(segment, reason)

    def compose(self, order: Order, *, at_once: bool = False) -> Composed:
        """The order as segments with a lane each; nothing is kept yet.

        `at_once`: what finds room in a window is stored as "perhaps sent" already, which spares
        the mark before the submit. Then they must be handed over, or their promise taken back.
        """
        coding, data = self._encode(order)
        composed = Composed(_UNROUTABLE)
        cuts: dict[tuple[int, bool], list[tuple[bytes, bytes]]] = {}
        for receiver in order.receivers:
            destination = self._unify(receiver)
            barred = self._barred(order.source, destination) if self._guarded else ""
            found = None if barred else self._router.lane_for(order.smsc, destination)
            shape = DEFAULT_SHAPE if found is None else self._shapes[found[0]]
            parts = cuts.get(shape)
            if parts is None:
                try:
                    parts = cuts[shape] = self._cut(order, coding, data, shape)
                except TooLong as error:
                    return Composed(Acceptance(Verdict.TOO_LONG, reason=str(error)))
                if not parts:
                    return Composed(Acceptance(Verdict.ACCEPTED, segments=0))
            key = self._keys.take(len(parts))
            segments = self._segments(order, destination, coding, parts, key)
            if found is None:
                self.unroutable += 1
                composed.reports.append((segments[0], barred or "no SMSC"))
                continue
            name, bound = found
            if name in self._unify_link:
                destination = self._unify_link[name](destination)
                for segment in segments:
                    segment.destination = destination
            if not composed.segments:
                verdict = _ACCEPTED if bound is _BOUND else Verdict.QUEUED
                composed.acceptance = Acceptance(verdict, len(parts), key)
            lane = self._lanes[name]
            for segment in segments:
                promised = at_once and lane.promise()
                state = _CLAIMED if promised else State.WAITING
                priority = max(segment.priority, 0)
                composed.work.puts.append(
                    Item(_MT, segment.id, name, encode(segment), state, priority)
                )
                composed.segments.append((name, segment, promised))
            if len(segments) > 1 and segments[0].dlr_url:
                composed.folds.append(segments)
        return composed

    def _barred(self, source: str, destination: str) -> str:
        return self._senders.barred(source, "sender") or self._receivers.barred(
            destination, "receiver"
        )

    def _segments(
        self,
        order: Order,
        destination: str,
        coding: int,
        parts: Sequence[tuple[bytes, bytes]],
        key: int,
    ) -> list[Segment]:
        total = len(parts)
        now = self._wall()
        return [
            Segment(
                id=key + index,
                source=order.source,
                destination=destination,
                payload=payload,
                coding=coding,
                udh=udh,
                message=key,
                index=index,
                total=total,
                user=order.user,
                smsc=order.smsc or "",
                has_smsc=order.smsc is not None,
                mclass=order.mclass,
                mwi=order.mwi,
                alt_dcs=order.alt_dcs,
                compress=order.compress,
                pid=order.pid,
                rpi=order.rpi,
                priority=order.priority,
                validity=order.validity,
                deferred=order.deferred,
                dlr_mask=order.dlr_mask,
                dlr_url=order.dlr_url,
                account=order.account,
                binfo=order.binfo,
                meta=order.meta,
                charset=order.charset,
                channel=order.channel,
                reply=order.reply,
                external_id=order.external_id,
                created=now,
            )
            for index, (payload, udh) in enumerate(parts)
        ]

    def _encode(self, order: Order) -> tuple[int, bytes]:
        """The alphabet and the octets of the order's text."""
        if order.coding != _GSM:
            return order.coding, order.data
        options = order.options
        if not (options.header or options.footer or options.split_suffix):
            octets = encode_gsm(order.text)
            if octets is not None:
                return 0, octets
        encoded = encode_text(order.text, options)
        self.lossy += encoded.lossy
        return int(encoded.coding), encoded.octets

    def _cut(
        self, order: Order, coding: int, data: bytes, shape: tuple[int, bool]
    ) -> list[tuple[bytes, bytes]]:
        """The (payload, UDH) of each segment."""
        options = order.options
        if (
            coding == _GSM
            and len(data) <= SINGLE
            and shape == DEFAULT_SHAPE
            and options.max_messages > 0
            and options.octets == 140
            and not (order.udh or options.header or options.footer)
        ):
            return [(data, b"")]
        max_octets, wide = shape
        self._reference = self._reference + 1 & 0xFFFF
        reference = self._reference if wide else self._reference & 0xFF
        parts, cut = split(
            data,
            coding,
            options,
            udh=order.udh,
            max_octets=max_octets,
            reference=reference,
            wide=wide,
        )
        self.cut += cut
        return parts

    def reroute(self, name: str) -> None:
        """Lane `name` lost its last bind: what another bound lane takes goes there."""
        moved: dict[str, LanePort] = {}
        for segment in reversed(self._lanes[name].drain()):  # each goes to the front of its lane
            tag = segment.smsc if segment.has_smsc else None
            found = self._router.lane_for(tag, segment.destination)
            if found is None or found[1] is not LaneState.BOUND:
                self._lanes[name].put_back(segment)
            else:
                lane = moved[found[0]] = self._lanes[found[0]]
                lane.put_back(segment)
        for lane in moved.values():
            lane.pump()

    def recovered(self, name: str, items: Sequence[Item]) -> list[Item]:
        """Segments that a restart found in lane `name`; those that may be handed on come back.

        One that was perhaps written to the SMSC is uncertain: the SMSC's policy decides.
        """
        policy = self._smscs[name].on_uncertain
        left: list[Item] = []
        for item in items:
            if item.state == State.CLAIMED:
                self.uncertain += 1
                self.on_uncertain(name, decode(item.body))
                if policy is OnUncertain.HOLD:
                    self.held += 1
                    self._journal.add(Work(changes=[Change(item.key, State.HELD, 0.0, item.tries)]))
                    continue
                if policy is OnUncertain.FAIL:
                    segment = decode(item.body)
                    segment.via = name
                    self.reject(segment, NO_ANSWER)
                    continue
            left.append(item)
        return left

    # -- from the SMSC ---------------------------------------------------------------------------

    def submitted(self, name: str, event: Submitted) -> None:
        """The SMSC took a segment of lane `name`."""
        self.sent += 1
        segment = event.segment
        self.quotas.give(segment)
        segment.via = name
        segment.smsc_id = event.smsc_id
        self._dlr.submitted(segment, event.meta)

    def submit_failed(self, name: str, event: SubmitFailed) -> None:
        """The SMSC refused a segment; throttled ones come here only if they count as failed."""
        segment = event.segment
        segment.via = name
        smsc = self._smscs[name]
        if event.outcome is Outcome.DEAD:
            self.reject(segment, event.reason, event.meta)
            return
        segment.tries += 1
        if exhausted(smsc.resend, segment.tries, self._wall() - segment.created):
            self.reject(segment, "Retries Exceeded", event.meta)
            return
        self.retried += 1
        pause = pause_after(smsc.resend, segment.tries, self._chance)
        self._later(name, segment, pause)

    def throttled(self, name: str, segment: Segment) -> None:
        """The SMSC said "slower": the segment goes next, when its bind goes on."""
        change = Change(segment.id, State.WAITING, tries=segment.tries)  # it is not uncertain
        self._journal.add(Work(changes=[change]))
        self._lanes[name].put_back(segment)

    def unanswered(self, name: str, event: Unanswered) -> None:
        """A submit was written and no answer came: it may have arrived or not."""
        segment = event.segment
        smsc = self._smscs[name]
        self.uncertain += 1
        if smsc.on_uncertain is OnUncertain.HOLD:
            self.held += 1
            self.holding.add(segment.id)
            self._journal.add(Work(changes=[Change(segment.id, State.HELD, tries=segment.tries)]))
        elif smsc.on_uncertain is OnUncertain.FAIL:
            self.reject(segment, NO_ANSWER)
        elif event.reason == "timeout":
            self._later(name, segment, pause_after(smsc.resend, 1, self._chance))
        else:
            self._lanes[name].put_back(segment)

    def answered_late(self, name: str, event: Submitted | SubmitFailed) -> bool:
        """The answer to a submit that counted as unanswered has come; whether it is of use.

        It is while the segment is held, or waits to be sent again.
        """
        segment = event.segment
        if segment.id in self.holding:
            self.holding.discard(segment.id)
        elif isinstance(event, SubmitFailed) or not self._lanes[name].withdraw(segment.id):
            return False
        self.reconciled += 1
        if isinstance(event, Submitted):
            self.submitted(name, event)
        else:
            self.submit_failed(name, event)
        return True

    def release(self, name: str, segment: Segment) -> None:
        """A held segment shall be sent again; it is on disk as WAITING."""
        self.holding.discard(segment.id)
        self._lanes[name].put_back(segment)
        self._lanes[name].pump()

    def give_up(self, name: str, segment: Segment) -> None:
        """A held segment shall count as failed."""
        self.holding.discard(segment.id)
        segment.via = name
        self.reject(segment, NO_ANSWER)

    def expire(self, segment: Segment) -> None:
        """Its validity passed while it waited."""
        self.expired += 1
        self.reject(segment, "EXPIRED")

    def reject(self, segment: Segment, reason: str, meta: str = "") -> None:
        """Final failure of a segment; `meta` is what the SMSC's answer brought."""
        self.failed += 1
        self.quotas.give(segment)
        self.on_failed(segment, reason)
        self._dlr.rejected(segment, reason, meta)

    def _later(self, name: str, segment: Segment, pause: float) -> None:
        due = self._wall() + pause
        self._journal.add(
            Work(
                changes=[
                    Change(segment.id, State.WAITING, due, segment.tries, body=encode(segment))
                ]
            )
        )
        self._lanes[name].delay(segment, pause)


def _nobody(segment: Segment, reason: str) -> None:
    """Nobody wants to hear of failures one by one."""


def _nobody_either(name: str, segment: Segment) -> None:
    """Nobody wants to hear of what is uncertain one by one."""
