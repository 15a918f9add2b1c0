"""The text of an SMPP receipt ("id:... stat:...", SMPP 3.4 appendix B), its words and its ids.

Two readers. The strict one is Kannel's: lower-case labels, each value up to the next blank, and of
the values only those that decide something: id, stat and err. The lenient one takes any case, any
order and any white space, and looks for nothing behind "text:", where the first letters of the
message itself stand.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct

from gatewayd.model import DlrStatus

# Longer than any receipt seen; what comes behind is not looked at.
_LONGEST = 1024
_LONGEST_VALUE = 64
_KANNEL_ERROR_DIGITS = 3  # Kannel reads no more of err:
_ERROR_DIGITS = 8

_FAILED = int(DlrStatus.UNDELIVERABLE)
_STATS: dict[str, int] = {
    "DELIVRD": int(DlrStatus.DELIVERED),
    "ACCEPTD": int(DlrStatus.BUFFERED),
    "ACKED": int(DlrStatus.BUFFERED),
    "BUFFRED": int(DlrStatus.BUFFERED),
    "BUFFERD": int(DlrStatus.BUFFERED),
    "ENROUTE": int(DlrStatus.BUFFERED),
}
# Words that mean the same where somebody did not shorten them to seven letters.
_LONG_STATS: dict[str, int] = _STATS | {
    "DELIVERED": int(DlrStatus.DELIVERED),
    "ACCEPTED": int(DlrStatus.BUFFERED),
    "BUFFERED": int(DlrStatus.BUFFERED),
}
_STATES: dict[int, int] = {  # SMPP 3.4, 5.2.28
    1: int(DlrStatus.BUFFERED),  # ENROUTE
    2: int(DlrStatus.DELIVERED),
    3: int(DlrStatus.EXPIRED | DlrStatus.UNDELIVERABLE),
    6: int(DlrStatus.BUFFERED),  # ACCEPTED
}

_LONG_MAX = 2**63 - 1
_LONG_MIN = -(2**63)


class ReceiptText(Struct, frozen=True, gc=False):
    """What a receipt's text says; "" where it does not, or where the strict reader does not look.

    The dates are as written: 10, 12 or 16 characters, or whatever the SMSC likes. `error` is the
    number at the start of `err`, -1 without one. `text` is what stands behind "text:".
    """

    id: str = ""
    stat: str = ""
    err: str = ""
    error: int = -1
    sub: str = ""
    dlvrd: str = ""
    submit_date: str = ""
    done_date: str = ""
    text: str = ""


def parse(text: bytes, *, lenient: bool) -> ReceiptText | None:
    """Read a receipt's text; None when it holds neither an id nor a status.

    Only what stands before the first NUL is read, and of that no more than 1024 octets.
    """
    head = text[:_LONGEST].partition(b"\0")[0].decode("latin-1")
    found = _lenient(head) if lenient else _strict(head)
    return found if found.id or found.stat else None


def _strict(text: str) -> ReceiptText:
    err = _behind("err:", text)
    error = _leading_number(err[:_KANNEL_ERROR_DIGITS])
    return ReceiptText(_behind("id:", text), _behind("stat:", text), err, error)


def _behind(label: str, text: str) -> str:
    """What stands behind the first `label`, up to the next blank or the end."""
    start = text.find(label)
    if start < 0:
        return ""
    start += len(label)
    end = text.find(" ", start)
    return text[start:] if end < 0 else text[start:end]


_LABELS = ("id", "sub", "dlvrd", "submit date", "done date", "stat", "err", "text")


def _lenient(text: str) -> ReceiptText:
    lower = text.lower()
    places: list[tuple[int, int, str]] = []  # label's start, value's start, label
    end = len(text)
    for label in ("text", *_LABELS[:-1]):
        start = _label(lower, label + ":", end)
        if start >= 0:
            places.append((start, start + len(label) + 1, label))
            if label == "text":
                end = start
    places.sort()
    values: dict[str, str] = {}
    for index, (_, start, label) in enumerate(places):
        following = places[index + 1][0] if index + 1 < len(places) else len(text)
        value = text[start:following]
        values[label] = value if label == "text" else _value(value, label)
    err = values.get("err", "")
    return ReceiptText(
        id=values.get("id", ""),
        stat=values.get("stat", ""),
        err=err,
        error=_leading_number(err[:_ERROR_DIGITS]),
        sub=values.get("sub", ""),
        dlvrd=values.get("dlvrd", ""),
        submit_date=values.get("submit date", ""),
        done_date=values.get("done date", ""),
        text=values.get("text", ""),
    )


def _label(lower: str, label: str, end: int) -> int:
    """Where `label` stands as a word of its own before `end`, -1 if nowhere."""
    start = lower.find(label, 0, end)
    while start > 0 and lower[start - 1].isalnum():  # "msgid:" is no "id:"
        start = lower.find(label, start + 1, end)
    return start


def _value(raw: str, label: str) -> str:
    """The value of `raw`: its first word, of a date everything up to the next label."""
    words = raw.split()
    if not words:
        return ""
    value = " ".join(words) if label.endswith("date") else words[0]
    return value.strip(",;")[:_LONGEST_VALUE]


def _leading_number(text: str) -> int:
    digits = 0
    while digits < len(text) and "0" <= text[digits] <= "9":
        digits += 1
    return int(text[:digits]) if digits else -1


def status_of(stat: str, *, lenient: bool = False) -> int:
    """The `DlrStatus` value (1, 2 or 4) of the word behind "stat:".

    Unknown words mean failure, and so does none at all. `lenient` takes any case and the whole
    words "DELIVERED", "ACCEPTED", "BUFFERED", all of which Kannel counts as failures.
    """
    if lenient:
        return _LONG_STATS.get(stat.upper(), _FAILED)
    return _STATS.get(stat, _FAILED)


def status_of_state(message_state: int, *, smpp5: bool = False) -> int | None:
    """The `DlrStatus` value of TLV message_state; None when it says nothing.

    States 0 and 9 exist since SMPP 5.0 only (scheduled, skipped) and are not listened to before.
    """
    if message_state in (0, 9):
        if not smpp5:
            return None
        return int(DlrStatus.BUFFERED) if message_state == 0 else _FAILED
    return _STATES.get(message_state, _FAILED)


def normalise_id(smsc_id: str, *, message_ids: int, receipt: bool, id_case: bool) -> str:
    """A message id in the form in which answers and receipts are compared.

    `message_ids` is Kannel's msg-id-type: -1 compares text, else ids are numbers, hexadecimal where
    bit 0 (answers) or bit 1 (receipts) says so or where there is more than digits. `id_case` is
    Kannel's way: text as it is; numbers as C's strtoll reads them, so "xy-zt9" is 0 and what is too
    large becomes the largest. Without it case and leading zeros do not count, and an id that is no
    number stays text.
    """
    if message_ids < 0:
        return smsc_id if id_case else _plain(smsc_id)
    base = 16 if message_ids & (2 if receipt else 1) or not _is_digits(smsc_id) else 10
    if id_case:
        return str(_strtoll(smsc_id, base)) if smsc_id else ""
    digits = smsc_id.strip()
    if not digits or len(digits) > _LONGEST_VALUE or not _is_number(digits, base):
        return _plain(smsc_id)
    return str(int(digits, base))


def _plain(smsc_id: str) -> str:
    stripped = smsc_id.strip().lower()
    return stripped.lstrip("0") or stripped[:1]


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_number(text: str, base: int) -> bool:
    return _is_digits(text) if base == 10 else all(c in "0123456789abcdefABCDEF" for c in text)


def _strtoll(text: str, base: int) -> int:
    """C's strtoll for base 10 or 16: blanks, sign, "0x", then digits as far as they go."""
    text = text[:_LONGEST].lstrip(" \t\n\v\f\r").lower()
    negative = text[:1] == "-"
    if text[:1] in ("+", "-"):
        text = text[1:]
    digits = "0123456789abcdef"[:base]
    if base == 16 and text[:2] == "0x" and text[2:3] and text[2] in digits:
        text = text[2:]
    end = 0
    while end < len(text) and text[end] in digits:
        end += 1
    number = int(text[:end] or "0", base)
    return max(_LONG_MIN, min(_LONG_MAX, -number if negative else number))


def other_forms(smsc_id: str) -> list[str]:
    """The same number in the other base, small and capital; none for what is no number."""
    forms = []
    with suppress(ValueError):
        forms += [f"{int(smsc_id):x}", f"{int(smsc_id):X}"]
    with suppress(ValueError):
        forms.append(str(int(smsc_id, 16)))
    return forms
