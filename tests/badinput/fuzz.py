"""Hostile input by the thousand: `python -m tests.badinput.fuzz --seconds 600` for a long run.

A target makes a case (octets) out of chance, and tries it: what it raises is a finding. The quick
form runs in every test run with fixed seeds; a case that was found is kept as a file under
tests/golden/fuzz/<target>/, and is tried again in every run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random, SystemRandom
from time import perf_counter, process_time
from typing import Any
from urllib.parse import quote_from_bytes

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from gatewayd.config import passwords
from gatewayd.config.kannel_reader import read_kannel
from gatewayd.config.model import (
    BindConfig,
    ChannelConfig,
    Config,
    HttpConfig,
    Secret,
    SmppOptions,
    SmscConfig,
    UserConfig,
)
from gatewayd.config.url_patterns import url_pattern
from gatewayd.config.yaml_reader import read_yaml
from gatewayd.errors import ConfigError
from gatewayd.flow.targets import Targets
from gatewayd.model import Acceptance, HttpAnswer, Order, Outcome, Segment, Verdict
from gatewayd.net.http_client import HttpClient
from gatewayd.platforms.contract import HttpCall
from gatewayd.sms import receipt_text
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import Closing, Receipted, Received, SessionOptions
from gatewayd.smsc.smpp import SmppSession
from gatewayd.web.external import External
from gatewayd.web.intake import Intake
from gatewayd.web.request import Handler
from gatewayd.web.sendota import SendOta
from gatewayd.web.sendsms import SendSms

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "tests" / "golden" / "fuzz"
SLOW = 0.25  # seconds of work for one case; 50 ms are meant, but machines are shared
CASES = 10_000

NASTY = (
    b"\x00", b"\r\n", b"\n", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xe2\x80\xae",
    b"%00", b"%0d%0a", b"%", b"%zz", b"%%", b"+", b"&", b"=", b";", b"\x1b[2J", b"-1", b"0",
    b"99999999999999999999", b"2147483648", b"1e30", b"0x10", b"\xd9\xa1\xd9\xa2", b"'\"",
    b"${HOME}", b"%s%n", b"{0}", b"../../", b"A" * 300, b"utf-7", b"idna", b"http://127.0.0.1/",
    b"file:///etc/passwd", b"id:", b"stat:", b" text:", b"\x7f" * 5, b"\xc3", b"\t",
)  # fmt: skip


def mutated(chance: Random, data: bytes, most: int = 6) -> bytes:
    """`data` with some of its octets changed, left out, doubled or spoilt."""
    octets = bytearray(data)
    for _ in range(chance.randint(1, most)):
        place = chance.randint(0, len(octets))
        what = chance.randrange(8)
        if what == 0 and octets:
            octets[place % len(octets)] = chance.randrange(256)
        elif what == 1 and octets:
            octets[place % len(octets)] ^= 1 << chance.randrange(8)
        elif what == 2:
            del octets[place : place + chance.randint(1, 8)]
        elif what == 3:
            octets[place:place] = chance.choice(NASTY)
        elif what == 4:
            end = place + chance.randint(1, 20)
            octets[place:place] = octets[place:end] * chance.randint(1, 3)
        elif what == 5:
            del octets[place:]
        elif what == 6:
            octets[place:place] = chance.randbytes(chance.randint(1, 12))
        elif octets:
            octets[place % len(octets) :][:4] = chance.choice(
                (b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x10")
            )
    return bytes(octets)


class Wire(StringTransport):
    def abortConnection(self) -> None:
        self.disconnecting = True

    def loseWriteConnection(self) -> None:
        self.disconnecting = True


# -- HTTP


USER = UserConfig("u", Secret("p"))
HASHED = UserConfig("h", Secret(passwords.make("p", b"0123456789abcdef", n=2)))
CHANNEL = ChannelConfig("x", "external", post_url="https://platform.example/c/ex/1")
STATUSES = frozenset((200, 202, 400, 403, 404, 405, 413, 414, 415, 431, 503))


class Doors:
    """All doors of the sendsms listener over one intake; checks what comes out of them."""

    def __init__(self, http: HttpConfig) -> None:
        self.http = http
        config = Config(users=(USER, HASHED), channels=(CHANNEL,), http=http)
        sendsms = SendSms(config, self.accept, lambda: 1.8e9)
        routes: dict[str, Handler] = {
            "/cgi-bin/sendsms": sendsms,
            "/external": External(config, sendsms, self.accept, str),
            "/cgi-bin/sendota": SendOta(config, sendsms, self.accept),
        }
        self.clock = Clock()
        self.intake = Intake(http, routes, self.clock, puts=["/external"], wall=lambda: 1.8e9)

    def accept(self, order: Order, done: Callable[[Acceptance], None]) -> None:
        if self.http.strict:
            values = [order.source, order.account, order.binfo, order.meta, order.dlr_url]
            values += [order.smsc or "", order.external_id, *order.receivers]
            for value in values:
                assert value.isprintable() or not any(c < " " or c == "\x7f" for c in value), value
            assert order.receivers
            assert len(order.receivers) <= 100
            assert all(len(number) <= 21 for number in order.receivers)
        done(Acceptance(Verdict.ACCEPTED))

    def send(self, *pieces: bytes) -> bytes:
        connection = self.intake.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        assert connection is not None
        wire = Wire()  # type: ignore[no-untyped-call]
        connection.makeConnection(wire)  # type: ignore[no-untyped-call]
        for piece in pieces:
            connection.dataReceived(piece)
        self.clock.advance(0)
        written: bytes = wire.value()  # type: ignore[no-untyped-call]
        connection.connectionLost()
        failures, self.intake.failures = self.intake.failures, 0
        assert not failures, "a handler broke"
        assert not self.intake.connections
        for line in written.split(b"HTTP/1.")[1:]:
            status = int(line[2:5])
            assert status in STATUSES or status == 100, status
        return written


DOORS: dict[str, Doors] = {}


def doors(which: str) -> Doors:
    if not DOORS:
        DOORS["yaml"] = Doors(HttpConfig(login_failures=0, sendota_path="/cgi-bin/sendota"))
        DOORS["kannel"] = Doors(
            HttpConfig(strict=False, require_host=False, login_failures=0, dlr_url_allow=("any",))
        )
    return DOORS[which]


LOGIN = b"username=u&password=p&from=8000&to=258840000001&text=hello"
REQUESTS = (
    b"GET /cgi-bin/sendsms?" + LOGIN + b" HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded"
    b"\r\nContent-Length: 59\r\n\r\n" + LOGIN,
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nX-Kannel-Username: u\r\nX-Kannel-Password: p\r\n"
    b"X-Kannel-To: 1\r\nX-Kannel-From: 2\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Type: text/xml\r\nContent-Length: 149"
    b"\r\n\r\n<message><submit><da><number>1</number></da><oa><number>2</number>"
    b"</oa><ud>x</ud><from><username>u</username></from></submit></message>",
    b"POST /external HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dTpw\r\nContent-Type: "
    b"application/json\r\nContent-Length: 46\r\n\r\n"
    b'{"to":"1","from":"2","text":"x","id":"7","a":1}',
    b"PUT /external?to=1&from=2&text=x HTTP/1.1\r\nHost: h\r\nAuthorization: p\r\n"
    b"Content-Length: 0\r\n\r\n",
    b"HEAD /cgi-bin/sendota?username=h&password=p&to=1 HTTP/1.0\r\n\r\n",
)


def make_http(chance: Random) -> bytes:
    return mutated(chance, b"".join(chance.choices(REQUESTS, k=chance.randint(1, 3))))


def try_http(case: bytes) -> None:
    cut = len(case) * 2 // 3
    for which in ("yaml", "kannel"):
        doors(which).send(case[:cut], case[cut:])


FIELDS = (
    b"username password user pass from to text charset coding udh mclass mwi pid rpi",
    b"alt-dcs compress validity deferred dlr-mask dlr-url dlrmask dlrurl smsc",
    b"account binfo meta-data priority channel id",
)
NAMES = b" ".join(FIELDS).split()
VALUES = (b"u", b"p", b"8000", b"258840000001", b"1", b"2", b"0", b"UTF-8", b"gsm", b"hello",
          b"\x05\x00\x03\x01\x02\x01", b"?smpp?a=b&",
          b"https://platform.example/", b"")  # fmt: skip


def make_sendsms(chance: Random) -> bytes:
    fields = [(name, b"") for name in chance.sample(NAMES, chance.randint(0, 8))]
    fields += [(b"username", b"u"), (b"password", b"p"), (b"to", b"1"), (b"text", b"x")]
    parts = []
    for name, given in fields:
        value = given or chance.choice(VALUES)
        if chance.random() < 0.3:
            value = mutated(chance, value + chance.choice(NASTY), 3)
        written = quote_from_bytes(value) if chance.random() < 0.9 else value.decode("latin-1")
        parts.append(name + b"=" + written.encode("latin-1"))
    chance.shuffle(parts)
    return b"&".join(parts)


def try_sendsms(case: bytes) -> None:
    line = case.replace(b"\r", b"%0d").replace(b"\n", b"%0a").replace(b" ", b"%20")
    line = line.replace(b"\x00", b"%00")
    for path in (b"/cgi-bin/sendsms", b"/external"):
        request = b"GET " + path + b"?" + line + b" HTTP/1.1\r\nHost: h\r\n\r\n"
        for which in ("yaml", "kannel"):
            assert doors(which).send(request).startswith(b"HTTP/1.1 ")


# -- SMPP


FRAMES = [
    bytes.fromhex(one["hex"])
    for one in json.loads((ROOT / "tests/golden/frames/smpp.json").read_text())["frames"]
]
RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2611211200 done date:2611211201 "
    b"stat:DELIVRD err:000 text:hello"
)


def make_smpp(chance: Random) -> bytes:
    frames = []
    for _ in range(chance.randint(1, 4)):
        if chance.random() < 0.4:
            text = mutated(chance, RECEIPT) if chance.random() < 0.5 else chance.randbytes(60)
            sm = pdus.Sm(
                pdus.DELIVER_SM,
                chance.choice((0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFF)),
                source=b"258840000001",
                destination=b"8000",
                esm_class=chance.choice((0, 4, 0x40, 0x44, 0xFF)),
                data_coding=chance.randrange(256),
                short_message=text[:254],
            )
            frame = pdus.encode(sm)
        else:
            frame = chance.choice(FRAMES)
        if chance.random() < 0.7:
            frame = mutated(chance, frame, 3)
            if chance.random() < 0.7:  # so that it gets past the framing
                frame = len(frame).to_bytes(4, "big") + frame[4:]
        frames.append(frame)
    return b"".join(frames)


def try_smpp(case: bytes) -> None:
    options = SmppOptions(system_id="u", password=Secret("p"), receipt_by_text=len(case) % 2 == 0)
    bind = BindConfig("a/0")
    smsc = SmscConfig("a", "a", binds=(bind,), window=3, smpp=options)
    session = SmppSession(SessionOptions(smsc, bind, (), lambda: 1.8e9, lambda: 0.5))
    session.start(0.0)
    session.take_bytes()
    resp = pdus.BindResp(pdus.BIND_TRANSCEIVER | pdus.RESPONSE, 0, 1, b"S")
    session.receive(pdus.encode(resp), 0.0)
    for number in range(3):
        session.submit(Segment(number + 1, "1", "258840000001", b"hello", dlr_mask=31), 0.0)
    session.take_bytes()
    for step in range(0, len(case), 97):
        for event in session.receive(case[step : step + 97], 1.0):
            if isinstance(event, Received | Receipted):
                session.answer(event.ticket, Outcome.DONE)
            if isinstance(event, Closing):
                break
    assert len(session.take_bytes()) < 20 * len(case) + 1000
    assert session.unanswered <= 1 + len(case) // 16
    session.tick(1000.0)
    session.connection_lost(1001.0)


def make_receipt(chance: Random) -> bytes:
    return mutated(chance, RECEIPT, 8)


def try_receipt(case: bytes) -> None:
    for lenient in (True, False):
        found = receipt_text.parse(case, lenient=lenient)
        if found is not None:
            receipt_text.status_of(found.stat, lenient=lenient)
            for kind in (-1, 0, 1, 2, 3):
                receipt_text.normalise_id(
                    found.id, message_ids=kind, receipt=True, id_case=bool(kind & 1)
                )


# -- configuration


YAML = b"""\
smscs:
  - &one {id: op, host: h, system-id: s, password: "${P}", rate: 10, smpp: {validity: 1h}}
users:
  - {username: u, password: scrypt$2$8$1$MDEyMzQ1Njc=$MDEyMzQ1Njc4OWFiY2RlZg==}
channels:
  - {name: p, format: rapidpro, url: "https://h/?a=%b", retry: {first: 1s}}
http: {dlr-url-allow: ["https://*.example.net:8443"], sendsms: "127.0.0.1:13013"}
"""
KANNEL = (ROOT / "conf" / "kannel.conf").read_bytes()
FOLDER = tempfile.TemporaryDirectory(prefix="gatewayd-fuzz-")


def make_yaml(chance: Random) -> bytes:
    return mutated(chance, YAML, 3)


def make_kannel(chance: Random) -> bytes:
    return mutated(chance, KANNEL, 4)


def _file(case: bytes, suffix: str) -> str:
    path = Path(FOLDER.name) / f"case{suffix}"
    path.write_bytes(case)
    return str(path)


def try_yaml(case: bytes) -> None:
    with suppress(ConfigError):
        read_yaml(_file(case, ".yaml"), {"P": "hush"})


def try_kannel(case: bytes) -> None:
    with suppress(ConfigError):
        read_kannel(_file(case, ".conf"), {"P": "hush"}, FOLDER.name)


# -- platforms


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.0 202 Accepted\r\nX: y\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Slow\r\nRetry-After: -1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    b"HTTP/1.1 204 No Content\r\n\r\n",
)


@implementer(IStreamClientEndpoint)
class Server:
    """Answers every connection with the case, in pieces, and then goes away."""

    def __init__(self, clock: Clock, case: bytes) -> None:
        self._clock = clock
        self._case = case

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        protocol: Any = protocolFactory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 80))
        wire = Wire()  # type: ignore[no-untyped-call]
        protocol.makeConnection(wire)
        half = len(self._case) // 2
        self._clock.callLater(0.1, self._say, protocol, wire, self._case[:half])
        self._clock.callLater(0.2, self._say, protocol, wire, self._case[half:])
        self._clock.callLater(0.3, protocol.connectionLost)
        return succeed(protocol)

    def _say(self, protocol: Any, wire: Wire, data: bytes) -> None:
        if not wire.disconnecting and data:
            protocol.dataReceived(data)


def make_platform(chance: Random) -> bytes:
    return mutated(chance, b"".join(chance.choices(ANSWERS, k=chance.randint(1, 2))))


def try_platform(case: bytes) -> None:
    clock = Clock()
    client = HttpClient(
        clock, redirects=len(case) % 3, endpoint=lambda *_: Server(clock, case), body_limit=8192
    )
    got: list[HttpAnswer] = []
    calls = [HttpCall("GET", "http://p/x", timeout=5.0), HttpCall("POST", "http://p/", (), b"b")]
    for call in calls:
        client.send(call, got.append)
    for _ in range(80):
        clock.advance(0.5)
    assert len(got) == len(calls)
    assert all(len(answer.body) <= 8192 for answer in got)
    client.close()


URLS = (b"https://platform.example/c?x=%p", b"http://[::1]:80/", b"http://10.0.0.1:8080/", b"any",
        b"https://*.example.net:8443", b"http://10.0.0.0/8:*", b"http://0x7f.1/")  # fmt: skip
TARGETS = [
    Targets(Config(channels=(CHANNEL,), http=HttpConfig(dlr_url_allow=allow)))
    for allow in ((), ("http://*:*", "https://*.example.net"))
]


def make_url(chance: Random) -> bytes:
    return mutated(chance, chance.choice(URLS), 4)


def try_url(case: bytes) -> None:
    text = case.decode("utf-8", "replace")
    for targets in TARGETS:
        targets.refusal(text)
    with suppress(ValueError):
        url_pattern(text)
    with suppress(ValueError):
        passwords.parse(text)


class Target:
    def __init__(
        self, share: int, make: Callable[[Random], bytes], attempt: Callable[[bytes], None]
    ) -> None:
        self.share = share  # of 100
        self.make = make
        self.attempt = attempt


FUZZED = {
    "http": Target(22, make_http, try_http),
    "sendsms": Target(22, make_sendsms, try_sendsms),
    "smpp": Target(21, make_smpp, try_smpp),
    "receipt": Target(12, make_receipt, try_receipt),
    "yaml": Target(3, make_yaml, try_yaml),
    "kannel": Target(5, make_kannel, try_kannel),
    "platform": Target(8, make_platform, try_platform),
    "url": Target(7, make_url, try_url),
}


def attempt(name: str, case: bytes) -> str:
    """Try one case; what was found, or ""."""
    began = process_time()
    try:
        FUZZED[name].attempt(case)
    except Exception as error:  # noqa: BLE001 - any is a finding
        return f"{type(error).__name__}: {error}"[:300]
    spent = process_time() - began
    return f"took {spent:.2f} s" if spent > SLOW else ""


def cases(name: str, seed: str, count: int) -> list[bytes]:
    """So many cases of a target; the same for the same seed."""
    chance = Random(f"{name} {seed}")
    return [FUZZED[name].make(chance) for _ in range(count)]


def keep(name: str, case: bytes) -> Path:
    folder = KEPT / name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(case).hexdigest()[:16]}.bin"
    path.write_bytes(case)
    return path


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description="Tries hostile input for a while.")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--target", choices=sorted(FUZZED), action="append")
    parser.add_argument("--seed", default="")
    options = parser.parse_args(arguments)
    names = options.target or list(FUZZED)
    seed = options.seed or str(SystemRandom().randrange(1 << 32))
    began, found, tried, turn = perf_counter(), 0, 0, 0
    seen: set[str] = set()
    while perf_counter() - began < options.seconds:
        for name in names:
            for case in cases(name, f"{seed}/{turn}", FUZZED[name].share * 5):
                tried += 1
                what = attempt(name, case)
                if what and f"{name} {what[:60]}" not in seen:
                    seen.add(f"{name} {what[:60]}")
                    found += 1
                    print(f"{name}: {what}\n  kept as {keep(name, case)}")
        turn += 1
    print(f"seed {seed}: {tried} cases in {perf_counter() - began:.0f} s, {found} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
