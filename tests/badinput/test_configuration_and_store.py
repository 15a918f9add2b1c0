"""Bad input in files: configurations, secrets, stores and the environment around them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter

import pytest

from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

ROOT = Path(__file__).parents[2]
SMSC = "smscs: [{id: op, host: h, system-id: s, password: goodword}]\n"


def complaint(folder: Path, text: str | bytes) -> str:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as told:
        read_yaml(str(path), {})
    return str(told.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("smscs: 5", "smscs"),
        (SMSC + "nosuch: 1", "not a key here"),
        (SMSC + "htpp: {}", "did you mean http"),
        ("smscs: [{id: op}]", "host is missing"),
        (SMSC + SMSC, "second time"),
        ("smscs:\n\t- id: op", "tab"),
        (b"\xef\xbb\xbf" + SMSC.encode(), "byte order mark"),
        (SMSC.encode("utf-16"), "UTF-16"),
        (b"# \xff\n", "not UTF-8"),
        (SMSC.replace("id: op", "id: !!python/name:os.system op"), "tag"),
        (SMSC.replace("id: op", "id: no"), "quotes"),
        (SMSC.replace("id: op", "id: 012"), "quotes"),
        (SMSC.replace("id: op", "id: 1e3"), "quotes"),
        (SMSC.replace("id: op", "id: 22:30"), "quotes"),
        (SMSC.replace("goodword", "'${NOSUCH}'"), "NOSUCH is not set"),
        (SMSC + "http: {sendsms: '127.0.0.1:1', admin: '127.0.0.1:1'}", "taken by sendsms"),
        (SMSC.replace("]", ", {id: op, host: h, system-id: s}]"), "second SMSC"),
        (SMSC + "users: [{username: u, password: p, forced-smsc: po}]", "no SMSC is called po"),
        (SMSC.replace("goodword", "''"), "empty secret"),
        (SMSC.replace("goodword", "'file:relative'"), "absolute path"),
        (SMSC + "logging: {file: relative}", "absolute path"),
    ],
)
def test_config_each_mistake_is_told_with_its_place(
    tmp_path: Path, text: str | bytes, told: str
) -> None:
    said = complaint(tmp_path, text)
    assert told in said
    assert "c.yaml" in said
    assert "goodword" not in said


def test_config_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    said = complaint(tmp_path, "a: 1\nb: 2\nsmscs: [{id: op, port: x}]\nhttp: {max-body: y}\n")
    assert len(said.splitlines()) >= 5


@pytest.mark.parametrize(
    "text",
    [
        b"x" * (100 << 20),
        b"a: &a [" + b"x," * 9 + b"x]\n" + b"".join(
            b"%c: &%c [%b]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 10))
            for n in range(9)
        ),
        b"[" * 100_000,
    ],
    ids=["100 MB", "billion laughs", "deep"],
)  # fmt: skip
def test_config_a_bomb_is_refused_soon(tmp_path: Path, text: bytes) -> None:
    began = perf_counter()
    complaint(tmp_path, text)
    assert perf_counter() - began < 5


def gatewayd(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gatewayd", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )


def test_config_check_ends_with_two(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("smscs: 5\n")
    done = gatewayd("check", "-c", str(path))
    assert done.returncode == 2
    assert "c.yaml:1: smscs" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"},
        {"TZ": "No/Where"},
        {"TZ": ":/etc/passwd"},
        {"HOME": "/nonexistent"},
    ],
)
def test_environment_locale_and_time_zone_change_nothing(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SMSC + 'users: [{username: u, password: p, faked-sender: "Ação"}]\n', "utf-8")
    done = gatewayd("check", "-c", str(path), **environ)
    assert done.returncode == 0, done.stderr
