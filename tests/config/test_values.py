"""Single values and the gathering of mistakes."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import values
from gatewayd.config.values import MAX_PROBLEMS, Problems
from gatewayd.errors import ConfigError


class Colour(Enum):
    RED = "red"
    GREEN = "green"


@pytest.mark.parametrize(
    ("parser", "text", "expected"),
    [
        (values.boolean, "Yes", True),
        (values.boolean, "off", False),
        (values.port, "65535", 65535),
        (values.listener_port, "0", 0),
        (values.integer(-1, 10), "-1", -1),
        (values.integer(0, 70000), "0xFFFF", 65535),
        (values.integer(0, 2_000_000), "1_000_000", 1_000_000),
        (values.number(0, 10), "2.5", 2.5),
        (values.duration(), "45", 45.0),
        (values.duration(), "1.5", 1.5),
        (values.duration(), "500ms", 0.5),
        (values.duration(), "30s", 30.0),
        (values.duration(), "5m", 300.0),
        (values.duration(), "2h", 7200.0),
        (values.duration(), "7d", 604800.0),
        (values.duration(), "1w", 604800.0),
        (values.days, "7", 7.0),
        (values.days, "12h", 0.5),
        (values.size(0, 1 << 30), "64kB", 65536),
        (values.size(0, 1 << 30), "64 KiB", 65536),
        (values.size(0, 1 << 30), "1MB", 1 << 20),
        (values.size(0, 1 << 30), "1000", 1000),
        (values.one_of("a", "b"), "b", "b"),
        (values.member(Colour), "red", Colour.RED),
        (values.member(Colour, g=Colour.GREEN), "g", Colour.GREEN),
        (values.host, "smsc.example.net", "smsc.example.net"),
        (values.host, "smsc_1", "smsc_1"),
        (values.host, "2001:DB8::1", "2001:db8::1"),
        (values.endpoint, "[::1]:13000", ("::1", 13000)),
        (values.endpoint, "localhost:0", ("localhost", 0)),
        (values.url, "https://h:8443/c/kn/1/receive?a=%p", "https://h:8443/c/kn/1/receive?a=%p"),
        (values.ip_pattern, "10.0.*.*", "10.0.*.*"),
        (values.ip_pattern, "10.0.0.0/8", "10.0.0.0/8"),
        (values.ip_pattern, "::1", "::1"),
        (values.regex, "^[[:digit:]]+$", "^[[:digit:]]+$"),
        (values.item, "+258", "+258"),
        (values.prose, "two\nlines", "two\nlines"),
    ],
)
def test_a_good_value_means_what_it_says(
    parser: Callable[[str], object], text: str, expected: object
) -> None:
    assert parser(text) == expected


@pytest.mark.parametrize(
    ("parser", "text", "sentence"),
    [
        (values.boolean, "1", "1 is neither true nor false"),
        (values.port, "70000", "70000 is not a port (1-65535)"),
        (values.port, "0", "0 is not a port (1-65535)"),
        (values.port, "012", "012 begins with 0 and could be octal; write it without"),
        (values.port, "1e3", "1e3 is not a port (1-65535)"),
        (values.port, "", '"" is not a port (1-65535)'),
        (values.port, "\u0661\u0662", "\u0661\u0662 is not a port (1-65535)"),
        (values.port, "9" * 5000, "9" * 57 + "... is not a port (1-65535)"),
        (values.number(0, 1), "2", "2 is not a number (0-1)"),
        (values.number(0, 1), "nan", "nan is not a number (0-1)"),
        (values.duration(), "22:30", "22:30 is not a time (30s, 5m, 2h, 7d or plain seconds)"),
        (values.duration(), "-1s", "-1s is not a time (30s, 5m, 2h, 7d or plain seconds)"),
        (values.duration(1, 3600), "2h", "2h is out of range (1s to 1h)"),
        (values.size(1, 10), "1k", "1k is out of range (1 to 10 octets)"),
        (values.one_of("first", "all"), "frist", "frist is not one of first, all"),
        (values.host, "a b", "a b is not a host name or an IP address"),
        (values.host, "-a.example", "-a.example is not a host name or an IP address"),
        (values.host, "[::1]:80", "[::1]:80 is a host with a port; write the port under port"),
        (values.endpoint, "::1:80", "::1:80 is not host:port"),
        (values.url, "file:///etc/passwd", "file:///etc/passwd is not a URL (https://host/path)"),
        (values.url, "http:///x", "http:///x is not a URL (https://host/path)"),
        (values.url, "http://h:99999/", "http://h:99999/ is not a URL: its host or port is wrong"),
        (values.ip_pattern, "10.0.0.256", "10.0.0.256 is not an address, a network or a pattern"),
        (values.ip_pattern, "10.0.*", "10.0.* is not an address, a network or a pattern"),
        (values.regex, "(", "( is not a regular expression: "),
        (values.item, "", "is empty; leave it out"),
        (values.string, "a\r\nb", "holds the control character \\x0d; take it out"),
        (values.prose, "a\x00b", "holds the control character \\x00; take it out"),
        (values.name, "a b", "a b is not a name"),
        (values.name, "n" * 65, "is not a name"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(
    parser: Callable[[str], object], text: str, sentence: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parser(text)


def test_a_wrong_url_is_told_without_its_user_and_query() -> None:
    with pytest.raises(ValueError, match="not a URL") as caught:
        values.url("ftp://me:pa55@h/x?password=pa55")
    assert "pa55" not in str(caught.value)


ALL_PARSERS: list[Callable[[str], object]] = [
    values.string,
    values.prose,
    values.name,
    values.item,
    values.boolean,
    values.port,
    values.number(0, 9),
    values.duration(),
    values.days,
    values.size(0, 9),
    values.regex,
    values.host,
    values.endpoint,
    values.url,
    values.ip_pattern,
    values.one_of("a"),
]


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=40), parser=st.sampled_from(ALL_PARSERS))
def test_a_parser_raises_nothing_but_value_error(
    text: str, parser: Callable[[str], object]
) -> None:
    try:
        parser(text)
    except ValueError as error:
        assert str(error).isprintable() or any(ord(char) > 127 for char in text)


@settings(max_examples=50, deadline=None)
@given(seconds=st.integers(0, 10**6), unit=st.sampled_from(["", "s", "m"]))
def test_a_time_is_its_number_in_its_unit(seconds: int, unit: str) -> None:
    assert values.duration(0, 1e9)(f"{seconds}{unit}") == seconds * (60 if unit == "m" else 1)


@pytest.mark.parametrize(
    ("word", "found"),
    [("prot", "port"), ("system_id", "system-id"), ("PORT", "port"), ("zzz", ""), ("", "")],
)
def test_the_nearest_known_word_is_offered(word: str, found: str) -> None:
    assert values.nearest(word, ["port", "system-id", "host"]) == found


def test_hosts_of_this_machine_alone_are_loopback() -> None:
    assert all(map(values.is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(values.is_loopback, ["0.0.0.0", "::", "10.0.0.1", "", "example.net"]))


@pytest.mark.parametrize(
    ("patterns", "everybody"),
    [
        ([], True),
        (["*.*.*.*"], True),
        (["*"], True),
        (["10.0.0.1", "0.0.0.0/0"], True),
        (["::/0"], True),
        (["10.*.*.*"], False),
        (["10.0.0.0/8"], False),
        (["::1"], False),
    ],
)
def test_patterns_that_keep_nobody_out_are_seen(patterns: list[str], everybody: bool) -> None:
    assert values.lets_everybody_in(patterns) is everybody


def test_every_mistake_is_told_in_the_order_of_the_lines() -> None:
    problems = Problems("x.yaml")
    problems.error(7, "b", "is wrong")
    assert problems.parse(3, "a", values.port, "0", 2775) == 2775
    assert problems.parse(4, "c", values.port, "1", 2775) == 1
    with pytest.raises(ConfigError) as caught:
        problems.finish()
    assert str(caught.value) == "x.yaml:3: a: 0 is not a port (1-65535)\nx.yaml:7: b: is wrong"


def test_warnings_are_no_mistakes() -> None:
    problems = Problems("x.yaml")
    problems.warn(2, "a", "is odd")
    assert problems.finish() == ("x.yaml:2: a: is odd",)


def test_a_later_check_finds_the_place_of_what_it_names() -> None:
    problems = Problems("x.yaml")
    problems.mark(("smscs", 0), 4, "smscs[0]")
    problems.mark(("smscs", 0, "id"), 5, "smscs[0].id")
    assert problems.place(("smscs", 0, "id")) == (5, "smscs[0].id")
    assert problems.place(("smscs", 0, "binds", 1)) == (4, "smscs[0]")
    assert problems.place(("users", 0)) == (0, "")


def test_a_file_of_nonsense_makes_a_bounded_list() -> None:
    problems = Problems("x.yaml")
    for line in range(2 * MAX_PROBLEMS):
        problems.error(line, "", "is wrong")
        problems.warn(line, "", "is odd")
    assert len(problems.found) == len(problems.warnings) == MAX_PROBLEMS


def test_what_is_shown_is_short_and_on_one_line() -> None:
    assert values.shown("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m"
    assert len(values.shown("x" * 500)) == 60
