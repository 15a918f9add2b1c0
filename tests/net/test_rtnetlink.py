"""Requests to and answers of the kernel, on exchanges recorded from it."""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.errors import PeerError
from gatewayd.net import rtnetlink
from gatewayd.net.rtnetlink import Device, Kernel

GOLDEN = Path(__file__).parents[1] / "golden" / "net" / "rtnetlink.txt"

if sys.byteorder == "big":
    pytest.skip("the recorded packets are little-endian", allow_module_level=True)


def recorded() -> dict[str, tuple[bytes, list[bytes]]]:
    """By title: the request and the packets of its answer."""
    found: dict[str, tuple[bytes, list[bytes]]] = {}
    title = ""
    for line in GOLDEN.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "Q":
            found[title] = (bytes.fromhex(rest), [])
        elif kind == "A":
            found[title][1].append(bytes.fromhex(rest))
        elif kind != "#":
            title = line
    return found


EXCHANGES = recorded()


class FakeSocket:
    """A netlink socket that answers as recorded."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.answers: list[tuple[bytes, int]] = []  # packet, sender
        self.replies: dict[bytes, list[bytes]] = {}
        self.heard: list[bytes | OSError] = []
        self.groups = -1
        self.closed = False

    def bind(self, address: tuple[int, int]) -> None:
        self.groups = address[1]

    def fileno(self) -> int:
        return 7

    def sendto(self, data: bytes, address: tuple[int, int]) -> None:
        self.asked.append(data)
        # The sequence number is the one of the request.
        for request, packets in self.replies.items():
            if request[:8] + request[12:] == data[:8] + data[12:]:
                for packet in packets:
                    self.answers.append((renumbered(packet, data[8:12]), 0))

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        if not self.answers:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        packet, sender = self.answers.pop(0)
        return packet, (sender, 0)

    def recv(self, size: int) -> bytes:
        if not self.heard:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        found = self.heard.pop(0)
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        self.closed = True


def renumbered(packet: bytes, sequence: bytes) -> bytes:
    done, at = b"", 0
    while at < len(packet):
        length = (int.from_bytes(packet[at : at + 4], "little") + 3) & ~3
        done += packet[at : at + 8] + sequence + packet[at + 12 : at + length]
        at += length
    return done


class Machine:
    """A Kernel over fake sockets."""

    def __init__(self) -> None:
        self.asking, self.hearing = FakeSocket(), FakeSocket()
        self.asking.replies = dict(EXCHANGES.values())
        sockets = [self.asking, self.hearing]
        self.kernel = Kernel(lambda: sockets.pop(0))


def test_requests_are_those_that_the_kernel_understood() -> None:
    made = {
        "device tun0": rtnetlink.ask_device("tun0", 1),
        "device nope": rtnetlink.ask_device("nope", 2),
        "addresses": rtnetlink.ask_addresses(3),
        "route 10.200.5.10": rtnetlink.ask_route("10.200.5.10", 2, "", 4),
        "route 10.9.9.9": rtnetlink.ask_route("10.9.9.9", 2, "", 5),
        "route fd77::1": rtnetlink.ask_route("fd77::1", 2, "", 6),
        "route fd99::1": rtnetlink.ask_route("fd99::1", 2, "", 7),
        "route src": rtnetlink.ask_route("10.200.5.10", 2, "10.66.0.2", 8),
    }
    assert made == {title: request for title, (request, _) in EXCHANGES.items()}


def test_a_device_is_there_or_not() -> None:
    kernel = Machine().kernel
    assert kernel.device("tun0") == Device(2, up=True, running=False)
    assert kernel.device("nope") is None


def test_addresses_are_those_that_can_be_spoken_from() -> None:
    """Not 127.0.0.1, not fe80::."""
    assert Machine().kernel.addresses() == [(2, "10.66.0.2"), (2, "fd66::2")]


@pytest.mark.parametrize(
    ("to", "there"),
    [("10.200.5.10", True), ("10.9.9.9", False), ("fd77::1", True), ("fd99::1", False)],
)
def test_a_route_is_there_or_not(to: str, there: bool) -> None:
    assert Machine().kernel.has_route(to, 2, "") is there


def test_a_route_by_another_device_does_not_count() -> None:
    machine = Machine()
    request, packets = EXCHANGES["route 10.200.5.10"]
    other = request[:-4] + b"\3\0\0\0"
    machine.asking.replies = {other: packets}  # which leads out by device 2
    assert not machine.kernel.has_route("10.200.5.10", 3, "")


def test_a_source_address_of_the_other_family_is_not_asked_about() -> None:
    assert rtnetlink.ask_route("fd77::1", 2, "10.0.0.1", 6) == EXCHANGES["route fd77::1"][0]


def test_answers_of_others_and_old_ones_are_passed_over() -> None:
    machine = Machine()
    packet = EXCHANGES["device tun0"][1][0]
    machine.asking.answers = [
        (renumbered(packet, b"\1\0\0\0"), 4711),  # not the kernel's
        (renumbered(packet, b"\x63\0\0\0"), 0),  # to an earlier request
    ]
    machine.asking.replies = {}
    with pytest.raises(BlockingIOError):
        machine.kernel.device("tun0")
    machine.asking.replies = dict(EXCHANGES.values())
    assert machine.kernel.device("tun0") is not None


def test_no_answer_is_an_error_and_not_a_wait() -> None:
    machine = Machine()
    machine.asking.replies = {}
    with pytest.raises(OSError):
        machine.kernel.addresses()


def test_notices_of_links_addresses_and_routes_are_heard_and_forgotten() -> None:
    machine = Machine()
    assert machine.hearing.groups == 0x1 | 0x10 | 0x40 | 0x100 | 0x400
    machine.hearing.heard = [b"x", OSError(errno.ENOBUFS, "some were lost"), b"y"]
    machine.kernel.drain()
    assert machine.hearing.heard == []
    assert machine.kernel.fileno() == 7


def test_both_sockets_are_closed() -> None:
    machine = Machine()
    machine.kernel.close()
    assert machine.asking.closed
    assert machine.hearing.closed


def test_where_netlink_is_forbidden_nothing_stays_open() -> None:
    first = FakeSocket()
    sockets: list[Any] = [first]

    def make() -> Any:
        if not sockets:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported")
        return sockets.pop()

    with pytest.raises(OSError, match="family"):
        Kernel(make)
    assert first.closed


def read(packet: bytes) -> None:
    for message in rtnetlink.messages(packet):
        rtnetlink.device_of(message.body)
        rtnetlink.address_of(message.body)
        rtnetlink.leads_out(message.body, 2)
        rtnetlink.refusal_of(message.body)


@settings(max_examples=100)
@given(st.binary(max_size=120))
def test_what_is_no_netlink_is_refused_as_such(packet: bytes) -> None:
    with contextlib.suppress(PeerError):
        read(packet)


@settings(max_examples=200)
@given(st.sampled_from([p for _, packets in EXCHANGES.values() for p in packets]), st.data())
def test_damaged_answers_are_refused_as_such(packet: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(packet) - 1))
    broken = packet[:at] + bytes([data.draw(st.integers(0, 255))]) + packet[at + 1 :]
    with contextlib.suppress(PeerError):
        read(broken[: data.draw(st.integers(0, len(broken)))])
