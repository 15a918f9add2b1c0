"""SMPP bytes to PDUs and back, for both ends of a link.

The PDUs themselves are in `smpp_types`, whose names are this module's too.
`smpp_frame` cuts a stream into the frames that `decode` wants; `smpp_names` has words for them.

Tolerant where operators differ from SMPP 3.4 and nothing is lost by it: C-octet strings may be
longer than the specification says, TLVs may be unknown, repeated or in any PDU, up to three octets
may trail, a response may lack its body. Framing is strict, for an error there spoils all that
follows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from gatewayd.errors import PeerError, UsageError
from gatewayd.smsc.smpp_frame import HEADER_SIZE, RINVCMDLEN
from gatewayd.smsc.smpp_types import (
    ALERT_NOTIFICATION,
    BIND_RECEIVER,
    BIND_TRANSCEIVER,
    BIND_TRANSMITTER,
    DATA_SM,
    DATA_SM_RESP,
    DELIVER_SM,
    DELIVER_SM_RESP,
    ENQUIRE_LINK,
    ENQUIRE_LINK_RESP,
    GENERIC_NACK,
    LONGEST_ID,
    LONGEST_STRING,
    MESSAGE_PAYLOAD,
    MESSAGE_STATE,
    MORE_MESSAGES_TO_SEND,
    MS_AVAILABILITY_STATUS,
    NETWORK_ERROR_CODE,
    OUTBIND,
    RECEIPTED_MESSAGE_ID,
    RESPONSE,
    RINVMSGLEN,
    RINVOPTPARSTREAM,
    SAR_MSG_REF_NUM,
    SAR_SEGMENT_SEQNUM,
    SAR_TOTAL_SEGMENTS,
    SC_INTERFACE_VERSION,
    SUBMIT_SM,
    SUBMIT_SM_RESP,
    UNBIND,
    UNBIND_RESP,
    Alert,
    Bind,
    BindResp,
    Other,
    Outbind,
    Pdu,
    Plain,
    Sm,
    SmResp,
    Tlvs,
)

__all__ = [
    "ALERT_NOTIFICATION",
    "BIND_RECEIVER",
    "BIND_TRANSCEIVER",
    "BIND_TRANSMITTER",
    "DATA_SM",
    "DATA_SM_RESP",
    "DELIVER_SM",
    "DELIVER_SM_RESP",
    "ENQUIRE_LINK",
    "ENQUIRE_LINK_RESP",
    "GENERIC_NACK",
    "LONGEST_ID",
    "LONGEST_STRING",
    "MESSAGE_PAYLOAD",
    "MESSAGE_STATE",
    "MORE_MESSAGES_TO_SEND",
    "MS_AVAILABILITY_STATUS",
    "NETWORK_ERROR_CODE",
    "OUTBIND",
    "RECEIPTED_MESSAGE_ID",
    "RESPONSE",
    "RINVMSGLEN",
    "RINVOPTPARSTREAM",
    "SAR_MSG_REF_NUM",
    "SAR_SEGMENT_SEQNUM",
    "SAR_TOTAL_SEGMENTS",
    "SC_INTERFACE_VERSION",
    "SUBMIT_SM",
    "SUBMIT_SM_RESP",
    "UNBIND",
    "UNBIND_RESP",
    "Alert",
    "Bind",
    "BindResp",
    "Other",
    "Outbind",
    "Pdu",
    "Plain",
    "Sm",
    "SmResp",
    "Tlvs",
    "decode",
    "encode",
    "encode_plain",
    "encode_sm",
    "encode_sm_resp",
    "encode_tlvs",
    "first",
]

_HEADER = struct.Struct(">4L")
_TLV = struct.Struct(">HH")


# ---- decoding


def decode(frame: bytes) -> Pdu:
    """Take apart one PDU as a `Framer` cut it.

    A broken body raises a `PeerError` that is not fatal and carries command, sequence and the
    command_status for an answer.
    """
    size = len(frame)
    if size < HEADER_SIZE:
        raise PeerError(f"a PDU of {size} octets has no header", fatal=True, status=RINVCMDLEN)
    length, command, status, sequence = _HEADER.unpack_from(frame)
    if length != size:
        raise PeerError(
            f"command_length {length} in a PDU of {size} octets", fatal=True, status=RINVCMDLEN
        )
    decoder = _DECODERS.get(command)
    if decoder is None:
        return Other(command, status, sequence, frame[HEADER_SIZE:])
    return decoder(frame, command, status, sequence)


def first(tlvs: Tlvs, tag: int) -> bytes | None:
    """The value of the first TLV with this tag."""
    for known, value in tlvs:
        if known == tag:
            return value
    return None


def _broken(problem: str, command: int, sequence: int, status: int = RINVMSGLEN) -> PeerError:
    return PeerError(problem, fatal=False, command=command, sequence=sequence, status=status)


def _sm(frame: bytes, command: int, status: int, sequence: int) -> Sm:
    # A find that fails gives -1; the later ones then search somewhere harmless.
    find = frame.find
    service = find(0, 16, 81)
    source = find(0, service + 3, service + 68)
    dest = find(0, source + 3, source + 68)
    schedule = find(0, dest + 4, dest + 69)
    validity = find(0, schedule + 1, schedule + 66)
    if service < 0 or source < 0 or dest < 0 or schedule < 0 or validity < 0:
        raise _broken("a string is too long or lacks its NUL", command, sequence)
    text = validity + 6
    if text > len(frame):
        raise _broken("ends before sm_length", command, sequence)
    end = text + frame[validity + 5]
    if end > len(frame):
        raise _broken("sm_length is beyond the end", command, sequence)
    tlvs, trailing = ([], 0) if end == len(frame) else _tlvs(frame, end, command, sequence)
    return Sm(
        command,
        sequence,
        status,
        frame[16:service],
        frame[service + 1],
        frame[service + 2],
        frame[service + 3 : source],
        frame[source + 1],
        frame[source + 2],
        frame[source + 3 : dest],
        frame[dest + 1],
        frame[dest + 2],
        frame[dest + 3],
        frame[dest + 4 : schedule],
        frame[schedule + 1 : validity],
        frame[validity + 1],
        frame[validity + 2],
        frame[validity + 3],
        frame[validity + 4],
        frame[text:end],
        tlvs,
        trailing,
    )


def _data_sm(frame: bytes, command: int, status: int, sequence: int) -> Sm:
    find = frame.find
    service = find(0, 16, 81)
    source = find(0, service + 3, service + 68)
    dest = find(0, source + 3, source + 68)
    if service < 0 or source < 0 or dest < 0:
        raise _broken("a string is too long or lacks its NUL", command, sequence)
    if dest + 4 > len(frame):
        raise _broken("ends before data_coding", command, sequence)
    tlvs, trailing = _tlvs(frame, dest + 4, command, sequence)
    return Sm(
        command=command,
        sequence=sequence,
        status=status,
        service_type=frame[16:service],
        source_ton=frame[service + 1],
        source_npi=frame[service + 2],
        source=frame[service + 3 : source],
        dest_ton=frame[source + 1],
        dest_npi=frame[source + 2],
        destination=frame[source + 3 : dest],
        esm_class=frame[dest + 1],
        registered_delivery=frame[dest + 2],
        data_coding=frame[dest + 3],
        tlvs=tlvs,
        trailing=trailing,
    )


def _tlvs(frame: bytes, start: int, command: int, sequence: int) -> tuple[Tlvs, int]:
    tlvs: Tlvs = []
    size = len(frame)
    while size - start >= 4:
        tag, length = _TLV.unpack_from(frame, start)
        start += 4 + length
        if start > size:
            raise _broken(f"TLV 0x{tag:04x} is beyond the end", command, sequence, RINVOPTPARSTREAM)
        tlvs.append((tag, frame[start - length : start]))
    return tlvs, size - start


def _sm_resp(frame: bytes, command: int, status: int, sequence: int) -> SmResp:
    size = len(frame)
    if size <= 17:
        return SmResp(command, status, sequence, frame[16:].rstrip(b"\0"))
    end = frame.find(0, 16)
    if end == size - 1 and end <= 16 + LONGEST_ID:
        return SmResp(command, status, sequence, frame[16:end])
    message_id, tlvs = _answer_body(frame, end, command, status, sequence)
    return SmResp(command, status, sequence, message_id, tlvs)


def _bind_resp(frame: bytes, command: int, status: int, sequence: int) -> BindResp:
    end = frame.find(0, 16)
    system_id, tlvs = _answer_body(frame, end, command, status, sequence)
    return BindResp(command, status, sequence, system_id, tlvs)


def _answer_body(
    frame: bytes, end: int, command: int, status: int, sequence: int
) -> tuple[bytes, Tlvs]:
    """The one string and the TLVs of a response.

    A missing NUL and broken TLVs are let pass: what counts is the status, and to doubt a success
    would send the message twice.
    """
    if end < 0:
        end = len(frame)
    if end > 16 + LONGEST_ID:
        if status:
            return b"", []
        raise _broken("the id is too long or lacks its NUL", command, sequence)
    try:
        tlvs, _ = _tlvs(frame, end + 1, command, sequence)
    except PeerError:
        tlvs = []
    return frame[16:end], tlvs


def _plain(frame: bytes, command: int, status: int, sequence: int) -> Plain:
    return Plain(command, status, sequence)


def _bind(frame: bytes, command: int, status: int, sequence: int) -> Bind:
    find = frame.find
    system_id = find(0, 16, 81)
    password = find(0, system_id + 1, system_id + 66)
    system_type = find(0, password + 1, password + 66)
    address = find(0, system_type + 4, system_type + 69)
    if system_id < 0 or password < 0 or system_type < 0 or address < 0:
        raise _broken("a string is too long or lacks its NUL", command, sequence)
    names = frame[16:system_id], frame[system_id + 1 : password], frame[password + 1 : system_type]
    version, ton, npi = frame[system_type + 1 : system_type + 4]
    address_range = frame[system_type + 4 : address]
    return Bind(command, sequence, *names, version, ton, npi, address_range, status)


def _outbind(frame: bytes, command: int, status: int, sequence: int) -> Outbind:
    system_id = frame.find(0, 16, 81)
    password = frame.find(0, system_id + 1, system_id + 66)
    if system_id < 0 or password < 0:
        raise _broken("a string is too long or lacks its NUL", command, sequence)
    return Outbind(sequence, frame[16:system_id], frame[system_id + 1 : password])


def _alert(frame: bytes, command: int, status: int, sequence: int) -> Alert:
    source = frame.find(0, 18, 83)
    esme = frame.find(0, source + 3, source + 68)
    if source < 0 or esme < 0:
        raise _broken("a string is too long or lacks its NUL", command, sequence)
    tlvs, _ = _tlvs(frame, esme + 1, command, sequence)
    about = sequence, frame[16], frame[17], frame[18:source]
    return Alert(*about, frame[source + 1], frame[source + 2], frame[source + 3 : esme], tlvs)


_DECODERS: dict[int, Callable[[bytes, int, int, int], Pdu]] = {
    SUBMIT_SM_RESP: _sm_resp,
    DELIVER_SM: _sm,
    SUBMIT_SM: _sm,
    DELIVER_SM_RESP: _sm_resp,
    DATA_SM: _data_sm,
    DATA_SM_RESP: _sm_resp,
    ENQUIRE_LINK: _plain,
    ENQUIRE_LINK_RESP: _plain,
    UNBIND: _plain,
    UNBIND_RESP: _plain,
    GENERIC_NACK: _plain,
    BIND_RECEIVER: _bind,
    BIND_TRANSMITTER: _bind,
    BIND_TRANSCEIVER: _bind,
    BIND_RECEIVER | RESPONSE: _bind_resp,
    BIND_TRANSMITTER | RESPONSE: _bind_resp,
    BIND_TRANSCEIVER | RESPONSE: _bind_resp,
    OUTBIND: _outbind,
    ALERT_NOTIFICATION: _alert,
}


# ---- encoding


def encode_sm(pdu: Sm) -> bytes:
    """submit_sm, deliver_sm or data_sm. Strings must be free of NUL; octets 0 to 255.

    `UsageError` when a number does not fit; short_message may have 255 octets (3.4 says 254).
    """
    try:
        if pdu.command == DATA_SM:
            body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c" % (
                pdu.service_type,
                pdu.source_ton,
                pdu.source_npi,
                pdu.source,
                pdu.dest_ton,
                pdu.dest_npi,
                pdu.destination,
                pdu.esm_class,
                pdu.registered_delivery,
                pdu.data_coding,
            )
        else:
            text = pdu.short_message
            body = b"%b\0%c%c%b\0%c%c%b\0%c%c%c%b\0%b\0%c%c%c%c%c%b" % (
                pdu.service_type,
                pdu.source_ton,
                pdu.source_npi,
                pdu.source,
                pdu.dest_ton,
                pdu.dest_npi,
                pdu.destination,
                pdu.esm_class,
                pdu.protocol_id,
                pdu.priority,
                pdu.schedule,
                pdu.validity,
                pdu.registered_delivery,
                pdu.replace_if_present,
                pdu.data_coding,
                pdu.default_msg_id,
                len(text),
                text,
            )
    except OverflowError:
        raise UsageError("a field of one octet is not within 0 and 255") from None
    if pdu.tlvs:
        body += encode_tlvs(pdu.tlvs)
    return _HEADER.pack(16 + len(body), pdu.command, pdu.status, pdu.sequence) + body


def encode_tlvs(tlvs: Tlvs) -> bytes:
    """The optional part of a body; `UsageError` when a value has more than 65,535 octets."""
    try:
        return b"".join([_TLV.pack(tag, len(value)) + value for tag, value in tlvs])
    except struct.error:
        raise UsageError("a TLV's tag or length does not fit into 16 bits") from None


def encode_sm_resp(
    command: int, status: int, sequence: int, message_id: bytes = b"", tlvs: Tlvs | None = None
) -> bytes:
    """submit_sm_resp, deliver_sm_resp or data_sm_resp.

    An error of a submit_sm has no body (4.4.2); the others always carry a message_id (4.6.2).
    """
    if status and command == SUBMIT_SM_RESP and not message_id:
        return encode_plain(command, status, sequence)
    body = message_id + b"\0" + (encode_tlvs(tlvs) if tlvs else b"")
    return _HEADER.pack(16 + len(body), command, status, sequence) + body


def encode_plain(command: int, status: int, sequence: int) -> bytes:
    """A PDU that is only a header."""
    return _HEADER.pack(HEADER_SIZE, command, status, sequence)


def encode(pdu: Pdu) -> bytes:
    """Any PDU."""
    if isinstance(pdu, Sm):
        return encode_sm(pdu)
    if isinstance(pdu, SmResp):
        return encode_sm_resp(pdu.command, pdu.status, pdu.sequence, pdu.message_id, pdu.tlvs)
    if isinstance(pdu, Plain):
        return encode_plain(pdu.command, pdu.status, pdu.sequence)
    status = 0
    if isinstance(pdu, Bind):
        status = pdu.status
        body = b"%b\0%b\0%b\0%c%c%c%b\0" % (
            *(pdu.system_id, pdu.password, pdu.system_type),
            *(pdu.interface_version, pdu.addr_ton, pdu.addr_npi),
            pdu.address_range,
        )
    elif isinstance(pdu, BindResp):
        status = pdu.status
        absent = status and not pdu.system_id
        body = b"" if absent else pdu.system_id + b"\0" + encode_tlvs(pdu.tlvs)
    elif isinstance(pdu, Outbind):
        body = b"%b\0%b\0" % (pdu.system_id, pdu.password)
    elif isinstance(pdu, Alert):
        source, esme = (pdu.source_ton, pdu.source_npi), (pdu.esme_ton, pdu.esme_npi)
        body = b"%c%c%b\0%c%c%b\0" % (*source, pdu.source, *esme, pdu.esme)
        body += encode_tlvs(pdu.tlvs)
    else:
        status, body = pdu.status, pdu.body
    return _HEADER.pack(16 + len(body), pdu.command, status, pdu.sequence) + body
