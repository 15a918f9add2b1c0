"""The SMSC's side of SMPP, as octets, for the contract suite.

A protocol joins the suite by a file `wire_<protocol>.py` with these functions. `written` is what
the session wrote last: one bind, or one submit.
"""

from __future__ import annotations

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Outcome
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import SessionOptions, Submitted

_STATUSES = {
    Outcome.DONE: 0x00,
    Outcome.RETRY: 0x08,
    Outcome.THROTTLED: 0x58,
    Outcome.DEAD: 0x0B,
}


def options(window: int) -> SessionOptions:
    """A transmitting and receiving bind; a silent SMSC has to be noticed in the end."""
    bind = BindConfig("a/0")
    smpp = SmppOptions(system_id="u", password=Secret("p"), enquire_interval=30.0)
    return SessionOptions(SmscConfig("a", "a", binds=(bind,), window=window, smpp=smpp), bind)


def answer_bind(written: bytes, outcome: Outcome) -> bytes:
    """DONE, or DEAD for wrong credentials."""
    bind = pdus.decode(written)
    status = 0 if outcome is Outcome.DONE else 0x0E
    return pdus.encode(pdus.BindResp(bind.command | pdus.RESPONSE, status, bind.sequence, b"S"))


def answer_submit(written: bytes, outcome: Outcome) -> bytes:
    sequence = pdus.decode(written).sequence
    message_id = b"5f1c%d" % sequence if outcome is Outcome.DONE else b""
    return pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, _STATUSES[outcome], sequence, message_id)


def deliver(number: int, text: str) -> bytes:
    """An MO from 258841234567 to 12345; `number` tells it from others."""
    return _deliver(number, text.encode("ascii"), esm_class=0)


def receipt(number: int, submitted: Submitted) -> bytes:
    """The segment was delivered."""
    return _deliver(number, b"id:%b stat:DELIVRD err:000" % submitted.smsc_id.encode(), esm_class=4)


def _deliver(number: int, text: bytes, esm_class: int) -> bytes:
    return pdus.encode_sm(
        pdus.Sm(
            command=pdus.DELIVER_SM,
            sequence=number,
            source_ton=1,
            source_npi=1,
            source=b"258841234567",
            destination=b"12345",
            esm_class=esm_class,
            short_message=text,
        )
    )


def was_taken(written: bytes) -> bool:
    """Whether the session's answer to `deliver` or `receipt` says that the message is taken."""
    answer = pdus.decode(written)
    assert isinstance(answer, pdus.SmResp)
    return answer.status == 0


def frames() -> list[bytes]:
    """Good frames of every kind an SMSC sends, to make garbage of."""
    return [
        deliver(1, "hello"),
        pdus.encode_plain(pdus.ENQUIRE_LINK, 0, 2),
        pdus.encode_plain(pdus.UNBIND, 0, 3),
        pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, 0, 2, b"id"),
        pdus.encode_plain(pdus.GENERIC_NACK, 3, 2),
    ]
