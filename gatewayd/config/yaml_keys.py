"""How a table of keys reads one section of a YAML file into the fields of a dataclass.

A `Table` names each key with the field it fills and the function that reads its value. A reading
function tells `Problems` what is wrong and then gives `MISSING`, so that the field keeps its
default and reading goes on to find the next mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gatewayd.config.passwords import is_hash
from gatewayd.config.secrets import interpolate, is_plain, resolve
from gatewayd.config.values import Path, Problems, did_you_mean, shown
from gatewayd.config.yaml_nodes import check_tag, entries, is_doubtful, is_empty, kind, line_of

D = TypeVar("D")


class Missing:
    """The value could not be had; a problem says why."""


MISSING = Missing()


@dataclass(frozen=True, slots=True)
class Source:
    """The file that is being read: where its problems go and what `${NAME}` means."""

    problems: Problems
    environ: Mapping[str, str]


class Value(NamedTuple):
    """One value with its place in the file and in the `Config`."""

    node: Node
    line: int
    where: str  # as the operator would write it: smscs[0].port
    path: Path  # as the dataclasses have it: ("smscs", 0, "port")
    source: Source
    around: Table  # of the section it stands in: for a hint about keys one level too deep

    def complain(self, message: str) -> Missing:
        self.source.problems.error(self.line, self.where, message)
        return MISSING

    def warn(self, message: str) -> None:
        self.source.problems.warn(self.line, self.where, message)

    def item(self, index: int, node: Node) -> Value:
        """One item of a list; it is marked for later checks."""
        value = Value(
            node,
            line_of(node),
            f"{self.where}[{index}]",
            (*self.path, index),
            self.source,
            self.around,
        )
        self.source.problems.mark(value.path, value.line, value.where)
        return value


Read = Callable[[Value], Any]


class Key(NamedTuple):
    """What a key fills, how it is read, and the keys below it when it is a section."""

    field: str
    read: Read
    inner: Table | None = None


Table = Mapping[str, Key]

# What Kannel calls it, for those who come from a kannel.conf.
KANNEL_NAMES = {
    "accepted-smsc": "smscs",
    "accepted-account": "accounts",
    "admin-port": "admin",
    "allowed-prefix": "allowed-prefixes",
    "allowed-smsc-id": "allowed-ids",
    "connect-allow-ip": "admin-allow-ip",
    "denied-prefix": "denied-prefixes",
    "denied-smsc-id": "denied-ids",
    "http-request-retry": "retry",
    "http-timeout": "timeout",
    "log-file": "file",
    "log-level": "level",
    "max-pending-submits": "window",
    "preferred-prefix": "preferred-prefixes",
    "preferred-smsc-id": "preferred-ids",
    "receive-port": "binds",
    "sendsms-port": "sendsms",
    "smsc": "protocol",
    "smsc-id": "id",
    "smsc-password": "password",
    "smsc-username": "system-id",
    "store-location": "path",
    "throughput": "rate",
    "transceiver-mode": "binds",
    "user-allow-ip": "allow-ip",
    "user-deny-ip": "deny-ip",
}


def table(**reads: Read | Key) -> dict[str, Key]:
    """A table whose keys are the fields' names with hyphens: `max_pdu` is max-pdu."""
    keys = {}
    for field, read in reads.items():
        name = field.rstrip("_").replace("_", "-")
        keys[name] = read if isinstance(read, Key) else Key(field, read)
    return keys


def named(field: str, section: Section) -> Key:
    """A key that is a section of its own."""
    return Key(field, section, section.keys)


def raw_text(value: Value, *, strict: bool, hide: bool = False) -> str | Missing:
    """The text of a single value as written, before `${NAME}` is replaced.

    `strict`: it must be text for every YAML reader, or be in quotes. `hide`: it is a secret.
    """
    node = value.node
    if wrong := check_tag(node):
        return value.complain(wrong)
    if not isinstance(node, ScalarNode):
        return value.complain(f"is {kind(node)} where a single value is expected")
    if is_empty(node):
        return value.complain("has no value; give it one or take the key out")
    text: str = node.value
    if strict and is_doubtful(node):
        what = "is not plainly text" if hide else f"{shown(text)} is not plainly text"
        example = "" if hide else f': "{shown(text)}"'
        return value.complain(f"{what}: put it in quotes{example}")
    return text


def parsed(value: Value, parse: Callable[[str], object], *, strict: bool) -> object:
    """What `parse` makes of a single value."""
    text = raw_text(value, strict=strict)
    if isinstance(text, Missing):
        return text
    try:
        return parse(interpolate(text, value.source.environ))
    except ValueError as error:
        return value.complain(str(error))


def scalar(parse: Callable[[str], object]) -> Read:
    """Reads a single value of which only the meaning counts: numbers, times, words of a choice."""
    return lambda value: parsed(value, parse, strict=False)


def text(parse: Callable[[str], str]) -> Read:
    """Reads a single value that is text: what YAML might take for something else needs quotes."""
    return lambda value: parsed(value, parse, strict=True)


def blank_or(parse: Callable[[str], str]) -> Callable[[str], str]:
    """A parser that lets "" through: the key is there and says nothing."""
    return lambda written: parse(written) if written else ""


def secret(value: Value) -> object:
    """Reads a password: from the environment, a file, the service manager or the text itself."""
    written = raw_text(value, strict=True, hide=True)
    if isinstance(written, Missing):
        return written
    try:
        found = resolve(written, value.source.environ)
    except ValueError as error:
        return value.complain(str(error))
    if is_plain(written) and not is_hash(written):
        value.warn("stands here as plain text; file:, credential: and ${NAME} keep it elsewhere")
    return found


def items(value: Value) -> Iterator[Value]:
    """The items of a list; a single value counts as a list of one, nothing as an empty list."""
    if isinstance(value.node, SequenceNode):
        if wrong := check_tag(value.node):
            value.complain(wrong)
        for index, node in enumerate(value.node.value):
            yield value.item(index, node)
    elif isinstance(value.node, MappingNode):
        value.complain("is a section of keys where a list is expected")
    elif not is_empty(value.node):
        yield value


def listing(parse: Callable[[str], object], *, strict: bool = True) -> Read:
    """Reads a list of single values into a tuple."""

    def read(value: Value) -> tuple[object, ...]:
        found = [parsed(each, parse, strict=strict) for each in items(value)]
        return tuple(each for each in found if each is not MISSING)

    return read


def numbers(parse: Callable[[str], int]) -> Read:
    """Reads a list of numbers into a frozenset."""
    return lambda value: frozenset(listing(parse, strict=False)(value))


def fill(value: Value, keys: Table) -> dict[str, Any] | None:
    """The fields that a section of keys gives; None when it is not one."""
    node = value.node
    if is_empty(node):
        return {}
    if wrong := check_tag(node):
        value.complain(wrong)
        return None
    if not isinstance(node, MappingNode):
        value.complain(f"is {kind(node)} where a section of keys is expected")
        return None
    found: dict[str, Any] = {}
    for entry in entries(node, value.where, value.source.problems):
        where = f"{value.where}.{entry.key}" if value.where else entry.key
        key = keys.get(entry.key)
        if key is None:
            hint = _hint(entry.key, keys, value)
            value.source.problems.error(entry.line, shown(where), f"is not a key here{hint}")
            continue
        inner = Value(entry.value, entry.line, where, (*value.path, key.field), value.source, keys)
        value.source.problems.mark(inner.path, inner.line, inner.where)
        result = key.read(inner)
        if result is not MISSING:
            found[key.field] = result
    return found


def _hint(word: str, keys: Table, value: Value) -> str:
    if KANNEL_NAMES.get(word) in keys:
        return f" (Kannel's {word} is {KANNEL_NAMES[word]} here)"
    for name, key in keys.items():
        if key.inner and word in key.inner:
            return f" (it belongs under {name})"
    if word in value.around:
        return " (it belongs one level up)"
    return did_you_mean(word, keys)


class Section:
    """Reads a section of keys over a dataclass that holds the defaults."""

    def __init__(self, default: object, keys: Table) -> None:
        self.default = default
        self.keys = keys

    def __call__(self, value: Value) -> object:
        found = fill(value, self.keys)
        return MISSING if found is None else merged(self.default, found)


def merged(default: D, found: Mapping[str, Any]) -> D:
    """`default` with what was found put in."""
    return replace(default, **found)  # type: ignore[type-var]  # a dataclass, by construction


def present(value: Value) -> set[str]:
    """The keys that a section has, whatever became of their values."""
    if not isinstance(value.node, MappingNode):
        return set()
    quiet = Problems(value.source.problems.file)
    return {entry.key for entry in entries(value.node, value.where, quiet)}


def is_section(value: Value) -> bool:
    """Whether it can have keys; if not, that was told, and no key is missed."""
    return isinstance(value.node, MappingNode) or is_empty(value.node)


def demand(value: Value, *names: str) -> None:
    """Tell which of the keys `names` are absent."""
    if not is_section(value):
        return
    there = present(value)
    for name in names:
        if name not in there:
            value.complain(f"{name} is missing")
