"""Counts the packets of a network that pass a device in the clear.

python -m tests.lab.sniffer DEVICE NETWORK FILE

What is inside the tunnel is a datagram to its far end, and is not counted. FILE holds two numbers:
packets, and bare TCP resets, which are not among them. Each is printed, with its time.
"""

from __future__ import annotations

import socket
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path

ETH_P_ALL = 3
_RST = 0x04
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"


def is_reset(packet: bytes) -> bool:
    """Whether an IPv4 packet is a TCP segment with RST and without data."""
    at = (packet[0] & 15) * 4
    if packet[0] >> 4 != 4 or packet[9] != socket.IPPROTO_TCP or len(packet) < at + 20:
        return False
    length = int.from_bytes(packet[2:4], "big") - at - (packet[at + 12] >> 4) * 4
    return bool(packet[at + 13] & _RST) and length == 0


def main(device: str, network: str, path: str) -> None:
    watched = ip_network(network)
    count = resets = 0
    file = Path(path)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.bind((device, 0))
        file.write_text("0 0")
        while True:
            packet = raw.recv(65536)
            kind = packet[12:14]
            if kind == _IPV4 and len(packet) >= 34:
                ends = packet[26:30], packet[30:34]
            elif kind == _IPV6 and len(packet) >= 54:
                ends = packet[22:38], packet[38:54]
            else:
                continue
            if any(ip_address(end) in watched for end in ends):
                if is_reset(packet[14:]):
                    resets += 1
                else:
                    count += 1
                file.write_text(f"{count} {resets}")
                print(f"{time.time():.3f} {packet[14:].hex()}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
