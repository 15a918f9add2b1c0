"""Turns what the flows tell into entries of the two access logs."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime

from gatewayd.access.entry import STANDARD, Entry, compiled, one_line
from gatewayd.access.lines import Lines
from gatewayd.config import Config
from gatewayd.config.model import LoggingConfig
from gatewayd.log import masked
from gatewayd.model import (
    Coding,
    HttpAnswer,
    Inbound,
    Mo,
    Order,
    Receipt,
    Report,
    Segment,
    shown_id,
)
from gatewayd.sms.alphabets import decode_gsm
from gatewayd.sms.udh import part_of

SENT: Final = "Sent SMS"
FAILED: Final = "FAILED Send SMS"
REJECTED: Final = "REJECTED Send SMS"
DISCARDED: Final = "DISCARDED SMS"
EXPIRED: Final = "EXPIRED SMS"
RECEIVED: Final = "Receive SMS"
DROPPED: Final = "DROPPED Received SMS"
REPORTED: Final = "Receive DLR"
UNMATCHED: Final = "FAILED Receive DLR"


# What Kannel says of a failure, by the reason that the platform is told.
_EVENTS: Final = {
    "EXPIRED": EXPIRED,
    "no SMSC": DISCARDED,
    "Retries Exceeded": DISCARDED,
    "MALFORMED SMS": FAILED,
    "No answer from the SMSC": FAILED,
}
# A receipt repeats the beginning of the message's own text.
_OWN_TEXT: Final = re.compile(rb"(?<=text:).+", re.IGNORECASE | re.DOTALL)
_LONG: Final = 10_000  # messages of several segments that are followed; the oldest is forgotten

Kept = TypeVar("Kept")


class _Whole:
    """A message of several segments: what it was made of, and how many are without an end."""

    __slots__ = ("failed", "left", "segments")

    def __init__(self, total: int) -> None:
        self.segments: list[Segment] = []
        self.left = total
        self.failed = False

    def add(self, segment: Segment) -> None:
        """A segment came to its end; after a restart the others are not known."""
        self.left -= 1
        if all(segment.index != known.index for known in self.segments):
            self.segments.append(segment)


class Reports(Protocol):
    """Where reports go."""

    def push(self, report: Report) -> None: ...

    def lane_of(self, report: Report) -> str: ...


class NotedReports:
    """Reports on their way, each with its line."""

    def __init__(self, reports: Reports, access: AccessLog) -> None:
        self._access = access
        self._reports = reports
        self.lane_of = reports.lane_of

    def push(self, report: Report) -> None:
        self._access.reported(report)
        self._reports.push(report)


class AccessLog:
    """Writes what the flows tell it. Made only where the configuration asks for it.

    `ids` gives the routing id of an SMSC by its name; `uuid` what people see of a key.
    Raises OSError when a file cannot be opened.
    """

    def __init__(
        self,
        config: LoggingConfig,
        clock: IReactorTime,
        wall: Callable[[], float],
        ids: Callable[[str], str],
        uuid: Callable[[int], str],
    ) -> None:
        self._wall = wall
        self._ids = ids
        self._uuid = uuid
        self._redact = config.access_log_redact
        self._moment = time.gmtime if config.access_log_time == "gmt" else time.localtime
        self._second = -1
        self._said = ""
        self._write = compiled(config.access_log_format or STANDARD, self._now, wall)
        self._wholes: OrderedDict[int, _Whole] = OrderedDict()
        clean = config.access_log_clean
        stamp = None if clean else self._now
        self.messages = (
            Lines(config.access_log, clock, stamp, not clean) if (config.access_log) else None
        )
        self.requests = (
            Lines(config.request_log, clock, self._now, True) if (config.request_log) else None
        )

    def inherit(self, before: AccessLog) -> None:
        """Take the place of `before`: what it is still told goes to the files of this one."""
        self._wholes = before._wholes
        before.close()
        before.messages, before.requests = self.messages, self.requests

    def reopen(self) -> None:
        """Begin the files anew where they have been moved away."""
        for lines in (self.messages, self.requests):
            if lines is not None:
                lines.reopen()

    def close(self) -> None:
        """Write what is left."""
        for lines in (self.messages, self.requests):
            if lines is not None:
                lines.close()

    # -- messages --------------------------------------------------------------------------------

    def split(self, segments: Sequence[Segment]) -> None:
        """Segments are on their way; those of one message make one line, with the last word."""
        for segment in segments:
            if _joined(segment):
                self._whole_of(segment).segments.append(segment)

    def sent(self, segment: Segment, meta: str) -> None:
        """The SMSC took a segment; one of several is told with the last of them."""
        if segment.total > 1 and _joined(segment):
            whole = self._whole_of(segment)
            whole.add(segment)
            if whole.left == 0:
                del self._wholes[segment.message]
                if not whole.failed:
                    self._tell(whole)
            return
        entry = self._outbound(SENT, segment, segment.payload, segment.udh)
        entry.foreign_id = shown_id(segment.smsc_id)
        entry.meta = _meta(segment.meta, meta)
        self._add(entry)

    def failed(self, segment: Segment, reason: str) -> None:
        """A segment will not be sent, or a message finds no SMSC."""
        event = _EVENTS.get(reason, REJECTED)
        payload, udh = segment.payload, segment.udh
        if segment.total > 1 and segment.message and _joined(segment):
            whole = self._whole_of(segment)
            whole.add(segment)
            if whole.left == 0:
                del self._wholes[segment.message]
            if whole.failed:
                return
            whole.failed = True
            payload, udh = together(whole.segments)
        entry = self._outbound(event, segment, payload, udh)
        if event is DISCARDED:
            entry.smsc = segment.smsc
        if reason.startswith("0x") or (event is DISCARDED and segment.via):
            entry.meta += "?smpp_resp?"
        self._add(entry)

    def received(self, mo: Mo) -> None:
        """An MO, whole, is on disk."""
        self._add(_inbound(RECEIVED, mo.smsc, mo, self._uuid(mo.id)))

    def refused(self, smsc: str, inbound: Inbound, reason: str) -> None:
        """An MO was not taken: too much waits (`reason` ""), or a list bars its sender."""
        event = f"REJECTED Receive SMS - {reason} SMS" if reason else DROPPED
        self._add(_inbound(event, smsc, inbound, ""))

    def reported(self, report: Report) -> None:
        """A report is on its way to the platform."""
        self._add(
            Entry(
                REPORTED,
                smsc=report.smsc,
                service=report.user,
                account=report.account,
                binfo=report.binfo,
                foreign_id=shown_id(report.smsc_id),
                meta=report.meta,
                sender=report.source,
                receiver=report.destination,
                mask=report.status,
                octets=report.text.encode("utf-8", "replace"),
                uuid=self._uuid(report.id),
                dlr_url=report.url,
                report=True,
            )
        )

    def unmatched(self, smsc: str, receipt: Receipt) -> None:
        """A receipt that belongs to no message."""
        octets = receipt.text.encode("utf-8", "replace")
        self._add(
            Entry(
                UNMATCHED,
                smsc,
                meta="?smpp?",
                sender=receipt.source,
                receiver=receipt.destination,
                coding=0,
                compress=0,
                octets=octets,
                report=True,
            )
        )

    def note(self, push: Callable[[Mo], Kept]) -> Callable[[Mo], Kept]:
        """`push`, and before it the line about the MO."""

        def noted(mo: Mo) -> Kept:
            self.received(mo)
            return push(mo)

        return noted

    def _whole_of(self, segment: Segment) -> _Whole:
        """What is known of the segment's message; of too many the oldest is forgotten."""
        whole = self._wholes.get(segment.message)
        if whole is None:
            whole = self._wholes[segment.message] = _Whole(segment.total)
            if len(self._wholes) > _LONG:
                self._wholes.popitem(last=False)
        return whole

    def _tell(self, whole: _Whole) -> None:
        first = min(whole.segments, key=lambda segment: segment.index)
        payload, udh = together(whole.segments)
        entry = self._outbound(SENT, first, payload, udh)
        if first.dlr_url:
            entry.foreign_id = shown_id(first.smsc_id)
        self._add(entry)

    def _outbound(self, event: str, segment: Segment, payload: bytes, udh: bytes) -> Entry:
        octets = payload
        if segment.coding == Coding.GSM:
            octets = payload if _plain(payload) else decode_gsm(payload).encode("utf-8", "replace")
        return Entry(
            event,
            smsc=self._ids(segment.via) if segment.via else segment.smsc,
            service=segment.user,
            account=segment.account,
            binfo=segment.binfo,
            meta=segment.meta,
            sender=segment.source,
            receiver=segment.destination,
            mclass=segment.mclass,
            coding=segment.coding,
            mwi=segment.mwi,
            compress=segment.compress,
            mask=segment.dlr_mask or -1,
            octets=octets,
            udh=udh,
            uuid=self._uuid(segment.message or segment.id),
            dlr_url=segment.dlr_url,
        )

    def _add(self, entry: Entry) -> None:
        if self.messages is None:
            return
        if self._redact:
            entry.sender, entry.receiver = masked(entry.sender), masked(entry.receiver)
            if entry.report:
                entry.octets = _OWN_TEXT.sub(lambda m: b"*" * len(m[0]), entry.octets)
            else:
                entry.octets = b"*" * len(entry.octets)
                if entry.coding in (Coding.OCTETS, Coding.UCS2):
                    entry.octets = b"\0" * len(entry.octets)
            entry.dlr_url = entry.dlr_url.partition("?")[0]
        self.messages.add(one_line(self._write(entry)))

    # -- requests --------------------------------------------------------------------------------

    def asked(self, username: str, peer: str, order: Order) -> None:
        """A sendsms call was found in order; a line for each receiver."""
        if self.requests is None:
            return
        source = order.source
        if order.udh:
            text = "<< UDH >>"
        elif order.coding == Coding.GSM:
            text = order.text
        elif order.coding == Coding.UCS2 and order.charset:  # as it was before it was recoded
            text = order.data.decode("utf-16-be", "replace")
        else:
            text = order.data.decode("utf-8", "replace")
        if self._redact:
            text, source = "*" * len(text), masked(source)
        for receiver in order.receivers:
            target = masked(receiver) if self._redact else receiver
            self.requests.add(
                one_line(
                    f"send-SMS request added - sender:{username}:{source} {peer} "
                    f"target:{target} request: '{text}'"
                )
            )

    def refused_request(self, reason: str) -> None:
        """A sendsms call of a known user was wrong."""
        if self.requests is not None:
            self.requests.add(one_line(f"send-SMS request failed - {reason}"))

    def called(self, mo: Mo, url: str, reply: str, answer: HttpAnswer) -> None:
        """A platform was called about an MO, for the last time; `reply` is for the phone."""
        if self.requests is None:
            return
        sender, said = mo.source, answer.body.decode("utf-8", "replace")[:200]
        if answer.status in (200, 202):
            said = "<< successful >>" if answer.status == 200 else ""
        elif not answer.status:
            url = ""
        if self._redact:
            sender, url = masked(sender), url.partition("?")[0]
            reply = "*" * len(reply)
        self.requests.add(
            one_line(
                f"SMS HTTP-request sender:{sender} request: '{reply}' url: '{url}' "
                f"reply: {answer.status or -1} '{said}'"
            )
        )

    def answered(self, mo: Mo, kind: str, reply: str) -> None:
        """An MO was answered without a call; `kind`: fixed | file."""
        if self.requests is None:
            return
        sender, text = mo.source, mo.payload.decode("utf-8", "replace")
        if self._redact:
            sender, text, reply = masked(sender), "*" * len(text), "*" * len(reply)
        self.requests.add(
            one_line(f"SMS request sender:{sender} request: '{text}' {kind} answer: '{reply}'")
        )

    def _now(self) -> str:
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._said = time.strftime("%Y-%m-%d %H:%M:%S", self._moment(second))
        return self._said


def _inbound(event: str, smsc: str, one: Mo | Inbound, uuid: str) -> Entry:
    return Entry(
        event,
        smsc=smsc,
        account=one.account,
        binfo=one.binfo,
        foreign_id=one.foreign_id,
        meta=one.meta,
        sender=one.source,
        receiver=one.destination,
        mclass=one.mclass,
        coding=one.coding,
        mwi=one.mwi,
        compress=one.compress,
        octets=one.payload,
        udh=one.udh,
        uuid=uuid,
    )


def _meta(given: str, added: str) -> str:
    """Meta-data of the caller, if they are any, and behind them what the SMSC's answer brought."""
    if not given.startswith("?"):
        return added
    return f"{given}{'' if given[-1] in '&?' else '&'}{added}" if added else given


def _plain(payload: bytes) -> bool:
    """Whether GSM octets are the same in ASCII: letters, digits, most marks."""
    return not payload.translate(None, _SAME)


_SAME: Final = bytes(code for code in range(0x0A, 0x7F) if decode_gsm(bytes([code])) == chr(code))


def _joined(segment: Segment) -> bool:
    """Whether it is one of the segments that the phone puts together."""
    return bool(segment.udh) and part_of(segment.udh) is not None


def together(parts: Sequence[Segment]) -> tuple[bytes, bytes]:
    """The payload of several segments of one message, and the caller's own UDH."""
    ordered = sorted(parts, key=lambda segment: segment.index)
    part = part_of(ordered[0].udh)
    udh = part.udh if part is not None else ordered[0].udh
    return b"".join(segment.payload for segment in ordered), udh


def open_logs(
    config: Config, clock: IReactorTime, wall: Callable[[], float], uuid: Callable[[int], str]
) -> AccessLog | None:
    """The access logs, where they are wanted; raises OSError when a file cannot be opened."""
    if not (config.logging.access_log or config.logging.request_log):
        return None
    ids = {smsc.name: smsc.id for smsc in config.smscs}
    return AccessLog(config.logging, clock, wall, lambda name: ids.get(name, name), uuid)
