"""What two configurations differ in, and what each difference asks for. Pure.

Everything is compared by value, so a file that was only written anew, or reordered, differs in
nothing that would cost a bind. What is told of a difference are names of keys, never their values:
those may be passwords.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, TypeVar

from gatewayd.config.model import BindConfig, Config, ListenerConfig, SmscConfig, TlvConfig

T = TypeVar("T")

# Keys of an SMSC that concern no link: changed in place. Any other one asks for new binds.
IN_PLACE: Final = frozenset(
    {
        *("admin_id", "status_name", "dead_start", "window", "rate", "unified_prefix"),
        *("allowed_ids", "denied_ids", "preferred_ids"),
        *("allowed_prefixes", "denied_prefixes", "preferred_prefixes"),
        *("allowed_ids_regex", "denied_ids_regex", "preferred_ids_regex"),
        *("allowed_prefix_regex", "denied_prefix_regex", "preferred_prefix_regex"),
        *("on_uncertain", "resend", "throttle", "throttled_waits"),
        *("reconnect", "refused_pause", "connect_timeout"),
    }
)
# Keys of one bind that do so.
BIND_IN_PLACE: Final = frozenset({"window"})
# Protocols that tell the SMSC their window when they log in: there another one costs a bind.
WINDOW_TOLD: Final = frozenset({"cimd2"})
# What only a new process can change: section and key.
FIXED: Final = (("store", "path"), ("http", "proxy"))
LISTENERS: Final = ("admin", "sendsms")  # in the order in which they are opened


@dataclass(frozen=True, slots=True)
class Changed:
    """Something that is in both under one name, and the keys in which it differs."""

    name: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SmscChange:
    """An SMSC that stays. `rebound` are the binds that stay and must be made anew."""

    old: SmscConfig
    new: SmscConfig
    keys: tuple[str, ...]
    added: tuple[BindConfig, ...] = ()
    removed: tuple[str, ...] = ()
    rebound: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Named:
    """What came, went and changed among things that have a name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Difference:
    """All of it. `fixed` names the keys that need a restart, as ``store path``."""

    smscs_added: tuple[SmscConfig, ...] = ()
    smscs_removed: tuple[SmscConfig, ...] = ()
    smscs_changed: tuple[SmscChange, ...] = ()
    users: Named = Named()
    channels: Named = Named()
    listeners: tuple[str, ...] = ()  # that open, close or move, or whose TLS is another
    sections: tuple[Changed, ...] = ()  # the rest, by section of the configuration
    fixed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def describe(self) -> str:
        """One line that names what differs."""
        told = [f"SMSC {smsc.name} added" for smsc in self.smscs_added]
        told += [f"SMSC {smsc.name} removed" for smsc in self.smscs_removed]
        for change in self.smscs_changed:
            told.append(_line(f"SMSC {change.new.name}", change.keys))
            told += [f"bind {bind.name} added" for bind in change.added]
            told += [f"bind {name} removed" for name in change.removed]
        for what, named in (("user", self.users), ("channel", self.channels)):
            told += [f"{what} {name} added" for name in named.added]
            told += [f"{what} {name} removed" for name in named.removed]
            told += [_line(f"{what} {one.name}", one.keys) for one in named.changed]
        told += [_line(one.name, one.keys) for one in self.sections]
        return "; ".join(told)


def difference(old: Config, new: Config) -> Difference:
    """What to do to come from `old` to `new`."""
    before = {smsc.name: smsc for smsc in old.smscs}
    after = {smsc.name: smsc for smsc in new.smscs}
    changes = [
        _smsc(before[name], smsc, _tlvs(old, before[name]) != _tlvs(new, smsc))
        for name, smsc in after.items()
        if name in before
    ]
    return Difference(
        smscs_added=tuple(smsc for name, smsc in after.items() if name not in before),
        smscs_removed=tuple(smsc for name, smsc in before.items() if name not in after),
        smscs_changed=tuple(change for change in changes if change is not None),
        users=_named(old.users, new.users, "username"),
        channels=_named(old.channels, new.channels, "name"),
        listeners=tuple(name for name in LISTENERS if listener(old, name) != listener(new, name)),
        sections=tuple(_sections(old, new)),
        fixed=tuple(
            f"{section} {_key(key)}"
            for section, key in FIXED
            if getattr(getattr(old, section), key) != getattr(getattr(new, section), key)
        ),
    )


def listener(config: Config, name: str) -> ListenerConfig | None:
    """The listener that is called `name`."""
    found: ListenerConfig | None = getattr(config.http, name)
    return found


def _smsc(old: SmscConfig, new: SmscConfig, other_tlvs: bool) -> SmscChange | None:
    keys = [key for key in _differing(old, new) if key != "binds"]
    before = {bind.name: bind for bind in old.binds}
    after = {bind.name: bind for bind in new.binds}
    told_window = {"window"} if new.protocol in WINDOW_TOLD else set()
    in_place, bind_in_place = IN_PLACE - told_window, BIND_IN_PLACE - told_window
    again = other_tlvs or any(key not in in_place for key in keys)
    both = [name for name in after if name in before]
    rebound = [
        name
        for name in both
        if again or any(key not in bind_in_place for key in _differing(before[name], after[name]))
    ]
    in_binds = {key for name in both for key in _differing(before[name], after[name])}
    told = [key for key in _told(old, new) if key != "binds"]
    told = [key for key in told if key != "status-name"] or told  # made of the others as a rule
    told += [f"bind {_key(key)}" for key in sorted(in_binds)]
    if other_tlvs:
        told.append("tlvs")
    change = SmscChange(
        old,
        new,
        tuple(told),
        added=tuple(bind for name, bind in after.items() if name not in before),
        removed=tuple(name for name in before if name not in after),
        rebound=tuple(rebound),
    )
    return change if told or change.added or change.removed or old.binds != new.binds else None


def _tlvs(config: Config, smsc: SmscConfig) -> list[TlvConfig]:
    """Those that the SMSC's binds know."""
    return [tlv for tlv in config.tlvs if not tlv.smsc_ids or smsc.id in tlv.smsc_ids]


def _named(old: Sequence[Any], new: Sequence[Any], by: str) -> Named:
    """Of several with one name the first counts; but their order is a difference, too."""
    before, after = _by_name(old, by), _by_name(new, by)
    changed = [
        Changed(name, tuple(_told(before[name], one)))
        for name, one in after.items()
        if name in before and before[name] != one
    ]
    named = Named(
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(changed),
    )
    if not named and tuple(old) != tuple(new):
        return Named(changed=(Changed("all", ("order",)),))
    return named


def _by_name(ones: Iterable[T], by: str) -> dict[str, T]:
    found: dict[str, T] = {}
    for one in ones:
        found.setdefault(getattr(one, by), one)
    return found


def _sections(old: Config, new: Config) -> Iterable[Changed]:
    """What is neither SMSC nor user nor channel."""
    own = {"smscs", "users", "channels", "tlvs"}
    for field in fields(Config):
        if field.name in own or not field.compare:
            continue
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before == after:
            continue
        structured = hasattr(before, "__dataclass_fields__")
        yield Changed(_key(field.name), tuple(_told(before, after)) if structured else ())
    if old.tlvs != new.tlvs:
        yield Changed("tlvs", ())
    if [smsc.name for smsc in old.smscs] != [smsc.name for smsc in new.smscs] and {
        smsc.name for smsc in old.smscs
    } == {smsc.name for smsc in new.smscs}:
        yield Changed("smscs", ("order",))


def _differing(old: Any, new: Any) -> list[str]:
    return [f.name for f in fields(old) if getattr(old, f.name) != getattr(new, f.name)]


def _told(old: Any, new: Any, within: str = "") -> list[str]:
    """The keys that differ, as people know them: those of a part with the part's name before."""
    found: list[str] = []
    for name in _differing(old, new):
        before, after = getattr(old, name), getattr(new, name)
        parts = type(before) is type(after) and hasattr(before, "__dataclass_fields__")
        if parts and not within:
            found += _told(before, after, f"{_key(name)} ")
        else:
            found.append(f"{within}{_key(name)}")
    return found


def _key(name: str) -> str:
    return name.replace("_", "-")


def _line(what: str, keys: Sequence[str]) -> str:
    return f"{what}: {', '.join(keys)}" if keys else f"{what} changed"
