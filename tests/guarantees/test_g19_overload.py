"""G19: what is too much is refused in words, and nothing of what was accepted is lost."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from gatewayd.model import Acceptance
from gatewayd.model import Verdict as Answer
from gatewayd.store.contract import Item, Queue, Work
from gatewayd.store.sqlite import SqliteStore
from tests.flow.rig import Rig as Flows
from tests.flow.rig import config, with_limits
from tests.guarantees.conftest import Record
from tests.live.harness import Rig, drain, kannel_conf, until
from tests.live.soak import sample
from tests.live.torture import Verdict

HIGH_WATER = 3000
SMSC_RATE = 100


@pytest.mark.live
@pytest.mark.waits
def test_g19_five_times_the_rate_of_the_smsc(rig: Rig, record: Record, long: bool) -> None:
    seconds = 600 if long else 4
    high = HIGH_WATER if long else 300
    smsc = rig.smsc({"resp-rate": SMSC_RATE, "dlr-delay-ms": -1})
    conf = kannel_conf(rig, window=20, extra=[f"sms-outgoing-queue-limit = {high}"])
    gateway = rig.gateway(conf)
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    total = 5 * SMSC_RATE * seconds
    caller = rig.caller({"total": total, "rate": 5 * SMSC_RATE, "conns": 8, "timeout-s": 20})
    waits = 'gatewayd_queue_messages{lane="live",queue="mt"}'
    until(lambda: gateway.metrics().get(waits, 0) >= high, seconds)
    full = [sample(gateway).rss]
    while caller.running:
        full.append(sample(gateway).rss)
        until(lambda: not caller.running, 1)
    told = caller.end()
    codes = told["codes"]
    answer = _ask(rig.sendsms_port)
    drain(lambda: smsc.acked, told["ok"], stall=15, cap=120)
    assert gateway.stop() == 0
    lost = told["ok"] - smsc.end()["acked_unique"]
    fault = f"5 x the SMSC's rate for {seconds} s, {high:,} may wait"
    record(Verdict("G19 what was accepted is sent", fault, told["ok"], f"{lost} lost", not lost))
    refused = codes.get("503", 0)
    others = {code: count for code, count in codes.items() if code not in ("202", "503")}
    figure = f"{refused:,} x 503, others {others or 'none'}"
    record(Verdict("G19 the rest is refused", fault, total, figure, refused > 0 and not others))
    if long:
        quarter = max(1, len(full) // 4)
        early, late = max(full[:quarter]), max(full[-quarter:])
        figure = f"{early:.0f} MiB when it was full, then {late:.0f} MiB"
        holds = late < 1.05 * early + 1
        record(Verdict("G19 memory is flat above the high water", fault, len(full), figure, holds))
    assert answer in (202, 503)


def _ask(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/cgi-bin/sendsms?username=u&password=p&from=1&to=2&text=x")
    status = connection.getresponse().status
    connection.close()
    return status


def test_g19_low_water(record: Record) -> None:
    """Full, it refuses; it takes messages again once there is room, and loses none."""
    rig = Flows(with_limits(config(), queued_mt=50))
    rig.ports["a/0"].bound = False
    answers = [rig.send(f"m{n}").verdict for n in range(80)]
    refused = answers.count(Answer.OVERLOADED)
    rig.bind("a/0")
    rig.take_all()
    rig.turn()
    again = rig.send("again")
    assert isinstance(again, Acceptance)
    rig.take_all()
    sent = len(rig.ports["a/0"].sent)
    figure = f"{refused} refused, {sent} sent"
    holds = (refused, sent, again.verdict) == (30, 51, Answer.ACCEPTED)
    record(Verdict("G19 high water and back", "80 messages, 50 may wait", 80, figure, holds))


def test_g19_the_smsc_is_told_that_the_queue_is_full() -> None:
    rig = Flows(with_limits(config(), queued_mo=5))
    tickets = [rig.deliver(payload=b"%d" % n) for n in range(8)]
    rig.turn()
    tickets += [rig.deliver(payload=b"more")]
    rig.turn()
    outcomes = [rig.outcome(ticket) for ticket in tickets]
    assert outcomes[-1] == "throttled"
    assert set(outcomes) == {"done", "throttled"}


def test_g19_the_last_of_the_disk_is_kept_for_what_waits(tmp_path: Path) -> None:
    """Below the reserve new messages are refused; those that wait can still be ended."""
    store = SqliteStore(str(tmp_path / "q"), print, threaded=False)
    store.open(10)
    told: list[object] = []
    store.commit([Work(puts=[Item(Queue.MT, 1, "a", b"x")])]).addBoth(told.append)
    store._database._reserve = 1 << 62
    store._database._look_for_room()
    store.commit([Work(puts=[Item(Queue.MT, 2, "a", b"x")])]).addBoth(told.append)
    store.commit([Work(ends=[1])]).addBoth(told.append)
    assert [answer is None for answer in told] == [True, False, True]
    store.close()
