"""One CIMD2 session with an ESME, we being the SMSC: the other end of `cimd2`.

It speaks the protocol and decides nothing; see `server.ServerSession`. Messages are packets, whose
number does not matter; statuses are error codes (parameter 900), 0 meaning none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_frame import NUMBERS, Framer, Packet, decode, encode
from gatewayd.smsc.contract import Alive, Closing, Noted
from gatewayd.smsc.link import KeepAlive, LinkState, Pulse, Step, after
from gatewayd.smsc.server import (
    Attached,
    Credentials,
    Delivered,
    ServerEvent,
    ServerOptions,
    Submit,
    TurnedAway,
    Undelivered,
)

GREETING = b"CIMD2-A ConnectionInfo: SessionId = 1 PortId = 1 AccessType = TCPIP_SOCKET PIN = 0\n"
CONGESTION = 10  # error code
BAD_PACKETS = 10  # broken packets before the link is given up

_BOUND = frozenset({LinkState.BOUND, LinkState.DRAINING})


class Login(NamedTuple):
    """Who wants to log in."""

    system_id: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Login(system_id={self.system_id!r}, password=<secret>)"


class Cimd2ServerSession:
    """`admit(credentials)` answers each login: 0 lets it in, any other error code refuses it."""

    def __init__(self, options: ServerOptions, admit: Callable[[Credentials], int]) -> None:
        self._options = options
        self._admit = admit
        self._framer = Framer()
        self._alive = KeepAlive(options.enquire_interval, options.enquire_timeout, 2)
        self._out: list[bytes] = []
        self._state = LinkState.OPEN
        self._window = 1
        self._number = NUMBERS - 2  # the last one used
        self._expected = 1  # of the ESME's next request
        self._ticket = 0
        self._tickets: dict[int, tuple[int, bytes]] = {}  # ticket: number and destination
        self._delivering: dict[int, tuple[float, int]] = {}  # number: sent at, tag
        self._bad = 0
        self._now = self._entered = 0.0
        self.system_id = ""  # the ESME's, once it is logged in
        self.mode: BindMode | None = None

    @property
    def state(self) -> LinkState:
        return self._state

    @property
    def credit(self) -> int:
        """Room for `deliver`; nought unless the ESME is logged in."""
        return self._window - len(self._delivering) if self._state is LinkState.BOUND else 0

    @property
    def unanswered(self) -> int:
        """Submits that wait for `answer` or `forget`."""
        return len(self._tickets)

    # ---- what its owner does

    def start(self, now: float) -> None:
        """The link is up: greet, as some SMSCs do; the ESME then logs in."""
        self._now = self._entered = self._alive.heard = now
        self._out.append(GREETING)

    def answer(self, ticket: int, status: int, message_id: str = "") -> None:
        """The answer to a `Submit`; `message_id` is the timestamp (060) that names the message."""
        number, destination = self._tickets.pop(ticket, (-1, b""))
        if number < 0 or self._state is LinkState.CLOSED:
            return
        if status:
            self._send(frames.SUBMIT_RESP, number, *_error(status))
        else:
            named = (frames.DESTINATION, destination), (frames.TIMESTAMP, message_id.encode())
            self._send(frames.SUBMIT_RESP, number, *named)
        self._unbind_when_drained()

    def forget(self, ticket: int) -> None:
        """This submit will never be answered."""
        self._tickets.pop(ticket, None)
        self._unbind_when_drained()

    def deliver(self, sm: Packet, tag: int, now: float) -> None:
        """Send a delivery or a status report; the caller has checked `credit`.

        `Delivered` or `Undelivered` with `tag` follows. `UsageError` when it fits no packet.
        """
        number = self._next()
        self._out.append(encode(sm._replace(number=number)))
        self._delivering[number] = now, tag

    def stop(self, now: float) -> None:
        """Deliver no more, wait for the answers under way, then log the ESME out."""
        self._now = now
        if self._state is LinkState.BOUND:
            self._enter(Step.STOP)
            self._unbind_when_drained()

    def connection_lost(self, now: float) -> Sequence[ServerEvent]:
        """The link is down: what was not answered comes back."""
        self._now = now
        self._state = after(self._state, Step.LOST)
        self._tickets.clear()
        lost = [Undelivered(tag, "link lost") for _, tag in self._delivering.values()]
        self._delivering.clear()
        return lost

    def take_bytes(self) -> bytes:
        data = b"".join(self._out)
        self._out.clear()
        return data

    # ---- what the ESME says

    def receive(self, data: bytes, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        if self.state is LinkState.CLOSED:
            return events
        self._now = now
        for frame in self._framer.feed(data, now):
            self._alive.heard = now
            try:
                if isinstance(frame, PeerError):
                    raise frame
                self._handle(decode(frame), events)
            except PeerError as error:
                self._broken(error, events)
            if self._state is LinkState.CLOSED:
                return events
        return events

    def _handle(self, packet: Packet, events: list[ServerEvent]) -> None:
        operation, number = packet.operation, packet.number
        if operation == frames.LOGIN:
            self._on_login(packet, events)
            return
        if operation < frames.RESPONSE:
            if self._state not in _BOUND:
                self._send(frames.GENERAL_ERROR, number, *_error(statuses.UNEXPECTED))
                events.append(Noted("refused_submit", "not logged in"))
                return
            self._expected = (number + 2) % NUMBERS | 1
        if operation == frames.SUBMIT:
            self._on_submit(packet, events)
        elif operation == frames.ALIVE:
            self._send(frames.ALIVE_RESP, number)
        elif operation == frames.LOGOUT:
            self._send(frames.LOGOUT_RESP, number)
            self._close("the ESME logged out", events)
        elif operation in (frames.DELIVER_RESP, frames.REPORT_RESP):
            self._on_answer(packet, statuses.error_of(packet), events)
        elif operation == frames.ALIVE_RESP and self._alive.answered(number + 1):
            events.append(Alive(self._now - self._alive.asked_at))
        elif operation == frames.LOGOUT_RESP and self._state is LinkState.UNBINDING:
            self._close("logged out", events)
        elif operation == frames.GENERAL_ERROR:
            self._on_answer(packet, statuses.error_of(packet) or statuses.UNEXPECTED, events)
        elif operation < frames.RESPONSE:
            self._send(operation + frames.RESPONSE, number, *_error(statuses.UNEXPECTED))
            events.append(Noted("unknown_command", f"{operation:02}"))
        else:
            events.append(Noted("unknown_response", f"{operation:02}, number {number:03}"))

    def _on_login(self, packet: Packet, events: list[ServerEvent]) -> None:
        login = Login(packet.get(frames.USER), packet.get(frames.PASSWORD))
        system_id = login.system_id.decode("utf-8", "backslashreplace")
        if self._state is not LinkState.OPEN:
            self._send(frames.LOGIN_RESP, packet.number, *_error(statuses.UNEXPECTED))
            events.append(Noted("second_bind", system_id))
            return
        self._enter(Step.BIND)
        status = self._admit(login)
        if status:
            self._send(frames.LOGIN_RESP, packet.number, *_error(status))
            events.append(TurnedAway(system_id, status))
            self._close(f"login refused: {statuses.TEXTS.get(status, status)}", events)
            return
        asked = statuses.number_of(packet.get(frames.WINDOW))
        self._window = max(1, min(asked, self._options.window))
        granted = ((frames.WINDOW, b"%d" % self._window),) if asked > 1 else ()
        self._send(frames.LOGIN_RESP, packet.number, *granted)
        self._enter(Step.BOUND)
        self._expected = 3
        self._alive.asked_at = self._now
        self.system_id, self.mode = system_id, BindMode.TRANSCEIVER
        events.append(Attached(system_id, self.mode))

    def _on_submit(self, packet: Packet, events: list[ServerEvent]) -> None:
        if len(self._tickets) >= self._options.most_submits:
            self._send(frames.SUBMIT_RESP, packet.number, *_error(CONGESTION))
            events.append(Noted("refused_submit", statuses.TEXTS[CONGESTION]))
            return
        self._ticket += 1
        self._tickets[self._ticket] = packet.number, packet.get(frames.DESTINATION)
        events.append(Submit(self._ticket, packet))

    def _on_answer(self, packet: Packet, status: int, events: list[ServerEvent]) -> None:
        found = self._delivering.pop(packet.number, None)
        if found is None:
            events.append(Noted("unknown_response", f"{packet.operation:02}, {packet.number:03}"))
            return
        sent, tag = found
        events.append(Delivered(tag, status, self._now - sent))
        self._unbind_when_drained()

    def _broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        events.append(Noted("bad_pdu", str(error)))
        if error.command != frames.NACK:
            self._send(frames.NACK, self._expected)
        self._bad += 1
        if self._bad > BAD_PACKETS:
            self._close("too many broken packets", events)

    # ---- what time brings

    def tick(self, now: float) -> Sequence[ServerEvent]:
        events: list[ServerEvent] = []
        self._now = now
        options = self._options
        state = self._state
        if state is LinkState.CLOSED:
            return events
        if now >= self._framer.partial_since + options.partial_pdu_timeout:
            self._close("a packet was begun and not ended", events)
        elif state is LinkState.OPEN:
            if now >= self._entered + options.bind_timeout:
                self._close("no login came", events)
        elif state is LinkState.UNBINDING:
            if now >= self._entered + options.unbind_timeout:
                self._close("no answer to the logout", events)
        else:
            self._tick_bound(now, events)
        return events

    def _tick_bound(self, now: float, events: list[ServerEvent]) -> None:
        limit = now - self._options.response_timeout
        for number, (sent, tag) in list(self._delivering.items()):
            if sent > limit:
                break  # they were sent in this order
            del self._delivering[number]
            events.append(Undelivered(tag, "no answer in time"))
        if self._state is LinkState.DRAINING:
            if now >= self._entered + self._options.unbind_timeout:
                self._unbind()
            else:
                self._unbind_when_drained()
            return
        pulse = self._alive.check(now)
        if pulse is Pulse.DEAD:
            self._close("alive was not answered", events)
        elif pulse is Pulse.ASK:
            number = self._next()
            self._alive.asked(number + 1, now)  # number 000 would mean that none waits
            self._send(frames.ALIVE, number)

    def deadline(self) -> float:
        """When `tick` next has work to do (`inf`: never)."""
        options = self._options
        due = self._framer.partial_since + options.partial_pdu_timeout
        if self._state is LinkState.CLOSED:
            return inf
        if self._state is LinkState.OPEN:
            return min(due, self._entered + options.bind_timeout)
        if self._state in (LinkState.UNBINDING, LinkState.DRAINING):
            due = min(due, self._entered + options.unbind_timeout)
        else:
            due = min(due, self._alive.deadline())
        for sent, _ in self._delivering.values():
            return min(due, sent + options.response_timeout)
        return due

    # ---- small things

    def _send(self, operation: int, number: int, *parameters: tuple[int, bytes]) -> None:
        self._out.append(encode(Packet(operation, number % 1000, parameters)))

    def _next(self) -> int:
        """The next even number that no delivery waits under."""
        while True:
            self._number = (self._number + 2) % NUMBERS
            if self._number not in self._delivering:
                return self._number

    def _enter(self, step: Step) -> None:
        self._state = after(self._state, step)
        self._entered = self._now

    def _unbind_when_drained(self) -> None:
        if self._state is LinkState.DRAINING and not self._delivering and not self._tickets:
            self._unbind()

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._send(frames.LOGOUT, self._next())

    def _close(self, reason: str, events: list[ServerEvent]) -> None:
        self._state = after(self._state, Step.LOST)
        events.append(Closing(reason))


def _error(status: int) -> tuple[tuple[int, bytes], ...]:
    text = statuses.TEXTS.get(status, "Error")
    return (frames.ERROR, b"%03d" % min(status, 999)), (frames.ERROR_TEXT, text.encode())
