"""Writes a `Config` as commented YAML, so that a kannel.conf can be left behind.

Only what differs from the YAML defaults is written: the result does what the kannel.conf did, and
each line that is Kannel's habit rather than the safe choice says so. Deleting such a line takes the
safe choice. Passwords stand in it as plain text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from gatewayd.config.kannel_safe import safer
from gatewayd.config.model import (
    NO_SECRET,
    BindConfig,
    BindMode,
    ChannelConfig,
    Config,
    ListenerConfig,
    OtaConfig,
    Secret,
    SmppOptions,
    SmscConfig,
    TlvConfig,
    UserConfig,
)
from gatewayd.config.values import is_loopback

_VERSIONS = {0x33: "3.3", 0x34: "3.4", 0x50: "5.0"}
_CREDENTIALS = ("system_id", "password", "system_type")

# What to say beside a key (of a section, where the name alone is not enough) that makes Kannel's
# habit of what could be the safe choice.
_REMARKS = {
    "too-long": "what is beyond max-messages is lost in silence; the safe choice is refuse",
    "not-gsm": 'other letters become "?"; the safe choice is ucs2',
    "ton-rule": "digits go out as TON 2 NPI 1; the usual choice is e164",
    "receipts-for": "only the first segment of a message asks for a receipt",
    "ordered": "MO of one sender may overtake each other",
    "mo-recode": "UCS-2 text reaches the platform as UTF-16BE octets; RapidPro needs true",
    "refused-pause": "a bind refused for its credentials is never tried again by itself",
    "dead-letters": "what runs out of attempts is gone; true keeps it",
    "tlvs-need-version": "TLVs are sent whatever version the bind answer says",
    "reply-request-failed": "sent to the phone when no channel takes an MO",
    "receiver-characters": "which characters a receiver may have",
    "esm-class": "store and forward, as Kannel marks every submit",
    "id-case": "message ids compare with their case and zeros",
    "temporary": "answers to a submit that are tried again",
    "throttling": "answers that pause the bind",
    "already-bound-is-bound": "ESME_RALYBND as the answer to a bind counts as success",
    "queue-full-status": "what a deliver_sm gets when too much waits",
    "not-bound": 'answers that mean "you are not bound"; Kannel knows none',
    "strict-addresses": "letters in a TON 1 source are refused",
    "strict-receipts": "only receipt texts in the usual spelling count",
    "mwi-ucs2": "data_coding 0xEx is read as GSM",
    "nack-unexpected": "alert_notification and outbind get a generic_nack",
    "enquire-always": "also while traffic flows",
    "throttled-waits": "a throttled segment waits as resend says",
    "split-look-back": "a part ends at its last split character, however early",
    "dlr-url-allow": "a caller can have any address called, inside our networks too",
    "redirects": "redirects of a platform that are followed",
    "strict": "text that is damaged is sent on as it is; true refuses it",
    "admin-by-get": "commands with the password in the URL, which ends up in logs and histories",
    "login-failures": "passwords can be guessed as fast as they are asked",
    "retry-after": "503 comes without Retry-After",
    "external-path": "the door for RapidPro's External API is shut",
    "json-posts": "sendsms refuses a POST of JSON",
    "open-listener": "sendsms is reachable from outside; allow-ip for each user is better",
}

_NOBODY_DENIED = "deny-ip: []  # as in Kannel; without this line allow-ip shuts out all others"

_HEAD = """\
# gatewayd configuration, made from {source}
#
# It does what that kannel.conf did. Every key that is not written has gatewayd's own default; a key
# below that only keeps a habit of Kannel says so, and may be deleted.
# Passwords are plain text here: chmod 600, or write ${{NAME}}, file:/path or credential:NAME.
"""

_TITLES = {
    "smscs": "The accounts with operators, each with its binds.",
    "users": "Who may call sendsms.",
    "channels": "Where MO and reports go; an MO tries them in this order.",
    "tlvs": "TLVs known by name, for meta-data.",
    "ota": "Settings and bookmarks that sendota pushes to phones.",
    "reports": "How reports are delivered that no channel rules.",
    "http": "What we listen on and say over HTTP.",
    "store": "Where messages are kept.",
    "logging": "What is written down.",
    "limits": "How much may wait.",
    "senders": "Senders let through.",
    "receivers": "Receivers let through.",
}


def to_yaml(config: Config, replaced: Sequence[str] = ()) -> str:
    """The YAML that `read_yaml` reads into an equal `Config`.

    Its head lists what of a kannel.conf has no place in it, and what of Kannel's habits can lose
    messages; `replaced` says what `kannel_safe.safer` did about these. What `read_yaml` refuses is
    written all the same and has to be mended: blanks in ids and names, commands and files
    without an absolute path, an empty password.
    """
    lines = [
        _HEAD.format(source=" ".join(config.source.split()) or "a kannel.conf")
        + "".join(_remarks(config, replaced))
    ]
    if config.unified_prefix:
        lines.append(f"unified-prefix: {_quoted(config.unified_prefix)}\n")
    if config.tags:
        lines.append(f"tags: [{', '.join(map(_quoted, config.tags))}]  # that no SMSC has\n")
    sections: list[tuple[str, list[str]]] = [
        ("smscs", [_item(_smsc(smsc)) for smsc in config.smscs]),
        ("users", [_item(_user(user)) for user in config.users]),
        ("channels", [_item(_channel(channel)) for channel in config.channels]),
        ("tlvs", [_item(_fields(tlv, _TLV)) for tlv in config.tlvs]),
        ("ota", [_item(_fields(ota, _OTA)) for ota in config.ota]),
        ("http", [_indented(_http(config))]),
    ]
    default = Config()
    for name in ("reports", "store", "logging", "limits", "senders", "receivers"):
        body = _fields(getattr(config, name), getattr(default, name))
        sections.append((name, [_indented(body)]))
    for name, body_lines in sections:
        body_text = "".join(body_lines)
        if body_text:
            lines.append(f"# {_TITLES[name]}\n{name}:\n{body_text}")
    return "\n".join(lines)


def _remarks(config: Config, replaced: Sequence[str]) -> Iterator[str]:
    """The comments at the head: one list for each kind of thing to know."""
    if not config.kannel:
        return
    unused: list[str] = []
    others: list[str] = []
    for warning in config.warnings:
        place, _, text = warning.partition(": ")
        line = place.rpartition(":")[2]
        said = f"line {line}: {text}" if line.isdigit() else text
        (unused if _UNUSED in text else others).append(said.replace(f" {_UNUSED}", ""))
    kept = "What import-kannel --safe would change, for now it can lose messages"
    losing = replaced or safer(config)[1]
    for title, entries in (
        ("Not carried over", unused),
        ("To look at", others),
        ("Replaced, for it could lose messages" if replaced else kept, losing),
    ):
        if entries:
            yield f"#\n# {title}:\n"
            yield from (f"#   {_comment(entry)}\n" for entry in entries)


def _comment(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


_UNUSED = "is accepted and unused:"

_SMSC = SmscConfig(name="", id="")
_USER = UserConfig(username="", password=NO_SECRET)
_CHANNEL = ChannelConfig(name="")
_TLV = TlvConfig(name="", tag=-1)
_OTA = OtaConfig(id="\0")

Lines = list[str]


def _item(lines: Lines) -> str:
    """One entry of a list of sections."""
    return "".join(
        ("  - " if index == 0 else "    ") + line + "\n" for index, line in enumerate(lines)
    )


def _indented(lines: Lines) -> str:
    return "".join(f"  {line}\n" for line in lines)


def _key(field: str) -> str:
    return field.rstrip("_").replace("_", "-")


def _line(key: str, value: str) -> str:
    remark = _REMARKS.get(key)
    return f"{key}: {value}  # {remark}" if remark else f"{key}: {value}"


def _fields(entry: Any, default: Any, skip: tuple[str, ...] = ()) -> Lines:
    """A line for each field of a dataclass that is not as in `default`; sections are indented."""
    lines: Lines = []
    for field in fields(entry):
        value, usual = getattr(entry, field.name), getattr(default, field.name)
        if field.name in skip or value == usual:
            continue
        key = _key(field.name)
        if is_dataclass(value):
            inner = _fields(value, usual)
            lines += [f"{key}:", *(f"  {line}" for line in inner)]
        else:
            lines.append(_line(key, _scalar(field.name, value)))
    return lines


def _scalar(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if field == "interface_version":
        return _VERSIONS.get(value, f"0x{value:02x}")
    if field == "tag":
        return f"0x{value:04x}"
    if isinstance(value, int):
        return f"0x{value:02x}" if field.endswith("_status") else str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, frozenset):
        return f"[{', '.join(f'0x{number:02x}' for number in sorted(value))}]"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_quoted, value))}]"
    return _quoted(value)


def _quoted(text: str) -> str:
    """A YAML scalar in double quotes that stands for `text`, and for nothing of the environment."""
    plain = text.reveal() if isinstance(text, Secret) else text
    return '"' + "".join(map(_escaped, plain.replace("${", "$${"))) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"


def _smsc(smsc: SmscConfig) -> Lines:
    lines = [_line("id", _quoted(smsc.id))]
    if smsc.name != smsc.id:
        lines.append(_line("name", _quoted(smsc.name)))
    lines.append(_line("protocol", smsc.protocol))
    for field in _CREDENTIALS:
        value = getattr(smsc.smpp, field)
        if value or field == "system_id":
            lines.append(_line(_key(field), _quoted(value)))
    lines += _binds(smsc.binds)
    rest = _fields(smsc, _SMSC, ("id", "name", "protocol", "binds", "status_name", "smpp"))
    lines += rest
    smpp = _fields(smsc.smpp, SmppOptions(), _CREDENTIALS)
    if smpp:
        lines += ["smpp:", *(f"  {line}" for line in smpp)]
    return lines


def _binds(binds: tuple[BindConfig, ...]) -> Iterator[str]:
    if all(bind.mode is BindMode.TRANSCEIVER for bind in binds):
        if len(binds) != 1:
            yield f"binds: {len(binds)}"
        return
    yield "binds:"
    for bind in binds:
        yield f"  - mode: {bind.mode.value}"


def _user(user: UserConfig) -> Lines:
    lines = _fields(user, _USER)
    if user.allow_ip and not user.deny_ip:
        lines.append(_NOBODY_DENIED)
    return lines


def _channel(channel: ChannelConfig) -> Lines:
    lines = [_line("name", _quoted(channel.name))]
    lines.append(_line("default", "true" if channel.default else "false"))
    return lines + _fields(channel, _CHANNEL, ("name", "default"))


def _http(config: Config) -> Lines:
    lines: Lines = []
    http, default = config.http, Config().http
    if http.sendsms and not is_loopback(http.sendsms.host):
        lines.append(_line("open-listener", "i-know"))
    for name in ("sendsms", "admin"):
        listener: ListenerConfig | None = getattr(http, name)
        if listener == getattr(default, name):
            continue
        if listener is None:
            lines.append(f"{name}: off")
            continue
        lines += [f"{name}:", f"  host: {_quoted(listener.host)}", f"  port: {listener.port}"]
        if listener.tls.enabled:
            tls = _fields(listener.tls, ListenerConfig().tls, ("enabled",))
            lines += ["  tls:", *(f"    {line}" for line in tls)]
    lines += _fields(http, default, ("sendsms", "admin"))
    if http.admin_allow_ip and not http.admin_deny_ip:
        lines.append(f"admin-{_NOBODY_DENIED}")
    return lines
