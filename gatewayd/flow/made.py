"""What a report says: made of its segment, and of the receipt where one came."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gatewayd.flow.keys import Keys
from gatewayd.model import Receipt, Report, Segment


class Maker:
    """Makes reports, each with a key of its own. `ids`: an SMSC's id by the name of its lane."""

    def __init__(self, keys: Keys, wall: Callable[[], float], ids: Mapping[str, str]) -> None:
        self._keys = keys
        self._wall = wall
        self.ids = ids

    def of(self, segment: Segment, status: int, text: str, meta: str, smsc_id: str = "") -> Report:
        """What the SMSC's answer to a submit tells; `meta`: the message's own and the answer's."""
        report = self._made(segment, status, text, smsc_id)
        report.meta = f"{meta}?orig_msg?dlr_mask={segment.dlr_mask}&"
        report.account = segment.account
        report.binfo = segment.binfo
        return report

    def of_receipt(self, segment: Segment, receipt: Receipt, status: int, first: str) -> Report:
        """A receipt comes as if from the SMSC: with its account, without the message's own."""
        report = self._made(segment, status, receipt.text, first)
        report.meta = f"?orig_msg?dlr_mask={segment.dlr_mask}&{receipt.meta}"
        report.account = receipt.account
        return report

    def _made(self, segment: Segment, status: int, text: str, smsc_id: str) -> Report:
        return Report(
            id=self._keys.take(),
            message=segment.message or segment.id,
            status=status,
            url=segment.dlr_url,
            smsc=self.ids.get(segment.via, segment.smsc),
            smsc_id=smsc_id or segment.smsc_id,
            text=text,
            source=segment.source,
            destination=segment.destination,
            user=segment.user,
            charset=segment.charset,
            time=self._wall(),
            channel=segment.channel,
            external_id=segment.external_id,
        )
