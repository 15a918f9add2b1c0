"""SMPP's numbers and PDUs in words, for people.

The names come from smpp.pdu, which also takes apart the PDUs that are too rare for `smpp_pdu`. It
is imported late, for it costs more time than the rest of the program's start.
"""

from __future__ import annotations

import io
import struct
from contextlib import redirect_stdout
from functools import cache
from typing import Any

from gatewayd.smsc.smpp_pdu import Other, decode


@cache
def _names() -> tuple[dict[int, str], dict[int, str], dict[int, str]]:
    """Names of commands, statuses and TLV tags."""
    from smpp.pdu import constants  # noqa: PLC0415

    commands = {number: name for name, number in constants.command_id_name_map.items()}
    statuses = {
        number: entry["name"]
        for number, entry in constants.command_status_value_map.items()
        if number >= 0
    }
    return commands, statuses, {tag: name for name, tag in constants.tag_name_map.items()}


def command_name(command: int) -> str:
    """`submit_sm`, or the number in hex."""
    return _names()[0].get(command, f"0x{command:08x}")


def status_name(status: int) -> str:
    """`ESME_RTHROTTLED`, or the number in hex."""
    return _names()[1].get(status, f"0x{status:08x}")


def tag_name(tag: int) -> str:
    """`message_payload`, or the number in hex."""
    return _names()[2].get(tag, f"0x{tag:04x}")


def tag_number(name: str) -> int | None:
    """The tag that SMPP 3.4 gives this name, for example `message_payload`."""
    return next((tag for tag, known in _names()[2].items() if known == name and tag >= 0), None)


def describe(frame: bytes) -> dict[str, Any]:
    """A PDU in words, for people; passwords are masked. Raises as `decode`."""
    pdu = decode(frame)
    _, command, status, sequence = struct.unpack_from(">4L", frame)
    told: dict[str, Any] = {
        "command": command_name(command),
        "length": len(frame),
        "status": f"0x{status:08x}",
        "status_name": status_name(status),
        "sequence": sequence,
    }
    if isinstance(pdu, Other):
        fields = _rare(frame)
        return told | (fields if fields else {"body": pdu.body.hex()})
    for name in pdu.__struct_fields__:
        value = getattr(pdu, name)
        if name == "password":
            told[name] = "<secret>"
        elif name == "short_message":
            told[name] = value.hex()
        elif name == "tlvs":
            told[name] = [
                {"tag": f"0x{tag:04x}", "name": tag_name(tag), "value": octets.hex()}
                for tag, octets in value
            ]
        elif isinstance(value, bytes):
            told[name] = value.decode("utf-8", "backslashreplace")
        elif name not in told:
            told[name] = value
    return told


def _rare(frame: bytes) -> dict[str, Any]:
    """The fields of query_sm, cancel_sm and the like, nothing when smpp.pdu cannot read them."""
    from smpp.pdu.pdu_encoding import PDUEncoder  # noqa: PLC0415

    try:
        with redirect_stdout(io.StringIO()):  # its decoder of times prints
            params = PDUEncoder().decode(io.BytesIO(frame)).params
            return {
                name: value.decode("utf-8", "backslashreplace")
                if isinstance(value, bytes)
                else str(value)
                for name, value in params.items()
                if value is not None
            }
    except Exception:  # noqa: BLE001 - it raises KeyError and worse on what it does not know
        return {}
