from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.config.model import NumberRules
from gatewayd.errors import ConfigError
from gatewayd.web.lists import NumberCheck, parse_numbers, read_source


def test_a_list_has_a_number_a_line() -> None:
    assert parse_numbers(b"# ours\n+55 82 1\n\n0049-1 # him\nno digits\r\n7") == {
        "55821",
        "491",
        "7",
    }


def test_no_rules_let_everybody_through() -> None:
    assert NumberCheck(NumberRules()).admit("anything")


def test_a_white_list_lets_only_its_numbers_through(tmp_path: Path) -> None:
    (tmp_path / "white").write_text("5511\n5522\n")
    check = NumberCheck(NumberRules(white_list=str(tmp_path / "white")))
    assert check.admit("+5511")
    assert not check.admit("5533")


def test_a_black_list_keeps_its_numbers_out() -> None:
    check = NumberCheck(NumberRules(black_list="http://lists/black"), read=lambda _: b"5511\n")
    assert not check.admit("5511")
    assert check.admit("55110")


def test_a_list_may_be_a_url(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(b"1\n")
    assert read_source((tmp_path / "list").as_uri()) == b"1\n"


def test_regular_expressions_are_searched() -> None:
    check = NumberCheck(NumberRules(white_list_regex="^55", black_list_regex="9$"))
    assert check.admit("551")
    assert not check.admit("441")
    assert not check.admit("559")


def test_prefixes_refuse_as_for_an_smsc() -> None:
    allowed = NumberCheck(NumberRules(allowed_prefixes=("55",)))
    denied = NumberCheck(NumberRules(denied_prefixes=("55",)))
    both = NumberCheck(NumberRules(allowed_prefixes=("551",), denied_prefixes=("55",)))
    assert [allowed.admit(n) for n in ("551", "44")] == [True, False]
    assert [denied.admit(n) for n in ("551", "44")] == [False, True]
    assert [both.admit(n) for n in ("551", "552", "44")] == [True, False, True]


def test_what_cannot_be_read_is_said_all_at_once() -> None:
    rules = NumberRules(white_list="/nowhere/at/all", black_list_regex="(")
    with pytest.raises(ConfigError) as error:
        NumberCheck(rules, "user tester")
    assert [problem.where for problem in error.value.problems] == [
        "user tester white-list",
        "user tester black-list-regex",
    ]
