"""The simulated SMSC speaking UCP, in memory: the same faults as for SMPP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gatewayd.simulator import Link, Simulator
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc import ucp_sim
from gatewayd.smsc.smpp_sim import SimulatorOptions
from gatewayd.smsc.ucp_frame import Frame

WALL = 1_795_301_000.0


class Account:
    """A large account in memory, and the simulator it talks to."""

    def __init__(self, throws: Sequence[float] = (), **options: Any) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        chances: Iterator[float] = iter([*throws, *repeat(0.999, 1000)])
        self.simulator = Simulator(
            SimulatorOptions(**options),
            self.clock,
            chance=lambda: next(chances),
            wall=lambda: WALL + self.clock.seconds(),
            tell=self.lines.append,
            speech=ucp_sim,
        )
        link = self.simulator.buildProtocol(None)
        assert link is not None
        self.link: Link = link
        self.wire = StringTransport()
        link.makeConnection(self.wire)  # type: ignore[no-untyped-call]

    def say(self, *frames: Frame) -> None:
        self.link.dataReceived(b"".join(map(ucp.encode, frames)))

    def heard(self) -> list[Frame]:
        data: bytes = self.wire.value()
        self.wire.clear()
        return [ucp.decode(body) for body in ucp.Framer().feed(data)]

    def login(self, name: str = "4545", password: str = "pw") -> list[Frame]:
        fields = (name, "6", "5", "1", password.encode().hex(), "", "0100", "", "", "", "", "")
        self.say(Frame(0, False, 60, fields))
        return self.heard()

    def submit(self, number: int = 1) -> list[Frame]:
        given = {"AdC": "258840000001", "OAdC": "8000", "MT": "3", "Msg": "68656C6C6F"}
        given |= {"NRq": "1", "NT": "3"}
        fields = tuple(given.get(name, "") for name in ucp.FIELDS_5X)
        self.say(Frame(number, False, 51, fields))
        return self.heard()

    def wait(self, seconds: float) -> list[Frame]:
        self.clock.pump([0.1] * round(seconds * 10))
        return self.heard()


def test_a_submit_gets_its_notification_and_an_echo() -> None:
    account = Account(receipts=1.0, echo=True, show=True)
    assert account.login()[0].fields[0] == "A"
    (result,) = account.submit()
    recipient, _, stamp = result.fields[2].partition(":")
    assert (result.fields[0], recipient) == ("A", "258840000001")
    notification, echo = account.wait(2.0)
    assert (notification.operation, notification.fields[ucp.SCTS]) == (53, stamp)
    assert (notification.fields[ucp.DST], notification.fields[ucp.OADC]) == ("0", recipient)
    assert (echo.operation, echo.fields[ucp.MSG]) == (52, "68656C6C6F")
    for frame in (notification, echo):
        account.say(Frame(frame.number, True, frame.operation, ("A", "", "")))
    assert (account.simulator.receipts, account.simulator.mos) == (1, 1)
    assert any('8000 -> 258840000001 "hello"' in line for line in account.lines)


def test_faults_are_thrown() -> None:
    account = Account(
        (0.05, 0.15, 0.25, 0.5), throttle=0.1, errors=0.1, error_status=55, silent=0.1
    )
    account.login()
    assert account.submit(1)[0].fields[:2] == ("N", "04")
    assert account.submit(2)[0].fields[:2] == ("N", "55")
    assert account.submit(3) == []
    assert account.submit(4)[0].fields[0] == "A"
    assert any("55-System error" in line for line in account.lines)


def test_a_message_that_failed_is_told_so() -> None:
    account = Account((0.9, 0.1), failures=0.5, receipts=0.5)
    account.login()
    account.submit()
    (notification,) = account.wait(1.0)
    assert notification.fields[ucp.DST] == "2"


def test_only_the_right_account_is_let_in() -> None:
    for name, password, said in (("4545", "no", "07"), ("1", "pw", "07"), ("4545", "pw", "A")):
        account = Account(system_id="4545", password="pw")
        (answer,) = account.login(name, password)
        assert said in answer.fields


def test_mo_come_at_their_rate_and_again_when_refused() -> None:
    account = Account(mo_rate=1.0, mo_text="é {n}")
    account.login()
    (first,) = account.wait(1.1)
    assert (first.operation, first.fields[ucp.OTOA]) == (52, "1139")
    account.say(Frame(first.number, True, 52, ("N", "55", "")))
    later = account.wait(6.5)
    assert [frame.fields[ucp.MSG] for frame in later].count(first.fields[ucp.MSG]) == 1


def test_a_stop_closes_the_links() -> None:
    account = Account()
    account.login()
    account.simulator.stop()
    account.clock.advance(0)
    assert account.wire.disconnecting
