"""A small SMSC that writes down every text it gets: python -m tests.lab.smsc ADDRESS PORT LEDGER.

One line per event: ``bind`` or ``text WORD``, each with the wall time in front.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from typing import TextIO

_HEAD = struct.Struct(">4I")
_BINDS, _UNBIND, _SUBMIT, _ANSWER = frozenset({1, 2, 9}), 6, 4, 0x80000000


def text_of(body: bytes) -> str:
    """The short_message of a submit_sm (SMPP 3.4, 4.4.1), which the lab sends without UDH."""
    at = body.index(0) + 1  # service_type
    at = body.index(0, at + 2) + 1  # source
    at = body.index(0, at + 2) + 1  # destination
    at += 3
    at = body.index(0, at) + 1  # schedule_delivery_time
    at = body.index(0, at) + 1  # validity_period
    length = body[at + 4]
    return body[at + 5 : at + 5 + length].decode("latin-1")


class Smsc:
    def __init__(self, ledger: TextIO) -> None:
        self._ledger = ledger
        self._count = 0

    def _write(self, what: str) -> None:
        self._ledger.write(f"{time.time():.4f} {what}\n")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(16)
                length, command, _status, sequence = _HEAD.unpack(head)
                body = await reader.readexactly(length - 16)
                if command & _ANSWER:
                    continue
                answer = b""
                if command in _BINDS:
                    self._write("bind")
                    answer = b"lab\0"
                elif command == _SUBMIT:
                    self._count += 1
                    self._write(f"text {text_of(body)}")
                    answer = b"%d\0" % self._count
                writer.write(_HEAD.pack(16 + len(answer), command | _ANSWER, 0, sequence) + answer)
                if command == _UNBIND:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()


async def main(address: str, port: int, path: str) -> None:
    with open(path, "a", buffering=1) as ledger:
        server = await asyncio.start_server(Smsc(ledger).serve, address, port, backlog=64)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
