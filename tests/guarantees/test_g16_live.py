"""G16, G20, G21, G32: a bad link, a long queue, a failing disk, hostile callers."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

import pytest

from gatewayd.flow.keys import key_at
from gatewayd.flow.mt import encode
from gatewayd.model import Segment
from gatewayd.store.contract import Item, Queue, Work
from gatewayd.store.sqlite import SqliteStore
from tests.guarantees.conftest import Record
from tests.guarantees.disk import preload
from tests.live.harness import PORTS, Rig, drain, kannel_conf, until
from tests.live.soak import sample
from tests.live.torture import Verdict

pytestmark = pytest.mark.live


class BadLink:
    """A relay that makes each piece wait 0.6 s, and 30 % of them as long again as a lost one."""

    def __init__(self, target: int) -> None:
        self.port = PORTS.take()
        self._target = target
        self._chance = random.Random(16)
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            there = socket.create_connection(("127.0.0.1", self._target))
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                time.sleep(0.6 + (1.2 if self._chance.random() < 0.3 else 0.0))
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()


def test_g16_a_bad_link_is_not_a_dead_link(rig: Rig, record: Record, long: bool) -> None:
    seconds = 120 if long else 6
    smsc = rig.smsc({"dlr-delay-ms": -1})
    relay = BadLink(rig.smsc_port)
    conf = kannel_conf(rig, window=50).replace(f"port = {rig.smsc_port}", f"port = {relay.port}")
    gateway = rig.gateway(conf)
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    caller = rig.caller({"total": 10 * seconds, "rate": 10, "conns": 4, "timeout-s": 20})
    until(lambda: not caller.running, seconds + 20)
    told = caller.end()
    drain(lambda: smsc.acked, told["ok"], stall=20, cap=60)
    losses = sum(value for name, value in gateway.metrics().items() if "bind_losses_total" in name)
    relay.close()
    gateway.kill()
    seen = smsc.end()
    lost = told["ok"] - seen["acked_unique"]
    figure = f"{losses:.0f} reconnects, {lost} lost, {seen['duplicates']} twice"
    holds = losses <= 1 and not lost and not seen["duplicates"]
    fault = f"0.6 to 1.8 s each way for {seconds} s"
    record(Verdict("G16 a bad link is not a dead link", fault, told["ok"], figure, holds))


def test_g20_a_long_queue_is_cheap(rig: Rig, record: Record, long: bool) -> None:
    waiting = 1_000_000 if long else 20_000
    gateway = rig.gateway(kannel_conf(rig))
    store = SqliteStore(str(gateway.state / "gatewayd.sqlite3"), print, threaded=False)
    store.open(10)
    first = key_at(time.time() - 3600)
    made = time.time() - 3600
    for start in range(0, waiting, 5000):
        puts = []
        for key in range(first + start, first + min(start + 5000, waiting)):
            segment = Segment(key, "100", "255700000001", b"hello", message=key, created=made)
            puts.append(Item(Queue.MT, key, "live", encode(segment)))
        store.commit([Work(puts=puts)])
    store.close()
    smsc = rig.smsc({"dlr-delay-ms": -1, "resp-rate": 200})
    began = time.monotonic()
    gateway.start(timeout=60)
    assert until(lambda: smsc.acked > 0, 60), gateway.tail()
    seconds = time.monotonic() - began
    memory = sample(gateway).rss
    queued = sum(v for k, v in gateway.metrics().items() if k.startswith("gatewayd_queue_messages"))
    figure = f"{seconds:.1f} s to the first submit, {memory:.0f} MiB"
    holds = seconds < 10 and memory < 300 and queued > waiting * 0.9
    record(Verdict("G20 a long queue is cheap", "restart", waiting, figure, holds))


@pytest.mark.parametrize("kind", ["EIO", "ENOSPC"])
def test_g21_the_disk_fails_for_a_while(rig: Rig, record: Record, kind: str, long: bool) -> None:
    chance = random.Random(21)
    rounds, failing = (3, 40) if long else (1, 8)
    accepted = refused = lost = 0
    sound = recovered = True
    library = preload(rig.folder)
    for number in range(rounds):
        folder = rig.folder / f"{kind}{number}"
        folder.mkdir()
        with Rig(folder) as one:
            smsc = one.smsc({"dlr-delay-ms": -1})
            gateway = one.gateway(kannel_conf(one))
            environment = {
                "LD_PRELOAD": library,
                "DISK_UNDER": str(gateway.state / "gatewayd.sqlite3"),
                "DISK_FAIL": str(chance.randrange(300, 900)),
                "DISK_FAILS": str(failing),
                "DISK_ERRNO": str(getattr(errno, kind)),
            }
            gateway.start(environment)
            assert until(lambda: smsc.binds > 0, 20), gateway.tail()  # noqa: B023
            caller = one.caller({"total": 1600, "rate": 200, "conns": 8, "timeout-s": 30})
            until(lambda: not caller.running, 60)  # noqa: B023
            told = caller.end()
            accepted += told["ok"]
            refused += 1600 - told["ok"]
            drain(lambda: smsc.acked, told["ok"], stall=10, cap=30)  # noqa: B023
            later = one.caller({"total": 20, "conns": 1, "first-id": 5000}, tag="later")
            until(lambda: not later.running, 30)  # noqa: B023
            recovered = recovered and later.end()["ok"] == 20
            drain(lambda: smsc.acked, told["ok"] + 20, stall=10, cap=30)  # noqa: B023
            gateway.stop()
            ids = {n for n, times in enumerate(caller.seen("accepted")) if times}
            smsc.end()
            lost += len(ids - {n for n, times in enumerate(smsc.seen("acked")) if times})
            with sqlite3.connect(gateway.state / "gatewayd.sqlite3") as connection:
                verdict = connection.execute("PRAGMA integrity_check").fetchone()
                sound = sound and verdict == ("ok",)
    figure = f"{lost} lost, {refused} refused, integrity {'ok' if sound else 'BROKEN'}"
    figure += ", went on by itself" if recovered else ", did NOT go on"
    fault = f"{rounds} x {failing} writes and syncs in a row fail with {kind}"
    holds = not lost and sound and recovered
    record(Verdict("G21 a 202 has its row, whatever the disk does", fault, accepted, figure, holds))


def test_g21_a_full_file_system(tmp_path: Path, record: Record, long: bool) -> None:
    """A file system of 16 MB, filled to the brim by messages, then emptied by their ends."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system of 16 MB needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mount)]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("mount is not allowed here")
    try:
        path = mount / "q"
        store = SqliteStore(str(path), print, threaded=False)
        store.open(10)
        kept: list[int] = []
        refused = 0
        for key in range(1, 60_000):
            told: list[object] = []
            item = Item(Queue.MT, key, "a", b"x" * 600)
            store.commit([Work(puts=[item])]).addBoth(told.append)
            if told == [None]:
                kept.append(key)
            else:
                refused += 1
                if refused > 100:
                    break
        ended: list[object] = []
        for key in kept[: len(kept) // 2]:
            store.commit([Work(ends=[key])]).addBoth(ended.append)
        again: list[object] = []
        for key in range(70_000, 71_000):
            puts = [Item(Queue.MT, key, "a", b"x")]
            store.commit([Work(puts=puts)]).addBoth(again.append)
        store.close()
        with sqlite3.connect(path) as connection:
            rows = {key for (key,) in connection.execute("SELECT key FROM item")}
            (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        missing = len(set(kept[len(kept) // 2 :]) - rows)
        goes_on = again[-1] is None and all(answer is None for answer in ended)
        figure = f"{missing} lost, {refused} refused, integrity {verdict}"
        figure += ", went on by itself" if goes_on else ", did NOT go on"
        holds = not missing and refused > 100 and verdict == "ok" and goes_on
        name = "G21 a full disk refuses, ends what waits, and goes on"
        record(Verdict(name, "a file system of 16 MB", len(kept), figure, holds))
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


GARBAGE = (
    b"\x00" * 400,
    b"GET " + b"a" * 200_000,
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET /cgi-bin/sendsms?%zz=%00&to=" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000,
)


def test_g32_bad_input_costs_only_itself(rig: Rig, record: Record, long: bool) -> None:
    seconds = 60 if long else 5
    smsc = rig.smsc({"dlr-delay-ms": -1})
    gateway = rig.gateway(kannel_conf(rig))
    gateway.start()
    assert until(lambda: smsc.binds > 0, 20), gateway.tail()
    calm = rig.caller({"total": 400, "rate": 200, "conns": 8}, tag="calm")
    until(lambda: not calm.running, 20)
    before = calm.end()
    caller = rig.caller({"total": 200 * seconds, "rate": 200, "conns": 8, "first-id": 1000})
    thrown = 0
    chance = random.Random(32)
    while caller.running:
        port = chance.choice([rig.sendsms_port, rig.admin_port])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as line:
            line.sendall(chance.choice(GARBAGE))
            thrown += 1
        time.sleep(0.01)
    told = caller.end()
    drain(lambda: smsc.acked, told["ok"] + before["ok"], stall=10, cap=30)
    metrics = gateway.metrics()
    losses = sum(value for name, value in metrics.items() if "bind_losses_total" in name)
    refused = 200 * seconds - told["ok"]
    assert gateway.stop() == 0
    lost = told["ok"] + before["ok"] - smsc.end()["acked_unique"]
    figure = f"{refused} refused, {lost} lost, {losses:.0f} reconnects"
    fault = f"{thrown:,} pieces of garbage"
    holds = not (refused or lost or losses)
    record(Verdict("G32 bad input costs only itself", fault, told["ok"], figure, holds))
