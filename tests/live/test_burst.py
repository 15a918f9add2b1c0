"""A burst while the SMSC is silent: all of it is accepted, kept, and sent once."""

from __future__ import annotations

import pytest

from tests.live.harness import Rig, drain, kannel_conf, until

pytestmark = pytest.mark.live

BURST = 20_000


def test_a_burst_taken_while_the_smsc_is_silent_drains_once_each(rig: Rig) -> None:
    smsc = rig.smsc({"dlr-delay-ms": -1})
    gateway = rig.gateway(kannel_conf(rig, window=100))
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    smsc.toggle_silence()
    caller = rig.caller({"total": BURST, "conns": 32, "timeout-s": 20, "max-s": 60})
    assert until(lambda: not caller.running, 70)
    told = caller.end()
    assert told["codes"] == {"202": BURST}
    assert smsc.acked == 0 and smsc.rx <= 100, "no more than the window may be under way"

    smsc.toggle_silence()
    drain(lambda: smsc.acked, BURST, stall=15, cap=60)
    assert gateway.stop() == 0
    seen = smsc.end()
    assert (seen["acked_unique"], seen["duplicates"]) == (BURST, 0)
