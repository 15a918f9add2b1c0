"""What the error codes and reasons of UCP say."""

from __future__ import annotations

# EMI-UCP 4.6, 6
_ERRORS = {
    1: "Checksum error",
    2: "Syntax error",
    3: "Operation not supported",
    4: "Operation not allowed",
    5: "Call barring active",
    6: "AdC invalid",
    7: "Authentication failure",
    8: "Legitimisation code for all calls, failure",
    9: "GA not valid",
    10: "Repetition not allowed",
    11: "Legitimisation code for repetition, failure",
    12: "Priority call not allowed",
    13: "Legitimisation code for priority call, failure",
    14: "Urgent message not allowed",
    15: "Legitimisation code for urgent message, failure",
    16: "Reverse charging not allowed",
    17: "Legitimisation code for reverse charging, failure",
    18: "Deferred delivery not allowed",
    19: "New AC not valid",
    20: "New legitimisation code not valid",
    21: "Standard text not valid",
    22: "Time period not valid",
    23: "Message type not supported by system",
    24: "Message too long",
    25: "Requested standard text not valid",
    26: "Message type not valid for the pager type",
    27: "Message not found in SMSC",
    28: "Invalid character set",
    30: "Subscriber hang-up",
    31: "Fax group not supported",
    32: "Fax message type not supported",
    33: "Address already in list",
    34: "Address not in list",
    35: "List full, cannot add address to list",
    36: "RPID already in use",
    37: "Delivery in progress",
    38: "Message forwarded",
    50: "Low network status",
    53: "Partially successful",
    54: "Not successful",
    55: "System error",
}

# EMI-UCP 4.6, 5.3 and the GSM causes behind it
_REASONS = {
    0: "Unknown subscriber",
    1: "Service temporary not available",
    9: "Illegal error code",
    10: "Network time-out",
    100: "Facility not supported",
    101: "Unknown subscriber",
    102: "Facility not provided",
    103: "Call barred",
    104: "Operation barred",
    105: "SC congestion",
    106: "Facility not supported",
    107: "Absent subscriber",
    108: "Delivery fail",
    109: "SC congestion",
    110: "Protocol error",
    111: "MS not equipped",
    112: "Unknown SC",
    113: "SC congestion",
    114: "Illegal MS",
    115: "MS not a subscriber",
    116: "Error in MS",
    117: "SMS lower layer not provisioned",
    118: "System fail",
    127: "Unexpected data value",
    200: "Error in address service centre",
    201: "Invalid absolute validity period",
    202: "Short message exceeds maximum",
    203: "Unable to unpack GSM message",
    204: "Unable to convert to IRA alphabet",
    205: "Invalid validity period format",
    206: "Invalid destination address",
    207: "Duplicate message submit",
    208: "Invalid message type indicator",
}

AUTHENTICATION_FAILURE = 7
ALREADY_IN_LIST = 33
CALL_BARRED = 5

_LONGEST_CODE, _LONGEST_TEXT = 5, 200  # of what an SMSC says; it goes into logs and reports


def text_of(code: int) -> str:
    """What an error code says."""
    return _ERRORS.get(code, "Unknown error")


def reason_of(code: str, text: str) -> str:
    """The reason in a report, as Kannel words it: ``06-AdC invalid``; an endless one is cut."""
    return f"{code[:_LONGEST_CODE]}-{text[:_LONGEST_TEXT] or text_of(number(code))}"


def rsn_text(rsn: int) -> str:
    """What the Rsn of a notification says."""
    if 118 <= rsn <= 126:
        rsn = 118
    elif 1 <= rsn <= 8:
        rsn = 1
    return _REASONS.get(rsn, "")


def number(digits: str) -> int:
    """A field of up to five digits as a number; -1 when it is none."""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 5 else -1
