"""What only UCP can be told, read from the `options` of an SMSC: each one is ``name=value``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta, timezone

from gatewayd.config.values import shown
from gatewayd.smsc import options
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.options import Wrong, choice, codes, digits, whole, yes_no
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


def read(written: Sequence[str]) -> UcpOptions:
    """The options; those with an unknown name or a wrong value come back in `unknown`."""
    pairs, wrong = options.read(written, READERS)
    lists = [value for name, value in pairs if name == _LIST][:_MO_LISTS]
    found = {_FIELDS.get(name, name.replace("-", "_")): value for name, value in pairs}
    found["mo_list"] = tuple(lists)
    found["unknown"] = tuple(each.name for each in wrong)
    return replace(UcpOptions(), **found)  # type: ignore[arg-type]


def check(written: Sequence[str]) -> list[Wrong]:
    """What is wrong with the entries."""
    wrong = options.read(written, READERS)[1]
    lists = [index for index, each in enumerate(written) if each.startswith(f"{_LIST}=")]
    more = f"{_LIST} is there more than {_MO_LISTS} times"
    return wrong + [Wrong(index, _LIST, more) for index in lists[_MO_LISTS:]]


def _address(value: str) -> str:
    return ucp.as_field(value)[:_LONGEST_ADDRESS]


def _some_address(value: str) -> str:
    if not value:
        raise ValueError("is empty; an address is expected")
    return _address(value)


def _operation(value: str) -> int:
    return _OPERATIONS[choice(*_OPERATIONS)(value)]


def _zone(value: str) -> timezone:
    """``+03:00``, ``-04:30``"""
    hours, colon, minutes = value[1:].partition(":")
    sign = value[:1] in ("+", "-")
    if not (sign and colon and 0 <= number(hours) <= 14 and 0 <= number(minutes) < 60):
        raise ValueError(f"is {shown(value)}, which is no time offset (+03:00, -04:30)")
    offset = timedelta(hours=number(hours), minutes=number(minutes))
    return timezone(-offset if value[0] == "-" else offset)


_LIST = "mo-list"
_FIELDS = {"utc-offset": "zone"}
_OPERATIONS = {"51": ucp.SUBMIT, "30": ucp.TRANSFER, "01": ucp.CALL_INPUT}
_CODES = codes(99)
READERS: options.Readers = {
    "submit": _operation,
    "temporary": _CODES,
    "throttling": _CODES,
    "login-again": _CODES,
    "refused": _CODES,
    "notification-pid": digits(4),
    "notification-addr": _address,
    "notification-type": whole(7),
    "international-prefix": digits(5),
    "long-numbers": choice("refuse", "cut"),
    "mcls": choice("class", "binary"),
    "more-messages": yes_no,
    "ids": choice("all", "asked"),
    "mo": choice("read", "literal"),
    "mo-list": _some_address,
    "smsc-time": yes_no,
    "utc-offset": _zone,
    "alert-first": yes_no,
    "login-ton": digits(1),
    "login-npi": digits(1),
    "login-version": digits(4),
    "login-opid": digits(2),
}
