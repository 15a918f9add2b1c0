"""T15: secrets on disk are for their owner alone, and are shown to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.config.model import Config, HttpConfig, Secret, SmppOptions, UserConfig
from gatewayd.config.secrets import resolve
from gatewayd.store.sqlite import SqliteStore


@pytest.mark.parametrize("mode", range(0o1000))
def test_t15_config_17_a_secret_file_is_taken_only_if_nobody_else_may_use_it(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "secret"
    path.write_text("word\n")
    path.chmod(mode)
    if mode & 0o077:
        with pytest.raises(ValueError, match="open to group or others"):
            resolve(f"file:{path}", {})
    elif mode & 0o400:
        assert resolve(f"file:{path}", {}).reveal() == "word"
    path.chmod(0o600)


def test_t15_no_form_of_a_configuration_shows_its_secrets() -> None:
    secret = Secret("canary")
    config = Config(users=(UserConfig("u", secret),), http=HttpConfig(admin_password=secret))
    for shown in (repr(config), str(config), f"{secret}", f"{secret!r}", f"{secret:>9}"):
        assert "canary" not in shown
    assert "canary" not in repr(SmppOptions(password=secret))


def test_t15_the_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    store = SqliteStore(str(path), lambda f, *a: f(*a), threaded=False)
    store.open(10)
    for file in tmp_path.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    store.close()


def test_t08_what_is_over_is_overwritten_in_the_store(tmp_path: Path) -> None:
    from gatewayd.store.contract import Item, Queue, Work  # noqa: PLC0415

    path = tmp_path / "s.sqlite3"
    store = SqliteStore(str(path), lambda f, *a: f(*a), threaded=False)
    store.open(10)
    store.commit([Work(puts=[Item(Queue.MT, n, "a", b"canary" * 20, 0, 0) for n in range(1, 50)])])
    store.commit([Work(ends=list(range(1, 50)))])
    store.close()
    assert b"canary" not in path.read_bytes()
    assert not [file for file in tmp_path.iterdir() if b"canary" in file.read_bytes()]
