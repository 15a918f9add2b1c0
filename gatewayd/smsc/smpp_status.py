"""What each command_status means: its text in reports, and what becomes of the segment."""

from __future__ import annotations

from gatewayd.config.model import SmppOptions
from gatewayd.model import Outcome

# The statuses that the program itself answers or looks for, SMPP 3.4, 5.1.3
ROK = 0x00
RINVMSGLEN = 0x01
RINVCMDLEN = 0x02
RINVCMDID = 0x03
RINVBNDSTS = 0x04
RALYBND = 0x05
RINVSRCADR = 0x0A
RINVDSTADR = 0x0B
RMSGQFUL = 0x14
RINVESMCLASS = 0x43
RX_R_APPN = 0x66

# Kannel's own words; callers show them to people and some compare them.
_TEXTS = {
    0x00: "OK",
    0x01: "Message Length is invalid",
    0x02: "Command Length is invalid",
    0x03: "Invalid Command ID",
    0x04: "Incorrect BIND Status for given command",
    0x05: "ESME Already in Bound State",
    0x06: "Invalid Priority Flag",
    0x07: "Invalid Registered Delivery Flag",
    0x08: "System Error",
    0x0A: "Invalid Source Address",
    0x0B: "Invalid Destination Address",
    0x0D: "Bind Failed",
    0x0E: "Invalid Password",
    0x0F: "Invalid System ID",
    0x11: "Cancel SM Failed",
    0x13: "Replace SM Failed",
    0x14: "Message Queue Full",
    0x15: "Invalid Service Type",
    0x33: "Invalid number of destinations",
    0x34: "Invalid Distribution List Name",
    0x40: "Destination flag is invalid",
    0x42: "Submit w/replace not supported/allowed",
    0x43: "Invalid esm_class field data",
    0x44: "Cannot Submit to Distribution List",
    0x45: "submit_sm or submit_multi failed",
    0x48: "Invalid Source address TON",
    0x49: "Invalid Source address NPI",
    0x50: "Invalid Destination address TON",
    0x51: "Invalid Destination address NPI",
    0x53: "Invalid system_type field",
    0x54: "Invalid replace_if_present flag",
    0x55: "Invalid number of messages",
    0x58: "Throttling error",
    0x61: "Invalid Scheduled Delivery Time",
    0x62: "Invalid message validity period",
    0x63: "Predefined Message ID is Invalid or specific predefined message was not found",
    0x64: "ESME Receiver Temporary App Error Code",
    0x65: "ESME Receiver Permanent App Error Code",
    0x66: "ESME Receiver Reject Message Error Code",
    0x67: "query_sm request failed",
    0xC0: "Error in optional part of the PDU Body",
    0xC1: "Optional Parameter not allowed",
    0xC2: "Invalid Parameter Length",
    0xC3: "Expected Optional Parameter missing",
    0xC4: "Invalid Optional Parameter Value",
    0xFE: "Transaction Delivery Failure",
    0xFF: "Unknown Error",
}


def text_of(status: int) -> str:
    """What a status says, in Kannel's words."""
    text = _TEXTS.get(status)
    if text is None:
        if 0x400 <= status <= 0x4FF:  # SMPP 3.4, 5.1.3: reserved for the SMSC's vendor
            return "Vendor-specific error, please refer to your SMPP provider"
        return "Unknown/Reserved"
    return text


def reason_of(status: int) -> str:
    """The reason in a report: ``0x0000000b/Invalid Destination Address``."""
    return f"0x{status:08x}/{text_of(status)}"


def outcome_of(status: int, options: SmppOptions) -> Outcome:
    """What a status in the answer to a submit means; an unknown one is DEAD."""
    if status == ROK:
        return Outcome.DONE
    if status in options.throttling:
        return Outcome.THROTTLED
    if status in options.temporary or status in options.not_bound:
        # "Not bound" speaks of the session, not of the message: the next bind may carry it.
        return Outcome.RETRY
    return Outcome.DEAD


def bind_outcome_of(status: int, options: SmppOptions) -> Outcome:
    """What a status in the answer to a bind means; only wrong credentials are DEAD."""
    if status == ROK or (status == RALYBND and options.already_bound_is_bound):
        return Outcome.DONE
    return Outcome.DEAD if status in options.refused_for_good else Outcome.RETRY
