"""Reads a YAML configuration into a `Config`, telling every mistake in it at once.

Strategy: the text becomes a tree that keeps its lines (`yaml_nodes`); tables of keys walk it and
parse each value (`yaml_keys`, `yaml_tables`); here the sections become dataclasses, and what needs
more than one of them is checked (`validate`). A mistake is noted and reading goes on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from yaml.nodes import MappingNode

from gatewayd.config import validate
from gatewayd.config.model import (
    NO_SECRET,
    BindConfig,
    BindMode,
    ChannelConfig,
    Config,
    OtaConfig,
    ReportPolicy,
    Retry,
    SmscConfig,
    TlvConfig,
    UserConfig,
    VpnConfig,
)
from gatewayd.config.values import Problems
from gatewayd.config.yaml_keys import (
    Key,
    Read,
    Source,
    Table,
    Value,
    blank_or,
    demand,
    fill,
    is_section,
    items,
    merged,
    present,
    table,
    text,
)
from gatewayd.config.yaml_kinds import words
from gatewayd.config.yaml_network import VPN, vpn
from gatewayd.config.yaml_nodes import MAX_FILE, Refused, compose, decode, line_of
from gatewayd.config.yaml_tables import (
    CHANNEL,
    DEFAULTS,
    OTA,
    SMSC,
    TLV,
    USER,
)
from gatewayd.config.yaml_values import numbers_of_prefix
from gatewayd.errors import ConfigError, Problem

# A receipt that overtakes the one before turns "delivered" back into "sent" on such platforms, and
# they ask again when our answer was lost.
_RAPIDPRO = frozenset({"rapidpro", "external"})
_RAPIDPRO_REPORTS = ReportPolicy(spacing=1.0, drop_late=True)


def read_yaml(
    path: str, environ: Mapping[str, str], wrong_options: validate.OptionCheck | None = None
) -> Config:
    """The configuration in the YAML file `path`; `environ` is what `${NAME}` stands for.

    What is allowed and yet doubtful is in `Config.warnings`. Without `wrong_options` nobody looks
    at the options of a protocol.

    Raises:
        ConfigError: with every mistake found, in the order of the lines.
    """
    problems = Problems(path)
    data, mode = _read(path)
    try:
        root = compose(decode(data))
    except Refused as refused:
        raise ConfigError([Problem(path, refused.line, "", str(refused))]) from None
    if root is None:
        raise ConfigError([Problem(path, 0, "", "holds no configuration")])
    whole = Value(root, line_of(root), "", (), Source(problems, environ), {})
    sections = fill(whole, _TOP) or {}
    open_listener = sections.get("http", {}).pop("open_listener", "") == "i-know"
    _close(sections.get("http", {}), "admin_allow_ip", "admin_deny_ip")
    for name, (default, _keys) in DEFAULTS.items():
        if name in sections:
            sections[name] = merged(default, sections[name])
    tunnel = sections.pop("vpn", None)
    config = Config(source=path, **sections)
    if tunnel is not None:
        config = replace(config, smscs=_through(tunnel, config.smscs, problems))
    _check(config, problems, open_listener)
    if wrong_options is not None:
        validate.check_options(config, problems, wrong_options)
    if mode & 0o077 and any("plain text" in warning for warning in problems.warnings):
        problems.warn(0, "", f"holds passwords and is open to others (mode {mode:03o}); chmod 600")
    return replace(config, warnings=problems.finish())


def _read(path: str) -> tuple[bytes, int]:
    try:
        with open(path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return file.read(MAX_FILE + 1), mode
    except OSError as error:
        raise ConfigError([Problem(path, 0, "", f"cannot be read: {error.strerror}")]) from None
    except ValueError:
        raise ConfigError([Problem(path, 0, "", "is not a file name")]) from None


def _check(config: Config, problems: Problems, open_listener: bool) -> None:
    validate.check_names(config, problems)
    validate.check_ports(config, problems)
    validate.check_paths(config, problems)
    validate.check_references(config, problems)
    validate.check_doors(config, problems, open_listener=open_listener)
    validate.check_catch_alls(config.channels, problems)
    validate.check_vpn(config, problems)
    if config.store.path == ":memory:":
        problems.warn_at(("store", "path"), "keeps messages in memory: a stop loses them")
    elif config.store.path and not config.store.path.startswith("/"):
        # started elsewhere, the daemon would begin with an empty store
        problems.error_at(("store", "path"), "is not an absolute path (/var/lib/gatewayd/...)")
    for index, channel in enumerate(config.channels):
        if channel.exec and not config.http.allow_exec:
            problems.error_at(
                ("channels", index, "exec"), "runs a command; http.allow-exec: true permits that"
            )
    if not config.smscs and not problems.found:
        problems.warn(0, "smscs", "there is no SMSC: no message can leave")


def _list_of(make: Callable[[Value, dict[str, Any]], object], keys: Table) -> Key:
    """A key with a list of sections. What is wrong becomes an entry all the same.

    So entries keep their number for the checks that follow; nobody else sees the result.
    """

    def read(value: Value) -> tuple[object, ...]:
        if isinstance(value.node, MappingNode):
            value.complain('is a section of keys; each entry of the list begins with "- "')
            return ()
        return tuple(make(each, fill(each, keys) or {}) for each in items(value))

    return Key("", read, keys)


def _smsc(value: Value, found: dict[str, Any]) -> SmscConfig:
    protocol = found.get("protocol", "smpp")
    demand(value, "id", *_NEEDED.get(protocol, ()))
    if protocol in _WINDOWS:
        found.setdefault("window", _WINDOWS[protocol])
    hosts = present(value) & {"host", "hosts"} or _every_bind_has_host(found)
    if not hosts and is_section(value):
        value.complain("host is missing")
    found.setdefault("id", "")
    found.setdefault("name", found["id"])
    _take_hosts(value, found)
    _take_credentials(found)
    binds = found.get("binds", (BindConfig("0"),))
    found["binds"] = tuple(replace(bind, name=f"{found['name']}/{bind.name}") for bind in binds)
    smsc = SmscConfig(**found)
    if protocol == "smpp":
        _check_credentials(value, smsc)
    for which in ("resend", "throttle", "reconnect"):
        _check_retry(value, which, getattr(smsc, which))
    return replace(smsc, status_name=status_name(smsc))


def _through(
    tunnel: VpnConfig, smscs: tuple[SmscConfig, ...], problems: Problems
) -> tuple[SmscConfig, ...]:
    """The SMSCs that say nothing of a VPN take the tunnel that is there for all."""
    return tuple(
        smsc if problems.is_marked(("smscs", index, "vpn")) else replace(smsc, vpn=tunnel)
        for index, smsc in enumerate(smscs)
    )


# CIMD2 has no port that everybody uses, and a window only where the operator grants one.
_NEEDED = {"smpp": ("system-id",), "cimd2": ("port", "system-id")}
_WINDOWS = {"cimd2": 1}


def _every_bind_has_host(found: dict[str, Any]) -> bool:
    binds = found.get("binds", ())
    return bool(binds) and all(bind.host for bind in binds)


def _take_hosts(value: Value, found: dict[str, Any]) -> None:
    single = found.pop("host", None)
    if single is not None and "hosts" in found:
        value.complain("has host and hosts; exactly one is expected")
    elif single is not None:
        found["hosts"] = (single,)


def _take_credentials(found: dict[str, Any]) -> None:
    given = {field: found.pop(field) for field in _CREDENTIALS if field in found}
    default = SmscConfig(name="", id="").smpp
    found["smpp"] = replace(found.get("smpp", default), **given)


def _check_credentials(value: Value, smsc: SmscConfig) -> None:
    """C-octet strings: ASCII; one longer than SMPP 3.4 allows is only warned of."""
    problems = value.source.problems
    smpp = smsc.smpp
    written = (smpp.system_id, smpp.password.reveal(), smpp.system_type)
    for field, text_, longest in zip(_CREDENTIALS, written, (15, 8, 12), strict=True):
        path = (*value.path, field)
        if not text_.isascii():
            problems.error_at(path, "holds letters beyond ASCII; SMPP carries ASCII here")
        elif len(text_) > longest:
            problems.warn_at(path, f"is longer than the {longest} characters of SMPP 3.4")


_CREDENTIALS = ("system_id", "password", "system_type")


def _check_retry(value: Value, which: str, retry: Retry) -> None:
    if retry.cap < retry.first:
        value.source.problems.error_at(
            (*value.path, which), f"cap ({retry.cap:g} s) is below first ({retry.first:g} s)"
        )


def status_name(smsc: SmscConfig) -> str:
    """How Kannel's status pages name an SMSC; of SMPP with transmit and receive port, 0: none."""
    host = smsc.hosts[0] if smsc.hosts else ""
    transmit = receive = 0
    for bind in smsc.binds:
        host = host or bind.host
        port = bind.port or smsc.port
        if bind.mode is not BindMode.RECEIVER:
            transmit = transmit or port
        if bind.mode is not BindMode.TRANSMITTER:
            receive = receive or port
    options = smsc.smpp
    if smsc.protocol != "smpp":
        return f"{smsc.protocol.upper()}:{host}:{smsc.port}:{options.system_id}"
    return f"SMPP:{host}:{transmit}/{receive}:{options.system_id}:{options.system_type}"


def _user(value: Value, found: dict[str, Any]) -> UserConfig:
    demand(value, "username", "password")
    _close(found, "allow_ip", "deny_ip")
    return merged(UserConfig(username="", password=NO_SECRET), found)


def _close(found: dict[str, Any], allow: str, deny: str) -> None:
    """Who is named may come in, and nobody else.

    By Kannel's rule, which the rest of the program follows, an address that neither list names is
    let in; so an allow list alone is given a deny list of everybody. An empty deny list that is
    written out stays empty.
    """
    if found.get(allow) and deny not in found:
        found[deny] = ("*",)


def _channel(value: Value, found: dict[str, Any]) -> ChannelConfig:
    demand(value, "name")
    format_ = found.get("format", "kannel")
    _check_target(value, format_)
    if "url" in found:
        found.setdefault("post_url", found.pop("url"))
        found.pop("url", None)
    # A channel without keyword is the one people mean when they have one: it takes every MO.
    matching = ("keyword", "aliases", "keyword_regex")
    found.setdefault("default", not any(found.get(field) for field in matching))
    policy = _RAPIDPRO_REPORTS if format_ in _RAPIDPRO else ReportPolicy()
    found.setdefault("idempotent", format_ in _RAPIDPRO)
    found["reports"] = merged(policy, found.get("reports", {}))
    channel = merged(ChannelConfig(name=""), found)
    _check_retry(value, "retry", channel.retry)
    return channel


def _check_target(value: Value, format_: str) -> None:
    """Exactly one thing is called, and it is of the kind that the format calls."""
    own = ("url", *(target.replace("_", "-") for target in validate.TARGETS))
    there = present(value)
    given = [key for key in own if key in there]
    if not is_section(value):
        return
    if not given:
        wanted = "get-url or post-url" if format_ == "kannel" else "url"
        value.complain(f"has nothing to call; {wanted} is missing")
    elif len(given) > 1:
        value.complain(f"has {' and '.join(given)}; exactly one is expected")
    elif given == ["url"] and format_ == "kannel":
        value.source.problems.error_at(
            (*value.path, "url"), "is for format: rapidpro; format kannel has get-url and post-url"
        )
    elif given[0] not in ("url", "post-url") and format_ != "kannel":
        value.source.problems.error_at(
            (*value.path, given[0].replace("-", "_")),
            f"is for format: kannel; format {format_} has url",
        )


def _tlv(value: Value, found: dict[str, Any]) -> TlvConfig:
    demand(value, "name", "tag")
    return merged(TlvConfig(name="", tag=0), found)


def _ota(value: Value, found: dict[str, Any]) -> OtaConfig:
    demand(value, "id")
    return merged(OtaConfig(), found)


def _once(keys: Table) -> Read:
    """Reads a section that is there once, into the fields it gives."""
    return lambda value: fill(value, keys) or {}


_LISTS = {
    "smscs": _list_of(_smsc, SMSC),
    "users": _list_of(_user, USER),
    "channels": _list_of(_channel, CHANNEL),
    "tlvs": _list_of(_tlv, TLV),
    "ota": _list_of(_ota, OTA),
}

_TOP = table(
    **{field: key._replace(field=field) for field, key in _LISTS.items()},
    **{field: Key(field, _once(keys), keys) for field, (_, keys) in DEFAULTS.items()},
    unified_prefix=text(blank_or(numbers_of_prefix)),
    tags=words,
    vpn=Key("vpn", vpn, VPN),
)
