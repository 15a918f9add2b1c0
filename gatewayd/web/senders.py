"""What a sender or a receiver of a message may look like."""

from __future__ import annotations

from typing import Final

LONGEST_ADDRESS: Final = 20  # SMPP 3.4, 5.2.8
_LONGEST_NAME: Final = 11  # of a sender with letters (GSM 03.40, 9.1.2.5)
_MARKS: Final = frozenset(" !\"#$%&'()*+,-./:;<=>?@_")


def is_sender(source: str) -> bool:
    """Digits, with a + or without, or letters that a phone can show (GSM 03.40, 9.1.2.5)."""
    digits = source.removeprefix("+")
    if digits.isascii() and digits.isdigit():
        return len(digits) <= LONGEST_ADDRESS
    shown = all(c.isalnum() or c in _MARKS for c in source)
    return 0 < len(source) <= _LONGEST_NAME and shown and max(source) <= "\uffff"
