"""Kannel's own format: get-url, post-url and post-xml for MO, a GET of the dlr-url for reports."""

from __future__ import annotations

import re
from base64 import b64encode
from contextlib import suppress
from typing import Final
from xml.sax.saxutils import escape

from gatewayd import __version__
from gatewayd.config import ChannelConfig
from gatewayd.model import Coding, HttpAnswer, Mo, Outcome, Report, shown_id
from gatewayd.platforms import escapes
from gatewayd.platforms.contract import HttpCall
from gatewayd.platforms.escapes import Values, format_time, url_encode
from gatewayd.sms import charsets
from gatewayd.sms.dcs import to_dcs

Headers = list[tuple[str, str]]

USER_AGENT: Final = ("User-Agent", f"gatewayd/{__version__}")
# The answers that count as success, as recorded: 201, 204 and the like do not.
_TAKEN: Final = frozenset({200, 202})
_NOT_IN_URL: Final = re.compile(r"[^!-~]")
_NOT_IN_HEADER: Final = re.compile(r"[\x00-\x1f\x7f]")


def recoded(mo: Mo, channel: ChannelConfig) -> tuple[bytes, int, str]:
    """The text as this channel is told it: octets, coding, and charset for %C.

    UCS-2 becomes UTF-8 with mo_recode; alt_charset changes texts and leaves %C alone, as recorded.
    """
    payload, coding, charset = mo.payload, mo.coding, mo.charset
    if coding == Coding.UCS2 and channel.mo_recode:
        text = payload.decode("utf-16-be", "replace")
        payload, coding, charset = text.encode("utf-8", "replace"), int(Coding.GSM), "UTF-8"
    if channel.alt_charset and coding <= Coding.GSM:
        # A charset nobody knows changes nothing, as with iconv.
        with suppress(charsets.UnknownCharset):
            payload = charsets.recode(payload, "UTF-8", channel.alt_charset)
    return payload, coding, charset


def mo_values(mo: Mo, channel: ChannelConfig, uuid: str) -> Values:
    """What the escapes stand for in this channel's URL or text."""
    payload, coding, charset = recoded(mo, channel)
    return Values(
        text=payload,
        sender=mo.source,
        receiver=mo.destination,
        smsc=mo.smsc,
        uuid=uuid,
        time=mo.time,
        service=channel.service or channel.name,
        foreign_id=mo.foreign_id,
        coding=coding,
        charset=charset,
        mclass=mo.mclass,
        mwi=mo.mwi,
        dcs=to_dcs(coding, mo.mclass, mo.mwi, mo.compress, mo.alt_dcs, empty=not payload),
        udh=mo.udh,
        binfo=mo.binfo,
        account=mo.account,
        meta=mo.meta,
    )


def report_values(report: Report, uuid: str) -> Values:
    """What the escapes stand for in a dlr-url."""
    return Values(
        text=report.text.encode("utf-8", "surrogateescape"),
        # Seen from the phone, as in an MO: %p is who got the message, %P who sent it.
        sender=report.destination,
        receiver=report.source,
        smsc=report.smsc,
        uuid=uuid,
        time=report.time,
        service=report.user,
        dlr=report.status,
        foreign_id=shown_id(report.smsc_id),
        coding=report.coding,
        charset=report.charset or "UTF-8",
        mclass=report.mclass,
        mwi=report.mwi,
        binfo=report.binfo,
        account=report.account,
        meta=report.meta,
        dlr_url=report.url,
    )


def locate(url: str) -> tuple[str, str]:
    """The URL without credentials, and the Authorization that they make ("" when it has none).

    Kannel uses user and password undecoded. What no request line may hold is escaped.
    """
    if not (url.isascii() and url.isprintable()) or " " in url:
        url = _NOT_IN_URL.sub(
            lambda found: "".join(f"%{octet:02X}" for octet in found[0].encode("utf-8", "replace")),
            url,
        )
    if "@" in url:
        scheme, mark, rest = url.partition("://")
        authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
        credentials, at, _host = authority.rpartition("@")
        if mark and at:
            token = b64encode(credentials.encode()).decode()
            return f"{scheme}://{rest[len(credentials) + 1 :]}", f"Basic {token}"
    return url, ""


def header_value(text: str) -> str:
    """`text` without what would end a header; phones and SMSCs have their say in it."""
    return _NOT_IN_HEADER.sub(" ", text)


def without_keyword(payload: bytes) -> bytes:
    """The text behind its first word and the blanks that follow that."""
    words = payload.split(None, 1)
    return words[1] if len(words) > 1 else b""


def _x_headers(mo: Mo, channel: ChannelConfig, coding: int) -> Headers:
    """Kannel's X-Kannel headers, in the recorded order, each only when it is set."""
    stamp = format_time(mo.time)
    headers = [("X-Kannel-From", header_value(mo.source))] if channel.send_sender else []
    headers += [
        ("X-Kannel-To", header_value(mo.destination)),
        ("X-Kannel-Time", stamp),
        ("Date", stamp),
    ]
    if mo.udh:
        headers.append(("X-Kannel-UDH", url_encode(mo.udh)))
    if mo.smsc:
        headers.append(("X-Kannel-SMSC", header_value(mo.smsc)))
    headers += [
        (name, str(number))
        for name, number in (
            ("X-Kannel-MClass", mo.mclass),
            ("X-Kannel-PID", mo.pid),
            ("X-Kannel-RPI", mo.rpi),
            ("X-Kannel-Alt-DCS", mo.alt_dcs),
            ("X-Kannel-MWI", mo.mwi),
            ("X-Kannel-Coding", coding),
            ("X-Kannel-Compress", mo.compress),
        )
        if number >= 0
    ]
    headers.append(("X-Kannel-Service", header_value(channel.service or channel.name)))
    if mo.binfo:
        headers.append(("X-Kannel-BInfo", header_value(mo.binfo)))
    if mo.meta:
        headers.append(("X-Kannel-Meta-Data", header_value(mo.meta)))
    return headers


def _content_type(coding: int, channel: ChannelConfig) -> str:
    if coding == Coding.OCTETS:
        return "application/octet-stream"
    if coding == Coding.UCS2:
        return 'text/plain; charset="UTF-16BE"'
    return f'text/plain; charset="{channel.alt_charset or "UTF-8"}"'


def _element(name: str, inner: str) -> str:
    return f"  \t\t<{name}>{inner}</{name}>\n"


def xml_document(mo: Mo, channel: ChannelConfig, payload: bytes, coding: int) -> bytes:
    """The document of post-xml, laid out as Kannel does it."""
    dcs = "".join(
        _element(name, str(number))
        for name, number in (
            ("coding", coding),
            ("mclass", mo.mclass),
            ("alt-dcs", mo.alt_dcs),
            ("mwi", mo.mwi),
            ("compress", mo.compress),
        )
        if number >= 0
    )
    date, _, clock = format_time(mo.time).partition(" ")
    year, month, day = date.split("-")
    hour, minute, second = clock.split(":")
    at = (
        f"<year>{year}</year><month>{month}</month><day>{day}</day><hour>{hour}</hour>"
        f"<minute>{minute}</minute><second>{second}</second><timezone>0</timezone>"
    )
    parts = [
        _element("oa", _element("number", escape(mo.source))) if channel.send_sender else "",
        _element("da", _element("number", escape(mo.destination))),
        _element("udh", url_encode(mo.udh)) if mo.udh else "",
        _element("ud", url_encode(payload)) if payload else "",
        _element("pid", str(mo.pid)) if mo.pid >= 0 else "",
        _element("rpi", str(mo.rpi)) if mo.rpi >= 0 else "",
        _element("dcs", dcs) if dcs else "",
        _element("at", at),
        _element("from", _element("account", escape(mo.smsc))) if mo.smsc else "",
        _element("to", _element("service", escape(channel.service or channel.name))),
        _element("meta-data", escape(mo.meta)) if mo.meta else "",
    ]
    text = (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<message cid="1">\n\t<submit>\n'
        + "".join(parts)
        + "\t</submit>\n</message>\n"
    )
    return text.encode("iso-8859-1", "xmlcharrefreplace")


class Kannel:
    """The format of Kannel's sms-service."""

    def mo(self, mo: Mo, channel: ChannelConfig, uuid: str) -> HttpCall:
        """A GET of get_url, or a POST of post_url or post_xml."""
        values = mo_values(mo, channel, uuid)
        template = channel.get_url or channel.post_url or channel.post_xml
        url, authorization = locate(escapes.compile(template).expand(values))
        headers: Headers = [USER_AGENT]
        if channel.get_url:
            if authorization:
                headers.append(("Authorization", authorization))
            if channel.send_sender:
                headers.append(("X-Kannel-From", header_value(mo.source)))
            return HttpCall("GET", url, tuple(headers), timeout=channel.timeout)
        body, coding = values.text, values.coding
        if channel.strip_keyword:
            body = without_keyword(body)
        if channel.post_url:
            headers.append(("Content-Type", _content_type(coding, channel)))
            headers += _x_headers(mo, channel, coding)
        else:
            ucs2 = coding == Coding.UCS2
            headers.append(
                ("Content-Type", 'text/xml; charset="ISO-8859-1"' if ucs2 else "text/xml")
            )
            headers.append(("Date", format_time(mo.time)))
            body = xml_document(mo, channel, body, coding)
        if authorization:
            headers.insert(1, ("Authorization", authorization))
        return HttpCall("POST", url, tuple(headers), body, channel.timeout)

    def report(self, report: Report, channel: ChannelConfig | None, uuid: str) -> HttpCall:
        """A GET of the dlr-url that the caller gave."""
        # Each message has a URL of its own, so there is no use in remembering it.
        url, authorization = locate(escapes.expand(report.url, report_values(report, uuid)))
        headers = (USER_AGENT, ("Authorization", authorization)) if authorization else (USER_AGENT,)
        if channel is None:
            return HttpCall("GET", url, headers)
        return HttpCall("GET", url, headers, timeout=channel.timeout)

    def mo_verdict(self, answer: HttpAnswer) -> Outcome:
        """200 and 202 are success; Kannel tries again after everything else, 404 too."""
        return Outcome.DONE if answer.status in _TAKEN else Outcome.RETRY

    def report_verdict(self, answer: HttpAnswer) -> Outcome:
        """As for an MO."""
        return Outcome.DONE if answer.status in _TAKEN else Outcome.RETRY


FORMAT: Final = Kannel()
