"""Bad input in files: configurations, secrets, stores and the environment around them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError, StoreError
from gatewayd.store.contract import Item, Queue, Work
from gatewayd.store.sqlite import SqliteStore

ROOT = Path(__file__).parents[2]
SMSC = "smscs: [{id: op, host: h, system-id: s, password: goodword}]\n"


def complaint(folder: Path, text: str | bytes) -> str:
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as told:
        read_yaml(str(path), {})
    return str(told.value)


MISTAKES: dict[str, tuple[str | bytes, str]] = {
    "config-01 type": ("smscs: 5", "smscs"),
    "config-01 number": (SMSC + "http: {max-body: many}", "max-body"),
    "config-02 unknown": (SMSC + "nosuch: 1", "not a key here"),
    "config-02 nearly": (SMSC + "htpp: {}", "did you mean http"),
    "config-03 missing": ("smscs: [{id: op}]", "host is missing"),
    "config-04 twice": (SMSC + SMSC, "second time"),
    "config-04 twice within": (SMSC.replace("host: h", "host: h, host: i"), "second time"),
    "config-05 tab": ("smscs:\n\t- id: op", "tab"),
    "config-06 mark": (b"\xef\xbb\xbf" + SMSC.encode(), "byte order mark"),
    "config-07 UTF-16": (SMSC.encode("utf-16"), "UTF-16"),
    "config-07 no UTF-8": (b"# \xff\n", "not UTF-8"),
    "config-10 object": (SMSC.replace("id: op", "id: !!python/name:os.system op"), "tag"),
    "config-10 call": (
        SMSC.replace("host: h", "host: !!python/object/apply:os.system [id]"),
        "tag",
    ),
    "config-11 no": (SMSC.replace("id: op", "id: no"), "quotes"),
    "config-11 on": (SMSC.replace("id: op", "id: on"), "quotes"),
    "config-11 012": (SMSC.replace("id: op", "id: 012"), "quotes"),
    "config-11 1e3": (SMSC.replace("id: op", "id: 1e3"), "quotes"),
    "config-11 22:30": (SMSC.replace("id: op", "id: 22:30"), "quotes"),
    "config-11 password": (SMSC.replace("goodword", "0123"), "quotes"),
    "config-12 unset": (SMSC.replace("goodword", "'${NOSUCH}'"), "NOSUCH is not set"),
    "config-14 port": (SMSC + "http: {sendsms: '127.0.0.1:1', admin: '127.0.0.1:1'}", "taken by"),
    "config-15 id": (SMSC.replace("]", ", {id: op, host: h, system-id: s}]"), "second SMSC"),
    "config-16 user": (
        SMSC + "users: [{username: u, password: p, forced-smsc: po}]",
        "no SMSC is called po",
    ),
    "config-16 channel": (
        SMSC + "channels: [{name: c, format: kannel, get-url: 'http://h/', smscs: [po]}]",
        "no SMSC is called po",
    ),
    "config-18 empty": (SMSC.replace("goodword", "''"), "empty secret"),
    "config-19 half a name": (SMSC.replace("goodword", "'good${word'"), "${"),
    "config-20 secret": (SMSC.replace("goodword", "'file:relative'"), "absolute path"),
    "config-20 log": (SMSC + "logging: {file: relative}", "absolute path"),
    "config-20 store": (SMSC + "store: {path: relative}", "absolute path"),
}


@pytest.mark.parametrize(("text", "told"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_told_with_its_place(tmp_path: Path, text: str | bytes, told: str) -> None:
    said = complaint(tmp_path, text)
    assert told in said
    assert "c.yaml" in said
    assert "goodword" not in said


def test_config_12_19_a_password_with_a_dollar_is_meant_as_it_is_or_told(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    for written, meant in (("a$b", "a$b"), ("a$${P}b", "a${P}b"), ("a${P}b", "ahushb")):
        path.write_text(SMSC.replace("goodword", f"'{written}'"))
        [smsc] = read_yaml(str(path), {"P": "hush"}).smscs
        assert smsc.smpp.password.reveal() == meant


def test_config_13_an_include_that_goes_round_is_told(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text(f"include = {second}\ngroup = core\nadmin-port = 1\n")
    second.write_text(f"include = {first}\n")
    with pytest.raises(ConfigError, match="already included"):
        read_kannel(str(first), {}, str(tmp_path))


def test_config_17_a_configuration_with_passwords_that_others_may_read_is_warned_of(
    tmp_path: Path,
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SMSC)
    for mode, warned in ((0o600, False), (0o640, True), (0o644, True)):
        path.chmod(mode)
        warnings = read_yaml(str(path), {}).warnings
        assert any("open to others" in warning for warning in warnings) is warned


def test_config_22_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
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
    ids=["config-08 100 MB", "config-09 billion laughs", "config-09 deep"],
)  # fmt: skip
def test_a_bomb_is_refused(tmp_path: Path, text: bytes) -> None:
    complaint(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"x" * (100 << 20), id="config-08 100 MB"),
        pytest.param("group = core\n".encode("utf-16"), id="config-07 UTF-16"),
        pytest.param(b"group = core\n" * 100_000, id="config-09 groups"),
        pytest.param(b"group = core\0\n\xff\xfe = \x80\n", id="config-07 octets"),
    ],
)
def test_a_kannel_conf_that_is_none_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "k.conf"
    path.write_bytes(text)
    with pytest.raises(ConfigError):
        read_kannel(str(path), {}, str(tmp_path))


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


def test_config_22_check_ends_with_two(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("smscs: 5\n")
    done = gatewayd("check", "-c", str(path))
    assert done.returncode == 2
    assert "c.yaml:1: smscs" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}, id="env-04 C"),
        pytest.param({"LC_ALL": "tr_TR.UTF-8"}, id="env-04 not installed"),
        pytest.param({"TZ": "No/Where"}, id="env-06 unknown"),
        pytest.param({"TZ": ":/etc/passwd"}, id="env-06 no zone"),
        pytest.param({"TZ": "X" * 5000}, id="env-06 long"),
        pytest.param({"HOME": "/nonexistent"}, id="env-06 no home"),
    ],
)
def test_locale_and_time_zone_change_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SMSC + 'users: [{username: u, password: p, faked-sender: "Ação"}]\n', "utf-8")
    done = gatewayd("check", "-c", str(path), **environ)
    assert done.returncode == 0, done.stderr


# -- the store


def test_store_02_a_cut_wal_gives_what_was_committed_before_the_cut_and_stays_sound(
    tmp_path: Path,
) -> None:
    """A WAL without its end is what a crash leaves; more than its end cannot be known."""
    live = SqliteStore(str(tmp_path / "live"), print, threaded=False)
    live.open(10)
    live._database.connection.execute("PRAGMA wal_autocheckpoint = 0")
    for number in range(1, 31):
        live.commit([Work(puts=[Item(Queue.MT, number, "a", b"x" * 900)])])
    store, wal = (tmp_path / "live").read_bytes(), (tmp_path / "live-wal").read_bytes()
    assert len(wal) > 30 * 4096
    seen = []
    for keep in range(0, len(wal), len(wal) // 25):
        path = tmp_path / f"cut{keep}"
        path.write_bytes(store)
        path.chmod(0o600)
        (tmp_path / f"cut{keep}-wal").write_bytes(wal[:keep])
        cut = SqliteStore(str(path), print, threaded=False)
        cut.open(10)
        execute = cut._database.connection.execute
        assert execute("PRAGMA integrity_check").fetchone() == ("ok",)
        keys = [key for (key,) in execute("SELECT key FROM item ORDER BY key")]
        assert keys == list(range(1, len(keys) + 1))
        seen.append(len(keys))
        cut.close()
    live.close()
    assert seen == sorted(seen)
    assert seen[-1] > 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("what", ["file", "folder", "wal", "lock"])
def test_store_05_what_belongs_to_somebody_else_is_named(what: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        home = folder / "state"
        home.mkdir()
        path = home / "store"
        first = SqliteStore(str(path), print, threaded=False)
        first.open(1)
        first.close()
        Path(f"{path}-wal").touch(0o600)
        for each in (home, *home.iterdir()):
            os.chown(each, 65534, 65534)
        beside = {"folder": home, "wal": Path(f"{path}-wal"), "lock": Path(f"{path}.lock")}
        guilty = beside.get(what, path)
        os.chown(guilty, 0, 0)
        os.seteuid(65534)
        try:
            with pytest.raises(StoreError) as refused:
                SqliteStore(str(path), print, threaded=False).open(1)
        finally:
            os.seteuid(0)
        said = str(refused.value)
        assert str(path) in said
        assert "user" in said or str(guilty) in said
