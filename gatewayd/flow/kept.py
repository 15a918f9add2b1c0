"""A receipt on its way to the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gatewayd.flow.fold import Fold
from gatewayd.model import Receipt, Report, Segment

if TYPE_CHECKING:
    from gatewayd.flow.dlr import DlrFlow


class KeptReceipt:
    """What has to be done once the receipt is kept, or is not; called with which of them.

    `fold` is the one that its `report` was made for; `answer` None: the SMSC has had its answer.
    """

    __slots__ = ("_flow", "answer", "fold", "name", "receipt", "report", "segment")

    def __init__(
        self,
        flow: DlrFlow,
        name: str,
        segment: Segment,
        receipt: Receipt,
        report: Report | None,
        answer: Callable[[bool], None] | None,
        fold: Fold | None = None,
    ) -> None:
        self._flow = flow
        self.name = name
        self.segment = segment
        self.receipt = receipt
        self.report = report
        self.answer = answer
        self.fold = fold

    def __call__(self, ok: bool) -> None:
        self._flow.kept(self, ok)
