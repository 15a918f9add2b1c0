"""What is known of a message of several segments while its receipts come in."""

from __future__ import annotations

from gatewayd.model import Segment


class Fold:
    """What is known of a message of several segments."""

    __slots__ = ("accepted", "buffered", "closed", "delivered", "first_id", "open", "total")

    def __init__(self, total: int) -> None:
        self.total = total
        self.accepted: set[int] = set()
        self.delivered: set[int] = set()
        self.buffered = False
        self.closed = False  # it failed, and that was told
        self.first_id = ""
        self.open: dict[int, Segment] = {}  # segments without a final word, by index
