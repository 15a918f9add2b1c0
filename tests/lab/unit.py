"""G28, and the rest of a life under systemd: the shipped unit, and OpenVPN as another unit.

systemd runs in the lab's namespace `gw`. The gateway's unit, its user and its drop-in for OpenVPN
are the shipped ones, to the letter. A caller calls all the while.
"""

from __future__ import annotations

import re
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from tests.lab import systemd, vpn
from tests.lab.life import START
from tests.lab.rows import Row
from tests.lab.systemd import SHIPPED, Systemd
from tests.lab.trial import Trial
from tests.lab.vpn import VpnLab

GATEWAY, VPN = "gatewayd.service", "openvpn-client@operator.service"
RESTART = 1.0  # RestartSec of the unit
SLOW = 4.0  # seconds that the SMSC leaves a stop waiting
_HANG = "[Service]\nEnvironment=GATEWAYD_FAILPOINT=before-submit:hang\n"
_OPENVPN = """\
[Unit]
DefaultDependencies=no
[Service]
Type=notify
ExecStart=/usr/sbin/openvpn --cd {folder} --config gw.ovpn
"""


def watchdog() -> float:
    """WatchdogSec of the unit."""
    text = (SHIPPED / GATEWAY).read_text()
    found = re.search(r"^WatchdogSec=(\d+)$", text, re.MULTILINE)
    assert found is not None, "the unit has no watchdog"
    return float(found[1])


class UnitTrial(Trial):
    """A trial whose gateway is systemd's."""

    def __init__(self, lab: VpnLab, rate: float, manager: Systemd) -> None:
        self.manager = manager
        self.start_took = 0.0  # seconds, the last time
        secret = manager.path("/etc/gatewayd/secrets/smsc-password")
        secret.parent.mkdir(mode=0o700)
        secret.write_text("labpass\n")
        secret.chmod(0o600)
        super().__init__(lab, rate)

    @property
    def password(self) -> str:
        return "credential:smsc-password"

    @property
    def files(self) -> str:
        return "  file: /var/lib/gatewayd/gateway.log"  # there is no journal here

    @property
    def log_file(self) -> Path:
        return self.manager.path("/var/lib/gatewayd/gateway.log")

    def configure(self, text: str) -> None:
        path = self.manager.path("/etc/gatewayd/gatewayd.yaml")
        path.write_text(text)
        self.manager.run("chown", "root:gatewayd", "/etc/gatewayd/gatewayd.yaml")
        path.chmod(0o640)

    def start_gateway(self) -> None:
        """Comes back when the gateway has said that it is ready."""
        asked = time.monotonic()
        done = self.manager.ctl("start", GATEWAY)
        if done.returncode:
            raise RuntimeError(f"the unit does not start: {done.stderr}")
        self.start_took = time.monotonic() - asked

    @property
    def start_takes(self) -> float:
        """What a start may take here: on a machine that is busy, twice what the last one did."""
        return max(START, 2 * self.start_took)

    def reload(self) -> None:
        self.manager.ctl("reload", GATEWAY)

    def state(self, name: str) -> str:
        """A property of the gateway's unit."""
        return self.manager.show(GATEWAY, name)

    @property
    def main_pid(self) -> str:
        return self.state("MainPID")

    def wait_state(self, name: str, wanted: Callable[[str], bool], limit: float) -> str:
        """The property once it is as wanted, or as it was last."""
        end = time.monotonic() + limit
        while not wanted(told := self.state(name)) and time.monotonic() < end:
            time.sleep(0.05)
        return told


@contextmanager
def unit_in_lab(rate: float) -> Iterator[UnitTrial]:
    """A lab whose own end of the tunnel, and whose gateway, are units."""
    with (
        tempfile.TemporaryDirectory(prefix="gatewayd-lab-") as name,
        VpnLab(folder := Path(name)) as lab,
    ):
        lab.kill_vpn("gw", signal.SIGTERM)
        units = {
            "openvpn-client@.service": _OPENVPN.format(folder=folder),
            f"{GATEWAY}.d/vpn.conf": (SHIPPED / "drop-ins" / "openvpn.conf").read_text(),
        }
        folder.chmod(0o755)  # the overlay's upper half lies in it
        with Systemd(folder, units, lab.argv("gw", [])) as manager:
            yield UnitTrial(lab, rate, manager)


def try_unit(kind: str, rate: float) -> list[Row]:
    """Start, reload, replace, VPN away, stop; the last line counts the texts of all of them."""
    with unit_in_lab(rate) as trial:
        steps = (started, reloaded, reloaded_broken, killed, frozen, hung, without_vpn, stopped)
        rows = []
        trial.start_calls()
        for step in steps:
            row = Row("G28", "", f"{kind}, systemd")
            trial.answered_again(time.time(), 30)
            step(trial, row)
            rows.append(row)
        trial.start_gateway()
        trial.answered_again(time.time(), 30)
        trial.stop_calls()
        everything = Row("G28", "all of these", f"{kind}, systemd", limits="lost 0")
        return [*rows, everything.judge(trial.count())]


# -- the steps ---------------------------------------------------------------------------------


def started(trial: UnitTrial, row: Row) -> None:
    """That the trial stands at all shows READY, the credential, netlink and the bound device."""
    row.title = "start: READY and STATUS, by its credential"
    row.limits, row.seconds = f"active and bound, with its VPN {2 * START:g}", trial.start_took
    row.miss(trial.start_took > 2 * START, "late to be ready")
    row.miss(trial.state("Type") != "notify", "the unit does not wait for READY")
    row.miss(trial.state("ActiveState") != "active", "not active")
    row.miss(trial.manager.show(VPN, "ActiveState") != "active", "the VPN was not started")
    told = trial.wait_state("StatusText", lambda text: "1 of 1 binds up" in text, 5)
    row.miss("1 of 1 binds up" not in told, f"STATUS is {told!r}")


def reloaded(trial: UnitTrial, row: Row) -> None:
    """Also by a bare SIGHUP, of which systemd only knows what the gateway tells it: RELOADING."""
    row.title, row.limits = "systemctl reload", "same process, binds kept"
    _reload(trial, row, trial.reload)
    _reload(trial, row, lambda: _signal(trial, "HUP"))


def reloaded_broken(trial: UnitTrial, row: Row) -> None:
    row.title, row.limits = "systemctl reload, broken file", "the old one stays, STATUS says so"
    trial.configure(f"{trial.configuration}\nnonsense: [\n")
    _reload(trial, row, trial.reload)
    told = trial.wait_state("StatusText", lambda text: "reload failed" in text, 5)
    row.miss("reload failed" not in told, f"STATUS is {told!r}")
    trial.configure(trial.configuration)
    trial.reload()
    told = trial.wait_state("StatusText", lambda text: "reload failed" not in text, 5)
    row.miss("reload failed" in told, "STATUS does not forget it")


def _reload(trial: UnitTrial, row: Row, order: Callable[[], object]) -> None:
    pid, binds = trial.main_pid, trial.binds()
    changed = trial.state("StateChangeTimestampMonotonic")
    asked = time.time()
    order()
    row.seconds = max(row.seconds or 0.0, time.time() - asked)
    told = trial.wait_state("StateChangeTimestampMonotonic", lambda text: text != changed, 5)
    row.miss(told == changed, "was never reloading")
    state = trial.wait_state("ActiveState", lambda text: text == "active", 5)
    row.miss(state != "active", f"{state} afterwards")
    time.sleep(1)
    row.miss(trial.main_pid != pid, "another process")
    row.miss(trial.binds() != binds, "bound anew")
    refused = trial.refused(asked)
    row.miss(refused > 0, f"{refused} calls refused")


def killed(trial: UnitTrial, row: Row) -> None:
    row.title = "kill -9"
    _replaced(trial, row, RESTART + trial.start_takes, lambda: _signal(trial, "KILL"))


def frozen(trial: UnitTrial, row: Row) -> None:
    row.title = "SIGSTOP"
    _replaced(trial, row, watchdog() + RESTART + trial.start_takes, lambda: _signal(trial, "STOP"))


def hung(trial: UnitTrial, row: Row) -> None:
    """The reactor stands still in a submit. The next process has no fail point."""
    row.title = "reactor hangs"
    trial.manager.ctl("stop", GATEWAY)
    trial.manager.drop_in(GATEWAY, "hang", _HANG)

    def strike() -> float:
        trial.start_gateway()  # a caller calls, and it hangs
        ready = time.time()
        trial.manager.drop_in(GATEWAY, "hang", None)
        return ready

    _replaced(trial, row, watchdog() + RESTART + trial.start_takes, strike)


def _signal(trial: UnitTrial, name: str) -> float:
    struck = time.time()
    trial.manager.ctl("kill", "-s", name, GATEWAY)
    return struck


def _replaced(trial: UnitTrial, row: Row, within: float, strike: Callable[[], float]) -> None:
    """`strike` says when it struck; what counts is the longest time without a text taken."""
    row.limits = f"answers again in {within:.1f}"
    restarts = int(trial.state("NRestarts"))
    struck = strike()
    trial.wait_state("NRestarts", lambda text: int(text) > restarts, within + 5)
    row.miss(int(trial.state("NRestarts")) != restarts + 1, "not restarted just once")
    trial.answered_again(time.time(), 30)
    taken = [call.at for call in trial.calls(struck) if call.status == 202]
    row.seconds = max(later - earlier for earlier, later in pairwise((struck, *taken, time.time())))
    row.miss(row.seconds > within, "late to answer")


def without_vpn(trial: UnitTrial, row: Row) -> None:
    row.title, row.limits = "VPN unit stopped and started", "stays up, takes texts, bound 2"
    pid, asked = trial.main_pid, time.time()
    trial.manager.ctl("stop", VPN)
    time.sleep(4)
    row.down = trial.seconds_to_down(asked)
    row.miss(trial.main_pid != pid or trial.state("ActiveState") != "active", "was stopped too")
    told = trial.wait_state("StatusText", lambda text: "path down" in text, 5)
    row.miss("path down" not in told, f"STATUS is {told!r}")
    refused = trial.refused(asked)
    row.miss(refused > 0, f"{refused} calls refused")
    started_at = time.time()
    trial.manager.ctl("start", VPN)
    bound, up = trial.bound(started_at, 20), trial.path_up(started_at)
    row.bound = bound.at - up.at if bound and up else None
    row.miss(row.bound is None or row.bound > 2, "late to bind")
    row.miss(trial.main_pid != pid, "another process")


def stopped(trial: UnitTrial, row: Row) -> None:
    """Submits are unanswered when the stop comes, and answered while it waits."""
    row.title = f"systemctl stop, SMSC silent for {SLOW:g} s"
    row.limits = "waits, exit 0, nothing again"
    again = sum(times - 1 for times in trial.arrived().values())
    trial.lab.send("smsc", signal.SIGSTOP)
    time.sleep(0.5)  # the window fills
    thaw = threading.Timer(SLOW, trial.lab.send, ("smsc", signal.SIGCONT))
    thaw.start()
    asked = time.time()
    trial.manager.ctl("stop", GATEWAY)
    row.seconds = time.time() - asked
    thaw.join()
    row.miss(row.seconds < SLOW - 1, "did not wait")
    row.miss(row.seconds > SLOW + 5, "late to end")
    ended = (trial.state("Result"), trial.state("ExecMainStatus"))
    row.miss(ended != ("success", "0"), f"ended with {ended}")
    time.sleep(0.5)
    now = sum(times - 1 for times in trial.arrived().values())
    row.miss(now != again, f"{now - again} again")


def missing() -> str:
    """Why this cannot run here; "" when it can."""
    return vpn.missing("openvpn") or systemd.missing()
