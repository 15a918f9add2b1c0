"""G18: reloads."""

from __future__ import annotations

import signal
import time

import pytest

from tests.guarantees.conftest import Record
from tests.live.harness import Rig, drain, kannel_conf, until
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


def test_g18_reload_under_load(rig: Rig, record: Record, long: bool) -> None:
    """SIGHUP without a change, and with a broken file: binds stay, calls are answered."""
    reloads = 100 if long else 9
    smsc = rig.smsc({"dlr-delay-ms": -1})
    gateway = rig.gateway(kannel_conf(rig))
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    good = gateway.configuration.read_text()
    seconds = reloads * 0.3
    total = int(200 * seconds)
    caller = rig.caller({"total": total, "rate": 200, "conns": 8, "timeout-s": 20})
    assert gateway.process is not None
    for number in range(reloads):
        broken = number % 3 == 2
        gateway.configuration.write_text(good + "\ngroup = nonsense\nx = y\n" if broken else good)
        gateway.process.send_signal(signal.SIGHUP)
        time.sleep(0.25)
    gateway.configuration.write_text(good)
    until(lambda: not caller.running, seconds + 30)
    told = caller.end()
    drain(lambda: smsc.acked, told["ok"], stall=10, cap=30)
    losses = sum(value for name, value in gateway.metrics().items() if "bind_losses_total" in name)
    refused = total - told["ok"]
    figure = f"{losses:.0f} binds dropped, {refused} calls refused"
    holds = gateway.running and not losses and not refused
    fault = f"{reloads} x SIGHUP, every third with a broken file"
    record(Verdict("G18 reload keeps binds", fault, total, figure, holds))
