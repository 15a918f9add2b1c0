"""Steps of a reload on a gateway in memory, seen from SMSC and platform."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gatewayd.config import (
    Config,
)
from gatewayd.model import HttpAnswer
from gatewayd.outcome import Outcome
from gatewayd.smsc import smpp_pdu as pdus
from tests.life import Life, Link, answer, start

__all__ = ["start"]


def reload(
    life: Life, config: Config | None = None, seconds: float = 20.0, **fields: Any
) -> Outcome:
    """Bring the gateway to `config`, or to what it has with other `fields`; time passes."""
    told: list[Outcome] = []
    new = config or replace(life.gateway.config, **fields)
    life.gateway.reload(new).addCallback(told.append)
    for _ in range(int(seconds / 0.5)):
        life.settle()
        if told:
            return told[0]
        life.reactor.advance(0.5)
    raise AssertionError("the reload did not end")


def begin(life: Life, **fields: Any) -> list[Outcome]:
    """A reload that is still under way when this returns; its outcome comes into the list."""
    told: list[Outcome] = []
    life.gateway.reload(replace(life.gateway.config, **fields)).addCallback(told.append)
    life.settle()
    return told


def texts(life: Life, link: Link) -> list[bytes]:
    """What the SMSC gets, taking everything."""
    found: list[bytes] = []
    while submits := life.submits(link):
        found += [submit.short_message for submit in submits]
        answer(life, link, *submits)
        life.settle()
    return found


def unbind(life: Life, link: Link) -> None:
    """The SMSC answers our unbind, and the link is closed."""
    plain = [pdu for pdu in link.pdus() if isinstance(pdu, pdus.Plain)]
    assert [pdu.command for pdu in plain] == [pdus.UNBIND]
    life.say(link, pdus.Plain(pdus.UNBIND_RESP, 0, plain[0].sequence))
    life.settle()


def up(link: Link) -> bool:
    return link.protocol is not None and not link.pdus()


def line(life: Life, start: str) -> float:
    page = life.gateway.metrics.render().decode().splitlines()
    (found,) = [row for row in page if row.startswith(start)]
    return float(found.rpartition(" ")[2])


def deliver(life: Life, link: Link, *said: bytes) -> None:
    life.say(
        link,
        *[
            pdus.Sm(pdus.DELIVER_SM, 50 + n, source=b"5511", destination=b"100", short_message=text)
            for n, text in enumerate(said)
        ],
    )
    life.settle()
    assert {pdu.status for pdu in link.pdus() if isinstance(pdu, pdus.SmResp)} == {0}


def recorded(life: Life) -> list[tuple[str, Callable[[int], None]]]:
    """Calls to platforms, each with a way to answer it."""
    calls: list[tuple[str, Callable[[int], None]]] = []

    def send(call: Any, done: Callable[[HttpAnswer], None]) -> None:
        calls.append((call.url, lambda status: done(HttpAnswer(status))))

    for boxes in (life.gateway.calls, life.gateway.reports):
        boxes._send = send
    return calls
