"""The user data header (3GPP TS 23.040, 9.2.3.24): its elements, concatenation, language shifts.

A header is passed around whole: its length octet, then elements of identifier, length and data.
"""

from __future__ import annotations

from typing import NamedTuple

CONCATENATION = 0x00  # 8-bit reference, total, part
WIDE_CONCATENATION = 0x08  # 16-bit reference, total, part
SINGLE_SHIFT = 0x24
LOCKING_SHIFT = 0x25


class PartInfo(NamedTuple):
    """Where a part of a long message belongs. `udh` is its header without the concatenation."""

    reference: int
    total: int  # 1-255
    number: int  # 1-total
    udh: bytes


def length_with_header(octets: bytes) -> int | None:
    """How many octets of user data its header takes, None when it does not fit into them."""
    if not octets or octets[0] + 1 > len(octets):
        return None
    return octets[0] + 1


def elements(udh: bytes) -> list[tuple[int, bytes]] | None:
    """The header's elements as (identifier, data); None when it is broken."""
    if not udh or udh[0] + 1 != len(udh):
        return None
    found: list[tuple[int, bytes]] = []
    place = 1
    while place < len(udh):
        if place + 2 > len(udh) or (end := place + 2 + udh[place + 1]) > len(udh):
            return None
        found.append((udh[place], udh[place + 2 : end]))
        place = end
    return found


def build(found: list[tuple[int, bytes]]) -> bytes:
    """The header of these elements, b"" when there are none."""
    body = b"".join(bytes((identifier, len(data))) + data for identifier, data in found)
    return bytes((len(body),)) + body if body else b""


def with_concatenation(udh: bytes, reference: int, total: int, number: int, *, wide: bool) -> bytes:
    """`udh` (b"" or a whole header) with a concatenation element appended inside it."""
    if wide:
        element = b"\x08\x04" + (reference & 0xFFFF).to_bytes(2, "big") + bytes((total, number))
    else:
        element = bytes((0, 3, reference & 0xFF, total, number))
    body = udh[1:] + element
    return bytes((len(body),)) + body


def part_of(udh: bytes, sar: tuple[int, int, int] | None = None) -> PartInfo | None:
    """What a long message's part says of itself, by header or by SAR TLVs (reference, total, part).

    None for a message that is whole, and for nonsense: a broken header, part 0, a part above the
    total. The last of several concatenation elements counts (23.040, 9.2.3.24).
    """
    found = elements(udh) if udh else None
    place: tuple[int, int, int] | None = None
    others: list[tuple[int, bytes]] = []
    for identifier, data in found or ():
        if identifier == CONCATENATION and len(data) == 3:
            place = data[0], data[1], data[2]
        elif identifier == WIDE_CONCATENATION and len(data) == 4:
            place = data[0] << 8 | data[1], data[2], data[3]
        else:
            others.append((identifier, data))
    rest = build(others) if place else udh
    place = place or sar
    if place is None or not 1 <= place[2] <= place[1] <= 255:
        return None
    return PartInfo(*place, udh=rest)


def find_shift(udh: bytes) -> tuple[int, int]:
    """The national language identifiers of the single and the locking shift table; 0: default."""
    single = locking = 0
    for identifier, data in elements(udh) or ():
        if len(data) == 1:
            if identifier == SINGLE_SHIFT:
                single = data[0]
            elif identifier == LOCKING_SHIFT:
                locking = data[0]
    return single, locking
