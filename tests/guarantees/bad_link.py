"""A way to the SMSC that delays, and one that really loses packets, in a network namespace."""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import re
import shutil
import socket
import subprocess
import threading
import time
from types import TracebackType

import pytest

from tests.live.harness import until

RULES = """
table inet bad {{
 chain {name} {{
  type filter hook {hook} priority 0; policy accept;
  numgen random mod 100 < {percent} counter drop
 }}
}}
"""


class Relay:
    """Passes each piece on to `target` after `delay` seconds, in both directions."""

    def __init__(self, server: socket.socket, target: int, delay: float) -> None:
        self._server, self._target, self._delay = server, target, delay
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            for source, sink in ((here, there), (there, here)):
                pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                for work in (self._read, self._write):
                    words = (source if work == self._read else sink, pieces)
                    threading.Thread(target=work, args=words, daemon=True).start()

    def _read(self, source: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"."
        while data:
            try:
                data = source.recv(65536)
            except OSError:
                data = b""
            pieces.put((time.monotonic() + self._delay, data))

    def _write(self, sink: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()


class LossyLink:
    """A network namespace that loses `percent` of the packets each way; needs root, ip and nft."""

    def __init__(self, percent: int) -> None:
        for program in ("ip", "nft", "unshare", "nsenter"):
            if shutil.which(program) is None:
                pytest.skip(f"a link that loses packets needs {program}")
        if os.geteuid() != 0:
            pytest.skip("a link that loses packets needs root")
        self._holder = subprocess.Popen(["unshare", "-n", "sleep", "3600"])
        self._pid = self._holder.pid
        here = os.readlink("/proc/self/ns/net")
        until(lambda: os.readlink(f"/proc/{self._pid}/ns/net") != here, 5)
        number = os.getpid() % 4000
        self.address = f"10.{213 + number // 1000}.{number % 1000 // 4}.{number % 4 * 4 + 2}"
        outside = self.address.rpartition(".")[0] + f".{number % 4 * 4 + 1}"
        out, within = f"gwo{number}", f"gwi{number}"
        enter = ["nsenter", "-t", str(self._pid), "-n"]
        try:
            for words in (
                ["ip", "link", "add", out, "type", "veth", "peer", "name", within],
                ["ip", "link", "set", within, "netns", str(self._pid)],
                ["ip", "addr", "add", f"{outside}/30", "dev", out],
                ["ip", "link", "set", out, "up"],
                [*enter, "ip", "addr", "add", f"{self.address}/30", "dev", within],
                [*enter, "ip", "link", "set", within, "up"],
            ):
                self._run(words)
            for name, hook in (("i", "input"), ("o", "output")):
                rules = RULES.format(name=name, hook=hook, percent=percent)
                self._run([*enter, "nft", "-f", "-"], rules)
        except BaseException:
            self.close()
            raise

    def _run(self, words: list[str], given: str = "") -> None:
        done = subprocess.run(words, input=given, text=True, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"a link that loses packets: {done.stderr.strip().splitlines()[-1]}")

    def server(self) -> socket.socket:
        """A listening socket inside; a socket stays where it was made, whoever uses it."""
        made: list[socket.socket] = []

        def make() -> None:
            enter = ctypes.CDLL(None, use_errno=True).setns
            with open(f"/proc/{self._pid}/ns/net") as there:
                if enter(there.fileno(), 0) == 0:
                    made.append(socket.create_server((self.address, 2775)))

        thread = threading.Thread(target=make)  # which ends, so that nobody else is moved
        thread.start()
        thread.join()
        if not made:
            self.close()
            pytest.skip("a link that loses packets: no way into the namespace")
        return made[0]

    def dropped(self) -> int:
        """Packets that were lost so far."""
        words = ["nsenter", "-t", str(self._pid), "-n", "nft", "list", "ruleset"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        return sum(map(int, re.findall(r"counter packets (\d+)", said)))

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()  # the namespace goes with its last process, and the link with it

    def __enter__(self) -> LossyLink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
