"""What a bind makes of its tunnel's path: when it may connect, and when its link is lost.

        path       bind without link                link is up
    Down           waits (required), or goes on     no submits; dropped after GRACE (required);
                                                    dropped at once if it left by the tunnel
    Up, the same   connects after SETTLE            goes on as if nothing had been
    Up, another    connects after SETTLE            dropped, connects after SETTLE (required)

Required or not is `vpn.require`; "another" is another address or a device made anew.

Of a link that was dropped since its path is down, the socket stays open until there is a path: the
SMSC's packets may come with the device, before the route, and the kernel's answers to them must not
leave by another device (`net.sockets.keep_open`).
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gatewayd.net.vpn import Path, Up

GRACE = 2.0  # seconds that a link outlives its path: routes may be on their way to be exchanged
SETTLE = 0.2  # seconds from route to connect: addresses, firewalls and neighbours come with it


class Closable(Protocol):
    """What is left of a link."""

    def close(self) -> None: ...


class Gated(Protocol):
    """What the gate asks of its bind."""

    def hold(self) -> None:
        """Make no attempt to connect; drop the one that is under way."""

    def kick(self, settle: float) -> None:
        """Connect after `settle` seconds at the earliest, however long the pause still is."""

    def abort(self) -> None:
        """Drop the link."""

    def part(self) -> Closable | None:
        """Drop the link, but for its socket, which comes back if there is one."""

    def path_told(self) -> None:
        """Submits may go or not, other than before."""


class Gate:
    """One bind's."""

    def __init__(self, required: bool, bind: Gated, clock: IReactorTime) -> None:
        self._required = required
        self._bind = bind
        self._clock = clock
        self._path: Path | None = None
        self._used: Path | None = None  # what the link was made on
        self._source = ""  # the link's address on our side
        self._linked = False
        self._grace: IDelayedCall | None = None
        self._left: Closable | None = None  # of a link that was dropped

    @property
    def shut(self) -> str:
        """Why nothing may be sent; "" when it may."""
        if not self._required or isinstance(self._path, Up):
            return ""
        return f"path down: {self._path.reason if self._path else 'not looked at yet'}"

    def linked(self, source: str) -> None:
        """The bind has a link, which on our side has the address `source`."""
        self._linked = True
        self._used = self._path
        self._source = source

    def unlinked(self) -> None:
        self._linked = False
        self._stop_grace()

    def tell(self, path: Path) -> None:
        """The path is another one than before."""
        before, self._path = self._path, path
        if isinstance(path, Up):
            self._stop_grace()
            self._let_go()
            self._up(path)
        elif self._required:
            self._bind.hold()
            if self._linked and self._grace is None:
                self._grace = self._clock.callLater(GRACE, self._over)
            self._bind.path_told()
        elif self._linked and isinstance(before, Up) and before.address == self._source:
            self._bind.abort()  # another way may serve

    def _up(self, path: Up) -> None:
        if not self._linked:
            self._bind.kick(SETTLE)
        elif self._required and self._used != path:
            self._bind.abort()
            self._bind.kick(SETTLE)
        self._bind.path_told()

    def _over(self) -> None:
        self._grace = None
        self._left = self._bind.part()

    def _let_go(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            left.close()

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
