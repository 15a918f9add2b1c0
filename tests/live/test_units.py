"""The systemd units as systemd itself reads them: nothing to complain of, little to attack."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.live.harness import ROOT

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(
        shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
    ),
]

UNITS = ("gatewayd.service", "gatewayd@.service")
DROP_INS = sorted(path.name for path in (ROOT / "systemd" / "drop-ins").iterdir())
PROGRAM = "/usr/lib/gatewayd/bin/gatewayd"
EXPOSURE = 1.5  # of 10, which is a unit without any sandbox


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def installed(unit: str, folder: Path) -> Path:
    """The unit in a folder, with a program that exists: it is not installed where tests run."""
    text = (ROOT / "systemd" / unit).read_text()
    assert text.count(PROGRAM) == 1
    path = folder / unit
    path.write_text(text.replace(PROGRAM, "/bin/true"))
    return path


def complaints(path: Path) -> str:
    """systemd-analyze answers 0 for unknown keys and bad values, so what it prints is what counts.

    `--man=no`: whether manual pages are installed is not asked.
    """
    done = analyze("verify", "--man=no", str(path))
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_a_unit(unit: str, tmp_path: Path) -> None:
    assert complaints(installed(unit, tmp_path)) == ""


def test_a_wrong_line_would_be_seen(tmp_path: Path) -> None:
    path = installed(UNITS[0], tmp_path)
    path.write_text(path.read_text() + "[Service]\nWatchdogSecs=20\n")
    assert "WatchdogSecs" in complaints(path)


@pytest.mark.parametrize("unit", UNITS)
def test_t16_a_unit_exposes_little(unit: str, tmp_path: Path) -> None:
    threshold = f"--threshold={round(EXPOSURE * 10)}"
    done = analyze("security", "--offline=true", threshold, str(installed(unit, tmp_path)))
    assert done.returncode == 0, done.stdout[-200:]
    assert "Overall exposure level" in done.stdout


@pytest.mark.parametrize("name", DROP_INS)
def test_a_drop_in_waits_for_a_tunnel_and_needs_none(name: str, tmp_path: Path) -> None:
    """With BindsTo= or Requires= the gateway goes down with the tunnel and stays down."""
    path = installed(UNITS[0], tmp_path)
    folder = tmp_path / f"{UNITS[0]}.d"
    folder.mkdir()
    text = (ROOT / "systemd" / "drop-ins" / name).read_text()
    (folder / "vpn.conf").write_text(text)
    assert complaints(path) == ""
    keys = [line.partition("=")[0] for line in text.splitlines() if line and line[0] not in "#["]
    assert keys == ["Wants", "After"]


def test_the_units_differ_in_names_alone() -> None:
    plain, template = ((ROOT / "systemd" / unit).read_text().splitlines() for unit in UNITS)
    settings = [
        [line for line in lines if line and not line.startswith(("#", "Description="))]
        for lines in (plain, template)
    ]
    renamed = [
        line.replace("/etc/gatewayd/%i.yaml", "/etc/gatewayd/gatewayd.yaml").replace(
            "StateDirectory=gatewayd/%i", "StateDirectory=gatewayd"
        )
        for line in settings[1]
    ]
    assert renamed == settings[0]
