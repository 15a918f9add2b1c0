"""Bad input at the sendsms listener, line by line, with the careful defaults of YAML."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote_from_bytes

import pytest
from twisted.internet.task import Clock

from gatewayd.config.model import ChannelConfig, Config, HttpConfig
from gatewayd.model import Acceptance, Verdict
from gatewayd.web.intake import Intake
from gatewayd.web.sendsms import SendSms
from tests.web.http_bench import TESTER, WALL, Gateway, Line, Reply

CHANNEL = ChannelConfig("p", "rapidpro", post_url="https://platform.example/x")
LOGIN = b"username=tester&password=foobar"


class Door:
    """The listener as it is by default, with a Host field in each request."""

    def __init__(self, http: HttpConfig | None = None) -> None:
        http = http or HttpConfig(login_failures=0)
        self.gateway = Gateway()
        config = Config(users=(TESTER,), channels=(CHANNEL,), http=http)
        sendsms = SendSms(config, self.gateway.accept, lambda: WALL)
        self.clock = Clock()
        routes = {"/cgi-bin/sendsms": sendsms}
        self.intake = Intake(http, routes, self.clock, wall=lambda: WALL)
        self.line = Line(self.intake)

    def get(self, also: bytes) -> Reply:
        asked = b"GET /cgi-bin/sendsms?%b%b HTTP/1.1\r\nHost: h\r\n\r\n" % (LOGIN, also)
        return self.line.ask(asked)

    def raw(self, data: bytes) -> int:
        """The first status that comes, 0 for silence."""
        self.line.send(data)
        replies = self.line.replies(head=data.startswith(b"HEAD"))
        return replies[0].status if replies else 0


@pytest.mark.parametrize(
    "also",
    [
        b"",
        b"&to=",
        b"&from=1&text=x",
        b"&from=1&to=12ab",
        b"&from=1&to=" + b"9" * 22,
        b"&from=1&to=%D9%A1%D9%A2",
        b"&from=1&to=" + b"+".join(b"%d" % n for n in range(200)),
    ],
)
def test_sendsms_receivers_that_are_none(also: bytes) -> None:
    door = Door()
    assert door.get(also).status == 400
    assert not door.gateway.orders


@pytest.mark.parametrize(
    "sender",
    [
        b"TwelveLetter",
        b"1" * 21,
        b"a\r\nb",
        b"a\0b",
        "\u202eevil".encode(),
        "😀".encode(),
        b"\xff",
        "\u200b".encode(),
    ],
)
def test_sendsms_senders_that_no_phone_shows(sender: bytes) -> None:
    door = Door()
    reply = door.get(b"&to=1&text=x&from=" + quote_from_bytes(sender).encode())
    assert (reply.status, reply.body) == (400, b"Sender field misformed, rejected")


@pytest.mark.parametrize(
    "sender", [b"8000", b"+258840000001", b"INFO", b"My Shop", "Ação".encode()]
)
def test_sendsms_senders_that_are_fine(sender: bytes) -> None:
    assert Door().get(b"&to=1&text=x&from=" + quote_from_bytes(sender).encode()).status == 202


@pytest.mark.parametrize(
    "charset",
    [b"utf-7", b"idna", b"punycode", b"base64", b"rot13", b"zlib", b"hex", b"nosuch", b"%00"],
)
def test_sendsms_charsets_are_a_list_of_ours(charset: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=x&charset=" + charset).status == 400


@pytest.mark.parametrize("text", [b"%", b"%4", b"%zz", b"%FF", b"%ED%A0%80", b"%C3", b"ok%u0041"])
def test_sendsms_bad_escapes_and_bad_utf8(text: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=" + text).status == 400


@pytest.mark.parametrize(
    ("field", "label"),
    [
        ("coding", "Coding"),
        ("mclass", "MClass"),
        ("mwi", "MWI"),
        ("dlr-mask", "DLR-Mask"),
        ("priority", "Priority"),
        ("validity", "Validity"),
        ("deferred", "Deferred"),
        ("pid", "PID"),
        ("rpi", "RPI"),
        ("alt-dcs", "Alt-DCS"),
        ("compress", "Compress"),
    ],
)
@pytest.mark.parametrize("value", ["x", "1x", "1.5", "0x1", "-2", "9" * 30, "1%00"])
def test_sendsms_numbers_that_are_none_are_named(field: str, label: str, value: str) -> None:
    reply = Door().get(f"&to=1&from=1&text=x&{field}={value}".encode())
    assert (reply.status, reply.body.decode()) == (400, f"{label} field misformed, rejected")


@pytest.mark.parametrize("udh", [b"%05", b"%FF%00", b"%8C" + b"%00" * 140, b"%05%00%03%01%02"])
def test_sendsms_udhs_that_are_none(udh: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=x&udh=" + udh).status == 400


def test_sendsms_a_field_twice_is_refused_and_in_a_kannel_conf_the_first_wins() -> None:
    assert Door().get(b"&to=1&to=2&from=1&text=x").status == 400
    kannel = Door(HttpConfig(strict=False, login_failures=0))
    assert kannel.get(b"&to=1&to=2&from=1&text=x").status == 202
    assert kannel.gateway.orders[0].receivers == ["1"]


@pytest.mark.parametrize("field", ["from", "smsc", "account", "binfo", "meta-data", "dlr-url"])
@pytest.mark.parametrize("end", ["%0d%0aX: y", "%00", "%0a", "%1b[2J"])
def test_sendsms_control_characters_stay_outside(field: str, end: str) -> None:
    value = "https://platform.example/" if field == "dlr-url" else "a"
    sender = "" if field == "from" else "&from=1"
    reply = Door().get(f"&to=1{sender}&text=x&{field}={value}{end}".encode())
    assert reply.status == 400


def test_sendsms_too_many_fields() -> None:
    assert Door().get(b"&to=1&from=1&text=x" + b"&b" * 101).status == 400


def test_sendsms_a_user_unknown_and_a_password_wrong_are_one_answer() -> None:
    door = Door()
    replies = [
        door.line.ask(b"GET /cgi-bin/sendsms?%b HTTP/1.1\r\nHost: h\r\n\r\n" % query)
        for query in (b"username=tester&password=x", b"username=x&password=foobar", b"", b"user=")
    ]
    assert len({(reply.status, reply.body) for reply in replies}) == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"DELETE /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        (b"PUT /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET /cgi-bin/sendsms HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /cgi-bin/sendsms HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),  # obs-fold
        (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        (b"GET / HTTP/0.9\r\n\r\n", 400),
        (b"GET / HTTP/3.7\r\nHost: h\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET /" + b"a" * 140_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 4000 + b"\r\n", 431),
        (b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70000, 413),  # noqa: E501
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),  # noqa: E501
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),  # noqa: E501
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET /%2e%2e/etc/passwd HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET //cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET /CGI-BIN/sendsms HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET http://evil/cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\n\r\n", 404),
    ],
)  # fmt: skip
def test_http_each_bad_request_has_its_status(request_: bytes, status: int) -> None:
    door = Door()
    assert door.raw(request_) == status
    assert not door.gateway.orders
    if status not in (404,):
        assert door.line.wire.closed or door.line.connection._closing


@pytest.mark.parametrize(
    "smuggled",
    [
        b"POST /cgi-bin/sendsms HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",  # noqa: E501
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",  # noqa: E501
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)  # fmt: skip
def test_http_nothing_is_smuggled_behind_a_doubtful_request(smuggled: bytes) -> None:
    door = Door()
    good = b"GET /cgi-bin/sendsms?%b&to=1&from=1&text=x HTTP/1.1\r\nHost: h\r\n\r\n" % LOGIN
    door.line.send(smuggled + good)
    assert not door.gateway.orders
    assert door.line.replies()[0].status == 400


def test_http_a_slow_request_is_cut_off() -> None:
    door = Door()
    for octet in b"GET /cgi-bin/se":
        door.line.send(bytes((octet,)))
        door.clock.advance(1.0)
    assert door.line.wire.aborted


def test_http_a_caller_that_goes_away_is_counted_and_its_message_is_kept() -> None:
    door = Door()
    door.gateway.waiting = []
    asked = b"GET /cgi-bin/sendsms?%b&to=1&from=1&text=x HTTP/1.1\r\nHost: h\r\n\r\n" % LOGIN
    door.line.send(asked)
    door.line.connection.connectionLost()
    door.gateway.waiting[0](Acceptance(Verdict.ACCEPTED))
    assert len(door.gateway.orders) == 1
    assert door.intake.unheard == 1


def test_http_a_kannel_conf_keeps_kannels_one_status() -> None:
    http = replace(HttpConfig(), strict=False, require_host=False)
    for request in (b"TRACE / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 140_000 + b" HTTP/1.1\r\n\r\n"):
        assert Door(http).raw(request) == 400
