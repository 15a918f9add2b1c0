"""Kannel's three forms of a sendsms POST, turned into the fields that a GET would have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.parsers import expat

from gatewayd.web.arguments import unescape
from gatewayd.web.payload import content_type
from gatewayd.web.request import Request

_HEADER_FIELDS: Final = {
    f"x-kannel-{name}": name
    for name in (
        "username",
        "password",
        "from",
        "to",
        "smsc",
        "mclass",
        "pid",
        "mwi",
        "coding",
        "compress",
        "validity",
        "deferred",
        "dlr-mask",
        "dlr-url",
        "account",
        "rpi",
        "alt-dcs",
        "binfo",
        "priority",
        "meta-data",
    )
}

_DEEPEST: Final = 32  # elements within each other

# where an element of <message><submit> stands -> the GET field it means
_XML_FIELDS: Final = {
    "oa/number": "from",
    "pid": "pid",
    "rpi": "rpi",
    "dcs/mclass": "mclass",
    "dcs/mwi": "mwi",
    "dcs/coding": "coding",
    "dcs/compress": "compress",
    "dcs/alt-dcs": "alt-dcs",
    "statusrequest/dlr-mask": "dlr-mask",
    "statusrequest/dlr-url": "dlr-url",
    "vp/delay": "validity",
    "timing/delay": "deferred",
    "from/username": "username",
    "from/password": "password",
    "from/account": "account",
    "to": "smsc",
    "at": "binfo",
}


@dataclass(frozen=True, slots=True)
class Posted:
    """A POST as GET fields. `refusal` is set for a type that is only refused after the checks."""

    fields: dict[str, bytes]
    coding: int  # when the fields name none
    unsupported: bool = False


def read_post(request: Request) -> Posted | None:
    """What the POST asks for; None when its Content-Type is none that sendsms knows."""
    kind, charset = content_type(request.headers.get("content-type", ""))
    if kind == "text/xml":
        return Posted(_read_xml(request.body), 0)
    if kind not in ("", "text/plain", "text/html", "application/octet-stream"):
        return None
    fields = _read_headers(request.headers)
    fields["text"] = request.body
    octets = kind in ("", "application/octet-stream")
    if not octets:
        fields["charset"] = charset.encode("latin-1") or b"ISO-8859-1"  # RFC 2616, 3.7.1
    return Posted(fields, 1 if octets else 0, unsupported=kind == "text/html")


def _read_headers(headers: dict[str, str]) -> dict[str, bytes]:
    fields = {}
    for header, name in _HEADER_FIELDS.items():
        value = headers.get(header)
        if value is not None:
            fields[name] = value.strip().encode("latin-1")
    if udh := headers.get("x-kannel-udh"):
        fields["udh"] = octets_of(udh.strip().encode("latin-1"))
    return fields


def octets_of(value: bytes) -> bytes:
    """Octets written as hex or percent-encoded."""
    try:
        return bytes.fromhex(value.decode("ascii"))
    except ValueError:
        return unescape(value)


class _Submit:
    """Collects the texts of one XML document by where they stand."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        self._path: list[str] = []
        self._text: list[str] = []

    def start(self, name: str, _attributes: object) -> None:
        if len(self._path) == _DEEPEST:  # where each stands is its whole path
            raise ValueError
        self._path.append(name)
        self._text.clear()

    def text(self, text: str) -> None:
        self._text.append(text)

    def end(self, _name: str) -> None:
        if self._path[:2] == ["message", "submit"]:
            self.texts.append(("/".join(self._path[2:]), "".join(self._text)))
        self._text.clear()
        self._path.pop()

    def refuse(self, *_: object) -> None:
        """A DOCTYPE may define entities that grow without end; nobody needs one here."""
        raise ValueError


def _read_xml(body: bytes) -> dict[str, bytes]:
    """The fields of a document; none at all when it is not XML, so that it lacks credentials."""
    submit = _Submit()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = submit.start
    parser.EndElementHandler = submit.end
    parser.CharacterDataHandler = submit.text
    parser.StartDoctypeDeclHandler = submit.refuse
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError):
        return {}
    fields: dict[str, bytes] = {"charset": b"UTF-8", "text": b""}
    receivers = []
    for place, text in submit.texts:
        value = text.strip().encode()
        if place == "da/number":
            receivers.append(value)
        elif place == "ud":
            fields["text"] = unescape(value)
        elif place == "udh":
            fields["udh"] = octets_of(value)
        elif place in _XML_FIELDS:
            fields.setdefault(_XML_FIELDS[place], value)
    if receivers:
        fields["to"] = b" ".join(receivers)
    return fields
