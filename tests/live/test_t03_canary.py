"""T3 and T8: what a daemon writes while it works and fails holds no password and no text."""

from __future__ import annotations

import http.client
import socket
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from gatewayd.config import passwords
from tests.live.harness import PORTS, Gateway, http_get, listening, until
from tests.live.processes import Platform, Running

pytestmark = pytest.mark.live

TEXT = "canary-text-zebra"
SECRETS = {
    "user": "canary-user-pw",
    "hashed": "canary-hashed-pw",
    "bind": "canarybp",
    "admin": "canary-admin-pw",
    "status": "canary-status-pw",
    "wrong": "canary-wrong-pw",
}
RECEIVER = "255712345678"
UNREADABLE = b"\xff\xfecanary-octets\x80"

CONFIG = """\
smscs:
  - id: op
    host: 127.0.0.1
    port: {smsc}
    system-id: demo
    password: {bind}
    smpp: {{enquire-interval: 1}}
  - id: lost
    host: 127.0.0.1
    port: {smsc}
    system-id: other
    password: {wrong8}
    allowed-ids: [lost]
users:
  - {{username: demo, password: {user}}}
  - {{username: hashed, password: "{hash}"}}
channels:
  - name: demo
    format: rapidpro
    url: "http://127.0.0.1:{platform}/receive?sender=%p&message=%b&id=%I"
    retry: {{first: 1, cap: 1, times: 1}}
    signature-key: {signature}
reports: {{retry: {{first: 1, cap: 1, times: 1}}}}
http:
  sendsms: 127.0.0.1:{sendsms}
  admin: 127.0.0.1:{admin}
  admin-password: {adminpw}
  status-password: {statuspw}
  dlr-url-allow: ["http://127.0.0.1:1"]
  login-failures: 1000
logging: {{level: {level}, format: {format}}}
store: {{path: {folder}/store.sqlite3}}
"""


def ask(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def query(**fields: str) -> str:
    return "/cgi-bin/sendsms?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in fields.items())


@pytest.mark.parametrize(("level", "form"), [("info", "text"), ("debug", "json")])
def test_t03_t08_no_password_text_or_number_is_written(
    tmp_path: Path, level: str, form: str
) -> None:
    smsc, admin, sendsms = (PORTS.take() for _ in range(3))
    platform = Platform()
    signature = "canary-signature-key"
    written = CONFIG.format(
        smsc=smsc,
        admin=admin,
        sendsms=sendsms,
        platform=platform.port,
        folder=tmp_path,
        level=level,
        format=form,
        bind=SECRETS["bind"],
        wrong8="canarywp",
        user=SECRETS["user"],
        hash=passwords.make(SECRETS["hashed"], n=1024),
        adminpw=SECRETS["admin"],
        statuspw=SECRETS["status"],
        signature=signature,
    )
    options = ("--port", str(smsc), "--password", SECRETS["bind"], "--receipts", "0.1")
    gateway = Gateway(tmp_path, written, suffix=".yaml", admin_port=admin, sendsms_port=sendsms)
    gateway.configuration.chmod(0o600)
    said: list[str] = []
    try:
        with Running(
            tmp_path, "smsc", "simulate", "smpp", *options, "--mo", "5", "--mo-text", TEXT
        ):
            assert until(lambda: listening(smsc), 20)
            gateway.start()
            assert until(lambda: '"ready": true' in http_get(admin, "/readyz")[1], 20)
            good = {"username": "demo", "password": SECRETS["user"], "from": "8000"}
            good |= {"to": RECEIVER, "text": TEXT}
            dead = "http://127.0.0.1:1/" + TEXT
            assert ask(sendsms, "GET", query(**good)) == 202
            assert ask(sendsms, "GET", query(**good, **{"dlr-url": dead, "dlr-mask": "31"})) == 202
            hashed = {**good, "username": "hashed", "password": SECRETS["hashed"]}
            assert ask(sendsms, "GET", query(**hashed)) == 202
            assert ask(sendsms, "GET", query(**{**good, "password": SECRETS["wrong"]})) == 403
            assert ask(sendsms, "GET", query(**{**good, "username": SECRETS["wrong"]})) == 403
            for name in ("to", "from", "charset", "coding", "udh", "dlr-url", "smsc", "account"):
                ask(sendsms, "GET", query(**{**good, name: TEXT + "\r\n" + RECEIVER}))
            raw = query(**good).replace(TEXT, quote(UNREADABLE))
            assert ask(sendsms, "GET", raw) == 400
            long = {**good, "text": TEXT * 500}
            assert ask(sendsms, "GET", query(**long)) == 400
            headers = {"X-Kannel-Username": "demo", "X-Kannel-Password": SECRETS["user"]}
            headers |= {"X-Kannel-To": RECEIVER, "X-Kannel-From": "1", "Content-Type": "text/plain"}
            assert ask(sendsms, "POST", "/cgi-bin/sendsms", TEXT.encode(), **headers) == 202
            for body in (b'{"text": "%b"' % TEXT.encode(), TEXT.encode(), UNREADABLE):
                for kind in ("application/json", "text/xml", "application/x-www-form-urlencoded"):
                    ask(sendsms, "POST", "/cgi-bin/sendsms", body, **{"Content-Type": kind})
                    ask(sendsms, "POST", "/external", body, **{"Content-Type": kind})
            basic = b64encode(f"demo:{SECRETS['user']}".encode()).decode()
            fields = b'{"to": "%b", "from": "1", "text": "%b"}' % (RECEIVER.encode(), TEXT.encode())
            said.append(
                str(
                    ask(
                        sendsms,
                        "POST",
                        "/external",
                        fields,
                        Authorization=f"Basic {basic}",
                        **{"Content-Type": "application/json"},
                    )
                )
            )
            ask(sendsms, "POST", "/external", fields, Authorization=SECRETS["wrong"])
            for octets in (UNREADABLE, TEXT.encode() * 100, b"GET /" + TEXT.encode() + b"\r\n\r\n"):
                with socket.create_connection(("127.0.0.1", sendsms), 5) as raw_socket:
                    raw_socket.sendall(octets)
            for password in (SECRETS["admin"], SECRETS["wrong"]):
                for command in ("status", "store-status", "nonsense", "log-level", "suspend"):
                    ask(admin, "GET", f"/{command}?password={password}&level=0")
                ask(
                    admin, "POST", "/ctl/replay", b"id=" + TEXT.encode(), **{"X-Password": password}
                )
            platform.answer = (500, TEXT.encode())
            assert until(lambda: any(p == "/receive" for p, _ in platform.calls), 20)
            said.append(http_get(admin, "/metrics")[1])
            said.append(http_get(admin, f"/status?password={SECRETS['status']}")[1])
            said.append(http_get(admin, f"/status.xml?password={SECRETS['status']}")[1])
            process = gateway.process
            assert process is not None
            said.append(Path(f"/proc/{process.pid}/cmdline").read_text())
            assert until(lambda: "not taken" in gateway.log.read_text(), 20)
            gateway.stop()
    finally:
        gateway.kill()
        platform.stop()
    told = gateway.log.read_text(errors="replace") + "\n".join(said)
    assert "gatewayd has stopped" in told
    for canary in (*SECRETS.values(), signature, "canarywp", "canary", basic, RECEIVER):
        assert canary not in told
    store = (tmp_path / "store.sqlite3").read_bytes()
    for secret in SECRETS.values():
        assert secret.encode() not in store
