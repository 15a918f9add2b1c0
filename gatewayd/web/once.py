"""What makes two requests one: the octets that a repeated request shares with the first.

`flow.seen` says what becomes of them. The text always counts: long texts may come in parts, each as
a request of its own under the same id.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from gatewayd.config.model import Config
from gatewayd.flow.reports import origin_of
from gatewayd.model import Order

_NAMED: Final = re.compile(r"[?&](?:uuid|id)=[^&]")
_HEADER: Final = b"idempotency-key"


class Once:
    """Finds what makes an order one of its kind.

    A dlr-url does, where it belongs to a channel that is `idempotent` (the user's, or one on the
    same host) and names the message by ``uuid=`` or ``id=``.
    """

    def __init__(self, config: Config) -> None:
        channels = [channel for channel in config.channels if channel.idempotent]
        self._channels = {channel.name for channel in channels}
        self._origins = {origin_of(channel.post_url or channel.get_url) for channel in channels}
        self._any = bool(channels)

    def mark(self, order: Order, raw: list[tuple[bytes, bytes]]) -> None:
        """Set `order.once` by the header Idempotency-Key in `raw`, else by the dlr-url."""
        for name, value in raw:
            if len(name) == len(_HEADER) and name.lower() == _HEADER and value:
                order.once = digest(order, "key", value)
                return
        if self._any and order.dlr_url and self._covers(order) and _NAMED.search(order.dlr_url):
            order.once = digest(order, "dlr-url", order.dlr_url.encode("utf-8", "replace"))

    def _covers(self, order: Order) -> bool:
        if order.channel:
            return order.channel in self._channels
        return origin_of(order.dlr_url) in self._origins


def digest(order: Order, kind: str, mark: bytes) -> bytes:
    """16 octets for the order's user, receivers and text, and the `mark` that is of this `kind`."""
    found = blake2b(digest_size=16)
    text = order.text.encode("utf-8", "replace")
    parts = [kind.encode(), mark, order.user.encode(), text, order.data, order.udh]
    parts += [receiver.encode("latin-1", "replace") for receiver in order.receivers]
    for part in parts:
        found.update(len(part).to_bytes(4, "big"))
        found.update(part)
    return found.digest()
