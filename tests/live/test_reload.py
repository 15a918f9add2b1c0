"""Reloads of a running process: G18 in its short form, and what people are told of them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.harness import PORTS, Rig, http_get, listening, until
from tests.live.processes import run
from tests.live.reloads import SHAPES, Load, Reloads
from tests.live.test_commands import Stage
from tests.live.torture import table

pytestmark = pytest.mark.live


def test_reloads_under_load_drop_no_bind_and_lose_nothing(rig: Rig) -> None:
    """Every change happens once."""
    reloads = 3 * len(SHAPES)
    verdicts = Reloads(Load(reloads, seconds=6.0), rig).run()
    assert all(verdict.holds for verdict in verdicts), "\n" + table(verdicts)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def rewrite(stage: Stage, old: str, new: str) -> None:
    file = stage.gateway.configuration
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_ctl_reload_says_what_changed_and_status_remembers_it(stage: Stage) -> None:
    rewrite(stage, "username: demo", "rate: 5\n    username: demo")
    assert stage.ctl("reload") == {"result": "applied", "text": "user demo: rate"}
    assert stage.ctl("reload")["result"] == "unchanged"
    code, out, _ = run("ctl", "-c", stage.config, "status")
    assert code == 0
    assert "configuration: unchanged " in out


def test_a_broken_file_is_told_in_the_log_in_status_and_in_metrics(stage: Stage) -> None:
    good = stage.gateway.configuration.read_text()
    rewrite(stage, "port:", "prot:")
    assert stage.gateway.process is not None
    stage.gateway.process.send_signal(signal.SIGHUP)
    name = "gatewayd_config_last_reload_successful"
    assert until(lambda: stage.gateway.metrics()[name] == 0.0, 20)
    assert "prot" in stage.gateway.tail()
    stage.gateway.configuration.write_text(good)
    told = stage.ctl("status")["reload"]
    assert told["result"] == "refused"
    assert "prot" in told["text"]
    assert stage.ctl("reload")["result"] == "unchanged"
    assert stage.gateway.metrics()[name] == 1.0


def test_what_wants_a_restart_is_refused_with_an_exit_code(stage: Stage) -> None:
    rewrite(stage, "store.sqlite3", "other.sqlite3")
    code, out, _ = run("ctl", "-c", stage.config, "reload")
    assert code == 1
    assert out.startswith("refused: store path: only a restart can change this")


def test_sendsms_moves_to_another_port_and_the_old_one_closes(stage: Stage) -> None:
    port = PORTS.take()
    rewrite(stage, f"sendsms: 127.0.0.1:{stage.sendsms}", f"sendsms: 127.0.0.1:{port}")
    assert stage.ctl("reload")["result"] == "applied"
    assert http_get(port, "/cgi-bin/sendsms")[0] == 403
    assert not listening(stage.sendsms)
    assert stage.ctl("status")["binds"][0]["ready"]


def test_a_port_that_is_taken_leaves_everything_as_it_is(stage: Stage) -> None:
    rewrite(stage, f"sendsms: 127.0.0.1:{stage.sendsms}", f"sendsms: 127.0.0.1:{stage.port}")
    rewrite(stage, "username: demo", "rate: 5\n    username: demo")
    code, out, _ = run("ctl", "-c", stage.config, "reload")
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{stage.port}" in out
    assert "nothing is changed" in out
    assert listening(stage.sendsms)


def test_a_tunnel_may_come_and_go(stage: Stage) -> None:
    """`lo` has no address that counts as a tunnel's; so the bind has to wait, and says why."""
    old, new = "    host: 127.0.0.1", "    vpn: {device: lo}\n    host: 127.0.0.1"
    rewrite(stage, old, new)
    assert stage.ctl("reload")["text"] == "SMSC op: vpn device"
    told = stage.ctl("status")
    assert told["binds"][0]["reason"] == "path down: lo has no address"
    assert told["paths"][0]["smsc"] == "op"
    rewrite(stage, new, old)
    assert stage.ctl("reload")["result"] == "applied"
    assert until(lambda: bool(stage.ctl("status")["binds"][0]["ready"]), 20)
    assert stage.ctl("status")["paths"] == []
