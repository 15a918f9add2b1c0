"""A gateway that is stopped and reloaded under load, with its SMSC behind the tunnel."""

from __future__ import annotations

import random
import re
import signal
import time
from importlib.util import find_spec

from tests.lab.faults import trial_in_lab
from tests.lab.rows import Row
from tests.lab.trial import DRAIN, OTHER_PORT, Trial
from tests.lab.vpn import SMSC

STOPPED = DRAIN + 5  # seconds: the drain, unbind, the last commit; the unit allows far more
START = 5.0  # seconds from start to the first text that is taken
_READ = re.compile(r"onfiguration|[Rr]eload")
_STAYS = re.compile(r"the old one stays")


def try_stops(kind: str, rate: float, stops: int) -> Row:
    """G17: SIGTERM, again and again; nothing is lost, nothing is repeated, each ends in time."""
    chance = random.Random(stops)
    row = Row("G17", f"{stops} x SIGTERM under load", kind, seconds=0.0)
    row.limits = f"exit 0 within {STOPPED:g}, again 0"
    with trial_in_lab(kind, rate) as trial:
        for number in range(stops):
            time.sleep(chance.uniform(0.1, 1.0))
            asked = time.time()
            status = trial.lab.end("gateway", signal.SIGTERM)
            row.seconds = max(row.seconds or 0.0, time.time() - asked)
            if status != 0:
                row.miss(True, f"exit {status} at stop {number + 1}")
                break
            started = time.time()
            trial.start_gateway()
            if trial.bound(started, 20) is None or trial.answered_again(started, 20) is None:
                row.miss(True, f"did not come back after stop {number + 1}")
                break
        trial.stop_calls()
        row.judge(trial.count())
    assert row.count is not None
    row.miss((row.seconds or 0.0) > STOPPED, "late to end")
    row.miss(row.count.explained > 0, f"{row.count.explained} again though the SMSC answers")
    return row


_OTHER = """\
  - id: other
    host: {host}
    port: {port}
    system-id: lab
    password: ${{LAB_PASSWORD}}
    system-type: {word}
    binds: [{{mode: receiver}}]
"""
# A gateway that makes all anew when its file has changed is only given the other files.
BY_DIFFERENCE = find_spec("gatewayd.config.difference") is not None


def try_reloads(kind: str, rate: float, reloads: int) -> Row:
    """G18: SIGHUP with the same file, a broken one, and one that changes another SMSC, in turn.

    The other SMSC is bound to anew; this one's bind may not go, and no call may be refused.
    """
    kinds = ("same", "broken", "changed") if BY_DIFFERENCE else ("same", "broken", "same")
    row = Row("G18", f"{reloads} x SIGHUP: {', '.join(dict.fromkeys(kinds))}", kind, seconds=0.0)
    row.limits = "binds 1, refused 0"
    other = _OTHER.format(host=SMSC, port=OTHER_PORT, word="t0")
    with trial_in_lab(kind, rate, more=other) as trial:
        trial.start_smsc("other", OTHER_PORT, "other-texts")
        text = trial.configuration
        broken = 0
        for number in range(reloads):
            match kinds[number % 3]:
                case "same":
                    trial.configure(text)
                case "broken":
                    broken += 1
                    trial.configure(f"{text}\nnonsense: [\n")
                case _:
                    new = _OTHER.format(host=SMSC, port=OTHER_PORT, word=f"t{number}")
                    text = trial.configuration.replace(other, new)
                    trial.configure(text)
            took = _reload(trial)
            if took is None:
                row.miss(True, f"no word of reload {number + 1}")
                break
            row.seconds = max(row.seconds or 0.0, took)
            time.sleep(0.2)
        trial.stop_calls()
        row.judge(trial.count())
        told = len(trial.log(_STAYS, 0.0))
        row.miss(told != broken, f"{told} of {broken} broken files told")
        row.miss(BY_DIFFERENCE and trial.binds("other-texts") < 2, "the change changed nothing")
        refused = trial.refused(0.0)
        row.miss(refused > 0, f"{refused} calls refused")
        row.miss(trial.binds() != 1, f"{trial.binds() - 1} unchanged binds dropped")
    return row


def _reload(trial: Trial) -> float | None:
    """Seconds until the gateway has read its file."""
    asked = time.time()
    trial.reload()
    line = trial.wait(_READ, asked, 20)
    return line and line.at - asked
