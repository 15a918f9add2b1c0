"""The grammar of a kannel.conf: what is a line, a value, a group, an include."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.kannel_file import Group, Notes, read_groups, unquoted
from gatewayd.errors import ConfigError

GOLDEN = Path(__file__).parents[1] / "golden" / "config" / "kannel"


def groups_of(tmp_path: Path, text: str, **environ: str) -> tuple[list[Group], Notes]:
    path = tmp_path / "kannel.conf"
    path.write_bytes(text.encode())
    notes = Notes(str(path))
    return read_groups(str(path), environ, notes), notes


def plain(groups: list[Group]) -> list[tuple[str, dict[str, str]]]:
    return [
        (group.kind, {name: line.value for name, line in group.lines.items()}) for group in groups
    ]


def read(tmp_path: Path, text: str, **environ: str) -> list[tuple[str, dict[str, str]]]:
    groups, notes = groups_of(tmp_path, text, **environ)
    assert not notes.problems
    return plain(groups)


def test_a_blank_line_ends_a_group_and_a_comment_does_not(tmp_path: Path) -> None:
    text = "group = core\na = 1\n  # b = 2\nc = 3\n \t \ngroup = smsc\nd = 4\n"
    assert read(tmp_path, text) == [("core", {"a": "1", "c": "3"}), ("smsc", {"d": "4"})]


def test_a_second_group_line_begins_a_new_group_without_a_blank_line(tmp_path: Path) -> None:
    text = "group = sendsms-user\na = 1\ngroup = sms-service\nb = 2\n"
    assert read(tmp_path, text) == [("sendsms-user", {"a": "1"}), ("sms-service", {"b": "2"})]


def test_the_same_kind_twice_without_a_blank_line_is_two_groups(tmp_path: Path) -> None:
    text = "group = smsc\na = 1\ngroup = smsc\na = 2\n"
    assert read(tmp_path, text) == [("smsc", {"a": "1"}), ("smsc", {"a": "2"})]


def test_the_group_line_of_core_may_be_repeated_within_the_group(tmp_path: Path) -> None:
    text = "group = core\na = 1\ngroup = core\nb = 2\n"
    assert read(tmp_path, text) == [("core", {"a": "1", "b": "2"})]


def test_the_group_line_may_stand_anywhere_in_its_group(tmp_path: Path) -> None:
    text = "a = 1\ngroup = smsc\nb = 2\n"
    assert read(tmp_path, text) == [("smsc", {"a": "1", "b": "2"})]


def test_the_last_of_a_repeated_directive_wins(tmp_path: Path) -> None:
    groups, _ = groups_of(tmp_path, "group = core\na = 1\na = 2\n")
    assert groups[0].lines["a"].value == "2"
    assert [(line.value, line.number) for line in groups[0].repeated] == [("1", 2)]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("word", "word"),
        ("two words", "two words"),
        ('"quoted"', "quoted"),
        ('" kept "', " kept "),
        (r'"a\"b\\c\d"', r'a"b\c\d'),
        ('"open', '"open'),
        ('x"y"', 'x"y"'),
        ("word # no comment", "word # no comment"),
        ("a = b", "a = b"),
        ('""', ""),
        ("", ""),
        ("^a\\.b$", "^a\\.b$"),
    ],
)
def test_a_value_is_what_stands_behind_the_first_equals(
    tmp_path: Path, written: str, value: str
) -> None:
    for text in (f"group=core\nx={written}\n", f"group = core\r\n\tx \t= {written}  \r\n"):
        assert read(tmp_path, text) == [("core", {"x": value})]


def test_a_backslash_at_the_very_end_joins_lines_and_numbers_stay_true(tmp_path: Path) -> None:
    groups, _ = groups_of(tmp_path, "group = core\na = 1\\\n 2\nb = 3\n# c \\\nd = 4\ne = 5\n")
    assert plain(groups) == [("core", {"a": "1 2", "b": "3", "e": "5"})]
    assert [line.number for line in groups[0].lines.values()] == [2, 4, 7]


def test_a_backslash_before_a_blank_or_a_carriage_return_joins_nothing(tmp_path: Path) -> None:
    assert read(tmp_path, "group = core\na = 1\\ \nb = 2\\\r\nc = 3\n") == [
        ("core", {"a": "1\\", "b": "2\\", "c": "3"})
    ]


def test_an_include_stands_for_the_lines_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("b = 2\n\ngroup = smsc\nc = 3")
    groups, _ = groups_of(tmp_path, 'group = core\na = 1\ninclude = "more.conf"\nd = 4\n')
    assert plain(groups) == [("core", {"a": "1", "b": "2"}), ("smsc", {"c": "3", "d": "4"})]
    assert groups[1].place.file == str(tmp_path / "more.conf")
    assert groups[1].place.number == 3


def test_the_end_of_the_last_line_of_an_included_file_ends_its_group(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("b = 2\n")
    _, notes = groups_of(tmp_path, "group = core\ninclude = more.conf\nd = 4\n")
    assert [(one.line, one.where) for one in notes.problems] == [(3, "d")]


def test_an_included_folder_gives_each_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "parts" / "deeper").mkdir(parents=True)
    (tmp_path / "parts" / "b").write_text("group = b\n\n")
    (tmp_path / "parts" / "a").write_text("group = a\n\n")
    (tmp_path / "parts" / "deeper" / "c").write_text("group = c\n\n")
    assert read(tmp_path, f"include = {tmp_path / 'parts'}\n") == [("a", {}), ("b", {})]


def test_a_file_included_twice_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("group = a\n\n")
    _, notes = groups_of(tmp_path, "include = more.conf\n\ninclude = more.conf\n")
    assert notes.cut_short
    assert [(one.line, one.where) for one in notes.problems] == [(3, "include")]


def test_what_includes_itself_through_a_link_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "link.conf").symlink_to(tmp_path / "kannel.conf")
    _, notes = groups_of(tmp_path, "group = core\ninclude = link.conf\n")
    assert "already included" in str(notes.problems[0])


def test_the_word_include_anywhere_is_an_include_as_in_kannel(tmp_path: Path) -> None:
    _, notes = groups_of(tmp_path, "group = core\nlog-file = /include/log\na = 1\n")
    assert notes.cut_short
    assert (notes.problems[0].line, notes.problems[0].where) == (2, "log-file")


def test_a_file_that_is_not_utf_8_is_read_as_latin_1_with_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    path.write_bytes(b"group = core\nx = caf\xe9\n")
    notes = Notes(str(path))
    assert plain(read_groups(str(path), {}, notes)) == [("core", {"x": "café"})]
    assert f"{path}:2: is not UTF-8" in notes.warnings[0]


def test_variables_come_from_the_environment_and_are_not_parsed_again(tmp_path: Path) -> None:
    text = 'group = core\na = "${A}"\nb = ${B:-two}x\nc = ${1} %{x} $A\n'
    assert read(tmp_path, text, A='"quo\\ted" # ${B}') == [
        ("core", {"a": '"quo\\ted" # ${B}', "b": "twox", "c": "${1} %{x} $A"})
    ]


def test_an_absent_variable_is_told_with_its_line(tmp_path: Path) -> None:
    _, notes = groups_of(tmp_path, "group = core\na = 1\nb = ${GONE}\n")
    assert [(one.line, one.where) for one in notes.problems] == [(3, "group core, b")]


def test_both_forms_of_the_snippet_that_rapidpro_shows_read_alike() -> None:
    expected = json.loads((GOLDEN / "snippet_expected.json").read_text())
    wanted = [
        (group.pop("group"), {name: unquoted(value) for name, value in group.items()})
        for group in expected["both_must_import_to"]
    ]
    for name in expected["files"]:
        notes = Notes(name)
        assert plain(read_groups(str(GOLDEN / name), {}, notes)) == wanted
        assert not notes.problems


WORDS = st.sampled_from(
    ["group", "core", "smsc", "=", '"', "\\", "\n", "#", " ", "include", "\r", "\t", "a", "${", "}"]
)


@settings(max_examples=150, deadline=None)
@given(text=st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=80))
def test_any_text_gives_groups_or_problems(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    notes = Notes(str(path))
    groups = read_groups(str(path), {"a": "b"}, notes)
    assert all(line.name == name for group in groups for name, line in group.lines.items())
    if notes.problems:
        with pytest.raises(ConfigError):
            notes.finish()


@settings(max_examples=100)
@given(text=st.text(alphabet='ab"\\ #=', max_size=12))
def test_a_quoted_value_is_what_was_quoted(text: str) -> None:
    written = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert unquoted(written) == text
