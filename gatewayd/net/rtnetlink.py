"""What the Linux kernel says of network devices, addresses and routes (rtnetlink, RFC 3549).

Two sockets: one only hears that something has changed, one asks how things are. The kernel answers
a request before the call that sends it returns, so that asking takes microseconds and nobody waits.
Requests and answers are made and read by plain functions on bytes.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple

from gatewayd.errors import PeerError

NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_GETROUTE = 24, 26
_REQUEST, _DUMP = 0x01, 0x300
_IFLA_IFNAME, _IFA_ADDRESS, _IFA_LOCAL = 3, 1, 2
_RTA_DST, _RTA_SRC, _RTA_OIF = 1, 2, 4
_FIB_MATCH = 0x2000  # the route that matches, not a guess that the destination is on the link
_UNICAST, _LOCAL = 1, 2
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_LINK_SCOPE = 253  # addresses with this scope lead nowhere beyond the link
_GROUPS = 0x001 | 0x010 | 0x040 | 0x100 | 0x400  # links; IPv4 addresses, routes; IPv6 the same
_PACKET = 1 << 16
_MOST = 10_000  # packets read for one answer, or at one go

Address = str


class Device(NamedTuple):
    """A network device. `number` is another one when it is made anew under the same name."""

    number: int
    up: bool  # set up by its administrator
    running: bool  # something serves it: a cable, a tunnel's process


class Message(NamedTuple):
    """One netlink message."""

    kind: int
    sequence: int
    body: bytes


class KernelRefuses(Exception):
    """The kernel's answer was an error; `number` is its errno."""

    def __init__(self, number: int) -> None:
        super().__init__(f"errno {number}")
        self.number = number


# -- requests --------------------------------------------------------------------------------------


def _request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def ask_device(name: str, sequence: int) -> bytes:
    """For one device."""
    body = bytes(16) + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
    return _request(RTM_GETLINK, 0, sequence, body)


def ask_addresses(sequence: int) -> bytes:
    """For every address of this machine."""
    return _request(RTM_GETADDR, _DUMP, sequence, bytes(8))


def ask_route(to: Address, index: int, source: Address, sequence: int) -> bytes:
    """For the route that a packet to `to` takes when it must leave by the device `index`.

    `source` is its source address where that is settled, else "".
    """
    target = ip_address(to)
    family = socket.AF_INET if target.version == 4 else socket.AF_INET6
    bits = target.max_prefixlen
    attributes = _attribute(_RTA_DST, target.packed)
    source_bits = 0
    if source and ip_address(source).version == target.version:
        source_bits = bits
        attributes += _attribute(_RTA_SRC, ip_address(source).packed)
    attributes += _attribute(_RTA_OIF, struct.pack("=i", index))
    head = struct.pack("=BBBBBBBBI", family, bits, source_bits, 0, 0, 0, 0, 0, _FIB_MATCH)
    return _request(RTM_GETROUTE, 0, sequence, head + attributes)


# -- answers ---------------------------------------------------------------------------------------


def messages(packet: bytes) -> Iterator[Message]:
    """The messages of one packet.

    Raises:
        PeerError: it is cut off or its lengths are wrong.
    """
    at = 0
    while at < len(packet):
        if len(packet) - at < 16:
            raise PeerError("a netlink message is cut off", fatal=True)
        length, kind, _flags, sequence, _port = struct.unpack_from("=IHHII", packet, at)
        if not 16 <= length <= len(packet) - at:
            raise PeerError(f"a netlink message claims {length} octets", fatal=True)
        yield Message(kind, sequence, packet[at + 16 : at + length])
        at += (length + 3) & ~3


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(body) - at >= 4:
        length, kind = struct.unpack_from("=HH", body, at)
        if not 4 <= length <= len(body) - at:
            raise PeerError(f"a netlink attribute claims {length} octets", fatal=True)
        found[kind & 0x3FFF] = body[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _head(layout: str, body: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack_from(layout, body)
    except struct.error:
        raise PeerError("a netlink message is too short", fatal=True) from None


def device_of(body: bytes) -> Device:
    """What a NEWLINK message says."""
    _family, _pad, _kind, index, flags, _change = _head("=BBHiII", body)
    return Device(index, bool(flags & _IFF_UP), bool(flags & _IFF_RUNNING))


def address_of(body: bytes) -> tuple[int, Address] | None:
    """Device index and our address in a NEWADDR message; None when it leads nowhere."""
    _family, _bits, _flags, scope, index = _head("=BBBBi", body)
    attributes = _attributes(body, 8)
    raw = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b""))
    if scope >= _LINK_SCOPE or len(raw) not in (4, 16):
        return None
    return index, str(ip_address(raw))


def leads_out(body: bytes, index: int) -> bool:
    """Whether the route in a NEWROUTE message sends packets out by the device `index`."""
    head = _head("=BBBBBBBBI", body)
    oif = _attributes(body, 12).get(_RTA_OIF)
    return head[7] in (_UNICAST, _LOCAL) and (oif is None or oif == struct.pack("=i", index))


def refusal_of(body: bytes) -> int:
    """The errno in an ERROR message; 0: it is none, only an acknowledgement."""
    (number,) = _head("=i", body)
    return -number


# -- the sockets -----------------------------------------------------------------------------------


def netlink_socket() -> Any:
    """A socket to the kernel's routing tables.

    Raises:
        OSError: this is no Linux, or netlink is forbidden here.
    """
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError("only Linux tells what becomes of network devices")
    return socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)


class Kernel:
    """This machine's kernel; `make` makes the sockets to it.

    Raises:
        OSError: as `netlink_socket`.
    """

    def __init__(self, make: Callable[[], Any] = netlink_socket) -> None:
        self._asking = make()
        try:
            self._hearing = make()
        except OSError:
            self._asking.close()
            raise
        self._sequence = 0
        try:
            self._asking.bind((0, 0))
            self._hearing.bind((0, _GROUPS))
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """Readable when something has changed."""
        number: int = self._hearing.fileno()
        return number

    def drain(self) -> None:
        """Forget what was heard: what counts is asked for. Some may have been lost anyway."""
        for _ in range(_MOST):
            try:
                self._hearing.recv(_PACKET)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: more came than was kept
                continue

    def close(self) -> None:
        self._asking.close()
        self._hearing.close()

    def device(self, name: str) -> Device | None:
        """None: there is no such device."""
        try:
            for message in self._ask(ask_device(name, self._next())):
                if message.kind == RTM_NEWLINK:
                    return device_of(message.body)
        except KernelRefuses:
            return None
        return None

    def addresses(self) -> list[tuple[int, Address]]:
        """Device index and address of all that can be spoken from beyond a link."""
        found = []
        for message in self._ask(ask_addresses(self._next())):
            if message.kind == RTM_NEWADDR and (entry := address_of(message.body)) is not None:
                found.append(entry)
        return found

    def has_route(self, to: Address, index: int, source: Address) -> bool:
        """Whether packets to `to` find a route out by the device `index`."""
        try:
            return any(
                message.kind == RTM_NEWROUTE and leads_out(message.body, index)
                for message in self._ask(ask_route(to, index, source, self._next()))
            )
        except KernelRefuses:
            return False

    def _next(self) -> int:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        return self._sequence

    def _ask(self, request: bytes) -> list[Message]:
        """The answer to one request, whole.

        Raises:
            KernelRefuses: it is an error.
            OSError: there is none.
            PeerError: it cannot be read.
        """
        self._asking.sendto(request, (0, 0))
        dump = struct.unpack_from("=H", request, 6)[0] & _DUMP
        found: list[Message] = []
        for _ in range(_MOST):
            packet, (sender, _groups) = self._asking.recvfrom(_PACKET)
            for message in messages(packet):
                if sender != 0 or message.sequence != self._sequence:
                    continue  # not the kernel's, or the rest of an earlier answer
                if message.kind == NLMSG_DONE:
                    return found
                if message.kind == NLMSG_ERROR:
                    if number := refusal_of(message.body):
                        raise KernelRefuses(number)
                    return found
                found.append(message)
                if not dump:
                    return found
        raise OSError("the kernel's answer has no end")
