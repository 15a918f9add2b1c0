"""One scenario against one gateway, end to end: counted at the simulated SMSC and at the HTTP sink.

Nothing is counted at HTTP accept, so a gateway that takes messages faster than it hands them on
gains nothing by it. A message carries its id and the time of its request through the gateway.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.loadtools import Tool, drain, until
from tests.bench.peers.base import PORT0, Peer, usage

SMSC_PORT, SINK_PORT = PORT0 + 50, PORT0 + 51
WARM_UP = 300  # messages sent before the clock starts


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is offered. `rate` 0 is a closed loop: as fast as the gateway answers."""

    name: str
    about: str
    mt: bool = True
    mo: bool = False
    reports: bool = False  # with dlr-url; each message has a receipt at once and a call-back
    connections: int = 32
    mo_window: int = 50
    rate: int = 0

    def total(self, messages: int, seconds: int) -> int:
        return self.rate * seconds if self.rate else messages


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("mt", "sendsms on 32 connections, to the SMSC"),
        Scenario("mt-dlr", "the same with a receipt and a report each", reports=True),
        Scenario("mo", "deliver_sm in a window of 50, to the platform", mt=False, mo=True),
        Scenario("mixed", "both at once, with reports", mo=True, reports=True),
        Scenario("mt-r500", "500 sendsms a second, open loop", rate=500),
        Scenario("mo-r500", "500 deliver_sm a second, open loop", mt=False, mo=True, rate=500),
    )
}


@dataclass(slots=True)
class Flow:
    """What one way did. `rate` is per second; delays are milliseconds from request to arrival."""

    rate: float
    p50_ms: float
    p99_ms: float
    count: int
    lost: int
    duplicates: int


@dataclass(slots=True)
class Record:
    """One run. `flows` by way (mt, dlr, mo); `error` says why there are none."""

    peer: str
    scenario: str
    flows: dict[str, Flow]
    cpu_us: float = 0.0  # CPU of all processes of the gateway, per message or report moved
    rss_mib: float = 0.0
    backlog: int = 0  # most that was accepted and not yet handed on
    other_cpu_s: float = 0.0  # what else worked on the machine meanwhile
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run(kind: type[Peer], scenario: Scenario, *, messages: int, seconds: int, work: Path) -> Record:
    """Start everything, run `scenario` once, stop everything; faults of the gateway go to `error`.

    `messages` is for closed loops, `seconds` for open ones.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{kind.name}.{scenario.name}.", dir=work))
    record = Record(kind.name, scenario.name, {})
    tools: list[Tool] = []
    peer = kind(folder, smsc_port=SMSC_PORT, sink_port=SINK_PORT)
    machine, own = _busy(), _own()
    try:
        total = scenario.total(messages, seconds)
        _measure(peer, scenario, record, total=total, tools=tools)
    except (OSError, RuntimeError) as error:
        record.error = f"{type(error).__name__}: {error}"
    finally:
        for tool in tools:
            tool.end()
        peer.stop()
        shutil.rmtree(folder, ignore_errors=True)
    record.other_cpu_s = round(_busy() - machine - (_own() - own), 2)
    return record


def _measure(peer: Peer, what: Scenario, record: Record, *, total: int, tools: list[Tool]) -> None:
    warm = WARM_UP if what.mt else 0
    folder = peer.folder
    smsc_options: dict[str, object] = {"port": SMSC_PORT, "skip-below": warm}
    smsc_options["dlr-delay-ms"] = 0 if what.reports else -1
    if what.mo:
        smsc_options |= {"mo": total, "mo-rate": what.rate, "mo-window": what.mo_window}
        smsc_options["mo-delay-ms"] = 2500 if what.mt else 1500
    smsc = Tool("smscsim", folder, smsc_options)
    tools.append(smsc)
    # Kannel answers a subscriber with what the platform says: say nothing.
    sink = Tool("httpsink", folder, {"port": SINK_PORT, "body": "", "skip-below": warm})
    tools.append(sink)
    peer.start()
    if not until(lambda: smsc.binds > 0, 60):
        raise RuntimeError("the gateway has not bound within a minute")

    def load(tag: str, first: int, count: int, connections: int, rate: int = 0) -> Tool:
        options: dict[str, object] = {"port": peer.http_port, "total": count, "max-s": 60}
        options |= {"path": peer.path(reports=what.reports), "first-id": first}
        options |= {"conns": connections, "rate": rate}
        tool = Tool("mtload", folder, options, tag=tag)
        tools.append(tool)
        return tool

    if warm:
        first = load("warm", 0, warm, 4)
        until(lambda: not first.running, 65)
        drain(lambda: smsc.uniq, warm, stall=5)
        if what.reports:
            drain(lambda: sink.dlr, warm, stall=10)
    cpu_before, _ = usage(peer.pids)
    mt: Tool | None = None
    if what.mt:
        mt = load("load", warm, total, what.connections, what.rate)

    def sample() -> None:
        waiting = mt.ok + warm - smsc.uniq if mt else 0
        record.backlog = max(record.backlog, waiting, smsc.mo_acked - sink.mo)

    while mt and mt.running:
        sample()
        time.sleep(0.05)
    if mt:
        accepted = mt.ok + warm
        drain(lambda: smsc.acked, accepted, sample=sample)
        if what.reports:
            drain(lambda: sink.dlr, accepted, stall=12, sample=sample)
    if what.mo:
        until(lambda: smsc.mo_start > 0, 10)
        drain(lambda: sink.mo, total, sample=sample)
        drain(lambda: smsc.mo_acked, total)
    cpu_after, rss = usage(peer.pids)
    time.sleep(0.2)  # a duplicate would come now
    at_smsc, at_sink = smsc.end(), sink.end()
    if mt:
        load_side = mt.end()
        record.flows["mt"] = Flow(
            rate=_rate(at_smsc["acked_unique"] - warm, load_side["first_us"], at_smsc["last_us"]),
            p50_ms=at_smsc["submit_e2e"]["p50_ms"],
            p99_ms=at_smsc["submit_e2e"]["p99_ms"],
            count=at_smsc["acked_unique"] - warm,
            lost=load_side["ok"] + warm - at_smsc["acked_unique"],
            duplicates=at_smsc["duplicates"],
        )
        if load_side["ok"] < total:
            record.error = f"{total - load_side['ok']} requests refused: {load_side['codes']}"
        if what.reports:
            record.flows["dlr"] = Flow(
                rate=_rate(at_sink["dlr_unique"] - warm, load_side["first_us"], at_sink["last_us"]),
                p50_ms=at_sink["dlr_e2e"]["p50_ms"],
                p99_ms=at_sink["dlr_e2e"]["p99_ms"],
                count=at_sink["dlr_unique"] - warm,
                lost=at_smsc["dlr_made"] - at_sink["dlr_unique"],
                duplicates=at_sink["dlr_duplicates"],
            )
    if what.mo:
        record.flows["mo"] = Flow(
            rate=_rate(at_sink["mo_unique"], at_smsc["mo_first_us"], at_sink["last_us"]),
            p50_ms=at_sink["mo_e2e"]["p50_ms"],
            p99_ms=at_sink["mo_e2e"]["p99_ms"],
            count=at_sink["mo_unique"],
            lost=at_smsc["mo_acked_unique"] - at_sink["mo_unique"],
            duplicates=at_sink["mo_duplicates"],
        )
        if at_sink["mo_unique"] < total:
            record.error = f"{total - at_sink['mo_unique']} MO never arrived"
    moved = sum(flow.count for flow in record.flows.values())
    record.cpu_us = round((cpu_after - cpu_before) / max(1, moved) * 1e6, 1)
    record.rss_mib = round(rss, 1)


def _rate(count: int, first_us: int, last_us: int) -> float:
    return round(count / (last_us - first_us) * 1e6, 1) if last_us > first_us else 0.0


def _busy() -> float:
    """CPU seconds that the whole machine has worked since it started."""
    with open("/proc/stat") as f:
        ticks = [int(word) for word in f.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
