"""A queue that grows to a million and drains: what a message costs by how many wait before it.

While it grows the SMSC is bound and answers `TRICKLE` submits a second, so that nothing runs into
a timeout and nearly everything waits. Then that SMSC goes away, and one that is quick comes back
on the same port. Time, CPU and memory of each tenth are kept: cost must not grow with the queue.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from itertools import zip_longest

from tests.bench.load import RAMP_US, SMSC_PORT
from tests.bench.loadtools import Tool, drain, until
from tests.bench.peers.base import Peer, peak_mb, usage
from tests.bench.scenario import Flow, Record, Slice

TRICKLE = 10
SLICES = 10


def measure_backlog(peer: Peer, record: Record, *, total: int, tools: list[Tool]) -> None:
    """Queue `total` messages, drain them, and write both into `record`."""
    slow = Tool(
        "smscsim",
        peer.folder,
        {"port": SMSC_PORT, "resp-rate": TRICKLE, "dlr-delay-ms": -1},
        tag="slow",
    )
    tools.append(slow)
    peer.start()
    if not until(lambda: slow.binds > 0, 60):
        raise RuntimeError("the gateway has not bound within a minute")
    _, empty = usage(peer.pids)
    accepted = _fill(peer, record, slow, total, tools)
    _, full = usage(peer.pids)
    record.backlog = accepted - slow.acked
    record.queued_bytes = round((full - empty) * 1e6 / max(1, record.backlog), 1)
    slow.end()
    quick = Tool("smscsim", peer.folder, {"port": SMSC_PORT, "dlr-delay-ms": -1}, tag="quick")
    tools.append(quick)
    if not until(lambda: quick.acked > 0, 90, 0.005):
        raise RuntimeError("nothing arrives at the SMSC that came back")
    waiting = record.backlog
    rate = _drain(peer, record, quick, waiting)
    record.rss_mb = round(peak_mb(peer.pids), 1)
    time.sleep(0.2)  # a duplicate would come now
    again = quick.end()["duplicates"]
    lost, doubled = compare(accepted, slow.seen("acked"), quick.seen("acked"))
    record.flows["mt"] = Flow(rate, 0.0, 0.0, waiting, lost, again + doubled)
    record.cpu_us = _mean([part for part in record.slices if part.phase == "drain"])


def _fill(peer: Peer, record: Record, slow: Tool, total: int, tools: list[Tool]) -> int:
    accepted = 0
    for number in range(SLICES):
        first, last = total * number // SLICES, total * (number + 1) // SLICES
        options: dict[str, object] = {"port": peer.http_port, "path": peer.path(reports=False)}
        options |= {"conns": 32, "first-id": first, "total": last - first, "max-s": 300}
        options["ramp-us"] = RAMP_US
        cpu_before, _ = usage(peer.pids)
        load = Tool("mtload", peer.folder, options, tag=f"fill{number}")
        tools.append(load)
        with contextlib.suppress(subprocess.TimeoutExpired):
            load.process.wait(310)
        cpu_after, rss = usage(peer.pids)
        side = load.end()
        accepted += side["ok"]
        if side["ok"] < last - first:
            record.error = f"{last - first - side['ok']} requests refused: {side['codes']}"
        record.slices.append(
            Slice(
                "fill",
                accepted - slow.acked,
                side["ok"],
                round(side["seconds"], 3),
                round((cpu_after - cpu_before) / max(1, side["ok"]) * 1e6, 1),
                round(rss, 1),
            )
        )
        if record.error:
            break
    return accepted


def _drain(peer: Peer, record: Record, quick: Tool, waiting: int) -> float:
    """Wait for all of `waiting`; the rate from the first answer to the last."""
    done, begin = quick.acked, time.monotonic()
    start, first = begin, done
    cpu, _ = usage(peer.pids)
    for number in range(1, SLICES + 1):
        target = waiting * number // SLICES
        complete = drain(lambda: quick.acked, target, stall=30, cap=900)
        now, acked, (used, rss) = time.monotonic(), quick.acked, usage(peer.pids)
        record.slices.append(
            Slice(
                "drain",
                waiting - acked,
                acked - done,
                round(now - begin, 3),
                round((used - cpu) / max(1, acked - done) * 1e6, 1),
                round(rss, 1),
            )
        )
        done, begin, cpu = acked, now, used
        if not complete:
            record.error = f"{waiting - acked} never arrived"
            break
    return round((done - first) / max(0.001, begin - start), 1)


def compare(accepted: int, before: bytes, after: bytes) -> tuple[int, int]:
    """How many of `accepted` neither SMSC answered, and how many both did (octets by id)."""
    arrived = doubled = 0
    for first, second in zip_longest(before, after, fillvalue=0):
        arrived += bool(first or second)
        doubled += bool(first and second)
    return accepted - arrived, doubled


def _mean(slices: list[Slice]) -> float:
    count = sum(part.count for part in slices)
    return round(sum(part.cpu_us * part.count for part in slices) / max(1, count), 1)
