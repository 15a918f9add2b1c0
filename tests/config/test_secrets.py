"""Where passwords come from, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import secrets
from gatewayd.config.model import Secret
from gatewayd.config.secrets import MAX_SECRET, interpolate, is_plain, read_file, resolve


def private_file(folder: Path, data: bytes, mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_bytes(data)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B}z", "xoney$" + "{A}z"),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${NONE:-two words}", "two words"),
        ("${NONE:-}", ""),
        ("${A:-two}", "one"),
        ("$${A}", "${A}"),
        ("$A {A} $", "$A {A} $"),
    ],
)
def test_names_are_replaced_once(text: str, expected: str) -> None:
    assert interpolate(text, {"A": "one", "B": "${A}", "EMPTY": ""}) == expected


def test_an_unset_name_is_told() -> None:
    with pytest.raises(ValueError, match="the environment variable NONE is not set"):
        interpolate("a${NONE}", {})


@pytest.mark.parametrize("text", ["${", "${}", "a${1}", "${A", "${A-b}", "${A B}"])
def test_half_a_name_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="holds"):
        interpolate(text, {"A": "one"})


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab${}:-_", max_size=20))
def test_any_text_is_replaced_or_refused(text: str) -> None:
    try:
        found = interpolate(text, {"a": "", "ab": "b"})
    except ValueError:
        assert "${" in text
    else:
        assert found == text or "${" in text


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_a_text_survives_when_its_braces_are_doubled(text: str) -> None:
    # "$" before "${" would lend its sign to the doubled one
    text = text.replace("$$", "$")
    if "$${" not in text.replace("${", "$${").replace("$${", ""):
        assert interpolate(text.replace("${", "$${"), {}) == text


def test_a_file_gives_its_line_without_the_end(tmp_path: Path) -> None:
    path = private_file(tmp_path, b"s3cret \r\n")
    assert resolve(f"file:{path}", {}).reveal() == "s3cret "
    assert resolve("file:${DIR}/password", {"DIR": str(tmp_path)}).reveal() == "s3cret "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o601])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = private_file(tmp_path, b"s3cret", mode)
    with pytest.raises(ValueError, match=f"open to group or others.*{mode:03o}.*chmod 600"):
        resolve(f"file:{path}", {})


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_of_its_owner_alone_is_taken(tmp_path: Path, mode: int) -> None:
    assert resolve(f"file:{private_file(tmp_path, b's3cret', mode)}", {}) == "s3cret"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty secret"),
        (b"\n", "empty secret"),
        (b"a\nb\n", "control characters"),
        (b"a\x00", "control characters"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x" * (MAX_SECRET + 1), "longer than"),
    ],
)
def test_a_file_that_holds_no_password_is_refused(
    tmp_path: Path, data: bytes, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(f"file:{private_file(tmp_path, data)}", {})


def test_a_fifo_or_a_folder_does_not_keep_us_waiting(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path):
        with pytest.raises(ValueError, match="is not a file"):
            read_file(str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file:", "not an absolute path"),
        ("file:password", "not an absolute path"),
        ("file:/no/such", "No such file"),
        ("file:/a\x00b", "NUL"),
        ("credential:", "plain name"),
        ("credential:../../etc/shadow", "plain name"),
        ("credential:..", "plain name"),
        ("credential:absent", "No such file"),
    ],
)
def test_a_secret_that_cannot_be_had_is_told(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        resolve(text, {"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_a_credential_comes_from_the_folder_of_the_service_manager(tmp_path: Path) -> None:
    # systemd shows its ACL as group bits: 0440
    (tmp_path / "smsc").write_text("s3cret\n")
    (tmp_path / "smsc").chmod(0o440)
    assert resolve("credential:smsc", {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == "s3cret"


def test_a_credential_may_come_from_a_folder_that_systemd_loaded_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "gatewayd_smsc").write_text("s3cret\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert resolve("credential:smsc", environ) == "s3cret"
    (tmp_path / "smsc").write_text("named by itself\n")
    assert resolve("credential:smsc", environ) == "named by itself"


def test_without_systemd_a_credential_is_the_file_that_the_units_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that root may check what the service will be given."""
    monkeypatch.setattr(secrets, "SECRETS", str(tmp_path))
    (tmp_path / "smsc").write_text("s3cret\n")
    (tmp_path / "smsc").chmod(0o644)
    with pytest.raises(ValueError, match="open to group or others"):
        resolve("credential:smsc", {})
    (tmp_path / "smsc").chmod(0o600)
    assert resolve("credential:smsc", {}) == "s3cret"
    with pytest.raises(ValueError, match="absent: No such file"):
        resolve("credential:absent", {})


def test_the_units_load_the_folder_and_the_name_that_are_looked_for() -> None:
    for unit in ("gatewayd.service", "gatewayd@.service"):
        line = f"LoadCredential={secrets.OF_FOLDER.removesuffix('_')}:{secrets.SECRETS}\n"
        assert line in (Path(__file__).parents[2] / "systemd" / unit).read_text()


def test_a_password_in_the_environment_may_look_like_a_place() -> None:
    assert resolve("${P}", {"P": "file:/etc/passwd"}) == "file:/etc/passwd"


def test_a_secret_prints_as_secret() -> None:
    found = resolve("hush", {})
    assert isinstance(found, Secret)
    assert f"{found} {found!s} {found!r} {found:>10}" == " ".join(["<secret>"] * 4)
    assert found.reveal() == "hush"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("hush", True),
        ("$${hush}", True),
        ("${P}", False),
        ("a${P}", False),
        ("file:/x", False),
        ("credential:x", False),
    ],
)
def test_a_secret_in_the_file_itself_is_plain(text: str, plain: bool) -> None:
    assert is_plain(text) is plain
