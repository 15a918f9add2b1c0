"""G32: all bad input at once, against a loaded gateway: it costs those who send it, nobody else."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.guarantees.conftest import Record
from tests.guarantees.hostile import HostileCallers, HostilePlatform, HostileSmsc
from tests.live.harness import Gateway, Rig, Tool, drain, until
from tests.live.torture import Verdict

pytestmark = pytest.mark.live

PROTOCOLS = ("smpp", "ucp", "cimd2")
RATE = 100  # of the good caller, and of the good SMSC's MO
PATH = "/cgi-bin/sendsms?username=good&password=pw&from=8000&to={to}&text={text}"

CONFIG = """\
smscs:
  - id: good
    host: 127.0.0.1
    port: {good}
    system-id: u
    password: p
    window: 50
    allowed-ids: [good]
{hostile}
users:
  - {{username: good, password: pw, forced-smsc: good}}
  - {{username: u, password: p, forced-smsc: bad-smpp, max-queued: 300}}
channels:
  - name: good
    format: kannel
    get-url: "http://127.0.0.1:{platform}/mo?from=%p&to=%P&text=%a"
    smscs: [good]
  - name: bad
    format: rapidpro
    url: "http://127.0.0.1:{hostile_platform}/receive?m=%b"
    smscs: [bad-smpp, bad-ucp, bad-cimd2]
    retry: {{first: 1s, cap: 1s, times: 2, horizon: 5s, dead-letters: false}}
http: {{sendsms: "127.0.0.1:{sendsms}", admin: "127.0.0.1:{admin}", admin-password: admin-pw}}
"""

HOSTILE = """\
  - id: bad-{protocol}
    protocol: {protocol}
    host: 127.0.0.1
    port: {port}
    system-id: u
    password: p
    reconnect: {{first: 100ms, cap: 200ms}}
    refused-pause: 1s
    allowed-ids: [bad-{protocol}]
"""


class Good:
    """A caller and an SMSC that do right, before and in the storm."""

    def __init__(self, rig: Rig, seconds: int) -> None:
        self.rig, self.seconds = rig, seconds
        self.accepted = 0

    def load(self, tag: str, first_id: int) -> Tool:
        options = {"path": PATH, "total": RATE * self.seconds, "rate": RATE, "conns": 8}
        return self.rig.caller({**options, "first-id": first_id, "timeout-s": 20}, tag=tag)

    def ended(self, caller: Tool) -> dict[str, Any]:
        until(lambda: not caller.running, self.seconds + 40)
        told = caller.end()
        self.accepted += told["ok"]
        return told


def up(gateway: Gateway) -> bool:
    return gateway.metrics().get('gatewayd_smsc_up{smsc="good"}') == 1


def losses(gateway: Gateway) -> float:
    """Links of the good SMSC that ended."""
    return sum(
        value
        for name, value in gateway.metrics().items()
        if name.startswith("gatewayd_bind_losses_total") and 'smsc="good"' in name
    )


def test_g32_all_03_bad_input_of_every_kind_costs_only_itself(
    rig: Rig, record: Record, long: bool
) -> None:
    seconds = 60 if long else 8
    smsc = rig.smsc({"dlr-delay-ms": -1, "mo": 2 * RATE * seconds, "mo-rate": RATE})
    platform = rig.platform({})
    with ExitStack() as stack:
        smscs = [HostileSmsc(protocol) for protocol in PROTOCOLS]
        hostile_platform = HostilePlatform()
        for each in (*smscs, hostile_platform):
            stack.callback(each.stop)
        hostile = "".join(HOSTILE.format(protocol=s.protocol, port=s.port) for s in smscs)
        config = CONFIG.format(
            good=rig.smsc_port,
            hostile="" if not smscs else hostile,
            platform=rig.platform_port,
            hostile_platform=hostile_platform.port,
            sendsms=rig.sendsms_port,
            admin=rig.admin_port,
        )
        gateway = rig.gateway(config, suffix=".yaml")
        gateway.configuration.chmod(0o600)
        good = Good(rig, seconds)
        # Before: the same gateway and the same load; the hostile SMSCs are stopped.
        quiet = config.replace(hostile, "").replace("[bad-smpp, bad-ucp, bad-cimd2]", "[]")
        gateway.configuration.write_text(
            quiet.replace("forced-smsc: bad-smpp", "forced-smsc: good")
        )
        gateway.start()
        assert until(lambda: up(gateway), 20), gateway.tail()
        calm = good.ended(good.load("calm", 0))
        assert gateway.stop() == 0
        gateway.configuration.write_text(config)
        gateway.start()
        assert until(lambda: up(gateway), 20), gateway.tail()
        assert until(lambda: all(s.bound for s in smscs), 20), gateway.tail()
        before = losses(gateway)
        callers = HostileCallers((rig.sendsms_port, rig.admin_port))
        stack.callback(callers.stop)
        storm = good.ended(good.load("storm", RATE * seconds))
        thrown = [s.thrown for s in smscs] + [callers.thrown, hostile_platform.thrown]
        lost_links = losses(gateway) - before
        callers.stop()
    drain(lambda: smsc.uniq, good.accepted, stall=15, cap=60)
    drain(lambda: platform.mo, smsc.mo_acked, stall=15, cap=60)
    assert gateway.stop() == 0
    told, posted = smsc.end(), platform.end()
    lost = good.accepted - told["acked_unique"]
    mo_lost = told["mo_acked_unique"] - posted["mo_unique"]
    refused = sum(count for code, count in storm["codes"].items() if code != "202")
    fault = "{:,} SMPP, {:,} UCP, {:,} CIMD2, {:,} callers', {:,} platform's".format(*thrown)
    figure = f"{lost} lost, {mo_lost} MO lost, {refused} refused, {lost_links:.0f} reconnects"
    holds = not (lost or mo_lost or refused or lost_links)
    name = "G32 bad input of every kind costs only itself"
    record(Verdict(name, fault, good.accepted, figure, holds))
    ratio = storm["http"]["p99_ms"] / max(calm["http"]["p99_ms"], 0.001)
    figure = f"{ratio:.1f} x ({calm['http']['p99_ms']:.1f} and {storm['http']['p99_ms']:.1f} ms)"
    name = "G32 p99 of the good caller's answers, calm and in the storm"
    record(Verdict(name, fault, storm["ok"], figure, ratio <= 2, judged=False))
    log = gateway.log.read_text(errors="replace")
    assert "Traceback" not in log
    broke = [line for line in log.splitlines() if " critical " in line or " error " in line]
    assert not broke, broke[:3]
    assert min(thrown) > 20
