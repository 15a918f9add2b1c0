"""One UCP/EMI session with a large account, we being the SMSC: the other end of `ucp`.

The life of the session is in `server_session`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import ClassVar, NamedTuple

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import Noted
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.server import ServerEvent, ServerOptions
from gatewayd.smsc.server_session import SmscSession
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_numbers import NUMBERS, Numbers

THROTTLED = 4  # error code by which some SMSCs say that too much comes
_SUBMITS = frozenset({ucp.CALL_INPUT, ucp.TRANSFER, ucp.SUBMIT})


class Login(NamedTuple):
    """Who wants in. Both are empty for an account that sends without a login."""

    system_id: bytes
    password: bytes


class UcpServerSession(SmscSession):
    """`admit(login)` answers each login: 0 lets it in, an error code refuses it."""

    PDU: ClassVar[str] = "frame"
    ANSWER: ClassVar[str] = "result"

    def __init__(self, options: ServerOptions, admit: Callable[[Login], int]) -> None:
        super().__init__(options, ucp.Framer(options.max_pdu))
        self._admit = admit
        self._alive.interval = 0.0  # an SMSC asks nothing
        # An account may take its time: it is in without a login as soon as it says anything.
        self._bind_timeout = inf
        self._numbers = Numbers(options.response_timeout)
        self._window = min(options.window, NUMBERS)
        self._operations: dict[int, int] = {}  # of the deliveries, by number
        self._ended = False  # the next tick closes

    # ---- what its owner does

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the account is in."""
        return max(0, min(super().credit, self._numbers.free))

    def answer(self, ticket: int, status: int, message_id: str = "") -> None:
        """The result of a `Submit`; `message_id` is the time stamp that names the message."""
        frame = self._tickets.pop(ticket, None)
        if frame is None or self._state is LinkState.CLOSED:
            return
        if status:
            self._refuse(frame, status)
        else:
            named = f"{frame.fields[ucp.ADC]}:{message_id}" if message_id else ""
            self._out.append(ucp.positive(frame, named))
        self._unbind_when_drained()

    def deliver(self, sm: Frame, tag: int, now: float) -> None:
        """Send an operation 52 or 53; the caller has checked `credit`. `sm.number` is set here."""
        number = self._numbers.take()
        self._out.append(ucp.encode(sm._replace(number=number)))
        self._delivering[number] = now, tag
        self._operations[number] = sm.operation

    # ---- what the account says

    def _hear(self, body: bytes, events: list[ServerEvent]) -> None:
        frame = ucp.decode(body)
        if frame.result:
            self._on_result(frame, events)
        else:
            self._on_operation(frame, events)

    def _on_operation(self, frame: Frame, events: list[ServerEvent]) -> None:
        operation = frame.operation
        if operation not in ucp.OPERATIONS:
            self._refuse(frame, ucp.NOT_SUPPORTED)
            events.append(Noted("unknown_command", f"O/{operation:02}"))
        elif len(frame.fields) < len(ucp.NAMES.get(operation, ())):
            self._refuse(frame, ucp.SYNTAX)
            events.append(Noted("bad_pdu", f"O/{operation:02} with {len(frame.fields)} fields"))
        elif operation == ucp.SESSION:
            self._on_login(frame, events)
        elif self._state is LinkState.OPEN and not self._let_in(frame, events):
            return
        elif operation == ucp.ALERT:
            self._out.append(ucp.positive(frame, "0000"))
        elif operation == ucp.LIST:
            self._out.append(ucp.positive(frame))
        elif operation not in _SUBMITS:
            self._refuse(frame, ucp.NOT_ALLOWED)
        elif len(self._tickets) >= self._options.most_submits:
            self._refuse(frame, THROTTLED)
            events.append(Noted("refused_submit", "too many wait for their results"))
        else:
            self._submitted(frame, frame, events)

    def _on_login(self, frame: Frame, events: list[ServerEvent]) -> None:
        if self._state is not LinkState.OPEN:
            self._refuse(frame, ucp.NOT_ALLOWED)
            events.append(Noted("second_bind", frame.fields[0]))
            return
        try:
            password = bytes.fromhex(frame.fields[4])
        except ValueError:
            self._refuse(frame, ucp.SYNTAX)
            return
        if self._admitted(Login(frame.fields[0].encode(), password), frame, events):
            self._out.append(ucp.positive(frame, "BIND AUTHENTICATED"))

    def _let_in(self, frame: Frame, events: list[ServerEvent]) -> bool:
        """Whoever speaks without a login is in, if he may."""
        return self._admitted(Login(b"", b""), frame, events)

    def _admitted(self, who: Login, frame: Frame, events: list[ServerEvent]) -> bool:
        self._enter(Step.BIND)
        status = self._admit(who)
        name = who.system_id.decode("utf-8", "backslashreplace")
        if status:
            self._refuse(frame, status)
            self._turned_away(name, status, codes.text_of(status), events)
            return False
        self._attached(name, BindMode.TRANSCEIVER, events)
        return True

    def _on_result(self, frame: Frame, events: list[ServerEvent]) -> None:
        number = frame.number
        if self._operations.get(number) != frame.operation:
            events.append(Noted("unknown_response", f"R/{frame.operation:02}, number {number:02}"))
            return
        status = 0
        if frame.fields[:1] != ("A",):
            status = codes.number(frame.fields[1]) if len(frame.fields) > 1 else -1
            status = status if status > 0 else ucp.SYNTAX
        self._delivered(number, status, events)

    def _answer_broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        if not error.command & ucp.RESULT:
            text = codes.text_of(error.status)
            self._out.append(ucp.negative(error.sequence, error.command, error.status, text))

    # ---- what time brings

    def _tick_bound(self, now: float, events: list[ServerEvent]) -> None:
        if self._ended:
            self._close("stopped", events)
            return
        super()._tick_bound(now, events)
        self._numbers.wake(now)

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never)."""
        if self._state is LinkState.CLOSED:
            return inf
        if self._ended:
            return self._now
        return min(super().deadline(), self._numbers.deadline())

    def _drained_too_long(self, events: list[ServerEvent]) -> None:
        self._close("stopped before everything was answered", events)

    # ---- small things

    def _refuse(self, frame: Frame, code: int) -> None:
        text = codes.text_of(code)
        self._out.append(ucp.negative(frame.number, frame.operation, code, text))

    def _free(self, number: int, *, answered: bool) -> None:
        super()._free(number, answered=answered)
        del self._operations[number]
        if answered:
            self._numbers.give_back(number)
        else:
            self._numbers.expire(number, self._now)

    def _enquire(self, now: float) -> None:
        """An SMSC asks nothing."""

    def _unbind(self) -> None:
        self._ended = True
