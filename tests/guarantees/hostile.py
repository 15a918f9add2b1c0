"""Peers that mean harm: SMSCs of each protocol, a platform, and callers; each a process.

All they throw comes from the collection of tests/badinput. Counters say how much it was.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from random import Random

from gatewayd.errors import GatewayError
from gatewayd.model import Outcome
from gatewayd.smsc import smpp_pdu as pdus
from tests.badinput.fuzz_http import ANSWERS, make_http, make_platform, make_sendsms
from tests.badinput.fuzz_smsc import make_cimd2, make_smpp, make_ucp
from tests.badinput.test_http_door import BAD_REQUESTS
from tests.live.harness import PORTS, ROOT
from tests.smsc import wire_cimd2, wire_ucp

MAKERS: dict[str, Callable[[Random], bytes]] = {
    "smpp": make_smpp,
    "ucp": make_ucp,
    "cimd2": make_cimd2,
}
BOMB = gzip.compress(bytes(5_000_000))
PLATFORM_ANSWERS = (
    *ANSWERS,
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000,
    b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + bytes(300_000),
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99999\r\n\r\n" + BOMB,
    b"HTTP/1.1 503 No\r\nRetry-After: 1000000000\r\nContent-Length: 0\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"",
)
OTHERS = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"SSH-2.0-x\r\n")
CALLER = "127.0.0.9"  # the hostile callers' address
PACE = 0.01  # seconds that each hostile caller waits between two calls: hundreds in each second


def _bind_answer(protocol: str, asked: bytes) -> bytes:
    if protocol == "smpp":
        bind = pdus.decode(asked[: int.from_bytes(asked[:4], "big")])
        return pdus.encode(pdus.BindResp(bind.command | pdus.RESPONSE, 0, bind.sequence, b"evil"))
    login = asked[: asked.index(b"\x03") + 1]
    if protocol == "ucp":
        return wire_ucp.answer_bind(login, Outcome.DONE)
    return wire_cimd2.answer_bind(login, Outcome.DONE)


class Hostile:
    """Threads that go on until `stop`."""

    def __init__(self) -> None:
        self.thrown = self.bound = 0
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def _run(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(10)


class _Server(Hostile):
    """Listens, and misbehaves on each link in turn."""

    def __init__(self, port: int, seed: str) -> None:
        super().__init__()
        self._chance = Random(seed)
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.settimeout(0.2)
        self._run(self._serve)

    def _serve(self) -> None:
        while not self.stopped.is_set():
            with contextlib.suppress(OSError):
                link, _ = self._socket.accept()
                link.settimeout(0.02)
                with link, contextlib.suppress(OSError, ValueError, GatewayError):
                    self._misbehave(link)

    def _misbehave(self, link: socket.socket) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        super().stop()
        self._socket.close()

    def _heard(self, link: socket.socket) -> bytes:
        """What comes within a moment; raises OSError once the other end closed."""
        try:
            data = link.recv(65536)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionError
        return data


class HostileSmsc(_Server):
    """Now and then it lets us in; then, or at once, it throws whatever hurts."""

    def __init__(self, protocol: str, port: int) -> None:
        self.protocol = protocol
        super().__init__(port, f"hostile {protocol}")

    def _misbehave(self, link: socket.socket) -> None:
        chance = self._chance
        if chance.random() < 0.1:
            link.sendall(chance.choice(OTHERS))
        elif chance.random() < 0.1:
            link.sendall(chance.randbytes(4000))
        else:
            asked = b""
            while not asked and not self.stopped.is_set():
                asked = self._heard(link)
            link.sendall(_bind_answer(self.protocol, asked))
            self.bound += 1
        while not self.stopped.is_set():
            case = MAKERS[self.protocol](chance)
            for piece in (case[: len(case) // 2], case[len(case) // 2 :]):
                link.sendall(piece)
            self.thrown += 1
            self._heard(link)


class HostilePlatform(_Server):
    """Every call gets another strange answer, or none."""

    def __init__(self, port: int) -> None:
        super().__init__(port, "hostile platform")

    def _misbehave(self, link: socket.socket) -> None:
        if not self._heard(link) and not self._heard(link):
            return
        chance = self._chance
        answer = chance.choice(PLATFORM_ANSWERS)
        link.sendall(answer if chance.random() < 0.5 else make_platform(chance))
        self.thrown += 1


class HostileCallers(Hostile):
    """Some connections at a time to the sendsms and the admin listener."""

    def __init__(self, ports: list[int], threads: int = 3) -> None:
        super().__init__()
        self._ports = ports
        self._slow: list[socket.socket] = []
        for number in range(threads):
            chance = Random(f"hostile caller {number}")
            self._run(lambda chance=chance: self._call(chance))  # type: ignore[misc]

    def _call(self, chance: Random) -> None:
        bad = [request for request, _ in BAD_REQUESTS.values()]
        while not self.stopped.wait(PACE):
            kind = chance.randrange(4)
            if kind == 0:
                case = chance.choice(bad)
            elif kind == 1:
                case = make_http(chance)
            elif kind == 2:
                case = b"GET /cgi-bin/sendsms?%b HTTP/1.1\r\nHost: h\r\n\r\n" % make_sendsms(chance)
            else:
                case = chance.randbytes(2000)
            with contextlib.suppress(OSError):
                line = socket.create_connection(
                    ("127.0.0.1", chance.choice(self._ports)), 2, source_address=(CALLER, 0)
                )
                line.settimeout(0.05)
                if chance.random() < 0.02 and len(self._slow) < 60:
                    self._slow.append(line)  # half a request, and then nothing
                    line.sendall(case[: len(case) // 2])
                    continue
                with line:
                    line.sendall(case)
                    self.thrown += 1
                    line.recv(65536)

    def stop(self) -> None:
        super().stop()
        for line in self._slow:
            line.close()


class Stranger:
    """One of these peers, in a process of its own.

    In truth it has a machine of its own: here it gets what the gateway, the good ones and their
    load tools leave over of this one.
    """

    def __init__(self, kind: str, *ports: int) -> None:
        """A "platform" or an SMSC listens on a port of its own, "callers" call `ports`."""
        self.kind = kind
        self.port = 0 if ports else PORTS.take()
        words = [kind, *map(str, ports or [self.port])]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.guarantees.hostile", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.thrown()

    def bound(self) -> int:
        """How often it let the gateway in."""
        return self._told()["bound"]

    def thrown(self) -> int:
        """How many hostile inputs it has sent."""
        return self._told()["thrown"]

    def pause(self) -> None:
        """Stand still, with whatever is open."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def _told(self) -> dict[str, int]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        told: dict[str, int] = json.loads(self._process.stdout.readline())
        return told

    def stop(self) -> None:
        self.go_on()
        try:
            self._process.communicate(timeout=30)
        finally:
            self._process.kill()


def main(kind: str, ports: list[int]) -> None:
    """Be one; a line on standard input asks for the counters, its end ends it."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    peer: Hostile
    if kind == "callers":
        peer = HostileCallers(ports)
    elif kind == "platform":
        peer = HostilePlatform(ports[0])
    else:
        peer = HostileSmsc(kind, ports[0])
    for _ in sys.stdin:
        print(json.dumps({"thrown": peer.thrown, "bound": peer.bound}), flush=True)
    peer.stop()


if __name__ == "__main__":
    main(sys.argv[1], [int(word) for word in sys.argv[2:]])
