"""`vpn`, `tcp` and `bind-device`: what they take, what they mean, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.config import Config, TcpConfig, VpnConfig
from gatewayd.config.kannel_export import to_yaml
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

SMSC = """\
  - id: {id}
    host: 10.1.1.1
    system-id: x
    password: ${{PW}}
"""


class Folder:
    def __init__(self, path: Path) -> None:
        self._file = path / "gatewayd.yaml"

    def read(self, top: str = "", **smscs: str) -> Config:
        """One SMSC for each keyword, with the lines that it gives."""
        text = top + "smscs:\n"
        for name, lines in (smscs or {"a": ""}).items():
            text += SMSC.format(id=name)
            text += "".join(f"    {line}\n" for line in lines.splitlines())
        self._file.write_text(text)
        return read_yaml(str(self._file), {"PW": "pw", "NONE": ""})

    def complaints(self, top: str = "", **smscs: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            self.read(top, **smscs)
        return [f"{found.where}: {found.message}" for found in caught.value.problems]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_a_tunnel_is_required_unless_it_says_otherwise(folder: Folder) -> None:
    (a, b, c) = folder.read(
        a="vpn: {device: tun0}", b="vpn: {device: wg0, require: false}\ntls: true", c=""
    ).smscs
    assert (a.vpn, a.bound_to) == (VpnConfig("tun0", require=True), "tun0")
    assert (b.vpn, b.bound_to) == (VpnConfig("wg0", require=False), "")
    assert (c.vpn, c.bound_to) == (VpnConfig(), "")


def test_the_tunnel_at_the_top_is_that_of_every_smsc_without_its_own(folder: Folder) -> None:
    (a, b, c) = folder.read(
        "vpn: {device: tun0}\n", a="", b="vpn: off", c="vpn: {device: tun1}"
    ).smscs
    assert [smsc.vpn.device for smsc in (a, b, c)] == ["tun0", "", "tun1"]


def test_a_device_may_be_bound_to_without_being_watched(folder: Folder) -> None:
    (a,) = folder.read(a="bind-device: eth1").smscs
    assert (a.vpn, a.bound_to) == (VpnConfig(), "eth1")


def test_tcp_has_times_and_a_count(folder: Folder) -> None:
    keys = "keepalive: 20s, keepalive-interval: 5s, keepalive-probes: 5, user-timeout: 15s"
    (a,) = folder.read(a=f"tcp: {{{keys}}}").smscs
    assert a.tcp == TcpConfig(20.0, 5.0, 5, 15.0)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("vpn: {require: true}", "device is missing"),
        ("vpn: {}", "device is missing"),
        ('vpn: {device: ""}', "is not a device"),
        ("vpn: {device: '${NONE}'}", "is not a device"),
        ("vpn: {device: a/b}", "is not a device"),
        ("vpn: {device: ..}", "is not a device"),
        ("vpn: {device: sixteen-letters0}", "is not a device"),
        ("vpn: true", "the tunnel's device"),
        ("vpn: tun0", "neither true nor false"),
        ("bind-device: 'a b'", "is not a device"),
        ("tcp: {keepalive-probes: 0}", "is not a number (1-127)"),
        ("vpn: {device: tun0}\nbind-device: eth0", "eth0 would lead beside tun0"),
    ],
)
def test_what_would_open_a_way_beside_the_tunnel_is_refused(
    folder: Folder, lines: str, complaint: str
) -> None:
    assert any(complaint in told for told in folder.complaints(a=lines)), folder.complaints(a=lines)


def test_an_smsc_on_this_machine_is_never_behind_a_tunnel(folder: Folder) -> None:
    (told,) = folder.complaints(a="vpn: {device: tun0}\nbinds: [{host: 127.0.0.1}]")
    assert told.startswith("smscs[0].vpn: 127.0.0.1 is this machine")
    assert "vpn: off" in told


def test_a_tunnel_that_is_not_required_earns_a_warning_unless_there_is_tls(folder: Folder) -> None:
    (warning,) = folder.read(a="vpn: {device: tun0, require: false}").warnings
    assert "require is off" in warning
    assert not folder.read(a="vpn: {device: tun0, require: false}\ntls: true").warnings


def test_what_is_written_as_yaml_reads_as_it_was(folder: Folder, tmp_path: Path) -> None:
    config = folder.read(a="vpn: {device: tun0, require: false}\ntcp: {keepalive: 0}\ntls: true")
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(config))
    again.chmod(0o600)
    assert read_yaml(str(again), {}).smscs == config.smscs
