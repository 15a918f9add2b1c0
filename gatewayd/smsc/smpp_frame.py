"""A stream of SMPP octets cut into PDUs."""

from __future__ import annotations

import struct
from math import inf

from gatewayd.errors import PeerError

HEADER_SIZE = 16
RINVCMDLEN = 0x02  # command_status, SMPP 3.4, 5.1.3

_LENGTH = struct.Struct(">L")


class Framer:
    """Cuts a byte stream into PDUs, in linear time, holding less than one PDU of at most `limit`.

    A command_length below 16 or above `limit` breaks the stream for good: nothing of that PDU is
    kept, `broken` says why, and all further octets are dropped.
    """

    __slots__ = ("_buffer", "_limit", "_wanted", "broken", "partial_since")

    def __init__(self, limit: int = 65536) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._wanted = 4  # octets the buffer must hold before it is worth a look
        self.broken: PeerError | None = None
        self.partial_since = inf  # `now` of the first octet of a PDU not yet whole; inf: none

    def feed(self, data: bytes, now: float = 0.0) -> list[bytes]:
        """Return the PDUs completed by `data`; look at `broken` afterwards."""
        if self.broken is not None:
            return []
        buffer = self._buffer
        held = len(buffer)
        if held:
            buffer += data
            if len(buffer) < self._wanted:
                return []
            data = bytes(buffer)
            buffer.clear()
        frames: list[bytes] = []
        start, end = 0, len(data)
        while end - start >= 4:
            (length,) = _LENGTH.unpack_from(data, start)
            if not HEADER_SIZE <= length <= self._limit:
                self._break(length)
                return frames
            if start + length > end:
                self._wanted = length
                break
            frames.append(data[start : start + length])
            start += length
        else:
            self._wanted = 4
        if start == end:
            self.partial_since = inf
            return frames
        buffer += data[start:] if start else data
        if frames or not held:
            self.partial_since = now
        return frames

    def _break(self, length: int) -> None:
        self.partial_since = inf
        self.broken = PeerError(
            f"command_length {length} is not within {HEADER_SIZE} and {self._limit}",
            fatal=True,
            status=RINVCMDLEN,
        )
