"""What a log line looks like, and what never gets into one."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import LogLevel, PredicateResult, globalLogBeginner
from twisted.python.failure import Failure

from gatewayd import log
from gatewayd.config import Secret

WHEN = 1_800_000_000.25  # 2027-01-15 08:00:00.250 UTC


def event(text: str = "hello", level: Any = LogLevel.info, **fields: Any) -> dict[str, Any]:
    return {
        "log_format": text,
        "log_level": level,
        "log_time": WHEN,
        "log_namespace": "gatewayd.x",
        **fields,
    }


def parsed(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(log.line_of(event(**fields), as_json=True))
    return found


def test_a_line_has_time_level_and_text() -> None:
    assert log.line_of(event("{n} of {what}", n=3, what="it"), as_json=False) == (
        "2027-01-15T08:00:00.250Z info    3 of it"
    )


def test_a_json_line_has_the_fields_as_well() -> None:
    assert parsed(text="{n}", n=3, smsc="a", up=True, log_source=object()) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "info",
        "text": "3",
        "n": 3,
        "smsc": "a",
        "up": True,
    }


def test_an_events_own_text_and_level_do_not_replace_the_lines() -> None:
    line = json.loads(
        log.line_of(
            {**event("{bind}: {text}", bind="a/0"), "text": "lost", "level": 9}, as_json=True
        )
    )
    assert (line["text"], line["level"]) == ("a/0: lost", "info")


@settings(max_examples=50)
@given(st.text())
def test_what_a_peer_says_cannot_begin_another_line(said: str) -> None:
    for as_json in (False, True):
        line = log.line_of(event("{said}", said=said), as_json=as_json)
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
        if as_json:
            assert json.loads(line)["said"] == said


def test_a_failure_is_told_with_its_traceback_in_the_same_line() -> None:
    def broken() -> None:
        raise ValueError("bad\nthing")

    failure = Failure(ValueError("unset"))
    try:
        broken()
    except ValueError:
        failure = Failure()
    line = log.line_of(event("Broken", LogLevel.critical, log_failure=failure), as_json=False)
    assert len(line.splitlines()) == 1
    assert "Broken: ValueError: bad" in line
    assert "test_log.py" in line
    warning = log.line_of(event("Broken", LogLevel.warn, log_failure=failure), as_json=False)
    assert "test_log.py" not in warning


def test_an_event_that_cannot_be_formatted_is_still_a_line() -> None:
    line = log.line_of(event("{missing}"), as_json=False)
    assert len(line.splitlines()) == 1


def test_a_secret_prints_as_one() -> None:
    for as_json in (False, True):
        line = log.line_of(event("{p} {p!r}", p=Secret("hunter2")), as_json=as_json)
        assert "hunter2" not in line


@pytest.mark.parametrize(
    ("number", "shown"), [("+5511999", "*****999"), ("123", "123"), ("", ""), ("12", "12")]
)
def test_of_a_number_only_the_last_three_digits_show(number: str, shown: str) -> None:
    assert log.masked(number) == shown


@pytest.mark.parametrize(
    ("level", "seen"),
    [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e"), ("nonsense", "iwe")],
)
def test_the_threshold_lets_through_its_level_and_above(level: str, seen: str) -> None:
    threshold = log.Threshold(level)
    levels = {"d": LogLevel.debug, "i": LogLevel.info, "w": LogLevel.warn, "e": LogLevel.error}
    found = [key for key, each in levels.items() if threshold(event("x", each)) is YES]
    assert "".join(found) == seen


def test_the_threshold_may_be_moved_and_nonsense_does_not_move_it() -> None:
    threshold = log.Threshold("error")
    threshold.set("debug")
    threshold.set("nonsense")
    assert threshold(event("x", LogLevel.debug)) is YES


def test_twisteds_housekeeping_is_left_out_and_its_warnings_are_not() -> None:
    threshold = log.Threshold("debug")
    theirs = {"log_namespace": "twisted.internet"}
    assert threshold(event("x", LogLevel.info) | theirs) is PredicateResult.no
    assert threshold(event("x", LogLevel.warn) | theirs) is YES


YES = PredicateResult.yes


class Beginner:
    """What would be told to begin."""

    observers: list[Any]

    def beginLoggingTo(self, observers: list[Any], **options: Any) -> None:
        self.observers = observers


@pytest.fixture
def beginner(monkeypatch: pytest.MonkeyPatch) -> Beginner:
    made = Beginner()
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", made.beginLoggingTo)
    return made


def test_begin_writes_to_standard_error_at_once(
    beginner: Beginner, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    output = log.begin("info", "text")
    beginner.observers[0](event("one"))
    beginner.observers[0](event("two", LogLevel.debug))
    output.threshold.set("debug")
    beginner.observers[0](event("three", LogLevel.debug))
    assert [line[-5:].strip() for line in out.getvalue().splitlines()] == ["one", "three"]


def test_begin_appends_to_a_file_whatever_the_characters(
    beginner: Beginner, tmp_path: Path
) -> None:
    file = tmp_path / "log"
    file.write_text("before\n")
    log.begin("info", "json", str(file))
    beginner.observers[0](event("half \ud800 a pair"))
    beginner.observers[0](event("olá ☺"))
    first, second, third = file.read_text("utf-8").splitlines()
    assert first == "before"
    assert "half" in json.loads(second)["text"]
    assert json.loads(third)["text"] == "olá ☺"


def test_a_closed_pipe_does_not_end_the_daemon(
    beginner: Beginner, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    log.begin("info", "text")
    out.close()
    beginner.observers[0](event("nobody hears"))


def test_the_log_moves_and_changes_its_form_while_we_run(
    beginner: Beginner, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    output = log.begin("info", "text", str(one))
    tell = beginner.observers[0]
    tell(event("first"))
    with pytest.raises(OSError, match="nowhere"):
        output.change("debug", "json", str(tmp_path / "nowhere" / "log"), "masked")
    tell(event("hidden", LogLevel.debug))
    output.change("debug", "json", str(two), "masked")
    tell(event("second", LogLevel.debug))
    assert [line[-5:] for line in one.read_text().splitlines()] == ["first"]
    assert json.loads(two.read_text())["text"] == "second"


def test_a_level_set_by_hand_outlives_a_reload_that_names_no_other(beginner: Beginner) -> None:
    output = log.begin("info", "text")
    output.threshold.set("debug")
    output.change("info", "text", "", "masked")
    assert output.threshold.level is LogLevel.debug
    output.change("error", "text", "", "masked")
    assert output.threshold.level is LogLevel.error


def test_a_log_that_logrotate_moved_away_is_begun_anew(beginner: Beginner, tmp_path: Path) -> None:
    file = tmp_path / "log"
    output = log.begin("info", "text", str(file))
    beginner.observers[0](event("before"))
    file.rename(tmp_path / "log.1")
    output.reopen()
    beginner.observers[0](event("after"))
    assert "before" in (tmp_path / "log.1").read_text()
    assert [line[-5:] for line in file.read_text().splitlines()] == ["after"]
