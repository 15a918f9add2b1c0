"""The nouns of the gateway. They know nothing of bytes on a wire, sockets or disks.

Those that live in the store (`Segment`, `Mo`, `Part`, `Report`, `Parked`) are `msgspec.Struct`s:
their JSON form leaves out every field that has its default, so a field may be added with a default
and older rows still read. All times are seconds since the epoch (UTC) unless a name says otherwise.
In Kannel's numbers -1 means "not given". None of them refers back to what holds it, so the garbage
collector need not look at them (`gc=False`): with 100,000 messages in memory that is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum, IntFlag

from msgspec import Struct

# In an SMSC's message id, what stands behind this mark only tells messages apart (UCP: the
# recipient); people and %F are shown what stands before it.
SMSC_ID_KEY = "\t"


def shown_id(smsc_id: str) -> str:
    """An SMSC's message id as people and platforms see it."""
    return smsc_id.partition(SMSC_ID_KEY)[0]


class Coding(IntEnum):
    """Kannel's `coding`: which alphabet the payload is in."""

    GSM = 0  # GSM 03.38, one septet per octet (unpacked), extension as 0x1B + code
    OCTETS = 1
    UCS2 = 2  # UTF-16BE


class DlrStatus(IntFlag):
    """Kannel's dlr-mask bits; a report carries one (34 = 32 + 2: expired, told by TLV)."""

    DELIVERED = 1
    UNDELIVERABLE = 2
    BUFFERED = 4
    SMSC_ACCEPTED = 8
    SMSC_REJECTED = 16
    EXPIRED = 32


FINAL = DlrStatus.DELIVERED | DlrStatus.UNDELIVERABLE | DlrStatus.SMSC_REJECTED | DlrStatus.EXPIRED


class Outcome(Enum):
    """How an attempt ended, wherever it was made. The whole program knows only these four."""

    DONE = "done"
    RETRY = "retry"
    THROTTLED = "throttled"
    DEAD = "dead"

    __hash__ = object.__hash__  # Enum's own is written in Python; each member is one object


@dataclass(frozen=True, slots=True)
class TextOptions:
    """How the text of a user's or a service's messages is cut and dressed."""

    max_messages: int = 10
    too_long: str = "refuse"  # refuse | cut
    concatenation: bool = True
    split_chars: str = ""
    split_suffix: str = ""
    split_look_back: float = 0.25  # share of a part given up to end at a split character
    header: str = ""
    footer: str = ""
    octets: int = 140  # part size without concatenation (Kannel's sms-length)
    not_gsm: str = "ucs2"  # ucs2: such texts are sent as UCS-2 | replace: by "?"
    transliterate: bool = False  # typographic quotes, dashes and the like become plain ones first


class Order(Struct, kw_only=True, gc=False):
    """What one sendsms call (or one reply to an MO) asks for, after its arguments were checked."""

    user: str  # name for logs, %n and status
    receivers: list[str]
    source: str
    coding: int = 0
    text: str = ""  # coding 0
    data: bytes = b""  # coding 1: octets, coding 2: UTF-16BE
    udh: bytes = b""  # the caller's, its length octet included
    smsc: str | None = None
    mclass: int = -1
    mwi: int = -1
    alt_dcs: int = -1
    compress: int = -1
    pid: int = -1
    rpi: int = -1
    priority: int = -1
    validity: float = 0.0  # absolute; 0: not given
    deferred: float = 0.0
    dlr_mask: int = 0
    dlr_url: str = ""
    account: str = ""
    binfo: str = ""
    meta: str = ""
    charset: str = ""
    channel: str = ""
    reply: bool = False
    options: TextOptions = TextOptions()
    external_id: str = ""  # what the caller calls the message, for reports that name it
    once: bytes = b""  # what a repeated request shares with the first (flow.seen); b"": nothing


class Verdict(Enum):
    """What becomes of an order; the web side has one answer for each."""

    ACCEPTED = "accepted"  # on disk, and a bind is up
    QUEUED = "queued"  # on disk, no bind is up just now
    UNROUTABLE = "unroutable"
    OVERLOADED = "overloaded"  # too much waits, or the store failed: try again later
    TOO_LONG = "too long"

    __hash__ = object.__hash__  # as with `Outcome`


class Acceptance(Struct, frozen=True, gc=False):
    """The answer to an order. `segments` counts those of one message."""

    verdict: Verdict
    segments: int = 1
    message: int = 0  # id of the first receiver's message
    reason: str = ""


class Segment(Struct, omit_defaults=True, gc=False):
    """One submit of an MT: it takes one window slot and earns one message id of the SMSC.

    The segments of a message have consecutive ids; the message's id is its first segment's.
    """

    id: int
    source: str  # as the caller gave it (after faked-sender and default-sender)
    destination: str
    payload: bytes  # this segment's octets, without `udh`; see `coding`
    coding: int = 0
    udh: bytes = b""  # whole user data header, its length octet included
    message: int = 0  # id of the first segment
    index: int = 0
    total: int = 1
    user: str = ""  # name of the sendsms user or service (%n, SVC)
    smsc: str = ""  # routing id the caller or the user's configuration asked for; may be ""
    has_smsc: bool = False  # `smsc` was given, perhaps empty
    mclass: int = -1
    mwi: int = -1
    alt_dcs: int = -1
    compress: int = -1
    pid: int = -1
    rpi: int = -1
    priority: int = -1
    validity: float = 0.0  # absolute time after which it is worthless; 0: not given
    deferred: float = 0.0  # absolute time before which the SMSC shall not deliver; 0: at once
    dlr_mask: int = 0  # DlrStatus bits that the caller wants to hear of
    dlr_url: str = ""
    account: str = ""
    binfo: str = ""
    meta: str = ""  # Kannel meta-data, "?group?key=value&..."
    charset: str = ""  # charset the caller named, for %C
    channel: str = ""  # channel whose policy rules the reports; "": none
    reply: bool = False  # made from a platform's answer to an MO (Kannel's MT-REPLY)
    created: float = 0.0
    tries: int = 0  # attempts that the SMSC answered with a temporary error
    smsc_id: str = ""  # message id the SMSC gave, normalised; "" until submit was answered
    via: str = ""  # SmscConfig.name it was submitted through; "" until then
    external_id: str = ""  # what the caller calls the message


class Inbound(Struct, frozen=True, gc=False):
    """One MO, or one part of a long MO, as an SMSC's protocol handed it over."""

    source: str  # international numbers begin with "+"
    destination: str
    payload: bytes  # without `udh`; GSM payloads are already UTF-8 text (coding 0)
    coding: int = 0  # 0: payload is UTF-8; 1: octets; 2: UTF-16BE
    charset: str = "UTF-8"  # for %C: UTF-8, 8-BIT or UTF-16BE
    udh: bytes = b""
    dcs: int = 0
    mclass: int = -1
    mwi: int = -1
    alt_dcs: int = -1
    compress: int = -1
    pid: int = -1
    rpi: int = -1
    binfo: str = ""
    account: str = ""
    meta: str = ""
    foreign_id: str = ""
    sar: tuple[int, int, int] | None = None  # reference, total, part number (1-based), by TLV
    time: float = 0.0  # the SMSC's time stamp; 0: it gave none
    raw: bytes = b""  # the octets as received, when they could not be decoded without loss


class Mo(Struct, omit_defaults=True, gc=False):
    """A whole MO on its way to a platform."""

    id: int
    smsc: str  # routing id of the SMSC it came from (%i)
    source: str
    destination: str
    payload: bytes
    coding: int = 0
    charset: str = "UTF-8"
    udh: bytes = b""
    dcs: int = 0
    mclass: int = -1
    mwi: int = -1
    alt_dcs: int = -1
    compress: int = -1
    pid: int = -1
    rpi: int = -1
    binfo: str = ""
    account: str = ""
    meta: str = ""
    foreign_id: str = ""
    time: float = 0.0
    channel: str = ""  # ChannelConfig.name it goes to
    missing: int = 0  # parts that never came
    raw: bytes = b""
    known_as: int = 0  # the id platforms know it by, when it came back to life with a new one
    deliveries: bytes = b""  # names of the SMSC's deliveries it was made of (flow.repeats)
    failure: str = ""  # why no platform took it; only in dead letters


class Part(Struct, omit_defaults=True, gc=False):
    """One part of a long MO that waits for the others; kept in the store."""

    id: int
    key: str  # SMSC, source, destination, reference and total as one string
    number: int  # 1-based
    total: int
    smsc: str
    inbound: Inbound
    arrived: float


class Receipt(Struct, frozen=True, gc=False):
    """The SMSC's word on one segment."""

    smsc_id: str  # normalised by the SMSC's msg-id-type
    status: int  # DlrStatus value: 1, 2, 4, 34; 0: nothing to report
    text: str = ""  # the receipt's own text (%A)
    error: int = -1  # network error: err: of the text, or TLV 0x0423
    error_type: int = 3  # first octet of TLV 0x0423
    stat: str = ""  # the word after stat:, for logs
    meta: str = ""  # TLVs and dlr_err as Kannel meta-data
    source: str = ""
    destination: str = ""
    account: str = ""  # the login that Kannel names with it (%o); "": none


class Parked(Struct, omit_defaults=True, gc=False):
    """A receipt that matched nothing yet: it may have overtaken its submit_sm_resp."""

    id: int
    scope: str  # SmscConfig.id
    receipt: Receipt
    until: float


class Report(Struct, omit_defaults=True, gc=False):
    """Our word to the platform on one message: one call of its dlr-url."""

    id: int
    message: int
    status: int  # DlrStatus value (%d)
    url: str
    smsc: str = ""  # %i
    smsc_id: str = ""  # %F
    text: str = ""  # %A: receipt text, "ACK/" or "NACK/..."
    source: str = ""
    destination: str = ""
    user: str = ""
    account: str = ""
    binfo: str = ""
    meta: str = ""
    charset: str = ""
    time: float = 0.0
    channel: str = ""
    coding: int = -1
    mclass: int = -1
    mwi: int = -1
    known_as: int = 0  # as with `Mo`
    failure: str = ""
    external_id: str = ""  # what the caller calls the message


class HttpAnswer(Struct, frozen=True, gc=False):
    """What an HTTP call brought back. `status` 0: no answer, and `error` says why."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    error: str = ""
    seconds: float = 0.0

    @property
    def failure(self) -> str:
        """Why it was not taken, for people: the error, or the status and how the body begins."""
        said = self.body[:100].decode("utf-8", "replace").strip()
        return self.error or (f"HTTP {self.status}: {said}" if said else f"HTTP {self.status}")

    def header(self, name: str) -> str:
        """The first value of the header `name` (any case), "" when it is absent."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")
