"""Talks to Kannel's CIMD2 test server, both in a network namespace of their own.

Run by `test_cimd2_stranger` as ``unshare -n python cimd2_stranger.py SERVER``: that server listens
on every address, so it must not run where anybody could reach it. Prints what came as JSON.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Segment
from gatewayd.sms import alphabets
from gatewayd.smsc.cimd2 import Cimd2Session
from gatewayd.smsc.contract import Event, SessionOptions
from gatewayd.smsc.link import LinkState

PORT = 6789
SIOCSIFFLAGS, UP = 0x8914, 1
EVERY_CHARACTER = (
    "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ!\"#¤%&'()*+,-./0159:;<=>?¡AZÄÖÑÜ§¿azäöñüà^{}\\[~]|€"
)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh", b"lo", UP))


def segments(now: float) -> list[Segment]:
    text = alphabets.encode_gsm(EVERY_CHARACTER)
    assert text is not None
    number, phone = "12345", "5582999000111"
    push, first = bytes.fromhex("06050415820000"), bytes.fromhex("050003A70201")
    return [
        Segment(1, number, phone, b"hello"),
        Segment(2, number, phone, text, dlr_mask=31),
        Segment(3, number, phone, "Привет".encode("utf-16-be"), coding=2),
        Segment(4, number, phone, b"\0\1\xff", coding=1, udh=push),
        Segment(5, number, phone, b"x" * 153, udh=first, total=2),
        Segment(6, number, phone, b"", mclass=0, pid=64, rpi=1, binfo="7"),
        Segment(7, number, phone, b"later", validity=now + 86400, deferred=now + 3600),
        Segment(8, "gatewayd & Ö", f"+{phone}", b"from a name"),
        Segment(9, "+4912345", phone, text * 2, dlr_mask=4),
    ]


class Peer:
    """The session's socket."""

    def __init__(self, session: Cimd2Session) -> None:
        self.session = session
        self.events: list[Event] = []
        deadline = time.monotonic() + 10
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", PORT), 5)
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                break

    def until(self, wanted: Any) -> None:
        """Write and read until `wanted()`."""
        deadline = time.monotonic() + 10
        while not wanted():
            self.socket.sendall(self.session.take_bytes())
            data = self.socket.recv(4096)
            self.events += self.session.receive(data, time.monotonic())
            if not data or time.monotonic() > deadline:
                raise SystemExit(f"the server went away: {self.events}")
        self.socket.sendall(self.session.take_bytes())


def main(server: str) -> None:
    loopback_up()
    bind = BindConfig("a/0")
    smpp = SmppOptions(system_id="foo", password=Secret("bar"), enquire_interval=30.0)
    smsc = SmscConfig("a", "a", protocol="cimd2", binds=(bind,), window=1, smpp=smpp)
    command = [server, "--port", str(PORT), "--activity", "1", "--checking", "4", "--logging", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as running:
        session = Cimd2Session(SessionOptions(smsc, bind, wall=time.time))
        peer = Peer(session)
        session.start(time.monotonic())
        peer.until(lambda: session.state is LinkState.BOUND)
        for segment in segments(time.time()):
            event = session.submit(segment, time.monotonic())
            if event is not None:
                peer.events.append(event)
            peer.until(lambda: session.in_flight == 0)
        peer.events += session.tick(time.monotonic() + 31)  # silent for so long: alive
        peer.until(lambda: any(type(event).__name__ == "Alive" for event in peer.events))
        session.stop(time.monotonic())
        peer.until(lambda: session.state is LinkState.CLOSED)
        peer.socket.close()
        assert running.stdout is not None
        output = ""
        for line in running.stdout:  # it writes down its answer after it has given it
            output += line
            if "<STX>52:" in line:
                break
        running.terminate()
        output += running.communicate(timeout=10)[0]
    told = [[type(event).__name__, repr(event)] for event in peer.events]
    print(json.dumps({"events": told, "server": output}))


if __name__ == "__main__":
    main(sys.argv[1])
