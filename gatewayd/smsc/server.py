"""What a simulated SMSC and its sessions say to each other, whatever protocol they speak.

A message is whatever the protocol makes of it (a PDU, a frame): only its own functions look inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gatewayd.config.model import BindMode
from gatewayd.smsc.contract import Alive, Closing, Noted


class Attached(NamedTuple):
    """The ESME bound; from now on it may submit, or be delivered to, as its mode says."""

    system_id: str
    mode: BindMode


class TurnedAway(NamedTuple):
    """The ESME's bind was refused with this status; `Closing` follows."""

    system_id: str
    status: int


class Submit(NamedTuple):
    """A submit; it waits for `answer(ticket, ...)`."""

    ticket: int
    pdu: Any


class Delivered(NamedTuple):
    """The ESME answered the delivery `tag` with `status` after `seconds`; 0 means it took it."""

    tag: int
    status: int
    seconds: float


class Undelivered(NamedTuple):
    """No answer to the delivery `tag`: it has to be delivered again."""

    tag: int
    reason: str


ServerEvent = Attached | TurnedAway | Submit | Delivered | Undelivered | Noted | Alive | Closing


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How this SMSC behaves towards every ESME. Times are seconds; those of 0 are off."""

    system_id: str = "gatewayd"  # told in the answer to a bind
    window: int = 50  # deliveries unanswered at once
    most_submits: int = 1000  # submits unanswered at once; one more is answered as throttled
    max_pdu: int = 65536
    bind_timeout: float = 10.0  # from the connect to the bind (SMPP 3.4, 7.2: session_init_timer)
    enquire_interval: float = 30.0
    enquire_timeout: float = 10.0
    response_timeout: float = 60.0  # from a delivery to its answer
    unbind_timeout: float = 5.0
    partial_pdu_timeout: float = 30.0


class ServerSession(Protocol):
    """One session with an ESME, we being the SMSC; otherwise as `contract.Session`."""

    mode: BindMode | None  # None: not bound yet

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the ESME is bound to receive."""

    def start(self, now: float) -> None:
        """The link is up; the ESME speaks first."""

    def receive(self, data: bytes, now: float) -> Sequence[ServerEvent]: ...

    def tick(self, now: float) -> Sequence[ServerEvent]: ...

    def deadline(self) -> float: ...

    def answer(self, ticket: int, status: int, message_id: str = "") -> None:
        """The answer to a `Submit`. Nothing happens if the link has gone meanwhile."""

    def forget(self, ticket: int) -> None:
        """This submit will never be answered."""

    def deliver(self, sm: Any, tag: int, now: float) -> None:
        """Send a message; the caller has checked `credit`."""

    def stop(self, now: float) -> None:
        """Deliver no more, wait for the answers under way, then end."""

    def connection_lost(self, now: float) -> Sequence[ServerEvent]: ...

    def take_bytes(self) -> bytes: ...


class Credentials(Protocol):
    """Who wants to bind."""

    @property
    def system_id(self) -> bytes: ...

    @property
    def password(self) -> bytes: ...


class Speech(Protocol):
    """What a module `smsc/<protocol>_sim.py` has: how that protocol's messages are made and read.

    `now` and other times are seconds since the epoch.
    """

    @property
    def NAME(self) -> str:
        """For people: "SMPP 3.4"."""

    @property
    def WRONG_ACCOUNT(self) -> int:
        """A status that answers a bind, as the next two."""

    @property
    def WRONG_PASSWORD(self) -> int: ...

    @property
    def NOT_NOW(self) -> int: ...

    @property
    def THROTTLED(self) -> int:
        """A status that answers a submit."""

    @property
    def TEMPORARY(self) -> frozenset[int]:
        """Answers to a delivery after which it is delivered again."""

    def session(self, options: ServerOptions, admit: Callable[[Credentials], int]) -> ServerSession:
        """`admit(credentials)` answers each bind: 0 lets it in, another status refuses it."""

    def reason_of(self, status: int) -> str: ...

    def ids(self, number: int, hexadecimal: bool) -> tuple[str, str]:
        """How the message `number` is called in its answer, and in its receipt."""

    def wants_receipt(self, submit: Any, delivered: bool) -> bool: ...

    def receipt(
        self, submit: Any, message_id: str, *, delivered: bool, submitted: float, done: float
    ) -> Any: ...

    def echo(self, submit: Any, now: float) -> Any:
        """The MO that a phone would send which answers with the very text it got."""

    def messages(
        self, source: str, destination: str, text: str, reference: int, now: float
    ) -> list[Any]:
        """`text` as an MO, in parts when it is long."""

    def addresses(self, message: Any) -> tuple[str, str]:
        """Source and destination."""

    def readable(self, message: Any) -> str:
        """The text, for people."""
