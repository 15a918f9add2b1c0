"""T3 and T8: what a daemon writes while it works and fails holds no password and no text."""

from __future__ import annotations

import http.client
import re
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
SIGNATURE = "canary-signature-key"
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
logging:
  level: {level}
  format: {format}
  access-log: {folder}/access.log
  request-log: {folder}/requests.log
store: {{path: {folder}/store.sqlite3}}
"""


# The same in Kannel's words; its access log has texts and numbers, as Kannel's has.
KANNEL = """\
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = {adminpw}
status-password = {statuspw}
smsbox-port = {box}
smsbox-interface = 127.0.0.1
dlr-storage = internal
log-level = 0
access-log = {folder}/access.log
store-type = file
store-file = {folder}/kannel.store

group = smsc
smsc = smpp
smsc-id = op
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = demo
smsc-password = {bind}
system-type = ""

group = smsc
smsc = smpp
smsc-id = lost
allowed-smsc-id = lost
host = 127.0.0.1
port = {smsc}
transceiver-mode = true
smsc-username = other
smsc-password = {wrong8}
system-type = ""

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-level = 0
access-log = {folder}/box-access.log

group = sendsms-user
username = demo
password = {user}
max-messages = 3

group = sms-service
keyword = default
catch-all = true
get-url = "http://127.0.0.1:{platform}/receive?sender=%p&message=%b&id=%I"
max-messages = 0
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


class Traffic:
    """Good and bad calls of every kind, with a canary wherever a caller can put one."""

    def __init__(self, sendsms: int, admin: int, platform: Platform) -> None:
        self.sendsms, self.admin, self.platform = sendsms, admin, platform
        self.answers: list[int] = []  # of what is good
        self.shown: list[str] = []  # pages that have no business with texts or numbers
        self.basic = b64encode(f"demo:{SECRETS['user']}".encode()).decode()

    def callers(self, **more: str) -> None:
        sendsms = self.sendsms
        good = {"username": "demo", "password": SECRETS["user"], "from": "8000"}
        good |= {"to": RECEIVER, "text": TEXT}
        dead = "http://127.0.0.1:1/" + TEXT
        for also in ({}, {"dlr-url": dead, "dlr-mask": "31"}, more):
            self.answers.append(ask(sendsms, "GET", query(**{**good, **also})))
        assert ask(sendsms, "GET", query(**{**good, "password": SECRETS["wrong"]})) == 403
        assert ask(sendsms, "GET", query(**{**good, "username": SECRETS["wrong"]})) == 403
        for name in ("to", "from", "charset", "coding", "udh", "dlr-url", "smsc", "account"):
            ask(sendsms, "GET", query(**{**good, name: TEXT + "\r\n" + RECEIVER}))
        ask(sendsms, "GET", query(**good).replace(TEXT, quote(UNREADABLE)))
        ask(sendsms, "GET", query(**{**good, "text": TEXT * 500}))
        headers = {"X-Kannel-Username": "demo", "X-Kannel-Password": SECRETS["user"]}
        headers |= {"X-Kannel-To": RECEIVER, "X-Kannel-From": "1", "Content-Type": "text/plain"}
        path = "/cgi-bin/sendsms"
        self.answers.append(ask(sendsms, "POST", path, TEXT.encode(), **headers))
        for body in (b'{"text": "%b"' % TEXT.encode(), TEXT.encode(), UNREADABLE):
            for kind in ("application/json", "text/xml", "application/x-www-form-urlencoded"):
                ask(sendsms, "POST", path, body, **{"Content-Type": kind})
                ask(sendsms, "POST", "/external", body, **{"Content-Type": kind})
        fields = b'{"to": "%b", "from": "1", "text": "%b"}' % (RECEIVER.encode(), TEXT.encode())
        json = {"Content-Type": "application/json"}
        ask(sendsms, "POST", "/external", fields, Authorization=f"Basic {self.basic}", **json)
        ask(sendsms, "POST", "/external", fields, Authorization=SECRETS["wrong"])
        for octets in (UNREADABLE, TEXT.encode() * 100, b"GET /" + TEXT.encode() + b"\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", sendsms), 5) as raw_socket:
                raw_socket.sendall(octets)

    def admins(self) -> None:
        admin = self.admin
        for password in (SECRETS["admin"], SECRETS["wrong"]):
            for command in ("status", "store-status", "nonsense", "log-level", "flush-dlr"):
                ask(admin, "GET", f"/{command}?password={password}&level=0")
            ask(admin, "POST", "/ctl/replay", b"id=" + TEXT.encode(), **{"X-Password": password})
        self.shown.append(http_get(admin, "/metrics")[1])
        self.shown.append(http_get(admin, "/healthz")[1] + http_get(admin, "/readyz")[1])
        for page in ("status", "status.xml", "status.html", "status.wml"):
            self.shown.append(http_get(admin, f"/{page}?password={SECRETS['status']}")[1])
        for path in ("/nosuch", "/ctl/status", f"/status?password={SECRETS['wrong']}"):
            self.shown.append(http_get(admin, path)[1])

    def troubles(self, gateway: Gateway) -> None:
        """The platform fails; then the daemon is looked at, and ends."""
        self.platform.answer = (500, TEXT.encode())
        calls = self.platform.calls
        assert until(lambda: any(path == "/receive" for path, _ in calls), 20)
        assert gateway.process is not None
        process = Path(f"/proc/{gateway.process.pid}")
        self.shown.append((process / "cmdline").read_text())
        limits = (process / "limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)  # no core dump holds a password


def written(
    folder: Path, template: str, suffix: str, **more: object
) -> tuple[Gateway, Platform, int]:
    """A gateway with a configuration full of canaries, its platform, and the SMSC's port."""
    smsc, admin, sendsms, box = (PORTS.take() for _ in range(4))
    platform = Platform()
    text = template.format(
        smsc=smsc,
        admin=admin,
        sendsms=sendsms,
        box=box,
        platform=platform.port,
        folder=folder,
        bind=SECRETS["bind"],
        wrong8="canarywp",
        user=SECRETS["user"],
        hash=passwords.make(SECRETS["hashed"], n=1024),
        adminpw=SECRETS["admin"],
        statuspw=SECRETS["status"],
        signature=SIGNATURE,
        **more,
    )
    gateway = Gateway(folder, text, suffix=suffix, admin_port=admin, sendsms_port=sendsms)
    gateway.configuration.chmod(0o600)
    return gateway, platform, smsc


def run(folder: Path, gateway: Gateway, platform: Platform, smsc: int, **more: str) -> Traffic:
    """Everything that can happen, happens; what was shown and written is looked at later."""
    options = ("--port", str(smsc), "--password", SECRETS["bind"], "--receipts", "0.1")
    traffic = Traffic(gateway.sendsms_port, gateway.admin_port, platform)
    try:
        with Running(folder, "smsc", "simulate", "smpp", *options, "--mo", "5", "--mo-text", TEXT):
            assert until(lambda: listening(smsc), 20)
            gateway.start()
            assert until(lambda: "op/0 is bound" in gateway.log.read_text(), 20)
            traffic.callers(**more)
            traffic.admins()
            traffic.troubles(gateway)
            assert until(lambda: "not taken" in gateway.log.read_text(), 20)
            gateway.stop()
    finally:
        gateway.kill()
        platform.stop()
    assert "gatewayd has stopped" in gateway.log.read_text(errors="replace")
    return traffic


def files(folder: Path, *names: str) -> str:
    return "".join((folder / name).read_text(errors="replace") for name in names)


@pytest.mark.parametrize(("level", "form"), [("info", "text"), ("debug", "json")])
def test_t03_t08_no_password_text_or_number_is_written(
    tmp_path: Path, level: str, form: str
) -> None:
    gateway, platform, smsc = written(tmp_path, CONFIG, ".yaml", level=level, format=form)
    hashed = {"username": "hashed", "password": SECRETS["hashed"]}
    traffic = run(tmp_path, gateway, platform, smsc, **hashed)
    assert traffic.answers == [202, 202, 202, 202]
    told = files(tmp_path, "gateway.log", "access.log", "requests.log") + "\n".join(traffic.shown)
    assert "SMS request" in told or "Sent SMS" in told
    for canary in (*SECRETS.values(), SIGNATURE, "canarywp", "canary", traffic.basic, RECEIVER):
        assert canary not in told, canary
    store = (tmp_path / "store.sqlite3").read_bytes()
    for secret in SECRETS.values():
        assert secret.encode() not in store


def test_t03_a_kannel_conf_writes_no_password_and_texts_to_its_access_log_alone(
    tmp_path: Path,
) -> None:
    gateway, platform, smsc = written(tmp_path, KANNEL, ".conf")
    traffic = run(tmp_path, gateway, platform, smsc)
    assert traffic.answers == [202, 202, 202, 202]
    told = files(tmp_path, "gateway.log") + "\n".join(traffic.shown)
    access = files(tmp_path, "access.log", "box-access.log")
    assert TEXT in access
    for canary in (*SECRETS.values(), "canarywp", traffic.basic):
        assert canary not in told + access, canary
    for canary in ("canary", RECEIVER):
        assert canary not in told, canary
    for kept in tmp_path.glob("*.sqlite3*"):
        assert not [secret for secret in SECRETS.values() if secret.encode() in kept.read_bytes()]
