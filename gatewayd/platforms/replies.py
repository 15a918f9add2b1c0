"""What the phone gets back: the answer to an MO's HTTP call, or a fixed text, as an Order."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from gatewayd.config import ChannelConfig, HttpConfig
from gatewayd.model import Coding, HttpAnswer, Mo, Order
from gatewayd.platforms import escapes
from gatewayd.platforms.kannel import mo_values
from gatewayd.sms import charsets

_ANSWERED: Final = frozenset({200, 202})
_PLAIN: Final = "text/plain"
_OCTETS: Final = "application/octet-stream"
_MARKUP: Final = frozenset({"text/html", "text/vnd.wap.wml"})
_TAG: Final = re.compile(r"<!--.*?(?:-->|\Z)|<[^>]*(?:>|\Z)", re.DOTALL)
_BLANKS: Final = " \t\r\n\f\v"
# What Kannel assumes of a body whose charset nobody names.
_DEFAULT_CHARSET: Final = "ISO-8859-1"
_LONGEST_ACCOUNT: Final = 64
_LONGEST_UDH: Final = 140
_LONGEST_FILE: Final = 65536
_MINUTE: Final = 60.0

# The X-Kannel header, the order's field, the lowest and highest number that is heeded.
_NUMBERS: Final = (
    ("x-kannel-mclass", "mclass", 0, 3),
    ("x-kannel-mwi", "mwi", 0, 7),
    ("x-kannel-pid", "pid", 0, 255),
    ("x-kannel-rpi", "rpi", 0, 2),
    ("x-kannel-alt-dcs", "alt_dcs", 0, 1),
    ("x-kannel-compress", "compress", 0, 1),
    ("x-kannel-priority", "priority", 0, 3),
    ("x-kannel-dlr-mask", "dlr_mask", 0, 66),
)
_TEXTS: Final = (
    ("x-kannel-binfo", "binfo"),
    ("x-kannel-meta-data", "meta"),
    ("x-kannel-smsc", "smsc"),
)


def reply_to(
    mo: Mo, channel: ChannelConfig, answer: HttpAnswer | None, http: HttpConfig, now: float
) -> Order | None:
    """What goes back to the phone after the platform's last word; None: nothing.

    `answer` None stands for an MO that was given up without any answer. `now` (seconds since the
    epoch) is what X-Kannel-Validity and -Deferred count from. Once retries are over a failure
    counts as an answer too: the phone gets the text for it.
    """
    if not _answers(channel):
        return None
    if answer is None or answer.status not in _ANSWERED:
        return _text_order(mo, channel, http, http.reply_could_not_fetch)
    kind, charset = _content_type(answer)
    if kind == _OCTETS and channel.assume_plain_text:
        kind = _PLAIN
    charset = charset or channel.alt_charset or _DEFAULT_CHARSET
    if kind in _MARKUP:
        text = _without_markup(_decode(answer.body, charset), channel)
    elif kind in (_PLAIN, _OCTETS):
        text = _decode(answer.body, charset)
    else:
        return _text_order(mo, channel, http, http.reply_could_not_represent)
    order = _order(mo, channel, http)
    coding = int(Coding.GSM)
    if channel.accept_headers:
        headers = {name.lower(): value for name, value in reversed(answer.headers)}
        coding = _obey(order, headers, now, kind == _OCTETS)
        if channel.forced_smsc is not None:
            order.smsc = channel.forced_smsc
    if coding == Coding.OCTETS:
        order.data = answer.body
    elif coding == Coding.UCS2:
        order.data = text.encode("utf-16-be", "replace")
    else:
        order.text = text
    order.coding = coding
    return _filled(order, channel, http)


def local_reply(
    mo: Mo,
    channel: ChannelConfig,
    http: HttpConfig,
    uuid: str,
    read: Callable[[str], bytes] | None = None,
) -> Order | None:
    """The reply of a channel that calls nobody: `text_reply`, `file`, an `exec` that failed.

    `read` gives the octets of a file (the first 64 kB from disk when it is None); an `OSError` of
    it is answered as an HTTP failure would be.
    """
    if not _answers(channel):
        return None
    if channel.text_reply:
        text = escapes.compile(channel.text_reply).expand(mo_values(mo, channel, uuid))
    elif channel.file:
        path = escapes.compile(channel.file).expand(mo_values(mo, channel, uuid))
        try:
            octets = (read or _read)(path)
        except OSError:
            text = http.reply_could_not_fetch
        else:
            text = _decode(octets, channel.alt_charset or "UTF-8")
    else:
        text = http.reply_could_not_fetch
    return _filled(_with_text(_order(mo, channel, http), text), channel, http)


def command_of(mo: Mo, channel: ChannelConfig, uuid: str) -> str:
    """The command line of a channel with `exec`, for a shell.

    Values stand in it percent-encoded, as in a URL: letters, digits and ``-_.%+`` only, so that
    nothing in a stranger's message means anything to the shell.
    """
    return escapes.compile(channel.exec).command(mo_values(mo, channel, uuid))


def request_failed(mo: Mo, http: HttpConfig) -> Order:
    """What Kannel answers to an MO that no service takes."""
    return Order(
        user="",
        receivers=[mo.source],
        source=http.global_sender or mo.destination,
        text=http.reply_request_failed,
        smsc=mo.smsc or None,
        reply=True,
    )


def _answers(channel: ChannelConfig) -> bool:
    return channel.replies and channel.text.max_messages != 0


def _order(mo: Mo, channel: ChannelConfig, http: HttpConfig) -> Order:
    """The empty reply: the MO turned round; it goes back the way the MO came."""
    if channel.forced_smsc is not None:
        smsc: str | None = channel.forced_smsc
    else:
        smsc = mo.smsc or channel.default_smsc
    return Order(
        user=channel.service or channel.name,
        receivers=[mo.source],
        source=channel.faked_sender or http.global_sender or mo.destination,
        smsc=smsc,
        dlr_mask=channel.dlr_mask if channel.dlr_url else 0,
        dlr_url=channel.dlr_url,
        channel=channel.name,
        reply=True,
    )


def _with_text(order: Order, text: str) -> Order:
    order.text = text
    return order


def _text_order(mo: Mo, channel: ChannelConfig, http: HttpConfig, text: str) -> Order:
    return _with_text(_order(mo, channel, http), text)


def _filled(order: Order, channel: ChannelConfig, http: HttpConfig) -> Order | None:
    """The order, or what stands for an empty one."""
    if order.text or order.data or order.udh:
        return order
    if channel.omit_empty:
        return None
    order.coding = int(Coding.GSM)
    return _with_text(order, http.reply_empty)


def _content_type(answer: HttpAnswer) -> tuple[str, str]:
    """Media type in lower case and charset; octets when the answer names no type (RFC 9110)."""
    media, *parameters = answer.header("Content-Type").split(";")
    charset = ""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")
    return media.strip().lower() or _OCTETS, charset


def _decode(data: bytes, charset: str) -> str:
    try:
        return charsets.decode(data, charset)
    except charsets.UnknownCharset:
        return data.decode(_DEFAULT_CHARSET)


def _without_markup(text: str, channel: ChannelConfig) -> str:
    """The words of an HTML or WML page, between the channel's prefix and suffix if it has both."""
    if channel.prefix and channel.suffix:
        _, found, behind = text.partition(channel.prefix)
        inner, ended, _ = behind.partition(channel.suffix)
        if found and ended:
            text = inner
    return unescape(_TAG.sub("", text)).strip(_BLANKS)


def _number(text: str, low: int, high: int) -> int | None:
    """The number, or None when it is none or out of range; never a long conversion."""
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    value = int(text)
    return value if low <= value <= high else None


def _obey(order: Order, headers: dict[str, str], now: float, octets: bool) -> int:
    """Fill in what the X-Kannel headers ask for and say which coding the body has.

    What makes no sense is ignored, header by header.
    """
    if source := headers.get("x-kannel-from", "").strip():
        order.source = source
    if receiver := headers.get("x-kannel-to", "").strip():
        order.receivers = [receiver]
    for header, field, low, high in _NUMBERS:
        if header in headers and (value := _number(headers[header], low, high)) is not None:
            setattr(order, field, value)
    for header, field in _TEXTS:
        if text := headers.get(header, "").strip():
            setattr(order, field, text)
    account = headers.get("x-kannel-account", "")
    if len(account) <= _LONGEST_ACCOUNT and not set(account) & set("[]\r\n"):
        order.account = account
    url = headers.get("x-kannel-dlr-url", "").strip()
    if url.lower().startswith(("http://", "https://")):
        order.dlr_url = url
    if minutes := _number(headers.get("x-kannel-validity", ""), 1, 2**31):
        order.validity = now + minutes * _MINUTE
    if minutes := _number(headers.get("x-kannel-deferred", ""), 1, 2**31):
        order.deferred = now + minutes * _MINUTE
    order.udh = _udh(headers.get("x-kannel-udh", ""))
    coding = _number(headers.get("x-kannel-coding", ""), 0, 2)
    if coding is None:
        return int(Coding.OCTETS if octets else Coding.GSM)
    return coding


def _udh(text: str) -> bytes:
    """The header's octets, from hex or from percent-encoding; b"" when they are no UDH."""
    try:
        udh = unquote_to_bytes(text) if "%" in text else bytes.fromhex(text)
    except ValueError:
        return b""
    return udh if udh and len(udh) <= _LONGEST_UDH and udh[0] == len(udh) - 1 else b""


def _read(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(_LONGEST_FILE)
