"""What is set on a socket to an SMSC before its first packet."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from gatewayd.config import SmppOptions, SmscConfig, TcpConfig, VpnConfig
from gatewayd.errors import GatewayError
from gatewayd.net import sockets
from gatewayd.net.sockets import options_for, ready, user_timeout

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's options")


def smsc(**fields: Any) -> SmscConfig:
    return SmscConfig("a", "a", hosts=("10.1.1.1",), **fields)


TCP = socket.IPPROTO_TCP


def test_the_kernel_gives_up_when_enquire_link_would() -> None:
    """The defaults: 30 s, and two answers that may take 10 s each."""
    assert user_timeout(smsc()) == 50.0
    options = SmppOptions(enquire_interval=5.0, enquire_timeout=2.0, enquire_misses=1)
    assert user_timeout(smsc(smpp=options)) == 7.0
    assert user_timeout(smsc(smpp=SmppOptions(enquire_interval=0.0))) == 60.0
    assert user_timeout(smsc(tcp=TcpConfig(user_timeout=12.5))) == 12.5


def test_keepalive_and_user_timeout_are_set() -> None:
    assert options_for(smsc()) == (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (TCP, socket.TCP_USER_TIMEOUT, 50_000),
        (TCP, socket.TCP_KEEPIDLE, 60),
        (TCP, socket.TCP_KEEPINTVL, 10),
        (TCP, socket.TCP_KEEPCNT, 6),
    )
    assert options_for(smsc(tcp=TcpConfig(keepalive=0))) == (
        (TCP, socket.TCP_USER_TIMEOUT, 50_000),
    )


@pytest.mark.parametrize(
    ("fields", "device"),
    [
        ({"vpn": VpnConfig("tun0")}, b"tun0\0"),
        ({"vpn": VpnConfig("tun0", require=False)}, None),
        ({"vpn": VpnConfig("tun0", require=False), "bind_device": "eth0"}, b"eth0\0"),
        ({"bind_device": "eth0"}, b"eth0\0"),
        ({}, None),
    ],
)
def test_the_device_comes_first(fields: dict[str, Any], device: bytes | None) -> None:
    level, name, value = options_for(smsc(**fields))[0]
    bound = value if (level, name) == (socket.SOL_SOCKET, socket.SO_BINDTODEVICE) else None
    assert bound == device


def test_what_a_system_lacks_is_left_out_but_never_the_device(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Poor:
        SOL_SOCKET, SO_KEEPALIVE, IPPROTO_TCP = 1, 9, 6

    monkeypatch.setattr(sockets, "socket", Poor)
    assert options_for(smsc()) == ((1, 9, 1),)
    with pytest.raises(GatewayError, match="tun0"):
        options_for(smsc(vpn=VpnConfig("tun0")))


def test_a_reactor_without_real_sockets_is_used_as_it_is_unless_a_device_is_wanted() -> None:
    reactor = MemoryReactorClock()
    assert ready(reactor, smsc()) is reactor
    with pytest.raises(GatewayError, match="tun0"):
        ready(reactor, smsc(vpn=VpnConfig("tun0")))
