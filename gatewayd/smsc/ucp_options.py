"""What only UCP can be told, read from the `options` of an SMSC: each one is ``name=value``."""

from __future__ import annotations

from collections.abc import Callable
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
    alert_first: bool = False  # an alert at once after the login, if there are alerts at all
    login_ton: str = "6"  # OTON, ONPI, VERS and OPID of the login
    login_npi: str = "5"
    login_version: str = "0100"
    login_opid: str = ""
    mo_list: tuple[str, ...] = ()  # mo-list=ADDRESS, each put on our MO list after the login
    unknown: tuple[str, ...] = ()  # options that nobody understands


_LONGEST_ADDRESS = 16
_MO_LISTS = 20


def read(written: tuple[str, ...]) -> UcpOptions:
    """The options; those with an unknown name or a wrong value come back in `unknown`."""
    found: dict[str, object] = {}
    lists: list[str] = []
    unknown: list[str] = []
    for each in written:
        name, _, value = each.partition("=")
        if name == "mo-list" and value and len(lists) < _MO_LISTS:
            lists.append(ucp.as_field(value)[:_LONGEST_ADDRESS])
            continue
        reader = _READERS.get(name)
        made = None if reader is None else reader(value)
        if made is None:
            unknown.append(name)
        else:
            found["zone" if name == "utc-offset" else name.replace("-", "_")] = made
    options = UcpOptions(mo_list=tuple(lists), unknown=tuple(unknown))
    return replace(options, **found)  # type: ignore[arg-type]


def _choice(*choices: str) -> Callable[[str], str | None]:
    return lambda value: value if value in choices else None


def _yes_no(value: str) -> bool | None:
    return {"yes": True, "no": False}.get(value)


def _codes(value: str) -> frozenset[int] | None:
    found = frozenset(number(code.strip()) for code in value.split(",") if code.strip())
    return found if all(0 <= code < 100 for code in found) else None


def _digits(longest: int) -> Callable[[str], str | None]:
    def read(value: str) -> str | None:
        return value if not value or (number(value) >= 0 and len(value) <= longest) else None

    return read


def _type(value: str) -> int | None:
    return number(value) if 0 <= number(value) <= 7 else None


def _operation(value: str) -> int | None:
    return {"51": ucp.SUBMIT, "30": ucp.TRANSFER, "01": ucp.CALL_INPUT}.get(value)


def _zone(value: str) -> timezone | None:
    """``+03:00``, ``-04:30``"""
    hours, colon, minutes = value[1:].partition(":")
    if value[:1] not in ("+", "-") or not colon or not 0 <= number(hours) <= 14:
        return None
    if not 0 <= number(minutes) < 60:
        return None
    offset = timedelta(hours=number(hours), minutes=number(minutes))
    return timezone(-offset if value[0] == "-" else offset)


_READERS: dict[str, Callable[[str], object]] = {
    "submit": _operation,
    "temporary": _codes,
    "throttling": _codes,
    "login-again": _codes,
    "refused": _codes,
    "notification-pid": _digits(4),
    "notification-addr": lambda value: ucp.as_field(value)[:_LONGEST_ADDRESS],
    "notification-type": _type,
    "international-prefix": _digits(5),
    "long-numbers": _choice("refuse", "cut"),
    "mcls": _choice("class", "binary"),
    "more-messages": _yes_no,
    "ids": _choice("all", "asked"),
    "mo": _choice("read", "literal"),
    "smsc-time": _yes_no,
    "utc-offset": _zone,
    "alert-first": _yes_no,
    "login-ton": _digits(1),
    "login-npi": _digits(1),
    "login-version": _digits(4),
    "login-opid": _digits(2),
}
