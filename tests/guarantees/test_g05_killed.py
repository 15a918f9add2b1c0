"""G5: processes are killed; what was perhaps sent is held or failed, and never sent by itself."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.guarantees.caller import with_binds
from tests.guarantees.conftest import Record
from tests.guarantees.http_platform import Platform
from tests.guarantees.smsc import Smsc, Submit
from tests.live.harness import Gateway, Rig, until
from tests.live.processes import ask
from tests.live.torture import Verdict
from tests.live.yaml_conf import yaml_conf

pytestmark = pytest.mark.live

BINDS, WINDOW, RATE = 2, 10, 150
BY_NAME = 3  # held messages that are released, and failed, by their id


def ctl(gateway: Gateway, *words: str) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = ask("ctl", "-c", str(gateway.configuration), *words)
    return found


def counts(smsc: Smsc) -> Counter[int]:
    """How often each number was submitted."""
    return Counter(submit.mark for submit in list(smsc.submits))


@pytest.mark.waits
@pytest.mark.parametrize("policy", ["hold", "fail"])
def test_g05_killed_while_sending(rig: Rig, record: Record, policy: str, long: bool) -> None:
    kills = 25 if long else 1
    chance = random.Random(5)
    smscs = {"live": {"binds": BINDS, "window": WINDOW, "on-uncertain": policy}}
    conf = yaml_conf(rig, smscs=smscs)
    gateway = rig.gateway(conf, suffix=".yaml")
    with Smsc(rig.smsc_port) as smsc, Platform(rig.platform_port) as platform:

        def slowly(submit: Submit) -> None:
            smsc.later(0.03, lambda: smsc.take(submit))  # so that a kill finds submits under way

        smsc.on_submit = slowly
        gateway.start()
        with_binds(gateway, smsc, BINDS)
        total = int(RATE * 2.5 * kills)
        caller = rig.caller(
            {"total": total, "rate": RATE, "conns": 4, "timeout-s": 10}, reports=True
        )
        for _ in range(kills):
            seen = len(smsc.submits)
            more = chance.randrange(30, 200)
            until(lambda: len(smsc.submits) >= seen + more or not caller.running, 10)  # noqa: B023
            gateway.kill()
            until(lambda: not smsc.bound, 10)
            gateway.start()
            with_binds(gateway, smsc, BINDS)
        until(lambda: not caller.running, 60)
        caller.end()
        accepted = {n for n, times in enumerate(caller.seen("accepted")) if times}
        held = ctl(gateway, "held")["held"]
        quiet(smsc)
        by_itself = sum(times - 1 for times in counts(smsc).values())
        sent = set(counts(smsc))
        fault = f"{kills} x kill -9, {BINDS} binds, window {WINDOW}"
        name = f"G5 {policy}, by killed processes"
        lost = len(accepted - sent) if policy == "hold" else 0
        failed = released = 0
        if policy == "hold":
            names = [row["id"] for row in held]
            for uuid in names[:BY_NAME]:
                ctl(gateway, "release", uuid)
            for uuid in names[BY_NAME : 2 * BY_NAME]:
                ctl(gateway, "fail", uuid)
            failed = len(names[BY_NAME : 2 * BY_NAME])
            told = ask("ctl", "-c", str(gateway.configuration), "release", "--all")
            released = told["released"] + len(names[:BY_NAME])
            quiet(smsc)
            assert ctl(gateway, "held")["held"] == []
            again = len(smsc.submits) - len(sent) - by_itself
            figure = f"{len(held)} listed, {released} released ({again} sent), {failed} failed"
            # A mark on disk comes before the submit, so what is held may not have been sent at all.
            holds = again <= released and released + failed == len(held) > 0
            sent = set(counts(smsc))
            lost = len(accepted - sent)
            holds = holds and lost <= failed
            record(Verdict("G5 what is held is listed, released, failed", fault, 1, figure, holds))
        else:
            uncertain = reported(platform)
            lost = len(accepted - sent - uncertain)
            failed = len(uncertain)
            record(
                Verdict(
                    "G5 fail: reported as failed",
                    fault,
                    failed,
                    f"{failed} reports, {lost} accepted without submit or report",
                    failed > 0 and not lost,
                )
            )
        record(Verdict(name, fault, len(accepted), f"{by_itself} submitted twice", not by_itself))
        assert gateway.stop() == 0


def quiet(smsc: Smsc) -> None:
    """Wait until nothing was submitted for a second."""

    def still() -> bool:
        last = smsc.submits[-1].at if smsc.submits else 0.0
        return time.monotonic() - last > 1.0

    until(still, 30)


def reported(platform: Platform) -> set[int]:
    """The numbers that were reported as failed (16 or 2)."""
    found = set()
    for call in platform.taken("/dlr"):
        if call.fields.get("type") in ("16", "2"):
            found.add(int(call.fields["m"][2:10]))
    return found
