"""The alerts name series that exist, with labels they have, and the guide explains each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gatewayd.metrics import SERIES

ROOT = Path(__file__).parents[2]
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "conf" / "prometheus-rules.yaml").read_text())["groups"]
    for rule in group["rules"]
]
OURS = re.compile(r"\b(gatewayd_[a-z_]+)")
ADDED = {"instance", "job"}  # by Prometheus


def series(expr: str) -> list[str]:
    return OURS.findall(expr)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_names_series_as_they_are_exposed(rule: dict[str, Any]) -> None:
    for name in series(rule["expr"]):
        plain = name.removesuffix("_total")
        assert plain in SERIES, name
        assert name.endswith("_total") == (SERIES[plain].kind == "counter"), name


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_uses_labels_that_its_series_have(rule: dict[str, Any]) -> None:
    names = [name.removesuffix("_total") for name in series(rule["expr"])]
    known = {label for name in names for label in SERIES[name].labels} | ADDED
    used = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    used |= set(re.findall(r"[{,]\s*(\w+)=", rule["expr"]))
    assert used <= known


def test_the_guide_says_what_to_do_at_each_alert() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [rule["alert"] for rule in RULES if f"`{rule['alert']}`" not in text] == []
    named = set(re.findall(r"`(Gatewayd[A-Z]\w+)`", text))
    assert named == {rule["alert"] for rule in RULES}
