"""T7 and T8: an event is one line, whatever is in it, and says no more of people than it must."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from gatewayd.commands.run import Daemon
from gatewayd.errors import GatewayError
from gatewayd.log import Number, line_of


@pytest.fixture
def full() -> Iterator[None]:
    Number.full = True
    yield
    Number.full = False


def event(**fields: Any) -> dict[str, Any]:
    return {"log_level": LogLevel.info, "log_time": 0.0, **fields}


@settings(max_examples=300)
@given(st.text(max_size=80))
def test_t07_whatever_a_value_holds_it_stays_in_its_line(text: str) -> None:
    for as_json in (True, False):
        line = line_of(event(log_format="{value} x", value=text), as_json=as_json)
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        assert "\x9b" not in line
        assert io.StringIO(line).read().isprintable() or not as_json
    assert json.loads(line_of(event(log_format="{value}", value=text), as_json=True))


def test_t08_a_number_shows_three_digits_however_it_is_printed() -> None:
    number = Number("258840000123")
    for format_ in ("{number}", "{number!s}", "{number!r}", "{number:>20}"):
        for as_json in (True, False):
            line = line_of(event(log_format=format_, number=number), as_json=as_json)
            assert "*********123" in line
            assert "0000123" not in line


@pytest.mark.usefixtures("full")
def test_t08_numbers_full_shows_them() -> None:
    line = line_of(event(log_format="{number}", number=Number("258840000123")), as_json=True)
    assert "258840000123" in line


def fail(error: Exception, secret: str) -> Failure:
    try:
        assert secret
        raise error  # noqa: TRY301
    except Exception:  # noqa: BLE001 - whatever it is
        return Failure(captureVars=True)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("invalid literal for int() with base 10: 'canary'"),
        KeyError("canary"),
        UnicodeEncodeError("ascii", "canary\xff", 6, 7, "ordinal not in range"),
        TypeError('can\'t multiply "canary" by \'"canary"\''),
    ],
)
def test_t03_a_traceback_has_no_values(error: Exception) -> None:
    broken = event(log_format="It broke", log_failure=fail(error, "canary"))
    broken["log_level"] = LogLevel.critical
    for as_json in (True, False):
        line = line_of(broken, as_json=as_json)
        assert "canary" not in line
        assert type(error).__name__ in line
        assert "test_t07_t08_logs.py" in line
        assert " in fail" in line


def test_t03_what_we_say_on_purpose_stays_readable() -> None:
    line = line_of(
        event(log_format="x", log_failure=fail(GatewayError("no SMSC is called 'op'"), "s")),
        as_json=False,
    )
    assert "no SMSC is called 'op'" in line


def test_t08_core_dumps_are_off() -> None:
    assert "RLIMIT_CORE" in Daemon.run.__code__.co_names
