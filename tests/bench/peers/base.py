"""What a measured gateway must offer: start, stop, its processes, its sendsms URL."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

PORT0 = int(os.environ.get("BENCH_PORT", "23100"))


def wait_port(port: int, timeout: float = 30.0) -> None:
    """Return once something listens on `port` of 127.0.0.1; raises TimeoutError."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/PID/stat after the name: first the state, then the parent."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def tree(pids: Iterable[int]) -> list[int]:
    """`pids` and all their living descendants."""
    parent: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                fields = _stat(name)
                if fields[0] != "Z":
                    parent[int(name)] = int(fields[1])
    found = {pid for pid in pids if pid in parent}
    while more := {c for c, p in parent.items() if p in found and c not in found}:
        found |= more
    return sorted(found)


def usage(pids: Iterable[int]) -> tuple[float, float]:
    """CPU seconds used so far and resident MB (10^6) of the process trees below `pids`."""
    cpu = rss = 0.0
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for pid in tree(pids):
        with contextlib.suppress(OSError):
            fields = _stat(pid)
            cpu += (int(fields[11]) + int(fields[12])) / tick
            rss += int(fields[21]) * page / 1e6
    return cpu, rss


def peak_mb(pids: Iterable[int]) -> float:
    """The most that the trees below `pids` had resident, in MB: each process at its peak."""
    total = 0.0
    for pid in tree(pids):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) * 1024 / 1e6
    return total


class Peer:
    """One gateway under load; a subclass sets `http_port` and says how to start and call it."""

    name = ""
    durable = ""  # one line: what survives kill -9
    http_port = PORT0 + 2

    def __init__(self, folder: Path, *, smsc_port: int, sink_port: int, binds: int = 1) -> None:
        self.folder, self.smsc_port, self.sink_port = folder, smsc_port, sink_port
        self.binds = binds
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        raise NotImplementedError

    def path(self, *, reports: bool) -> str:
        """The sendsms URL as a template of mtload; with `reports`, a dlr-url is asked for."""
        raise NotImplementedError

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def spawn(self, argv: Sequence[str], *, log: str, env: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{log}.out").open("ab") as out:
            self._processes.append(
                subprocess.Popen(
                    argv,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd=self.folder,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                )
            )

    def stop(self) -> None:
        """SIGTERM, five seconds of patience, SIGKILL; children too."""
        for process in self._processes:
            process.terminate()
        end = time.monotonic() + 5
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
        for pid in tree(self.pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        self._processes = []
