"""gatewayd on the same kannel.conf as Kannel; its store is always on and always synced."""

from __future__ import annotations

import os
import shlex
import sys

from tests.bench.peers.base import PORT0, wait_port
from tests.bench.peers.kannel import Kannel


class Gatewayd(Kannel):
    """Runs ``GATEWAYD run -c FILE``; the variable GATEWAYD names another build of it."""

    name, durable = "gatewayd", "every message, synced before it is answered"

    def start(self) -> None:
        path = self.write_configuration()
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        command = os.environ.get("GATEWAYD")
        argv = shlex.split(command) if command else [sys.executable, "-m", "gatewayd"]
        self.spawn([*argv, "run", "-c", path], log="gatewayd", env={"STATE_DIRECTORY": str(state)})
        wait_port(PORT0)
        wait_port(self.http_port)
