"""Decoding of a query the way Kannel's callers are used to."""

from __future__ import annotations

import re
from binascii import a2b_qp
from typing import Final
from urllib.parse import unquote_to_bytes

# Names that nearly every request has, decoded once.
_USUAL: Final[dict[bytes, str]] = {
    name.encode(): name
    for name in (
        *("username", "user", "password", "pass", "from", "to", "text", "smsc", "coding"),
        *("charset", "udh", "mclass", "priority", "validity", "dlr-mask", "dlr-url", "account"),
    )
}
MOST_FIELDS = 1000  # a query with more is not read further
_LARGEST = 2**31 - 1
_LONGEST_NUMBER = 10


def unescape(value: bytes) -> bytes:
    """`value` with ``+`` as a space and ``%XX`` as its octet.

    Malformed escapes stay as they are; one that the end cuts short is dropped, as Kannel does.
    """
    if b"+" in value:
        value = value.replace(b"+", b" ")
    if b"%" in value:
        if b"%" in value[-2:]:
            value = _without_cut_escape(value)
        return _whole_escapes(value) or unquote_to_bytes(value)
    return value


def _whole_escapes(value: bytes) -> bytes:
    """`value` decoded when every ``%`` begins an escape; otherwise, or when in doubt, nothing.

    Quoted-printable says the same with another sign, and its decoder does not loop in Python. What
    means something there and not here is left alone: the sign itself, and ends of lines.
    """
    if b"=" in value or b"\n" in value or b"\r" in value:
        return b""
    decoded = a2b_qp(value.replace(b"%", b"="))
    return decoded if len(decoded) == len(value) - 2 * value.count(b"%") else b""


def _without_cut_escape(value: bytes) -> bytes:
    """Without the ``%`` or ``%X`` at the very end, unless that belongs to a whole escape."""
    place = 0
    while (place := value.find(b"%", place)) >= 0:
        if place + 2 >= len(value):
            return value[:place]
        # the octet behind a malformed escape's % is read again: "%%4" is "%" and a cut "%4"
        place += 3 if _is_escape(value[place + 1 : place + 3]) else 1
    return value


def _is_escape(digits: bytes) -> bool:
    return all(digit in b"0123456789abcdefABCDEF" for digit in digits)


def decode_query(query: bytes) -> dict[str, bytes]:
    """The fields of a query; the first of those with the same name wins."""
    fields: dict[str, bytes] = {}
    for field in query.split(b"&", MOST_FIELDS)[:MOST_FIELDS]:
        name, _, value = field.partition(b"=")
        key = _USUAL.get(name)
        if key is None:
            key = unescape(name).decode("latin-1")
        if key not in fields:
            fields[key] = unescape(value)
    return fields


def problem_of(query: bytes, most: int) -> str:
    """What a careful reader refuses in a query, or "": a name twice (the next one in line may take
    the other value), more than `most` fields, a percent sign that begins no escape."""
    if query.count(b"&") >= most:
        return f"More than {most} fields, rejected"
    if b"%" in query and _BAD_ESCAPE.search(query):
        return "Malformed percent-escape, rejected"
    names = [field.partition(b"=")[0] for field in query.split(b"&") if field]
    if len(set(names)) != len(names):
        return "A field is there twice, rejected"
    return ""


_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def is_integer(value: bytes) -> bool:
    """Whether `value` is a whole number and nothing else, of at most ten digits."""
    digits = value.removeprefix(b"-")
    return 0 < len(digits) <= _LONGEST_NUMBER and digits.isdigit()


def read_integer(value: bytes) -> int | None:
    """The number that `value` begins with, as scanf's ``%d`` reads it; None when there is none.

    Numbers beyond 31 bits become the largest one, so that every range check refuses them.
    """
    if len(value) < _LONGEST_NUMBER and value.isdigit():
        return int(value)
    value = value.lstrip()
    negative = value[:1] == b"-"
    if value[:1] in (b"-", b"+"):
        value = value[1:]
    length = 0
    for octet in value:
        if not 0x30 <= octet <= 0x39:
            break
        length += 1
        if length > _LONGEST_NUMBER * 4:
            break
    if not length:
        return None
    number = min(int(value[:length]), _LARGEST)
    return -number if negative else number
