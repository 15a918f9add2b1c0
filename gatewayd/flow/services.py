"""Which channel takes an MO: keywords, argument counts, lists of SMSCs and numbers. Pure.

Channels are tried in the order of the configuration; the first that matches the text, admits the
message and fits the number of its words wins, else the first default channel that admits it
(Kannel's sms-service). Where nothing but default channels exist the text is never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gatewayd.config import ChannelConfig, NumberRules
from gatewayd.config.posix import compile_posix, posix_regex
from gatewayd.errors import UsageError
from gatewayd.flow.numbers import Numbers
from gatewayd.model import Coding, Mo
from gatewayd.platforms.escapes import words_needed

# A keyword stands at the beginning; what lies behind this is not looked at by an expression, so
# that a long text cannot keep one busy for long.
LONGEST_MATCHED: Final = 1024
# Octets 0 of UCS-2 are dropped before matching, so that ASCII keywords match.
_NUL: Final = b"\x00"


def _compile(channel: ChannelConfig, field: str, pattern: str, flags: int = 0) -> re.Pattern[str]:
    try:
        return compile_posix(pattern, flags)
    except re.error as error:
        raise UsageError(f"channel {channel.name}, {field}: {error}") from error


def _rejected(allowed: bool | None, denied: bool | None) -> bool:
    """Kannel's rule for a pair of lists; with both, only what is denied and not allowed is refused.

    None: the list is not configured.
    """
    if allowed is None:
        return bool(denied)
    if denied is None:
        return not allowed
    return not allowed and denied


class _Text:
    """The text of an MO in the two forms keywords may be looked for in, made when first wanted."""

    __slots__ = ("_mo", "_plain", "_recoded")

    def __init__(self, mo: Mo) -> None:
        self._mo = mo
        self._plain: tuple[str, int] | None = None
        self._recoded: tuple[str, int] | None = None

    def form(self, recode: bool) -> tuple[str, int]:
        """The text for matching, and how many words it has."""
        if recode and self._mo.coding == Coding.UCS2:
            if self._recoded is None:
                text = self._mo.payload.decode("utf-16-be", "replace")
                self._recoded = text[:LONGEST_MATCHED], len(text.encode("utf-8", "replace").split())
            return self._recoded
        if self._plain is None:
            data = self._mo.payload
            if self._mo.coding == Coding.UCS2:
                data = data.replace(_NUL, b"")
            self._plain = (
                data[: 4 * LONGEST_MATCHED].decode("utf-8", "replace")[:LONGEST_MATCHED],
                len(data.split()),
            )
        return self._plain


class _Service:
    """One channel's rules, compiled. Raises `UsageError` for an expression that is none."""

    __slots__ = (
        "_any_account",
        "_any_count",
        "_any_number",
        "_any_smsc",
        "_needs",
        "_pattern",
        "_regexes",
        "channel",
        "numbers",
    )

    def __init__(self, channel: ChannelConfig) -> None:
        self.channel = channel
        self._pattern: re.Pattern[str] | None = None
        if channel.keyword_regex:
            self._pattern = _compile(channel, "keyword-regex", channel.keyword_regex)
        elif channel.keyword:
            words = "|".join((channel.keyword, *channel.aliases))
            self._pattern = _compile(channel, "keyword", f"^[ ]*({words})[ ]*", re.IGNORECASE)
        # A posted message carries its whole text, so Kannel counts no words there.
        self._any_count = bool(channel.catch_all or channel.post_url or channel.post_xml)
        self._needs = words_needed(
            channel.get_url or channel.text_reply or channel.file or channel.exec
        )
        self._regexes = {
            field: _compile(channel, field.replace("_", "-"), pattern)
            for field in (
                "smscs_regex",
                "accounts_regex",
                "allowed_prefix_regex",
                "denied_prefix_regex",
                "allowed_receiver_prefix_regex",
                "denied_receiver_prefix_regex",
            )
            if (pattern := getattr(channel, field))
        }
        senders = channel.senders
        for field in ("white_list_regex", "black_list_regex"):
            if pattern := getattr(senders, field):
                _compile(channel, field.replace("_", "-"), pattern)
        self.numbers = Numbers(
            replace(
                senders,
                allowed_prefixes=(),
                denied_prefixes=(),
                white_list_regex=posix_regex(senders.white_list_regex),
                black_list_regex=posix_regex(senders.black_list_regex),
            )
        )
        self._any_smsc = not channel.smscs and "smscs_regex" not in self._regexes
        self._any_account = not channel.accounts and "accounts_regex" not in self._regexes
        self._any_number = (
            senders == NumberRules()
            and not channel.allowed_receiver_prefixes
            and not channel.denied_receiver_prefixes
            and not any("prefix" in field for field in self._regexes)
        )

    def _found(self, field: str, text: str) -> bool | None:
        regex = self._regexes.get(field)
        return None if regex is None else regex.search(text[:LONGEST_MATCHED]) is not None

    def admits(self, mo: Mo) -> bool:
        """Whether the SMSC, the account and both numbers are ones this channel takes."""
        channel = self.channel
        if not self._any_smsc and not self._listed(channel.smscs, "smscs_regex", mo.smsc):
            return False
        if not self._any_account and not self._listed(
            channel.accounts, "accounts_regex", mo.account
        ):
            return False
        return self._any_number or self._admits_numbers(mo)

    def _listed(self, names: tuple[str, ...], field: str, name: str) -> bool:
        return name in names or bool(self._found(field, name))

    def _admits_numbers(self, mo: Mo) -> bool:
        channel, found = self.channel, self._found
        for number, allowed, denied, allowed_field, denied_field in (
            (
                mo.source,
                channel.senders.allowed_prefixes,
                channel.senders.denied_prefixes,
                "allowed_prefix_regex",
                "denied_prefix_regex",
            ),
            (
                mo.destination,
                channel.allowed_receiver_prefixes,
                channel.denied_receiver_prefixes,
                "allowed_receiver_prefix_regex",
                "denied_receiver_prefix_regex",
            ),
        ):
            if _rejected(
                number.startswith(allowed) if allowed else None,
                number.startswith(denied) if denied else None,
            ) or _rejected(found(allowed_field, number), found(denied_field, number)):
                return False
        return not self.numbers.barred(mo.source, "sender")

    def wants(self, text: _Text) -> bool:
        """Whether keyword and number of words fit."""
        form, words = text.form(self.channel.mo_recode)
        if self._pattern is None or not self._pattern.search(form):
            return False
        if self._any_count:
            return True
        arguments = max(words - 1, 0)
        needed, rest = self._needs
        return arguments >= needed if rest else arguments == needed


class Services:
    """All channels, compiled once. Raises `UsageError` for an expression that is none.

    A channel without keyword and keyword_regex takes every text, as a default channel does.
    """

    __slots__ = ("_by_keyword", "_defaults", "numbers")

    def __init__(self, channels: Sequence[ChannelConfig]) -> None:
        services = [_Service(channel) for channel in channels]
        self._by_keyword = tuple(
            service
            for service in services
            if not service.channel.default
            and (service.channel.keyword or service.channel.keyword_regex)
        )
        self._defaults = tuple(s for s in services if s not in self._by_keyword)
        # Whoever reads the list files gives their contents to these, by channel name.
        self.numbers = {service.channel.name: service.numbers for service in services}

    def choose(self, mo: Mo) -> ChannelConfig | None:
        """The channel that takes `mo`; None when there is none."""
        if self._by_keyword:
            text = _Text(mo)
            for service in self._by_keyword:
                if service.wants(text) and service.admits(mo):
                    return service.channel
        for service in self._defaults:
            if service.admits(mo):
                return service.channel
        return None
