"""One small kannel.conf per mistake, with the sentences an operator gets for it beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gatewayd.config.kannel_reader import read_kannel
from gatewayd.errors import ConfigError

BAD = Path(__file__).parents[1] / "golden" / "config" / "kannel" / "bad"
FILES = sorted(BAD.glob("*.conf"))


def complaints(path: Path) -> str:
    """What is said of a file, with its name alone for the path."""
    with pytest.raises(ConfigError) as caught:
        read_kannel(str(path), {}, "")
    return str(caught.value).replace(f"{path.parent}{os.sep}", "") + "\n"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_mistake_is_told_as_expected(path: Path) -> None:
    assert complaints(path) == path.with_suffix(".expected").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_complaint_shows_a_secret(path: Path) -> None:
    assert "hush" not in complaints(path)


def test_every_expected_sentence_has_its_file() -> None:
    assert {path.stem for path in FILES} == {path.stem for path in BAD.glob("*.expected")}
    assert len(FILES) >= 20
