"""The groups sendsms-user and sms-service of a kannel.conf: who may send, and where MO go."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from gatewayd.config.kannel_section import Section, unique
from gatewayd.config.model import ChannelConfig, Retry, UserConfig
from gatewayd.config.values import shown, url
from gatewayd.model import TextOptions

# What a service does, in the order in which Kannel looks for it.
_ACTIONS = ("get-url", "url", "post-url", "post-xml", "file", "text", "exec")
_ARGUMENTS = re.compile("%[sSra]")
# Of concatenated messages the total is one octet.
_MAX_MESSAGES = 255


class Calls(NamedTuple):
    """What the smsbox says about calls to platforms; it holds for every service."""

    retry: Retry
    timeout: float  # seconds
    parallel: int
    mo_recode: bool
    octets: int  # sms-length


def read_users(sections: Iterable[Section], octets: int) -> tuple[UserConfig, ...]:
    """The sendsms users. Of two with one name Kannel knows the first only."""
    found: dict[str, UserConfig] = {}
    for section in sections:
        username = section.required("username", "the name the platform sends")
        section.required("password")
        if username in found:
            section.warn("username", f"{shown(username)} is there before; this group is unused")
            continue
        if section.given("forced-smsc") and section.given("default-smsc"):
            section.warn("default-smsc", "does nothing beside forced-smsc")
        if section.given("faked-sender") and section.given("default-sender"):
            section.warn("default-sender", "does nothing beside faked-sender")
        allow_ip, deny_ip = section.addresses("user")
        user = UserConfig(
            username=username,
            password=section.secret("password"),
            name=section.text("name"),
            allow_ip=allow_ip,
            deny_ip=deny_ip,
            forced_smsc=section.maybe("forced-smsc"),
            default_smsc=section.maybe("default-smsc"),
            faked_sender=section.text("faked-sender"),
            default_sender=section.text("default-sender"),
            dlr_url=_url(section, "dlr-url"),
            text=_text(section, octets),
            numbers=section.numbers(),
        )
        if username or not section.given("username"):
            found[username] = user
    return tuple(found.values())


def _text(section: Section, octets: int) -> TextOptions:
    most = section.integer("max-messages", 0)
    if most > _MAX_MESSAGES:
        section.warn("max-messages", f"{most} counts as {_MAX_MESSAGES}, the most there can be")
    if section.group.kind == "sendsms-user" and most:
        # A service's reply is a courtesy; a platform's message was accepted in full.
        said = "" if section.given("max-messages") else " (Kannel's default)"
        section.warn(
            "max-messages",
            f"text beyond {most} messages{said} is cut off and nobody is told; a larger "
            "max-messages and concatenation = true mend it",
        )
    return TextOptions(
        max_messages=min(most, _MAX_MESSAGES),
        too_long="cut",
        concatenation=section.boolean("concatenation"),
        split_chars=section.text("split-chars"),
        split_suffix=section.text("split-suffix"),
        split_look_back=1.0,
        header=section.text("header"),
        footer=section.text("footer"),
        octets=octets,
        not_gsm="replace",
    )


def _url(section: Section, name: str) -> str:
    """A URL; Kannel starts with anything here, and every call would then fail."""
    text = section.text(name)
    if text:
        try:
            url(text)
        except ValueError as error:
            section.warn(name, f"{error}; calls will fail")
    return text


def read_services(sections: Iterable[Section], calls: Calls) -> tuple[ChannelConfig, ...]:
    """The services in the order in which an MO tries them, each with a name of its own."""
    found: dict[str, ChannelConfig] = {}
    for section in sections:
        channel = _service(section, calls)
        name = unique(channel.service, found)
        service = "" if channel.service == name else channel.service
        found[name] = replace(channel, name=name, service=service)
    return tuple(found.values())


def _service(section: Section, calls: Calls) -> ChannelConfig:
    keyword = section.text("keyword")
    if not section.given("keyword") and not section.given("keyword-regex"):
        section.error("keyword", "keyword is missing; write: keyword = default, or keyword-regex")
    actions = [name for name in _ACTIONS if section.given(name)]
    if not actions:
        section.error("", "says nothing to do; get-url or post-url is missing")
    elif len(actions) > 1:
        section.warn(actions[1], f"does nothing beside {actions[0]}")
    action = actions[0] if actions else ""
    if action.endswith("url") or action == "post-xml":
        _url(section, action)
    text = _text(section, calls.octets)
    default = keyword == "default"
    catch_all = section.boolean("catch-all") or action in ("post-url", "post-xml")
    if not catch_all and not default and action and not _ARGUMENTS.search(section.text(action)):
        section.warn(
            "catch-all",
            "takes only an MO that is its keyword alone; catch-all = true takes those with more",
        )
    return ChannelConfig(
        name="",
        service=section.text("name") or keyword or section.text("keyword-regex"),
        format="kannel",
        get_url=section.text(action) if action in ("get-url", "url") else "",
        post_url=section.text(action) if action == "post-url" else "",
        post_xml=section.text(action) if action == "post-xml" else "",
        file=section.text(action) if action == "file" else "",
        text_reply=section.text(action) if action == "text" else "",
        exec=section.text(action) if action == "exec" else "",
        default=default,
        keyword="" if default else keyword,
        aliases=section.words("aliases"),
        keyword_regex=section.regex("keyword-regex"),
        catch_all=catch_all,
        smscs=section.words("accepted-smsc"),
        smscs_regex=section.regex("accepted-smsc-regex"),
        accounts=section.words("accepted-account"),
        accounts_regex=section.regex("accepted-account-regex"),
        senders=section.numbers(),
        allowed_prefix_regex=section.regex("allowed-prefix-regex"),
        denied_prefix_regex=section.regex("denied-prefix-regex"),
        allowed_receiver_prefixes=section.words("allowed-receiver-prefix"),
        denied_receiver_prefixes=section.words("denied-receiver-prefix"),
        allowed_receiver_prefix_regex=section.regex("allowed-receiver-prefix-regex"),
        denied_receiver_prefix_regex=section.regex("denied-receiver-prefix-regex"),
        send_sender=section.boolean("send-sender"),
        strip_keyword=section.boolean("strip-keyword"),
        alt_charset=section.text("alt-charset"),
        mo_recode=calls.mo_recode,
        replies=text.max_messages > 0,
        text=text,
        omit_empty=section.boolean("omit-empty"),
        prefix=section.text("prefix"),
        suffix=section.text("suffix"),
        accept_headers=section.boolean("accept-x-kannel-headers"),
        assume_plain_text=section.boolean("assume-plain-text"),
        faked_sender=section.text("faked-sender"),
        forced_smsc=section.maybe("forced-smsc"),
        default_smsc=section.maybe("default-smsc"),
        dlr_url=_url(section, "dlr-url"),
        dlr_mask=section.integer("dlr-mask", 0, 63),
        retry=calls.retry,
        timeout=calls.timeout,
        parallel=calls.parallel,
        ordered=False,
    )
