"""The PDUs of SMPP 3.4 as `smpp_pdu` makes them, and the numbers that stand in them.

Numbers stay numbers and strings stay bytes: what a field means is the business of others.
"""

from __future__ import annotations

from typing import ClassVar, Final

from msgspec import Struct

# Command ids, SMPP 3.4, 5.1.2.1
GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x01
BIND_TRANSMITTER: Final = 0x02
SUBMIT_SM: Final = 0x04
DELIVER_SM: Final = 0x05
UNBIND: Final = 0x06
BIND_TRANSCEIVER: Final = 0x09
OUTBIND: Final = 0x0B
ENQUIRE_LINK: Final = 0x15
ALERT_NOTIFICATION: Final = 0x102
DATA_SM: Final = 0x103
RESPONSE: Final = 0x80000000  # the bit that makes a request's id its response's
SUBMIT_SM_RESP: Final = SUBMIT_SM | RESPONSE
DELIVER_SM_RESP: Final = DELIVER_SM | RESPONSE
DATA_SM_RESP: Final = DATA_SM | RESPONSE
UNBIND_RESP: Final = UNBIND | RESPONSE
ENQUIRE_LINK_RESP: Final = ENQUIRE_LINK | RESPONSE

# The statuses that the codec itself finds, SMPP 3.4, 5.1.3
RINVMSGLEN: Final = 0x01
RINVOPTPARSTREAM: Final = 0xC0

# TLV tags, SMPP 3.4, 5.3.2
RECEIPTED_MESSAGE_ID: Final = 0x001E
SAR_MSG_REF_NUM: Final = 0x020C
SAR_TOTAL_SEGMENTS: Final = 0x020E
SAR_SEGMENT_SEQNUM: Final = 0x020F
SC_INTERFACE_VERSION: Final = 0x0210
MS_AVAILABILITY_STATUS: Final = 0x0422
NETWORK_ERROR_CODE: Final = 0x0423
MESSAGE_PAYLOAD: Final = 0x0424
MORE_MESSAGES_TO_SEND: Final = 0x0426
MESSAGE_STATE: Final = 0x0427

LONGEST_STRING: Final = 64  # octets of a C-octet string without its NUL; 3.4 says 5 to 64
LONGEST_ID: Final = 255  # octets of a message_id; 3.4 says 64

Tlvs = list[tuple[int, bytes]]  # in the order of the wire, repetitions kept


class Bind(Struct, frozen=True, gc=False):
    """bind_transmitter, bind_receiver or bind_transceiver (4.1.1, 4.1.3, 4.1.5)."""

    command: int
    sequence: int
    system_id: bytes
    password: bytes
    system_type: bytes = b""
    interface_version: int = 0x34
    addr_ton: int = 0
    addr_npi: int = 0
    address_range: bytes = b""
    status: int = 0

    def __repr__(self) -> str:
        return f"Bind(command={self.command}, system_id={self.system_id!r}, password=<secret>)"


class BindResp(Struct, frozen=True, gc=False):
    """The answer to a bind (4.1.2, 4.1.4, 4.1.6)."""

    command: int
    status: int
    sequence: int
    system_id: bytes = b""
    tlvs: Tlvs = []


class Sm(Struct, frozen=True, gc=False):
    """submit_sm, deliver_sm (4.4.1, 4.6.1) or data_sm (4.7.1), whose missing fields are empty."""

    command: int
    sequence: int
    status: int = 0
    service_type: bytes = b""
    source_ton: int = 0
    source_npi: int = 0
    source: bytes = b""
    dest_ton: int = 0
    dest_npi: int = 0
    destination: bytes = b""
    esm_class: int = 0
    protocol_id: int = 0
    priority: int = 0
    schedule: bytes = b""
    validity: bytes = b""
    registered_delivery: int = 0
    replace_if_present: int = 0
    data_coding: int = 0
    default_msg_id: int = 0
    short_message: bytes = b""
    tlvs: Tlvs = []
    trailing: int = 0  # octets behind the last TLV that make no TLV; they were ignored


class SmResp(Struct, frozen=True, gc=False):
    """submit_sm_resp, deliver_sm_resp or data_sm_resp; b"" when there was no message_id."""

    command: int
    status: int
    sequence: int
    message_id: bytes = b""
    tlvs: Tlvs = []


class Plain(Struct, frozen=True, gc=False):
    """A PDU without a body: enquire_link, unbind, their responses, generic_nack."""

    command: int
    status: int
    sequence: int


class Outbind(Struct, frozen=True, gc=False):
    """The SMSC asks us to bind (4.1.7)."""

    command: ClassVar[int] = OUTBIND
    sequence: int
    system_id: bytes
    password: bytes

    def __repr__(self) -> str:
        return f"Outbind(system_id={self.system_id!r}, password=<secret>)"


class Alert(Struct, frozen=True, gc=False):
    """alert_notification (4.12.1): a handset is there again."""

    command: ClassVar[int] = ALERT_NOTIFICATION
    sequence: int
    source_ton: int
    source_npi: int
    source: bytes
    esme_ton: int
    esme_npi: int
    esme: bytes
    tlvs: Tlvs = []


class Other(Struct, frozen=True, gc=False):
    """Any other PDU, known to SMPP or not, with its body as it came."""

    command: int
    status: int
    sequence: int
    body: bytes


Pdu = Bind | BindResp | Sm | SmResp | Plain | Outbind | Alert | Other
