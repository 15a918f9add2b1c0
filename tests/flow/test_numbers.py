"""Which numbers are let through."""

from __future__ import annotations

import pytest

from gatewayd.config import NumberRules
from gatewayd.flow.numbers import Numbers


@pytest.mark.parametrize(
    ("rules", "number", "reason"),
    [
        (NumberRules(), "5511", ""),
        (NumberRules(allowed_prefixes=("55", "1")), "5511", ""),
        (NumberRules(allowed_prefixes=("55", "1")), "4411", "sender prefix not allowed"),
        (NumberRules(denied_prefixes=("44",)), "4411", "sender prefix denied"),
        (NumberRules(denied_prefixes=("44",)), "5511", ""),
        (
            NumberRules(allowed_prefixes=("4",), denied_prefixes=("44",)),
            "441",
            "sender prefix denied",
        ),
        (NumberRules(white_list_regex="^55"), "5511", ""),
        (NumberRules(white_list_regex="^55"), "4411", "sender not in white-list"),
        (NumberRules(black_list_regex="9$"), "559", "sender in black-list"),
        (NumberRules(black_list_regex="9$"), "558", ""),
    ],
)
def test_prefixes_and_expressions_let_through_or_bar(
    rules: NumberRules, number: str, reason: str
) -> None:
    assert Numbers(rules).barred(number, "sender") == reason


def test_lists_count_once_their_contents_are_there() -> None:
    numbers = Numbers(NumberRules(white_list="w", black_list="b"))
    assert numbers.barred("1", "receiver") == ""
    numbers.set_lists(frozenset({"1", "2"}), frozenset({"2"}))
    assert numbers.barred("1", "receiver") == ""
    assert numbers.barred("2", "receiver") == "receiver in black-list"
    assert numbers.barred("3", "receiver") == "receiver not in white-list"
    numbers.set_lists(None, None)
    assert numbers.barred("3", "receiver") == ""
