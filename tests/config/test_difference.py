"""What differs between two configurations: everything that does, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    Limits,
    ListenerConfig,
    OnUncertain,
    SmscConfig,
    StoreConfig,
    UserConfig,
)
from gatewayd.config.difference import IN_PLACE, Difference, SmscChange, difference
from gatewayd.config.model import (
    BindMode,
    LoggingConfig,
    OtaConfig,
    Secret,
    SmppOptions,
    TlsConfig,
    TlvConfig,
    VpnConfig,
)


def smsc(name: str = "a", **fields: object) -> SmscConfig:
    known: dict[str, object] = {"hosts": ("192.0.2.7",), "binds": (BindConfig(f"{name}/0"),)}
    return SmscConfig(name, name, **(known | fields))  # type: ignore[arg-type]


def only(change: Difference) -> SmscChange:
    (found,) = change.smscs_changed
    return found


smscs = st.builds(
    lambda name, binds, **fields: smsc(
        name,
        binds=tuple(BindConfig(f"{name}/{n}", window=w) for n, w in enumerate(binds)),
        **fields,
    ),
    st.sampled_from("abc"),
    st.lists(st.integers(0, 2), max_size=3),
    rate=st.sampled_from([0.0, 5.0]),
    window=st.sampled_from([1, 10]),
    port=st.sampled_from([2775, 2776]),
    on_uncertain=st.sampled_from(OnUncertain),
    smpp=st.builds(SmppOptions, password=st.sampled_from([Secret("x"), Secret("y")])),
)
users = st.builds(
    UserConfig, st.sampled_from("uv"), st.builds(Secret, st.sampled_from("pq")), rate=st.just(0.0)
)
channels = st.builds(
    ChannelConfig, st.sampled_from(["c", "d"]), post_url=st.sampled_from(["http://x", "http://y"])
)
configs = st.builds(
    Config,
    smscs=st.lists(smscs, max_size=3, unique_by=lambda one: one.name).map(tuple),
    users=st.lists(users, max_size=3).map(tuple),
    channels=st.lists(channels, max_size=2, unique_by=lambda one: one.name).map(tuple),
    tlvs=st.lists(st.builds(TlvConfig, st.just("t"), st.integers(1, 2)), max_size=1).map(tuple),
    http=st.builds(HttpConfig, max_body=st.sampled_from([1, 2])),
    limits=st.builds(Limits, drain=st.sampled_from([1.0, 2.0])),
    store=st.builds(StoreConfig, path=st.sampled_from(["", "/x"])),
    ota=st.lists(st.builds(OtaConfig, st.sampled_from("ab")), max_size=1).map(tuple),
)


@given(configs)
def test_a_configuration_does_not_differ_from_itself(config: Config) -> None:
    change = difference(config, replace(config, warnings=("another one",)))
    assert not change
    assert change.describe() == ""


@given(configs, configs)
def test_what_is_equal_has_no_difference_and_nothing_else_has_none(
    one: Config, two: Config
) -> None:
    assert bool(difference(one, two)) == (one != two)
    assert bool(difference(one, two).describe()) == (one != two)


@given(configs, configs)
def test_done_to_the_old_binds_the_difference_gives_the_new_ones(old: Config, new: Config) -> None:
    """Every bind that is kept was made as the new configuration wants it."""
    change = difference(old, new)
    gone = {one.name for one in change.smscs_removed}
    made = {one.name: one for one in old.smscs if one.name not in gone}
    made |= {one.name: one for one in change.smscs_added}
    made |= {one.new.name: one.new for one in change.smscs_changed}
    assert made == {one.name: one for one in new.smscs}
    links = {bind.name: bind for one in old.smscs if one.name not in gone for bind in one.binds}
    links |= {bind.name: bind for one in change.smscs_added for bind in one.binds}
    for one in change.smscs_changed:
        for name in one.removed:
            del links[name]
        links |= {bind.name: bind for bind in one.added}
        links |= {b.name: b for b in one.new.binds if b.name in one.rebound}
    wanted = {bind.name: bind for one in new.smscs for bind in one.binds}
    assert links.keys() == wanted.keys()
    assert all(replace(links[name], window=0) == replace(wanted[name], window=0) for name in wanted)


@given(configs, configs)
def test_no_secret_is_told(old: Config, new: Config) -> None:
    secretive = replace(new, users=(UserConfig("u", Secret("topsecret")),))
    assert "topsecret" not in difference(old, secretive).describe()


@pytest.mark.parametrize("key", sorted(IN_PLACE))
def test_a_key_that_concerns_no_link_costs_no_bind(key: str) -> None:
    values: dict[str, object] = {
        "window": 3,
        "rate": 3.0,
        "on_uncertain": OnUncertain.HOLD,
        "refused_pause": 1.0,
        "connect_timeout": 1.0,
        "dead_start": True,
        "throttled_waits": True,
    }
    old = smsc()
    known = getattr(old, key)
    if key in values:
        value = values[key]
    elif isinstance(known, str):
        value = "5"
    elif key in ("resend", "throttle", "reconnect"):
        value = replace(known, first=77.0)
    else:
        value = ("5",)
    change = only(difference(Config(smscs=(old,)), Config(smscs=(replace(old, **{key: value}),))))  # type: ignore[arg-type]
    assert (change.rebound, change.added, change.removed) == ((), (), ())
    assert len(change.keys) == 1


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("port", 1),
        ("hosts", ("192.0.2.8",)),
        ("protocol", "ucp"),
        ("tls", TlsConfig(enabled=True)),
        ("vpn", VpnConfig("tun0")),
        ("source_address", "192.0.2.1"),
        ("smpp", SmppOptions(password=Secret("other"))),
        ("options", ("a=b",)),
    ],
)
def test_a_key_of_the_link_has_all_binds_of_that_smsc_made_anew(key: str, value: object) -> None:
    binds = (BindConfig("a/0"), BindConfig("a/1"))
    old = smsc(binds=binds)
    new = replace(old, **{key: value})  # type: ignore[arg-type]
    change = difference(Config(smscs=(old, smsc("b"))), Config(smscs=(new, smsc("b"))))
    assert only(change).rebound == ("a/0", "a/1")


def test_every_key_of_an_smsc_either_is_known_to_concern_no_link_or_costs_a_bind() -> None:
    assert {field.name for field in fields(SmscConfig)} >= IN_PLACE


def test_a_bind_of_its_own_mode_or_host_is_made_anew_alone() -> None:
    binds = (BindConfig("a/0"), BindConfig("a/1"), BindConfig("a/2"))
    new = (binds[0], replace(binds[1], mode=BindMode.RECEIVER), BindConfig("a/3"))
    change = only(difference(Config(smscs=(smsc(binds=binds),)), Config(smscs=(smsc(binds=new),))))
    assert change.rebound == ("a/1",)
    assert change.removed == ("a/2",)
    assert [bind.name for bind in change.added] == ["a/3"]


def test_a_window_that_the_smsc_is_told_at_login_costs_a_bind() -> None:
    old = smsc(protocol="cimd2")
    change = only(difference(Config(smscs=(old,)), Config(smscs=(replace(old, window=3),))))
    assert change.rebound == ("a/0",)
    bind = replace(old, binds=(BindConfig("a/0", window=3),))
    assert only(difference(Config(smscs=(old,)), Config(smscs=(bind,)))).rebound == ("a/0",)


def test_another_tlv_concerns_only_the_smscs_that_know_it() -> None:
    both = (smsc("a"), smsc("b"))
    change = difference(
        Config(smscs=both), Config(smscs=both, tlvs=(TlvConfig("t", 5, smsc_ids=("b",)),))
    )
    assert only(change).new.name == "b"
    assert only(change).rebound == ("b/0",)


def test_listeners_differ_by_address_and_tls_only() -> None:
    old = Config(http=HttpConfig(sendsms=ListenerConfig(port=1), admin=ListenerConfig(port=2)))
    same = replace(old, http=replace(old.http, max_body=1))
    assert difference(old, same).listeners == ()
    moved = replace(old, http=replace(old.http, admin=ListenerConfig(port=3)))
    assert difference(old, moved).listeners == ("admin",)
    secure = replace(old.http, sendsms=ListenerConfig(port=1, tls=TlsConfig(enabled=True)))
    assert difference(old, replace(old, http=secure)).listeners == ("sendsms",)


def test_what_only_a_restart_can_change_is_named() -> None:
    new = Config(store=StoreConfig(path="/x"), http=HttpConfig(proxy="http://p:1"))
    assert difference(Config(), new).fixed == ("store path", "http proxy")


def test_the_line_names_what_differs() -> None:
    old = Config(
        smscs=(smsc("a"), smsc("b")),
        users=(UserConfig("u", Secret("p")),),
        channels=(ChannelConfig("c", post_url="http://x"),),
    )
    new = Config(
        smscs=(smsc("a", rate=5.0, smpp=SmppOptions(system_id="me")), smsc("d")),
        users=(UserConfig("u", Secret("q")), UserConfig("v", Secret("p"))),
        channels=(ChannelConfig("c", post_url="http://y"),),
        limits=Limits(drain=1.0),
        logging=LoggingConfig(level="debug"),
    )
    assert difference(old, new).describe() == (
        "SMSC d added; SMSC b removed; SMSC a: rate, smpp system-id; user v added; "
        "user u: password; channel c: post-url; logging: level; limits: drain"
    )
