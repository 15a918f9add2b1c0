"""A new configuration for a running gateway: only what differs is changed.

First everything that can fail is tried without changing anything: tunnels, lists, access logs,
certificates, new listeners. Then, in one turn of the reactor and so between two messages, all else
takes the new configuration over. Last come the things that take time: links that drain, listeners
that close. Links, connections and calls that no difference concerns do not notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from twisted.internet.defer import DeferredList
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gatewayd.access import AccessLog, open_logs
from gatewayd.config import Config
from gatewayd.config.difference import Difference, difference
from gatewayd.doors import Prepared
from gatewayd.errors import GatewayError
from gatewayd.flow.services import Services
from gatewayd.flow.targets import Targets
from gatewayd.net import tls_later, vpn
from gatewayd.outcome import APPLIED, PARTLY, REFUSED, UNCHANGED, Outcome
from gatewayd.recovery import tell_of_channel, tell_of_smsc
from gatewayd.store.contract import Queue

if TYPE_CHECKING:
    from gatewayd.app import Gateway

PATIENCE = 2.0  # seconds beyond limits.drain for links that were cut to say so

log = Logger()


@dataclass(slots=True)
class _Ready:
    """What was tried, and is not used yet."""

    services: Services
    access: AccessLog | None
    doors: Prepared


async def reload(gateway: Gateway, new: Config) -> Outcome:
    """Bring the gateway to `new`, and say what came of it. Only one at a time."""
    old = gateway.config
    change = difference(old, new)
    if not change:
        gateway.reopen_logs()
        return Outcome(UNCHANGED, "the configuration has not changed")
    if change.fixed:
        keys = ", ".join(change.fixed)
        return Outcome(REFUSED, f"{keys}: only a restart can change this; nothing is changed")
    ready: _Ready | None = None
    try:
        waiting = await _waiting(gateway, change)
        if gateway.stopping:
            return Outcome(REFUSED, "the gateway is stopping")
        ready = _try(gateway, change, new)
        gateway.apply_logging(new.logging)
    except CannotListenError as error:
        return Outcome(
            REFUSED,
            f"cannot listen on {error.interface or '*'}:{error.port}: {error.socketError};"
            " nothing is changed",
        )
    except (GatewayError, OSError) as error:
        if ready is not None:
            _drop(gateway, ready)
        return Outcome(REFUSED, f"{error}; nothing is changed")
    try:
        problems = await _apply(gateway, change, new, ready, waiting)
    except Exception as error:  # noqa: BLE001 - we go on with what there is
        log.failure("A reload broke")
        problems = [f"a fault of gatewayd ({error}); restart it"]
    _tell_of_the_left(gateway)
    told = change.describe()
    if problems:
        return Outcome(PARTLY, f"{'; '.join(problems)}; all else is as configured: {told}")
    return Outcome(APPLIED, told)


async def _waiting(gateway: Gateway, change: Difference) -> dict[Queue, Mapping[str, int]]:
    """What the store has for SMSCs and channels that come."""
    if not (change.smscs_added or change.channels.added):
        return {Queue.MT: {}, Queue.MO: {}}
    return {queue: await gateway.rows.waiting(queue) for queue in (Queue.MT, Queue.MO)}


def _try(gateway: Gateway, change: Difference, new: Config) -> _Ready:
    """Whatever may fail. Raises GatewayError, OSError, CannotListenError."""
    vpn.check(new)
    tls_later.prepare(new, Targets(new))
    gateway.smscs.check([*change.smscs_added, *(one.new for one in change.smscs_changed)])
    services = Services(new.channels)
    access = gateway.access
    other = _logs(gateway.config) != _logs(new)
    if other:
        access = open_logs(new, gateway.reactor, gateway.wall, gateway.keys.uuid)
    try:
        return _Ready(services, access, gateway.doors.prepare(new, access))
    except BaseException:
        if other and access is not None:
            access.close()
        raise


def _drop(gateway: Gateway, ready: _Ready) -> None:
    """It will not be used."""
    gateway.doors.drop(ready.doors)
    if ready.access is not None and ready.access is not gateway.access:
        ready.access.close()


def _logs(config: Config) -> object:
    """What the access logs depend on."""
    logging = config.logging
    if not (logging.access_log or logging.request_log):
        return None
    names = {smsc.name: smsc.id for smsc in config.smscs}
    return names, replace(logging, level="", format="", numbers="", file="")


async def _apply(
    gateway: Gateway,
    change: Difference,
    new: Config,
    ready: _Ready,
    waiting: Mapping[Queue, Mapping[str, int]],
) -> list[str]:
    """Change what differs; what could not be done comes back. Up to the first `await` it is one
    moment."""
    old, gateway.config = gateway.config, new
    gateway.targets.configure(new)
    gateway.http.configure(per_origin=new.http.connections_out, redirects=new.http.redirects)
    gateway.budget.resize(new.http.max_requests_out)
    gateway.note_access(ready.access)
    gateway.dlr.configure(new)
    gateway.mt.configure(new)
    gateway.services = ready.services
    gateway.mo.configure(new, ready.services)
    gateway.reports.configure(new, new.reports)
    gateway.calls.configure(new)
    gateway.allow_exec(new.http.allow_exec)
    now, wall = gateway.reactor.seconds(), gateway.wall()
    for name in change.channels.added:
        if name not in gateway.calls.boxes and (rows := waiting[Queue.MO].get(name, 0)):
            gateway.calls.recovered(name, (), rows, now, wall)
    held = gateway.control.state == "suspended"
    closing = gateway.smscs.configure(new, change, waiting[Queue.MT], held=held)
    gateway.doors.use(ready.doors)
    gateway.calls.pump()
    gateway.smscs.give_away()
    problems = await gateway.doors.move(ready.doors, old)
    gateway.config = gateway.doors.config
    await gateway.within(DeferredList(closing), new.limits.drain + PATIENCE)
    gateway.smscs.give_away()
    return problems


def _tell_of_the_left(gateway: Gateway) -> None:
    for name, count in gateway.smscs.waiting_for_nobody().items():
        tell_of_smsc(name, count)
    for name, count in gateway.calls.waiting_for_nobody().items():
        tell_of_channel(name, count)
