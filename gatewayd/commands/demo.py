"""`gatewayd demo`: the gateway, a simulated SMSC and a small platform in one process."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

import gatewayd
from gatewayd import log
from gatewayd.app import Gateway
from gatewayd.commands import configuration
from gatewayd.commands.simulate import say, stop
from gatewayd.config import Config
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError, GatewayError
from gatewayd.simulator import Simulator, listen
from gatewayd.smsc.smpp_sim import SimulatorOptions
from gatewayd.web.arguments import decode_query
from gatewayd.web.intake import Intake
from gatewayd.web.request import Answer, Request

PHONE = "255700000001"
SHORT_CODE = "8000"
BACKLOG = 50
READY_WITHIN = 2.0  # seconds that the first bind gets before we go on without it
LOOK = 0.02
_HINT = "other ports: DEMO_SENDSMS_PORT, DEMO_ADMIN_PORT, DEMO_SMSC_PORT, DEMO_PLATFORM_PORT"
_STATUSES = {1: "delivered", 2: "failed", 4: "on its way", 8: "taken by the SMSC", 16: "refused"}


class Platform:
    """What RapidPro would be: it takes MO and reports, and prints them."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __call__(self, request: Request) -> None:
        fields = {
            name: value.decode("utf-8", "replace")
            for name, value in decode_query(request.query).items()
        }
        if request.path == "/receive":
            line = (
                f'MO from {fields.get("sender")} to {fields.get("to")}: "{fields.get("message")}"'
            )
        elif request.path == "/report":
            status = fields.get("status", "")
            word = _STATUSES.get(int(status), "?") if status.isdigit() else "?"
            line = f"report on the SMS to {fields.get('to')}: status {status}, {word}"
        else:
            request.reply(Answer(404, b"nothing here\n"))
            return
        self._tell("".join(c if c.isprintable() else " " for c in line))
        request.reply(Answer(200, b"taken\n", (("Content-Type", "text/plain"),)))


def find_file(given: str) -> Path | None:
    """The demo's configuration: the one given, the repository's, or the installed one."""
    if given:
        return Path(given)
    places = (
        Path(gatewayd.__file__).resolve().parents[1] / "conf" / "demo.yaml",
        Path(sys.prefix) / "share" / "gatewayd" / "demo.yaml",
    )
    return next((place for place in places if place.is_file()), None)


def prefixed(who: str) -> Callable[[str], None]:
    """A teller of lines that begin with who it is."""
    return lambda line: say(f"{who:<9} {line}")


def curl_line(config: Config) -> str:
    """A line that sends an SMS, with reports to the demo platform, when it is pasted."""
    user = config.users[0]
    platform = _platform_origin(config)
    report = f"{platform}/report?status=%d&to=%p"
    query = urlencode(
        {
            "username": user.username,
            "password": user.password.reveal(),
            "from": SHORT_CODE,
            "to": PHONE,
            "text": "Hello from gatewayd",
            "dlr-mask": 31,
        }
    )
    url = f"{_url(config.http.sendsms)}{config.http.sendsms_path}?{query}"
    return f"curl '{url}&dlr-url={quote(report, safe='')}'"


def _url(listener: Any) -> str:
    return f"http://{listener.host}:{listener.port}"


def _platform_origin(config: Config) -> str:
    channel = config.channels[0]
    parts = urlsplit(channel.post_url or channel.get_url)
    return f"{parts.scheme}://{parts.netloc}"


class Demo:
    """The three parts, started and stopped together."""

    def __init__(self, config: Config, reactor: Any, environ: Mapping[str, str]) -> None:
        self.config = config
        self._reactor = reactor
        self._began = time.monotonic()
        smsc = config.smscs[0]
        options = SimulatorOptions(
            system_id=smsc.smpp.system_id,
            password=smsc.smpp.password.reveal(),
            echo=True,
            show=True,
        )
        chance = SystemRandom().random
        teller = prefixed("SMSC")
        self.simulator = Simulator(options, reactor, chance=chance, wall=time.time, tell=teller)
        platform = urlsplit(_platform_origin(config))
        intake = Intake(config.http, {}, reactor, default=Platform(prefixed("platform")))
        listen(reactor, self.simulator, smsc.hosts[0], smsc.port)
        reactor.listenTCP(platform.port, intake, BACKLOG, platform.hostname)
        self.gateway = Gateway(config, reactor, environ=environ, on_end=self._end)
        self.gateway.startService()
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        self._wait_for_bind()

    def _wait_for_bind(self) -> None:
        took = time.monotonic() - self._began
        if took < READY_WITHIN and not any(bind.bound for bind in self.gateway.binds):
            self._reactor.callLater(LOOK, self._wait_for_bind)
            return
        self._introduce()

    def _introduce(self) -> None:
        config = self.config
        smsc = config.smscs[0]
        admin = _url(config.http.admin)
        say(
            f"""
Everything runs on this machine, and nothing leaves it. Ctrl-C ends it.

  sendsms    {_url(config.http.sendsms)}{config.http.sendsms_path}
  admin      {admin}/status  {admin}/metrics  {admin}/readyz
  SMSC       {smsc.hosts[0]}:{smsc.port}, simulated, as {smsc.smpp.system_id}
  platform   {_platform_origin(config)}, prints what it gets
  store      {config.store.path}

To send an SMS, paste this line into another terminal:

{curl_line(config)}

Then you see here: the SMSC takes the submit and sends its receipt, the platform gets the reports,
and the phone answers with the same text: an MO, which goes to the platform too.
"""
        )

    def _end(self, how: str) -> None:
        self._reactor.callLater(0, self._reactor.stop)

    async def _stop_all(self) -> None:
        await self.gateway.stopService()
        await stop(self.simulator, self._reactor)

    def _stop(self) -> Any:
        return Deferred.fromCoroutine(self._stop_all())


def demo(given: str, reactor: Any) -> int:
    """Runs until interrupted; the exit code comes back."""
    path = find_file(given)
    if path is None:
        print("conf/demo.yaml is not here; name a configuration with -c FILE", file=sys.stderr)
        return 2
    with ExitStack() as left_behind:
        environ = dict(os.environ)
        if not environ.get("DEMO_STORE"):
            folder = tempfile.TemporaryDirectory(prefix="gatewayd-demo-")
            environ["DEMO_STORE"] = str(Path(left_behind.enter_context(folder)) / "demo.sqlite3")
        try:
            config = read_yaml(str(path), environ)
        except ConfigError as error:
            configuration.complain(error)
            return 2
        if not (config.smscs and config.users and config.channels):
            print(f"{path}: a demo needs an SMSC, a user and a channel", file=sys.stderr)
            return 2
        log.begin(config.logging.level, config.logging.format, config.logging.file)
        try:
            Demo(config, reactor, environ)
        except (GatewayError, OSError) as error:
            print(error, file=sys.stderr)
            return 1
        except CannotListenError as error:
            where = f"{error.interface}:{error.port}"
            print(f"cannot listen on {where}: {error.socketError}; {_HINT}", file=sys.stderr)
            return 1
        reactor.run()
    return 0
