"""probe, send, ctl and demo as processes, against a simulated SMSC and a running daemon."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.live.harness import PORTS, Gateway, http_get, listening, until
from tests.live.processes import Platform, Running, ask, run

pytestmark = pytest.mark.live

SMSC = """\
smscs:
  - id: op
    host: 127.0.0.1
    port: {smsc}
    system-id: demo
    password: {password}
    connect-timeout: 2
    smpp: {{bind-timeout: 1, enquire-timeout: 1}}
"""
REST = """\
users:
  - username: demo
    password: demo-password
channels:
  - name: demo
    format: rapidpro
    url: "http://127.0.0.1:{platform}/receive?sender=%p&message=%b&id=%I"
    replies: false
http:
  sendsms: 127.0.0.1:{sendsms}
  admin: 127.0.0.1:{admin}
  admin-password: an-admin-password
  dlr-url-allow: ["http://127.0.0.1:1"]
store:
  path: {folder}/store.sqlite3
"""


def config(folder: Path, smsc: int, password: str = "secret", rest: str = "") -> str:
    path = folder / "gateway.yaml"
    path.write_text(SMSC.format(smsc=smsc, password=password) + rest)
    path.chmod(0o600)
    return str(path)


class Stage:
    """A simulated SMSC and a platform, with a daemon between them once it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.admin, self.sendsms = (PORTS.take() for _ in range(3))
        self.platform = Platform()
        rest = REST.format(
            platform=self.platform.port, sendsms=self.sendsms, admin=self.admin, folder=folder
        )
        self.config = config(folder, self.port, rest=rest)
        self.smsc = self.simulate("--echo", "--receipts", "0.1")
        self.gateway = Gateway(
            folder,
            Path(self.config).read_text(),
            suffix=".yaml",
            admin_port=self.admin,
            sendsms_port=self.sendsms,
        )

    def simulate(self, *options: str) -> Running:
        simulate = ("simulate", "smpp", "--port", str(self.port), "--password", "secret")
        return Running(self.folder, "smsc", *simulate, *options)

    def kill_smsc(self) -> None:
        self.smsc.process.kill()
        self.smsc.process.wait()

    def start(self) -> None:
        assert until(lambda: listening(self.port), 20)
        self.gateway.start()
        assert until(lambda: self.ctl("status")["binds"][0]["ready"], 20)

    def ctl(self, *arguments: str) -> Any:
        return ask("ctl", "-c", self.config, *arguments)

    def send(self, text: str, *options: str) -> Any:
        numbers = ("--from", "8000", "--to", "255700000001")
        return ask("send", "-c", self.config, *numbers, *options, text)

    def stop(self) -> None:
        self.gateway.kill()
        self.kill_smsc()
        self.platform.stop()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        made.stop()


# ---- probe


def probed(path: str, *options: str) -> tuple[int, dict[str, Any]]:
    code, out, err = run("probe", "-c", path, "--json", *options)
    assert out, err
    [told] = json.loads(out)["binds"]
    return code, told


def test_a_probe_goes_all_the_way_and_leaves_what_is_delivered_to_the_smsc(
    tmp_path: Path,
) -> None:
    port = PORTS.take()
    options = ("--port", str(port), "--mo", "500", "--mo-text", "for the gateway only")
    with Running(tmp_path, "smsc", "simulate", "smpp", *options) as smsc:
        assert until(lambda: listening(port), 20)
        path = config(tmp_path, port)
        code, told = probed(path)
        assert (code, told["ok"], told["bind"]) == (0, True, "op/0")
        steps = [step["step"] for step in told["steps"]]
        assert steps == ["resolve", "connect", "bind", "enquire_link", "unbind"]
        assert smsc.says("unbound   demo")
        assert "taken by" not in smsc.output
        code, out, _ = run("probe", "-c", path, "op")
        assert (code, out.splitlines()[-1]) == (0, "every step went well")


@pytest.mark.parametrize(
    ("protocol", "words"),
    [("ucp", ["login", "alert", "close"]), ("cimd2", ["login", "alive", "logout"])],
)
def test_a_probe_speaks_every_protocol_in_its_own_words(
    tmp_path: Path, protocol: str, words: list[str]
) -> None:
    port = PORTS.take()
    options = ("--port", str(port), "--password", "right", "--mo", "500")
    with Running(tmp_path, "smsc", "simulate", protocol, *options) as smsc:
        assert until(lambda: listening(port), 20)
        path = Path(config(tmp_path, port, "right-and-longer"))
        path.write_text(path.read_text().replace("id: op", f"id: op\n    protocol: {protocol}"))
        code, told = probed(str(path))
        step, means, question = failed(told)
        assert (code, step) == (1, "login")
        assert "password is wrong" in means
        assert "'demo'" in question
        path.write_text(path.read_text().replace("right-and-longer", "right"))
        code, told = probed(str(path))
        assert (code, told["ok"]) == (0, True)
        steps = [step["step"] for step in told["steps"]]
        assert steps == ["resolve", "connect", *words]
        assert "taken by" not in smsc.output


def failed(told: dict[str, Any]) -> tuple[str, str, str]:
    step = told["steps"][-1]
    assert not step["ok"]
    return step["step"], step["means"], step["ask"]


def test_a_probe_tells_a_wrong_password_from_an_unknown_account(tmp_path: Path) -> None:
    port = PORTS.take()
    options = ("--port", str(port), "--password", "right")
    with Running(tmp_path, "smsc", "simulate", "smpp", *options) as smsc:
        assert until(lambda: listening(port), 20)
        code, told = probed(config(tmp_path, port, "wrong"))
        step, means, question = failed(told)
        assert (code, step) == (1, "bind")
        assert "password is wrong" in means
        assert "'demo'" in question
        assert smsc.says("refused   a bind")


def test_a_probe_of_a_port_where_nobody_listens_says_so(tmp_path: Path) -> None:
    port = PORTS.take()
    code, told = probed(config(tmp_path, port))
    step, means, question = failed(told)
    assert (code, step) == (1, "connect")
    assert "nobody listens" in means
    assert f"127.0.0.1:{port}" in question


@pytest.mark.parametrize(
    ("closes", "words"), [(False, "bind is not answered"), (True, "closes the connection")]
)
def test_a_probe_tells_a_silent_peer_from_one_that_hangs_up(
    tmp_path: Path, closes: bool, words: str
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        kept = []

        def serve() -> None:
            peer, _ = server.accept()
            kept.append(peer)
            if closes:
                peer.recv(1000)
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        code, told = probed(config(tmp_path, server.getsockname()[1]))
        step, means, _ = failed(told)
        assert (code, step) == (1, "bind")
        assert words in means


def test_a_probe_of_a_name_that_is_unknown_says_so(tmp_path: Path) -> None:
    path = config(tmp_path, 2775)
    Path(path).write_text(Path(path).read_text().replace("127.0.0.1", "smsc.invalid"))
    code, told = probed(path)
    step, means, _ = failed(told)
    assert (code, step) == (1, "resolve")
    assert "name is not known" in means


def test_a_probe_of_a_bind_that_is_not_configured_is_wrong_use(tmp_path: Path) -> None:
    code, _, err = run("probe", "-c", config(tmp_path, 2775), "other/0")
    assert code == 2
    assert "it has op/0" in err


# ---- send


def test_send_hands_in_an_sms_and_says_what_was_answered(stage: Stage) -> None:
    stage.start()
    report = f"http://127.0.0.1:{stage.platform.port}/report?status=%d"
    told = stage.send("Olá, mundo €", "--dlr-mask", "1", "--dlr-url", report)
    assert told == {"accepted": True, "status": 202, "answer": "0: Accepted for delivery"}
    reports = [("/report", {"status": "1"})]
    assert until(lambda: [c for c in stage.platform.calls if c[0] == "/report"] == reports, 20)
    assert until(lambda: any(c[0] == "/receive" for c in stage.platform.calls), 20)
    messages = [c[1]["message"] for c in stage.platform.calls if c[0] == "/receive"]
    assert messages == ["Olá, mundo €"]


def test_send_takes_the_password_from_a_file_or_the_environment_and_fails_on_a_refusal(
    stage: Stage, tmp_path: Path
) -> None:
    stage.start()
    url = f"http://127.0.0.1:{stage.sendsms}"
    base = ("send", "--url", url, "--user", "demo", "--from", "8000", "--to", "255700000001", "x")
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text("demo-password\n")
    bad.write_text("demo")
    assert run(*base, "--password-file", str(good))[0] == 0
    assert run(*base, env={"GATEWAYD_PASSWORD": "demo-password"})[0] == 0
    code, out, err = run(*base, "--password-file", str(bad))
    assert (code, out) == (1, "")
    assert "refused (403): Authorization failed" in err
    code, _, err = run(*base)
    assert code == 2
    assert "GATEWAYD_PASSWORD" in err


def test_send_to_nobody_fails(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{PORTS.take()}"
    code, _, err = run(
        *("send", "--url", url, "--user", "u", "--from", "1", "--to", "2", "x"),
        env={"GATEWAYD_PASSWORD": "p"},
    )
    assert code == 1
    assert "does not answer" in err


# ---- ctl


def test_ctl_shows_the_state_and_holds_traffic_while_suspended(stage: Stage) -> None:
    stage.start()
    assert stage.ctl("suspend") == {"state": "suspended", "changed": True}
    assert stage.ctl("suspend") == {"state": "suspended", "changed": False}
    assert stage.ctl("status")["state"] == "suspended"
    assert stage.ctl("resume") == {"state": "running", "changed": True}
    code, out, _ = run("ctl", "-c", stage.config, "status")
    assert code == 0
    assert out.splitlines()[0].startswith("running, up ")
    assert "op/0  bound" in out


def test_ctl_shows_dead_letters_with_their_reason_and_brings_them_back(stage: Stage) -> None:
    stage.start()
    stage.platform.answer = (400, b"text is required")
    report = f"http://127.0.0.1:{stage.platform.port}/report?status=%d"
    stage.send("to be refused", "--dlr-mask", "1", "--dlr-url", report)
    assert until(lambda: len(stage.ctl("dead")["dead"]) == 2, 20)
    letters = {letter["what"]: letter for letter in stage.ctl("dead")["dead"]}
    assert {letter["lane"] for letter in letters.values()} == {"mo/demo", "dlr/demo"}
    assert letters["mo"]["reason"] == "HTTP 400: text is required"
    assert (letters["mo"]["from"], letters["report"]["status"]) == ("+255700000001", 1)
    [waiting] = [q for q in stage.ctl("queue")["queues"] if q["lane"] == "mo/demo"]
    assert (waiting["queue"], waiting["waiting"]) == ("dead", 1)
    assert stage.ctl("message", letters["mo"]["id"])["reason"] == letters["mo"]["reason"]
    known = {c[1]["id"] for c in stage.platform.calls if c[0] == "/receive"}

    stage.platform.answer = (200, b"")
    stage.platform.calls.clear()
    assert stage.ctl("replay", letters["report"]["id"])["replayed"] == 1
    assert until(lambda: stage.platform.calls == [("/report", {"status": "1"})], 20)
    assert stage.ctl("replay", "--all")["replayed"] == 1
    assert until(lambda: len(stage.platform.calls) == 2, 20)
    path, fields = stage.platform.calls[1]
    assert (path, fields["message"]) == ("/receive", "to be refused")
    assert {fields["id"]} == known, "the platform must know it again"
    assert stage.ctl("dead")["dead"] == []
    code, _, err = run("ctl", "-c", stage.config, "replay", letters["mo"]["id"])
    assert code == 1
    assert "no dead letter has this id" in err


def test_a_replayed_letter_survives_a_kill_and_dies_again_when_it_is_refused_again(
    stage: Stage,
) -> None:
    stage.start()
    stage.platform.answer = (400, b"text is required")
    stage.send("again and again")
    assert until(lambda: len(stage.ctl("dead")["dead"]) == 1, 20)
    stage.platform.answer = (503, b"")
    assert stage.ctl("replay", "--all") == {"replayed": 1, "stuck": []}
    stage.gateway.kill()
    stage.platform.answer = (400, b"text is required")
    stage.gateway.start()
    assert until(lambda: len(stage.ctl("dead")["dead"]) == 1, 20)


def test_ctl_message_tells_where_each_segment_is(stage: Stage) -> None:
    stage.kill_smsc()
    stage.gateway.start()
    assert stage.send("x" * 200, "--dlr-mask", "1", "--dlr-url", "http://127.0.0.1:1/x")["accepted"]
    [queue] = stage.ctl("queue")["queues"]
    assert (queue["queue"], queue["lane"], queue["waiting"]) == ("mt", "op", 2)
    told = stage.ctl("status")
    assert not told["binds"][0]["ready"]
    _, page = http_get(stage.admin, "/store-status.txt?password=an-admin-password")
    first = page.splitlines()[1].split("]")[0][1:]
    second = stage.ctl("message", first)["segments"][1]["id"]
    told = stage.ctl("message", second)
    assert (told["kind"], told["id"], told["to"], told["parts"]) == ("mt", first, "255700000001", 2)
    assert [row["id"] for row in told["segments"]] == [first, second]
    assert {(row["state"], row["smsc"]) for row in told["segments"]} == {("waiting", "op")}
    code, out, _ = run("ctl", "-c", stage.config, "message", first)
    assert code == 0
    assert out.splitlines()[-1].startswith("2     waiting  op    0")
    code, _, err = run("ctl", "-c", stage.config, "message", "0198a7b2-0000-7000-8000-000000000000")
    assert code == 1
    assert "is no id of this gateway's" in err


def test_ctl_message_finds_a_message_by_the_id_that_the_smsc_gave(stage: Stage) -> None:
    stage.kill_smsc()
    stage.smsc = stage.simulate("--receipts", "off")
    stage.start()
    stage.send("slow", "--dlr-mask", "1", "--dlr-url", "http://127.0.0.1:1/never/%d")
    assert stage.smsc.says("accepted, id ")
    [line] = [line for line in stage.smsc.lines if "accepted, id " in line]
    name = f"op/{line.rpartition(' ')[2]}"

    def kept() -> bool:
        code, out, _ = run("ctl", "-c", stage.config, "--json", "message", name)
        return code == 0 and json.loads(out)["segments"][0]["smsc_id"] == name[3:]

    assert until(kept, 20)


def test_ctl_retry_connects_what_waits_for_its_next_attempt(stage: Stage) -> None:
    stage.kill_smsc()
    stage.gateway.start()
    assert until(lambda: "next attempt" in stage.gateway.tail(), 20)
    told = stage.ctl("retry")
    assert told == {"binds": ["op/0"], "calls": 0}


def test_ctl_with_a_wrong_password_is_refused(stage: Stage, tmp_path: Path) -> None:
    stage.start()
    wrong = tmp_path / "wrong"
    wrong.write_text("not-this-one")
    code, _, err = run("ctl", "-c", stage.config, "--password-file", str(wrong), "suspend")
    assert code == 1
    assert "wrong password" in err
    assert stage.ctl("status")["state"] == "running"


def test_ctl_without_a_gateway_fails(stage: Stage) -> None:
    code, _, err = run("ctl", "-c", stage.config, "status")
    assert code == 1
    assert "does not answer" in err


@pytest.mark.parametrize(
    "arguments", [("message",), ("replay",), ("replay", "x", "--all"), ("status", "x"), ("walk",)]
)
def test_ctl_used_wrongly_says_what_is_right(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    code, _, err = run("ctl", "-c", config(tmp_path, 2775), *arguments)
    assert code == 2
    assert "gatewayd ctl: " in err


# ---- demo


@pytest.mark.skipif(shutil.which("curl") is None, reason="the line to paste is for curl")
def test_the_demo_does_what_its_curl_line_promises(tmp_path: Path) -> None:
    names = ("SENDSMS", "ADMIN", "SMSC", "PLATFORM")
    ports = {f"DEMO_{name}_PORT": str(PORTS.take()) for name in names}
    began = time.monotonic()
    with Running(tmp_path, "demo", "demo", env={**ports, "TMPDIR": str(tmp_path)}) as demo:
        assert demo.says("curl ")
        took = time.monotonic() - began
        assert demo.says("an MO, which goes to the platform too")
        [line] = [line for line in demo.lines if line.startswith("curl ")]
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, timeout=20, check=False
        )
        assert done.stdout == "0: Accepted for delivery"
        for words in (
            'submit    8000 -> 255700000001 "Hello from gatewayd": accepted',
            "DELIVRD: taken by demo",
            "platform  report on the SMS to 255700000001: status 8, taken by the SMSC",
            "platform  report on the SMS to 255700000001: status 1, delivered",
            'platform  MO from +255700000001 to 8000: "Hello from gatewayd"',
        ):
            assert demo.says(words), demo.output
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(20) == 0
        assert not list(tmp_path.glob("gatewayd-demo-*")), "the temporary store stays behind"
        assert took < 10, "two seconds on an idle machine"


def test_the_demo_says_how_to_choose_other_ports(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = str(server.getsockname()[1])
        code, _, err = run("demo", env={"DEMO_SMSC_PORT": port, "TMPDIR": str(tmp_path)})
    assert code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in err
    assert "DEMO_SMSC_PORT" in err
    assert not list(tmp_path.glob("gatewayd-demo-*"))
