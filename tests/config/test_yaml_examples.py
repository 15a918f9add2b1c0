"""The example configurations are read, and the annotated one names every key."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gatewayd.config.model import ChannelConfig, Config, ReportPolicy, SmscConfig, UserConfig
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.config.yaml_tables import EVERY_TABLE
from gatewayd.config.yaml_values import FORMATS, PROTOCOLS

CONF = Path(__file__).parents[2] / "conf"
ENVIRON = {"OPERATOR_PASSWORD": "hush", "PLATFORM_PASSWORD": "hush", "DEMO_STORE": "/tmp/demo.db"}

# Fields that are never written: made from others, or names of the sections themselves.
NO_KEY = {
    ("SmscConfig", "status_name"),
    ("BindConfig", "name"),
    ("SmppOptions", "system_id"),  # these three stand beside the host
    ("SmppOptions", "password"),
    ("SmppOptions", "system_type"),
}


@pytest.fixture(scope="module")
def annotated() -> Config:
    return read_yaml(str(CONF / "gatewayd.yaml"), ENVIRON)


def test_the_annotated_example_is_right_and_without_warnings(annotated: Config) -> None:
    assert annotated.warnings == ()


def test_every_field_has_a_key() -> None:
    for kind, keys in EVERY_TABLE.items():
        filled = {key.field for key in keys.values()}
        for field in fields(kind):
            assert field.name in filled or (kind.__name__, field.name) in NO_KEY, (kind, field.name)


def test_the_annotated_example_names_every_key() -> None:
    text = (CONF / "gatewayd.yaml").read_text()
    named = set(re.findall(r"^(?: *- | *)(?:# )?([a-z0-9-]+):(?: |$)", text, re.MULTILINE))
    for kind, keys in EVERY_TABLE.items():
        assert set(keys) <= named, (kind.__name__, set(keys) - named)


def test_the_annotated_example_shows_the_defaults(annotated: Config) -> None:
    whole = Config()
    for section in ("store", "logging", "limits", "senders", "receivers", "http"):
        assert getattr(annotated, section) == getattr(whole, section), section
    (smsc,) = annotated.smscs
    plain = SmscConfig(
        name="operator",
        id="operator",
        hosts=smsc.hosts,
        binds=smsc.binds,
        status_name=smsc.status_name,
        smpp=replace(SmscConfig("", "").smpp, system_id="gatewayd", password=smsc.smpp.password),
    )
    assert smsc == plain
    (user,) = annotated.users
    assert user == UserConfig(
        "platform", user.password, allow_ip=user.allow_ip, deny_ip=user.deny_ip
    )
    (channel,) = annotated.channels
    assert channel == ChannelConfig(
        "platform",
        "rapidpro",
        post_url=channel.post_url,
        default=True,
        smscs=("operator",),
        reports=ReportPolicy(1.0, True),
        idempotent=True,
    )


def test_the_demo_is_on_loopback_with_ports_to_choose() -> None:
    config = read_yaml(str(CONF / "demo.yaml"), ENVIRON)
    (smsc,) = config.smscs
    assert (smsc.id, smsc.hosts, smsc.port) == ("demo", ("127.0.0.1",), 2775)
    assert (smsc.smpp.system_id, smsc.smpp.password.reveal()) == ("demo", "demo-password")
    (user,) = config.users
    assert (user.username, user.password.reveal()) == ("demo", "demo-password")
    (channel,) = config.channels
    assert channel.post_url == (
        "http://127.0.0.1:13080/receive?sender=%p&message=%b&ts=%T&id=%I&to=%P"
    )
    assert not channel.replies
    assert config.http.sendsms is not None
    assert config.http.admin is not None
    assert (config.http.sendsms.port, config.http.admin.port) == (13013, 13000)
    assert config.store.path == "/tmp/demo.db"
    other = read_yaml(
        str(CONF / "demo.yaml"),
        ENVIRON
        | {
            "DEMO_SMSC_PORT": "1",
            "DEMO_PLATFORM_PORT": "2",
            "DEMO_SENDSMS_PORT": "3",
            "DEMO_ADMIN_PORT": "4",
        },
    )
    assert other.smscs[0].port == 1
    assert other.channels[0].post_url.startswith("http://127.0.0.1:2/")
    assert other.http.sendsms is not None
    assert other.http.admin is not None
    assert (other.http.sendsms.port, other.http.admin.port) == (3, 4)


def test_protocols_and_formats_are_the_files_that_define_one() -> None:
    assert "smpp" in PROTOCOLS
    assert {"kannel", "rapidpro"} <= set(FORMATS)
    assert not {"contract", "link", "escapes"} & {*PROTOCOLS, *FORMATS}
