"""`gatewayd decode`: PDUs and receipts in words."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from gatewayd.errors import PeerError
from gatewayd.model import DlrStatus
from gatewayd.sms import receipt_text
from gatewayd.smsc import smpp_names, smpp_pdu
from gatewayd.smsc.smpp_frame import Framer
from gatewayd.smsc.smpp_sim import readable

_SEPARATORS = re.compile(r"0[xX]|\\x|[\s:,;-]+")
_MEANINGS = {
    int(DlrStatus.DELIVERED): "delivered",
    int(DlrStatus.UNDELIVERABLE): "failed",
    int(DlrStatus.BUFFERED): "on its way, not final",
}


def _told(value: str) -> str:
    return sys.stdin.read() if value == "-" else value


def smpp(given: str, *, as_json: bool) -> int:
    """Every PDU in the hex dump `given` ("-": standard input)."""
    digits = _SEPARATORS.sub("", _told(given))
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        print("this is no hex: two digits 0-9 a-f for each octet are wanted", file=sys.stderr)
        return 2
    framer = Framer()
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    used = 0
    for frame in framer.feed(octets):
        used += len(frame)
        try:
            found.append(_described(frame))
        except PeerError as error:
            command = smpp_names.command_name(error.command)
            problems.append(f"a {command}, sequence {error.sequence}, is broken: {error}")
    left = len(octets) - used
    if framer.broken is not None:
        problems.append(f"no PDU begins at octet {used}: {framer.broken}")
    elif left or not octets:
        wanted = int.from_bytes(octets[used : used + 4], "big") if left >= 4 else 16
        problems.append(f"the last PDU is cut short: {left} octets of {wanted}")
    if as_json:
        print(json.dumps({"pdus": found, "problems": problems}, ensure_ascii=False))
    else:
        for pdu in found:
            _show(pdu)
        for problem in problems:
            print(problem, file=sys.stderr)
    return 1 if problems else 0


def _described(frame: bytes) -> dict[str, Any]:
    told = smpp_names.describe(frame)
    pdu = smpp_pdu.decode(frame)
    if isinstance(pdu, smpp_pdu.Sm):
        told["text"] = readable(pdu)
        read = receipt_text.parse(told["text"].encode(), lenient=True)
        if read is not None and read.id and read.stat:
            told["receipt"] = _receipt(read)
    return told


def _show(pdu: dict[str, Any]) -> None:
    head = f"{pdu['command']}  sequence {pdu['sequence']}  {pdu['length']} octets"
    print(f"{head}  {pdu['status_name']} ({pdu['status']})")
    shown = {"command", "sequence", "length", "status", "status_name", "tlvs", "receipt"}
    for name, value in pdu.items():
        if name not in shown:
            print(f"  {name:<20} {_value(name, value)}")
    for tlv in pdu.get("tlvs", ()):
        octets = bytes.fromhex(tlv["value"])
        text = octets.rstrip(b"\0")
        printable = text.isascii() and text.decode("latin-1").isprintable() and len(text) > 1
        as_text = f'  "{text.decode("latin-1")}"' if printable else ""
        print(f"  TLV {tlv['tag']} {tlv['name']:<9} {tlv['value']}{as_text}")
    if "receipt" in pdu:
        _show_receipt(pdu["receipt"], "  ")
    print()


def _value(name: str, value: Any) -> str:
    if isinstance(value, int) and name in (
        "data_coding",
        "esm_class",
        "registered_delivery",
        "interface_version",
    ):
        return f"0x{value:02x}"
    if isinstance(value, str) and name != "short_message":
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _receipt(read: receipt_text.ReceiptText) -> dict[str, Any]:
    status = receipt_text.status_of(read.stat, lenient=True)
    return {
        "id": read.id,
        "stat": read.stat,
        "dlr_status": status,
        "means": _MEANINGS.get(status, ""),
        "err": read.err,
        "sub": read.sub,
        "dlvrd": read.dlvrd,
        "submit_date": read.submit_date,
        "done_date": read.done_date,
        "text": read.text,
    }


def _show_receipt(read: dict[str, Any], indent: str) -> None:
    for name, value in read.items():
        if value != "":
            print(f"{indent}{name:<12} {value}")


def receipt(given: str, *, as_json: bool) -> int:
    """The receipt text `given` ("-": standard input): what is in it and what it means."""
    read = receipt_text.parse(_told(given).encode(), lenient=True)
    if read is None:
        if as_json:
            print(json.dumps({"error": "no receipt"}))
        else:
            print("this is no receipt: it has neither an id: nor a stat:", file=sys.stderr)
        return 1
    told = _receipt(read)
    if as_json:
        print(json.dumps(told, ensure_ascii=False))
    else:
        _show_receipt(told, "")
    return 0
