"""Reading the file again while the gateway runs: who is told, and what a second one meets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gatewayd.commands import configuration
from gatewayd.commands.reloads import Reloads
from gatewayd.config import Config, StoreConfig
from gatewayd.outcome import APPLIED, REFUSED, UNCHANGED, Outcome
from gatewayd.smsc import smpp_pdu as pdus
from tests.life import Life

FILE = """\
store: {{path: {folder}/store.sqlite3}}
http:
  sendsms: {{port: 13013}}
  admin: {{port: 13000}}
  admin-password: adminpw
smscs:
  - id: a
    host: 192.0.2.7
    port: 2775
    system-id: {system}
    password: ${{PASSWORD}}
    {more}
"""
SECOND = """rate: 0
  - id: b
    host: 192.0.2.8
    port: 2775
    system-id: me
    password: ${PASSWORD}"""


class Stage(NamedTuple):
    """A gateway on a file that a test may write anew."""

    life: Life
    reloads: Reloads
    write: Callable[..., None]
    told: list[str | None]  # "begin", then what went wrong


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("PASSWORD", "secret")
    file = tmp_path / "gatewayd.yaml"

    def write(more: str = "rate: 0", system: str = "me") -> None:
        file.write_text(FILE.format(folder=tmp_path, more=more, system=system))

    write()
    life = Life(configuration.read(str(file)))
    life.gateway.startService()
    reloads = Reloads(str(file), lambda: life.gateway)
    life.gateway.control.reload = reloads.ask
    told: list[str | None] = []
    reloads.reloading = lambda: told.append("begin")
    reloads.reloaded = told.append
    yield Stage(life, reloads, write, told)
    life.gateway.store._database._lock.release()


def ask(stage: Stage) -> list[Outcome]:
    got: list[Outcome] = []
    stage.reloads.ask().addCallback(got.append)
    return got


def test_the_service_manager_hears_that_it_begins_and_how_it_ended(stage: Stage) -> None:
    assert ask(stage)[0].result == UNCHANGED
    stage.write("rate: 5")
    assert ask(stage) == [Outcome(APPLIED, "SMSC a: rate")]
    assert stage.told == ["begin", None, "begin", None]


def test_a_broken_file_is_refused_with_the_place_of_its_first_mistake(stage: Stage) -> None:
    stage.write("rate: fast\n    window: wide")
    (outcome,) = ask(stage)
    assert outcome.result == REFUSED
    assert "gatewayd.yaml:12: " in outcome.text
    assert "(and 1 more)" in outcome.text
    assert stage.told == ["begin", outcome.text]
    assert stage.life.gateway.reloads.last == outcome
    assert stage.life.gateway.desk.status()["reload"]["text"] == outcome.text
    assert stage.life.gateway.lanes["a"].config.rate == 0.0


def test_a_reload_during_a_reload_reads_the_file_once_more(stage: Stage) -> None:
    life = stage.life
    link = life.link()
    stage.write(system="other")
    first = ask(stage)
    assert first == [], "the link is being drained"
    stage.write("rate: 7", system="other")
    second, third = ask(stage), ask(stage)
    assert stage.told == ["begin"]
    (unbind,) = [pdu for pdu in link.pdus() if isinstance(pdu, pdus.Plain)]
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, unbind.sequence))
    life.settle()
    assert first == [Outcome(APPLIED, "SMSC a: smpp system-id")]
    assert second == third == [Outcome(APPLIED, "SMSC a: rate")]
    assert stage.told == ["begin", None, "begin", None]


def test_the_admin_command_and_ctl_do_the_same(stage: Stage) -> None:
    control, desk = stage.life.gateway.control, stage.life.gateway.desk
    stage.write("rate: 5")
    control.restart(graceful=True)
    assert stage.life.gateway.lanes["a"].config.rate == 5.0
    stage.write("rate: 6")
    assert stage.life.reactor.result(desk.reload()) == {
        "result": APPLIED,
        "text": "SMSC a: rate",
    }


def test_add_smsc_takes_one_that_is_new_in_the_file(stage: Stage) -> None:
    control = stage.life.gateway.control
    control.admin_ids = lambda: frozenset({"a", "b"})
    stage.write(SECOND)
    assert control.add_smsc("b")
    stage.life.settle()
    assert list(stage.life.gateway.lanes) == ["a", "b"]


def test_a_gateway_that_stops_is_not_reloaded(stage: Stage) -> None:
    stage.life.stop()
    stage.write("rate: 5")
    assert [one.result for one in ask(stage)] == [REFUSED]


def test_a_gateway_that_no_file_made_says_so(tmp_path: Path) -> None:
    life = Life(Config(store=StoreConfig(path=str(tmp_path / "store"))))
    got: list[Outcome] = []
    life.gateway.control.reload().addCallback(got.append)
    assert [one.result for one in got] == [REFUSED]
    life.gateway.store._database._lock.release()
