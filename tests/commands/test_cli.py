"""The command line itself: helps that can be read, options that are checked."""

from __future__ import annotations

import argparse
from time import monotonic

import pytest

from gatewayd import cli
from gatewayd.commands import probe_advice
from gatewayd.commands.demo import find_file
from gatewayd.commands.http import base_url
from gatewayd.config import ListenerConfig, TlsConfig

COMMANDS = (
    *("run", "check", "import-kannel", "probe", "send", "ctl", "simulate", "decode", "demo"),
    *("simulate smpp", "simulate ucp", "decode smpp", "decode ucp", "decode receipt"),
)
REQUIRED = {"send": ["--to", "1", "--from", "2", "text"]}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_of_lines_that_fit(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main([*command.split(), "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "%%" not in out


def test_the_list_of_commands_names_each_with_what_it_does() -> None:
    text = cli.parser().format_help()
    for command in COMMANDS[:9]:
        assert f"    {command}" in text


def parsed(*words: str) -> argparse.Namespace:
    return cli.parser().parse_args(words)


def test_options_of_the_simulator_are_read_as_they_are_meant() -> None:
    args = parsed(
        *("simulate", "smpp", "--throttle", "5%", "--errors", "0.25:0x45", "--receipts", "off"),
        *("--silent", "1", "--latency", "0.5"),
    )
    assert (args.throttle, args.errors, args.receipts) == (0.05, (0.25, 0x45), -1.0)
    assert (args.silent, args.latency, args.port) == (1.0, 0.5, 2775)
    assert parsed("simulate", "smpp", "--errors", "10%").errors == (0.1, 0x08)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--throttle", "1.5"], "a share is between 0 and 1"),
        (["--throttle", "some"], "invalid share value: 'some'"),
        (["--errors", "0.1:0"], "a command_status is a number such as 0x45"),
        (["--receipts", "-5"], "argument --receipts"),
        (["--latency", "1e9"], "seconds are between 0 and 86400"),
        (["--mo", "nan"], "messages per second are between"),
        (["--port", "65536"], "a port is between 0 and 65535"),
        (["--ids", "octal"], "invalid choice: 'octal'"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parsed("simulate", "smpp", *words)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_no_option_takes_the_password_of_a_real_account() -> None:
    for command in ("send", "ctl", "probe"):
        with pytest.raises(SystemExit):
            parsed(command, "-c", "x", "--password", "secret", *REQUIRED.get(command, ["status"]))


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        (ListenerConfig("127.0.0.1", 13000), "http://127.0.0.1:13000"),
        (ListenerConfig("", 1), "http://127.0.0.1:1"),
        (ListenerConfig("*", 1), "http://127.0.0.1:1"),
        (ListenerConfig("0.0.0.0", 1), "http://127.0.0.1:1"),
        (ListenerConfig("::1", 1), "http://[::1]:1"),
        (ListenerConfig("10.0.0.5", 1, TlsConfig(enabled=True)), "https://10.0.0.5:1"),
    ],
)
def test_a_command_finds_the_listener_of_its_own_machine(
    listener: ListenerConfig, url: str
) -> None:
    assert base_url(listener) == url


@pytest.mark.parametrize("status", [*range(1, 0x120), 0x400, 0x4FF, 0xFFFFFFFF])
def test_every_refusal_of_a_bind_is_explained(status: int) -> None:
    advice = probe_advice.bind(status)
    assert advice.means
    assert "{status}" not in advice.means + advice.ask


def test_the_demo_finds_its_configuration_beside_the_package() -> None:
    found = find_file("")
    assert found is not None
    assert found.name == "demo.yaml"


def test_timers_of_every_command_run_on_the_monotonic_clock() -> None:
    reactor = cli._reactor()
    assert reactor.seconds is monotonic
    call = reactor.callLater(60, int)
    assert 0 < call.getTime() - monotonic() <= 60
    call.cancel()
