"""The way of an MO: parts joined, the channel chosen, kept, and then told to the platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from msgspec import json, structs

from gatewayd.config import Config, NumberRules
from gatewayd.flow.journal import Log
from gatewayd.flow.keys import Keys, stamp_of
from gatewayd.flow.numbers import Numbers
from gatewayd.flow.repeats import Line, Repeats, is_repeated
from gatewayd.flow.router import unified_prefix
from gatewayd.flow.services import Services
from gatewayd.model import Inbound, Mo, Outcome, Part
from gatewayd.sms.segments import part_of
from gatewayd.store.contract import Item, Queue, Work

encode = json.Encoder().encode
decode = json.Decoder(Mo).decode
decode_part = json.Decoder(Part).decode

Answer = Callable[[Outcome], None]


class MoFlow:
    """Takes in what SMSCs deliver.

    `push(mo)` hands a kept MO to its channel's outbox. `unserved(mo)` says what to keep of an MO
    that no channel takes, and what to do then. `waiting()` is how many MO wait in all.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        journal: Log,
        services: Services,
        wall: Callable[[], float],
        push: Callable[[Mo], None],
        unserved: Callable[[Mo], tuple[Work, Callable[[], None]]],
        waiting: Callable[[], int],
    ) -> None:
        self._keys = keys
        self._journal = journal
        self._wall = wall
        self.push = push
        self.unserved = unserved
        self._waiting = waiting
        self._ids: dict[str, str] = {}
        self._unify: dict[str, Callable[[str], str] | None] = {}
        self.repeats: Repeats | None = None
        self.configure(config, services)
        self._sets: dict[str, dict[int, Part]] = {}
        self._parts = 0
        self.received = self.joined = self.unrouted = self.incomplete = self.refused = 0

    def configure(self, config: Config, services: Services) -> None:
        """Go by `config` from now on; what is under way may still name an SMSC that is gone."""
        self._services = services
        self._ids |= {smsc.name: smsc.id for smsc in config.smscs}
        self._unify |= {
            smsc.name: unified_prefix(rules) if rules else None
            for smsc in config.smscs
            for rules in (smsc.unified_prefix or config.unified_prefix,)
        }
        self._guarded = config.senders != NumberRules()
        self._senders = Numbers(config.senders)
        limits = config.limits
        self._limit = limits.queued_mo
        self._join = limits.join_parts
        self._timeout = limits.part_timeout
        self._parts_limit = limits.parts_waiting
        if limits.dedupe_window <= 0:
            self.repeats = None
        elif self.repeats is None:
            self.repeats = Repeats(limits.dedupe_window, self._wall)
        else:
            self.repeats.window = limits.dedupe_window

    def received_from(
        self, name: str, inbound: Inbound, answer: Answer, line: Line | None = None
    ) -> None:
        """SMSC `name` delivered on `line`; `answer(DONE)` says that it is on disk.

        RETRY: the store failed; THROTTLED: too much waits; DEAD: the sender is barred.
        """
        if 0 <= self._limit <= self._waiting():
            self.refused += 1
            answer(Outcome.THROTTLED)
            return
        smsc = self._ids[name]
        unify = self._unify[name]
        if unify is not None:
            inbound = structs.replace(inbound, source=unify(inbound.source))
        if self._guarded and self._senders.barred(inbound.source, "sender"):
            self.refused += 1
            answer(Outcome.DEAD)
            return
        if self.repeats is not None:
            delivery = self.repeats.name(smsc, inbound)
            answer = self.repeats.admit(delivery, inbound, line, answer)
            if answer is is_repeated:
                return
        self.received += 1
        part = part_of(inbound.udh, inbound.sar) if self._join else None
        if part is None or part.total < 2:
            self._keep([self._whole(smsc, inbound)], Work(), answer)
            return
        key = f"{smsc}/{inbound.source}/{inbound.destination}/{part.reference}/{part.total}"
        waiting = self._sets.get(key)
        other = None if waiting is None else waiting.get(part.number)
        if other is not None and other.inbound.payload != inbound.payload:
            if len(self._sets[key]) == part.total:  # it is being joined, for a moment
                answer(Outcome.THROTTLED)
                return
            # the phone used the reference again: what is missing will not come any more
            self._give_up(key)
            waiting = None
        if waiting is None:
            if self._parts >= self._parts_limit:
                self.refused += 1
                answer(Outcome.THROTTLED)
                return
            waiting = self._sets[key] = {}
        if part.number in waiting:  # the SMSC sent it again: kept already, or about to be
            self._journal.add(Work(), _told(answer))
            return
        kept = Part(self._keys.take(), key, part.number, part.total, smsc, inbound, self._wall())
        waiting[part.number] = kept
        self._parts += 1
        if len(waiting) < part.total:
            item = Item(Queue.PART, kept.id, smsc, encode(kept))
            self._journal.add(Work(puts=[item]), self._part_told(kept, answer))
            return
        ends = [other.id for other in waiting.values() if other is not kept]

        def settled(outcome: Outcome) -> None:
            if outcome is Outcome.DONE:
                self.joined += 1
                self._parts -= len(waiting)
                del self._sets[key]
            else:  # the last part comes again; the others still wait
                self._forget(kept)
            answer(outcome)

        self._keep([self._joined(waiting, 0)], Work(ends=ends), settled)

    def why_barred(self, name: str, source: str) -> str:
        """Which list keeps the MO of this sender away, in Kannel's words; "": none."""
        unify = self._unify[name]
        return self._senders.listed(source if unify is None else unify(source))

    def known(self, mos: Sequence[Item]) -> None:
        """Rows of MO that were there when the gateway started, oldest first."""
        for item in mos:
            if self.repeats is not None and (names := decode(item.body).deliveries):
                self.repeats.recovered(names, stamp_of(item.key))

    def recovered(self, part: Part) -> None:
        """A part was waiting when the gateway stopped."""
        if self.repeats is not None:
            name = self.repeats.name(part.smsc, part.inbound)
            self.repeats.recovered(name, part.arrived)
        self._sets.setdefault(part.key, {})[part.number] = part
        self._parts += 1

    def sweep(self) -> int:
        """Hand on sets that waited too long, with what has come; how many there were."""
        if self.repeats is not None:
            self.repeats.sweep()
        limit = self._wall() - self._timeout
        late = [
            key
            for key, waiting in self._sets.items()
            if min(part.arrived for part in waiting.values()) <= limit
            and len(waiting) < next(iter(waiting.values())).total  # else it is being joined
        ]
        for key in late:
            self._give_up(key)
        return len(late)

    def _give_up(self, key: str) -> None:
        """Hand on what has come of a set."""
        waiting = self._sets.pop(key)
        self._parts -= len(waiting)
        self.incomplete += 1
        ends = [part.id for part in waiting.values()]
        self._keep(self._released(waiting), Work(ends=ends), None)

    @property
    def parts_waiting(self) -> int:
        return self._parts

    def _released(self, waiting: dict[int, Part]) -> Sequence[Mo]:
        """What is told of an incomplete set: each part by itself, in order."""
        total = next(iter(waiting.values())).total
        missing = total - len(waiting)
        found = []
        for _, part in sorted(waiting.items()):
            mo = self._whole(part.smsc, part.inbound)
            mo.missing = missing
            found.append(mo)
        return found

    def _part_told(self, part: Part, answer: Answer) -> Callable[[bool], None]:
        def told(ok: bool) -> None:
            if not ok:
                self._forget(part)
            answer(Outcome.DONE if ok else Outcome.RETRY)

        return told

    def _forget(self, part: Part) -> None:
        """A part could not be kept: it stays the SMSC's."""
        waiting = self._sets.get(part.key)
        if waiting is not None and waiting.get(part.number) is part:
            del waiting[part.number]
            self._parts -= 1
            if not waiting:
                del self._sets[part.key]

    def _keep(self, mos: Sequence[Mo], work: Work, answer: Answer | None) -> None:
        after: list[Callable[[], None]] = []
        for mo in mos:
            channel = self._services.choose(mo) if mo.source else None
            if channel is None:
                self.unrouted += 1
                kept_instead, then = self.unserved(mo)
                work.add(kept_instead)
                after.append(then)
                continue
            mo.channel = channel.name
            work.puts.append(Item(Queue.MO, mo.id, channel.name, encode(mo)))
            after.append(partial(self.push, mo))
        if answer is None:
            self._journal.insist(work, partial(_call, after))
        else:
            self._journal.add(work, partial(self._kept, after, answer))

    def _kept(self, after: Sequence[Callable[[], None]], answer: Answer, ok: bool) -> None:
        answer(Outcome.DONE if ok else Outcome.RETRY)
        if ok:
            _call(after)

    def _joined(self, waiting: dict[int, Part], missing: int) -> Mo:
        first = waiting[min(waiting)]
        mo = self._whole(first.smsc, first.inbound)
        part = part_of(first.inbound.udh, first.inbound.sar)
        mo.udh = part.udh if part is not None else mo.udh
        mo.payload = b"".join(part.inbound.payload for _, part in sorted(waiting.items()))
        mo.raw = b"".join(part.inbound.raw for _, part in sorted(waiting.items()))
        mo.missing = missing
        if self.repeats is not None:
            parts = sorted(waiting.items())
            names = (self.repeats.name(part.smsc, part.inbound) for _, part in parts)
            mo.deliveries = b"".join(names)
        return mo

    def _whole(self, smsc: str, inbound: Inbound) -> Mo:
        return Mo(
            id=self._keys.take(),
            smsc=smsc,
            source=inbound.source,
            destination=inbound.destination,
            payload=inbound.payload,
            coding=inbound.coding,
            charset=inbound.charset,
            udh=inbound.udh,
            dcs=inbound.dcs,
            mclass=inbound.mclass,
            mwi=inbound.mwi,
            alt_dcs=inbound.alt_dcs,
            compress=inbound.compress,
            pid=inbound.pid,
            rpi=inbound.rpi,
            binfo=inbound.binfo,
            account=inbound.account,
            meta=inbound.meta,
            foreign_id=inbound.foreign_id,
            time=inbound.time or self._wall(),
            raw=inbound.raw,
            deliveries=b"" if self.repeats is None else self.repeats.name(smsc, inbound),
        )


def _call(all_of: Sequence[Callable[[], None]]) -> None:
    for each in all_of:
        each()


def _told(answer: Answer) -> Callable[[bool], None]:
    return lambda ok: answer(Outcome.DONE if ok else Outcome.RETRY)
