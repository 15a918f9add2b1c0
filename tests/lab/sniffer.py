"""Counts the packets of a network that pass a device in the clear.

python -m tests.lab.sniffer DEVICE NETWORK FILE

What is inside the tunnel is a datagram to its far end, and is not counted. FILE holds the number.
"""

from __future__ import annotations

import socket
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

ETH_P_ALL = 3
_IPV4, _IPV6 = b"\x08\x00", b"\x86\xdd"


def main(device: str, network: str, path: str) -> None:
    watched = ip_network(network)
    count = 0
    file = Path(path)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.bind((device, 0))
        file.write_text("0")
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
                count += 1
                file.write_text(str(count))


if __name__ == "__main__":
    main(*sys.argv[1:4])
