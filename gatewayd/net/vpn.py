"""Watches the tunnel to each SMSC and says at once when its path opens and when it is lost.

A path is *up* when its device exists, is up and running, has an address (the SMSC's
`source-address`, if one is set), and a route leads through it to one of the SMSC's hosts. What the
kernel tells unasked is only a hint that something changed: each hint has device, addresses and
routes asked for anew (about 50 microseconds for each SMSC), so that a lost or misread notice costs
nothing. Notices that come in a burst, of a large routing table say, are answered by one look every
`BURST` seconds; and once in `POLL` seconds there is a look without any.

For the routes the kernel is asked as a socket bound to the device would ask it: routing rules and
tables count, a route beside the tunnel does not. Of a host given by name the address is known only
while there is a link; without one, device and address have to do, and the name is looked up anew.

What is made of it (`net.bind`): with `require` a bind connects only while its path is up, from a
socket that is bound to the device before its first packet (`net.sockets`); so neither a password
nor a SYN goes beside the tunnel, whatever the routing table says at that moment. A path that is
lost stops the submits at once. The link itself has `net.path.GRACE` seconds: routes that are
exchanged for others leave a gap of milliseconds, which TCP survives. A path that opens, or comes
back changed, has its binds connect after a moment, however long their pause still was.

What no kernel can tell, a tunnel whose far end is dead or an SMSC that is frozen, is the work of
enquire_link; there the reconnect pause, which has a cap, takes the place of the event.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, ClassVar, Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from gatewayd.config import Config, SmscConfig
from gatewayd.errors import ConfigError, PeerError, Problem
from gatewayd.net.rtnetlink import Device, Kernel

BURST = 0.05  # seconds between looks while notices pour in
POLL = 10.0  # seconds between looks without any notice


@dataclass(frozen=True, slots=True)
class Up:
    """The path is open. Sockets made on another address or device index are lost."""

    address: str
    index: int


@dataclass(frozen=True, slots=True)
class Down:
    """The path is lost; `reason` is for people: ``tun0 does not exist``."""

    reason: str
    step: str = field(default="device", compare=False)  # what fails: device | address | route


Path = Up | Down


class Oracle(Protocol):
    """What is asked of the kernel; see `net.rtnetlink.Kernel`."""

    def fileno(self) -> int: ...

    def drain(self) -> None: ...

    def close(self) -> None: ...

    def device(self, name: str) -> Device | None: ...

    def addresses(self) -> list[tuple[int, str]]: ...

    def has_route(self, to: str, index: int, source: str) -> bool: ...


class Tunnel:
    """One SMSC's path: how it is, how often it changed, and when."""

    __slots__ = ("changed_at", "changes", "device", "hosts", "name", "path", "source")

    def __init__(self, smsc: SmscConfig) -> None:
        self.name = smsc.name
        self.device = smsc.vpn.device
        hosts = smsc.hosts + tuple(bind.host for bind in smsc.binds)
        self.hosts = tuple(host for host in dict.fromkeys(hosts) if _is_address(host))
        self.source = smsc.source_address if _is_address(smsc.source_address) else ""
        self.path: Path | None = None  # None: never looked
        self.changes = 0
        self.changed_at = 0.0  # wall time

    @property
    def up(self) -> bool:
        return type(self.path) is Up

    def look(self, kernel: Oracle, learned: Iterable[str]) -> Path:
        """How the path is now; `learned` are addresses that the SMSC's names stood for."""
        device = kernel.device(self.device)
        if device is None:
            return Down(f"{self.device} does not exist")
        if not device.up:
            return Down(f"{self.device} is down")
        if not device.running:
            return Down(f"{self.device} is served by nobody (no carrier)")
        addresses = kernel.addresses()
        if self.source:
            # A device without addresses of its own speaks from one that another device has.
            if all(address != self.source for _, address in addresses):
                return Down(f"this machine lacks the source-address {self.source}", "address")
            address = self.source
        else:
            own = [address for index, address in addresses if index == device.number]
            if not own:
                return Down(f"{self.device} has no address", "address")
            address = own[0]
        hosts = self.hosts or tuple(learned)
        if hosts and not any(kernel.has_route(to, device.number, self.source) for to in hosts):
            return Down(f"no route to {' or '.join(hosts)} through {self.device}", "route")
        return Up(address, device.number)


@implementer(IReadDescriptor)
class VpnWatcher(Service):
    """Looks after the tunnels of all SMSCs that have one.

    `changed(name, path)` is called for each SMSC when the service starts and at each change after
    that; `learned(name)` gives the addresses that an SMSC's host names are found to have.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        smscs: Iterable[SmscConfig],
        reactor: Any,
        wall: Callable[[], float],
        changed: Callable[[str, Path], None],
        learned: Callable[[str], Iterable[str]] = lambda name: (),
        kernel: Callable[[], Oracle] = Kernel,
    ) -> None:
        self.tunnels = {smsc.name: Tunnel(smsc) for smsc in smscs if smsc.vpn.device}
        self._reactor = reactor
        self._wall = wall
        self._changed = changed
        self._learned = learned
        self._open = kernel
        self._kernel: Oracle | None = None
        self._looked = 0.0
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        """Look for the first time; without a tunnel in the configuration nothing is opened."""
        Service.startService(self)
        if not self.tunnels:
            return
        try:
            self._kernel = self._open()
        except OSError as error:
            self.log.error("No tunnel can be watched: {reason}", reason=_text(error))
        else:
            self._reactor.addReader(self)
        self._look()

    def stopService(self) -> None:
        Service.stopService(self)
        self._set_timer(None)
        if self._kernel is not None:
            self._reactor.removeReader(self)
            self._kernel.close()
            self._kernel = None

    def replace(self, smscs: Iterable[SmscConfig]) -> None:
        """Other SMSCs, or the same ones with other tunnels; what has not changed is kept."""
        old, self.tunnels = self.tunnels, {s.name: Tunnel(s) for s in smscs if s.vpn.device}
        for name, tunnel in self.tunnels.items():
            before = old.get(name)
            if before is not None and before.device == tunnel.device:
                tunnel.path, tunnel.changes = before.path, before.changes
                tunnel.changed_at = before.changed_at
        if self.running and self._kernel is None:
            self.startService()
        elif self.running:
            self._look()

    # -- what the reactor calls (IReadDescriptor) ------------------------------------------------

    def fileno(self) -> int:
        return -1 if self._kernel is None else self._kernel.fileno()

    def logPrefix(self) -> str:
        return "vpn"

    def doRead(self) -> None:
        """Something changed."""
        if self._kernel is None:
            return
        self._kernel.drain()
        wait = self._looked + BURST - self._reactor.seconds()
        if wait <= 0:
            self._look()
        else:
            self._set_timer(wait)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor gave the descriptor up; the looks by the clock go on."""
        if self.running:
            self.log.error("The kernel tells of no changes any more; looking every 10 s")

    # -- looking ---------------------------------------------------------------------------------

    def _look(self) -> None:
        self._looked = self._reactor.seconds()
        self._set_timer(POLL)
        for tunnel in list(self.tunnels.values()):
            path = self._path_of(tunnel)
            if path != tunnel.path:
                self._tell(tunnel, path)

    def _path_of(self, tunnel: Tunnel) -> Path:
        if self._kernel is None:
            return Down("the kernel does not tell of it (netlink is closed to this process)")
        try:
            return tunnel.look(self._kernel, self._learned(tunnel.name))
        except (OSError, PeerError) as error:
            return Down(f"the kernel cannot be asked: {_text(error)}")

    def _tell(self, tunnel: Tunnel, path: Path) -> None:
        before, tunnel.path = tunnel.path, path
        if isinstance(before, Down) and isinstance(path, Down):
            level = LogLevel.debug  # another reason is no other state
        else:
            level = LogLevel.warn
            tunnel.changes += before is not None
            tunnel.changed_at = self._wall()
        if isinstance(path, Up):
            self.log.info(
                "{smsc}: the path through {device} is up, from {address}",
                smsc=tunnel.name,
                device=tunnel.device,
                address=path.address,
            )
        else:
            self.log.emit(
                level, "{smsc}: path down: {reason}", smsc=tunnel.name, reason=path.reason
            )
        try:
            self._changed(tunnel.name, path)
        except Exception:  # noqa: BLE001 - the other tunnels are still to be looked at
            self.log.failure("A change of path broke something")

    def _set_timer(self, wait: float | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if wait is None else self._reactor.callLater(wait, self._look)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


# -- what a machine must be able to do -------------------------------------------------------------


def bind_to_loopback() -> None:
    """Bind a socket to a device, to see whether we may.

    Raises:
        OSError: we may not, or this system cannot.
    """
    option = getattr(socket, "SO_BINDTODEVICE", None)
    if option is None:
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, option, b"lo\0")


def check(
    config: Config,
    bind: Callable[[], None] = bind_to_loopback,
    kernel: Callable[[], Oracle] = Kernel,
) -> None:
    """Whether this machine can keep what the configuration says of tunnels.

    Raises:
        ConfigError: it cannot, and how that is mended.
    """
    problems = []
    bound = [smsc.name for smsc in config.smscs if smsc.bound_to]
    if bound:
        try:
            bind()
        except OSError as error:
            cure = (
                "give the unit AmbientCapabilities=CAP_NET_RAW (Linux before 5.7 wants it)"
                if error.errno == errno.EPERM
                else "gatewayd needs Linux for that"
            )
            problems.append(
                f"{', '.join(bound)}: no socket can be bound to a device (SO_BINDTODEVICE: "
                f"{_text(error)}); {cure}, or write require: false and take bind-device out, and "
                "the link may leave beside the tunnel"
            )
    required = [smsc.name for smsc in config.smscs if smsc.vpn.device and smsc.vpn.require]
    if required:
        try:
            kernel().close()
        except OSError as error:
            problems.append(
                f"{', '.join(required)}: the tunnel cannot be watched ({_text(error)}); let the "
                "unit's RestrictAddressFamilies include AF_NETLINK, or write require: false"
            )
    if problems:
        raise ConfigError([Problem(config.source, 0, "vpn", text) for text in problems])
