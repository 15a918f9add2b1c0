"""Hostile input by the thousand: `python -m tests.badinput.fuzz --seconds 600` for a long run.

A target makes a case (octets) out of chance, and tries it: what it raises is a finding. The quick
form runs in every test run with fixed seeds; a case that was found is kept as a file under
tests/golden/fuzz/<target>/, and is tried again in every run. The long form says how many cases a
second were tried, and which took longest.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random, SystemRandom
from time import perf_counter, process_time

from tests.badinput import fuzz_files, fuzz_http, fuzz_smsc
from tests.badinput.chance import ROOT

KEPT = ROOT / "tests" / "golden" / "fuzz"
MEANT = 0.05  # seconds of work that one case may cost
SLOW = 0.25  # what makes it a finding: machines are shared
CASES = 10_000


class Target:
    def __init__(
        self, share: int, make: Callable[[Random], bytes], attempt: Callable[[bytes], None]
    ) -> None:
        self.share = share  # of 100
        self.make = make
        self.attempt = attempt


FUZZED = {
    "http": Target(16, fuzz_http.make_http, fuzz_http.try_http),
    "sendsms": Target(16, fuzz_http.make_sendsms, fuzz_http.try_sendsms),
    "smpp": Target(14, fuzz_smsc.make_smpp, fuzz_smsc.try_smpp),
    "ucp": Target(12, fuzz_smsc.make_ucp, fuzz_smsc.try_ucp),
    "cimd2": Target(12, fuzz_smsc.make_cimd2, fuzz_smsc.try_cimd2),
    "receipt": Target(6, fuzz_smsc.make_receipt, fuzz_smsc.try_receipt),
    "text": Target(6, fuzz_smsc.make_text, fuzz_smsc.try_text),
    "yaml": Target(3, fuzz_files.make_yaml, fuzz_files.try_yaml),
    "kannel": Target(5, fuzz_files.make_kannel, fuzz_files.try_kannel),
    "platform": Target(6, fuzz_http.make_platform, fuzz_http.try_platform),
    "url": Target(4, fuzz_http.make_url, fuzz_http.try_url),
}


def attempt(name: str, case: bytes) -> str:
    """Try one case; what was found, or ""."""
    return timed(name, case)[0]


def timed(name: str, case: bytes) -> tuple[str, float]:
    """Try one case; what was found, or "", and the seconds of work that it cost."""
    found, spent = _once(name, case)
    if not found and spent > SLOW:  # a collection of the whole suite's garbage may fall into it
        spent = min(spent, _once(name, case)[1])
    if found:
        return found, spent
    return (f"took {spent:.2f} s" if spent > SLOW else ""), spent


def _once(name: str, case: bytes) -> tuple[str, float]:
    began = process_time()
    try:
        FUZZED[name].attempt(case)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return f"{type(error).__name__}: {error}"[:300], process_time() - began
    return "", process_time() - began


def cases(name: str, seed: str, count: int) -> list[bytes]:
    """So many cases of a target; the same for the same seed."""
    chance = Random(f"{name} {seed}")
    return [FUZZED[name].make(chance) for _ in range(count)]


def keep(name: str, case: bytes) -> Path:
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(case).hexdigest()[:16]}.bin"
    path.write_bytes(case)
    return path


class Tally:
    """What was tried of one target."""

    def __init__(self) -> None:
        self.tried = self.above = 0
        self.spent = self.slowest = 0.0

    def add(self, spent: float) -> None:
        self.tried += 1
        self.spent += spent
        self.slowest = max(self.slowest, spent)
        self.above += spent > MEANT

    def line(self, name: str) -> str:
        rate = self.tried / self.spent if self.spent else 0.0
        return (
            f"{name:9} {self.tried:9,} cases  {rate:8,.0f} cases/s"
            f"  slowest {self.slowest * 1000:6.1f} ms  {self.above} above {MEANT * 1000:.0f} ms"
        )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Tries hostile input for a while.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--target", choices=sorted(FUZZED), action="append")
    parser.add_argument("--seed", default="")
    options = parser.parse_args(arguments)
    names = options.target or list(FUZZED)
    seed = options.seed or str(SystemRandom().randrange(1 << 32))
    tallies = {name: Tally() for name in names}
    began, found, turn = perf_counter(), 0, 0
    seen: set[str] = set()
    while perf_counter() - began < options.seconds:
        for name in names:
            for case in cases(name, f"{seed}/{turn}", FUZZED[name].share * 5):
                what, spent = timed(name, case)
                tallies[name].add(spent)
                if what and f"{name} {what[:60]}" not in seen:
                    seen.add(f"{name} {what[:60]}")
                    found += 1
                    print(f"{name}: {what}\n  kept as {keep(name, case)}", flush=True)
        turn += 1
    for name, tally in tallies.items():
        print(tally.line(name))
    tried = sum(tally.tried for tally in tallies.values())
    print(f"seed {seed}: {tried:,} cases in {perf_counter() - began:.0f} s, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
