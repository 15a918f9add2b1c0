"""`gatewayd check` and `run`: options that a protocol does not have are mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.commands import configuration
from gatewayd.errors import ConfigError

SMSC = """\
smscs:
  - id: op
    protocol: {protocol}
    host: 127.0.0.1
    port: 3000
    system-id: demo
    password: ${{PASSWORD}}
    options:
{options}
"""


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", "longer-than-eight-ä")


def problems(folder: Path, protocol: str, *options: str) -> list[str]:
    path = folder / "gateway.yaml"
    lines = "\n".join(f'      - "{option}"' for option in options)
    path.write_text(SMSC.format(protocol=protocol, options=lines))
    with pytest.raises(ConfigError) as caught:
        configuration.read(str(path))
    return [f"{one.line} {one.where}: {one.message}" for one in caught.value.problems]


def test_an_unknown_option_is_told_with_its_line_and_the_nearest_known(tmp_path: Path) -> None:
    assert problems(tmp_path, "ucp", "throttling=4", "notificaton-pid=0539") == [
        "10 smscs[0].options[1]: notificaton-pid is no option of this protocol "
        "(did you mean notification-pid?)"
    ]


@pytest.mark.parametrize(
    ("protocol", "option", "message"),
    [
        ("ucp", "submit=52", "submit is 52, which is none of 51, 30, 01"),
        ("ucp", "temporary=1,100", "temporary is 100, which is no number from 0 to 99"),
        ("ucp", "login-ton=66", "login-ton is 66; at most 1 digits are expected"),
        ("ucp", "utc-offset=3", "utc-offset is 3, which is no time offset (+03:00, -04:30)"),
        ("ucp", "mo-list=", "mo-list is empty; an address is expected"),
        ("cimd2", "checksum=require", "(did you mean required?)"),
        ("cimd2", "retransmit=11", "retransmit is 11, which is no number from 0 to 10"),
        ("cimd2", "submit=51", "submit is no option of this protocol"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(
    tmp_path: Path, protocol: str, option: str, message: str
) -> None:
    [told] = problems(tmp_path, protocol, option)
    assert told.startswith("9 smscs[0].options[0]: ")
    assert message in told


def test_more_addresses_than_the_mo_list_holds_are_told(tmp_path: Path) -> None:
    [told] = problems(tmp_path, "ucp", *(f"mo-list={number}" for number in range(21)))
    assert told == "29 smscs[0].options[20]: mo-list is there more than 20 times"


def test_smpp_has_no_options(tmp_path: Path) -> None:
    told = problems(tmp_path, "smpp", "ids=all")
    assert any("this protocol has no options of its own" in each for each in told)


@pytest.mark.parametrize("protocol", ["ucp", "cimd2"])
def test_a_password_may_be_as_long_and_as_strange_as_the_protocol_lets_it(
    tmp_path: Path, protocol: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(SMSC.format(protocol=protocol, options='      - "ids=asked"'))
    warnings = configuration.read(str(path)).warnings
    assert not any("SMPP" in warning for warning in warnings)


def test_a_password_of_smpp_is_ascii(tmp_path: Path) -> None:
    told = problems(tmp_path, "smpp", "ids=all")
    assert any("password: holds letters beyond ASCII" in each for each in told)


def test_an_odd_pid_of_a_kannel_conf_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "kannel.conf"
    path.write_text(
        "group = core\nadmin-port = 13000\nadmin-password = x\nsmsbox-port = 13001\n\n"
        "group = smsbox\nbearerbox-host = localhost\n\n"
        "group = smsc\nsmsc = emi\nsmsc-id = e\nhost = localhost\nport = 3000\n"
        "notification-pid = home\n"
    )
    config = configuration.read(str(path))
    assert any("home is no PID of up to 4 digits" in warning for warning in config.warnings)
    assert not any("notification-pid" in option for option in config.smscs[0].options)
