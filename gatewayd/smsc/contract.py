"""What a protocol towards an SMSC must offer, and the events it tells us."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple, Protocol

from msgspec import Struct

from gatewayd.config import BindConfig, SmscConfig, TlvConfig
from gatewayd.errors import UsageError
from gatewayd.model import Inbound, Outcome, Receipt, Segment
from gatewayd.smsc.link import LinkState
from gatewayd.smsc.options import Wrong, no_options


class Bound(NamedTuple):
    """The SMSC accepted our bind; `credit` is now above nought if the bind transmits."""


class BindRefused(NamedTuple):
    """The SMSC refused the bind. DEAD: our credentials are wrong; RETRY: come back later."""

    outcome: Outcome
    reason: str


class Submitted(Struct, frozen=True, gc=False):
    """The SMSC took the segment. `smsc_id` is normalised by message_ids; "" when it gave none.

    `meta` holds TLVs of the answer as Kannel meta-data ("?smpp_resp?..."). `late`: it was told as
    `Unanswered` before, and the answer has come after all.
    """

    segment: Segment
    smsc_id: str
    seconds: float  # from submit to answer
    meta: str = ""
    late: bool = False


class SubmitFailed(NamedTuple):
    """The SMSC refused the segment.

    `reason` is Kannel's text for %A without "NACK/": "0x0000000b/Invalid Destination Address".
    `status` is the protocol's number, kept whatever it is.
    """

    segment: Segment
    outcome: Outcome  # RETRY, THROTTLED or DEAD
    reason: str
    status: int = 0
    seconds: float = 0.0
    meta: str = ""  # as in Submitted; "" when it was not the submit's own answer
    late: bool = False


class Unanswered(NamedTuple):
    """The link went, or the response timer ran out, with this segment in the window: uncertain."""

    segment: Segment
    reason: str


class Received(Struct, frozen=True, gc=False):
    """An MO. It stays the SMSC's until `Session.answer(ticket, ...)`."""

    ticket: int
    inbound: Inbound


class Receipted(Struct, frozen=True, gc=False):
    """A delivery receipt. It stays the SMSC's until `Session.answer(ticket, ...)`."""

    ticket: int
    receipt: Receipt


class Noted(NamedTuple):
    """Something worth a counter and perhaps a log line; nothing needs to be done about it.

    `what` is one of `NOTES`, a metric label; `detail` goes to the log: no text of a message.
    """

    what: str
    detail: str


# What can be odd about a peer. Whatever it sends, there are no others.
NOTES = frozenset(
    {
        "alert",
        "bad_pdu",
        "dropped_incomplete",
        "general_error",
        "generic_nack",
        "late_response",
        "list_refused",
        "lossy_text",
        "nack",
        "no_message_id",
        "noise",
        "not_bound",
        "packet_number",
        "refused_deliver",
        "refused_submit",
        "repeated_packet",
        "rested",
        "second_bind",
        "too_early",
        "trailing_octets",
        "unknown_command",
        "unknown_option",
        "unknown_response",
        "unknown_sequence",
        "window_refused",
    }
)


class Alive(NamedTuple):
    """An enquire_link was answered after `seconds`."""

    seconds: float


class Closing(NamedTuple):
    """Write what is left, then close the socket.

    `rest`: there was no traffic; connect again when there is some, and count as bound until then.
    """

    reason: str
    rest: bool = False


Event = (
    Bound
    | BindRefused
    | Submitted
    | SubmitFailed
    | Unanswered
    | Received
    | Receipted
    | Noted
    | Alive
    | Closing
)


class Session(Protocol):
    """One conversation with one SMSC: no socket, no clock, no disk.

    Bytes and the time (monotonic seconds) go in; events come out; bytes to write wait in
    `take_bytes()`. After a `Closing` event a session ignores every further byte.
    """

    @property
    def state(self) -> LinkState: ...

    @property
    def credit(self) -> int:
        """Submits the window still has room for; nought unless bound to transmit."""

    @property
    def in_flight(self) -> int:
        """Submits written and not yet answered."""

    @property
    def unanswered(self) -> int:
        """Tickets given out and not yet answered; the bind stops reading above its limit."""

    def start(self, now: float) -> None:
        """The link is up: say what comes first (bind)."""

    def receive(self, data: bytes, now: float) -> Sequence[Event]: ...

    def tick(self, now: float) -> Sequence[Event]: ...

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never). It may be early, never late."""

    def submit(self, segment: Segment, now: float) -> Event | None:
        """Write the segment; the caller has checked `credit`.

        A segment that cannot be put into the protocol at all (an address too long, say) comes back
        as `SubmitFailed` with DEAD; then nothing was written.
        """

    def answer(self, ticket: int, outcome: Outcome) -> None:
        """DONE, RETRY (cannot store now), THROTTLED (too much waits) or DEAD (refused for good).

        On a gone connection it does nothing: the SMSC will deliver again.
        """

    def resize(self, window: int) -> None:
        """Have another window from now on; what is under way above a smaller one stays so."""

    def stop(self, now: float) -> None:
        """Take no more submits, wait for answers that are under way, then unbind."""

    def connection_lost(self, now: float) -> Sequence[Event]:
        """The link is down: everything in the window comes back as `Unanswered`."""

    def take_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """All a session needs to know."""

    smsc: SmscConfig
    bind: BindConfig
    tlvs: tuple[TlvConfig, ...] = ()
    wall: Callable[[], float] = lambda: 0.0  # seconds since the epoch, for validity and the like
    chance: Callable[[], float] = lambda: 0.5  # 0 <= x < 1; the session's only source of chance


@dataclass(frozen=True, slots=True)
class SmscProtocol:
    """What each protocol module puts in its `PROTOCOL`."""

    name: str  # as status pages and metrics show it: "SMPP"
    default_port: int
    esme: Callable[[SessionOptions], Session]
    # How it calls its bind, the request that keeps a link alive, and its goodbye.
    words: tuple[str, str, str] = ("bind", "enquire_link", "unbind")
    # What is wrong with an SMSC's `options`; a protocol that says nothing has none.
    check: Callable[[Sequence[str]], Sequence[Wrong]] = no_options


def load(name: str) -> SmscProtocol:
    """The protocol in `gatewayd/smsc/<name>.py`: the file's name is the config keyword."""
    path = f"gatewayd.smsc.{name}"
    try:
        protocol = import_module(path).PROTOCOL if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != path:  # the protocol is there; something it needs is not
            raise
        protocol = None
    except AttributeError:
        protocol = None
    if not isinstance(protocol, SmscProtocol):
        raise UsageError(f"no such protocol: {name}")
    return protocol
