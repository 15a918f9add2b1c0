"""Over-the-air settings: documents for a phone's browser as the octets of one message.

The tokens are those of the Over The Air Settings Specification 7.0 of Nokia and Ericsson (chapters
6 and 8), in WBXML 1.1; the push is WSP (WAP-230, 8.2.4), sent to port 49999.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.parsers import expat

PORTS: Final = bytes.fromhex("060504c34fc002")  # user data header: to port 49999, from 49154

_HEADS: Final = {
    "settings": b"\x01\x06\x2c\x1f\x2aapplication/x-wap-prov.browser-settings\0\x81\xea",
    "bookmarks": b"\x01\x06\x2d\x1f\x2bapplication/x-wap-prov.browser-bookmarks\0\x81\xea",
}
_WBXML: Final = b"\x01\x01\x6a\0"  # version 1.1, unknown document, UTF-8, no string table
_END: Final = b"\x01"
_STRING: Final = b"\x03"
_CONTENT, _ATTRIBUTES = 0x40, 0x80
_ELEMENTS: Final = {"CHARACTERISTIC-LIST": 0x05, "CHARACTERISTIC": 0x06, "PARM": 0x07}
_TYPES: Final = {
    "ADDRESS": 0x06,
    "URL": 0x07,
    "NAME": 0x08,
    "MMSURL": 0x7C,
    "ID": 0x7D,
    "BOOKMARK": 0x7F,
}
_NAMES: Final = {
    "BEARER": 0x12,
    "PROXY": 0x13,
    "PORT": 0x14,
    "NAME": 0x15,
    "PROXY_TYPE": 0x16,
    "URL": 0x17,
    "PROXY_AUTHNAME": 0x18,
    "PROXY_AUTHSECRET": 0x19,
    "SMS_SMSC_ADDRESS": 0x1A,
    "USSD_SERVICE_CODE": 0x1B,
    "GPRS_ACCESSPOINTNAME": 0x1C,
    "PPP_LOGINTYPE": 0x1D,
    "PROXY_LOGINTYPE": 0x1E,
    "CSD_DIALSTRING": 0x21,
    "PPP_AUTHTYPE": 0x22,
    "PPP_AUTHNAME": 0x23,
    "PPP_AUTHSECRET": 0x24,
    "CSD_CALLTYPE": 0x28,
    "CSD_CALLSPEED": 0x29,
    "ISP_NAME": 0x7E,
}
_VALUES: Final = {
    "GSM/CSD": 0x45,
    "GSM/SMS": 0x46,
    "GSM/USSD": 0x47,
    "IS-136/CSD": 0x48,
    "GPRS": 0x49,
    "9200": 0x60,
    "9201": 0x61,
    "9202": 0x62,
    "9203": 0x63,
    "AUTOMATIC": 0x64,
    "MANUAL": 0x65,
    "AUTO": 0x6A,
    "9600": 0x6B,
    "14400": 0x6C,
    "19200": 0x6D,
    "28800": 0x6E,
    "38400": 0x6F,
    "PAP": 0x70,
    "CHAP": 0x71,
    "ANALOGUE": 0x72,
    "ISDN": 0x73,
    "43200": 0x74,
    "57600": 0x75,
    "MSISDN_NO": 0x76,
    "IPV4": 0x77,
    "MS_CHAP": 0x78,
}
_NAME, _VALUE = b"\x10", b"\x11"
_DEEPEST: Final = 16

Parm = tuple[str, str]


class UnknownKind(ValueError):
    """Neither settings nor bookmarks."""


class NotSettings(ValueError):
    """A document that is not XML, or not of the elements of the specification."""


def push(kind: str, document: bytes) -> bytes:
    """The message for a document of `kind` "settings" or "bookmarks". Raises UnknownKind."""
    head = _HEADS.get(kind.lower())
    if head is None:
        raise UnknownKind(kind)
    return head + document


def build(parts: Sequence[tuple[str, str, Sequence[Parm] | None]]) -> bytes:
    """A document of (type, value, parms) each; a part with `parms` None has a value only."""
    body = b"".join(_part(*part) for part in parts)
    return _WBXML + bytes([_ELEMENTS["CHARACTERISTIC-LIST"] | _CONTENT]) + body + _END


def _part(kind: str, value: str, parms: Sequence[Parm] | None) -> bytes:
    token = _ELEMENTS["CHARACTERISTIC"] | _ATTRIBUTES | (_CONTENT if parms is not None else 0)
    head = bytes([token, _TYPES[kind]])
    if parms is None:
        return head + _inline(_VALUE, value) + _END
    return head + _END + b"".join(map(_parm, parms)) + _END


def _parm(parm: Parm) -> bytes:
    """One PARM. What a person typed is always text, even where it looks like one of the tokens."""
    name, value = parm
    element = bytes([_ELEMENTS["PARM"] | _ATTRIBUTES, _NAMES[name]])
    return element + _tokens("VALUE", value, plain=name in _TYPED) + _END


_TYPED: Final = frozenset({"NAME", "URL", "PROXY", "CSD_DIALSTRING", "PPP_AUTHNAME"}) | {
    "PPP_AUTHSECRET"
}


def _tokens(attribute: str, value: str, *, plain: bool = False) -> bytes:
    word = value.upper()
    if attribute == "TYPE":
        if word not in _TYPES:
            raise NotSettings(f"TYPE {value}")
        return bytes([_TYPES[word]])
    if attribute == "NAME":
        return bytes([_NAMES[word]]) if word in _NAMES else _inline(_NAME, value)
    if attribute == "VALUE":
        if word in _VALUES and not plain:
            return bytes([_VALUES[word]])
        return _inline(_VALUE, value)
    raise NotSettings(f"attribute {attribute}")


def _inline(attribute: bytes, text: str) -> bytes:
    return attribute + _STRING + text.replace("\0", "").encode("utf-8", "replace") + b"\0"


class _Compiler:
    """Turns the events of one document into tokens. An element's token says if it has content."""

    def __init__(self) -> None:
        self._open: list[list[bytes]] = [[]]
        self._heads: list[tuple[int, bytes]] = []

    def start(self, name: str, attributes: list[str]) -> None:
        token = _ELEMENTS.get(name.upper())
        if token is None or len(self._open) > _DEEPEST:
            raise NotSettings(f"element {name}")
        given = b"".join(
            _tokens(attribute.upper(), value)
            for attribute, value in zip(attributes[::2], attributes[1::2], strict=True)
        )
        self._heads.append((token, given))
        self._open.append([])

    def end(self, _name: str) -> None:
        token, given = self._heads.pop()
        inner = self._open.pop()
        if given:
            token, given = token | _ATTRIBUTES, given + _END
        if inner:
            token, inner = token | _CONTENT, [*inner, _END]
        self._open[-1].append(bytes([token]) + given + b"".join(inner))

    def refuse(self, *_: object) -> None:
        raise NotSettings("entities are not taken")

    def document(self) -> bytes:
        return _WBXML + b"".join(self._open[0])


def compile_document(xml: bytes) -> bytes:
    """The document that an XML text of the specification is. Raises NotSettings."""
    compiler = _Compiler()
    parser = expat.ParserCreate()
    parser.ordered_attributes = True
    parser.StartElementHandler = compiler.start
    parser.EndElementHandler = compiler.end
    parser.EntityDeclHandler = compiler.refuse
    try:
        parser.Parse(xml, True)
    except (expat.ExpatError, LookupError) as error:
        raise NotSettings(str(error)) from None
    return compiler.document()
