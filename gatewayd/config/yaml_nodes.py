"""A YAML text as a tree that still knows its lines; refuses what makes YAML dangerous or doubtful.

Only PyYAML's scanner, parser and composer run: no Python object is ever constructed from a tag.
Refused: other encodings than plain UTF-8, tags, repeated keys, loops, and trees that aliases blow
up ("billion laughs"). Merge keys (`<<`) work.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gatewayd.config.values import Problems, shown

# Far above any configuration written by hand; PyYAML needs some 4 s for this much.
MAX_FILE = 1 << 20
MAX_NODES = 100_000  # with each alias counted as what it stands for
MAX_DEPTH = 40
_TOO_MANY = f"holds more than {MAX_NODES} values, aliases written out"

_STANDARD = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset(
    _STANDARD + tag
    for tag in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")
)
_BOMS = (
    (codecs.BOM_UTF8, "a UTF-8 byte order mark"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)

# Plain words that some YAML reader, 1.1 or 1.2, takes for something else than text.
_DOUBTFUL = re.compile(
    r"(?i:y|n|yes|no|on|off|true|false|null|~)|"
    r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+)|"
    r"[-+]?(?=\.?[0-9])[0-9_]*\.?[0-9_]*(?:[eE][-+]?[0-9]+)?|"
    r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?|"
    r"[-+]?\.(?i:inf|nan)|"
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"
)


class Refused(Exception):
    """The text as a whole cannot be used; `line` is 1-based, 0 when there is none to name."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Entry(NamedTuple):
    """One key of a mapping with its value; `line` is the key's."""

    key: str
    value: Node
    line: int


class _Composer(yaml.SafeLoader):
    """Composes nodes as the safe loader does, with bounds on depth (it recurses) and number."""

    depth = 0
    nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Refused(self.line + 1, f"is nested more than {MAX_DEPTH} deep")
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise Refused(self.line + 1, _TOO_MANY)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def line_of(node: Node) -> int:
    """The 1-based line a node begins on."""
    return int(node.start_mark.line) + 1


def decode(data: bytes) -> str:
    """The text of a configuration file.

    Raises:
        Refused: it is too long or not plain UTF-8.
    """
    if len(data) > MAX_FILE:
        raise Refused(0, f"is longer than {MAX_FILE >> 20} MB: not a configuration")
    for mark, what in _BOMS:
        if data.startswith(mark):
            raise Refused(1, f"begins with {what}; save the file as UTF-8 without a mark")
    if b"\x00" in data[:4]:
        raise Refused(1, "is UTF-16 or binary; save the file as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(line, f"is not UTF-8 (octet 0x{data[error.start]:02x})") from None


def compose(text: str) -> Node | None:
    """The tree of a YAML text; None when it holds nothing but comments.

    Raises:
        Refused: the text is not YAML, or a tree that is too large, too deep or a loop.
    """
    loader: _Composer | None = None
    try:
        # The constructor already reads the first characters and may refuse them.
        loader = _Composer(text)
        node = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        # Its position counts within the buffer; the character itself is found again.
        line = text[: text.find(chr(error.character))].count("\n") + 1
        raise Refused(line, f"holds the control character \\x{error.character:02x}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Refused(mark.line + 1 if mark else 0, _in_words(error)) from None
    finally:
        if loader is not None:
            loader.dispose()
    if node is not None:
        _measure(node)
    return node


def _in_words(error: yaml.MarkedYAMLError) -> str:
    """What went wrong, without the line's text: it may hold a password."""
    problem = error.problem or "cannot be read as YAML"
    if "undefined alias" in problem:
        return "names an alias that does not exist; a value that begins with * needs quotes"
    if "'\\t'" in problem:
        return "holds a tab where YAML wants blanks"
    if "duplicate anchor" in problem:
        return "an anchor is used twice"
    if "single document" in (error.context or ""):
        return "a second document (---) begins here; one is expected"
    if "mapping values are not allowed" in problem:
        return "a colon too many, or a wrong indentation; a value with ': ' in it needs quotes"
    if "cannot start any token" in problem:
        return f"{problem}; put the value in quotes"
    return f"is not YAML: {problem}"


def _measure(root: Node) -> None:
    """Count the nodes as if each alias were written out; refuse loops on the way."""
    sizes: dict[int, int] = {}

    def size(node: Node) -> int:
        known = sizes.get(id(node))
        if known == 0:
            raise Refused(line_of(node), "an alias stands inside its own anchor")
        if known is None:
            sizes[id(node)] = 0
            known = 1 + sum(map(size, _children(node)))
            if known > MAX_NODES:
                raise Refused(line_of(node), _TOO_MANY)
            sizes[id(node)] = known
        return known

    size(root)


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, SequenceNode):
        yield from node.value


def is_empty(node: Node) -> bool:
    """A key with nothing behind it, or null."""
    return isinstance(node, ScalarNode) and node.tag == _STANDARD + "null" and not node.style


def check_tag(node: Node) -> str:
    """ "" when the node has a tag of plain YAML, else what to say."""
    return "" if node.tag in _PLAIN_TAGS else f"the tag {shown(_short(node.tag))} is not allowed"


def _short(tag: str) -> str:
    return "!!" + tag.removeprefix(_STANDARD) if tag.startswith(_STANDARD) else tag


def is_doubtful(node: ScalarNode) -> bool:
    """Whether a plain scalar might not be text for every reader: no, on, 012, 1e3, 22:30."""
    return node.style is None and bool(_DOUBTFUL.fullmatch(node.value))


def kind(node: Node) -> str:
    """What a node is, in words."""
    if isinstance(node, MappingNode):
        return "a section of keys"
    if isinstance(node, SequenceNode):
        return "a list"
    return "nothing" if is_empty(node) else "a single value"


def entries(node: MappingNode, where: str, problems: Problems) -> Iterator[Entry]:
    """The keys of a mapping in the order written, then those merged in that it has not itself.

    Keys written twice and keys that are not words are told to `problems`.
    """
    seen: dict[str, int] = {}
    merged: list[Node] = []
    for key, value in node.value:
        line = line_of(key)
        if not isinstance(key, ScalarNode) or check_tag(key):
            problems.error(line, where, "a key is a single word")
        elif key.tag == _STANDARD + "merge":
            merged.append(value)
        elif key.value in seen:
            problems.error(
                line,
                f"{where}.{key.value}" if where else key.value,
                f"is here a second time (first on line {seen[key.value]}); keep one",
            )
        else:
            seen[key.value] = line
            yield Entry(key.value, value, line)
    for value in merged:
        for source in value.value if isinstance(value, SequenceNode) else (value,):
            if not isinstance(source, MappingNode):
                problems.error(line_of(source), f"{where}.<<" if where else "<<", "needs a section")
                continue
            for entry in entries(source, where, problems):
                if entry.key not in seen:
                    seen[entry.key] = entry.line
                    yield entry
