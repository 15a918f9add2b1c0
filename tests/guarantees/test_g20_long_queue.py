"""G20: a long queue is cheap."""

from __future__ import annotations

import time

import pytest

from gatewayd.flow.keys import key_at
from gatewayd.flow.mt import encode
from gatewayd.model import Segment
from gatewayd.store.contract import Item, Queue, Work
from gatewayd.store.sqlite import SqliteStore
from tests.guarantees.conftest import Record
from tests.live.harness import Rig, kannel_conf, until
from tests.live.soak import sample
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


def test_g20_a_long_queue_is_cheap(rig: Rig, record: Record, long: bool) -> None:
    waiting = 1_000_000 if long else 20_000
    gateway = rig.gateway(kannel_conf(rig))
    store = SqliteStore(str(gateway.state / "gatewayd.sqlite3"), print, threaded=False)
    store.open(10)
    first = key_at(time.time() - 3600)
    made = time.time() - 3600
    for start in range(0, waiting, 5000):
        puts = []
        for key in range(first + start, first + min(start + 5000, waiting)):
            segment = Segment(key, "100", "255700000001", b"hello", message=key, created=made)
            puts.append(Item(Queue.MT, key, "live", encode(segment)))
        store.commit([Work(puts=puts)])
    store.close()
    smsc = rig.smsc({"dlr-delay-ms": -1, "resp-rate": 200})
    began = time.monotonic()
    gateway.start(timeout=60)
    assert until(lambda: smsc.acked > 0, 60), gateway.tail()
    seconds = time.monotonic() - began
    memory = sample(gateway).rss
    queued = sum(v for k, v in gateway.metrics().items() if k.startswith("gatewayd_queue_messages"))
    figure = f"{seconds:.1f} s to the first submit, {memory:.0f} MiB"
    holds = (seconds < 10 or not long) and memory < 300 and queued > waiting * 0.9
    record(Verdict("G20 a long queue is cheap", "restart", waiting, figure, holds))
