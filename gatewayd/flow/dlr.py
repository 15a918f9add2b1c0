"""The way of a DLR: from what the SMSC says of segments to one report per message and status.

A message of several segments is folded: 8 once all are accepted, 1 once all are delivered, 2 or 16
at the first that failed, 4 once. A segment's row ends when its part of the story does, so after a
restart a missing row means "went well".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from msgspec import json

from gatewayd.config import Config
from gatewayd.flow.fold import Fold
from gatewayd.flow.journal import Log
from gatewayd.flow.kept import KeptReceipt
from gatewayd.flow.keys import Keys
from gatewayd.flow.made import Maker
from gatewayd.model import Parked, Receipt, Report, Segment
from gatewayd.sms.receipt_text import other_forms
from gatewayd.store.contract import AS_IT_IS, Change, Item, Queue, State, Work

encode_report = json.Encoder().encode
decode_report = json.Decoder(Report).decode
decode_parked = json.Decoder(Parked).decode
_encode = json.Encoder().encode
_decode = json.Decoder(Segment).decode

Answer = Callable[[bool], None]

_DLR: Final = Queue.DLR  # as in `mt`
_SENT: Final = State.SENT

RECEIPTS = 1 | 2 | 4 | 32  # mask bits that only the SMSC's receipts can serve
FINAL = 1 | 2 | 32
REJECTED = 16 | 2  # either bit asks for the report of a refused submit
PENDING = 100_000  # segments waiting for receipts that are kept in memory
FINISHED = 10_000  # names whose last receipt is being committed
FOLDS = 100_000  # messages of several segments kept in memory; others are read again


class Reports(Protocol):
    def push(self, report: Report) -> None:
        """Take a report that is on disk towards its platform."""

    def lane_of(self, report: Report) -> str:
        """The lane the report waits in."""


class DlrFlow:
    """Turns answers and receipts into reports.

    `look_up(name, then)` reads the segment that carries a name from the store; `siblings(first,
    total, then)` the rows of a message that are left. Both call back later.
    """

    def __init__(
        self,
        config: Config,
        keys: Keys,
        journal: Log,
        reports: Reports,
        wall: Callable[[], float],
        look_up: Callable[[str, Callable[[Item | None, bool], None]], None],
        siblings: Callable[[int, int, Callable[[Sequence[Item]], None]], None],
    ) -> None:
        self._keys = keys
        self._journal = journal
        self.reports = reports
        self._wall = wall
        self._look_up = look_up
        self._siblings = siblings
        self._ids: dict[str, str] = {}
        self._make = Maker(keys, wall, self._ids)
        self.configure(config)
        # Ordered: in a plain dict the oldest is found only past every gap that deleting left.
        self._pending: OrderedDict[str, Segment] = OrderedDict()
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._parked: dict[str, list[Parked]] = {}
        self._parked_count = 0
        self._folds: OrderedDict[int, Fold] = OrderedDict()
        self.failed: Callable[[int, Work], None] = _nothing  # called when a message fails
        self._began = keys.take()
        self.receipts = self.unmatched = self.made = self.ids_repeated = 0
        self.on_unmatched: Callable[[str, Receipt], None] = _nobody

    def configure(self, config: Config) -> None:
        """Go by `config` from now on; an SMSC that is gone is still known by its id."""
        self._ids |= {smsc.name: smsc.id for smsc in config.smscs}
        self._first_only = {smsc.name for smsc in config.smscs if smsc.smpp.receipts_for == "first"}
        self._hold = config.limits.parked_receipt
        self._parked_limit = 1000 * max(1, sum(len(smsc.binds) for smsc in config.smscs))

    # -- what the SMSC said of a submit ----------------------------------------------------------

    def opened(self, segments: Sequence[Segment]) -> None:
        """A new message of several segments that wants reports is on its way."""
        fold = self._remember(segments[0].message, Fold(len(segments)))
        fold.open = {segment.index: segment for segment in segments}

    def submitted(self, segment: Segment, meta: str) -> None:
        """The SMSC took the segment and named it."""
        if not segment.dlr_url:
            self._leave(segment)
            self._journal.add(Work(ends=[segment.id]))
            return
        if segment.total > 1:
            self._with_fold(segment, lambda fold: self._part_submitted(fold, segment))
            return
        work = Work()
        named = self._name(segment, work)
        report = None
        if segment.dlr_mask & 8:
            report = self._make.of(segment, 8, "ACK/", f"{segment.meta}{meta}")
        self._keep(work, report)
        if named:
            self._named(named, segment)

    def rejected(self, segment: Segment, reason: str, meta: str = "") -> None:
        """The segment will not be submitted (again): `reason` goes behind "NACK/"."""
        if segment.total > 1 and segment.dlr_url:
            self._with_fold(segment, lambda fold: self._part_rejected(fold, segment, reason))
            return
        self._leave(segment)
        work = Work(ends=[segment.id])
        self.failed(segment.message, work)
        report = None
        if self.wants_rejection(segment):
            report = self._make.of(segment, 16, f"NACK/{reason}", f"{segment.meta}{meta}")
        self._keep(work, report)

    def wants_rejection(self, segment: Segment) -> bool:
        return bool(segment.dlr_url and segment.dlr_mask & REJECTED)

    def unroutable(self, segment: Segment, reason: str) -> None:
        """Nobody takes the message; it was never kept."""
        if self.wants_rejection(segment):
            self._keep(Work(), self._make.of(segment, 16, f"NACK/{reason}", segment.meta))

    def _name(self, segment: Segment, work: Work) -> str:
        """Put into `work` that the segment waits for its receipt, or that it is done."""
        wanted = segment.dlr_mask & RECEIPTS and segment.smsc_id
        if not wanted or (segment.index and segment.via in self._first_only):
            work.ends.append(segment.id)
            return ""
        name = f"{self._ids.get(segment.via, segment.via)}/{segment.smsc_id}"
        work.changes.append(Change(segment.id, _SENT, 0.0, segment.tries, name))
        return name

    def revive(self, item: Item) -> Segment:
        """A segment as its row tells: the name holds what the SMSC called it, the lane who."""
        segment = _decode(item.body)
        segment.via = item.lane
        if item.name:
            scope = self._ids.get(item.lane, item.lane)
            if not item.name.startswith(f"{scope}/"):  # it went out through another lane
                for other, other_scope in self._ids.items():
                    if item.name.startswith(f"{other_scope}/"):
                        segment.via, scope = other, other_scope
                        break
            segment.smsc_id = item.name[len(scope) + 1 :]
        return segment

    def _named(self, name: str, segment: Segment) -> None:
        pending = self._pending
        self._finished.pop(name, None)  # the SMSC gives the id a second time: the newer one has it
        self.ids_repeated += name in pending
        pending[name] = segment
        if len(pending) > PENDING:
            pending.popitem(last=False)
        if self._parked and name in self._parked:
            for parked in self._parked.pop(name):
                self._parked_count -= 1
                if name in self._finished:  # the SMSC had sent it twice
                    self.unmatched += 1
                    self._journal.add(Work(ends=[parked.id]))
                else:
                    self._settle(name, segment, parked.receipt, None, ends=[parked.id])

    # -- messages of several segments ------------------------------------------------------------

    def _remember(self, message: int, fold: Fold) -> Fold:
        """Keep a fold as the one used last; of too many the one not used for longest goes."""
        folds = self._folds
        folds[message] = fold
        if len(folds) > FOLDS:
            folds.popitem(last=False)
        return fold

    def _with_fold(self, segment: Segment, then: Callable[[Fold], None]) -> None:
        """Call `then` with the message's fold, made again from the store after a restart."""
        message = segment.message
        fold = self._folds.pop(message, None)
        if fold is not None:
            then(self._remember(message, fold))
            return

        def found(left: Sequence[Item]) -> None:
            fold = self._folds.get(message)
            if fold is None:
                fold = self._remember(message, Fold(segment.total))
                fold.open = {other.index: other for other in map(self.revive, left)}
                fold.open[segment.index] = segment
                gone = set(range(segment.total)) - set(fold.open)
                fold.accepted = gone | {i for i, other in fold.open.items() if other.smsc_id}
                if segment.via not in self._first_only:
                    fold.delivered = gone
                fold.first_id = fold.open[0].smsc_id if 0 in fold.open else ""
            then(fold)

        self._siblings(message, segment.total, found)

    def _part_submitted(self, fold: Fold, segment: Segment) -> None:
        work = Work()
        fold.accepted.add(segment.index)
        if not segment.index:
            fold.first_id = segment.smsc_id
        if fold.closed or not segment.dlr_url:  # a sibling failed; the story is told
            work.ends.append(segment.id)
            self._leave(segment)
            self._keep(work, None)
            return
        named = self._name(segment, work)
        if not named:
            fold.open.pop(segment.index, None)
        report = None
        if len(fold.accepted) == fold.total and segment.dlr_mask & 8:
            report = self._make.of(segment, 8, "ACK/", segment.meta, fold.first_id)
        first_only = segment.via in self._first_only  # then receipts do not concern the fold
        if not fold.open or (first_only and len(fold.accepted) == fold.total):
            self._folds.pop(segment.message, None)
        self._keep(work, report)
        if named:
            self._named(named, segment)

    def _part_rejected(self, fold: Fold, segment: Segment, reason: str) -> None:
        first_only = segment.via in self._first_only
        work = Work(ends=[segment.id])
        self.failed(segment.message, work)
        report = None
        if segment.dlr_mask & REJECTED and not fold.closed:
            text = "NACK/" if first_only else f"NACK/{reason}"
            report = self._make.of(segment, 16, text, segment.meta, fold.first_id)
        self._close(fold, segment, work)
        self._keep(work, report)

    def _close(self, fold: Fold, segment: Segment, work: Work) -> None:
        """The message failed: nothing more is told of it, though its other segments go on."""
        fold.closed = True
        fold.open.pop(segment.index, None)
        for other in list(fold.open.values()):
            other.dlr_url = ""
            if other.smsc_id:
                name = f"{self._ids.get(other.via, other.via)}/{other.smsc_id}"
                self._finish(name, other, work)
                del fold.open[other.index]
            else:
                # It may be under way or held: only what is to be told of it changes.
                work.changes.append(Change(other.id, AS_IT_IS, body=_encode(other)))
        if not fold.open:
            self._folds.pop(segment.message, None)

    def _leave(self, segment: Segment) -> None:
        """Nothing more is to be told of this segment."""
        fold = self._folds.get(segment.message)
        if fold is not None:
            fold.open.pop(segment.index, None)
            if not fold.open:
                del self._folds[segment.message]

    # -- receipts --------------------------------------------------------------------------------

    def receipted(self, scope: str, receipt: Receipt, answer: Answer) -> None:
        """A receipt came from SMSC `scope`; `answer(True)` once it is stored or judged useless."""
        self.receipts += 1
        if not receipt.status:
            answer(True)
            return
        name = f"{scope}/{receipt.smsc_id}"
        segment = self._pending.get(name)
        if segment is not None:
            self._settle(name, segment, receipt, answer)
        elif name in self._finished:
            self._useless(scope, receipt)
            self._journal.add(Work(), answer)
        else:
            self._look_up(
                name, lambda found, ok: self._found(scope, name, receipt, answer, found, ok)
            )

    def _found(
        self,
        scope: str,
        name: str,
        receipt: Receipt,
        answer: Answer,
        item: Item | None,
        ok: bool,
    ) -> None:
        segment = self._pending.get(name)
        if segment is None and item is not None:
            segment = self.revive(item)
        if not ok:
            answer(False)
        elif name in self._finished:
            self._useless(scope, receipt)
            self._journal.add(Work(), answer)
        elif segment is not None:
            self._settle(name, segment, receipt, answer)
        else:
            self._park(scope, name, receipt, answer)

    def _park(self, scope: str, name: str, receipt: Receipt, answer: Answer) -> None:
        """It may have overtaken the answer to its submit: hold it for a while."""
        if not receipt.smsc_id or self._parked_count >= self._parked_limit or self._hold <= 0:
            self._useless(scope, receipt)
            answer(True)
            return
        parked = Parked(self._keys.take(), scope, receipt, self._wall() + self._hold)
        self._parked.setdefault(name, []).append(parked)
        self._parked_count += 1
        item = Item(Queue.PARKED, parked.id, scope, _encode(parked), due=parked.until)

        def kept(ok: bool) -> None:
            if not ok:  # the SMSC will send it again
                self._unpark(name, parked)
            answer(ok)

        self._journal.add(Work(puts=[item]), kept)

    def _useless(self, scope: str, receipt: Receipt) -> None:
        """The receipt tells nothing that anybody waits for."""
        self.unmatched += 1
        self.on_unmatched(scope, receipt)

    def _unpark(self, name: str, parked: Parked) -> None:
        waiting = self._parked.get(name, [])
        left = [other for other in waiting if other is not parked]
        self._parked_count -= len(waiting) - len(left)
        if left:
            self._parked[name] = left
        else:
            self._parked.pop(name, None)

    def recovered(self, parked: Parked) -> None:
        """A receipt was waiting when the gateway stopped."""
        self._parked.setdefault(f"{parked.scope}/{parked.receipt.smsc_id}", []).append(parked)
        self._parked_count += 1

    def sweep(self) -> list[Parked]:
        """Give up receipts that have waited long enough; they come back, to be logged."""
        now = self._wall()
        late = [p for waiting in self._parked.values() for p in waiting if p.until <= now]
        for parked in late:
            self._unpark(f"{parked.scope}/{parked.receipt.smsc_id}", parked)
            self._useless(parked.scope, parked.receipt)
            self._journal.add(Work(ends=[parked.id]))
        return late

    def other_form(self, parked: Parked) -> str:
        """The id as the answer to its submit had it, when only the number's base differs; or ""."""
        forms = other_forms(parked.receipt.smsc_id)
        return next((form for form in forms if f"{parked.scope}/{form}" in self._pending), "")

    def forget(self) -> None:
        """Wait for no receipt any more."""
        self._pending.clear()
        self._folds.clear()

    @property
    def parked(self) -> int:
        return self._parked_count

    @property
    def pending(self) -> int:
        """Segments in memory that wait for a receipt."""
        return len(self._pending)

    def _settle(
        self,
        name: str,
        segment: Segment,
        receipt: Receipt,
        answer: Answer | None,
        ends: Sequence[int] = (),
    ) -> None:
        """Keep what a receipt says. `answer` None: it was answered when it came, and is parked."""
        if segment.total > 1 and segment.via not in self._first_only:
            self._with_fold(
                segment, lambda fold: self._part_settled(fold, name, segment, receipt, answer, ends)
            )
            return
        work = Work(ends=list(ends))
        if receipt.status & FINAL:
            self._finish(name, segment, work)
            if not receipt.status & 1:
                self.failed(segment.message, work)
        report = None
        if receipt.status & segment.dlr_mask:
            report = self._make.of_receipt(segment, receipt, receipt.status, segment.smsc_id)
        self._keep_receipt(work, KeptReceipt(self, name, segment, receipt, report, answer))

    def _part_settled(
        self,
        fold: Fold,
        name: str,
        segment: Segment,
        receipt: Receipt,
        answer: Answer | None,
        ends: Sequence[int],
    ) -> None:
        work = Work(ends=list(ends))
        if name in self._finished:  # it came twice while the message was looked up
            self.unmatched += 1
            self._journal.add(work, answer)
            return
        status = receipt.status
        mask = segment.dlr_mask
        report = None
        if status & FINAL:
            self._finish(name, segment, work)
            if status & 1:
                fold.delivered.add(segment.index)
                fold.open.pop(segment.index, None)
                if len(fold.delivered) == fold.total:
                    self._folds.pop(segment.message, None)
                    if mask & 1:
                        report = self._make.of_receipt(segment, receipt, 1, fold.first_id)
            else:
                self.failed(segment.message, work)
                if status & mask and not fold.closed:
                    report = self._make.of_receipt(segment, receipt, status, fold.first_id)
                self._close(fold, segment, work)
        elif status & mask and not fold.buffered:
            fold.buffered = True
            report = self._make.of_receipt(segment, receipt, status, fold.first_id)
        told = None if report is None else fold
        self._keep_receipt(work, KeptReceipt(self, name, segment, receipt, report, answer, told))

    def _finish(self, name: str, segment: Segment, work: Work) -> None:
        """No further receipt on this name counts."""
        self._pending.pop(name, None)
        finished = self._finished
        finished[name] = None
        if len(finished) > FINISHED:
            finished.popitem(last=False)
        work.ends.append(segment.id)

    def _keep(self, work: Work, report: Report | None) -> None:
        """Keep what nobody would tell us again."""
        if report is None:
            self._journal.add(work)
        else:
            self._put(report, work)
            self._journal.insist(work, partial(self.reports.push, report))

    def _keep_receipt(self, work: Work, kept: KeptReceipt) -> None:
        """Keep what a receipt says; one that has its answer already nobody would tell us again."""
        if kept.answer is None:
            self._keep(work, kept.report)
            return
        if kept.report is not None:
            self._put(kept.report, work)
        self._journal.add(work, kept)

    def _put(self, report: Report, work: Work) -> None:
        self.made += 1
        lane = self.reports.lane_of(report)
        work.puts.append(Item(_DLR, report.id, lane, encode_report(report)))

    def kept(self, kept: KeptReceipt, ok: bool) -> None:
        """A receipt is kept; or is not, and the SMSC will send it again."""
        fold = kept.fold
        if ok:
            if kept.report is not None:
                self.reports.push(kept.report)
        elif kept.receipt.status & FINAL:
            self._finished.pop(kept.name, None)
            self._pending[kept.name] = kept.segment
            if fold is not None and fold.closed:
                self._folds.pop(kept.segment.message, None)
        elif fold is not None:
            fold.buffered = False
        if kept.answer is not None:
            kept.answer(ok)


def _nothing(message: int, work: Work) -> None:
    """Nobody wants to know which messages failed."""


def _nobody(scope: str, receipt: Receipt) -> None:
    """Nobody wants to hear of receipts that match nothing."""
