"""What the documentation tells people to type, open and look for is there."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from gatewayd.cli import parser
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.config.yaml_values import FORMATS, PROTOCOLS
from gatewayd.metrics import SERIES
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.web.request import Answer, Request
from gatewayd.web.sendsms import SendSms

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
GATEWAYD = re.compile(r"^(?:\$ )?(?:sudo (?:-u \w+ )?)?(?:\S+=\S+ )*(?:\S*/)?(gatewayd .*)$")
MAKE = re.compile(r"^(?:\$ )?make (.+)$")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> Iterator[str]:
    """The lines of code blocks, fenced or indented, and what stands between backquotes."""
    for _, block in FENCE.findall(text):
        yield from block.splitlines()
    rest = FENCE.sub("", text)
    for line in rest.splitlines():
        if line.startswith("    "):
            yield line.strip()
        else:
            yield from SPAN.findall(line)


def commands(text: str) -> Iterator[list[str]]:
    """The words of each `gatewayd ...`, up to what the shell takes for itself."""
    for line in blocks(text):
        found = GATEWAYD.match(line)
        if found is None or found[1].startswith("gatewayd.") or " is up" in found[1]:
            continue
        words = shlex.split(found[1], comments=True)
        end = next((i for i, word in enumerate(words) if word in {">", "|", "&&", "..."}), None)
        yield words[1:end]


def problem_of(words: list[str]) -> str:
    """What argparse would say against these words; placeholders in capitals stand for any value."""
    at: argparse.ArgumentParser = parser()
    left = list(words)
    while left:
        word = left.pop(0)
        if word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            action = at._option_string_actions.get(name)
            if action is None:
                return f"{at.prog} has no option {name}"
            if action.nargs is None and not equals:
                if not left:
                    return f"{at.prog}: {name} needs a value"
                left.pop(0)
            continue
        for positional in at._get_positional_actions():
            if positional.choices is None:
                continue
            if word not in positional.choices:
                return f"{at.prog} knows no {word}"
            if isinstance(positional, argparse._SubParsersAction):
                at = positional.choices[word]
            else:
                return ""  # what follows is for people: an id, a text
    return ""


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_that_is_named_exists(name: str) -> None:
    problems = [
        f"{' '.join(words)}: {said}"
        for words in commands(page(name))
        if (said := problem_of(words))
    ]
    assert problems == []


def test_the_check_notices_a_wrong_command_and_a_wrong_option() -> None:
    assert problem_of(["walk"]) == "gatewayd knows no walk"
    assert problem_of(["run", "--fast"]) == "gatewayd run has no option --fast"
    assert problem_of(["ctl", "-c", "FILE", "explode"]) == "gatewayd ctl knows no explode"
    assert problem_of(["simulate", "carrier-pigeon"]).endswith("knows no carrier-pigeon")


def test_the_readme_names_every_command() -> None:
    (choices,) = (action.choices for action in parser()._get_positional_actions())
    assert choices is not None
    assert {words[0] for words in commands(page("README.md")) if words} >= set(choices)


def test_the_pages_name_every_protocol_and_every_format() -> None:
    text = page("docs/configuration.md") + page("docs/platforms.md")
    assert [name for name in (*PROTOCOLS, *FORMATS) if f"`{name}`" not in text] == []


def anchors(text: str) -> set[str]:
    """The headings' addresses, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", NAMES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for target in LINK.findall(FENCE.sub("", page(name))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / name).parent / path if path else ROOT / name
        assert there.exists(), f"{name}: {target}"
        assert ROOT in there.resolve().parents, f"{name}: {target} leads out of the repository"
        if anchor:
            assert anchor in anchors(there.read_text(encoding="utf-8")), f"{name}: {target}"


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {(index.parent / target).resolve() for target in LINK.findall(index.read_text())}
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert path == index or path in linked, path.name
    decisions = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        assert f"({path.name})" in decisions, path.name


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in blocks(page(name)):
        found = MAKE.match(line)
        if found is None or found[1].startswith("-C"):
            continue
        words = shlex.split(found[1], comments=True)
        asked = [word for word in words if "=" not in word and word not in {"|", "&&"}]
        assert asked and set(asked) <= targets, f"{name}: {line}"


@pytest.mark.parametrize("name", NAMES)
def test_every_series_that_is_named_exists(name: str) -> None:
    for series in re.findall(r"\bgatewayd_[a-z_]+[a-z]\b", page(name)):
        plain = re.sub(r"_(total|bucket|count|sum|info)$", "", series)
        assert plain in SERIES or series in SERIES, f"{name}: {series}"


class Caller:
    """The connection of a request that is made by hand: it keeps the answer."""

    peer = "127.0.0.1"

    def __init__(self) -> None:
        self.status = 0

    def answer(self, request: Request, answer: Answer) -> None:
        self.status = answer.status

    def drop(self) -> None:
        raise AssertionError("dropped")


def test_the_curl_line_is_one_line_that_sendsms_takes() -> None:
    """With the users of conf/demo.yaml, as `make run` has them."""
    lines = [line.strip() for line in page("README.md").splitlines() if "curl '" in line]
    (line,) = (line for line in lines if line.startswith("curl "))
    program, url = shlex.split(line)
    parts = urlsplit(url)
    config = read_yaml(str(ROOT / "conf" / "demo.yaml"), {"DEMO_STORE": "/tmp/demo.sqlite3"})
    listener = config.http.sendsms
    assert listener is not None
    assert program == "curl"
    assert (parts.scheme, parts.hostname, parts.port) == ("http", listener.host, listener.port)
    assert parts.path == config.http.sendsms_path
    orders: list[Order] = []

    def accept(order: Order, reply: object) -> None:
        orders.append(order)
        assert callable(reply)
        reply(Acceptance(Verdict.ACCEPTED))

    caller = Caller()
    target = f"{parts.path}?{parts.query}".encode()
    SendSms(config, accept, lambda: 0.0)(Request(caller, "GET", target, "1.1"))
    assert caller.status == 202
    assert orders[0].receivers == parse_qs(parts.query)["to"]
    assert orders[0].dlr_url.startswith("http://127.0.0.1:13080/")


def yaml_blocks() -> list[tuple[str, str]]:
    return [
        (name, block)
        for name in NAMES
        for kind, block in FENCE.findall(page(name))
        if kind == "yaml"
    ]


@pytest.mark.parametrize(("name", "block"), yaml_blocks())
def test_every_piece_of_yaml_is_a_right_configuration(
    name: str, block: str, tmp_path: Path
) -> None:
    """Secrets that lie elsewhere become text, and an SMSC is added where the piece has none."""
    text = re.sub(r"(?:file|credential):\S+", '"some long secret"', block)
    if "smscs:" not in text.split("\n", 1)[0]:
        text += "smscs:\n- {id: operator, host: h.example, system-id: us, password: secret}\n"
    path = tmp_path / "piece.yaml"
    path.write_text(text)
    path.chmod(0o600)
    config = read_yaml(str(path), {"PLATFORM_PASSWORD": "hush hush", "OPERATOR_PASSWORD": "hush"})
    assert config.smscs, name


FORBIDDEN = ("/work", "shared/", "claude", "anthropic", "todo", "fixme", "blazing", "seamless")


@pytest.mark.parametrize("name", NAMES)
def test_no_page_speaks_of_where_or_how_it_was_written(name: str) -> None:
    text = page(name).lower()
    assert [word for word in FORBIDDEN if word in text] == []
