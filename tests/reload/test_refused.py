"""A reload that cannot be done changes nothing and says why."""

from __future__ import annotations

from gatewayd.config import (
    StoreConfig,
)
from gatewayd.outcome import REFUSED, UNCHANGED
from tests.life import Start, smsc, start
from tests.reload.steps import line, reload, up

__all__ = ["start"]


def test_the_same_configuration_changes_nothing(start: Start) -> None:
    life = start()
    link = life.link()
    assert reload(life).result == UNCHANGED
    assert up(link)
    assert line(life, 'gatewayd_config_reloads_total{result="unchanged"}') == 1.0
    assert line(life, "gatewayd_config_last_reload_successful") == 1.0


def test_what_only_a_restart_can_change_refuses_all_of_it(start: Start) -> None:
    life = start()
    link = life.link()
    before = life.gateway.config
    outcome = reload(life, store=StoreConfig(path="/elsewhere"), smscs=(smsc(rate=5.0),))
    assert outcome.result == REFUSED
    assert "store path" in outcome.text
    assert "restart" in outcome.text
    assert life.gateway.config is before
    assert life.gateway.lanes["a"].config.rate == 0.0
    assert up(link)
    assert line(life, "gatewayd_config_last_reload_successful") == 0.0
    told = life.gateway.desk.status()["reload"]
    assert (told["result"], told["text"]) == (REFUSED, outcome.text)
