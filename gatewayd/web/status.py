"""What the status pages show, and how Kannel would write it: text, HTML, XML and WML."""

from __future__ import annotations

import json
import platform
import socket
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from html import escape

import twisted

from gatewayd import __version__

Loads = tuple[float, float, float]
NO_LOADS: Loads = (0.0, 0.0, 0.0)


class LoadMeter:
    """Events per second over the last 60 s, the last 300 s and the whole time, Kannel's way.

    While the first interval runs, its rate is what came so far by the time so far; later a rate
    is one of whole intervals, smoothed: two thirds of the newest, one third of the one before.
    Times are seconds of any clock that never goes back.
    """

    __slots__ = ("_periods", "_since", "total")

    def __init__(self, now: float) -> None:
        self.total = 0
        self._since = now
        self._periods = [_Period(60.0, now), _Period(300.0, now)]

    def add(self, now: float, count: int = 1) -> None:
        """`count` events happened at `now`."""
        self.total += count
        for period in self._periods:
            period.turn(now)
            period.count += count

    def loads(self, now: float) -> Loads:
        """The three rates at `now`."""
        short, long = (period.rate(now) for period in self._periods)
        return short, long, self.total / max(now - self._since, 1.0)


class _Period:
    __slots__ = ("_begin", "_length", "_rate", "_turned", "count")

    def __init__(self, length: float, now: float) -> None:
        self._length = length
        self._begin = now
        self._rate = 0.0
        self._turned = False
        self.count = 0

    def turn(self, now: float) -> None:
        missed = int((now - self._begin) / self._length)
        if missed < 1:
            return
        rate = self.count / self._length
        self._rate = (2 * rate + self._rate) / 3 if self._rate else rate
        if missed > 1:  # nothing at all in the last whole interval
            self._rate = 0.0
        self._begin += missed * self._length
        self._turned = True
        self.count = 0

    def rate(self, now: float) -> float:
        self.turn(now)
        return self._rate if self._turned else self.count / max(now - self._begin, 1.0)


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many messages went one way, and their rates."""

    total: int = 0
    loads: Loads = NO_LOADS


@dataclass(frozen=True, slots=True)
class SmscEntry:
    """One line of the list of SMSCs.

    `status` is Kannel's word: ``online 15s`` | connecting | re-connecting | disconnected | dead.
    Monitors take any digit in it for "online".
    """

    name: str  # SMPP:host:port/port:system_id:system_type
    id: str
    admin_id: str
    status: str
    received_sms: Traffic = Traffic()
    received_dlr: Traffic = Traffic()
    sent_sms: Traffic = Traffic()
    sent_dlr: Traffic = Traffic()
    failed: int = 0
    queued: int = 0


@dataclass(frozen=True, slots=True)
class BindEntry:
    """One bind for /readyz; `reason` says why it is not ready."""

    name: str
    ready: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PathEntry:
    """The tunnel to one SMSC: its `address` while it is up, the `reason` while it is not."""

    smsc: str
    device: str
    up: bool
    address: str = ""
    reason: str = ""
    since: float = 0.0  # wall time of the last change
    changes: int = 0


@dataclass(frozen=True, slots=True)
class Reload:
    """When the configuration was last read (wall time), and what came of it."""

    result: str = "applied"  # applied | unchanged | refused | partly
    text: str = ""
    time: float = 0.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The gateway at one moment. `uptime` is seconds."""

    state: str = "running"  # running | suspended | isolated | full | going down
    uptime: float = 0.0
    received: Traffic = Traffic()
    received_queued: int = 0
    sent: Traffic = Traffic()
    sent_queued: int = 0
    store_size: int = -1
    dlr_received: Traffic = Traffic()
    dlr_sent: Traffic = Traffic()
    dlr_queued: int = 0
    dlr_storage: str = "internal"
    smscs: tuple[SmscEntry, ...] = ()
    binds: tuple[BindEntry, ...] = ()
    paths: tuple[PathEntry, ...] = ()
    reload: Reload = Reload()
    problem: str = ""  # why nothing can be accepted: the store's trouble


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One line of store-status."""

    id: str  # 36 characters
    kind: str  # MO | MT-PUSH | MT-REPLY | DLR
    time: str  # YYYY-MM-DD HH:MM:SS, UTC
    sender: str
    receiver: str
    smsc: str
    flags: str  # mclass:coding:mwi:compress:dlrmask
    udh: str
    text: str  # URL-encoded
    box: str = ""


_NOT_XML = "\ufffe\uffff"  # no characters at all (XML 1.0, 2.2)


class Page(Enum):
    """The four ways of writing a page."""

    TEXT = "text/plain"
    HTML = "text/html"
    XML = "text/xml"
    WML = "text/vnd.wap.wml"

    @property
    def line_end(self) -> str:
        return {Page.HTML: "<br>\n", Page.WML: "<br/>\n"}.get(self, "\n")

    def quote(self, text: str) -> str:
        """`text` so that it is nothing but text on this page; no control characters."""
        text = "".join(" " if (c < " " and c not in "\n\t") or c in _NOT_XML else c for c in text)
        return text if self is Page.TEXT else escape(text, quote=False)

    def wrap(self, body: str) -> bytes:
        """The whole page around `body`."""
        head, foot = _FRAMES[self]
        return f"{head}{body}{foot}".encode("utf-8", "replace")


_FRAMES = {
    Page.TEXT: ("", ""),
    Page.HTML: (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2//EN">\n'
        "<html>\n<title>Kannel</title>\n<body>\n<p>",
        "</p>\n</body></html>\n",
    ),
    Page.XML: ('<?xml version="1.0"?>\n<gateway>\n', "</gateway>\n"),
    Page.WML: (
        '<?xml version="1.0"?>\n<!DOCTYPE wml PUBLIC "-//WAPFORUM//DTD WML 1.1//EN" '
        '"http://www.wapforum.org/DTD/wml_1.1.xml">\n\n<wml>\n <card>\n  <p>',
        "  </p>\n </card>\n</wml>\n",
    ),
}


def banner() -> str:
    """Who we are, in the lines that monitors read; the first one names the version only."""
    machine = platform.uname()
    host = socket.gethostname()
    try:
        address = socket.gethostbyname(host)
    except OSError:
        address = "127.0.0.1"
    return (
        f"gatewayd bearerbox version `{__version__}'.\n"
        "Compatible with Kannel 1.4.5.\n"
        f"System {machine.system}, release {machine.release}, version {machine.version}, "
        f"machine {machine.machine}.\n"
        f"Hostname {host}, IP {address}.\n"
        f"Using Python {platform.python_version()}, Twisted {twisted.__version__}.\n"
        f"Using SQLite {sqlite3.sqlite_version}.\n"
    )


def _span(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{day}d {hour}h {minute}m {second}s"


def _rates(traffic: Traffic) -> str:
    return "{:.2f},{:.2f},{:.2f}".format(*traffic.loads)


def render_status(snapshot: Snapshot, page: Page, introduction: str) -> str:
    """The status page without its frame; `introduction` is the `banner`."""
    introduction = page.quote(introduction)
    if page is Page.XML:
        return _status_xml(snapshot, introduction)
    if page is Page.WML:
        return _status_wml(snapshot, introduction)
    return _status_text(snapshot, introduction, html=page is Page.HTML)


def _status_text(s: Snapshot, introduction: str, *, html: bool) -> str:
    begin, end, br, para = (" <p>", "</p>", "<br>", "<p>") if html else ("", "", "", "")
    inner = " " if html else ""
    indent = "&nbsp;" * 4 if html else " " * 4
    page = Page.HTML if html else Page.TEXT
    lines = [
        f"{introduction}{'</p>' if html else ''}\n\n",
        f"{begin}Status: {s.state}, uptime {_span(s.uptime)}{end}\n\n",
        f"{begin}WDP: received 0 (0 queued), sent 0 (0 queued){end}\n\n",
        f"{begin}SMS: received {s.received.total} ({s.received_queued} queued), "
        f"sent {s.sent.total} ({s.sent_queued} queued), store size {s.store_size}{br}\n",
        f"{inner}SMS: inbound ({_rates(s.received)}) msg/sec, "
        f"outbound ({_rates(s.sent)}) msg/sec{end}\n\n",
        f"{begin}DLR: received {s.dlr_received.total}, sent {s.dlr_sent.total}{br}\n",
        f"{inner}DLR: inbound ({_rates(s.dlr_received)}) msg/sec, "
        f"outbound ({_rates(s.dlr_sent)}) msg/sec{br}\n",
        f"{inner}DLR: {s.dlr_queued} queued, using {s.dlr_storage} storage{end}\n\n",
        f"{para}Box connections:{br}\n{indent}{_box(s)}{br}\n{end}\n\n",
    ]
    if s.smscs:
        lines.append(f"{para}SMSC connections:{br}\n")
        for smsc in s.smscs:
            name = page.quote(smsc.id or smsc.name)
            bold = f"<b>{name}</b>" if html else name
            lines.append(
                f"{indent}{bold}[{page.quote(smsc.admin_id)}]{indent}{_smsc(smsc, page)}{br}\n"
            )
        lines.append(f"{end}\n\n")
    else:
        lines.append(f"{para}No SMSC connections{end}\n\n")
    return "".join(lines) + para


def _box(s: Snapshot) -> str:
    """The one box that monitors want to see: ourselves."""
    return f"smsbox:gatewayd, IP 127.0.0.1 (0 queued), (on-line {_span(s.uptime)})  "


def _smsc(smsc: SmscEntry, page: Page) -> str:
    return (
        f"{page.quote(smsc.name)} ({page.quote(smsc.status)}, "
        f"rcvd: sms {smsc.received_sms.total} ({_rates(smsc.received_sms)}) / "
        f"dlr {smsc.received_dlr.total} ({_rates(smsc.received_dlr)}), "
        f"sent: sms {smsc.sent_sms.total} ({_rates(smsc.sent_sms)}) / "
        f"dlr {smsc.sent_dlr.total} ({_rates(smsc.sent_dlr)}), "
        f"failed {smsc.failed}, queued {smsc.queued} msgs)"
    )


def _status_wml(s: Snapshot, introduction: str) -> str:
    smscs = "".join(f"{_smsc(smsc, Page.WML)}<br/>\n" for smsc in s.smscs)
    listed = f"SMSC connections:<br/>\n{smscs}" if s.smscs else "No SMSC connections"
    return (
        f"{introduction}</p>\n\n"
        f"   <p>Status: {s.state}, uptime {_span(s.uptime)}</p>\n\n"
        "   <p>WDP: received 0 (0 queued)<br/>\n      WDP: sent 0 (0 queued)</p>\n\n"
        f"   <p>SMS: received {s.received.total} ({s.received_queued} queued)<br/>\n"
        f"      SMS: sent {s.sent.total} ({s.sent_queued} queued)<br/>\n"
        f"      SMS: store size {s.store_size}<br/>\n"
        f"      SMS: inbound ({_rates(s.received)}) msg/sec<br/>\n"
        f"      SMS: outbound ({_rates(s.sent)}) msg/sec</p>\n"
        f"   <p>DLR: received {s.dlr_received.total}<br/>\n"
        f"      DLR: sent {s.dlr_sent.total}<br/>\n"
        f"      DLR: inbound ({_rates(s.dlr_received)}) msg/sec<br/>\n"
        f"      DLR: outbound ({_rates(s.dlr_sent)}) msg/sec<br/>\n"
        f"      DLR: {s.dlr_queued} queued<br/>\n"
        f"      DLR: using {s.dlr_storage} storage</p>\n\n"
        f"<p>Box connections:<br/>\n{_box(s)}<br/>\n</p>\n\n"
        f"<p>{listed}</p>\n\n<p>"
    )


def _status_xml(s: Snapshot, introduction: str) -> str:
    # monitors fail on a list without a single SMSC
    smscs = s.smscs or (SmscEntry("none", "none", "none", "dead"),)
    return (
        f"<version>{introduction}</version>\n"
        f"<status>{s.state}, uptime {_span(s.uptime)}</status>\n"
        "\t<wdp>\n"
        "\t\t<received><total>0</total><queued>0</queued></received>\n"
        "\t\t<sent><total>0</total><queued>0</queued></sent>\n"
        "\t</wdp>\n"
        "\t<sms>\n"
        f"\t\t<received><total>{s.received.total}</total>"
        f"<queued>{s.received_queued}</queued></received>\n"
        f"\t\t<sent><total>{s.sent.total}</total><queued>{s.sent_queued}</queued></sent>\n"
        f"\t\t<storesize>{s.store_size}</storesize>\n"
        f"\t\t<inbound>{_rates(s.received)}</inbound>\n"
        f"\t\t<outbound>{_rates(s.sent)}</outbound>\n"
        "\t\t</sms>\n"
        "\t<dlr>\n"
        f"\t\t<received><total>{s.dlr_received.total}</total></received>\n"
        f"\t\t<sent><total>{s.dlr_sent.total}</total></sent>\n"
        f"\t\t<inbound>{_rates(s.dlr_received)}</inbound>\n"
        f"\t\t<outbound>{_rates(s.dlr_sent)}</outbound>\n"
        f"\t\t<queued>{s.dlr_queued}</queued>\n"
        f"\t\t<storage>{s.dlr_storage}</storage>\n"
        "\t</dlr>\n"
        "<boxes>\n\t<box>\n\t\t<type>smsbox</type>\n\t\t<id>gatewayd</id>\n"
        "\t\t<IP>127.0.0.1</IP>\n\t\t<queue>0</queue>\n"
        f"\t\t<status>on-line {_span(s.uptime)}</status>\n\t\t<ssl>no</ssl>\n\t</box></boxes>\n"
        f"<smscs><count>{len(smscs)}</count>\n\t" + "".join(map(_smsc_xml, smscs)) + "</smscs>\n"
    )


def _smsc_xml(smsc: SmscEntry) -> str:
    quote = Page.XML.quote

    def both(name: str, received: Traffic, sent: Traffic) -> str:
        return (
            f"\t\t<{name}>\n\t\t\t<received>{received.total}</received>\n"
            f"\t\t\t<sent>{sent.total}</sent>\n"
            f"\t\t\t<inbound>{_rates(received)}</inbound>\n"
            f"\t\t\t<outbound>{_rates(sent)}</outbound>\n\t\t</{name}>\n"
        )

    return (
        f"<smsc>\n\t\t<name>{quote(smsc.name)}</name>\n"
        f"\t\t<admin-id>{quote(smsc.admin_id)}</admin-id>\n"
        f"\t\t<id>{quote(smsc.id or smsc.name)}</id>\n"
        f"\t\t<status>{quote(smsc.status)}</status>\n"
        f"\t\t<failed>{smsc.failed}</failed>\n\t\t<queued>{smsc.queued}</queued>\n"
        + both("sms", smsc.received_sms, smsc.sent_sms)
        + both("dlr", smsc.received_dlr, smsc.sent_dlr)
        + "\t</smsc>\n"
    )


_COLUMNS = (
    "SMS ID",
    "Type",
    "Time",
    "Sender",
    "Receiver",
    "SMSC ID",
    "BOX ID",
    "Flags",
    "UDH",
    "Message",
)
_ELEMENTS = (
    "id",
    "type",
    "time",
    "sender",
    "receiver",
    "smsc-id",
    "box-id",
    "flags",
    "udh-data",
    "msg-data",
)


def render_store(messages: Sequence[StoredMessage], page: Page) -> str:
    """The store-status page without its frame."""
    rows = [
        [
            page.quote(value)
            for value in (
                m.id,
                m.kind,
                m.time,
                m.sender,
                m.receiver,
                m.smsc,
                m.box,
                m.flags,
                m.udh,
                m.text,
            )
        ]
        for m in messages
    ]
    if page is Page.XML:
        return "".join(
            "\t<message>\n"
            + "".join(
                f"\t\t<{name}>{value}</{name}>\n"
                for name, value in zip(_ELEMENTS, row, strict=True)
            )
            + "\t</message>\n"
            for row in rows
        )
    if page is Page.HTML:
        lines = "".join(
            "<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>\n"
            for row in [list(_COLUMNS), *rows]
        )
        return f"<table border=1>\n{lines}</table>"
    return "".join(
        " ".join(f"[{value}]" for value in row) + "\n" for row in [list(_COLUMNS), *rows]
    )


def render_health(snapshot: Snapshot) -> bytes:
    """The body of /healthz: the process lives and can tell."""
    return _json(
        {
            "status": "ok",
            "state": snapshot.state,
            "uptime": int(snapshot.uptime),
            "reload": snapshot.reload.result,
        }
    )


def render_ready(snapshot: Snapshot) -> tuple[bool, bytes]:
    """Whether traffic should be sent here, and the body of /readyz with every bind in it.

    Ready means: running, the store works, and some bind is up (or there are none).
    """
    reasons = []
    if snapshot.state != "running":
        reasons.append(f"the gateway is {snapshot.state}")
    if snapshot.problem:
        reasons.append(snapshot.problem)
    if snapshot.binds and not any(bind.ready for bind in snapshot.binds):
        reasons.append("no bind is up")
        reasons += [
            f"{path.smsc}: path down: {path.reason}" for path in snapshot.paths if not path.up
        ]
    binds = {
        bind.name: {"ready": True} if bind.ready else {"ready": False, "reason": bind.reason}
        for bind in snapshot.binds
    }
    told: dict[str, object] = {"ready": not reasons, "reasons": reasons, "binds": binds}
    if snapshot.paths:
        told["paths"] = {path.smsc: asdict(path) for path in snapshot.paths}
    return not reasons, _json(told)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"
