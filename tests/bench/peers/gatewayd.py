"""gatewayd on the same kannel.conf as Kannel; its store is always on and always synced."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from pathlib import Path

from tests.bench.peers.base import PORT0, wait_port
from tests.bench.peers.kannel import Kannel

INSTALLED = Path(sys.executable).with_name("gatewayd")


def command() -> list[str]:
    """The program that is measured: as `make setup` installed it, or what GATEWAYD names."""
    other = os.environ.get("GATEWAYD")
    return shlex.split(other) if other else [str(INSTALLED)]


def build_of() -> str:
    """One line for the head of the tables: which gatewayd it is, and whether it is compiled."""
    if other := os.environ.get("GATEWAYD"):
        return f"gatewayd: {other} (GATEWAYD; whether it is compiled is not known here)"
    spec = importlib.util.find_spec("gatewayd.flow.mt")
    compiled = spec is not None and (spec.origin or "").endswith(".so")
    state = "its hot modules compiled" if compiled else "NOT compiled, so slower than installed"
    return f"gatewayd: .venv/bin/{INSTALLED.name}, {state}"


class Gatewayd(Kannel):
    """Runs ``gatewayd run -c FILE``."""

    name, durable = "gatewayd", "every message, synced before it is answered"

    def start(self) -> None:
        path = self.write_configuration()
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        self.spawn(
            [*command(), "run", "-c", path], log="gatewayd", env={"STATE_DIRECTORY": str(state)}
        )
        wait_port(PORT0)
        wait_port(self.http_port)
