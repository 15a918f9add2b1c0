"""POSIX expressions in Python's hands."""

from __future__ import annotations

import re
import warnings
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.posix import compile_posix, posix_regex


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^rx[0-9]+", "rx9 a", "RX9"),
        ("^[[:digit:]]+$", "123", "123\n"),
        ("^[^[:space:]x]$", "y", "x"),
        ("^[]a]+$", "]a", "b"),
        ("^[^]a]$", "b", "]"),
        ("^[a-c[:digit:]-]+$", "b1-", "d"),
        ("^a.b$", "a\nb", "ab"),
        ("^(one|two)$", "two", "on"),
        ("^a{2}$", "aa", "a"),
        ("^a{1,2}$", "aa", "aaa"),
        ("^a{x$", "a{x", "a"),
        ("^a++b$", "aaab", "b"),
        ("^a+?b$", "b", "c"),
        ("^a{2}{2}$", "aaaa", "aa"),
        ("^(ab)+*$", "abab", "aba"),
        ("*a", "a", "b"),
        ("(*a)", "a", "b"),
        (r"\<one\>", "a one b", "onetwo"),
        (r"^\.\*$", ".*", "aa"),
        (r"^(a)\1$", "aa", "a"),
        (r"^\d[\d.]+\Z", "1.5", "a"),
        ("^(?:a|b)$", "b", "ab"),
        (r"^[\s\]]$", "]", "s"),
        ("^a\\", "a\\", "a"),
    ],
)
def test_an_expression_means_what_it_means_in_posix(pattern: str, yes: str, no: str) -> None:
    with warnings.catch_warnings(action="error"):
        regex = compile_posix(pattern)
    assert regex.search(yes)
    assert not regex.search(no)
    assert compile_posix(posix_regex(pattern)).search(yes)  # twice does no harm


@pytest.mark.parametrize("pattern", ["(a", "a)", "[a", "[[:nosuch:]]", "[[:digit", "a{3,1}"])
def test_what_is_no_expression_is_an_error(pattern: str) -> None:
    with pytest.raises(re.error):
        compile_posix(pattern)


def test_repeated_quantifiers_do_not_make_matching_slow() -> None:
    assert not compile_posix("^a+++++b").search("a" * 1000)


@given(st.text(alphabet="ab01[]^-:()|*+?{},.\\$<>", max_size=12))
@settings(max_examples=300)
def test_an_expression_translates_or_is_refused(pattern: str) -> None:
    with warnings.catch_warnings(action="ignore"), suppress(re.error, OverflowError):
        compile_posix(pattern)
