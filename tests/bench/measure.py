"""One run of one scenario against one gateway: everything is started, measured and stopped."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from tests.bench.backlog import measure_backlog
from tests.bench.load import SINK_PORT, SMSC_PORT, measure_load
from tests.bench.loadtools import Tool, until
from tests.bench.peers.base import Peer, usage
from tests.bench.scenario import Record, Scenario


def run(
    kind: type[Peer],
    scenario: Scenario,
    *,
    messages: int,
    seconds: int,
    backlog: int,
    work: Path,
    repetition: int = 1,
) -> Record:
    """Start everything, run `scenario` once, stop everything; faults of the gateway go to `error`.

    `messages` is for closed loops, `seconds` for open ones and for idle binds.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"{kind.name}.{scenario.name}.", dir=work))
    record = Record(kind.name, scenario.name, repetition=repetition)
    tools: list[Tool] = []
    peer = kind(folder, smsc_port=SMSC_PORT, sink_port=SINK_PORT, binds=scenario.binds)
    machine, own = _busy(), _own()
    try:
        if scenario.kind == "idle":
            _idle(peer, record, seconds=seconds, tools=tools)
        elif scenario.kind == "backlog":
            measure_backlog(peer, record, total=backlog, tools=tools)
        else:
            total = scenario.total(messages, seconds)
            measure_load(peer, scenario, record, total=total, tools=tools)
    except (OSError, RuntimeError) as error:
        record.error = f"{type(error).__name__}: {error}"
    finally:
        for tool in tools:
            tool.end()
        peer.stop()
        shutil.rmtree(folder, ignore_errors=True)
    record.other_cpu_s = round(_busy() - machine - (_own() - own), 2)
    return record


def _idle(peer: Peer, record: Record, *, seconds: int, tools: list[Tool]) -> None:
    smsc = Tool("smscsim", peer.folder, {"port": SMSC_PORT})
    tools.append(smsc)
    peer.start()
    if not until(lambda: smsc.binds >= peer.binds, 60):
        raise RuntimeError(f"{smsc.binds} of {peer.binds} binds within a minute")
    time.sleep(1)  # what the start has still to do is not idling
    begin, (cpu_before, _) = time.monotonic(), usage(peer.pids)
    time.sleep(seconds)
    cpu_after, rss = usage(peer.pids)
    record.idle_cpu_pct = round(100 * (cpu_after - cpu_before) / (time.monotonic() - begin), 2)
    record.rss_mb = round(rss, 1)


def _busy() -> float:
    """CPU seconds that the whole machine has worked since it started."""
    with open("/proc/stat") as f:
        ticks = [int(word) for word in f.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def _own() -> float:
    """CPU seconds of this process and of the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
