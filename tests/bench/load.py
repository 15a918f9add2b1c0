"""One load through one gateway, end to end: counted at the simulated SMSC and at the HTTP sink.

Nothing is counted at HTTP accept, so a gateway that takes messages faster than it hands them on
gains nothing by it. A message carries its id and the time of its request through the gateway.
"""

from __future__ import annotations

import time

from tests.bench.loadtools import Tool, drain, until
from tests.bench.peers.base import PORT0, Peer, peak_mb, usage
from tests.bench.scenario import Flow, Record, Scenario

SMSC_PORT, SINK_PORT = PORT0 + 50, PORT0 + 51
WARM_UP = 300  # messages sent before the clock starts
RAMP_US = 1000  # between two new connections: all at once overflow the listen queue of Kannel


def measure_load(
    peer: Peer, what: Scenario, record: Record, *, total: int, tools: list[Tool]
) -> None:
    """Offer `total` messages, wait for the last one, and write what arrived into `record`."""
    parts = what.parts
    warm = WARM_UP if what.mt else 0
    folder = peer.folder
    smsc_options: dict[str, object] = {"port": SMSC_PORT, "skip-below": warm * parts}
    smsc_options["dlr-delay-ms"] = 0 if what.reports else -1
    smsc_options["mo-window"] = what.deliver_window
    if what.mo:
        smsc_options |= {"mo": total, "mo-rate": what.rate}
        smsc_options["mo-delay-ms"] = -1 if what.mt else 1500  # mixed: together with the MT
    smsc = Tool("smscsim", folder, smsc_options)
    tools.append(smsc)
    # Kannel answers a subscriber with what the platform says: say nothing.
    sink = Tool("httpsink", folder, {"port": SINK_PORT, "body": "", "skip-below": warm})
    tools.append(sink)
    peer.start()
    if not until(lambda: smsc.binds > 0, 60):
        raise RuntimeError("the gateway has not bound within a minute")

    def load(tag: str, first: int, count: int, connections: int, rate: int = 0) -> Tool:
        options: dict[str, object] = {"port": peer.http_port, "total": count, "max-s": 120}
        options |= {"path": peer.path(reports=what.reports), "first-id": first}
        options |= {"conns": connections, "rate": rate, "parts": parts}
        options |= {"keepalive": int(what.keep_alive), "ramp-us": 0 if rate else RAMP_US}
        tool = Tool("mtload", folder, options, tag=tag)
        tools.append(tool)
        return tool

    if warm:
        first = load("warm", 0, warm, 4)
        until(lambda: not first.running, 65)
        drain(lambda: smsc.uniq, warm * parts, stall=5)
        if what.reports:
            drain(lambda: sink.dlr, warm, stall=10)
    cpu_before, _ = usage(peer.pids)
    mt: Tool | None = None
    if what.mt:
        mt = load("load", warm, total, what.connections, what.rate)

    if what.mt and what.mo:
        smsc.begin_mo()

    def sample() -> None:
        waiting = (mt.ok + warm) * parts - smsc.uniq if mt else 0
        record.backlog = max(record.backlog, waiting, smsc.mo_acked - sink.mo)

    while mt and mt.running:
        sample()
        time.sleep(0.05)
    if mt:
        accepted = mt.ok + warm
        drain(lambda: smsc.acked, accepted * parts, sample=sample)
        if what.reports:
            drain(lambda: sink.dlr, accepted, stall=12, sample=sample)
    if what.mo:
        until(lambda: smsc.mo_start > 0, 10)
        drain(lambda: sink.mo, total, sample=sample)
        drain(lambda: smsc.mo_acked, total)
    cpu_after, _ = usage(peer.pids)
    record.rss_mb = round(peak_mb(peer.pids), 1)
    time.sleep(0.2)  # a duplicate would come now
    at_smsc, at_sink = smsc.end(), sink.end()
    if mt:
        load_side = mt.end()
        segments = at_smsc["acked_unique"] - warm * parts
        record.flows["mt"] = Flow(
            rate=_rate(segments / parts, load_side["first_us"], at_smsc["last_us"]),
            p50_ms=at_smsc["submit_e2e"]["p50_ms"],
            p99_ms=at_smsc["submit_e2e"]["p99_ms"],
            count=segments // parts,
            lost=(load_side["ok"] + warm) * parts - at_smsc["acked_unique"],
            duplicates=at_smsc["duplicates"],
        )
        if load_side["ok"] < total:
            record.error = f"{total - load_side['ok']} requests refused: {load_side['codes']}"
        if what.reports:
            record.flows["dlr"] = Flow(
                rate=_rate(
                    at_sink["dlr_unique"] - warm, load_side["first_us"], at_sink["dlr_last_us"]
                ),
                p50_ms=at_sink["dlr_e2e"]["p50_ms"],
                p99_ms=at_sink["dlr_e2e"]["p99_ms"],
                count=at_sink["dlr_unique"] - warm,
                lost=at_smsc["dlr_made"] - at_sink["dlr_unique"],
                duplicates=at_sink["dlr_duplicates"],
            )
    if what.mo:
        record.flows["mo"] = Flow(
            rate=_rate(at_sink["mo_unique"], at_smsc["mo_first_us"], at_sink["mo_last_us"]),
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


def _rate(count: float, first_us: int, last_us: int) -> float:
    return round(count / (last_us - first_us) * 1e6, 1) if last_us > first_us else 0.0
