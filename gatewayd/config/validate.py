"""Checks that need more than one value: names used twice, references, doors left open.

Each function looks at a finished `Config` and tells `Problems` by path, so that it does not matter
which reader made it. `report` decides what a finding is: `Problems.error_at` or `Problems.warn_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields

from gatewayd.config.model import ChannelConfig, Config, ListenerConfig
from gatewayd.config.passwords import is_hash
from gatewayd.config.values import (
    Path,
    Problems,
    did_you_mean,
    is_loopback,
    lets_everybody_in,
    regex,
    shown,
)

Report = Callable[[Path, str], None]

# What is wrong with the `options` of an SMSC that speaks a protocol: which of them, and why.
OptionCheck = Callable[[str, tuple[str, ...]], Iterable[tuple[int, str]]]

# The fields of a channel that say what is called; one of them is set.
TARGETS = ("get_url", "post_url", "post_xml", "file", "text_reply", "exec")

# Passwords printed in Kannel's guide and examples and in ours, and those everybody tries first.
EXAMPLE_PASSWORDS = frozenset(
    {"1234", "12345", "123456", "12345678", "admin", "adminpw", "bar", "change-me", "changeme"}
    | {"demo", "demo-password", "elite", "foo", "foobar", "kannel", "pass1", "password"}
    | {"rapidpro", "secret", "smppclient1", "statuspw", "test", "tester"}
)

# What RapidPro's page leaves for the operator to fill in.
PLACEHOLDER_ID = "YOUR-SMSC"

_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


def check_names(config: Config, problems: Problems, report: Report | None = None) -> None:
    """SMSCs, binds, users, channels: no name twice (they become labels, lanes and log-ins)."""
    report = report or problems.error_at
    for section, field, what in (
        ("smscs", "name", "SMSC"),
        ("users", "username", "user"),
        ("channels", "name", "channel"),
    ):
        seen: dict[str, int] = {}
        for index, entry in enumerate(getattr(config, section)):
            word = getattr(entry, field)
            first = seen.setdefault(word, index)
            if not word or first == index:
                continue
            line = problems.place((section, first))[0]
            hint = f"first on line {line}" if line else "choose another"
            if section == "smscs":
                hint += "; SMSCs that share an id on purpose each need a name"
            report((section, index, field), f"{shown(word)} names a second {what} ({hint})")
    binds: dict[str, str] = {}
    for index, smsc in enumerate(config.smscs):
        for bind in smsc.binds:
            # SMSCs of one name were told above; here it is "a" with a bind "b/0", "a/b" with "0".
            if binds.setdefault(bind.name, smsc.name) != smsc.name:
                report(("smscs", index, "binds"), f"a second bind is named {shown(bind.name)}")


def check_ports(config: Config, problems: Problems, report: Report | None = None) -> None:
    """No address is listened on twice."""
    report = report or problems.error_at
    first, second = config.http.sendsms, config.http.admin
    if first and second and first.port and first.port == second.port and _overlap(first, second):
        report(("http", "admin"), f"port {second.port} is taken by sendsms; choose another")


def check_paths(config: Config, problems: Problems) -> None:
    """No two doors of the sendsms listener have the same path."""
    taken = {config.http.sendsms_path}
    for field in ("sendota_path", "external_path"):
        path = getattr(config.http, field)
        if path in taken:
            problems.error_at(("http", field), f"{shown(path)} is the path of another door")
        taken.add(path or field)


def _overlap(one: ListenerConfig, other: ListenerConfig) -> bool:
    return one.host == other.host or one.host in _WILDCARDS or other.host in _WILDCARDS


def check_targets(config: Config, problems: Problems, report: Report | None = None) -> None:
    """Each channel calls exactly one thing."""
    report = report or problems.error_at
    for index, channel in enumerate(config.channels):
        given = [target.replace("_", "-") for target in TARGETS if getattr(channel, target)]
        if not given:
            key = "url" if channel.format == "rapidpro" else "get-url or post-url"
            report(("channels", index), f"has nothing to call; {key} is missing")
        elif len(given) > 1:
            report(("channels", index), f"has {' and '.join(given)}; exactly one is expected")


def check_references(config: Config, problems: Problems, report: Report | None = None) -> None:
    """Users, channels and TLVs name only SMSCs and channels that exist.

    An SMSC is known by its id and by the tags in its allowed-, denied- and preferred-ids: a caller
    may route by any of them.
    """
    report = report or problems.error_at
    tags = _tags(config)
    for path, word in _references(config):
        if not word or word in tags:
            continue
        if word == PLACEHOLDER_ID:
            text = f"{word} is a placeholder; write the id of one of your SMSCs"
        else:
            text = f"no SMSC is called {shown(word)}{did_you_mean(word, tags)}"
        report(path, text)
    names = {channel.name for channel in config.channels}
    for index, user in enumerate(config.users):
        if user.channel and user.channel not in names:
            hint = did_you_mean(user.channel, names)
            report(("users", index, "channel"), f"no channel is called {shown(user.channel)}{hint}")


def strays(config: Config) -> tuple[str, ...]:
    """The SMSCs that are named and that nobody has."""
    tags = _tags(config)
    return tuple(sorted({word for _, word in _references(config) if word and word not in tags}))


def _tags(config: Config) -> set[str]:
    tags = set(config.tags)
    for smsc in config.smscs:
        tags.add(smsc.id)
        tags.update(smsc.allowed_ids or (), smsc.denied_ids, smsc.preferred_ids)
    return tags


def _references(config: Config) -> Iterator[tuple[Path, str]]:
    for index, user in enumerate(config.users):
        for which, word in enumerate(user.allowed_smscs or ()):
            yield ("users", index, "allowed_smscs", which), word
    for section in ("users", "channels"):
        for index, entry in enumerate(getattr(config, section)):
            for field in ("forced_smsc", "default_smsc"):
                yield (section, index, field), getattr(entry, field) or ""
    for index, channel in enumerate(config.channels):
        for which, word in enumerate(channel.smscs):
            yield ("channels", index, "smscs", which), word
    for index, tlv in enumerate(config.tlvs):
        for which, word in enumerate(tlv.smsc_ids):
            yield ("tlvs", index, "smsc_ids", which), word


def check_regexes(config: Config, problems: Problems, report: Report | None = None) -> None:
    """Every field that ends in _regex compiles."""
    report = report or problems.error_at
    groups: list[tuple[Path, object]] = [
        (("senders",), config.senders),
        (("receivers",), config.receivers),
        (("http", "numbers"), config.http.numbers),
    ]
    groups += [(("smscs", index), smsc) for index, smsc in enumerate(config.smscs)]
    for index, user in enumerate(config.users):
        groups.append((("users", index, "numbers"), user.numbers))
    for index, channel in enumerate(config.channels):
        groups.append((("channels", index), channel))
        groups.append((("channels", index, "senders"), channel.senders))
    for path, entry in groups:
        for field in fields(entry):  # type: ignore[arg-type]  # each is one of our dataclasses
            if field.name.endswith("_regex"):
                try:
                    regex(getattr(entry, field.name))
                except ValueError as error:
                    report((*path, field.name), str(error))


def check_doors(config: Config, problems: Problems, *, open_listener: bool) -> None:
    """Who can reach the listeners, and with what: refusals and warnings of the YAML mode.

    Beyond loopback, sendsms needs TLS or an allow-ip for each user (`open_listener` turns that
    refusal into a warning), admin needs a password, and no password may be a well-known one.
    """
    http = config.http
    if http.sendsms and not is_loopback(http.sendsms.host):
        _check_sendsms(config, http.sendsms, problems, open_listener)
    if http.admin and not is_loopback(http.admin.host):
        if not http.admin_password:
            problems.error_at(
                ("http", "admin"),
                f"{shown(http.admin.host)} is reached from outside; set admin-password, "
                "or listen on 127.0.0.1",
            )
        for field in ("admin_password", "status_password"):
            if getattr(http, field).lower() in EXAMPLE_PASSWORDS:
                problems.error_at(
                    ("http", field), "is an example password that everybody knows; choose another"
                )
        if not http.admin.tls.enabled:
            problems.warn_at(
                ("http", "admin"), "passwords are readable on the way: no TLS beyond loopback"
            )
    if "any" in http.dlr_url_allow:
        problems.warn_at(
            ("http", "dlr_url_allow"),
            "any lets callers of sendsms have every address called, inside our networks too",
        )
    for field in ("admin_password", "status_password"):
        if is_hash(getattr(http, field).reveal()):
            problems.error_at(
                ("http", field), "is a hash; only users have those: write file: or credential:"
            )
    for index, smsc in enumerate(config.smscs):
        if smsc.tls.enabled and not smsc.tls.verify:
            problems.warn_at(
                ("smscs", index, "tls"), "verify is off: anybody on the way can be the SMSC"
            )


def check_options(config: Config, problems: Problems, wrong: OptionCheck) -> None:
    """The options of each SMSC are some that its protocol has."""
    for index, smsc in enumerate(config.smscs):
        if smsc.options:
            for which, message in wrong(smsc.protocol, smsc.options):
                problems.error_at(("smscs", index, "options", which), message)


def check_vpn(config: Config, problems: Problems) -> None:
    """Nothing may leave beside a tunnel that is required."""
    for index, smsc in enumerate(config.smscs):
        path: Path = ("smscs", index)
        device = smsc.vpn.device
        if not device:
            continue
        if not smsc.vpn.require:
            if not smsc.tls.enabled:
                problems.warn_at(
                    (*path, "vpn"),
                    f"require is off: while {device} is down the password and all texts of "
                    f"{shown(smsc.name)} may leave beside it, readable on the way",
                )
            continue
        if smsc.bind_device not in ("", device):
            problems.error_at(
                (*path, "bind_device"),
                f"{smsc.bind_device} would lead beside {device}, which vpn requires; take it out",
            )
        hosts = smsc.hosts + tuple(bind.host for bind in smsc.binds if bind.host)
        for host in hosts:
            if device != "lo" and is_loopback(host):
                problems.error_at(
                    (*path, "vpn"),
                    f"{shown(host)} is this machine and never behind {device}, which is required; "
                    "write vpn: off for this SMSC",
                )


def _check_sendsms(
    config: Config, listener: ListenerConfig, problems: Problems, open_listener: bool
) -> None:
    if not listener.tls.enabled:
        problems.warn_at(
            ("http", "sendsms"), "passwords are readable on the way: no TLS beyond loopback"
        )
    for index, user in enumerate(config.users):
        if user.password.lower() in EXAMPLE_PASSWORDS:
            problems.error_at(
                ("users", index, "password"),
                "is an example password that everybody knows; choose another",
            )
        others_denied = user.deny_ip and lets_everybody_in(user.deny_ip)
        if listener.tls.enabled or (others_denied and not lets_everybody_in(user.allow_ip)):
            continue
        if open_listener:
            problems.warn_at(("users", index), "may call from everywhere: sendsms is open")
        else:
            problems.error_at(
                ("users", index),
                f"sendsms listens on {shown(listener.host)}, so allow-ip is needed here, or tls "
                "there (or http.open-listener: i-know)",
            )


def check_catch_alls(channels: Iterable[ChannelConfig], problems: Problems) -> None:
    """Warn when a default channel can never get an MO, since one before it takes everything."""
    open_ended = ""
    for index, channel in enumerate(channels):
        if not channel.default:
            continue
        if open_ended:
            problems.warn_at(
                ("channels", index), f"gets no MO: {shown(open_ended)} before it takes everything"
            )
        elif _takes_everything(channel):
            open_ended = channel.name


def _takes_everything(channel: ChannelConfig) -> bool:
    blank = ChannelConfig(name="")
    filters = (
        "smscs smscs_regex accounts accounts_regex senders allowed_prefix_regex "
        "denied_prefix_regex allowed_receiver_prefixes denied_receiver_prefixes "
        "allowed_receiver_prefix_regex denied_receiver_prefix_regex"
    )
    return all(getattr(channel, field) == getattr(blank, field) for field in filters.split())
