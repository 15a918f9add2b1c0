"""The internet between both ends of a tunnel: one UDP flow, with the faults that a file asks for.

python -m tests.lab.relay FAULTS.json; SIGHUP reads the file again.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path

from tests.lab.vpn import OP_WAN, PORT, WAN_GW, WAN_OP

Address = tuple[str, int]


class Side(asyncio.DatagramProtocol):
    """One end of the flow; the gateway's address is known once it has spoken."""

    def __init__(self, relay: Relay, address: Address | None) -> None:
        self._relay = relay
        self.address = address
        self.transport: asyncio.DatagramTransport | None = None
        self.other = self

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.address = addr
        self._relay.carry(self.other, data)


class Relay:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._faults: dict[str, float] = {}
        self.read()

    def read(self) -> None:
        self._faults = json.loads(self._path.read_text())

    def carry(self, to: Side, data: bytes) -> None:
        faults = self._faults
        if to.transport is None or to.address is None or faults.get("drop"):
            return
        if random.random() < faults.get("loss", 0):
            return
        delay = faults.get("delay", 0) + random.uniform(0, faults.get("jitter", 0))
        if delay:
            loop = asyncio.get_running_loop()
            loop.call_later(delay, to.transport.sendto, data, to.address)
        else:
            to.transport.sendto(data, to.address)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self.read)
        gateway, operator = Side(self, None), Side(self, (OP_WAN, PORT))
        gateway.other, operator.other = operator, gateway
        await loop.create_datagram_endpoint(lambda: gateway, local_addr=(WAN_GW, PORT))
        await loop.create_datagram_endpoint(lambda: operator, local_addr=(WAN_OP, PORT))
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(Relay(Path(sys.argv[1])).run())
