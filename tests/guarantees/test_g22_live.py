"""G22, G23, G26, G27 by the clock: rate, validity, order, and a wall clock that jumps."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from tests.guarantees.caller import Caller, with_binds
from tests.guarantees.conftest import Record
from tests.guarantees.http_platform import ERROR, OK, Platform
from tests.guarantees.smsc import Smsc, Submit
from tests.live.harness import Gateway, Rig, drain, until
from tests.live.torture import Verdict
from tests.live.yaml_conf import Channel, yaml_conf

pytestmark = [pytest.mark.live, pytest.mark.waits]

RATE = 50
THROTTLED, TEMPORARY = 0x58, 0x08  # ESME_RTHROTTLED, ESME_RSYSERR
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"


@pytest.fixture
def smsc(rig: Rig) -> Iterator[Smsc]:
    with Smsc(rig.smsc_port) as running:
        yield running


@pytest.fixture
def platform(rig: Rig) -> Iterator[Platform]:
    with Platform(rig.platform_port) as running:
        yield running


def losses(gateway: Gateway) -> int:
    found = gateway.metrics().items()
    return round(sum(value for name, value in found if "bind_losses_total" in name))


@pytest.mark.parametrize("full", [True, False], ids=["full", "empty"])
def test_g22_the_rate_of_the_smsc_is_kept(
    rig: Rig, smsc: Smsc, record: Record, full: bool, long: bool
) -> None:
    if not long:
        pytest.skip("60 s by the clock are part of the long form; the short one has its own clock")
    seconds, chance = 60, random.Random(22)
    conf = yaml_conf(rig, smscs={"live": {"rate": RATE, "window": 100, "binds": 2}})
    gateway = rig.gateway(conf, suffix=".yaml")

    def take(submit: Submit) -> None:
        if chance.random() < 0.02:
            smsc.answer(submit, "", THROTTLED)
        else:
            smsc.take(submit)

    smsc.on_submit = take
    if full:
        smsc.down()
    gateway.start()
    total = RATE * seconds * 2
    rate = 0 if full else 2 * RATE
    if not full:
        with_binds(gateway, smsc, 2)
    caller = rig.caller({"total": total, "rate": rate, "conns": 4, "timeout-s": 20})
    if full:
        until(lambda: not caller.running, 60)
        smsc.up()
    until(lambda: bool(smsc.submits), 20)
    smsc.watch_itself()
    first = smsc.submits[0].at
    until(lambda: smsc.submits[-1].at - first >= seconds, seconds + 10, 0.2)
    failed = sum(v for k, v in gateway.metrics().items() if 'segments_total{result="failed"' in k)
    times = [submit.at for submit in list(smsc.submits)]
    gateway.kill()
    most = [
        max(bisect_left(times, start + span - 1e-6) - at for at, start in enumerate(times))
        for span in (1.0, 10.0)
    ]
    fault = f"{seconds} s by the clock, from a{' full' if full else 'n empty'} queue, 2 % throttled"
    # Counted where they arrive: what the rig hears late falls into the next second.
    allowed = [int(RATE * (1.05 * 1 + smsc.late)), int(RATE * (1.01 * 10 + smsc.late))]
    figure = f"{most[0]} and {most[1]} (allowed: {allowed[0]} and {allowed[1]}, with the"
    figure += f" {1000 * smsc.late:.0f} ms that the rig was late); {failed:.0f} failed"
    holds = most[0] <= allowed[0] and most[1] <= allowed[1] and not failed
    name = f"G22 submits in any 1 s and 10 s, {RATE} a second allowed"
    record(Verdict(name, fault, len(times), figure, holds))


def test_g23_what_expires_while_the_link_is_down_is_not_sent(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    if not long:
        pytest.skip("a minute by the clock is part of the long form")
    total = 300
    gateway = rig.gateway(yaml_conf(rig), suffix=".yaml")
    smsc.down()
    gateway.start()
    caller = Caller(rig)
    expiring = set(range(0, total, 2))  # they have a minute, the others an hour
    for n in range(total):
        validity = "1" if n in expiring else "60"
        given = caller.dlr(rig, n, 16)
        assert caller.send(f"m {n}", f"2588400{n:05}", validity=validity, **given)
    gateway.kill()
    gateway.start()
    until(lambda: False, 65)  # the minute itself is the matter here
    smsc.up()
    drain(lambda: len(smsc.submits), total - len(expiring), stall=15)
    drain(lambda: len(platform.taken("/dlr")), len(expiring), stall=15)
    sent = {int(submit.text.split()[-1]) for submit in smsc.submits}
    told = [int(call.fields["n"]) for call in platform.taken("/dlr") if call.fields["s"] == "16"]
    figure = f"{len(sent & expiring)} sent after their end, {len(told)} reports of {len(expiring)}"
    holds = sent == set(range(total)) - expiring and sorted(told) == sorted(expiring)
    name = "G23 validity, over a real link"
    fault = "65 s without link, one minute valid; kill -9"
    record(Verdict(name, fault, total, figure, holds))
    assert gateway.stop() == 0


def test_g26_order_is_kept_without_faults(rig: Rig, smsc: Smsc, record: Record, long: bool) -> None:
    total = 10_000 if long else 500
    gateway = rig.gateway(yaml_conf(rig, smscs={"live": {"window": 20}}), suffix=".yaml")
    gateway.start()
    with_binds(gateway, smsc, 1)
    caller = rig.caller({"total": total, "rate": 400, "conns": 1, "timeout-s": 20})
    until(lambda: not caller.running, 120)
    accepted = caller.end()["ok"]
    drain(lambda: len(smsc.submits), accepted, stall=15)
    marks = [submit.mark for submit in smsc.submits]
    inversions = sum(a > b for a, b in pairwise(marks))
    name = "G26 order per sender and receiver, over a real link"
    holds = not inversions and len(marks) == accepted == total
    record(Verdict(name, "none, 1 bind", accepted, f"{inversions} inversions", holds))


JUMPS = {"+1 day": 86400, "-1 day": -86400, "+1 h": 3600, "-1 h": -3600}


def test_g27_the_wall_clock_jumps(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    """libfaketime moves the wall clock alone; meanwhile a platform fails and an SMSC is full."""
    if not Path(FAKETIME).exists():
        pytest.skip("libfaketime is not installed")
    seconds = 8 if long else 2
    channel = Channel(first="1s", cap="2s", parallel=8, horizon="0")
    resend = {"first": "1s", "cap": "2s", "times": -1, "horizon": 0}
    conf = yaml_conf(rig, smscs={"live": {"window": 10, "resend": resend}}, channel=channel)
    gateway = rig.gateway(conf, suffix=".yaml")
    clock = rig.folder / "clock"
    offset = 0
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # its newer name, and the one of version 0.9.10
        "DONT_FAKE_MONOTONIC": "1",
        "TZ": "Europe/Berlin",
    }
    refusing = False
    took: set[bytes] = set()

    def answer(submit: Submit) -> None:
        if refusing:
            smsc.answer(submit, "", TEMPORARY)
        else:
            took.add(submit.text)
            smsc.take(submit)

    smsc.on_submit = answer
    platform.choose = lambda path, fields: ERROR if refusing else OK
    gateway.start(environment)
    with_binds(gateway, smsc, 1)
    caller, sent = Caller(rig), 0
    jumps = {**JUMPS, "summer begins": 0, "summer ends": 0} if long else {"+1 day": 86400}
    for name, jump in jumps.items():
        refusing = True
        first = sent
        for _ in range(20):
            assert caller.send(f"m {sent}")
            sent += 1
        moved = [0] * 20
        smsc.call(partial(_mo, smsc, range(first, sent), moved))
        drain(lambda: sum(moved), 20, stall=10)  # noqa: B023
        calm = _attempts(smsc, platform, seconds)
        if jump:
            offset += jump
            clock.write_text(f"{offset:+d}")
        else:
            month = (3, 28) if name == "summer begins" else (10, 31)
            clock.write_text(f"@2027-{month[0]:02}-{month[1]} {_before(name)}")
        jumped = _attempts(smsc, platform, seconds)
        refusing = False
        wanted = sent
        drain(lambda: len(took), wanted, stall=20)
        drain(lambda: len(_called(platform)), wanted, stall=20)
        missing = 2 * sent - len(took) - len(_called(platform))
        figure = f"{calm} attempts in {seconds} s before, {jumped} after; {missing} missing"
        figure += f", {losses(gateway)} links lost"
        # Retries grow rarer; a storm would be many times as many, a stop of the timers none.
        holds = jumped <= 2 * calm + 40 and not missing and not losses(gateway)
        fault = f"libfaketime: {name}"
        record(Verdict("G27 clock jumps, in a real process", fault, 40, figure, holds))
        if not jump:
            clock.write_text(f"{offset:+d}")
    assert gateway.stop() == 0


def _before(name: str) -> str:
    return "01:59:58" if name == "summer begins" else "02:59:58"


def _attempts(smsc: Smsc, platform: Platform, seconds: float) -> int:
    before = len(smsc.submits) + len(platform.calls)
    until(lambda: False, seconds)  # what comes in that time is the matter here
    return len(smsc.submits) + len(platform.calls) - before


def _mo(smsc: Smsc, numbers: range, moved: list[int]) -> None:
    for place, number in enumerate(numbers):
        smsc.insist(
            partial(smsc.deliver, source=b"25884%07d" % number, short_message=b"%06d" % number),
            partial(moved.__setitem__, place, 1),
        )


def _called(platform: Platform) -> set[str]:
    return {call.fields["text"] for call in platform.taken("/mo")}
