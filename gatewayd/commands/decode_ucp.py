"""`gatewayd decode ucp`: UCP/EMI frames in words; passwords are masked."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from gatewayd.errors import PeerError
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.ucp_sim import readable

_OPERATIONS = {
    1: "call input",
    2: "multiple address call input",
    3: "call input with supplementary services",
    30: "message transfer",
    31: "alert",
    51: "submit",
    52: "deliver",
    53: "notification",
    54: "modify",
    55: "inquiry",
    56: "delete",
    57: "inquiry response",
    58: "delete response",
    60: "session",
    61: "list",
}
_WITH_TEXT = frozenset({1, 30, 51, 52, 53})
_BARE = re.compile(r"[0-9]{2}/[0-9]{5}/[OR]/")
_NOT_HEX = re.compile(r"0[xX]|\\x|[\s:,;-]+")


def octets_of(given: str) -> bytes | None:
    """The frames in `given`: as they stand, with or without STX and ETX, or as hex."""
    text = given.replace("<STX>", "\x02").replace("<ETX>", "\x03")
    if "\x02" in text:
        return text.encode("latin-1", "replace")
    if _BARE.match(text.strip()):
        frames = (line.strip() for line in text.splitlines() if line.strip())
        return b"".join(b"\x02" + line.encode("latin-1", "replace") + b"\x03" for line in frames)
    try:
        return bytes.fromhex(_NOT_HEX.sub("", text))
    except ValueError:
        return None


def frames_of(octets: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Every frame in words, and what is wrong."""
    framer = ucp.Framer()
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for body in framer.feed(octets):
        try:
            found.append(_described(ucp.decode(body)))
        except PeerError as error:
            kind = "result" if error.command & ucp.RESULT else "operation"
            place = f"{error.command & 0xFF:02}, number {error.sequence:02}"
            problems.append(f"{kind} {place}, is broken: {error}")
    if framer.broken is not None:
        problems.append(str(framer.broken))
    elif not found and not problems:
        problems.append("no frame: it stands between STX (02) and ETX (03)")
    if framer.noise:
        problems.append(f"{framer.noise} octets outside frames")
    return found, problems


def _described(frame: ucp.Frame) -> dict[str, Any]:
    told: dict[str, Any] = {
        "kind": "result" if frame.result else "operation",
        "operation": f"{frame.operation:02}",
        "operation_name": _OPERATIONS.get(frame.operation, "unknown"),
        "number": f"{frame.number:02}",
        "fields": dict(ucp.named(frame)),
    }
    if frame.result and frame.fields[:1] == ("N",) and len(frame.fields) > 1:
        told["error"] = codes.text_of(codes.number(frame.fields[1]))
    names = ucp.NAMES.get(frame.operation, ())
    if not frame.result and frame.operation in _WITH_TEXT and len(frame.fields) >= len(names):
        told["text"] = readable(frame)
    if not frame.result and frame.operation == ucp.NOTIFY and "Rsn" in told["fields"]:
        told["reason"] = codes.rsn_text(codes.number(told["fields"]["Rsn"]))
    return told


def decode_ucp(given: str, *, as_json: bool) -> int:
    """Every frame in `given` ("-": standard input)."""
    octets = octets_of(sys.stdin.read() if given == "-" else given)
    if octets is None:
        print("this is neither a frame nor the hex of one", file=sys.stderr)
        return 2
    found, problems = frames_of(octets)
    if as_json:
        print(json.dumps({"frames": found, "problems": problems}, ensure_ascii=False))
        return 1 if problems else 0
    for frame in found:
        what = f"{frame['kind']} {frame['operation']} {frame['operation_name']}"
        print(f"{what}  number {frame['number']}")
        for name, value in frame["fields"].items():
            print(f"  {name:<8} {value}")
        for name in ("text", "error", "reason"):
            if frame.get(name):
                print(f"  {name:<8} {json.dumps(frame[name], ensure_ascii=False)}")
        print()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
