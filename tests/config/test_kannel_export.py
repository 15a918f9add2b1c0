"""A kannel.conf as commented YAML, which means the same."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config import ChannelConfig, Config, HttpConfig, ListenerConfig, Secret, UserConfig
from gatewayd.config.kannel_export import to_yaml
from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.kannel_safe import safer
from gatewayd.config.yaml_reader import read_yaml

EXAMPLE = Path(__file__).parents[2] / "conf" / "kannel.conf"
GOLDEN = Path(__file__).parents[1] / "golden" / "config" / "kannel" / "example.yaml"


def again(config: Config, tmp_path: Path) -> Config:
    path = tmp_path / "gatewayd.yaml"
    path.write_text(to_yaml(config))
    os.chmod(path, 0o600)
    found = read_yaml(str(path), {"HOME": "/root"})
    return replace(found, source=config.source, kannel=config.kannel)


def test_the_example_becomes_the_yaml_that_people_see(tmp_path: Path) -> None:
    config = replace(read_kannel(str(EXAMPLE), {}, ""), source="kannel.conf")
    assert to_yaml(config) == GOLDEN.read_text()
    assert again(config, tmp_path) == config


def test_each_habit_of_kannel_is_named_beside_its_key() -> None:
    text = to_yaml(read_kannel(str(EXAMPLE), {}, ""))
    for key in ("too-long: ", "not-gsm: ", "ton-rule: ", "receipts-for: ", "dead-letters: "):
        (line,) = {line.strip() for line in text.splitlines() if line.strip().startswith(key)}
        assert "  # " in line


@given(st.text(max_size=30))
def test_any_text_stands_for_itself(text: str) -> None:
    http = HttpConfig(reply_empty=text)
    written = to_yaml(Config(http=http))
    parsed = yaml.safe_load(written.encode("utf-8", "replace"))
    if text == HttpConfig().reply_empty:
        return
    assert parsed["http"]["reply-empty"] == text.replace("${", "$${")


def test_a_password_that_looks_like_a_variable_stays_a_password(tmp_path: Path) -> None:
    user = UserConfig("u", Secret('${HOME}"\\'), allow_ip=("127.0.0.1",))
    (found,) = again(Config(users=(user,)), tmp_path).users
    assert found.password.reveal() == '${HOME}"\\'


def test_listeners_that_are_off_or_open_stay_so(tmp_path: Path) -> None:
    http = HttpConfig(sendsms=ListenerConfig("0.0.0.0", 1), admin=None)
    user = UserConfig("u", Secret("a-long-password"))
    config = Config(http=http, users=(user,))
    assert again(config, tmp_path) == config
    config = Config(http=replace(http, sendsms=None), users=(user,))
    assert again(config, tmp_path) == config


def test_addresses_allowed_without_any_denied_shut_out_nobody(tmp_path: Path) -> None:
    http = HttpConfig(admin_allow_ip=("127.0.0.1",))
    config = Config(http=http, users=(UserConfig("u", Secret("p-word"), "", ("10.0.0.1",)),))
    assert again(config, tmp_path) == config


def test_a_channel_says_whether_it_is_the_default(tmp_path: Path) -> None:
    channels = (
        ChannelConfig("a", get_url="http://x/", default=True, keyword="k"),
        ChannelConfig("b", get_url="http://x/"),
    )
    assert again(Config(channels=channels), tmp_path).channels == channels


def test_the_head_lists_what_was_not_carried_over_and_what_can_lose_messages() -> None:
    head = to_yaml(read_kannel(str(EXAMPLE), {}, "")).partition("\nsmscs:")[0]
    assert "# Not carried over:\n#   line 15: group core, smsbox-port: there are no" in head
    assert "# What import-kannel --safe would change, for now it can lose messages:\n" in head
    assert "#   users, too-long: " in head


def test_what_can_lose_messages_is_replaced_when_asked(tmp_path: Path) -> None:
    config = read_kannel(str(EXAMPLE), {}, "")
    safe, replaced = safer(config)
    assert {user.text.too_long for user in safe.users} == {"refuse"}
    assert {channel.retry.times for channel in (*safe.channels, safe.reports)} == {-1}
    assert {smsc.refused_pause for smsc in safe.smscs} == {600.0}
    assert "# Replaced, for it could lose messages:\n" in to_yaml(safe, replaced)
    assert safer(safe) == (safe, ())
    assert again(safe, tmp_path) == safe
