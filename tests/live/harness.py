"""What live tests stand on: free ports, a gateway process that can be killed, and the load tools.

Live tests start real processes on loopback. A test asks for what it needs:

    with Rig(tmp_path) as rig:                    # an SMSC and a platform that outlive the gateway
        rig.smsc({"mo": 1000}); rig.platform({})
        gateway = rig.gateway(kannel_conf(rig))
        gateway.start()

Waiting is always for something that can be seen (a port, /healthz, a counter), never for a time.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.bench.loadtools import NoCompiler, Tool, build, drain, until

ROOT = Path(__file__).resolve().parents[2]

__all__ = ["Gateway", "NoCompiler", "Rig", "Tool", "build", "drain", "kannel_conf", "until"]

# Below the ports that the kernel hands out for outgoing connections, apart for parallel workers.
_FIRST_PORT, _PORTS_PER_WORKER = 26000, 600


def _worker() -> int:
    name = os.environ.get("PYTEST_XDIST_WORKER", "")
    return int(name.removeprefix("gw")) % 8 if name.startswith("gw") else os.getpid() % 8


class Ports:
    """Hands out loopback ports that nobody listens on; the same one is not given twice."""

    def __init__(self) -> None:
        self._next = _FIRST_PORT + _worker() * _PORTS_PER_WORKER
        self._end = self._next + _PORTS_PER_WORKER

    def take(self) -> int:
        while self._next < self._end:
            port, self._next = self._next, self._next + 1
            with contextlib.closing(socket.socket()) as trial:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    trial.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port
        raise RuntimeError("no free port left")


PORTS = Ports()


def listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True


def http_get(port: int, path: str, timeout: float = 5.0) -> tuple[int, str]:
    """Status and body of a GET on loopback; raises OSError where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


class Gateway:
    """A gatewayd process on one configuration; the state folder outlives kills and restarts.

    The variable GATEWAYD names another command to run; ``{CONF}`` in it is the configuration.
    """

    def __init__(
        self, folder: Path, configuration: str, *, suffix: str, admin_port: int, sendsms_port: int
    ) -> None:
        self.admin_port, self.sendsms_port = admin_port, sendsms_port
        self.state = folder / "state"
        self.state.mkdir(exist_ok=True)
        self.configuration = folder / f"gateway{suffix}"
        self.configuration.write_text(configuration)
        self.log = folder / "gateway.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.before: list[str] = []  # words before the command: a tracer, say

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self, env: Mapping[str, str] | None = None, timeout: float = 30.0) -> None:
        """Start it and return once it answers; raises RuntimeError with the log's end if not."""
        self.spawn(env)
        if not until(lambda: self.healthy() or not self.running, timeout) or not self.running:
            self.kill()
            raise RuntimeError(f"the gateway did not start:\n{self.tail()}")

    def spawn(self, env: Mapping[str, str] | None = None) -> None:
        command = os.environ.get("GATEWAYD") or (
            f"{shlex.quote(sys.executable)} -m gatewayd run -c {{CONF}}"
        )
        argv = [*self.before]
        argv += [word.replace("{CONF}", str(self.configuration)) for word in shlex.split(command)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=ROOT,
                env={**os.environ, "STATE_DIRECTORY": str(self.state), **(env or {})},
                start_new_session=True,
            )

    def healthy(self) -> bool:
        """Whether the admin listener answers /healthz and sendsms is open."""
        try:
            http_get(self.admin_port, "/healthz", timeout=2.0)
        except OSError:
            return False
        return listening(self.sendsms_port)

    def metrics(self) -> dict[str, float]:
        """What /metrics says, by series with its labels; raises OSError where nobody answers."""
        found: dict[str, float] = {}
        for line in http_get(self.admin_port, "/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name and not line.startswith("#"):
                found[name] = float(value)
        return found

    def kill(self) -> None:
        """kill -9, of the whole process group."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM; returns the exit status. Raises RuntimeError if it takes longer."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"SIGTERM did not end it in {timeout} s:\n{self.tail()}") from None

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Rig:
    """A gateway between an SMSC, a platform and a caller; leaving it ends every process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.smsc_port, self.platform_port = PORTS.take(), PORTS.take()
        self.admin_port, self.sendsms_port, self.box_port = (PORTS.take() for _ in range(3))
        self._tools: list[Tool] = []
        self._gateways: list[Gateway] = []

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for gateway in self._gateways:
            gateway.kill()
        for tool in self._tools:
            if tool.running:
                tool.process.kill()
                tool.process.wait()

    def _tool(self, name: str, options: Mapping[str, object], tag: str = "") -> Tool:
        build()
        tool = Tool(name, self.folder, options, tag=tag)
        self._tools.append(tool)
        return tool

    def smsc(self, options: Mapping[str, object], *, tag: str = "") -> Tool:
        """A simulated SMSC (tests/bench/tools/smscsim.c); a second one wants a `tag`."""
        return self._tool("smscsim", {"port": self.smsc_port, **options}, tag)

    def platform(self, options: Mapping[str, object]) -> Tool:
        """A platform that takes MO and reports (tests/bench/tools/httpsink.c)."""
        return self._tool("httpsink", {"port": self.platform_port, "body": "", **options})

    def caller(
        self, options: Mapping[str, object], *, reports: bool = False, tag: str = ""
    ) -> Tool:
        """Calls to sendsms, each text with an id of its own (tests/bench/tools/mtload.c)."""
        path = "/cgi-bin/sendsms?username=u&password=p&from=8000&to={to}&text={text}"
        if reports:
            url = f"http%3A%2F%2F127.0.0.1%3A{self.platform_port}%2Fdlr%3Fm%3D{{m}}%26type%3D%25d"
            path += f"&dlr-mask=3&dlr-url={url}"
        return self._tool("mtload", {"port": self.sendsms_port, "path": path, **options}, tag)

    def adopt(self, gateway: Gateway) -> None:
        """End it, too, when the rig is left."""
        self._gateways.append(gateway)

    def gateway(self, configuration: str, *, suffix: str = ".conf") -> Gateway:
        gateway = Gateway(
            self.folder,
            configuration,
            suffix=suffix,
            admin_port=self.admin_port,
            sendsms_port=self.sendsms_port,
        )
        self._gateways.append(gateway)
        return gateway


def kannel_conf(rig: Rig, *, window: int = 50, binds: int = 1, extra: Sequence[str] = ()) -> str:
    """A kannel.conf for the rig: `binds` transceivers, retries towards the platform switched on."""
    lines = "\n".join(extra)
    return f"""\
group = core
admin-port = {rig.admin_port}
admin-interface = 127.0.0.1
admin-password = live
smsbox-port = {rig.box_port}
smsbox-interface = 127.0.0.1
dlr-storage = internal
log-level = 2
sms-resend-freq = 2
{lines}

group = smsc
smsc = smpp
smsc-id = live
host = 127.0.0.1
port = {rig.smsc_port}
transceiver-mode = true
instances = {binds}
smsc-username = u
smsc-password = p
system-type = ""
max-pending-submits = {window}
enquire-link-interval = 5
reconnect-delay = 1

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {rig.sendsms_port}
sendsms-interface = 127.0.0.1
log-level = 2
max-pending-requests = {POSTS_IN_FLIGHT}
http-request-retry = 100
http-queue-delay = 1

group = sendsms-user
username = u
password = p
max-messages = 10
concatenation = true

group = sms-service
keyword = default
catch-all = true
get-url = "http://127.0.0.1:{rig.platform_port}/mo?from=%p&to=%P&text=%a"
max-messages = 0
omit-empty = true
"""


POSTS_IN_FLIGHT = 50  # calls to the platform under way at once
