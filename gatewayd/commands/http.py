"""One HTTP call of a command to a listener of ours, and where that listener is."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from gatewayd.config import ListenerConfig
from gatewayd.errors import GatewayError

TIMEOUT = 30.0  # seconds
LONGEST = 64 * 1024 * 1024  # octets of an answer


class Unreachable(GatewayError):
    """Nobody answered; the text says where and why."""


def base_url(listener: ListenerConfig) -> str:
    """How a command on the same machine reaches this listener."""
    host = listener.host
    if host in ("", "*", "all", "0.0.0.0", "::"):  # noqa: S104 - it listens there, we do not
        host = "127.0.0.1"
    scheme = "https" if listener.tls.enabled else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{listener.port}"


def call(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    verify: bool = True,
) -> tuple[int, bytes]:
    """Status and body. Header values may hold any text: it travels as UTF-8.

    `verify` False: a listener of our own on this machine, whose certificate names another host.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        wire = {name: value.encode().decode("latin-1") for name, value in headers.items()}
        connection.request(method, path, body or None, wire)
        answer = connection.getresponse()
        return answer.status, answer.read(LONGEST)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise Unreachable(f"{parts.scheme}://{parts.netloc} does not answer: {reason}") from error
    finally:
        connection.close()
