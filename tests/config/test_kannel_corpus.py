"""Every recorded configuration starts or is refused as Kannel did, and survives the way to YAML."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.config.kannel_export import to_yaml
from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

CORPUS = Path(__file__).parents[1] / "golden" / "config" / "kannel" / "corpus"
FATAL = frozenset((CORPUS / "fatal.txt").read_text().split())
PORTS = {
    "ADMIN_PORT": 23001,
    "BOX_PORT": 23002,
    "SENDSMS_PORT": 23003,
    "SMSC1_PORT": 23004,
    "SMSC2_PORT": 23005,
    "RX_PORT": 23006,
    "UCP_PORT": 23007,
    "CIMD_PORT": 23008,
    "SINK_PORT": 23009,
}


def rendered(name: str, folder: Path) -> str:
    """A file of the corpus with its placeholders filled in, beside what it may include."""
    text = (CORPUS / name).read_bytes().decode().replace("{DIR}", str(folder))
    for placeholder, port in PORTS.items():
        text = text.replace(f"{{{placeholder}}}", str(port))
    (folder / "kannel.conf").write_bytes(text.encode())
    (folder / "inc.conf").write_text("group = sendsms-user\nusername = inc\npassword = inc\n")
    return str(folder / "kannel.conf")


def test_each_file_is_refused_or_read_as_recorded(tmp_path: Path) -> None:
    refused = set()
    names = {path.name for path in CORPUS.glob("*.conf")}
    for name in names:
        try:
            read_kannel(rendered(name, tmp_path), {}, "")
        except ConfigError:
            refused.add(name)
    assert refused == FATAL
    assert len(names) > 180


@pytest.mark.parametrize("section", sorted({path.name.split("-")[0] for path in CORPUS.iterdir()}))
def test_each_file_comes_back_equal_from_yaml(section: str, tmp_path: Path) -> None:
    for path in CORPUS.glob(f"{section}-*.conf"):
        if path.name in FATAL:
            continue
        config = read_kannel(rendered(path.name, tmp_path), {}, "/var/lib/gatewayd")
        if {smsc.protocol for smsc in config.smscs} - {"smpp"}:
            continue
        yaml = tmp_path / "gatewayd.yaml"
        yaml.write_text(to_yaml(config))
        os.chmod(yaml, 0o600)
        again = read_yaml(str(yaml), {})
        wanted = replace(config, source=again.source, kannel=False)
        assert again == wanted, path.name
