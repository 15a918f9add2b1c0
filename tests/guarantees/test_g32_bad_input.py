"""G32: all bad input at once, against a loaded gateway: it costs those who send it, nobody else."""

from __future__ import annotations

import time
from contextlib import ExitStack
from statistics import median

import pytest

from tests.guarantees.conftest import Record
from tests.guarantees.hostile import Stranger
from tests.live.harness import Gateway, Rig, drain, until
from tests.live.torture import Verdict

pytestmark = pytest.mark.live

PROTOCOLS = ("smpp", "ucp", "cimd2")
RATE = 100  # of the good caller, and of the good SMSC's MO
MOST = 2  # times the p99 of the calm
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
    """A caller that does right, in the calm and in the storm."""

    def __init__(self, rig: Rig, seconds: int) -> None:
        self.rig, self.seconds = rig, seconds
        self.accepted = self.asked = self.refused = 0

    def p99(self) -> float:
        """Call for some seconds; what the slowest hundredth of the answers took, in ms."""
        total = RATE * self.seconds
        options = {"path": PATH, "total": total, "rate": RATE, "conns": 8, "timeout-s": 20}
        caller = self.rig.caller({**options, "first-id": self.asked}, tag=f"from-{self.asked}")
        until(lambda: not caller.running, self.seconds + 40)
        told = caller.end()
        self.asked += total
        self.accepted += told["ok"]
        self.refused += sum(count for code, count in told["codes"].items() if code != "202")
        return float(told["http"]["p99_ms"])


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
    pairs, seconds = (6, 10) if long else (1, 5)
    smsc = rig.smsc({"dlr-delay-ms": -1, "mo": 2 * RATE * seconds * pairs, "mo-rate": RATE})
    platform = rig.platform({})
    with ExitStack() as stack:
        strangers = [Stranger(kind) for kind in (*PROTOCOLS, "platform")]
        for each in strangers:
            stack.callback(each.stop)
        *smscs, hostile_platform = strangers
        hostile = "".join(HOSTILE.format(protocol=s.kind, port=s.port) for s in smscs)
        config = CONFIG.format(
            good=rig.smsc_port,
            hostile=hostile,
            platform=rig.platform_port,
            hostile_platform=hostile_platform.port,
            sendsms=rig.sendsms_port,
            admin=rig.admin_port,
        )
        gateway = rig.gateway(config, suffix=".yaml")
        gateway.configuration.chmod(0o600)
        good = Good(rig, seconds)
        gateway.start()
        assert until(lambda: up(gateway), 20), gateway.tail()
        assert until(lambda: all(s.bound() for s in smscs), 20), gateway.tail()
        callers = Stranger("callers", rig.sendsms_port, rig.admin_port)
        stack.callback(callers.stop)
        blowing = [*smscs, callers, hostile_platform]
        before = losses(gateway)
        thrown, blown = [0] * len(blowing), 0.0
        calm, storm = [], []
        # In turns, so that whatever else the machine does meets both.
        for _ in range(pairs):
            for each in blowing:
                each.pause()
            calm.append(good.p99())
            for each in blowing:
                each.go_on()
            began, earlier = time.monotonic(), [each.thrown() for each in blowing]
            storm.append(good.p99())
            blown += time.monotonic() - began
            now = [each.thrown() for each in blowing]
            thrown = [n + b - a for n, a, b in zip(thrown, earlier, now, strict=True)]
        lost_links = losses(gateway) - before
    drain(lambda: smsc.uniq, good.accepted, stall=15, cap=60)
    drain(lambda: platform.mo, smsc.mo_acked, stall=15, cap=60)
    assert gateway.stop() == 0
    told, posted = smsc.end(), platform.end()
    lost = good.accepted - told["acked_unique"]
    mo_lost = told["mo_acked_unique"] - posted["mo_unique"]
    fault = "{:,} SMPP, {:,} UCP, {:,} CIMD2, {:,} callers', {:,} platform's".format(*thrown)
    a_second = sum(thrown) / blown
    fault += f", {a_second:,.0f} a second, from processes that get the CPU the others leave over"
    counts = f"{lost} lost, {mo_lost} MO lost, {good.refused} refused, {lost_links:.0f} reconnects"
    holds = not (lost or mo_lost or good.refused or lost_links)
    name = "G32 bad input of every kind costs only itself"
    record(Verdict(name, fault, good.accepted, counts, holds))
    ratio = median(after / max(first, 0.001) for first, after in zip(calm, storm, strict=True))
    figure = f"{ratio:.1f} x, the median of {pairs} pairs ({median(calm):.1f} and "
    figure += f"{median(storm):.1f} ms)"
    name = "G32 p99 of the good caller's answers, calm and in the storm"
    record(Verdict(name, fault, good.accepted, figure, ratio <= MOST, judged=long))
    log = gateway.log.read_text(errors="replace")
    assert "Traceback" not in log
    broke = [line for line in log.splitlines() if " critical " in line or " error " in line]
    assert not broke, broke[:3]
    assert min(thrown) > 20
