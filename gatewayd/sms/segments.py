"""A text as the payloads of one or more messages, and the parts of a long one as one again.

How a text is cut. A part has room for so many octets of payload; the cut stands there unless it
would divide what belongs together, and then a little before:

1. the two septets of an extension character, the two units of a surrogate pair: never divided;
2. a letter and its combining marks, an emoji and what modifies it, the two halves of a flag: kept
   together unless they began 16 units before or more;
3. with split characters configured, the part ends behind the last of them, if one is near enough.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gatewayd.errors import GatewayError
from gatewayd.model import Coding, TextOptions
from gatewayd.sms.alphabets import (
    ESCAPE,
    encode_gsm,
    encode_ucs2,
    is_gsm,
    nfc,
    transliterate,
)
from gatewayd.sms.udh import PartInfo, find_shift, part_of, with_concatenation

__all__ = [
    "Encoded",
    "PartInfo",
    "Split",
    "TooLong",
    "encode_text",
    "find_shift",
    "join",
    "part_of",
    "room",
    "split",
]

MOST_PARTS = 255  # the total is one octet (3GPP TS 23.040, 9.2.3.24.1)
_CLUSTER_UNITS = 16
_JOINER = 0x200D


class TooLong(GatewayError):
    """The text needs more messages than are allowed, or its header leaves no room for text."""


class Split(NamedTuple):
    """`parts` are (payload, whole user data header or b""); `cut`: the end of the text is lost."""

    parts: list[tuple[bytes, bytes]]
    cut: bool


class Encoded(NamedTuple):
    """A text in the alphabet it goes out in; `lossy`: some of it became "?"."""

    coding: Coding
    octets: bytes
    lossy: bool = False


def encode_text(text: str, options: TextOptions) -> Encoded:
    """`text` in the smallest alphabet that holds it, when the caller did not name one.

    With `not_gsm` "ucs2" a text is composed first (NFC), and one with characters outside GSM 03.38,
    its header, footer and suffix counted, becomes UCS-2. With "replace" such characters become "?"
    and nothing is composed, as Kannel does. `transliterate` is applied only where it saves UCS-2.
    """
    replace = options.not_gsm == "replace"
    if not replace:
        text = nfc(text)
    around = options.header + options.footer + options.split_suffix
    if replace or not around or is_gsm(around):
        octets = encode_gsm(text)
        if octets is None and options.transliterate:
            octets = encode_gsm(transliterate(text))
        if octets is not None:
            return Encoded(Coding.GSM, octets)
    if replace:
        if options.transliterate:
            text = transliterate(text)
        octets = encode_gsm(text, replace=True, kannel_cedilla=True)
        return Encoded(Coding.GSM, octets or b"", True)
    return Encoded(Coding.UCS2, encode_ucs2(text))


def room(coding: int, max_octets: int, udh_octets: int) -> int:
    """Octets of payload beside a header of `udh_octets` (3GPP TS 23.040, 9.2.3.24).

    GSM text comes one septet to the octet, so 140 octets have room for 160.
    """
    if coding == Coding.GSM:
        return max_octets * 8 // 7 - (udh_octets * 8 + 6) // 7
    free = max_octets - udh_octets
    return free // 2 * 2 if coding == Coding.UCS2 else free


def split(
    content: bytes,
    coding: int,
    options: TextOptions,
    *,
    udh: bytes = b"",
    max_octets: int = 140,
    reference: int = 0,
    wide: bool = False,
) -> Split:
    """Cut `content` into the payloads of messages and give each its header.

    `content` is unpacked GSM septets, octets or UTF-16BE by `coding`; `udh` the caller's own
    header, its length octet included. `max_octets` is what one message of the SMSC holds, header
    included. Parts of a concatenated message carry `reference` (8 bits, `wide` 16) in an element
    appended to the caller's header. Header, footer and suffix are put around texts only: octets of
    `coding` 1 have no words in front.

    `options.octets` bounds each message without concatenation; with it, the whole text is bounded
    by what `max_messages` parts of that size hold, however large the SMSC's parts are.

    `max_messages` 0 gives no part at all. Raises `TooLong` when `too_long` is "refuse" and
    `max_messages` (at most 255 when concatenated) do not suffice, and whenever there is no room for
    any text; with "cut" the end of the text is dropped instead.
    """
    most = options.max_messages
    if most <= 0:
        return Split([], bool(content))
    concatenation = options.concatenation and most > 1
    if concatenation:
        most = min(most, MOST_PARTS)
    else:
        max_octets = min(max_octets, options.octets)
    dress = _dress(coding, options)
    around = len(dress.header) + len(dress.footer)
    element = 6 if wide else 5

    def ends(text: bytes, octets: int, most: int) -> list[int]:
        size = room(coding, octets, len(udh)) - around
        if len(text) <= size:
            return [len(text)]
        if concatenation:
            if len(udh) + element > 255:
                raise TooLong("the user data header leaves no room for another element")
            size = room(coding, octets, (len(udh) or 1) + element) - around
        return _ends(text, coding, size, most, dress)

    text = content
    if concatenation and max_octets != options.octets:
        text = content[: ends(content, options.octets, most)[-1]]
        found = ends(text, max_octets, MOST_PARTS)
    else:
        found = ends(content, max_octets, most)
    cut = found[-1] < len(content)
    if cut and options.too_long == "refuse":
        raise TooLong(f"the text needs more than {most} messages")
    total = len(found)
    parts: list[tuple[bytes, bytes]] = []
    start = 0
    for number, end in enumerate(found, 1):
        payload = dress.header + text[start:end] + dress.footer
        if number < total:
            payload += dress.suffix
        header = udh
        if concatenation and total > 1:
            header = with_concatenation(udh, reference, total, number, wide=wide)
        parts.append((payload, header))
        start = end
    return Split(parts, cut)


@dataclass(frozen=True, slots=True)
class _Dress:
    """What `TextOptions` puts around a part, in the octets of its alphabet."""

    header: bytes = b""
    footer: bytes = b""
    suffix: bytes = b""
    ends: frozenset[bytes] = frozenset()  # split characters
    look_back: float = 0.0


def _dress(coding: int, options: TextOptions) -> _Dress:
    if coding == Coding.OCTETS or not (
        options.header or options.footer or options.split_suffix or options.split_chars
    ):
        return _Dress()

    def octets(text: str) -> bytes:
        if coding == Coding.UCS2:
            return encode_ucs2(text)
        return encode_gsm(text, replace=True, kannel_cedilla=True) or b""

    return _Dress(
        octets(options.header),
        octets(options.footer),
        octets(options.split_suffix),
        frozenset(octets(end) for end in options.split_chars),
        options.split_look_back,
    )


def _ends(text: bytes, coding: int, size: int, most: int, dress: _Dress) -> list[int]:
    """Where each part of `text` ends, for at most `most` parts of `size` octets."""
    found: list[int] = []
    place = 0
    while True:
        last = len(text) - place <= size or len(found) + 1 == most
        end = _end(text, place, place + (size if last else size - len(dress.suffix)), coding, dress)
        if end == place:
            raise TooLong("header, footer and user data header leave no room for text")
        found.append(end)
        place = end
        if last:
            return found


def _end(content: bytes, start: int, limit: int, coding: int, dress: _Dress) -> int:
    """Where the part that begins at `start` ends, at `limit` at the latest."""
    if limit >= len(content):
        return len(content)
    if limit <= start:
        return start
    if coding == Coding.UCS2:
        end = _unit_boundary(content, start, start + (limit - start) // 2 * 2)
        return _split_units(content, start, end, dress)
    if coding == Coding.OCTETS:
        return limit
    end = limit - _open_escapes(content, start, limit) % 2
    return _split_septets(content, start, end, dress)


def _open_escapes(content: bytes, start: int, end: int) -> int:
    """How many escapes stand in a row right before `end`: an odd number leaves one open."""
    first = end
    while first > start and content[first - 1] == ESCAPE:
        first -= 1
    return end - first


def _split_septets(content: bytes, start: int, end: int, dress: _Dress) -> int:
    if dress.ends:
        lowest = max(start, end - int((end - start) * dress.look_back))
        for place in range(end, lowest, -1):
            width = 2 if _open_escapes(content, start, place - 1) % 2 else 1
            if content[place - width : place] in dress.ends:
                return place
    return end


def _split_units(content: bytes, start: int, end: int, dress: _Dress) -> int:
    if dress.ends:
        lowest = max(start, end - int((end - start) * dress.look_back))
        for place in range(end, lowest, -2):
            if (
                content[place - 2 : place] in dress.ends
                and _unit_boundary(content, start, place) == place
            ):
                return place
    return end


def _unit_boundary(content: bytes, start: int, end: int) -> int:
    """The last boundary between characters that belong together, at `end` or shortly before."""
    if end <= start:
        return start
    if content[end - 2] & 0xFC == 0xD8 and content[end] & 0xFC == 0xDC:
        end -= 2
    place = end
    while place > start and end - place < 2 * _CLUSTER_UNITS:
        before = _character_before(content, start, place)
        if not _belongs(before, _character_at(content, place)) and not _inside_flag(
            content, start, place
        ):
            return place
        place -= 4 if before > 0xFFFF else 2
    return end


def _character_at(content: bytes, place: int) -> int:
    if place + 2 > len(content):  # an odd octet at the very end, as its caller sent it
        return 0
    unit = content[place] << 8 | content[place + 1]
    if unit & 0xFC00 == 0xD800 and place + 4 <= len(content) and content[place + 2] & 0xFC == 0xDC:
        low = content[place + 2] << 8 | content[place + 3]
        return 0x10000 + ((unit & 0x3FF) << 10) + (low & 0x3FF)
    return unit


def _character_before(content: bytes, start: int, place: int) -> int:
    if (
        place - 4 >= start
        and content[place - 2] & 0xFC == 0xDC
        and content[place - 4] & 0xFC == 0xD8
    ):
        return _character_at(content, place - 4)
    return content[place - 2] << 8 | content[place - 1]


def _belongs(before: int, after: int) -> bool:
    """Whether `after` is shown together with `before`."""
    return (
        _JOINER in (before, after)
        or 0xFE00 <= after <= 0xFE0F  # variation selectors
        or 0x1F3FB <= after <= 0x1F3FF  # skin tones
        or (after >= 0x300 and unicodedata.combining(chr(after)) != 0)
    )


def _is_flag_half(character: int) -> bool:
    return 0x1F1E6 <= character <= 0x1F1FF


def _inside_flag(content: bytes, start: int, place: int) -> bool:
    """Whether a cut at `place` has a flag half behind it and an odd number of them before it."""
    if not _is_flag_half(_character_at(content, place)):
        return False
    halves = 0
    while place > start and _is_flag_half(_character_before(content, start, place)):
        halves += 1
        place -= 4
    return halves % 2 == 1


def join(parts: Iterable[tuple[int, int, bytes]]) -> tuple[Coding, bytes]:
    """One message of the parts (number, coding, payload) of an MO, in order of number.

    A payload of `coding` 0 is UTF-8 here, as in `Inbound`. Of several parts with one number the
    first counts. Parts that are partly GSM and partly UCS-2 (a phone may choose for each) make
    UCS-2; with octets among them all are taken as octets.
    """
    chosen: dict[int, tuple[int, bytes]] = {}
    for number, coding, payload in parts:
        chosen.setdefault(number, (coding, payload))
    ordered: Sequence[tuple[int, bytes]] = [chosen[number] for number in sorted(chosen)]
    codings = {coding for coding, _ in ordered}
    if codings == {Coding.GSM, Coding.UCS2}:
        return Coding.UCS2, b"".join(
            encode_ucs2(payload.decode("utf-8", "replace")) if coding == Coding.GSM else payload
            for coding, payload in ordered
        )
    coding = Coding(codings.pop()) if len(codings) == 1 else Coding.OCTETS
    return coding, b"".join(payload for _, payload in ordered)
