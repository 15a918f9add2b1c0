"""Bodies that name their fields: JSON, XML, forms."""

from __future__ import annotations

from typing import Final
from xml.parsers import expat

from msgspec import DecodeError, json

from gatewayd.sms import charsets
from gatewayd.web.arguments import MOST_FIELDS, decode_query

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
_DEEPEST = 32  # elements within each other
_PLAIN: Final = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})
_BOM: Final = b"\xef\xbb\xbf"

Fields = dict[str, bytes]


class Unreadable(Exception):
    """A body that is not what it says; the text says why, in one line."""


def content_type(value: str) -> tuple[str, str]:
    """The type of a Content-Type in lower case, and its charset ("" when it names none)."""
    kind, *parameters = value.split(";")
    charset = ""
    for parameter in parameters:
        name, _, given = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = given.strip().strip("\"'")
    return kind.strip().lower(), charset


def read_body(body: bytes, kind: str, charset: str = "") -> Fields:
    """The fields of a body; a type that says nothing of it is found out by its first octet.

    Values are UTF-8. Of several fields with one name the first counts. Raises Unreadable.
    """
    body = body.removeprefix(_BOM)
    if not body.strip():
        return {}
    if kind == JSON or kind.endswith("+json"):
        return read_json(body)
    if kind.endswith(("/xml", "+xml")):
        return read_xml(body)
    if kind != FORM:
        first = body.lstrip()[:1]
        if first == b"{":
            return read_json(body)
        if first == b"<":
            return read_xml(body)
    fields = decode_query(body.strip(b"\r\n"))
    if charset.lower() not in _PLAIN:
        try:
            return {n: charsets.recode(v, charset, "UTF-8") for n, v in fields.items()}
        except charsets.UnknownCharset:
            raise Unreadable("Unknown charset") from None
    return fields


def read_json(body: bytes) -> Fields:
    """The texts and numbers of an object. A list of texts is one text, with blanks between."""
    try:
        found = json.decode(body)
    except UnicodeDecodeError:
        raise Unreadable("Body is not JSON: it is not UTF-8") from None
    except (DecodeError, RecursionError) as error:
        raise Unreadable(f"Body is not JSON: {str(error).splitlines()[0]}") from None
    if not isinstance(found, dict):
        raise Unreadable("Body is not a JSON object")
    fields: Fields = {}
    for name, value in found.items():
        text = _text(value)
        if text is not None and len(fields) < MOST_FIELDS:
            fields[name] = text.encode("utf-8", "replace")
    return fields


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and value and all(type(each) in (str, int) for each in value):
        return " ".join(map(str, value))
    return None


class _Document:
    """Collects the texts of the elements that hold no others, by name without namespace."""

    def __init__(self) -> None:
        self.fields: Fields = {}
        self._depth = 0
        self._leaf = False
        self._text: list[str] = []

    def start(self, _name: str, _attributes: object) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("too deep")
        self._leaf = True
        self._text.clear()

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._leaf and self._depth and len(self.fields) < MOST_FIELDS:
            self.fields.setdefault(name.rpartition(":")[2], "".join(self._text).encode())
        self._leaf = False

    def refuse(self, *_: object) -> None:
        """A DOCTYPE may define entities that grow without end; nobody needs one here."""
        raise ValueError("a DOCTYPE is not taken")


def read_xml(body: bytes) -> Fields:
    """The texts of the innermost elements of a document."""
    document = _Document()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.text
    parser.StartDoctypeDeclHandler = document.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unreadable(f"Body is not XML: {error}") from None
    return document.fields
