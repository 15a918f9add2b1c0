"""Between binds and flows: what a bind tells goes to the flow that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from twisted.logger import Logger

from gatewayd.access import AccessLog
from gatewayd.flow.dlr import DlrFlow
from gatewayd.flow.mo import MoFlow
from gatewayd.flow.mt import MtFlow
from gatewayd.flow.port import PortState
from gatewayd.flow.pump import MtLane
from gatewayd.flow.repeats import Line
from gatewayd.model import Inbound, Outcome, Receipt, Segment
from gatewayd.smsc.contract import (
    Alive,
    BindRefused,
    Bound,
    Closing,
    Event,
    Noted,
    Receipted,
    Received,
    SubmitFailed,
    Submitted,
    Unanswered,
)

Answer = Callable[[int, Outcome], None]
Kept = Callable[[Outcome], None]

_DONE: Final = Outcome.DONE  # as in `mt`


class Exchange:
    """Wires the lanes of SMSCs to the three flows.

    `open_for_mo` is false while the gateway is suspended or isolated: then the SMSC keeps its MO.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(self, mt: MtFlow, mo: MoFlow, dlr: DlrFlow) -> None:
        self._mt = mt
        self._mo = mo
        self._dlr = dlr
        # the steps that a fail point can be put around
        self.submitted: Callable[[str, Submitted], None] = mt.submitted
        self.received: Callable[[str, Inbound, Kept, Line], None] = mo.received_from
        self.receipted: Callable[[str, Receipt, Callable[[bool], None]], None] = dlr.receipted
        self.open_for_mo = True
        self.access: AccessLog | None = None

    def wire(self, lane: MtLane) -> None:
        lane.on_event = self._one
        lane.on_expired = self._expired

    def events(
        self, lane: MtLane, state: PortState, events: Sequence[Event], answer: Answer
    ) -> None:
        """Everything that one read brought; `answer(ticket, outcome)` is the bind's."""
        for event in events:
            if type(event) is Submitted and not event.late:
                lane.answered(state, event.seconds)
                self.submitted(lane.config.name, event)
                segment = event.segment
                if segment.dlr_mask & 8 and segment.dlr_url and not segment.index:
                    state.reports += 1
                if self.access is not None:
                    self.access.sent(event.segment, event.meta)
            elif type(event) is Receipted:
                self._receipt(lane, state, event, answer)
            elif type(event) is Received:
                self._receive(lane, state, event, answer)
            else:
                self._one(lane, state, event)
        lane.pump()

    def link_lost(self, lane: MtLane, state: PortState, events: Sequence[Event]) -> None:
        """The link is gone; `events` give back what was in the window, oldest first."""
        state.line.up = False
        state.line = Line()
        lane.lost(state)
        for event in reversed(events):  # each goes to the front of the lane
            self._one(lane, state, event)
        lane.pump()

    def _receive(self, lane: MtLane, state: PortState, event: Received, answer: Answer) -> None:
        ticket = event.ticket
        if not self.open_for_mo:
            answer(ticket, Outcome.RETRY)
            return
        state.received += 1
        name, inbound = lane.config.name, event.inbound

        def kept(outcome: Outcome) -> None:
            if self.access is not None and outcome in (Outcome.THROTTLED, Outcome.DEAD):
                barred = outcome is Outcome.DEAD
                reason = self._mo.why_barred(name, inbound.source) if barred else ""
                self.access.refused(lane.config.id, inbound, reason)
            answer(ticket, outcome)

        self.received(name, inbound, kept, state.line)

    def _receipt(self, lane: MtLane, state: PortState, event: Receipted, answer: Answer) -> None:
        ticket = event.ticket
        if not self.open_for_mo:
            answer(ticket, Outcome.RETRY)
            return
        state.receipts += 1
        self.receipted(
            lane.config.id,
            event.receipt,
            lambda ok: answer(ticket, _DONE if ok else Outcome.RETRY),
        )

    def _one(self, lane: MtLane, state: PortState, event: Event) -> None:
        name = lane.config.name
        match event:
            case Submitted() | SubmitFailed() if event.late:
                if self._mt.answered_late(name, event):
                    self.log.info(
                        "The late answer to the submit of {message_id} settles it",
                        message_id=event.segment.message,
                        smsc=name,
                    )
            case SubmitFailed():
                self._failed(lane, state, event)
            case Unanswered(segment, reason):
                self.log.warn(
                    "No answer to the submit of {message_id}: {reason}, {policy}",
                    message_id=segment.message,
                    smsc=name,
                    bind=state.port.name,
                    reason=reason,
                    policy=lane.config.on_uncertain.value,
                )
                self._mt.unanswered(name, event)
            case Closing() | BindRefused() | Bound() | Noted() | Alive():
                pass
            case _:
                raise AssertionError(event)

    def _failed(self, lane: MtLane, state: PortState, event: SubmitFailed) -> None:
        name = lane.config.name
        lane.refused(state)
        if event.outcome is Outcome.THROTTLED:
            pause = lane.throttled(state)
            self.log.debug("Throttled by {smsc} for {pause} s", smsc=name, pause=pause)
            if not lane.config.throttled_waits:
                self._mt.throttled(name, event.segment)
                return
        elif event.outcome is Outcome.DEAD:
            state.refusals += 1
            if self._dlr.wants_rejection(event.segment):
                state.reports += 1
        self._mt.submit_failed(name, event)

    def _expired(self, lane: MtLane, segment: Segment) -> None:
        segment.via = lane.config.name
        self._mt.expire(segment)
