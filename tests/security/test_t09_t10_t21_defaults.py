"""T9, T10 and T21: what a configuration opens without saying so, and what is warned of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatewayd.config import passwords
from gatewayd.config.model import Config, HttpConfig
from gatewayd.config.values import is_loopback
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError
from gatewayd.metrics import SERIES

BASE = """\
smscs: [{id: op, host: 10.0.0.1, system-id: s, password: "${P}", EXTRA_SMSC}]
users: [{username: u, password: "${P}", EXTRA_USER}]
http: {EXTRA_HTTP}
"""


def read(folder: Path, smsc: str = "", user: str = "", http: str = "") -> Config:
    path = folder / "c.yaml"
    text = BASE.replace(", EXTRA_SMSC", smsc and f", {smsc}")
    text = text.replace(", EXTRA_USER", user and f", {user}").replace("EXTRA_HTTP", http)
    path.write_text(text)
    path.chmod(0o600)
    return read_yaml(str(path), {"P": "goodword", "W": "kannel", "H": passwords.make("x", n=2)})


def test_t09_labels_come_from_the_configuration_or_from_fixed_sets() -> None:
    known = {"smsc", "bind", "channel", "user", "lane", "listener"}  # configured
    known |= {"state", "direction", "result", "kind", "queue", "code", "what", "version", "python"}
    for name, series in SERIES.items():
        assert set(series.labels) <= known, name


def test_t10_both_listeners_are_on_loopback_unless_told_otherwise() -> None:
    http = HttpConfig()
    assert http.sendsms and is_loopback(http.sendsms.host)
    assert http.admin and is_loopback(http.admin.host)
    assert not http.admin_password
    assert not http.admin_by_get


def test_t10_admin_can_be_off(tmp_path: Path) -> None:
    assert read(tmp_path, http="admin: off").http.admin is None


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ("admin: '0.0.0.0:13000'", "set admin-password"),
        ("admin: '0.0.0.0:13000', admin-password: '${W}'", "example password"),
        ("admin: '[::]:13000', status-password: '${W}'", "example password"),
        ("sendsms: '0.0.0.0:13013'", "allow-ip is needed"),
        ("admin-password: '${H}'", "only users have those"),
    ],
)
def test_t10_an_open_door_is_refused(tmp_path: Path, http: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        read(tmp_path, http=http)


@pytest.mark.parametrize(
    ("where", "text", "told"),
    [
        ("http", "sendsms: '0.0.0.0:13013', open-listener: i-know", "may call from everywhere"),
        ("http", "sendsms: '0.0.0.0:13013', open-listener: i-know", "no TLS beyond loopback"),
        ("http", "admin: '0.0.0.0:1', admin-password: '${P}'", "no TLS beyond loopback"),
        ("http", "dlr-url-allow: [any]", "every address called"),
        ("http", "admin-password: word", "plain text"),
        ("smsc", "tls: {verify: false}", "verify is off"),
        ("smsc", "vpn: {device: tun0, require: false}", "require is off"),
    ],
)
def test_t21_what_is_doubtful_is_warned_of(
    tmp_path: Path, where: str, text: str, told: str
) -> None:
    config = read(tmp_path, **{where: text})
    assert any(told in warning for warning in config.warnings), config.warnings


def test_t21_a_careful_configuration_has_no_warnings(tmp_path: Path) -> None:
    assert not read(tmp_path).warnings
