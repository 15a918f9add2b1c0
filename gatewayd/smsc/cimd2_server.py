"""One CIMD2 session with an ESME, we being the SMSC: the other end of `cimd2`.

The life of the session is in `server_session`. Messages are packets, whose number does not matter;
statuses are error codes (parameter 900), 0 meaning none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gatewayd.config.model import BindMode
from gatewayd.errors import PeerError
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_frame import NUMBERS, Framer, Packet, decode, encode
from gatewayd.smsc.contract import Noted
from gatewayd.smsc.link import LinkState, Step
from gatewayd.smsc.server import Credentials, ServerEvent, ServerOptions
from gatewayd.smsc.server_session import BAD_PDUS, OPEN_STATES, SmscSession

GREETING = b"CIMD2-A ConnectionInfo: SessionId = 1 PortId = 1 AccessType = TCPIP_SOCKET PIN = 0\n"
CONGESTION = 10  # error code
BAD_PACKETS = BAD_PDUS


class Login(NamedTuple):
    """Who wants to log in."""

    system_id: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Login(system_id={self.system_id!r}, password=<secret>)"


class Cimd2ServerSession(SmscSession):
    """`admit(credentials)` answers each login: 0 lets it in, any other error code refuses it."""

    PDU = "packet"

    def __init__(self, options: ServerOptions, admit: Callable[[Credentials], int]) -> None:
        super().__init__(options, Framer())
        self._admit = admit
        self._number = NUMBERS - 2  # the last one used
        self._expected = 1  # of the ESME's next request

    # ---- what its owner does

    def start(self, now: float) -> None:
        """The link is up: greet, as some SMSCs do; the ESME then logs in."""
        super().start(now)
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

    def deliver(self, sm: Packet, tag: int, now: float) -> None:
        """Send a delivery or a status report; the caller has checked `credit`.

        `Delivered` or `Undelivered` with `tag` follows. `UsageError` when it fits no packet.
        """
        number = self._next()
        self._out.append(encode(sm._replace(number=number)))
        self._delivering[number] = now, tag

    # ---- what the ESME says

    def _hear(self, frame: bytes | PeerError, events: list[ServerEvent]) -> None:
        if isinstance(frame, PeerError):
            raise frame
        self._handle(decode(frame), events)

    def _handle(self, packet: Packet, events: list[ServerEvent]) -> None:
        operation, number = packet.operation, packet.number
        if operation == frames.LOGIN:
            self._on_login(packet, events)
            return
        if operation < frames.RESPONSE:
            if self._state not in OPEN_STATES:
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
        elif operation == frames.ALIVE_RESP and self._lives(number + 1, events):
            return
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
            self._turned_away(system_id, status, statuses.TEXTS.get(status, f"{status}"), events)
            return
        asked = statuses.number_of(packet.get(frames.WINDOW))
        self._window = max(1, min(asked, self._options.window))
        granted = ((frames.WINDOW, b"%d" % self._window),) if asked > 1 else ()
        self._send(frames.LOGIN_RESP, packet.number, *granted)
        self._expected = 3
        self._attached(system_id, BindMode.TRANSCEIVER, events)

    def _on_submit(self, packet: Packet, events: list[ServerEvent]) -> None:
        if len(self._tickets) >= self._options.most_submits:
            self._send(frames.SUBMIT_RESP, packet.number, *_error(CONGESTION))
            events.append(Noted("refused_submit", statuses.TEXTS[CONGESTION]))
            return
        what = packet.number, packet.get(frames.DESTINATION)
        self._submitted(what, packet, events)

    def _on_answer(self, packet: Packet, status: int, events: list[ServerEvent]) -> None:
        if not self._delivered(packet.number, status, events):
            events.append(Noted("unknown_response", f"{packet.operation:02}, {packet.number:03}"))

    def _answer_broken(self, error: PeerError, events: list[ServerEvent]) -> None:
        if error.command != frames.NACK:
            self._send(frames.NACK, self._expected)

    # ---- small things

    def _send(self, operation: int, number: int, *parameters: tuple[int, bytes]) -> None:
        self._out.append(encode(Packet(operation, number % 1000, parameters)))

    def _next(self) -> int:
        """The next even number that no delivery waits under."""
        while True:
            self._number = (self._number + 2) % NUMBERS
            if self._number not in self._delivering:
                return self._number

    def _enquire(self, now: float) -> None:
        number = self._next()
        self._alive.asked(number + 1, now)  # number 000 would mean that none waits
        self._send(frames.ALIVE, number)

    def _unbind(self) -> None:
        self._enter(Step.UNBIND)
        self._send(frames.LOGOUT, self._next())


def _error(status: int) -> tuple[tuple[int, bytes], ...]:
    text = statuses.TEXTS.get(status, "Error")
    return (frames.ERROR, b"%03d" % min(status, 999)), (frames.ERROR_TEXT, text.encode())
