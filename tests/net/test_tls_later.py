"""When TLS is loaded; tests/live/test_start.py looks at what a process has."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock

from gatewayd.config import ChannelConfig, Config, HttpConfig, ListenerConfig, SmscConfig, TlsConfig
from gatewayd.config.model import NO_SECRET, UserConfig
from gatewayd.flow.targets import Targets
from gatewayd.net import tls_later

TLS = TlsConfig(enabled=True)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Empty until TLS is loaded from here on."""
    fresh: list[bool] = []
    monkeypatch.setattr(tls_later, "_loaded", fresh)
    return fresh


@pytest.mark.parametrize(
    ("config", "wanted"),
    [
        (Config(), False),
        (Config(http=HttpConfig(dlr_url_allow=("any",))), False),
        (Config(http=HttpConfig(dlr_url_allow=("http://*:*",))), False),
        (Config(http=HttpConfig(dlr_url_allow=("https://*:*",))), True),
        (Config(http=HttpConfig(dlr_url_allow=("any", "https://a.example"))), True),
        (Config(http=HttpConfig(sendsms=ListenerConfig(port=1, tls=TLS))), True),
        (Config(http=HttpConfig(admin=ListenerConfig(port=1, tls=TLS))), True),
        (Config(smscs=(SmscConfig("a", "a"), SmscConfig("b", "b", tls=TLS))), True),
        (Config(channels=(ChannelConfig("c", get_url="http://c.example/"),)), False),
        (Config(channels=(ChannelConfig("c", post_url="https://c.example/"),)), True),
        (Config(users=(UserConfig("u", NO_SECRET, dlr_url="https://u.example/"),)), True),
    ],
)
def test_tls_is_loaded_for_a_configuration_that_names_it(
    loaded: list[bool], config: Config, wanted: bool
) -> None:
    tls_later.prepare(config, Targets(config))
    assert bool(loaded) is wanted


def test_a_host_that_no_certificate_can_name_is_a_connection_that_fails() -> None:
    tls_later.load()
    reactor: Any = MemoryReactorClock()
    way = HostnameEndpoint(reactor, "-x.example", 443)
    connecting = tls_later.Https(reactor, way, "-x.example", None).connect(
        Factory.forProtocol(Protocol)
    )
    failures: list[Any] = []
    connecting.addErrback(failures.append)
    assert failures[0].check(ConnectError)
    assert "hyphen" in failures[0].getErrorMessage()
