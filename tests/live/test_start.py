"""What a start loads: all that the configuration wants, and no megabytes that it does not."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from tests.live.certificates import Authority
from tests.live.harness import ROOT, Rig, kannel_conf, until

pytestmark = pytest.mark.live

HOST = "127.0.0.1"
TLS = "gatewayd.net.tls"
BIND_TRANSCEIVER = bytes.fromhex("00000009")

# The daemon; it ends as soon as it says that it is ready, and tells which modules it has.
READY = """
import sys
from gatewayd import cli
reactor = cli._reactor()
def tell():
    print(*sys.modules)
    reactor.stop()
reactor.callWhenRunning(reactor.callLater, 0, tell)
sys.exit(cli.main(["run", "-c", sys.argv[1]]))
"""

# One call by the client of a daemon that did not know of https.
CALL = """
import sys, threading
from gatewayd import cli
reactor = cli._reactor()
from gatewayd.model import HttpAnswer
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
def loading(event, arguments):
    if event == "import" and arguments[0] == "OpenSSL.SSL":
        print("loaded in", threading.current_thread().name)
def tell(answer):
    print(answer.status, answer.body, answer.error)
    reactor.stop()
sys.addaudithook(loading)
call = HttpCall("GET", sys.argv[1], timeout=20.0)
reactor.callWhenRunning(HttpClient(reactor).send, call, tell)
reactor.run()
"""


def python(script: str, argument: str, **env: str) -> str:
    """What the script prints."""
    done = subprocess.run(
        [sys.executable, "-c", script, argument],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **env},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded(rig: Rig, configuration: str) -> set[str]:
    """The modules of a gateway on this configuration, once it is ready."""
    path = rig.folder / "gateway.conf"
    path.write_text(configuration)
    return set(python(READY, str(path), STATE_DIRECTORY=str(rig.folder)).split())


def with_tls(pem: str) -> list[str]:
    """Directives of the core for an admin listener that speaks TLS."""
    files = [f"ssl-server-cert-file = {pem}", f"ssl-server-key-file = {pem}"]
    return ["admin-port-ssl = true", *files]


@pytest.fixture
def plain(tmp_path: Path) -> Rig:
    """Ports and a folder; nothing is started."""
    return Rig(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


class Server:
    """A TLS server in a thread: keeps the first octets of each connection, and answers."""

    def __init__(self, pem: str, port: int, answer: bytes = b"") -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        self._context = context
        self._answer = answer
        self._socket = socket.create_server((HOST, port))
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # it is over
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(10)
                with self._context.wrap_socket(connection, server_side=True) as link:
                    self.heard.append(link.recv(4096))
                    link.sendall(self._answer)

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextlib.contextmanager
def serving(pem: str, port: int, answer: bytes = b"") -> Iterator[Server]:
    server = Server(pem, port, answer)
    try:
        yield server
    finally:
        server.stop()


def test_a_plain_kannel_conf_loads_nothing_that_only_others_want(plain: Rig) -> None:
    found = loaded(plain, kannel_conf(plain))
    assert {"gatewayd.app", "gatewayd.smsc.smpp", "gatewayd.net.http_fast"} <= found
    assert not found & {
        *("OpenSSL", "cryptography", "twisted.protocols.tls", "twisted.internet.ssl", TLS),
        *("treq", "twisted.web.client", "gatewayd.net.http_general"),
        *("yaml", "smpp", "gatewayd.smsc.ucp", "gatewayd.smsc.cimd2", "gatewayd.simulator"),
    }


def test_who_names_tls_or_https_or_a_proxy_has_it_loaded_when_the_gateway_is_ready(
    plain: Rig, authority: Authority
) -> None:
    pem = authority.issue("us", x509.DNSName("us.example"))
    listener = with_tls(pem)
    proxy = ("http-proxy-host = 127.0.0.1", "http-proxy-port = 1")
    usual = kannel_conf(plain)
    to_smsc = usual.replace("transceiver-mode = true", "transceiver-mode = true\nuse-ssl = true")
    to_platform = usual.replace('get-url = "http:', 'get-url = "https:')
    assert usual not in (to_smsc, to_platform)
    for configuration in (to_smsc, to_platform, kannel_conf(plain, extra=listener)):
        assert TLS in loaded(plain, configuration)
    assert "gatewayd.net.http_general" in loaded(plain, kannel_conf(plain, extra=proxy))


def test_the_first_https_call_of_a_gateway_without_tls_loads_it_beside_the_reactor(
    plain: Rig, authority: Authority
) -> None:
    pem = authority.issue("platform", x509.DNSName("localhost"))
    port = plain.platform_port
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    with serving(pem, port, answer) as server:
        told = python(CALL, f"https://localhost:{port}/x", SSL_CERT_FILE=authority.file)
    assert told.splitlines() == ["loaded in PoolThread-twisted.internet.reactor-0", "200 b'hello' "]
    assert server.heard[0].startswith(b"GET /x HTTP/1.1\r\n")


def test_tls_is_spoken_by_listeners_and_to_smscs(plain: Rig, authority: Authority) -> None:
    pem = authority.issue("all", x509.IPAddress(ip_address(HOST)))
    trusted = f"ssl-trusted-ca-file = {authority.file}"
    configuration = kannel_conf(plain, extra=[*with_tls(pem), trusted])
    with plain, serving(pem, plain.smsc_port) as smsc:
        gateway = plain.gateway(
            configuration.replace("transceiver-mode = true", "transceiver-mode = true\nuse-ssl = 1")
        )
        gateway.spawn()
        assert until(lambda: bool(smsc.heard), 20.0), gateway.tail()
        assert smsc.heard[0][4:8] == BIND_TRANSCEIVER
        context = ssl.create_default_context(cafile=authority.file)
        admin = http.client.HTTPSConnection(HOST, plain.admin_port, context=context, timeout=10)
        admin.request("GET", "/healthz")
        assert admin.getresponse().status in (200, 503)
        admin.close()


def test_a_certificate_that_cannot_be_used_ends_a_start_with_a_sentence(plain: Rig) -> None:
    pem = plain.folder / "broken.pem"
    pem.write_text("half a file")
    with plain:
        gateway = plain.gateway(kannel_conf(plain, extra=with_tls(str(pem))))
        gateway.spawn()
        assert gateway.process is not None
        assert gateway.process.wait(30) == 1
    assert f"{pem} cannot be used" in gateway.tail()
    assert "Traceback" not in gateway.tail(100)
