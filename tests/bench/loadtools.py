"""The load tools in C (tools/), built on demand and driven from Python.

Each tool shows its counters in a memory-mapped file while it works, writes a JSON summary at its
end, and dumps one octet per message id (how often it was seen), which tells loss and duplicates.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).resolve().parent / "tools"

# The live counters of each tool, in the order of the enum that its source opens with.
_COUNTERS = """
smscsim: rx uniq dup acked outst binds mo_sent mo_acked dlr_sent dlr_acked mo_nack throttled err
    first last conns mo_start mo_last
httpsink: req mo mo_dup dlr dlr_dup failed dropped conns accepted first last
mtload: sent done ok other err first last connects
"""


def _positions(table: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    counters: dict[str, int] = {}
    for word in table.split():
        if word.endswith(":"):
            counters = found.setdefault(word[:-1], {})
        else:
            counters[word] = len(counters)
    return found


COUNTERS = _positions(_COUNTERS)


class NoCompiler(Exception):
    """There is neither a C compiler nor make, so the tools cannot be built."""


def build() -> None:
    """Build the tools where they are older than their source.

    Raises `NoCompiler` where that is impossible, `subprocess.CalledProcessError` where it fails.
    """
    if not (shutil.which("gcc") and shutil.which("make")):
        raise NoCompiler("the load tools are written in C: install gcc, make and libc6-dev")
    with (TOOLS / "Makefile").open() as lock:  # parallel test workers may all want them first
        fcntl.flock(lock, fcntl.LOCK_EX)
        subprocess.run(["make", "-s", "-C", str(TOOLS)], check=True, stdout=subprocess.DEVNULL)


class Tool:
    """One running tool; its counters are attributes (`smsc.acked`), the list is `COUNTERS`."""

    def __init__(
        self, tool: str, folder: Path, options: Mapping[str, object], *, tag: str = ""
    ) -> None:
        """Start `tool` with its files in `folder`; ``{"mo-window": 50}`` is ``--mo-window 50``.

        `tag` names its files where two of a kind run.
        """
        tag = tag or tool
        self.name = tool
        self._live = folder / f"{tag}.live"
        self._out = folder / f"{tag}.json"
        self._dump = folder / tag
        argv = [str(TOOLS / "bin" / tool), "--live", str(self._live), "--out", str(self._out)]
        argv += ["--dump", str(self._dump)]
        for key, value in options.items():
            argv += [f"--{key}", str(value)]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
        while not self._live.exists() or self._live.stat().st_size < 256:
            if self.process.poll() is not None:
                raise RuntimeError(f"{tool} ended with {self.process.returncode}: {argv}")
            time.sleep(0.005)

    def __getattr__(self, counter: str) -> int:
        try:
            position = COUNTERS[self.name][counter]
        except KeyError:
            raise AttributeError(counter) from None
        with self._live.open("rb") as f:
            f.seek(8 * position)
            return int(struct.unpack("<Q", f.read(8))[0])

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def toggle_silence(self) -> None:
        """smscsim: stop answering submit_sm, or answer again what has waited."""
        self.process.send_signal(signal.SIGUSR1)

    def begin_mo(self) -> None:
        """smscsim with ``mo-delay-ms`` -1: deliver the MO now."""
        self.process.send_signal(signal.SIGUSR2)

    def end(self) -> dict[str, Any]:
        """End the tool and return its summary."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        summary: dict[str, Any] = json.loads(self._out.read_text())
        return summary

    def seen(self, kind: str) -> bytes:
        """After `end`: one octet per id, how often it was seen.

        mtload: ``accepted``; smscsim: ``rx``, ``acked``, ``moacked``; httpsink: ``mo``, ``dlr``.
        """
        path = Path(f"{self._dump}.{kind}")
        return path.read_bytes() if path.exists() else b""


def until(condition: Callable[[], bool], timeout: float, step: float = 0.02) -> bool:
    """Whether `condition` came true within `timeout` seconds, looked at every `step`."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True


def drain(
    value: Callable[[], int],
    target: int,
    *,
    stall: float = 8.0,
    cap: float = 240.0,
    sample: Callable[[], None] | None = None,
) -> bool:
    """Wait until `value` reaches `target`; False once it has not moved for `stall` seconds."""
    last, moved = -1, time.monotonic()
    end = moved + cap
    while (now := time.monotonic()) < end:
        if sample:
            sample()
        seen = value()
        if seen >= target:
            return True
        if seen != last:
            last, moved = seen, now
        elif now - moved > stall:
            return False
        time.sleep(0.05)
    return False
