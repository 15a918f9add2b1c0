"""`gatewayd simulate smpp` as a process, against an ESME on a plain socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.smpp_frame import Framer
from tests.live.harness import PORTS, listening, until
from tests.live.processes import Running, run

pytestmark = pytest.mark.live


class Esme:
    """A blocking socket that speaks PDUs."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10)
        self._framer = Framer()
        self._heard: list[pdus.Pdu] = []

    def say(self, pdu: pdus.Pdu) -> None:
        self._socket.sendall(pdus.encode(pdu))

    def hear(self) -> pdus.Pdu:
        while not self._heard:
            data = self._socket.recv(65536)
            assert data, "the simulator closed the link"
            self._heard += map(pdus.decode, self._framer.feed(data))
        return self._heard.pop(0)


@contextmanager
def simulator(folder: Path, *options: str) -> Iterator[tuple[Running, int]]:
    port = PORTS.take()
    with Running(folder, "simulator", "simulate", "smpp", "--port", str(port), *options) as running:
        assert until(lambda: listening(port), 20), running.output
        yield running, port


def submit(sequence: int) -> pdus.Sm:
    return pdus.Sm(
        command=pdus.SUBMIT_SM,
        sequence=sequence,
        source=b"8000",
        destination=b"258840000001",
        registered_delivery=1,
        short_message=b"hello",
    )


def test_a_submit_its_receipt_and_an_mo_pass_over_a_socket(tmp_path: Path) -> None:
    with simulator(tmp_path, "--receipts", "0.1", "--echo", "--log") as (running, port):
        esme = Esme(port)
        esme.say(pdus.Bind(pdus.BIND_TRANSCEIVER, 1, b"anybody", b""))
        bound = esme.hear()
        assert isinstance(bound, pdus.BindResp)
        assert (bound.status, bound.system_id) == (0, b"simulator")
        esme.say(submit(2))
        answer = esme.hear()
        assert isinstance(answer, pdus.SmResp)
        delivered = []
        for _ in range(2):
            sm = esme.hear()
            assert isinstance(sm, pdus.Sm)
            esme.say(pdus.SmResp(pdus.DELIVER_SM_RESP, 0, sm.sequence))
            delivered.append(sm.short_message)
        assert delivered[0].startswith(b"id:" + answer.message_id)
        assert delivered[1] == b"hello"
        assert running.says("MO        258840000001 -> 8000")
        esme.say(pdus.Plain(pdus.UNBIND, 0, 9))
        assert esme.hear() == pdus.Plain(pdus.UNBIND_RESP, 0, 9)
        assert running.says("unbound   anybody")
        assert running.interrupt() == 0
        assert running.lines[-1] == "1 submits, 1 of them accepted; 1 receipts and 1 MO delivered"


def test_ctrl_c_unbinds_who_is_bound(tmp_path: Path) -> None:
    with simulator(tmp_path) as (running, port):
        esme = Esme(port)
        esme.say(pdus.Bind(pdus.BIND_RECEIVER, 1, b"anybody", b""))
        esme.hear()
        running.process.send_signal(2)
        asked = esme.hear()
        assert asked.command == pdus.UNBIND
        esme.say(pdus.Plain(pdus.UNBIND_RESP, 0, asked.sequence))
        assert running.process.wait(20) == 0


def test_mo_come_by_themselves_at_a_rate(tmp_path: Path) -> None:
    with simulator(tmp_path, "--mo", "50", "--mo-text", "no {n}") as (_, port):
        esme = Esme(port)
        esme.say(pdus.Bind(pdus.BIND_RECEIVER, 1, b"anybody", b""))
        esme.hear()
        heard = [esme.hear() for _ in range(3)]
        texts = [sm.short_message for sm in heard if isinstance(sm, pdus.Sm)]
        assert texts == [b"no 1", b"no 2", b"no 3"]


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with simulator(tmp_path) as (_, port):
        code, _, err = run("simulate", "smpp", "--port", str(port))
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}" in err
