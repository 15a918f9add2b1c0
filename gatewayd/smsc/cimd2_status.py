"""What CIMD2's error codes (parameter 900) and status codes (061) mean to us."""

from __future__ import annotations

from gatewayd.model import DlrStatus, Outcome
from gatewayd.smsc.cimd2_frame import ERROR, ERROR_TEXT, Packet
from gatewayd.smsc.cimd2_options import Cimd2Options

UNEXPECTED = 1
OPERATION_FAILED = 9
WINDOW_SIZE = 104
WINDOWING_DISABLED = 105

TEXTS = {
    1: "Unexpected operation",
    2: "Syntax error",
    3: "Unsupported parameter",
    4: "Connection to SMS Center lost",
    5: "No response from SMS Center",
    6: "General system error",
    7: "Cannot find information",
    8: "Parameter formatting error",
    9: "Requested operation failed",
    10: "Temporary congestion error",
    100: "Invalid login",
    101: "Incorrect access type",
    102: "Too many users with this login id",
    103: "Login refused by SMS Center",
    104: "Invalid window size",
    105: "Windowing disabled",
    106: "Virtual SMS Center-based barring",
    107: "Invalid subaddr",
    108: "Alias account, login refused",
    300: "Incorrect destination address",
    301: "Incorrect number of destination addresses",
    302: "Syntax error in user data parameter",
    303: "Incorrect bin/head/normal user data parameter combination",
    304: "Incorrect dcs parameter usage",
    305: "Incorrect validity period parameters usage",
    306: "Incorrect originator address usage",
    307: "Incorrect PID parameter usage",
    308: "Incorrect first delivery parameter usage",
    309: "Incorrect reply path usage",
    310: "Incorrect status report request parameter usage",
    311: "Incorrect cancel enabled parameter usage",
    312: "Incorrect priority parameter usage",
    313: "Incorrect tariff class parameter usage",
    314: "Incorrect service description parameter usage",
    315: "Incorrect transport type parameter usage",
    316: "Incorrect message type parameter usage",
    318: "Incorrect MMS parameter usage",
    319: "Incorrect operation timer parameter usage",
    320: "Incorrect dialogue id parameter usage",
    321: "Incorrect alpha originator address usage",
    322: "Invalid data for alpha numeric originator",
    400: "Incorrect address parameter usage",
    401: "Incorrect scts parameter usage",
    500: "Incorrect scts parameter usage",
    501: "Incorrect mode parameter usage",
    502: "Incorrect parameter combination",
    600: "Incorrect scts parameter usage",
    601: "Incorrect address parameter usage",
    602: "Incorrect mode parameter usage",
    603: "Incorrect parameter combination",
    800: "Changing password failed",
    801: "Changing password not allowed",
    900: "Unsupported item requested",
}

STATUS_WORDS = {
    1: "in process",
    2: "validity period expired",
    3: "delivery failed",
    4: "delivery successful",
    5: "no response",
    6: "last no response",
    7: "message cancelled",
    8: "message deleted",
    9: "message deleted by cancel",
}

_DLR = {
    2: DlrStatus.EXPIRED | DlrStatus.UNDELIVERABLE,
    3: DlrStatus.UNDELIVERABLE,
    4: DlrStatus.DELIVERED,
    6: DlrStatus.UNDELIVERABLE,
    7: DlrStatus.UNDELIVERABLE,
    8: DlrStatus.UNDELIVERABLE,
    9: DlrStatus.UNDELIVERABLE,
}


def error(code: int) -> tuple[tuple[int, bytes], ...]:
    """The parameters that tell an error."""
    return (ERROR, b"%03d" % code), (ERROR_TEXT, TEXTS[code].encode())


def error_of(packet: Packet) -> int:
    """The error a response tells; 0: none, -1: one that is no number."""
    if not packet.has(ERROR):
        return 0
    return number_of(packet.get(ERROR))


def number_of(value: bytes) -> int:
    """A number of at most three digits, else -1."""
    return int(value) if value.isdigit() and len(value) <= 3 else -1


def reason_of(packet: Packet, code: int) -> str:
    """The reason in a report: ``300/Incorrect destination address``."""
    text = packet.get(ERROR_TEXT)[:64].decode("latin-1")
    return f"{max(code, 0):03}/{text or TEXTS.get(code, 'Unknown error')}"


def outcome_of(code: int, options: Cimd2Options) -> Outcome:
    """What an error in the answer to a submit means; an unknown one is DEAD."""
    if not code:
        return Outcome.DONE
    if code in options.throttling:
        return Outcome.THROTTLED
    return Outcome.RETRY if code in options.temporary else Outcome.DEAD


def login_outcome_of(code: int, options: Cimd2Options) -> Outcome:
    """What an error in the answer to a login means; only wrong credentials are DEAD."""
    if not code:
        return Outcome.DONE
    return Outcome.DEAD if code in options.refused else Outcome.RETRY


def dlr_status_of(status: int, options: Cimd2Options) -> int:
    """The DLR status of a status code (061); 0: nothing to report."""
    if status in options.buffered:
        return int(DlrStatus.BUFFERED)
    return int(_DLR.get(status, 0))
