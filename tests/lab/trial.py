"""One gateway in the lab under load: what its log, its counters and both ledgers say of a fault."""

from __future__ import annotations

import json
import re
import signal
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

SMSC_PORT, OTHER_PORT, SENDSMS, ADMIN = 2775, 2776, 13013, 13000
ENQUIRE, ANSWER = 3.0, 4.0  # seconds: enquire_link every, answered within
DRAIN = 10.0  # seconds that a stop waits for the SMSC

CONFIGURATION = """\
smscs:
  - id: operator
    host: {host}
    port: {port}
    system-id: lab
    password: {password}
    window: 20
    connect-timeout: 3s
    {tunnel}
    {pulse}
{more}
users:
  - username: lab
    password: {password}
http:
  sendsms: 127.0.0.1:{sendsms}
  admin: 127.0.0.1:{admin}
limits:
  drain: {drain:g}s
logging:
  format: json
{files}
"""
_PULSE = (
    f"smpp: {{enquire-interval: {ENQUIRE:g}s, enquire-timeout: {ANSWER:g}s, enquire-misses: 1}}"
)
_DOWN = re.compile(r"path down|operator/0: .*next attempt")
_BOUND = re.compile(r"operator/0 is bound")
_PATH_UP = re.compile(r"the path through \S+ is up")
_UNCERTAIN = re.compile(r"^No answer to the submit|^Perhaps sent before")


class Line(NamedTuple):
    """One line of the gateway's log."""

    at: float  # wall time
    text: str


class Call(NamedTuple):
    """One call of sendsms; `status` 0: nobody answered."""

    at: float
    status: int
    word: str


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
        self,
        lab: VpnLab,
        rate: float,
        *,
        require: bool = True,
        hasty: bool = True,
        more: str = "",
    ) -> None:
        """`hasty`: enquire_link as `ENQUIRE` and `ANSWER` say, else as by default.

        `more` are further SMSCs, as YAML.
        """
        self.lab = lab
        self.rate = rate
        self._folder = lab.folder
        self._calls = 0
        self.configuration = CONFIGURATION.format(
            host=SMSC,
            port=SMSC_PORT,
            tunnel=f"vpn: {{device: {lab.device}, require: {str(require).lower()}}}",
            pulse=_PULSE if hasty else "smpp: {}",
            sendsms=SENDSMS,
            admin=ADMIN,
            drain=DRAIN,
            password=self.password,
            files=self.files,
            more=more,
        )
        self.configure(self.configuration)
        lab.python("sniffer", "wan", "tests.lab.sniffer", "togw", SMSC_NET, self._path("beside"))
        lab.spawn("monitor", "gw", "ip", "-tshort", "monitor", "link", "address", "route")
        self.start_smsc()
        self.start_gateway()
        if self.wait(_BOUND, 0.0, 25.0) is None:
            raise RuntimeError(f"the gateway is not bound\n{lab.logs()}")

    # -- the gateway, here a plain process -------------------------------------------------------

    @property
    def password(self) -> str:
        """How the configuration names it."""
        return "${LAB_PASSWORD}"

    @property
    def files(self) -> str:
        """What the configuration says of files."""
        return f"store:\n  path: {self._folder / 'gatewayd.sqlite3'}"

    @property
    def log_file(self) -> Path:
        return self._folder / "gateway.log"

    def configure(self, text: str) -> None:
        """Write the configuration; the gateway does not hear of it."""
        (self._folder / "gatewayd.yaml").write_text(text)

    def start_gateway(self) -> None:
        self.lab.spawn(
            "gateway",
            "gw",
            *("env", "LAB_PASSWORD=labpass"),
            *(sys.executable, "-m", "gatewayd", "run", "-c", self._path("gatewayd.yaml")),
        )

    def reload(self) -> None:
        self.lab.send("gateway", signal.SIGHUP)

    # -- the others ------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        return str(self._folder / name)

    def start_smsc(self, name: str = "smsc", port: int = SMSC_PORT, ledger: str = "texts") -> None:
        self.lab.python(name, "op", "tests.lab.smsc", SMSC, str(port), self._path(ledger))

    def start_calls(self) -> None:
        self._calls += 1
        argv = (str(SENDSMS), str(self.rate), self._path("calls"), f"w{self._calls}x")
        self.lab.python("caller", "gw", "tests.lab.caller", *argv)

    def stop_calls(self) -> None:
        self.lab.end("caller")

    # -- the log ---------------------------------------------------------------------------------

    def log(self, pattern: re.Pattern[str], since: float) -> list[Line]:
        """Lines that match, not older than `since`."""
        found = []
        for line in self.log_file.read_text(errors="replace").splitlines():
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
        while True:
            if self.log_file.exists() and (found := self.log(pattern, since)):
                return found[0]
            if time.monotonic() > end:
                return None
            time.sleep(0.05)

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

    # -- the ledgers -----------------------------------------------------------------------------

    def _lines(self, name: str) -> list[str]:
        """The whole lines of a file."""
        path = self._folder / name
        return path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []

    def calls(self, since: float = 0.0) -> list[Call]:
        """What was answered to the calls, from `since` on."""
        words = (line.split() for line in self._lines("calls"))
        calls = (Call(float(at), int(status), word) for at, status, word in words)
        return [call for call in calls if call.at >= since]

    def taken(self) -> set[str]:
        return {call.word for call in self.calls() if call.status == 202}

    def refused(self, since: float) -> int:
        """Calls that were answered otherwise, or not at all, from `since` on."""
        return sum(call.status != 202 for call in self.calls(since))

    def answered_again(self, since: float, limit: float) -> float | None:
        """Seconds from `since` until a text was taken."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            for call in self.calls(since):
                if call.status == 202:
                    return call.at - since
            time.sleep(0.05)
        return None

    def arrived(self) -> Counter[str]:
        events = (line.split(" ", 2) for line in self._lines("texts"))
        return Counter(event[2] for event in events if event[1] == "text")

    def binds(self, ledger: str = "texts") -> int:
        """How often the SMSC was bound to."""
        return sum(line.split(" ")[1] == "bind" for line in self._lines(ledger))

    def settle(self, limit: float = 60.0) -> bool:
        """Whether everything that was taken arrives within `limit` seconds."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.taken() <= self.arrived().keys():
                return True
            time.sleep(0.25)
        return False

    def count(self, limit: float = 60.0) -> Count:
        self.settle(limit)
        taken, arrived = self.taken(), self.arrived()
        again = sum(times - 1 for times in arrived.values())
        beside, resets = map(int, Path(self._path("beside")).read_text().split())
        uncertain = len(self.log(_UNCERTAIN, 0.0))
        return Count(
            taken=len(taken),
            lost=len(taken - arrived.keys()),
            twice=max(0, again - uncertain),
            explained=min(again, uncertain),
            beside=beside,
            resets=resets,
            binds=self.binds(),
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
