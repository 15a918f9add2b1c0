"""TLVs known by name, and the Kannel meta-data that sets and shows them.

Meta-data is ``?group?key=value&key=value&?group?...`` with values encoded as in a URL; SMPP reads
and writes the group ``smpp``, answers to a submit the group ``smpp_resp``.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote_plus, unquote_to_bytes

from gatewayd.config.model import TlvConfig
from gatewayd.smsc.smpp_pdu import Tlvs

_SAFE = "!*'()"  # what Kannel leaves as it is, beside letters, digits and "-_.~"
_LONGEST = 65535  # octets of a TLV's value


def parse_meta(meta: str, group: str = "smpp") -> dict[str, bytes]:
    """The keys and values of one group; what cannot be read is left out."""
    start = meta.find(f"?{group}?")
    if start < 0:
        return {}
    body = meta[start + len(group) + 2 :].split("?", 1)[0]
    values: dict[str, bytes] = {}
    for pair in body.split("&"):
        key, equals, value = pair.partition("=")
        if equals and key:
            values.setdefault(key, unquote_to_bytes(value.replace("+", " ")))
    return values


def meta_pair(key: str, value: bytes | str) -> str:
    """One ``key=value&`` of meta-data."""
    return f"{key}={quote_plus(value, safe=_SAFE)}&"


class NamedTlvs:
    """The TLVs that an SMSC's messages may set and show."""

    def __init__(self, configs: Iterable[TlvConfig], smsc_id: str) -> None:
        mine = [one for one in configs if not one.smsc_ids or smsc_id in one.smsc_ids]
        self._by_tag = {one.tag: one for one in mine}
        self._by_name = {one.name: one for one in mine}
        self.constants: Tlvs = []
        for one in mine:
            value = _encode(one, one.const.encode()) if one.const else None
            if value is not None:
                self.constants.append((one.tag, value))

    def encode(self, values: dict[str, bytes]) -> Tlvs:
        """The TLVs for meta-data `values`, and the constant ones that these do not replace.

        A key that names no TLV and a value that does not fit its TLV are dropped, as by Kannel.
        """
        tlvs: Tlvs = []
        for name, text in values.items():
            config = self._by_name.get(name)
            value = _encode(config, text) if config else None
            if config and value is not None:
                tlvs.append((config.tag, value))
        given = {tag for tag, _ in tlvs}
        return tlvs + [constant for constant in self.constants if constant[0] not in given]

    def meta(self, tlvs: Tlvs) -> str:
        """The ``key=value&`` pairs for those of `tlvs` that have a name."""
        if not tlvs or not self._by_tag:
            return ""
        pairs: dict[str, str] = {}
        for tag, value in tlvs:
            config = self._by_tag.get(tag)
            if config is None or config.name in pairs:  # the first of repeated TLVs counts
                continue
            if config.kind == "integer":
                pairs[config.name] = meta_pair(config.name, str(int.from_bytes(value, "big")))
            elif config.kind == "nulterminated":
                pairs[config.name] = meta_pair(config.name, value.split(b"\0", 1)[0])
            else:
                pairs[config.name] = meta_pair(config.name, value)
        return "".join(pairs.values())


def _encode(config: TlvConfig, text: bytes) -> bytes | None:
    """The octets of a value, None when it does not fit."""
    if config.kind == "integer":
        try:
            number = int(text[:20], 16 if text[:2].lower() == b"0x" else 10)
            return number.to_bytes(config.length or 4, "big")
        except (ValueError, OverflowError):
            return None
    if len(text) > (config.length or _LONGEST - 1):
        return None
    return text + b"\0" if config.kind == "nulterminated" else text
