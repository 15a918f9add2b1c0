"""What an SMSC asks of us: each delivery taken in once, and answered once it is settled."""

from __future__ import annotations

from dataclasses import dataclass

from gatewayd.model import Outcome
from gatewayd.smsc import cimd2_frame as frames
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_frame import NUMBERS, Packet
from gatewayd.smsc.cimd2_in import Inward
from gatewayd.smsc.cimd2_out import Outward
from gatewayd.smsc.contract import Event, Noted, Receipted, Received

SOONEST_REPEAT = 1.0  # seconds; an SMSC repeats what stays unanswered, but never sooner than this


@dataclass(slots=True)
class _Last:
    frame: bytes
    at: float
    ticket: int  # 0: it is answered
    answer: bytes = b""


class Deliveries:
    """The SMSC's requests: their numbers (000, 002 ... 254), and the tickets of those that wait.

    A repetition has the number and the octets of the delivery before it; so an SMSC that does not
    count loses no message.
    """

    __slots__ = ("_inward", "_last", "_outward", "_started", "_ticket", "_tickets", "expected")

    def __init__(
        self, inward: Inward, outward: Outward, tickets: dict[int, tuple[int, int]]
    ) -> None:
        self._inward = inward
        self._outward = outward
        self.expected = 0  # number of the next request
        self._started = False
        self._last: _Last | None = None
        self._tickets = tickets  # those that wait: operation and number
        self._ticket = 0

    def came(self, number: int) -> bool:
        """Whether a request's number is not in order: neither the next one nor the last again.

        The first may be any even number. A gap is no reason to refuse a message.
        """
        expected = self.expected
        gap = number % 2 == 1 or number >= NUMBERS
        if self._started and number not in (expected, (expected - 2) % NUMBERS):
            gap = True
        if not gap or number % 2 == 0:
            self.expected = (number + 2) % NUMBERS
        self._started = True
        return gap

    def take(self, packet: Packet, frame: bytes, now: float, events: list[Event]) -> bytes:
        """Tell of a message or a status report; what is to be written at once comes back."""
        last = self._last
        if last is not None and last.frame == frame and now >= last.at + SOONEST_REPEAT:
            events.append(Noted("repeated_packet", f"{packet.number:03}"))
            return last.answer
        ticket = self._ticket + 1
        if packet.operation == frames.REPORT:
            events.append(Receipted(ticket, self._inward.report(packet)))
        else:
            notes: list[Noted] = []
            inbound = self._inward.message(packet, notes)
            events += notes
            if inbound is None:
                answer = self._outward.packet(frames.DELIVER_RESP, packet.number)
                self._last = _Last(frame, now, 0, answer)
                return answer
            events.append(Received(ticket, inbound))
        self._ticket = ticket
        self._tickets[ticket] = packet.operation, packet.number
        self._last = _Last(frame, now, ticket)
        return b""

    def answer(self, ticket: int, outcome: Outcome) -> bytes | None:
        """What is to be written; b"" for what shall come again, None when no such ticket waits.

        There is no "later" in CIMD2: only what stays unanswered is delivered again.
        """
        operation, number = self._tickets.pop(ticket, (0, 0))
        if not operation:
            return None
        answer = b""
        if outcome in (Outcome.DONE, Outcome.DEAD):
            refusal = statuses.error(statuses.OPERATION_FAILED) if outcome is Outcome.DEAD else ()
            answer = self._outward.packet(operation + frames.RESPONSE, number, *refusal)
        last = self._last
        if last is not None and last.ticket == ticket:
            if answer:
                last.ticket, last.answer = 0, answer
            else:
                self._last = None
        return answer

    def forget(self) -> None:
        """The link is gone, and its tickets with it."""
        self._tickets.clear()
        self._last = None
