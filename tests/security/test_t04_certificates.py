"""T4: a listener takes a renewed certificate without a restart; tests/live checks SMSCs'."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from gatewayd.config.model import TlsConfig
from gatewayd.net.tls import LOOK, ServerContext
from tests.live.certificates import Authority


def issue(file: Path, name: str) -> None:
    os.replace(Authority(file.parent).issue(name), file)


def shown(context: SSL.Context) -> str:
    """The name that a client sees."""
    server = SSL.Connection(context, None)
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
    client.set_connect_state()
    for _ in range(10):
        for one, other in ((client, server), (server, client)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(65536))
    certificate = client.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    value = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    return str(value)


def test_t04_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "listener.pem"
    issue(file, "old")
    now = [0.0]
    factory = ServerContext(TlsConfig(enabled=True, certificate_file=str(file)), lambda: now[0])
    assert shown(factory.getContext()) == "old"
    issue(file, "new")
    assert shown(factory.getContext()) == "old"
    now[0] += LOOK
    assert shown(factory.getContext()) == "new"
    file.write_text("half a file")
    now[0] += LOOK
    assert shown(factory.getContext()) == "new"
    file.unlink()
    now[0] += LOOK
    assert shown(factory.getContext()) == "new"
    issue(file, "newest")
    now[0] += LOOK
    assert shown(factory.getContext()) == "newest"


def test_t04_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    file = tmp_path / "listener.pem"
    issue(file, "x")
    server = SSL.Connection(
        ServerContext(TlsConfig(enabled=True, certificate_file=str(file))).getContext(), None
    )
    server.set_accept_state()
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    client = SSL.Connection(context, None)
    client.set_connect_state()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(client.bio_read(65536))
    with pytest.raises(SSL.Error, match=r"unsupported protocol|version"):
        server.do_handshake()
