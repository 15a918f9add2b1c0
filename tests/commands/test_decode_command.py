"""`gatewayd decode`: what it says of PDUs and receipts, and its exit codes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.cli import main
from gatewayd.commands import decode

GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "smpp.json"
FRAMES: list[dict[str, Any]] = json.loads(GOLDEN.read_text())["frames"]
ENQUIRE = "00000010000000150000000000000007"
RECEIPT = (
    "id:c44b sub:001 dlvrd:001 submit date:2611211200 done date:2611211201"
    " stat:DELIVRD err:000 text:Hello"
)
DELIVER = b"\0\1\0" + b"25584\0" + b"\0\0" + b"8000\0" + b"\4\0\0\0\0\0\0\0\0"


def pdu(command: int, sequence: int, body: bytes) -> str:
    head = (16 + len(body)).to_bytes(4, "big") + command.to_bytes(4, "big")
    return (head + bytes(4) + sequence.to_bytes(4, "big") + body).hex()


def deliver() -> str:
    text = RECEIPT.encode()
    tlv = b"\0\x1e\0\5c44b\0"
    return pdu(5, 9, DELIVER + bytes([len(text)]) + text + tlv)


def test_a_pdu_is_told_field_by_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "smpp", deliver()]) == 0
    assert capsys.readouterr().out == (
        f"deliver_sm  sequence 9  {len(deliver()) // 2} octets  ESME_ROK (0x00000000)\n"
        '  service_type         ""\n'
        "  source_ton           1\n"
        "  source_npi           0\n"
        '  source               "25584"\n'
        "  dest_ton             0\n"
        "  dest_npi             0\n"
        '  destination          "8000"\n'
        "  esm_class            0x04\n"
        "  protocol_id          0\n"
        "  priority             0\n"
        '  schedule             ""\n'
        '  validity             ""\n'
        "  registered_delivery  0x00\n"
        "  replace_if_present   0\n"
        "  data_coding          0x00\n"
        "  default_msg_id       0\n"
        f"  short_message        {RECEIPT.encode().hex()}\n"
        "  trailing             0\n"
        f'  text                 "{RECEIPT}"\n'
        "  TLV 0x001e receipted_message_id 633434620"
        '0  "c44b"\n'
        "  id           c44b\n"
        "  stat         DELIVRD\n"
        "  dlr_status   1\n"
        "  means        delivered\n"
        "  err          000\n"
        "  sub          001\n"
        "  dlvrd        001\n"
        "  submit_date  2611211200\n"
        "  done_date    2611211201\n"
        "  text         Hello\n"
        "\n"
    )


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: frame["id"])
def test_every_golden_frame_is_told_or_refused_with_a_reason(
    frame: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["decode", "smpp", "--json", frame["hex"]])
    told = json.loads(capsys.readouterr().out)
    assert code == bool(told["problems"])
    assert bool(told["pdus"]) or bool(told["problems"])


def test_several_pdus_in_any_usual_hex_form_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    spaced = " ".join(ENQUIRE[i : i + 2] for i in range(0, 32, 2))
    forms = [ENQUIRE + ENQUIRE, f"0x{ENQUIRE.upper()}", spaced, spaced.replace(" ", ":")]
    for form, count in zip(forms, (2, 1, 1, 1), strict=True):
        assert main(["decode", "smpp", "--json", *form.split()]) == 0
        told = json.loads(capsys.readouterr().out)["pdus"]
        assert [entry["command"] for entry in told] == ["enquire_link"] * count


def test_hex_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(ENQUIRE + "\n"))
    assert main(["decode", "smpp", "-"]) == 0
    assert capsys.readouterr().out.startswith("enquire_link  sequence 7  16 octets")


@pytest.mark.parametrize(
    ("given_hex", "problem"),
    [
        (ENQUIRE[:-2], "the last PDU is cut short: 15 octets of 16"),
        (ENQUIRE + "0000", "the last PDU is cut short: 2 octets of 16"),
        ("0000000500000015", "no PDU begins at octet 0"),
        (pdu(4, 1, b"xx"), "a submit_sm, sequence 1, is broken"),
        ("", "the last PDU is cut short: 0 octets of 16"),
    ],
)
def test_what_is_broken_is_said_and_fails(
    given_hex: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", "smpp", given_hex]) == 1
    assert problem in capsys.readouterr().err


def test_no_hex_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "smpp", "hello"]) == 2
    assert "no hex" in capsys.readouterr().err


def test_a_password_is_never_told(capsys: pytest.CaptureFixture[str]) -> None:
    bind = pdu(9, 1, b"user\0topsecret\0\0\x34\0\0\0")
    for form in ([], ["--json"]):
        assert main(["decode", "smpp", *form, bind]) == 0
        out = capsys.readouterr().out
        assert "user" in out
        assert "topsecret" not in out


def test_a_receipt_is_told_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "receipt", *RECEIPT.split()]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[:4] == [
        "id           c44b",
        "stat         DELIVRD",
        "dlr_status   1",
        "means        delivered",
    ]


def test_a_receipt_as_json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "receipt", "--json", "ID:7 STAT:EXPIRED err:1A"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["id"], told["stat"], told["err"]) == ("7", "EXPIRED", "1A")
    assert (told["dlr_status"], told["means"]) == (2, "failed")


def test_what_is_no_receipt_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", "receipt", "hello there"]) == 1
    assert "no receipt" in capsys.readouterr().err
    assert main(["decode", "receipt", "--json", "hello there"]) == 1
    assert json.loads(capsys.readouterr().out) == {"error": "no receipt"}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=120))
def test_no_octets_make_it_raise(octets: bytes) -> None:
    for data in (octets, bytes.fromhex(pdu(5, 1, octets))):
        assert decode.smpp(data.hex(), as_json=True) in (0, 1)
