"""The signature that lets a platform tell our calls from those that somebody else makes up.

Two header fields: ``X-Gatewayd-Time``, seconds since the epoch, and ``X-Gatewayd-Signature``,
``sha256=`` and in hex the HMAC-SHA256 (RFC 2104), under the channel's key, of these, with a line
feed behind each but the last: time, method, path with query as they stand in the request line,
body. A platform compares it in constant time and refuses times that are minutes away.
"""

from __future__ import annotations

import hmac

from msgspec.structs import replace

from gatewayd.config import ChannelConfig
from gatewayd.platforms.contract import HttpCall


def signed(call: HttpCall, channel: ChannelConfig, wall: float) -> HttpCall:
    """`call` with its signature, if the channel has a key. `wall`: seconds since the epoch."""
    key = channel.signature_key
    if not key:
        return call
    time = str(int(wall))
    text = f"{time}\n{call.method}\n{target_of(call.url)}\n".encode() + call.body
    digest = hmac.digest(key.reveal().encode(), text, "sha256").hex()
    ours = (("X-Gatewayd-Time", time), ("X-Gatewayd-Signature", f"sha256={digest}"))
    return replace(call, headers=call.headers + ours)


def target_of(url: str) -> str:
    """Path and query as they are sent."""
    rest = url.partition("://")[2].partition("#")[0]
    cut = min((place for mark in "/?" if (place := rest.find(mark)) >= 0), default=len(rest))
    target = rest[cut:]
    return target if target.startswith("/") else "/" + target
