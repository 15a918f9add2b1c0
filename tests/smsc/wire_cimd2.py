"""The SMSC's side of CIMD2, as octets, for the contract suite; see `wire_smpp`."""

from __future__ import annotations

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Outcome
from gatewayd.smsc import cimd2_frame as wire
from gatewayd.smsc.cimd2_frame import Framer, Packet
from gatewayd.smsc.contract import SessionOptions, Submitted

_ERRORS = {
    Outcome.RETRY: b"006",
    Outcome.THROTTLED: b"010",
    Outcome.DEAD: b"300",
}


def options(window: int) -> SessionOptions:
    bind = BindConfig("a/0")
    smpp = SmppOptions(system_id="u", password=Secret("p"), enquire_interval=30.0)
    smsc = SmscConfig("a", "a", protocol="cimd2", binds=(bind,), window=window, smpp=smpp)
    return SessionOptions(smsc, bind)


def answer_bind(written: bytes, outcome: Outcome) -> bytes:
    login = wire.decode(written)
    refusal = ((wire.ERROR, b"100"),) if outcome is Outcome.DEAD else ()
    return wire.encode(Packet(wire.LOGIN_RESP, login.number, refusal))


def answer_submit(written: bytes, outcome: Outcome) -> bytes:
    submit = wire.decode(written)
    if outcome is Outcome.DONE:
        number = submit.get(wire.DESTINATION)
        told = ((wire.DESTINATION, number), (wire.TIMESTAMP, b"261121221500"))
        return wire.encode(Packet(wire.SUBMIT_RESP, submit.number, told))
    refusal = ((wire.ERROR, _ERRORS[outcome]),)
    return wire.encode(Packet(wire.SUBMIT_RESP, submit.number, refusal))


def deliver(number: int, text: str) -> bytes:
    return wire.encode(
        Packet(
            wire.DELIVER,
            2 * number,
            (
                (wire.DESTINATION, b"12345"),
                (wire.ORIGIN, b"+258841234567"),
                (wire.TIMESTAMP, b"261121221501"),
                (wire.TEXT, text.encode("ascii")),
            ),
        )
    )


def receipt(number: int, submitted: Submitted) -> bytes:
    return wire.encode(
        Packet(
            wire.REPORT,
            2 * number,
            (
                (wire.DESTINATION, submitted.segment.destination.encode()),
                (wire.TIMESTAMP, b"261121221500"),
                (wire.STATUS, b"4"),
            ),
        )
    )


def was_taken(written: bytes) -> bool:
    """No answer at all, and one with an error, both leave the message with the SMSC."""
    found = Framer().feed(written)
    if not found:
        return False
    (frame,) = found
    assert isinstance(frame, bytes)
    packet = wire.decode(frame)
    assert packet.operation in (wire.DELIVER_RESP, wire.REPORT_RESP)
    return not packet.has(wire.ERROR)


def frames() -> list[bytes]:
    return [
        deliver(1, "hello"),
        wire.encode(Packet(wire.ALIVE, 2)),
        wire.encode(Packet(wire.LOGOUT, 4)),
        wire.encode(Packet(wire.SUBMIT_RESP, 5, ((wire.TIMESTAMP, b"261121221500"),))),
        wire.encode(Packet(wire.NACK, 3)),
        wire.encode(Packet(wire.GENERAL_ERROR, 7, ((wire.ERROR, b"006"),))),
    ]
