"""Checks across sections, on dataclasses that no reader made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.config import validate
from gatewayd.config.model import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    ListenerConfig,
    NumberRules,
    Secret,
    SmscConfig,
    TlsConfig,
    TlvConfig,
    UserConfig,
)
from gatewayd.config.values import Problems

SMSC = SmscConfig(name="one", id="one", binds=(BindConfig("one/0"),))
USER = UserConfig(username="u", password=Secret("long and odd"))
CHANNEL = ChannelConfig(name="c", get_url="http://h/")
OUTSIDE = ListenerConfig("0.0.0.0", 13013)
WITH_TLS = replace(OUTSIDE, tls=TlsConfig(True, certificate_file="/c", key_file="/k"))


def told(problems: Problems) -> list[str]:
    return [problem.message for problem in problems.found]


def doors(config: Config, *, open_listener: bool = False) -> Problems:
    problems = Problems("x")
    validate.check_doors(config, problems, open_listener=open_listener)
    return problems


def test_names_are_unique() -> None:
    problems = Problems("x")
    other = replace(SMSC, id="shared", name="two", binds=(BindConfig("two/0"),))
    fine = Config(smscs=(SMSC, other), users=(USER,), channels=(CHANNEL,))
    validate.check_names(fine, problems)
    assert told(problems) == []
    twice = Config(smscs=(SMSC, SMSC), users=(USER, USER), channels=(CHANNEL, CHANNEL))
    validate.check_names(twice, problems)
    assert [message.partition(" (")[0] for message in told(problems)] == [
        "one names a second SMSC",
        "u names a second user",
        "c names a second channel",
    ]


def test_binds_of_two_smscs_do_not_share_a_name() -> None:
    problems = Problems("x")
    clash = replace(SMSC, name="other", binds=(BindConfig("one/0"),))
    validate.check_names(Config(smscs=(SMSC, clash)), problems)
    assert told(problems) == ["a second bind is named one/0"]


@pytest.mark.parametrize(
    ("sendsms", "admin", "clash"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80), True),
        (("0.0.0.0", 80), ("127.0.0.1", 80), True),
        (("127.0.0.1", 80), ("::", 80), True),
        (("127.0.0.1", 80), ("10.0.0.1", 80), False),
        (("127.0.0.1", 80), ("127.0.0.1", 81), False),
        (("127.0.0.1", 0), ("127.0.0.1", 0), False),
    ],
)
def test_no_address_is_listened_on_twice(
    sendsms: tuple[str, int], admin: tuple[str, int], clash: bool
) -> None:
    problems = Problems("x")
    http = HttpConfig(sendsms=ListenerConfig(*sendsms), admin=ListenerConfig(*admin))
    validate.check_ports(Config(http=http), problems)
    assert bool(told(problems)) is clash


def test_a_listener_that_is_off_clashes_with_nothing() -> None:
    problems = Problems("x")
    validate.check_ports(Config(http=HttpConfig(sendsms=None, admin=OUTSIDE)), problems)
    assert told(problems) == []


def test_a_channel_has_one_target() -> None:
    problems = Problems("x")
    channels = (
        CHANNEL,
        replace(CHANNEL, get_url=""),
        replace(CHANNEL, text_reply="thanks"),
        replace(CHANNEL, get_url="", format="rapidpro"),
    )
    validate.check_targets(Config(channels=channels), problems)
    assert told(problems) == [
        "has nothing to call; get-url or post-url is missing",
        "has get-url and text-reply; exactly one is expected",
        "has nothing to call; url is missing",
    ]


def test_references_name_smscs_and_channels_that_exist() -> None:
    problems = Problems("x")
    config = Config(
        smscs=(replace(SMSC, allowed_ids=("tag",), preferred_ids=("likes",)),),
        users=(
            replace(USER, forced_smsc="tag", default_smsc="onne"),
            replace(USER, forced_smsc="", channel="nowhere"),
        ),
        channels=(replace(CHANNEL, smscs=("one", "YOUR-SMSC"), forced_smsc="likes"),),
        tlvs=(TlvConfig("t", 0x1400, smsc_ids=("two",)),),
    )
    validate.check_references(config, problems)
    assert told(problems) == [
        "no SMSC is called onne (did you mean one?)",
        "YOUR-SMSC is a placeholder; write the id of one of your SMSCs",
        "no SMSC is called two",
        "no channel is called nowhere",
    ]


def test_a_reader_may_make_warnings_of_findings() -> None:
    problems = Problems("x")
    config = Config(users=(replace(USER, forced_smsc="gone"),))
    validate.check_references(config, problems, problems.warn_at)
    assert (told(problems), len(problems.warnings)) == ([], 1)


def test_every_regex_compiles() -> None:
    problems = Problems("x")
    bad = NumberRules(white_list_regex="(")
    config = Config(
        smscs=(replace(SMSC, preferred_prefix_regex="["),),
        users=(replace(USER, numbers=bad),),
        channels=(replace(CHANNEL, keyword_regex="*", senders=bad),),
        http=HttpConfig(numbers=bad),
        senders=bad,
        receivers=bad,
    )
    validate.check_regexes(config, problems)
    assert len(told(problems)) == 7


@pytest.mark.parametrize(
    ("user", "listener", "refused"),
    [
        (USER, ListenerConfig(port=13013), False),
        (USER, OUTSIDE, True),
        (USER, WITH_TLS, False),
        (replace(USER, allow_ip=("10.0.0.0/8",), deny_ip=("*",)), OUTSIDE, False),
        (replace(USER, allow_ip=("*.*.*.*",), deny_ip=("*",)), OUTSIDE, True),
        # Kannel's rule lets in whom neither list names.
        (replace(USER, allow_ip=("10.0.0.0/8",)), OUTSIDE, True),
        (replace(USER, allow_ip=("10.0.0.0/8",), deny_ip=("11.0.0.0/8",)), OUTSIDE, True),
    ],
)
def test_sendsms_beyond_loopback_needs_tls_or_named_addresses(
    user: UserConfig, listener: ListenerConfig, refused: bool
) -> None:
    problems = doors(Config(users=(user,), http=HttpConfig(sendsms=listener)))
    assert bool(told(problems)) is refused


def test_an_open_listener_on_purpose_is_warned_of() -> None:
    config = Config(users=(USER,), http=HttpConfig(sendsms=OUTSIDE))
    problems = doors(config, open_listener=True)
    assert told(problems) == []
    assert problems.warnings == [
        "x: passwords are readable on the way: no TLS beyond loopback",
        "x: may call from everywhere: sendsms is open",
    ]


@pytest.mark.parametrize("password", ["foobar", "bar", "foo", "FooBar", "admin"])
def test_example_passwords_are_for_loopback_alone(password: str) -> None:
    user = replace(USER, password=Secret(password))
    inside = HttpConfig(admin_password=Secret(password), status_password=Secret(password))
    assert told(doors(Config(users=(user,), http=inside))) == []
    outside = replace(inside, sendsms=WITH_TLS, admin=replace(WITH_TLS, port=13000))
    assert len(told(doors(Config(users=(user,), http=outside)))) == 3


def test_admin_beyond_loopback_needs_a_password() -> None:
    outside = HttpConfig(admin=ListenerConfig("10.0.0.1", 13000))
    assert len(told(doors(Config(http=outside)))) == 1
    with_one = replace(outside, admin_password=Secret("long and odd"))
    assert told(doors(Config(http=with_one))) == []
    assert told(doors(Config(http=replace(outside, admin=None)))) == []


def test_an_unverified_link_is_warned_of() -> None:
    trusting = replace(SMSC, tls=TlsConfig(enabled=True, verify=False))
    problems = doors(Config(smscs=(trusting,)))
    assert problems.warnings == ["x: verify is off: anybody on the way can be the SMSC"]


def test_a_channel_that_can_get_nothing_is_warned_of() -> None:
    problems = Problems("x")
    everything = replace(CHANNEL, default=True)
    some = replace(everything, name="some", smscs=("one",))
    validate.check_catch_alls((some, everything, CHANNEL), problems)
    assert problems.warnings == []
    validate.check_catch_alls((everything, some), problems)
    assert problems.warnings == ["x: gets no MO: c before it takes everything"]
