"""Values that only the YAML configuration has, or reads more strictly than a kannel.conf."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from gatewayd.config.model import Secret
from gatewayd.config.passwords import is_hash, parse
from gatewayd.config.secrets import read_file
from gatewayd.config.values import (
    OTHER_NAMES,
    did_you_mean,
    endpoint,
    integer,
    name,
    shown,
    string,
    url,
)
from gatewayd.config.yaml_keys import Read, Value, parsed, secret


def plug_ins(folder: str, constant: str) -> tuple[str, ...]:
    """The modules of gatewayd/`folder` that define `constant`: a new kind is one new file.

    They are looked at and not imported: configuration is a layer below them.
    """
    defines = re.compile(rf"^{constant}\b.*=", re.MULTILINE)
    files = sorted((Path(__file__).parents[1] / folder).glob("*.py"))
    return tuple(file.stem for file in files if defines.search(file.read_text("utf-8")))


PROTOCOLS = plug_ins("smsc", "PROTOCOL")
FORMATS = plug_ins("platforms", "FORMAT")

MAX_BINDS = 100

_SMS_CHARSET = re.compile(r"(?i:gsm[-_]?(?:7|03\.?38)?|ucs-?[24](?:be|le)?)")
_INTERFACES = {"3.3": 0x33, "3.4": 0x34, "5.0": 0x50, "0x33": 0x33, "0x34": 0x34, "0x50": 0x50}


def interface_version(written: str) -> int:
    """3.3, 3.4 or 5.0; also as the octet of the PDU."""
    if written.lower() not in _INTERFACES:
        raise ValueError(f"{shown(written)} is not a version of SMPP (3.3, 3.4 or 5.0)")
    return _INTERFACES[written.lower()]


def charset(written: str) -> str:
    """A charset known to Python, or by iconv's name for what SMS uses (UCS-2, GSM)."""
    if _SMS_CHARSET.fullmatch(written):
        return written
    try:
        "".encode(string(written))
    except LookupError:
        raise ValueError(f"{shown(written)} is not a charset known here (UTF-8, latin-1)") from None
    return written


def url_path(written: str) -> str:
    """A path of ours: it is compared as it is, so it has no escapes and no query."""
    if not re.fullmatch(r"/[!-~]*", written) or set(written) & set("?#%"):
        raise ValueError(f"{shown(written)} is not a path; one begins with / (/cgi-bin/sendsms)")
    return written


def ascii_up_to(length: int) -> Read:
    """A C-octet string: ASCII; one longer than SMPP 3.4 allows is only warned of."""

    def check(written: str) -> str:
        if not string(written).isascii():
            raise ValueError("holds letters beyond ASCII; SMPP carries ASCII here")
        return written

    def read(value: Value) -> object:
        found = parsed(value, check, strict=True)
        if isinstance(found, str) and len(found) > length:
            value.warn(f"is longer than the {length} characters of SMPP 3.4")
        return found

    return read


def user_password(value: Value) -> object:
    """A caller's password, or its hash."""
    found = secret(value)
    if isinstance(found, Secret) and is_hash(found.reveal()):
        try:
            parse(found.reveal())
        except ValueError as error:
            return value.complain(str(error))
    return found


def absolute(written: str) -> str:
    """A path that means the same wherever the daemon is started."""
    if not string(written).startswith("/"):
        raise ValueError(f"{shown(written)} is not an absolute path (/etc/gatewayd/...)")
    return written


def readable(written: str) -> str:
    """An absolute path of a file that can be read now."""
    try:
        with open(absolute(written), "rb"):
            return written
    except OSError as error:
        raise ValueError(f"cannot read {shown(written)}: {error.strerror}") from None


def private(written: str) -> str:
    """An absolute path of a file with a private key: for its owner alone."""
    read_file(absolute(written), limit=1 << 16)
    return written


def path_or_url(written: str) -> str:
    """Where a list of numbers is: an absolute path or a URL."""
    return url(written) if "://" in written else absolute(written)


def proxy(written: str) -> str:
    """host:port or URL of an HTTP proxy."""
    if "://" in written:
        return url(written)
    endpoint(written)
    return written


def numbers_of_prefix(written: str) -> str:
    """Kannel's unified-prefix: groups by ";", in each the wanted prefix and those it replaces."""
    for group in string(written).split(";"):
        if not re.fullmatch(r"[^,\s]*(?:,[^,\s]+)+", group):
            raise ValueError(f'{shown(group)} is not "wanted,replaced,..." ("+358,00358,0")')
    return written


def option(written: str) -> str:
    """What only one protocol has, as name=value."""
    if not re.fullmatch(r"[a-z0-9-]+=.*", string(written)):
        raise ValueError(f"{shown(written)} is not name=value")
    return written


def keyword(written: str) -> str:
    """The first word of an MO."""
    if written == "default":
        raise ValueError("the channel for all other MO is made by default: true, not by a keyword")
    return name(written)


def protocol(value: Value) -> object:
    """The name of a protocol, or another name of one."""
    known = plug_in("protocol", PROTOCOLS)
    found = parsed(value, lambda name: name if name in OTHER_NAMES else known(name), strict=False)
    if isinstance(found, str) and found in OTHER_NAMES:
        value.warn(f"{found} {OTHER_NAMES[found][1]}")
        return OTHER_NAMES[found][0]
    return found


def bind_count(written: str) -> int:
    try:
        return integer(1, MAX_BINDS)(written)
    except ValueError:
        raise ValueError(
            f"{shown(written)} is neither a number of binds (1-{MAX_BINDS}), tx+rx, nor a list"
        ) from None


def plug_in(what: str, known: tuple[str, ...]) -> Callable[[str], str]:
    """A parser of the names that `plug_ins` found."""

    def parse(written: str) -> str:
        if written not in known:
            hint = did_you_mean(written, known) or f" ({', '.join(known)})"
            raise ValueError(f"{shown(written)} is not a {what} known here{hint}")
        return written

    return parse
