"""`gatewayd decode cimd2`: CIMD2 packets in words; passwords are hidden."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from gatewayd.errors import PeerError
from gatewayd.smsc import cimd2_frame, cimd2_names

_MARKS = {"<STX>": "\x02", "<ETX>": "\x03", "<TAB>": "\t"}
_NOT_HEX = re.compile(r"0[xX]|\\x|[\s:,;-]+")


def octets_of(given: str) -> bytes | None:
    """The packets in `given`: as they stand, with <STX>, <TAB> and <ETX> in words, or as hex."""
    text = given
    for mark, octet in _MARKS.items():
        text = text.replace(mark, octet)
    if "\x02" in text:
        return text.encode("latin-1", "replace")
    try:
        return bytes.fromhex(_NOT_HEX.sub("", text))
    except ValueError:
        return None


def packets_of(octets: bytes) -> tuple[list[dict[str, Any]], list[str]]:
    """Every packet in words, and what is wrong."""
    framer = cimd2_frame.Framer(max(len(octets), cimd2_frame.LIMIT) + 1)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    for frame in framer.feed(octets):
        try:
            if isinstance(frame, PeerError):
                raise frame
            packet = cimd2_frame.decode(frame)
        except PeerError as error:
            place = f"{error.command:02}, number {error.sequence:03}" if error.command else "?"
            problems.append(f"operation {place}, is broken: {error}")
        else:
            found.append(cimd2_names.describe(packet))
    if framer.is_open:
        problems.append("the last packet has no end: ETX (03) is missing")
    elif not found and not problems:
        problems.append("no packet: one stands between STX (02) and ETX (03)")
    return found, problems


def decode_cimd2(given: str, *, as_json: bool) -> int:
    """Every packet in `given` ("-": standard input)."""
    octets = octets_of(sys.stdin.read() if given == "-" else given)
    if octets is None:
        print("this is neither a packet nor the hex of one", file=sys.stderr)
        return 2
    found, problems = packets_of(octets)
    if as_json:
        print(json.dumps({"packets": found, "problems": problems}, ensure_ascii=False))
        return 1 if problems else 0
    for packet in found:
        checksum = "" if packet["checksum"] else "  no checksum"
        print(f"{packet['operation']} {packet['name']}  number {packet['number']}{checksum}")
        for parameter in packet["parameters"]:
            value = json.dumps(parameter["value"], ensure_ascii=False)
            print(f"  {parameter['id']} {parameter['name']:<32} {value}")
        for name in ("text", "error", "status"):
            if name in packet:
                print(f"  {name:<36} {json.dumps(packet[name], ensure_ascii=False)}")
        print()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0
