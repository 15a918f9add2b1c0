"""The access log: a line per message in Kannel's words, for the scripts that bill by it.

Two logs, as Kannel's two programs write them: the messages (bearerbox's) and the requests
(smsbox's). Lines gather during a turn of the reactor and are written in one piece at its end.
A line is made of printable ASCII (requests: of UTF-8) whatever a phone or a caller sent.
"""

from __future__ import annotations

import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from urllib.parse import quote_plus

from twisted.logger import Logger

from gatewayd.config import LoggingConfig
from gatewayd.log import masked
from gatewayd.model import Coding, HttpAnswer, Inbound, Mo, Order, Receipt, Report, Segment
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

STANDARD: Final = (
    "%l [SMSC:%i] [SVC:%n] [ACT:%A] [BINF:%B] [FID:%F] [META:%D] [from:%p] [to:%P] "
    "[flags:%m:%c:%M:%C:%d] [msg:%L:%b] [udh:%U:%u]"
)
# What Kannel says of a failure, by the reason that the platform is told.
_EVENTS: Final = {
    "EXPIRED": EXPIRED,
    "no SMSC": DISCARDED,
    "Retries Exceeded": DISCARDED,
    "MALFORMED SMS": FAILED,
    "No answer from the SMSC": FAILED,
}
_LONG: Final = 10_000  # messages of several segments that are followed; the oldest is forgotten
_PENDING: Final = 65_536  # lines that wait for one turn's end; beyond, they are written at once
_PRINTABLE: Final = bytes(c if 0x20 <= c < 0x7F else 0x2E for c in range(256))
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CODE: Final = re.compile("%(.)", re.DOTALL)
_MODE: Final = 0o640  # numbers and perhaps texts: not for everybody


Kept = TypeVar("Kept")


class Clock(Protocol):
    """Where the end of a turn can be waited for."""

    def callLater(self, delay: float, call: Callable[[], object]) -> object: ...


@dataclass(slots=True)
class Entry:
    """One event as the escape codes see it. Numbers are -1 when they are not given."""

    event: str
    smsc: str = ""
    service: str = ""
    account: str = ""
    binfo: str = ""
    foreign_id: str = ""
    meta: str = ""
    sender: str = ""
    receiver: str = ""
    mclass: int = -1
    coding: int = -1
    mwi: int = -1
    compress: int = -1
    mask: int = -1
    octets: bytes = b""  # the message: UTF-8, or with coding 1 and 2 what goes as hex
    udh: bytes = b""
    uuid: str = ""
    dlr_url: str = ""
    report: bool = False


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


class Lines:
    """One file that lines are appended to."""

    log = Logger()

    def __init__(
        self, path: str, clock: Clock, stamp: Callable[[], str] | None, marked: bool
    ) -> None:
        """`stamp` begins every line; `marked`: the file says when it begins and ends.

        Raises OSError when the file cannot be opened.
        """
        self._path = path
        self._clock = clock
        self._stamp = stamp
        self._marked = marked
        self._waiting: list[str] = []
        self._failing = False
        self._fd: int | None = self._open()

    def add(self, text: str) -> None:
        """`text` without control characters; it is in the file when the turn has ended."""
        waiting = self._waiting
        if not waiting:
            self._clock.callLater(0, self.flush)
        waiting.append(f"{self._stamp()} {text}\n" if self._stamp is not None else f"{text}\n")
        if len(waiting) >= _PENDING:
            self.flush()

    def flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._fd is None:
            return
        data = "".join(waiting).encode("utf-8", "replace")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            if not self._failing:
                self._failing = True
                self.log.error("{path}: {reason}", path=self._path, reason=error.strerror)
            return
        self._failing = False

    def reopen(self) -> None:
        """After logrotate moved the file away. When it cannot be made again the old one stays."""
        try:
            new = self._open(begin=False)
        except OSError as error:
            self.log.error("{path}: {reason}", path=self._path, reason=error.strerror)
            return
        self._end()
        self._fd = new
        self._mark("Log begins")

    def close(self) -> None:
        self._end()

    def _open(self, begin: bool = True) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(self._path, flags, _MODE)
        if begin:
            self._fd = fd
            self._mark("Log begins")
        return fd

    def _end(self) -> None:
        self._mark("Log ends")
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _mark(self, text: str) -> None:
        if self._marked:
            self.add(text)
        self.flush()


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
        clock: Clock,
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
        self._write = _compiled(config.access_log_format or STANDARD, self._now, wall)
        self._wholes: OrderedDict[int, _Whole] = OrderedDict()
        clean = config.access_log_clean
        stamp = None if clean else self._now
        self.messages = (
            Lines(config.access_log, clock, stamp, not clean) if (config.access_log) else None
        )
        self.requests = (
            Lines(config.request_log, clock, self._now, True) if (config.request_log) else None
        )

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
        entry.foreign_id = segment.smsc_id
        entry.meta += meta
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
                foreign_id=report.smsc_id,
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
            entry.foreign_id = first.smsc_id
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
            if not entry.report:
                entry.octets = b"*" * len(entry.octets)
                if entry.coding in (Coding.OCTETS, Coding.UCS2):
                    entry.octets = b"\0" * len(entry.octets)
            entry.dlr_url = entry.dlr_url.partition("?")[0]
        self.messages.add(_printable(self._write(entry)))

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
        else:
            text = order.data.decode("utf-8", "replace")
        if self._redact:
            text, source = "*" * len(text), masked(source)
        for receiver in order.receivers:
            target = masked(receiver) if self._redact else receiver
            self.requests.add(
                _one_line(
                    f"send-SMS request added - sender:{username}:{source} {peer} "
                    f"target:{target} request: '{text}'"
                )
            )

    def refused_request(self, reason: str) -> None:
        """A sendsms call of a known user was wrong."""
        if self.requests is not None:
            self.requests.add(_one_line(f"send-SMS request failed - {reason}"))

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
            _one_line(
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
            _one_line(f"SMS request sender:{sender} request: '{text}' {kind} answer: '{reply}'")
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


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").translate(_PRINTABLE).decode("ascii")


def _one_line(text: str) -> str:
    return _CONTROL.sub(".", text)


def _message(entry: Entry) -> str:
    if entry.coding in (Coding.OCTETS, Coding.UCS2):
        return entry.octets.hex().upper()
    return entry.octets.decode("utf-8", "surrogateescape")


class _Words:
    """The message cut at blanks; each %s takes the next word."""

    __slots__ = ("_next", "_words")

    def __init__(self, entry: Entry) -> None:
        self._words = _message(entry).split()
        self._next = 1

    def first(self) -> str:
        return self._words[0] if self._words else ""

    def following(self) -> str:
        self._next += 1
        return self._words[self._next - 1] if self._next <= len(self._words) else ""

    def rest(self) -> str:
        return "+".join(quote_plus(word, safe=":!*'()") for word in self._words[self._next :])

    def all(self) -> str:
        return " ".join(self._words)


_FIELDS: Final[dict[str, Callable[[Entry], str]]] = {
    "l": lambda entry: entry.event,
    "i": lambda entry: entry.smsc,
    "n": lambda entry: entry.service,
    "A": lambda entry: entry.account,
    "B": lambda entry: entry.binfo,
    "F": lambda entry: entry.foreign_id,
    "D": lambda entry: entry.meta,
    "p": lambda entry: entry.sender,
    "P": lambda entry: entry.receiver,
    "m": lambda entry: str(entry.mclass),
    "c": lambda entry: str(entry.coding),
    "M": lambda entry: str(entry.mwi),
    "C": lambda entry: str(entry.compress),
    "d": lambda entry: str(entry.mask),
    "L": lambda entry: str(len(entry.octets)),
    "b": _message,
    "U": lambda entry: str(len(entry.udh)),
    "u": lambda entry: entry.udh.hex().upper(),
    "I": lambda entry: entry.uuid,
    "R": lambda entry: entry.dlr_url,
    "N": lambda entry: _message(entry) if entry.report else "",
    "x": lambda entry: "",
    "%": lambda entry: "%",
}
_WORDS: Final[dict[str, Callable[[_Words], str]]] = {
    "k": _Words.first,
    "s": _Words.following,
    "S": _Words.following,
    "r": _Words.rest,
    "a": _Words.all,
}


def _compiled(
    form: str, now: Callable[[], str], wall: Callable[[], float]
) -> Callable[[Entry], str]:
    """`form` cut once; codes that Kannel does not know stay as they are."""
    if form == STANDARD:
        return _standard
    pieces = _CODE.split(form)
    fields = dict(_FIELDS)
    fields["t"] = lambda entry: now()
    fields["T"] = lambda entry: str(int(wall()))

    def write(entry: Entry) -> str:
        words = _Words(entry)
        line = [pieces[0]]
        for code, text in zip(pieces[1::2], pieces[2::2], strict=True):
            if code in fields:
                line.append(fields[code](entry))
            elif code in _WORDS:
                line.append(_WORDS[code](words))
            else:
                line.append(f"%{code}")
            line.append(text)
        return "".join(line)

    return write


def _standard(e: Entry) -> str:
    return (
        f"{e.event} [SMSC:{e.smsc}] [SVC:{e.service}] [ACT:{e.account}] [BINF:{e.binfo}] "
        f"[FID:{e.foreign_id}] [META:{e.meta}] [from:{e.sender}] [to:{e.receiver}] "
        f"[flags:{e.mclass}:{e.coding}:{e.mwi}:{e.compress}:{e.mask}] "
        f"[msg:{len(e.octets)}:{_message(e)}] [udh:{len(e.udh)}:{e.udh.hex().upper()}]"
    )
