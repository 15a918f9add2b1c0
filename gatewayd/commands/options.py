"""What may stand in the options of the command line."""

from __future__ import annotations

import argparse
from typing import TypeVar

Number = TypeVar("Number", int, float)


def _within(value: Number, most: int, told: str) -> Number:
    if not 0 <= value <= most:
        raise argparse.ArgumentTypeError(told)
    return value


def share(text: str) -> float:
    """A share between 0 and 1, or with % between 0 and 100."""
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    return _within(value, 1, "a share is between 0 and 1, or 0% and 100%")


def _refused(text: str, usual: int, end: int, base: int, wrong: str) -> tuple[float, int]:
    """SHARE[:CODE]; `usual` is the code where none is given, and all are below `end`."""
    part, _, given = text.partition(":")
    code = int(given, base) if given else usual
    if not 0 < code < end:
        raise argparse.ArgumentTypeError(wrong)
    return share(part), code


def errors(text: str) -> tuple[float, int]:
    """How many submits are refused, and with which command_status."""
    return _refused(text, 0x08, 1 << 32, 0, "a command_status is a number such as 0x45")


def ucp_errors(text: str) -> tuple[float, int]:
    """How many are refused, and with which UCP error code."""
    return _refused(text, 55, 100, 10, "an error code is a number between 1 and 99")


def cimd2_errors(text: str) -> tuple[float, int]:
    """How many are refused, and with which CIMD2 error code."""
    return _refused(text, 6, 1000, 10, "an error code is a number between 1 and 999")


def seconds(text: str) -> float:
    """Seconds, a day at most."""
    return _within(float(text), 86400, "seconds are between 0 and 86400")


def delay(text: str) -> float:
    """Seconds, or off."""
    return -1.0 if text == "off" else seconds(text)


def rate(text: str) -> float:
    """Messages per second."""
    return _within(float(text), 10000, "messages per second are between 0 and 10000")


def port(text: str) -> int:
    """A port; 0 takes any."""
    return _within(int(text), 65535, "a port is between 0 and 65535")


def mask(text: str) -> int:
    """A dlr-mask."""
    return _within(int(text), 63, "a dlr-mask is between 0 and 63")


for _type, _name in (
    (share, "share"),
    (errors, "SHARE[:STATUS]"),
    (ucp_errors, "SHARE[:CODE]"),
    (cimd2_errors, "SHARE[:CODE]"),
    (seconds, "number of seconds"),
    (delay, "number of seconds, or off"),
    (rate, "rate"),
    (port, "port"),
    (mask, "dlr-mask"),
):
    _type.__name__ = _name  # argparse says "invalid <name> value"
