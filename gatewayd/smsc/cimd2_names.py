"""CIMD2 packets in words, for people who debug a bind."""

from __future__ import annotations

from typing import Any

from gatewayd.model import Coding
from gatewayd.sms import alphabets
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc import cimd2_text
from gatewayd.smsc.cimd2_frame import RESPONSE, Packet
from gatewayd.smsc.cimd2_in import dcs_of

_HIDDEN = b"***"

_OPERATIONS = {
    1: "login",
    2: "logout",
    3: "submit message",
    4: "enquire message status",
    5: "delivery request",
    6: "cancel message",
    8: "set",
    9: "get",
    20: "deliver message",
    23: "deliver status report",
    40: "alive",
}

_PARAMETERS = {
    10: "user identity",
    11: "password",
    12: "subaddress",
    19: "window size",
    21: "destination address",
    23: "originating address",
    26: "originating IMSI",
    27: "alphanumeric originating address",
    28: "originated visited MSC",
    30: "data coding scheme",
    32: "user data header",
    33: "user data",
    34: "user data binary",
    44: "more messages to send",
    50: "validity period relative",
    51: "validity period absolute",
    52: "protocol identifier",
    53: "first delivery time relative",
    54: "first delivery time absolute",
    55: "reply path",
    56: "status report request",
    58: "cancel enabled",
    59: "cancel mode",
    60: "service centre time stamp",
    61: "status code",
    62: "status error code",
    63: "discharge time",
    64: "tariff class",
    65: "service description",
    66: "message count",
    67: "priority",
    68: "delivery request mode",
    69: "service centre address",
    500: "get parameter",
    501: "SMS Center time",
    900: "error code",
    901: "error text",
}


def operation_name(operation: int) -> str:
    """What an operation is called."""
    if operation == frames.GENERAL_ERROR:
        return "general error response"
    if operation == frames.NACK:
        return "nack"
    if operation >= RESPONSE:
        name = _OPERATIONS.get(operation - RESPONSE)
        return f"{name} response" if name else "unknown response"
    return _OPERATIONS.get(operation, "unknown operation")


def parameter_name(parameter: int) -> str:
    """What a parameter is called; "" for one that we do not know."""
    return _PARAMETERS.get(parameter, "")


def describe(packet: Packet) -> dict[str, Any]:
    """A packet in plain types, for `json.dumps`; passwords are hidden."""
    told: dict[str, Any] = {
        "operation": f"{packet.operation:02}",
        "name": operation_name(packet.operation),
        "number": f"{packet.number:03}",
        "parameters": [
            {
                "id": f"{parameter:03}",
                "name": parameter_name(parameter),
                "value": (_HIDDEN if parameter == frames.PASSWORD else value).decode("latin-1"),
            }
            for parameter, value in packet.parameters
        ],
        "checksum": packet.checked,
    }
    if packet.has(frames.TEXT) or packet.has(frames.BINARY):
        told["text"] = readable(packet)
    code = statuses.error_of(packet)
    if code:
        told["error"] = statuses.TEXTS.get(code, "unknown error")
    status = statuses.STATUS_WORDS.get(statuses.number_of(packet.get(frames.STATUS)))
    if status:
        told["status"] = status
    return told


def readable(packet: Packet) -> str:
    """The text of a submit or a delivery for people; octets as hex."""
    if packet.has(frames.TEXT):
        return cimd2_text.decode(packet.get(frames.TEXT)).text
    digits = packet.get(frames.BINARY).decode("latin-1")
    coding = dcs_of(packet.get(frames.CODING), packet.has(frames.UDH)).coding
    try:
        octets = bytes.fromhex(digits)
    except ValueError:
        return digits
    return alphabets.decode_ucs2(octets)[0] if coding is Coding.UCS2 else digits
