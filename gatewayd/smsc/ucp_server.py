"""One UCP/EMI session with a large account, we being the SMSC: the other end of `ucp`.

It speaks the protocol and decides nothing, as `smpp_server`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import ucp_codes as codes
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import Closing, Noted
from gatewayd.smsc.link import LinkState, Step, after
from gatewayd.smsc.server import (
    Attached,
    Delivered,
    ServerEvent,
    ServerOptions,
    Submit,
    TurnedAway,
    Undelivered,
)
from gatewayd.smsc.ucp_frame import Frame
from gatewayd.smsc.ucp_numbers import NUMBERS, Numbers

THROTTLED = 4  # error code by which some SMSCs say that too much comes
BAD_FRAMES = 10  # broken frames before the link is given up
_SUBMITS = frozenset({ucp.CALL_INPUT, ucp.TRANSFER, ucp.SUBMIT})
_OPEN_STATES = frozenset({LinkState.BOUND, LinkState.DRAINING})


class Login(NamedTuple):
    """Who wants in. Both are empty for an account that sends without a login."""

    system_id: bytes
    password: bytes


class UcpServerSession:
    """`admit(login)` answers each login: 0 lets it in, an error code refuses it."""

    def __init__(self, options: ServerOptions, admit: Callable[[Login], int]) -> None:
        self._options = options
        self._admit = admit
        self._framer = ucp.Framer(options.max_pdu)
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        self._numbers = Numbers(options.response_timeout)
        self._window = min(options.window, NUMBERS)
        self._ticket = 0
        self._tickets: dict[int, Frame] = {}
        self._delivering: dict[int, tuple[float, int, int]] = {}  # number: sent at, tag, operation
        self._bad = 0
        self._now = self._entered = 0.0
        self._ended = False  # the next tick closes
        self.system_id = ""  # the account's, once it is in
        self.mode: BindMode | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the account is in."""
        if self._state is not LinkState.BOUND:
            return 0
        return max(0, min(self._window - len(self._delivering), self._numbers.free))

    @property
    def unanswered(self) -> int:
        """Submits that wait for `answer` or `forget`."""
        return len(self._tickets)

    # ---- what its owner does

    def start(self, now: float) -> None:
        """The link is up; the account speaks first."""
        self._now = self._entered = now

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
        self._end_when_drained()

    def forget(self, ticket: int) -> None:
        """This submit will never get a result."""
        self._tickets.pop(ticket, None)
        self._end_when_drained()

    def deliver(self, sm: Frame, tag: int, now: float) -> None:
        """Send an operation 52 or 53; the caller has checked `credit`. `sm.number` is set here."""
        number = self._numbers.take()
        self._out.append(ucp.encode(sm._replace(number=number)))
        self._delivering[number] = now, tag, sm.operation

    def stop(self, now: float) -> None:
        """Deliver no more, wait for the results under way, then close."""
        self._now = now
        if self._state is LinkState.BOUND:
            self._enter(Step.STOP)
        self._end_when_drained()

    def connection_lost(self, now: float) -> Sequence[ServerEvent]:
        """The link is down: what was not answered comes back."""
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._tickets.clear()
        lost = [Undelivered(tag, "link lost") for _, tag, _ in self._delivering.values()]
        self._delivering.clear()
        return lost

    def take_bytes(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the account says

    def receive(self, data: bytes, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        if self._state is LinkState.CLOSED:
            return events
        self._now = now
        framer = self._framer
        for body in framer.feed(data, now):
            try:
                frame = ucp.decode(body)
                if frame.result:
                    self._on_result(frame, events)
                else:
                    self._on_operation(frame, events)
            except PeerError as error:
                self._broken(error, events)
            if self.state is LinkState.CLOSED:
                return events
        if framer.broken is not None:
            events.append(Noted("bad_pdu", str(framer.broken)))
            self._close(str(framer.broken), events)
        return events

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
            self._ticket += 1
            self._tickets[self._ticket] = frame
            events.append(Submit(self._ticket, frame))

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
            events.append(TurnedAway(name, status))
            self._close(f"login refused: {codes.text_of(status)}", events)
            return False
        self._enter(Step.BOUND)
        self.system_id, self.mode = name, BindMode.TRANSCEIVER
        events.append(Attached(name, self.mode))
        return True

    def _on_result(self, frame: Frame, events: list[ServerEvent]) -> None:
        number = frame.number
        found = self._delivering.get(number)
        if found is None or found[2] != frame.operation:
            events.append(Noted("unknown_response", f"R/{frame.operation:02}, number {number:02}"))
            return
        del self._delivering[number]
        self._numbers.give_back(number)
        sent, tag, _ = found
        status = 0
        if frame.fields[:1] != ("A",):
            status = codes.number(frame.fields[1]) if len(frame.fields) > 1 else -1
            status = status if status > 0 else ucp.SYNTAX
        events.append(Delivered(tag, status, self._now - sent))
        self._end_when_drained()

    def _broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        events.append(Noted("bad_pdu", str(error)))
        if not error.command & ucp.RESULT:
            text = codes.text_of(error.status)
            self._out.append(ucp.negative(error.sequence, error.command, error.status, text))
        self._bad += 1
        if self._bad > BAD_FRAMES:
            self._close("too many broken frames", events)

    # ---- what time brings

    def tick(self, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        self._now = now
        options = self._options
        if self._state is LinkState.CLOSED:
            return events
        if self._ended:
            self._close("stopped", events)
        elif now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a frame was begun and not ended", events)
        elif self._state in _OPEN_STATES:
            limit = now - options.response_timeout
            for number, (sent, tag, _) in list(self._delivering.items()):
                if sent > limit:
                    break  # they were sent in this order
                del self._delivering[number]
                self._numbers.expire(number, now)
                events.append(Undelivered(tag, "no result in time"))
            self._numbers.wake(now)
            if self._state is LinkState.DRAINING and now >= self._entered + options.unbind_timeout:
                self._close("stopped before everything was answered", events)
        return events

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never). An account may take its time to log in:
        it is in without one as soon as it says anything."""
        options = self._options
        if self._state is LinkState.CLOSED:
            return inf
        if self._ended:
            return self._now
        due = min(
            self._framer.partial_since + options.partial_pdu_timeout, self._numbers.deadline()
        )
        if self._state is LinkState.DRAINING:
            due = min(due, self._entered + options.unbind_timeout)
        for sent, _, _ in self._delivering.values():
            return min(due, sent + options.response_timeout)
        return due

    # ---- small things

    def _refuse(self, frame: Frame, code: int) -> None:
        text = codes.text_of(code)
        self._out.append(ucp.negative(frame.number, frame.operation, code, text))

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now

    def _end_when_drained(self) -> None:
        if self._state is LinkState.DRAINING and not self._tickets and not self._delivering:
            self._ended = True

    def _close(self, reason: str, events: list[ServerEvent]) -> None:
        self._state = after(self._state, Step.LOST)
        events.append(Closing(reason))
