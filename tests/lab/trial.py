"""One gateway in the lab under load: what its log, its counters and both ledgers say of a fault."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tests.lab.vpn import SMSC, SMSC_NET, VpnLab

SMSC_PORT, SENDSMS, ADMIN = 2775, 13013, 13000
ENQUIRE, ANSWER = 3.0, 4.0  # seconds: enquire_link every, answered within

_CONFIGURATION = """\
smscs:
  - id: operator
    host: {host}
    port: {port}
    system-id: lab
    password: ${{LAB_PASSWORD}}
    window: 20
    connect-timeout: 3s
    {tunnel}
    {pulse}
users:
  - username: lab
    password: ${{LAB_PASSWORD}}
http:
  sendsms: 127.0.0.1:{sendsms}
  admin: 127.0.0.1:{admin}
logging:
  format: json
store:
  path: {store}
"""
_PULSE = (
    f"smpp: {{enquire-interval: {ENQUIRE:g}s, enquire-timeout: {ANSWER:g}s, enquire-misses: 1}}"
)
_DOWN = re.compile(r"path down|operator/0: .*next attempt")
_BOUND = re.compile(r"operator/0 is bound")
_PATH_UP = re.compile(r"the path through \S+ is up")


class Line(NamedTuple):
    """One line of the gateway's log."""

    at: float  # wall time
    text: str


@dataclass
class Count:
    """What became of the texts that were taken, and what else was seen."""

    taken: int = 0
    lost: int = 0
    twice: int = 0  # more often than submits that stayed unanswered explain: must be 0
    explained: int = 0  # came again because the first submit was never answered
    beside: int = 0  # packets outside the tunnel
    resets: int = 0  # of those, resets that the kernel sends for a connection which is gone
    binds: int = 0


class Trial:
    """A gateway, an SMSC, a caller and a sniffer in one lab."""

    def __init__(
        self, lab: VpnLab, rate: float, *, require: bool = True, hasty: bool = True
    ) -> None:
        """`hasty`: enquire_link as `ENQUIRE` and `ANSWER` say, else as by default."""
        self.lab = lab
        self.rate = rate
        self._folder = lab.folder
        self._calls = 0
        tunnel = f"vpn: {{device: {lab.device}, require: {str(require).lower()}}}"
        self._configuration = self._folder / "gatewayd.yaml"
        self._configuration.write_text(
            _CONFIGURATION.format(
                host=SMSC,
                port=SMSC_PORT,
                tunnel=tunnel,
                pulse=_PULSE if hasty else "smpp: {}",
                sendsms=SENDSMS,
                admin=ADMIN,
                store=self._folder / "gatewayd.sqlite3",
            )
        )
        lab.python("sniffer", "wan", "tests.lab.sniffer", "togw", SMSC_NET, self._path("beside"))
        lab.spawn("monitor", "gw", "ip", "-tshort", "monitor", "link", "address", "route")
        self.start_smsc()
        lab.spawn(
            "gateway",
            "gw",
            *("env", "LAB_PASSWORD=labpass"),
            *(sys.executable, "-m", "gatewayd", "run", "-c", str(self._configuration)),
        )
        if self.wait(_BOUND, 0.0, 15.0) is None:
            raise RuntimeError(f"the gateway is not bound\n{lab.logs()}")

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def start_smsc(self) -> None:
        self.lab.python("smsc", "op", "tests.lab.smsc", SMSC, str(SMSC_PORT), self._path("texts"))

    def start_calls(self) -> None:
        self._calls += 1
        argv = (str(SENDSMS), str(self.rate), self._path("taken"), f"w{self._calls}x")
        self.lab.python("caller", "gw", "tests.lab.caller", *argv)

    def stop_calls(self) -> None:
        self.lab.end("caller")

    # -- the log ---------------------------------------------------------------------------------

    def log(self, pattern: re.Pattern[str], since: float) -> list[Line]:
        """Lines that match, not older than `since`."""
        found = []
        for line in (self._folder / "gateway.log").read_text(errors="replace").splitlines():
            if not line.startswith("{"):
                continue
            try:
                entry = json.loads(line)
            except ValueError:  # the last one is not whole yet
                continue
            at = datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()
            if at >= since - 0.001 and pattern.search(entry["text"]):
                found.append(Line(at, entry["text"]))
        return found

    def wait(self, pattern: re.Pattern[str], since: float, limit: float) -> Line | None:
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if (self._folder / "gateway.log").exists() and (found := self.log(pattern, since)):
                return found[0]
            time.sleep(0.05)
        return None

    def seconds_to_down(self, since: float) -> float | None:
        """From the kernel's first word on the tunnel, or if there was none from `since`."""
        down = self.wait(_DOWN, since, 0.1)
        if down is None:
            return None
        return max(0.0, down.at - min(self._kernel_told(since), down.at))

    def _kernel_told(self, since: float) -> float:
        device = re.compile(rf"\b{re.escape(self.lab.device)}\b")
        for line in self._lines("monitor.log"):
            stamp, _, text = line.partition("] ")
            if stamp.startswith("[") and device.search(text):
                at = datetime.fromisoformat(stamp[1:]).timestamp()
                if since <= at < since + 5:
                    return at
        return since

    def bound(self, since: float, limit: float) -> Line | None:
        return self.wait(_BOUND, since, limit)

    def path_up(self, since: float) -> Line | None:
        return self.wait(_PATH_UP, since, 0.1)

    def losses(self, since: float) -> int:
        return len(self.log(_DOWN, since))

    # -- the ledgers -----------------------------------------------------------------------------

    def _lines(self, name: str) -> list[str]:
        path = self._folder / name
        return path.read_text().splitlines() if path.exists() else []

    def arrived(self) -> Counter[str]:
        events = (line.split(" ", 2) for line in self._lines("texts"))
        return Counter(event[2] for event in events if event[1] == "text")

    def settle(self, limit: float = 60.0) -> bool:
        """Whether everything that was taken arrives within `limit` seconds."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if set(self._lines("taken")) <= self.arrived().keys():
                return True
            time.sleep(0.25)
        return False

    def count(self) -> Count:
        self.settle()
        taken, arrived = set(self._lines("taken")), self.arrived()
        again = sum(times - 1 for times in arrived.values())
        beside, resets = map(int, Path(self._path("beside")).read_text().split())
        uncertain = len(self.log(re.compile("^No answer to the submit"), 0.0))
        return Count(
            taken=len(taken),
            lost=len(taken - arrived.keys()),
            twice=max(0, again - uncertain),
            explained=min(again, uncertain),
            beside=beside,
            resets=resets,
            binds=sum(line.split(" ")[1] == "bind" for line in self._lines("texts")),
        )

    def ready(self) -> str:
        """The body of /readyz."""
        url = f"http://127.0.0.1:{ADMIN}/readyz"
        ask = (
            "import sys, urllib.request, urllib.error\n"
            f"try: print(urllib.request.urlopen({url!r}).read().decode())\n"
            "except urllib.error.HTTPError as e: print(e.read().decode())\n"
        )
        argv = self.lab.argv("gw", [sys.executable, "-c", ask])
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout


Fault = Callable[[Trial], None]
