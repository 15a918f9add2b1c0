"""One small file per mistake, with the sentences an operator gets for it beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError

BAD = Path(__file__).parents[1] / "golden" / "config" / "bad"
ENVIRON = {"SECRET": "hush-hush"}


def complaints(path: Path) -> str:
    """What is said of a file, with its name alone for the path."""
    with pytest.raises(ConfigError) as caught:
        read_yaml(str(path), ENVIRON)
    return str(caught.value).replace(f"{path.parent}{os.sep}", "") + "\n"


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_each_mistake_is_told_as_expected(path: Path) -> None:
    assert complaints(path) == path.with_suffix(".expected").read_text()


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_complaint_shows_a_secret(path: Path) -> None:
    said = complaints(path)
    assert "hush" not in said
    assert "12345678" not in said


def test_every_expected_sentence_has_its_file() -> None:
    files = {path.stem for path in BAD.glob("*.yaml")}
    assert files == {path.stem for path in BAD.glob("*.expected")}
    assert len(files) >= 40
