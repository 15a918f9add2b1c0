"""What only UCP can be told, read from the `options` of an SMSC: each one is ``name=value``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta, timezone

from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.ucp_codes import number


@dataclass(frozen=True, slots=True)
class UcpOptions:
    """How UCP is spoken with one SMSC, beyond what `SmppOptions` says for every protocol.

    Of those count here: system_id and password (no system_id: no login), addresses (`ton_rule`,
    `my_number` as our address in alerts when there is no system_id), validity, alt_charset and
    mo_charset, alt_dcs, receipts_for, max_pdu and all times.
    """

    submit: int = ucp.SUBMIT  # submit=51|30|01: the operation that carries an MT
    temporary: frozenset[int] = frozenset({37, 50, 54, 55})  # error codes to try again
    throttling: frozenset[int] = frozenset()  # error codes that pause the bind; some use 04
    login_again: frozenset[int] = frozenset({7, 8})  # answers to a submit: log in anew, once
    refused: frozenset[int] = frozenset({7, 8})  # answers to the login: wrong credentials
    notification_pid: str = ""  # NPID and NAdC of a submit that asks for a notification
    notification_addr: str = ""
    notification_type: int = 0  # NT; 0: 3 (final ones), or 7 when buffering is wanted too
    international_prefix: str = "00"  # what "+" of a recipient becomes
    long_numbers: str = "refuse"  # refuse | cut: recipients of more than 16 digits
    mcls: str = "class"  # class: MCLs of class messages | binary: 1 for everything but text
    more_messages: bool = False  # MMS 1 in all parts of a message but the last
    ids: str = "all"  # all | asked: only submits that asked for a notification get an id
    mo: str = "read"  # read | literal: no coding, number or name is made out where no XSer tells
    smsc_time: bool = False  # an MO has the SMSC's time instead of ours
    zone: timezone | None = None  # utc-offset=+03:00: the SMSC's clock; None: that of this host
    login_ton: str = "6"  # OTON, ONPI, VERS and OPID of the login
    login_npi: str = "5"
    login_version: str = "0100"
    login_opid: str = ""
    mo_list: tuple[str, ...] = ()  # mo-list=ADDRESS, each put on our MO list after the login
    unknown: tuple[str, ...] = ()  # options that nobody understands


_CHOICES = {
    "long-numbers": ("refuse", "cut"),
    "mcls": ("class", "binary"),
    "more-messages": ("no", "yes"),
    "ids": ("all", "asked"),
    "mo": ("read", "literal"),
    "smsc-time": ("no", "yes"),
}
_CODES = ("temporary", "throttling", "login-again", "refused")
_DIGITS = {
    "notification-pid": 4,
    "international-prefix": 6,
    "login-ton": 1,
    "login-npi": 1,
    "login-version": 4,
    "login-opid": 2,
}
_LONGEST_ADDRESS = 16
_MO_LISTS = 20


def read(written: tuple[str, ...]) -> UcpOptions:
    """The options; those with an unknown name or a wrong value come back in `unknown`."""
    options = UcpOptions()
    for each in written:
        name, _, value = each.partition("=")
        found = _read(options, name, value)
        options = found or replace(options, unknown=(*options.unknown, name))
    return options


def _read(options: UcpOptions, name: str, value: str) -> UcpOptions | None:
    field = name.replace("-", "_")
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            return None
        made: object = value == "yes" if value in ("no", "yes") else value
    elif name in _CODES:
        codes = [number(code.strip()) for code in value.split(",") if code.strip()]
        if not all(0 <= code < 100 for code in codes):
            return None
        made = frozenset(codes)
    elif name in _DIGITS:
        if value and not (number(value) >= 0 and len(value) <= _DIGITS[name]):
            return None
        made = value
    elif name == "notification-addr":
        made = ucp.as_field(value)[:_LONGEST_ADDRESS]
    elif name == "mo-list":
        if len(options.mo_list) >= _MO_LISTS or not value:
            return None
        made = (*options.mo_list, ucp.as_field(value)[:_LONGEST_ADDRESS])
    elif name == "notification-type":
        made = number(value)
        if not 0 <= made <= 7:
            return None
    elif name == "submit":
        made = number(value)
        if made not in (ucp.SUBMIT, ucp.TRANSFER, ucp.CALL_INPUT):
            return None
    elif name == "utc-offset":
        field, made = "zone", _zone(value)
        if made is None:
            return None
    else:
        return None
    return replace(options, **{field: made})  # type: ignore[arg-type]


def _zone(value: str) -> timezone | None:
    """``+03:00``, ``-04:30``"""
    hours, colon, minutes = value[1:].partition(":")
    if value[:1] not in ("+", "-") or not colon or not 0 <= number(hours) <= 14:
        return None
    if not 0 <= number(minutes) < 60:
        return None
    offset = timedelta(hours=number(hours), minutes=number(minutes))
    return timezone(-offset if value[0] == "-" else offset)
