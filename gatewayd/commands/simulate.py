"""`gatewayd simulate`: an SMSC to try things with."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from random import SystemRandom
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from gatewayd.simulator import Simulator, listen
from gatewayd.smsc.server import Speech
from gatewayd.smsc.smpp_sim import SimulatorOptions

PATIENCE = 2.0  # seconds that ESMEs get for their answer to our unbind


def say(line: str) -> None:
    """One line on standard output, at once."""
    print(line, flush=True)


def stop(simulator: Simulator, reactor: Any) -> Deferred[None]:
    """Unbind everybody; fires when they are gone, or after `PATIENCE`."""
    gone: Deferred[None] = Deferred()

    def over(_: object = None) -> None:
        if not gone.called:
            gone.callback(None)

    reactor.callLater(PATIENCE, over)
    simulator.stop().addCallback(over)
    return gone


def simulate(
    options: SimulatorOptions, host: str, port: int, reactor: Any, protocol: str = "smpp"
) -> int:
    """Serve until interrupted; the exit code comes back."""
    chance = SystemRandom().random
    speech: Speech = import_module(f"gatewayd.smsc.{protocol}_sim")
    simulator = Simulator(options, reactor, chance=chance, wall=time.time, tell=say, speech=speech)
    try:
        listening = listen(reactor, simulator, host, port)
    except CannotListenError as error:
        print(f"cannot listen on {host}:{port}: {error.socketError}", file=sys.stderr)
        return 1
    address = listening.getHost()
    who = f"system-id {options.system_id}" if options.system_id else "any system-id"
    secret = "the password given" if options.password else "any password"
    where = f"{address.host}:{address.port}"
    say(f"A simulated SMSC listens on {where} for {speech.NAME}, Ctrl-C ends it.")
    say(f"It lets in {who} with {secret}.")
    reactor.addSystemEventTrigger("before", "shutdown", stop, simulator, reactor)
    reactor.run()
    say(
        f"{simulator.submits} submits, {simulator.taken} of them accepted;"
        f" {simulator.receipts} receipts and {simulator.mos} MO delivered"
    )
    return 0
