"""The steps of a probe before TCP: is the tunnel there, has it an address, leads it to the SMSC."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from gatewayd.commands.probe_path import PathStep, path_steps
from gatewayd.config import SmscConfig, VpnConfig
from gatewayd.net.rtnetlink import Device


class FakeKernel:
    """A machine of which a test breaks a part."""

    def __init__(self) -> None:
        self.tunnel: Device | None = Device(7, up=True, running=True)
        self.own = [(7, "10.66.0.2")]
        self.routes = True
        self.closed = 0

    def fileno(self) -> int:
        return -1

    def drain(self) -> None:
        """There is nothing."""

    def close(self) -> None:
        self.closed += 1

    def device(self, name: str) -> Device | None:
        return self.tunnel

    def addresses(self) -> list[tuple[int, str]]:
        return self.own

    def has_route(self, to: str, index: int, source: str) -> bool:
        return self.routes


def walk(kernel: FakeKernel, addresses: Sequence[str] = (), **vpn: Any) -> list[PathStep]:
    smsc = SmscConfig("a", "a", hosts=("smsc.example",), vpn=VpnConfig("tun0", **vpn))
    return list(path_steps(smsc, addresses, lambda: kernel))


def failed(steps: Sequence[PathStep]) -> list[str]:
    return [step.name for step in steps if step.advice]


def test_device_and_address_come_first_and_then_the_route() -> None:
    kernel = FakeKernel()
    assert walk(kernel) == [PathStep("device", "tun0 is up"), PathStep("address", "10.66.0.2")]
    assert walk(kernel, ["10.1.1.1"]) == [PathStep("route", "through tun0")]
    assert kernel.closed == 2


def test_a_tunnel_that_is_not_there_fails_the_device_and_ends_the_walk() -> None:
    kernel = FakeKernel()
    kernel.tunnel = None
    steps = walk(kernel)
    assert failed(steps) == [step.name for step in steps] == ["device"]
    assert steps[0].detail == "tun0 does not exist"
    assert steps[0].advice is not None
    assert "our own VPN" in steps[0].advice.means


def test_a_tunnel_without_address_fails_the_address() -> None:
    kernel = FakeKernel()
    kernel.own = []
    steps = walk(kernel)
    assert [step.name for step in steps] == ["device", "address"]
    assert failed(steps) == ["address"]


def test_a_tunnel_that_leads_elsewhere_fails_the_route() -> None:
    kernel = FakeKernel()
    kernel.routes = False
    (step,) = walk(kernel, ["10.1.1.1"])
    assert (step.name, step.detail) == ("route", "no route to 10.1.1.1 through tun0")
    assert step.advice is not None


def test_a_tunnel_that_goes_while_the_name_is_looked_up_fails_the_walk() -> None:
    kernel = FakeKernel()
    kernel.tunnel = None
    (step,) = walk(kernel, ["10.1.1.1"])
    assert step.advice is not None


def test_a_tunnel_that_is_not_required_fails_nothing() -> None:
    kernel = FakeKernel()
    kernel.tunnel = None
    (step,) = walk(kernel, require=False)
    assert step == PathStep("device", "tun0 does not exist, and not required")


def test_without_a_tunnel_there_are_no_steps() -> None:
    assert not list(path_steps(SmscConfig("a", "a"), ["10.1.1.1"]))


def test_a_closed_netlink_is_told() -> None:
    def closed() -> FakeKernel:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported")

    smsc = SmscConfig("a", "a", vpn=VpnConfig("tun0"))
    (step,) = path_steps(smsc, (), closed)
    assert "cannot be asked" in step.detail
