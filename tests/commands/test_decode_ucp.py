"""`gatewayd decode ucp`: what it says of frames, and its exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.cli import main
from gatewayd.commands import decode_ucp

GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "ucp.json"
FRAMES: dict[str, dict[str, Any]] = {
    each["id"]: each for each in json.loads(GOLDEN.read_text("utf-8"))["frames"]
}
NACK = "01/00033/R/51/N/06/AdC invalid/FB"


def test_a_frame_is_told_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "ucp", FRAMES["UCP-F24"]["hex"]]) == 0
    assert capsys.readouterr().out == (
        "operation 53 notification  number 15\n"
        "  AdC      4545\n"
        "  OAdC     250788123456\n"
        "  SCTS     211126221500\n"
        "  Dst      2\n"
        "  Rsn      101\n"
        "  DSCTS    221126221500\n"
        "  MT       3\n"
        "  Msg      6E6F742064656C697665726564\n"
        '  text     "not delivered"\n'
        '  reason   "Unknown subscriber"\n'
        "\n"
    )


@pytest.mark.parametrize("given", [NACK, f"<STX>{NACK}<ETX>", f"\x02{NACK}\x03", "-"])
def test_a_frame_may_be_written_in_any_way(
    given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NACK}\n{NACK}\n"))
    assert main(["decode", "ucp", given]) == 0
    out = capsys.readouterr().out
    assert out.count("result 51 submit  number 01\n") == (2 if given == "-" else 1)
    assert '  error    "AdC invalid"\n' in out


def test_every_golden_frame_has_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    told = 0
    for each in FRAMES.values():
        text = each["decoded"].get("text")
        if text is not None:
            assert main(["decode", "ucp", "--json", each["hex"]]) == 0
            (frame,) = json.loads(capsys.readouterr().out)["frames"]
            assert frame["text"] == text, each["id"]
            told += 1
    assert told > 4


def test_ucp_021_a_password_is_never_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for options in ([], ["--json"]):
        assert main(["decode", "ucp", *options, FRAMES["UCP-F04"]["hex"]]) == 0
        out = capsys.readouterr().out
        assert "********" in out
        for secret in ("PWD", "NPWD"):
            assert FRAMES["UCP-F04"]["decoded"][secret] not in out


@pytest.mark.parametrize(
    ("given", "code", "problem"),
    [
        (FRAMES["UCP-X01"]["hex"], 1, "operation 51, number 01, is broken: wrong checksum"),
        (FRAMES["UCP-X02"]["hex"], 1, "wrong length"),
        ("abc", 2, "neither a frame nor the hex"),
        ("00", 1, "no frame"),
        ("0230", 1, "no frame"),
        (FRAMES["UCP-F06"]["hex"] + "0d0a", 1, "2 octets outside frames"),
    ],
)
def test_what_is_wrong_is_told(
    given: str, code: int, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", "ucp", given]) == code
    assert problem in capsys.readouterr().err


@settings(max_examples=100)
@given(st.text(max_size=200) | st.binary(max_size=100).map(bytes.hex))
def test_anything_is_told_or_refused(given: str) -> None:
    octets = decode_ucp.octets_of(given)
    if octets is not None:
        decode_ucp.frames_of(b"\x02" + octets + b"\x03")
