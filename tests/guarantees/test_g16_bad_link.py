"""G16: a bad link is not a dead link."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from tests.guarantees.bad_link import LossyLink, Relay
from tests.guarantees.conftest import Record
from tests.live.harness import PORTS, Rig, drain, until
from tests.live.torture import Verdict
from tests.live.yaml_conf import yaml_conf

pytestmark = [pytest.mark.live, pytest.mark.waits]

DELAY = 0.6


def sent_over(rig: Rig, host: str, port: int, seconds: int, fault: str) -> Verdict:
    """Ten messages a second for `seconds`, and the rest; the SMSC is reached at host and port."""
    smsc = rig.smsc({"dlr-delay-ms": -1})
    smscs = {"live": {"host": host, "port": port, "window": 50}}
    gateway = rig.gateway(yaml_conf(rig, smscs=smscs), suffix=".yaml")
    gateway.start()
    assert until(lambda: smsc.binds > 0, 60), gateway.tail()
    caller = rig.caller({"total": 10 * seconds, "rate": 10, "conns": 4, "timeout-s": 20})
    until(lambda: not caller.running, seconds + 20)
    told = caller.end()
    drain(lambda: smsc.uniq, told["ok"], stall=60, cap=120)
    drain(lambda: -smsc.outst, 0, stall=10, cap=30)
    losses = sum(value for name, value in gateway.metrics().items() if "bind_losses_total" in name)
    uncertain = sum(v for k, v in gateway.metrics().items() if "uncertain_total" in k)
    gateway.kill()
    seen = smsc.end()
    lost = told["ok"] - seen["acked_unique"]
    twice = seen["duplicates"]
    figure = f"{losses:.0f} reconnects, {lost} lost, {twice} twice ({uncertain:.0f} uncertain)"
    holds = losses <= 1 and not lost and twice <= uncertain
    return Verdict("G16 a bad link is not a dead link", fault, told["ok"], figure, holds)


def test_g16_delay(rig: Rig, record: Record, long: bool) -> None:
    seconds = 60 if long else 1
    port = PORTS.take()
    relay = Relay(socket.create_server(("127.0.0.1", port)), rig.smsc_port, DELAY)
    fault = f"{DELAY} s each way for {seconds} s"
    record(sent_over(rig, "127.0.0.1", port, seconds, fault))
    relay.close()


def test_g16_loss_and_delay(rig: Rig, record: Record, long: bool) -> None:
    seconds, percent = 300 if long else 2, 30
    with LossyLink(percent) as link:
        server = link.server()
        relay = Relay(server, rig.smsc_port, DELAY)
        host, port = server.getsockname()
        fault = f"{percent} % of packets lost, {DELAY} s delay, each way, for {seconds} s"
        verdict = sent_over(rig, host, port, seconds, fault)
        dropped = link.dropped()
        figure = f"{verdict.figure}; {dropped:,} packets dropped"
        record(replace(verdict, figure=figure, holds=verdict.holds and dropped > 0))
        relay.close()
