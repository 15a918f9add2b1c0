"""What holds for all bad input: one counter with fixed labels, few and short lines, no harm."""

from __future__ import annotations

import ast
from pathlib import Path

from twisted.logger import LogLevel

from gatewayd.log import line_of
from gatewayd.smsc.contract import NOTES, Noted
from tests.badinput.chance import ROOT
from tests.badinput.fuzz import FUZZED, MEANT, SLOW, cases
from tests.badinput.fuzz_http import DOORS, STATUSES, try_http
from tests.net.test_bind import Bench


def _whats(path: Path) -> set[str]:
    """The first arguments of every `Noted(...)`, and what a variable called `what` may be."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Noted":
            first = node.args[0]
            assert isinstance(first, ast.Constant) or getattr(first, "id", "") == "what", path
            if isinstance(first, ast.Constant):
                found.add(str(first.value))
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "what":
            found |= {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}
    return found


def test_all_01_what_is_noted_of_a_peer_is_one_of_a_fixed_set() -> None:
    found: set[str] = set()
    for path in (ROOT / "gatewayd" / "smsc").glob("*.py"):
        found |= _whats(path)
    assert found == NOTES


def test_t09_all_01_a_fuzzed_listener_has_the_same_series_as_a_quiet_one() -> None:
    for case in cases("http", "series", 500):
        try_http(case)
    for door in DOORS.values():
        routes = {"", *door.intake.routes}
        assert {route for route, _ in door.intake.counts.answered} <= routes
        assert {status for _, status in door.intake.counts.answered} <= STATUSES


def test_t09_all_01_a_fuzzed_bind_has_labels_of_the_fixed_set() -> None:
    bench = Bench().start()
    for case in cases("smpp", "series", 200):
        while bench.wire.protocol is None:
            bench.clock.advance(1.0)
        bench.wire.say(case)
        bench.clock.advance(0.1)
    assert bench.service.notes
    assert set(bench.service.notes) <= NOTES


def test_all_02_a_peers_oddities_are_logged_ever_less_often_and_cut(lines: list[str]) -> None:
    bench = Bench().bound()
    said = "\x1b[2J\r\n" + "x" * 5000
    for _ in range(1000):
        bench.service.heard(bench.wire.protocol, [Noted("bad_pdu", said)])
    odd = [line for line in lines if "bad_pdu" in line]
    assert len(odd) == 10  # at 1, 2, 4 ... 512
    assert all(len(line) < 300 for line in odd)
    assert bench.service.notes == {"bad_pdu": 1000}


def test_all_02_one_event_is_one_line_whatever_it_holds() -> None:
    event = {
        "log_format": "{bind}: {what}",
        "bind": "a/0",
        "what": "\r\n2026 fake\x1b[2J\u2028\x85\x00",
        "log_level": LogLevel.warn,
        "log_time": 0.0,
    }
    for as_json in (False, True):
        line = line_of(event, as_json=as_json)
        assert line.isprintable()
        assert "\x1b" not in line


def test_all_04_every_way_in_is_fuzzed() -> None:
    ways = {"http", "sendsms", "smpp", "ucp", "cimd2", "receipt", "text", "platform", "url"}
    assert set(FUZZED) == ways | {"yaml", "kannel"}
    assert MEANT < SLOW
