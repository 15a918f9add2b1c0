"""Frames of ours before a stranger's eyes: Kannel's decode_emimsg, where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Coding, Segment
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc import ucp_out, ucp_sim
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.ucp_options import UcpOptions, read

DECODER = shutil.which("decode_emimsg")
GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "ucp.json"
FRAMES: list[dict[str, Any]] = json.loads(GOLDEN.read_text("utf-8"))["frames"]
INVALID = "Invalid EMI packet"
SEGMENT = Segment(1, "4545", "250788123456", b"Hello", dlr_mask=31)

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        DECODER is None, reason="decode_emimsg is not installed (Debian package kannel)"
    ),
]


def outward(*options: str) -> ucp_out.Outward:
    bind = BindConfig("a/0")
    smsc = SmscConfig("a", "a", "ucp", binds=(bind,), options=options)
    return ucp_out.Outward(SessionOptions(smsc, bind), read(options))


def opinion(octets: bytes) -> str:
    """What the stranger says of a frame; of a bad one it says INVALID."""
    assert DECODER is not None
    body = octets[1:-1].decode("ascii")
    done = subprocess.run([DECODER, body], capture_output=True, text=True, timeout=30, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def ours() -> dict[str, bytes]:
    smpp = SmppOptions(system_id="4545", password=Secret("secret"))
    made = {
        "login": ucp_out.login(smpp, UcpOptions(), 0),
        "alert": ucp_out.alert(smpp, 3),
    }
    for name, changes in {
        "text": {},
        "name": {"source": "gatewayd"},
        "international": {"source": "+250788000001", "destination": "+250788123456"},
        "unicode": {"payload": "سلام".encode("utf-16-be"), "coding": Coding.UCS2},
        "octets": {"payload": b"\0\xff", "coding": Coding.OCTETS, "udh": b"\x03\x04\x01\x01"},
        "part": {"udh": b"\x05\x00\x03\x07\x02\x01", "total": 2},
        "times": {"validity": 1.8e9, "deferred": 1.7e9},
        "class and more": {"mclass": 0, "pid": 64, "rpi": 1, "binfo": "bill"},
    }.items():
        made[name] = outward().submit(structs.replace(SEGMENT, **changes), 42)  # type: ignore[arg-type]
    made["call input"] = outward("submit=01").submit(SEGMENT, 43)
    (body,) = ucp.Framer().feed(made["text"])
    submit = ucp.decode(body)
    made["accepted"] = ucp.positive(submit, "250788123456:211126221500")
    made["refused"] = ucp.negative(1, ucp.SUBMIT, 6, "AdC invalid")
    made["taken"] = ucp.positive(submit._replace(operation=ucp.DELIVER))
    made["echo"] = ucp.encode(ucp_sim.echo(submit, 1.7e9))
    made["notification"] = ucp.encode(
        ucp_sim.receipt(submit, "211126221500", delivered=True, submitted=0.0, done=1.7e9)
    )
    return made


@pytest.mark.parametrize("name", sorted(ours()))
def test_a_frame_of_ours_is_accepted_by_a_stranger(name: str) -> None:
    said = opinion(ours()[name])
    assert "OPERATION" in said
    assert INVALID not in said, said


@pytest.mark.parametrize(
    "each",
    [e for e in FRAMES if e["kannel_decode_emimsg"] == "rejected"],
    ids=lambda each: str(each["id"]),
)
def test_the_stranger_does_tell_bad_frames_from_good_ones(each: dict[str, Any]) -> None:
    assert INVALID in opinion(bytes.fromhex(each["hex"]))
