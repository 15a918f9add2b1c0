"""The simulated SMSC in memory: no port, a clock that the test moves, and throws it chooses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from gatewayd import simulator as module
from gatewayd.simulator import Link, Simulator
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc import smpp_sim
from gatewayd.smsc.server import ServerOptions
from gatewayd.smsc.smpp_frame import Framer
from gatewayd.smsc.smpp_sim import Fate, SimulatorOptions

QUIET = ServerOptions(system_id="simulator", enquire_interval=1e6)
WALL = 1_795_301_000.0


class Wire(StringTransport):
    """A transport that closes when it is told to."""

    closed = False

    def loseConnection(self) -> None:
        self.closed = True


class Esme:
    """A very simple ESME: it says what the test says, and keeps what it hears."""

    def __init__(self, bench: Bench, mode: int = pdus.BIND_TRANSCEIVER, name: bytes = b"u") -> None:
        self.wire = Wire()  # type: ignore[no-untyped-call]
        self.framer = Framer()
        link = bench.simulator.buildProtocol(None)
        assert link is not None
        self.link: Link = link
        link.makeConnection(self.wire)  # type: ignore[no-untyped-call]
        self.say(pdus.Bind(mode, 1, name, b"pw"))
        bench.clock.advance(0)

    def say(self, pdu: pdus.Pdu) -> None:
        self.link.dataReceived(pdus.encode(pdu))

    def submit(self, sequence: int, text: bytes = b"hello", wish: int = 1) -> None:
        self.say(
            pdus.Sm(
                command=pdus.SUBMIT_SM,
                sequence=sequence,
                source=b"8000",
                dest_ton=1,
                destination=b"258840000001",
                registered_delivery=wish,
                short_message=text,
            )
        )

    def heard(self) -> list[pdus.Pdu]:
        data: bytes = self.wire.value()  # type: ignore[no-untyped-call]
        self.wire.clear()  # type: ignore[no-untyped-call]
        return [pdus.decode(frame) for frame in self.framer.feed(data)]

    def delivered(self, status: int | None = 0) -> list[pdus.Sm]:
        """What was delivered; each is answered with `status`, unless that is None."""
        found = [pdu for pdu in self.heard() if isinstance(pdu, pdus.Sm)]
        for sm in found:
            if status is not None:
                self.say(pdus.SmResp(pdus.DELIVER_SM_RESP, status, sm.sequence))
        return found

    def lose(self) -> None:
        self.link.connectionLost()


class Bench:
    """A simulator, its clock, its throws and its lines."""

    def __init__(self, throws: Sequence[float] = (), **options: Any) -> None:
        self.clock = Clock()
        self.lines: list[str] = []
        self._throws: Iterator[float] = iter([*throws, *repeat(0.999, 1000)])
        self.simulator = Simulator(
            SimulatorOptions(**({"server": QUIET} | options)),
            self.clock,
            chance=lambda: next(self._throws),
            wall=lambda: WALL + self.clock.seconds(),
            tell=self.lines.append,
        )

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))


def statuses(heard: Sequence[pdus.Pdu]) -> list[int]:
    return [pdu.status for pdu in heard if isinstance(pdu, pdus.SmResp)]


def texts(found: Sequence[pdus.Sm]) -> list[bytes]:
    return [sm.short_message for sm in found]


def test_a_submit_is_answered_at_once_and_its_receipt_follows() -> None:
    bench = Bench(receipts=2.0)
    esme = Esme(bench)
    esme.heard()
    esme.submit(5)
    [answer] = esme.heard()
    assert isinstance(answer, pdus.SmResp)
    assert (answer.sequence, answer.status) == (5, 0)
    bench.wait(1.9)
    assert esme.delivered() == []
    bench.wait(0.2)
    [receipt] = esme.delivered()
    assert receipt.esm_class == 0x04
    assert receipt.short_message.startswith(b"id:" + answer.message_id + b" sub:001 dlvrd:001")
    assert pdus.first(receipt.tlvs, pdus.RECEIPTED_MESSAGE_ID) == answer.message_id + b"\0"
    assert pdus.first(receipt.tlvs, pdus.MESSAGE_STATE) == b"\2"
    assert (bench.simulator.submits, bench.simulator.taken, bench.simulator.receipts) == (1, 1, 1)


def test_only_what_asked_for_a_receipt_gets_one() -> None:
    bench = Bench()
    esme = Esme(bench)
    esme.submit(5, wish=0)
    bench.wait(3)
    assert esme.delivered() == []


def test_receipts_may_be_switched_off() -> None:
    bench = Bench(receipts=-1.0)
    esme = Esme(bench)
    esme.submit(5)
    bench.wait(3)
    assert esme.delivered() == []


def test_a_share_of_receipts_tells_of_failures() -> None:
    bench = Bench(throws=[0.9, 0.1, 0.9, 0.3], failures=0.2)
    esme = Esme(bench)
    esme.submit(5)
    esme.submit(6)
    bench.wait(2)
    failed, good = texts(esme.delivered())
    assert b"stat:UNDELIV err:027" in failed
    assert b"stat:DELIVRD err:000" in good


def test_ids_in_hex_are_decimal_in_the_receipt() -> None:
    bench = Bench(hex_ids=True)
    esme = Esme(bench)
    esme.heard()
    esme.submit(5)
    [answer] = esme.heard()
    assert isinstance(answer, pdus.SmResp)
    bench.wait(2)
    [receipt] = esme.delivered()
    assert receipt.short_message.split()[0] == b"id:%d" % int(answer.message_id, 16)


def test_one_throw_decides_the_fate_of_a_submit() -> None:
    options = SimulatorOptions(throttle=0.1, errors=0.2, silent=0.3)
    table = {0.0: Fate.THROTTLED, 0.05: Fate.THROTTLED, 0.15: Fate.REFUSED, 0.29: Fate.REFUSED}
    table |= {0.31: Fate.SILENT, 0.59: Fate.SILENT, 0.61: Fate.TAKEN, 0.99: Fate.TAKEN}
    assert {throw: options.fate(throw) for throw in table} == table


def test_fates_are_answered_as_they_should_be() -> None:
    # each throw of an accepted submit is followed by the one for its receipt
    throws = [0.05, 0.15, 0.35, 0.95]
    bench = Bench(throws, throttle=0.1, errors=0.2, error_status=0x45, silent=0.3)
    esme = Esme(bench)
    esme.heard()
    for sequence in (5, 6, 7, 8):
        esme.submit(sequence)
    heard = esme.heard()
    assert statuses(heard) == [0x58, 0x45, 0]
    assert [pdu.sequence for pdu in heard] == [5, 6, 8]
    words = [line.rpartition(": ")[2].split(",")[0] for line in bench.lines[1:]]
    assert words == ["throttled", "refused", "left unanswered", "accepted"]


def test_latency_delays_every_answer_and_keeps_their_order() -> None:
    bench = Bench(latency=1.0)
    esme = Esme(bench)
    esme.heard()
    esme.submit(5)
    esme.submit(6)
    assert esme.heard() == []
    bench.wait(1.1)
    assert [pdu.sequence for pdu in esme.heard()] == [5, 6]


def test_receipts_go_to_a_receiver_of_the_same_system_id() -> None:
    bench = Bench()
    other = Esme(bench, name=b"other")
    transmitter = Esme(bench, pdus.BIND_TRANSMITTER)
    receiver = Esme(bench, pdus.BIND_RECEIVER)
    transmitter.submit(5)
    bench.wait(2)
    assert [len(esme.delivered()) for esme in (other, transmitter, receiver)] == [0, 0, 1]


def test_receipts_wait_until_somebody_may_receive_them() -> None:
    bench = Bench()
    transmitter = Esme(bench, pdus.BIND_TRANSMITTER)
    transmitter.submit(5)
    bench.wait(2)
    transmitter.lose()
    bench.wait(60)
    assert len(Esme(bench, pdus.BIND_RECEIVER).delivered()) == 1


def test_a_delivery_that_a_lost_link_left_unanswered_comes_again_first() -> None:
    bench = Bench()
    first = Esme(bench)
    account = bench.simulator.accounts["u"]
    for text in ("one", "two"):
        bench.simulator.send_mo(account, "+258840000001", "8000", text)
    assert texts(first.delivered(None)) == [b"one", b"two"]
    first.lose()
    second = Esme(bench)
    assert texts(second.delivered()) == [b"one", b"two"]
    assert bench.simulator.mos == 2


@pytest.mark.parametrize(("status", "times"), [(0x64, 2), (0x14, 2), (0x66, 1), (0, 1)])
def test_a_delivery_is_made_again_after_a_passing_error_only(status: int, times: int) -> None:
    bench = Bench()
    esme = Esme(bench)
    account = bench.simulator.accounts["u"]
    bench.simulator.send_mo(account, "+258840000001", "8000", "text")
    made = len(esme.delivered(status))
    bench.wait(module.RETRY_PAUSE + 0.2)
    made += len(esme.delivered())
    assert made == times
    assert bench.simulator.mos == (status != 0x66)


def test_mo_come_at_their_rate_while_somebody_may_receive_them() -> None:
    bench = Bench(mo_rate=2.0, mo_text="number {n}")
    bench.wait(3)
    esme = Esme(bench)
    bench.wait(2)
    assert texts(esme.delivered()) == [b"number 1", b"number 2", b"number 3", b"number 4"]


def test_the_echo_sends_each_text_back_as_an_mo() -> None:
    bench = Bench(echo=True, receipts=-1.0)
    esme = Esme(bench)
    esme.submit(5, b"say it again")
    bench.wait(1)
    [mo] = esme.delivered()
    assert (mo.source, mo.destination) == (b"258840000001", b"8000")
    assert mo.short_message == b"say it again"


def test_no_more_is_under_way_than_the_window_holds() -> None:
    options = ServerOptions(system_id="simulator", enquire_interval=1e6, window=3)
    bench = Bench(server=options)
    esme = Esme(bench)
    account = bench.simulator.accounts["u"]
    for number in range(5):
        bench.simulator.send_mo(account, "+258840000001", "8000", str(number))
    assert len(esme.delivered()) == 3
    assert len(esme.delivered()) == 2


def test_what_waits_for_an_account_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    bench = Bench()
    Esme(bench, pdus.BIND_TRANSMITTER)
    account = bench.simulator.accounts["u"]
    for number in range(5):
        bench.simulator.send_mo(account, "+258840000001", "8000", str(number))
    assert (len(account.waiting), bench.simulator.dropped) == (2, 3)


def test_accounts_and_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ACCOUNTS", 1)
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 2)
    bench = Bench()
    Esme(bench)
    refused = Esme(bench, name=b"second")
    [answer] = refused.heard()
    assert isinstance(answer, pdus.BindResp)
    assert answer.status == smpp_sim.NOT_NOW
    assert refused.wire.closed
    assert bench.simulator.buildProtocol(None) is None


@pytest.mark.parametrize(
    ("name", "word", "status"),
    [(b"demo", b"pw", 0), (b"demo", b"no", 0x0E), (b"nobody", b"pw", 0x0F)],
)
def test_a_bind_needs_the_name_and_password_that_were_set(
    name: bytes, word: bytes, status: int
) -> None:
    bench = Bench(system_id="demo", password="pw")
    assert bench.simulator.admit(pdus.Bind(pdus.BIND_RECEIVER, 1, name, word)) == status


def test_an_esme_that_does_not_read_is_not_read_and_gets_nothing() -> None:
    bench = Bench()
    esme = Esme(bench)
    esme.heard()
    esme.link.pauseProducing()
    assert esme.wire.producerState == "paused"
    account = bench.simulator.accounts["u"]
    bench.simulator.send_mo(account, "+258840000001", "8000", "text")
    assert esme.heard() == []
    esme.link.resumeProducing()
    assert texts(esme.delivered()) == [b"text"]


def test_lines_mask_numbers_and_hide_texts_unless_asked_to_show_them() -> None:
    lines = {}
    for show in (False, True):
        bench = Bench(show=show)
        Esme(bench).submit(5)
        lines[show] = bench.lines[1].rpartition(",")[0]
    assert lines == {
        False: "submit    8000 -> *********001: accepted",
        True: 'submit    8000 -> 258840000001 "hello": accepted',
    }


def test_a_text_cannot_write_a_line_of_its_own() -> None:
    bench = Bench(show=True)
    Esme(bench).submit(5, b"one\r\ntwo")
    assert '"one  two"' in bench.lines[1]


def test_stopping_unbinds_everybody_and_fires_when_they_are_gone() -> None:
    bench = Bench(mo_rate=1.0)
    esme = Esme(bench)
    esme.heard()
    gone: list[None] = []
    bench.simulator.stop().addCallback(gone.append)
    [unbind] = esme.heard()
    assert unbind.command == pdus.UNBIND
    esme.say(pdus.Plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    assert esme.wire.closed
    assert gone == []
    esme.lose()
    assert gone == [None]
    assert bench.clock.getDelayedCalls() == []


def test_stopping_an_empty_simulator_is_done_at_once() -> None:
    bench = Bench()
    gone: list[None] = []
    bench.simulator.stop().addCallback(gone.append)
    assert gone == [None]
