"""`cimd3` in a configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

YAML = """
smscs:
  - id: demo
    protocol: cimd3
    host: smsc.example.net
    port: 9971
    system-id: me
    password: ${SECRET}
"""
KANNEL = """
group = core
admin-port = 13000
admin-password = secret
smsbox-port = 13001

group = smsc
smsc = cimd3
smsc-id = demo
host = smsc.example.net
port = 9971
smsc-username = me
smsc-password = word
my-number = 400
keepalive = 10

group = smsbox
bearerbox-host = localhost
sendsms-port = 13013
"""


def test_cimd_022_cimd3_is_read_as_cimd2_with_one_warning(tmp_path: Path) -> None:
    file = tmp_path / "gatewayd.yaml"
    file.write_text(YAML)
    file.chmod(0o600)
    config = read_yaml(str(file), {"SECRET": "hush"})
    (smsc,) = config.smscs
    assert (smsc.protocol, smsc.window, smsc.options) == ("cimd2", 1, ())
    (warning,) = config.warnings
    assert "protocol: cimd3 is spoken as cimd2" in warning


def test_cimd_022_a_kannel_conf_may_say_cimd3_too(tmp_path: Path) -> None:
    file = tmp_path / "kannel.conf"
    file.write_text(KANNEL)
    config = read_kannel(str(file), {}, str(tmp_path))
    (smsc,) = config.smscs
    assert (smsc.protocol, smsc.window, smsc.smpp.my_number) == ("cimd2", 1, "400")
    assert (smsc.smpp.enquire_interval, smsc.smpp.on_timeout) == (11.0, "reconnect")
    assert "reason=REJECTED" in smsc.options
    (warning,) = [warning for warning in config.warnings if "cimd3" in warning]
    assert "is spoken as cimd2" in warning


def test_cimd_022_cimd2_itself_warns_of_nothing_and_needs_a_port(tmp_path: Path) -> None:
    file = tmp_path / "gatewayd.yaml"
    file.write_text(YAML.replace("cimd3", "cimd2"))
    file.chmod(0o600)
    assert read_yaml(str(file), {"SECRET": "hush"}).warnings == ()
    file.write_text(YAML.replace("    port: 9971\n", ""))
    with pytest.raises(ConfigError, match="port is missing"):
        read_yaml(str(file), {"SECRET": "hush"})
