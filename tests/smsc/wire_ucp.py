"""The SMSC's side of UCP/EMI, as octets, for the contract suite (see wire_smpp.py)."""

from __future__ import annotations

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import SMSC_ID_KEY, Outcome
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import SessionOptions, Submitted

_CODES = {Outcome.RETRY: 55, Outcome.THROTTLED: 4, Outcome.DEAD: 6}


def options(window: int) -> SessionOptions:
    """A transmitting and receiving bind; a silent SMSC has to be noticed in the end."""
    bind = BindConfig("a/0")
    smpp = SmppOptions(system_id="4545", password=Secret("p"), enquire_interval=30.0)
    smsc = SmscConfig(
        "a",
        "a",
        protocol="ucp",
        binds=(bind,),
        window=window,
        options=("throttling=4",),
        smpp=smpp,
    )
    return SessionOptions(smsc, bind)


def read(written: bytes) -> ucp.Frame:
    """The one frame in `written`."""
    (body,) = ucp.Framer().feed(written)
    return ucp.decode(body)


def operation(number: int, code: int, **fields: str) -> bytes:
    """An operation with 33 fields."""
    made = [fields.pop(name, "") for name in ucp.FIELDS_5X]
    assert not fields
    return ucp.encode(ucp.Frame(number, False, code, tuple(made)))


def answer_bind(written: bytes, outcome: Outcome) -> bytes:
    """DONE, or DEAD for wrong credentials."""
    login = read(written)
    if outcome is Outcome.DONE:
        return ucp.positive(login, "BIND AUTHENTICATED")
    return ucp.negative(login.number, login.operation, 7, "Authentication failure")


def answer_submit(written: bytes, outcome: Outcome) -> bytes:
    submit = read(written)
    if outcome is Outcome.DONE:
        return ucp.positive(submit, f"{submit.fields[ucp.ADC]}:2111262215{submit.number:02}")
    return ucp.negative(submit.number, submit.operation, _CODES[outcome], "no")


def deliver(number: int, text: str) -> bytes:
    """An MO from 258841234567 to 12345; `number` tells it from others."""
    return operation(
        number,
        ucp.DELIVER,
        AdC="12345",
        OAdC="258841234567",
        SCTS="211126221502",
        MT="3",
        Msg=text.encode("ascii").hex().upper(),
    )


def receipt(number: int, submitted: Submitted) -> bytes:
    """The segment was delivered."""
    return operation(
        number,
        ucp.NOTIFY,
        AdC=submitted.segment.source,
        OAdC=submitted.segment.destination,
        SCTS=submitted.smsc_id.partition(SMSC_ID_KEY)[0],
        Dst="0",
        Rsn="000",
        MT="3",
        Msg="64656C697665726564",
    )


def was_taken(written: bytes) -> bool:
    """Whether the session's answer to `deliver` or `receipt` says that the message is taken."""
    return bool(written) and read(written).fields[0] == "A"


def frames() -> list[bytes]:
    """Good frames of every kind an SMSC sends, to make garbage of."""
    return [
        deliver(1, "hello"),
        ucp.encode(ucp.Frame(2, False, ucp.ALERT, ("4545", "0539"))),
        ucp.encode(ucp.Frame(3, True, ucp.SUBMIT, ("A", "", "258840000001:211126221500"))),
        ucp.negative(2, ucp.SUBMIT, 4, "Operation not allowed"),
        operation(4, ucp.NOTIFY, AdC="12345", OAdC="258840000001", SCTS="211126221500", Dst="0"),
        ucp.encode(ucp.Frame(5, False, ucp.CALL_INPUT, ("12345", "2588", "", "3", "41"))),
    ]
