"""`gatewayd decode cimd2`: what it says of packets, and its exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from gatewayd.cli import main
from gatewayd.commands.decode_cimd2 import octets_of, packets_of

FRAMES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden/frames/cimd2.json").read_text("utf-8")
)["frames"]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: str(frame["id"]))
def test_every_recorded_packet_is_told(
    frame: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["decode", "cimd2", "--json", frame["hex"]])
    told = json.loads(capsys.readouterr().out)
    assert code == (1 if frame["id"] in ("CIMD-X01", "CIMD-X03") else 0)
    assert bool(told["problems"]) is bool(code)
    if "op" in frame:
        (packet,) = told["packets"]
        assert (packet["operation"], packet["number"]) == (frame["op"], frame["seq"])


def test_words_for_the_marks_and_hex_mean_the_same() -> None:
    login = FRAMES[0]
    assert octets_of(login["text"]) == octets_of(login["hex"]) == bytes.fromhex(login["hex"])
    assert octets_of(" ".join(f"0x{each:02x}" for each in b"\x02\x03")) == b"\x02\x03"
    assert octets_of("hello") is None


def test_passwords_are_hidden(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--json"]):
        assert main(["decode", "cimd2", *options, FRAMES[0]["hex"]]) == 0
        assert "bar" not in capsys.readouterr().out


def test_texts_errors_and_states_are_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "cimd2", "".join(FRAMES[place]["hex"] for place in (2, 6, 19))]) == 0
    out = capsys.readouterr().out
    shown = json.dumps(FRAMES[6]["text_decoded"], ensure_ascii=False)
    for expected in ("Invalid login", shown, "delivery failed"):
        assert expected in out


def test_standard_input_is_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(FRAMES[0]["hex"]))
    assert main(["decode", "cimd2", "-"]) == 0
    assert "01 login  number 001" in capsys.readouterr().out


def test_what_is_no_packet_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "cimd2", "hello"]) == 2
    assert main(["decode", "cimd2", "00ff"]) == 1
    assert main(["decode", "cimd2", "0234303a"]) == 1
    err = capsys.readouterr().err
    for expected in ("neither a packet nor the hex", "no packet", "has no end"):
        assert expected in err


def test_a_packet_that_is_too_long_for_a_bind_is_still_told() -> None:
    found, problems = packets_of(b"\x0220:002\t033:" + b"x" * 9000 + b"\t\x03")
    assert (len(found), problems) == (1, [])
