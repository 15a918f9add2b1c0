"""docs/protocols.md has every option of every protocol, with its default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gatewayd.smsc import cimd2_options, ucp_options

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"


def rows(title: str) -> dict[str, str]:
    """Option and default of each row below a heading."""
    section = PAGE.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    found: dict[str, str] = {}
    for names, default in re.findall(r"^\| (`.*?) \| (.*?) \|", section, re.MULTILINE):
        words = re.findall(r"`([^`]*)`", default) or [""] * names.count("`")
        found |= zip(re.findall(r"`([^`]*)`", names), words, strict=False)
    return found


@pytest.mark.parametrize(("title", "options"), [("UCP/EMI", ucp_options), ("CIMD2", cimd2_options)])
def test_every_option_stands_on_the_page(title: str, options: Any) -> None:
    assert set(rows(title)) == set(options.READERS)


def test_the_defaults_on_the_page_are_those_of_the_program() -> None:
    written = [f"{name}={value}" for name, value in rows("UCP/EMI").items() if value]
    assert ucp_options.check(written) == []
    assert ucp_options.read(written) == ucp_options.UcpOptions()
    written = [f"{name}={value}" for name, value in rows("CIMD2").items() if value]
    assert cimd2_options.parse(written) == (cimd2_options.Cimd2Options(), [])
