"""Minimal SMPP 3.4 codec (struct only) used by the recording rig."""

import struct

CMD = {
    0x80000000: "generic_nack",
    1: "bind_receiver",
    2: "bind_transmitter",
    3: "query_sm",
    4: "submit_sm",
    5: "deliver_sm",
    6: "unbind",
    7: "replace_sm",
    8: "cancel_sm",
    9: "bind_transceiver",
    0xB: "outbind",
    0x15: "enquire_link",
    0x21: "submit_multi",
    0x102: "alert_notification",
    0x103: "data_sm",
}
for k in [1, 2, 3, 4, 5, 6, 7, 8, 9, 0x15, 0x21, 0x103]:
    CMD[0x80000000 | k] = CMD[k] + "_resp"
CMDR = {v: k for k, v in CMD.items()}
TLV = {
    0x0005: "dest_addr_subunit",
    0x0006: "dest_network_type",
    0x000D: "source_addr_subunit",
    0x0010: "source_telematics_id",
    0x0017: "qos_time_to_live",
    0x0019: "payload_type",
    0x001D: "additional_status_info_text",
    0x001E: "receipted_message_id",
    0x0030: "ms_msg_wait_facilities",
    0x0201: "privacy_indicator",
    0x0202: "source_subaddress",
    0x0203: "dest_subaddress",
    0x0204: "user_message_reference",
    0x0205: "user_response_code",
    0x020A: "source_port",
    0x020B: "destination_port",
    0x020C: "sar_msg_ref_num",
    0x020D: "language_indicator",
    0x020E: "sar_total_segments",
    0x020F: "sar_segment_seqnum",
    0x0210: "sc_interface_version",
    0x0381: "callback_num",
    0x0420: "dpf_result",
    0x0421: "set_dpf",
    0x0423: "network_error_code",
    0x0424: "message_payload",
    0x0425: "delivery_failure_reason",
    0x0426: "more_messages_to_send",
    0x0427: "message_state",
    0x1204: "display_time",
    0x1380: "its_reply_type",
    0x1383: "its_session_info",
    0x0501: "ussd_service_op",
}
TLVR = {v: k for k, v in TLV.items()}

BIND = [
    ("system_id", "s"),
    ("password", "s"),
    ("system_type", "s"),
    ("interface_version", "b"),
    ("addr_ton", "b"),
    ("addr_npi", "b"),
    ("address_range", "s"),
]
SM = [
    ("service_type", "s"),
    ("source_addr_ton", "b"),
    ("source_addr_npi", "b"),
    ("source_addr", "s"),
    ("dest_addr_ton", "b"),
    ("dest_addr_npi", "b"),
    ("destination_addr", "s"),
    ("esm_class", "b"),
    ("protocol_id", "b"),
    ("priority_flag", "b"),
    ("schedule_delivery_time", "s"),
    ("validity_period", "s"),
    ("registered_delivery", "b"),
    ("replace_if_present_flag", "b"),
    ("data_coding", "b"),
    ("sm_default_msg_id", "b"),
    ("sm_length", "b"),
    ("short_message", "m"),
]
DATA = [
    ("service_type", "s"),
    ("source_addr_ton", "b"),
    ("source_addr_npi", "b"),
    ("source_addr", "s"),
    ("dest_addr_ton", "b"),
    ("dest_addr_npi", "b"),
    ("destination_addr", "s"),
    ("esm_class", "b"),
    ("registered_delivery", "b"),
    ("data_coding", "b"),
]
BODY = {
    1: BIND,
    2: BIND,
    9: BIND,
    4: SM,
    5: SM,
    0x103: DATA,
    0x80000004: [("message_id", "s")],
    0x80000103: [("message_id", "s")],
    0x80000005: [("message_id", "s")],
    0x80000001: [("system_id", "s")],
    0x80000002: [("system_id", "s")],
    0x80000009: [("system_id", "s")],
}


def decode(pdu):
    if len(pdu) < 16:
        return {"command": "short", "status": 0, "sequence": 0, "raw": pdu.hex()}
    _ln, cid, st, seq = struct.unpack(">IIII", pdu[:16])
    d = {"command": CMD.get(cid, hex(cid)), "status": st, "sequence": seq}
    p = 16
    try:
        for name, t in BODY.get(cid, []):
            if p >= len(pdu) and t != "m":
                break
            if t == "s":
                e = pdu.index(b"\0", p)
                d[name] = pdu[p:e].decode("latin-1")
                p = e + 1
            elif t == "b":
                d[name] = pdu[p]
                p += 1
            else:
                n = d["sm_length"]
                d[name] = pdu[p : p + n].hex()
                p += n
        tl = []
        while p + 4 <= len(pdu):
            tag, n = struct.unpack(">HH", pdu[p : p + 4])
            tl.append(
                {"tag": tag, "name": TLV.get(tag, hex(tag)), "hex": pdu[p + 4 : p + 4 + n].hex()}
            )
            p += 4 + n
        if tl:
            d["tlvs"] = tl
        if p < len(pdu):
            d["trailing_hex"] = pdu[p:].hex()
    except Exception as e:  # malformed: keep what was read
        d["decode_error"] = repr(e)
    return d


def encode(command, seq, status=0, fields=None, *, tlvs=None, raw_body=None):
    cid = CMDR[command] if isinstance(command, str) else command
    body = b""
    if raw_body is not None:
        body = raw_body
    else:
        f = dict(fields or {})
        for name, t in BODY.get(cid, []):
            if t == "s":
                v = f.get(name, "")
                body += (v if isinstance(v, bytes) else v.encode("latin-1")) + b"\0"
            elif t == "b":
                if name == "sm_length":
                    sm = f.get("short_message", b"")
                    body += bytes([f.get("sm_length", len(sm))])
                else:
                    body += bytes([f.get(name, 0)])
            else:
                body += f.get("short_message", b"")
    for k, v in tlvs or []:
        tag = TLVR[k] if isinstance(k, str) else k
        body += struct.pack(">HH", tag, len(v)) + v
    return struct.pack(">IIII", 16 + len(body), cid, status, seq) + body
