"""sendota's groups, the doors beside sendsms, and what makes a call repeated: from either file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.config import ChannelConfig, Config, HttpConfig, ReportPolicy, Secret
from gatewayd.config.kannel_export import to_yaml
from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.model import OtaConfig
from gatewayd.config.yaml_reader import read_yaml

CONF = """\
group = core
admin-port = 13000
admin-password = a-password
smsbox-port = 13001

group = smsbox
sendsms-port = 13013
{smsbox}
"""
SETTING = """
group = ota-setting
location = http://example.com/
service = "Test"
ipaddress = 10.11.12.13
phonenumber = 08123456789
bearer = data
calltype = {calltype}
connection = {connection}
pppsecurity = on
authentication = {authentication}
login = wapuser
secret = 123456
ota-id = set1
"""
BOOKMARK = """
group = ota-bookmark
url = http://wap.example.com/
name = "Example"
ota-id = bm1
"""
USUAL = {"calltype": "isdn", "connection": "cont", "authentication": "normal"}


def kannel(tmp_path: Path, text: str = "", smsbox: str = "") -> Config:
    path = tmp_path / "kannel.conf"
    path.write_text(CONF.format(smsbox=smsbox) + text)
    return read_kannel(str(path), {}, "")


def from_yaml(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "gatewayd.yaml"
    path.write_text(text)
    os.chmod(path, 0o600)
    return read_yaml(str(path), {})


def test_ota_groups_are_read_settings_first(tmp_path: Path) -> None:
    setting, bookmark = kannel(tmp_path, BOOKMARK + SETTING.format(**USUAL)).ota
    assert setting == OtaConfig(
        id="set1",
        name="Test",
        url="http://example.com/",
        address="10.11.12.13",
        number="08123456789",
        data_call=True,
        chap=True,
        login="wapuser",
        secret=Secret("123456"),
    )
    assert bookmark == OtaConfig("bm1", "bookmark", "Example", "http://wap.example.com/")


def test_words_of_a_setting_count_in_any_case(tmp_path: Path) -> None:
    words = {"calltype": "Analog", "connection": "TEMP", "authentication": "Secure"}
    [setting] = kannel(tmp_path, SETTING.format(**words)).ota
    assert (setting.analogue, setting.connectionless, setting.secure) == (True, True, True)


def test_a_kannel_conf_has_kannels_doors_only(tmp_path: Path) -> None:
    http = kannel(tmp_path).http
    assert (http.sendota_path, http.external_path) == ("/cgi-bin/sendota", "")
    assert not http.json_posts
    assert kannel(tmp_path, smsbox="sendota-url = /ota").http.sendota_path == "/ota"


def test_ota_and_doors_survive_the_way_to_yaml(tmp_path: Path) -> None:
    config = kannel(tmp_path, SETTING.format(**USUAL) + BOOKMARK)
    found = from_yaml(tmp_path, to_yaml(config))
    assert found.ota == config.ota
    assert found.http.sendota_path == config.http.sendota_path
    assert (found.http.external_path, found.http.json_posts) == ("", False)


def test_in_yaml_the_external_door_is_open_and_sendota_is_not(tmp_path: Path) -> None:
    http = from_yaml(tmp_path, "store:\n  path: /tmp/x.sqlite3\n").http
    assert (http.external_path, http.sendota_path) == ("/external", "")
    assert http == HttpConfig()


@pytest.mark.parametrize(
    ("format_", "line", "wanted"),
    [
        ("rapidpro", "", True),
        ("external", "", True),
        ("rapidpro", "idempotent: false", False),
        ("kannel", "", False),
        ("kannel", "idempotent: true", True),
    ],
)
def test_whether_a_dlr_url_makes_a_call_one_is_the_formats_choice(
    tmp_path: Path, format_: str, line: str, wanted: bool
) -> None:
    key = "post-url" if format_ == "kannel" else "url"
    text = f"channels:\n  - name: c\n    format: {format_}\n    {key}: https://p.example/c\n"
    text += f"    {line}\n"
    [channel] = from_yaml(tmp_path, text).channels
    assert channel.idempotent is wanted


def test_an_external_channel_hears_reports_as_rapidpro_does(tmp_path: Path) -> None:
    text = "channels:\n  - name: c\n    format: external\n    url: https://p.example/c/ex/u\n"
    [channel] = from_yaml(tmp_path, text).channels
    assert channel.reports == ReportPolicy(spacing=1.0, drop_late=True)
    assert channel.post_url == "https://p.example/c/ex/u"
    assert replace(channel, reports=ReportPolicy()) == ChannelConfig(
        "c", "external", post_url=channel.post_url, default=True, idempotent=True
    )
