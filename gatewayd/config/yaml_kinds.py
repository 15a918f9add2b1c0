"""What reads a field of the YAML configuration by its kind, and tables made of such readers."""

from __future__ import annotations

from dataclasses import fields
from typing import get_type_hints

from gatewayd.config.values import boolean, duration, integer, ip_pattern, item, regex, string, url
from gatewayd.config.yaml_keys import Key, Read, blank_or, listing, numbers, scalar, table, text

MANY = 1_000_000_000

yes_no = scalar(boolean)
line = text(string)
maybe_regex = text(blank_or(regex))
maybe_url = text(blank_or(url))
many = scalar(integer(1, MANY))
any_time = scalar(duration())
some_time = scalar(duration(0.001))
ton = scalar(integer(-1, 7, "a TON"))
npi = scalar(integer(-1, 18, "an NPI"))
address_patterns = listing(ip_pattern)
words = listing(item)
window = scalar(integer(1, 1000, "a window"))

_BY_TYPE: dict[object, Read] = {
    bool: yes_no,
    int: scalar(integer(-1, MANY)),
    float: any_time,
    str: line,
    tuple[str, ...]: words,
    tuple[str, ...] | None: words,
    frozenset[int]: numbers(integer(0, 0xFFFFFFFF)),
}


def keys_of(kind: type, /, *without: str, **reads: Read | Key) -> dict[str, Key]:
    """The table of a dataclass: `reads` for what needs care, the type's reader for other fields."""
    hints = get_type_hints(kind)
    plain: dict[str, Read | Key] = {}
    for field in fields(kind):
        if field.name not in reads and field.name not in without:
            is_regex = field.name.endswith("_regex")
            plain[field.name] = maybe_regex if is_regex else _BY_TYPE[hints[field.name]]
    return table(**plain, **reads)
