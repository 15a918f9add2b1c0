"""Hostile configurations."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError
from tests.badinput.chance import ROOT, mutated

YAML = b"""\
smscs:
  - &one {id: op, host: h, system-id: s, password: "${P}", rate: 10, smpp: {validity: 1h}}
users:
  - {username: u, password: scrypt$2$8$1$MDEyMzQ1Njc=$MDEyMzQ1Njc4OWFiY2RlZg==}
channels:
  - {name: p, format: rapidpro, url: "https://h/?a=%b", retry: {first: 1s}}
http: {dlr-url-allow: ["https://*.example.net:8443"], sendsms: "127.0.0.1:13013"}
"""
KANNEL = (ROOT / "conf" / "kannel.conf").read_bytes()
FOLDER = tempfile.TemporaryDirectory(prefix="gatewayd-fuzz-")


def make_yaml(chance: Random) -> bytes:
    return mutated(chance, YAML, 3)


def make_kannel(chance: Random) -> bytes:
    return mutated(chance, KANNEL, 4)


def _file(case: bytes, suffix: str) -> str:
    path = Path(FOLDER.name) / f"case{suffix}"
    path.write_bytes(case)
    return str(path)


def try_yaml(case: bytes) -> None:
    with suppress(ConfigError):
        read_yaml(_file(case, ".yaml"), {"P": "hush"})


def try_kannel(case: bytes) -> None:
    with suppress(ConfigError):
        read_kannel(_file(case, ".conf"), {"P": "hush"}, FOLDER.name)
