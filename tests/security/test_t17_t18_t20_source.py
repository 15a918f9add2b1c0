"""T17, T18 and T20: what the source may not do, read from the source itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "gatewayd").rglob("*.py"))
TREES = {file: ast.parse(file.read_text("utf-8")) for file in FILES}

_NEVER = {"eval", "exec", "compile", "__import__", "system", "popen", "mktemp"}
_MODULES = {"pickle", "marshal", "shelve", "dill", "subprocess"}
_YAML = {"load", "load_all", "unsafe_load", "full_load"}


def calls() -> Iterator[tuple[Path, ast.Call, str, str]]:
    """Every call with the name that is called, and the name before its dot."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                function = node.func
                if isinstance(function, ast.Name):
                    yield file, node, function.id, ""
                elif isinstance(function, ast.Attribute):
                    owner = function.value
                    yield file, node, function.attr, getattr(owner, "id", "")


def test_t17_nothing_is_evaluated_or_unpickled() -> None:
    for file, node, name, owner in calls():
        ours = file.name == "escapes.py" and name == "compile"  # of %-escapes
        if not ours and (isinstance(node.func, ast.Name) or owner in ("os", "tempfile")):
            assert name not in _NEVER, (file, node.lineno)
    for file, tree in TREES.items():
        for found in ast.walk(tree):
            if isinstance(found, ast.Import):
                assert not _MODULES & {each.name for each in found.names}, file
            elif isinstance(found, ast.ImportFrom):
                assert found.module not in _MODULES, file


def test_t17_yaml_is_only_composed_never_constructed() -> None:
    for file, node, name, owner in calls():
        assert not (owner == "yaml" and name in _YAML), (file, node.lineno)


def test_t17_sql_is_never_put_together_from_values() -> None:
    for file, node, name, _ in calls():
        if name not in ("execute", "executemany", "executescript") or not node.args:
            continue
        if file.parent.name != "store":
            continue
        statement = node.args[0]
        if isinstance(statement, ast.JoinedStr):
            # what is put in are constants of ours, or the places of bound values: "?, ?, ?"
            put = [each.value for each in statement.values if isinstance(each, ast.FormattedValue)]
            names = {ast.unparse(value) for value in put}
            ours = all(name == "marks" or name.isupper() for name in names)
            assert ours or "PRAGMA" in ast.unparse(statement), (file, node.lineno)
        assert not (isinstance(statement, ast.BinOp) and isinstance(statement.op, ast.Mod))
        if isinstance(statement, ast.Call):
            assert getattr(statement.func, "attr", "") != "format", (file, node.lineno)


def test_t17_only_our_own_texts_are_format_strings() -> None:
    for file, node, name, _ in calls():
        if name in ("format", "format_map") and isinstance(node.func, ast.Attribute):
            assert isinstance(node.func.value, ast.Constant) or _is_constant_name(
                node.func.value
            ), (file, node.lineno, ast.unparse(node.func.value))


def _is_constant_name(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id.isupper()


def test_t20_timers_do_not_look_at_the_wall_clock() -> None:
    """time.time stands for validity, stamps and certificates, and is handed over as `wall`."""
    allowed = {"app.py", "demo.py", "simulate.py", "probe.py", "intake.py"}
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.time":
                assert file.name in allowed, (file, node.lineno)
    for file, node, name, owner in calls():
        if name in ("now", "utcnow", "today") and owner in ("datetime", "date"):
            assert file.name in ("lock.py",), (file, node.lineno)


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-dev.txt"])
def test_t18_every_package_is_pinned_by_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    lines = r"^[A-Za-z0-9._-]+==[^\\\n]+\\\n +--hash=sha256:"
    pinned = re.findall(lines, text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE))


def test_t18_direct_dependencies_are_few() -> None:
    block = (ROOT / "setup.cfg").read_text().split("install_requires =")[1].split("\n\n")[0]
    assert len(block.split()) <= 7
