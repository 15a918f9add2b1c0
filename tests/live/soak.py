"""`make soak`: load for half an hour with a fault each minute; what grows is a leak.

Memory must not rise by more than 5 % from the end of the first quarter on; descriptors, timers and
tasks must be what they were. Faults are such that the process lives through: a silent SMSC, a lost
link, a platform that fails, a reload, a caller that goes away in the middle of its request.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from tests.bench.loadtools import NoCompiler, build
from tests.live.harness import Gateway, Rig, drain, kannel_conf, until
from tests.live.torture import Verdict, table

RSS_GROWTH = 0.05
THREADS = 12  # the reactor's, the store's, and the pool of the reactor, which has ten at most


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment."""

    rss: float  # MiB
    descriptors: int
    threads: int
    timers: float


def sample(gateway: Gateway) -> Sample:
    assert gateway.process is not None
    pid = gateway.process.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return Sample(
        rss=pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        descriptors=len(os.listdir(f"/proc/{pid}/fd")),
        threads=len(os.listdir(f"/proc/{pid}/task")),
        timers=gateway.metrics().get("gatewayd_timers", 0.0),
    )


class Soak:
    """One run in an empty folder. `fault_every` seconds apart."""

    def __init__(
        self, rig: Rig, seconds: float, *, rate: int = 100, fault_every: float = 60.0
    ) -> None:
        self.rig, self.seconds, self.rate = rig, seconds, rate
        self.fault_every = fault_every
        self.random = random.Random(7)
        self.gateway = rig.gateway(kannel_conf(rig, window=20, binds=2))
        self.samples: list[Sample] = []
        self.faults = 0

    def run(self) -> list[Verdict]:
        seconds, rate = self.seconds, self.rate
        smsc = self.rig.smsc(
            {"resp-delay-ms": 5, "mo": int(rate * seconds / 2), "mo-rate": rate // 2}
        )
        platform = self.rig.platform({"delay-ms": 5})
        self.gateway.start()
        until(lambda: smsc.binds >= 2, 20)
        total = int(rate * seconds)
        caller = self.rig.caller(
            {"total": total, "rate": rate, "conns": 8, "timeout-s": 30}, reports=True
        )
        faults: list[Callable[[], None]] = [
            lambda: self._silence(smsc),
            self._reload,
            self._half_a_request,
            self._stopped_for_a_moment,
        ]
        began = time.monotonic()
        due = began + self.fault_every
        while (now := time.monotonic()) < began + seconds:
            if now >= due:
                faults[self.faults % len(faults)]()
                self.faults += 1
                due += self.fault_every
            time.sleep(min(1.0, seconds / 120))
            with contextlib.suppress(OSError):
                self.samples.append(sample(self.gateway))
        until(lambda: not caller.running, 60)
        accepted = caller.end()["ok"]
        drain(lambda: smsc.acked, accepted, stall=15, cap=60)
        drain(lambda: platform.dlr, accepted, stall=15, cap=60)
        time.sleep(2)  # idle: what is left now is left for good
        end = sample(self.gateway)
        at_smsc = smsc.end()
        stopped = self.gateway.stop()
        return self._judge(accepted, at_smsc, end, stopped)

    def _judge(
        self, accepted: int, at_smsc: dict[str, int], end: Sample, stopped: int
    ) -> list[Verdict]:
        what = f"{self.seconds / 60:.0f} min, {self.faults} faults"
        quarter = len(self.samples) // 4
        early = mean(s.rss for s in self.samples[quarter : 2 * quarter])
        late = mean(s.rss for s in self.samples[-quarter:])
        growth = late / early - 1
        most = max(s.descriptors for s in self.samples[quarter : 2 * quarter])
        threads = {s.threads for s in self.samples}
        timers = max(s.timers for s in self.samples[quarter : 2 * quarter])
        lost = accepted - at_smsc["acked_unique"]
        return [
            Verdict(
                "G31 memory does not grow",
                what,
                len(self.samples),
                f"{early:.1f} MiB, then {late:.1f} MiB: {growth:+.1%}",
                growth < RSS_GROWTH,
            ),
            Verdict(
                "G31 descriptors, threads and timers stay what they were",
                what,
                len(self.samples),
                f"{end.descriptors} of {most} descriptors,"
                f" {min(threads)} to {max(threads)} threads"
                f" (pool: 10), {end.timers:.0f} of {timers:.0f} timers",
                end.descriptors <= most and max(threads) <= THREADS and end.timers <= timers + 5,
            ),
            Verdict("G31 nothing is lost meanwhile", what, accepted, f"{lost} lost", not lost),
            Verdict("G31 it ends cleanly", what, 1, f"exit status {stopped}", stopped == 0),
        ]

    # ---- faults

    def _silence(self, smsc: object) -> None:
        toggle = smsc.toggle_silence  # type: ignore[attr-defined]
        toggle()
        time.sleep(2)
        toggle()

    def _reload(self) -> None:
        assert self.gateway.process is not None
        self.gateway.process.send_signal(signal.SIGHUP)

    def _half_a_request(self) -> None:
        for _ in range(20):
            with contextlib.closing(
                socket.create_connection(("127.0.0.1", self.rig.sendsms_port))
            ) as s:
                s.sendall(b"GET /cgi-bin/sendsms?username=u&pass")

    def _stopped_for_a_moment(self) -> None:
        assert self.gateway.process is not None
        self.gateway.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
        self.gateway.process.send_signal(signal.SIGCONT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=int, default=100, help="messages a second")
    chosen = parser.parse_args()
    try:
        build()
    except NoCompiler as error:
        print(error)
        return 1
    with tempfile.TemporaryDirectory(prefix="gatewayd-soak-") as folder, Rig(Path(folder)) as rig:
        verdicts = Soak(rig, chosen.minutes * 60, rate=chosen.rate).run()
    print(table(verdicts))
    return 0 if all(verdict.holds for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
