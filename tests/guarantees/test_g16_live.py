"""G18, G32: reloads, hostile callers."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
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


GARBAGE = (
    b"\x00" * 400,
    b"GET " + b"a" * 200_000,
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET /cgi-bin/sendsms?%zz=%00&to=" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000,
)


def test_g32_bad_input_costs_only_itself(rig: Rig, record: Record, long: bool) -> None:
    seconds = 60 if long else 5
    smsc = rig.smsc({"dlr-delay-ms": -1})
    gateway = rig.gateway(kannel_conf(rig))
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    calm = rig.caller({"total": 400, "rate": 200, "conns": 8}, tag="calm")
    until(lambda: not calm.running, 20)
    before = calm.end()
    caller = rig.caller({"total": 200 * seconds, "rate": 200, "conns": 8, "first-id": 1000})
    thrown = 0
    chance = random.Random(32)
    while caller.running:
        port = chance.choice([rig.sendsms_port, rig.admin_port])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as line:
            line.sendall(chance.choice(GARBAGE))
            thrown += 1
        time.sleep(0.01)
    told = caller.end()
    drain(lambda: smsc.acked, told["ok"] + before["ok"], stall=10, cap=30)
    metrics = gateway.metrics()
    losses = sum(value for name, value in metrics.items() if "bind_losses_total" in name)
    refused = 200 * seconds - told["ok"]
    assert gateway.stop() == 0
    lost = told["ok"] + before["ok"] - smsc.end()["acked_unique"]
    figure = f"{refused} refused, {lost} lost, {losses:.0f} reconnects"
    fault = f"{thrown:,} pieces of garbage"
    holds = not (refused or lost or losses)
    record(Verdict("G32 bad input costs only itself", fault, told["ok"], figure, holds))
