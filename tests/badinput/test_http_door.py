"""Bad input at the sendsms listener, line by line, with the careful defaults of YAML."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote_from_bytes

import pytest
from twisted.internet.task import Clock

from gatewayd.config.model import ChannelConfig, Config, HttpConfig
from gatewayd.model import Acceptance, Coding, TextOptions, Verdict
from gatewayd.sms.alphabets import decode_gsm, decode_ucs2, nfc
from gatewayd.sms.segments import encode_text, split
from gatewayd.web.intake import Intake
from gatewayd.web.sendsms import SendSms
from tests.flow.rig import Rig as Flows
from tests.flow.rig import config
from tests.web.http_bench import TESTER, WALL, Gateway, Line, Reply

CHANNEL = ChannelConfig("p", "rapidpro", post_url="https://platform.example/x")
HOST = b" HTTP/1.1\r\nHost: h\r\n"
LOGIN = b"username=tester&password=foobar"


class Door:
    """The listener as it is by default, with a Host field in each request."""

    def __init__(self, http: HttpConfig | None = None) -> None:
        http = http or HttpConfig(login_failures=0)
        self.gateway = Gateway()
        whole = Config(users=(TESTER,), channels=(CHANNEL,), http=http)
        sendsms = SendSms(whole, self.gateway.accept, lambda: WALL)
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
def test_http_02_receivers_that_are_none(also: bytes) -> None:
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
def test_http_04_senders_that_no_phone_shows(sender: bytes) -> None:
    door = Door()
    reply = door.get(b"&to=1&text=x&from=" + quote_from_bytes(sender).encode())
    assert (reply.status, reply.body) == (400, b"Sender field misformed, rejected")


@pytest.mark.parametrize(
    "sender", [b"8000", b"+258840000001", b"INFO", b"My Shop", "Ação".encode()]
)
def test_http_04_senders_that_are_fine(sender: bytes) -> None:
    assert Door().get(b"&to=1&text=x&from=" + quote_from_bytes(sender).encode()).status == 202


@pytest.mark.parametrize(
    "charset",
    [b"utf-7", b"idna", b"punycode", b"base64", b"rot13", b"zlib", b"hex", b"nosuch", b"%00"],
)
def test_http_06_charsets_are_a_list_of_ours(charset: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=x&charset=" + charset).status == 400


@pytest.mark.parametrize("text", [b"%", b"%4", b"%zz", b"%FF", b"%ED%A0%80", b"%C3", b"ok%u0041"])
def test_http_05_bad_escapes_and_bad_utf8(text: bytes) -> None:
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
def test_http_07_09_numbers_that_are_none_are_named(field: str, label: str, value: str) -> None:
    reply = Door().get(f"&to=1&from=1&text=x&{field}={value}".encode())
    assert (reply.status, reply.body.decode()) == (400, f"{label} field misformed, rejected")


@pytest.mark.parametrize("udh", [b"%05", b"%FF%00", b"%8C" + b"%00" * 140, b"%05%00%03%01%02"])
def test_http_08_udhs_that_are_none(udh: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=x&udh=" + udh).status == 400


@pytest.mark.parametrize("udh", ["050", "zz", "06", "0500030102", "8c" + "00" * 140])
def test_http_08_a_udh_in_json_is_hex_and_whole(udh: str) -> None:
    door = Door()
    body = b'{"username":"tester","password":"foobar","to":"1","from":"1","text":"x","udh":"%b"}'
    body %= udh.encode()
    head = b"POST /cgi-bin/sendsms" + HOST + b"Content-Type: application/json\r\n"
    assert door.line.ask(head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)).status == 400
    assert not door.gateway.orders


def test_http_10_a_field_twice_is_refused_and_in_a_kannel_conf_the_first_wins() -> None:
    assert Door().get(b"&to=1&to=2&from=1&text=x").status == 400
    kannel = Door(HttpConfig(strict=False, login_failures=0))
    assert kannel.get(b"&to=1&to=2&from=1&text=x").status == 202
    assert kannel.gateway.orders[0].receivers == ["1"]


@pytest.mark.parametrize("field", ["from", "smsc", "account", "binfo", "meta-data", "dlr-url"])
@pytest.mark.parametrize("end", ["%0d%0aX: y", "%00", "%0a", "%1b[2J"])
def test_http_11_control_characters_stay_outside(field: str, end: str) -> None:
    value = "https://platform.example/" if field == "dlr-url" else "a"
    sender = "" if field == "from" else "&from=1"
    reply = Door().get(f"&to=1{sender}&text=x&{field}={value}{end}".encode())
    assert reply.status == 400


def test_http_24_too_many_fields() -> None:
    assert Door().get(b"&to=1&from=1&text=x" + b"&b" * 101).status == 400


def test_http_03_a_user_unknown_and_a_password_wrong_are_one_answer() -> None:
    door = Door()
    replies = [
        door.line.ask(b"GET /cgi-bin/sendsms?%b HTTP/1.1\r\nHost: h\r\n\r\n" % query)
        for query in (b"username=tester&password=x", b"username=x&password=foobar", b"", b"user=")
    ]
    assert len({(reply.status, reply.body) for reply in replies}) == 1


CHUNKED = b"Transfer-Encoding: chunked\r\n"
BAD_REQUESTS = {  # what is sent, and the status that answers it
    "http-18 TRACE": (b"TRACE /" + HOST + b"\r\n", 405),
    "http-18 CONNECT": (b"CONNECT h:80" + HOST + b"\r\n", 405),
    "http-18 OPTIONS": (b"OPTIONS *" + HOST + b"\r\n", 405),
    "http-18 DELETE": (b"DELETE /cgi-bin/sendsms" + HOST + b"\r\n", 405),
    "http-18 PUT": (b"PUT /cgi-bin/sendsms" + HOST + b"Content-Length: 0\r\n\r\n", 405),
    "http-18 unknown": (b"FROB /" + HOST + b"\r\n", 400),
    "http-26 no Host": (b"GET /cgi-bin/sendsms HTTP/1.1\r\n\r\n", 400),
    "http-26 two": (b"GET /cgi-bin/sendsms HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    "http-20 obs-fold": (b"GET /" + HOST + b"A: b\r\n c\r\n\r\n", 400),
    "http-20 blank before colon": (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
    "http-16 version 0.9": (b"GET / HTTP/0.9\r\n\r\n", 400),
    "http-16 version 3.7": (b"GET / HTTP/3.7\r\nHost: h\r\n\r\n", 400),
    "http-16 TLS": (b"\x16\x03\x01\x02\x00\x01", 400),
    "http-16 NUL": (b"GET /" + HOST + b"A: \0\r\n\r\n", 400),
    "http-16 line": (b"GET /" + b"a" * 140_000 + HOST + b"\r\n", 414),
    "http-16 header": (b"GET /" + HOST + b"A: b\r\n" * 4000 + b"\r\n", 431),
    "http-16 body": (
        b"POST /cgi-bin/sendsms" + HOST + b"Content-Length: 70000\r\n\r\n" + b"x" * 70000,
        413,
    ),
    "http-16 chunked body": (
        b"POST /cgi-bin/sendsms" + HOST + CHUNKED + b"\r\n" + b"ff\r\n%b\r\n" % (b"x" * 255) * 300,
        413,
    ),
    "http-20 two lengths": (
        b"POST /" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        400,
    ),
    "http-20 CL.TE": (
        b"POST /" + HOST + b"Content-Length: 1\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
        400,
    ),
    "http-20 xchunked": (b"POST /" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "http-17 chunk 0x5": (b"POST /" + HOST + CHUNKED + b"\r\n0x5\r\nhello\r\n0\r\n\r\n", 400),
    "http-17 chunk -1": (b"POST /" + HOST + CHUNKED + b"\r\n-1\r\n\r\n", 400),
    "http-17 chunk lies": (b"POST /" + HOST + CHUNKED + b"\r\n2\r\nhello\r\n0\r\n\r\n", 400),
    "http-17 chunk 2^64": (b"POST /" + HOST + CHUNKED + b"\r\nfffffffffffffffff\r\n", 400),
    "http-19 dots": (b"GET /../../etc/passwd" + HOST + b"\r\n", 404),
    "http-19 coded dots": (b"GET /%2e%2e/etc/passwd" + HOST + b"\r\n", 404),
    "http-19 two slashes": (b"GET //cgi-bin/sendsms" + HOST + b"\r\n", 404),
    "http-19 coded slash": (b"GET /cgi-bin%2fsendsms" + HOST + b"\r\n", 404),
    "http-19 case": (b"GET /CGI-BIN/sendsms" + HOST + b"\r\n", 404),
    "http-19 absolute": (b"GET http://evil/cgi-bin/sendsms" + HOST + b"\r\n", 404),
}


@pytest.mark.parametrize(("request_", "status"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_each_bad_request_has_its_status(request_: bytes, status: int) -> None:
    door = Door()
    assert door.raw(request_) == status
    assert not door.gateway.orders
    if status != 404:
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
def test_http_20_nothing_is_smuggled_behind_a_doubtful_request(smuggled: bytes) -> None:
    door = Door()
    good = b"GET /cgi-bin/sendsms?%b&to=1&from=1&text=x HTTP/1.1\r\nHost: h\r\n\r\n" % LOGIN
    door.line.send(smuggled + good)
    assert not door.gateway.orders
    assert door.line.replies()[0].status == 400


def test_http_25_a_slow_request_is_cut_off() -> None:
    door = Door()
    for octet in b"GET /cgi-bin/se":
        door.line.send(bytes((octet,)))
        door.clock.advance(1.0)
    assert door.line.wire.aborted
    assert door.intake.counts.notes["cut_off"] == 1


def test_http_21_a_caller_that_goes_away_is_counted_and_its_message_is_kept() -> None:
    door = Door()
    door.gateway.waiting = []
    asked = b"GET /cgi-bin/sendsms?%b&to=1&from=1&text=x HTTP/1.1\r\nHost: h\r\n\r\n" % LOGIN
    door.line.send(asked)
    door.line.connection.connectionLost()
    door.gateway.waiting[0](Acceptance(Verdict.ACCEPTED))
    assert len(door.gateway.orders) == 1
    assert door.intake.counts.notes["answered_to_nobody"] == 1


@pytest.mark.parametrize("text", ["x" * 60_000, "\u0301" * 5000, "ы" * 1000, "€" * 3000])
def test_http_14_a_text_above_max_messages_is_refused(text: str) -> None:
    gateway = Flows(config())
    assert gateway.send(text).verdict is Verdict.TOO_LONG
    assert not gateway.kept()


AT_BORDERS = (
    "€",
    "\U0001f600",
    "\U0001f1f2\U0001f1ff",
    "e\u0301",
    "[",
    "\0",
    "\U0001f468\u200d\U0001f469",
)


@pytest.mark.parametrize("mark", AT_BORDERS)
@pytest.mark.parametrize("header", [b"", b"\x06\x05\x04\x0b\x84\x23\xf0"])
def test_http_15_no_character_is_cut_in_two_at_a_border(mark: str, header: bytes) -> None:
    options = TextOptions(max_messages=255)
    for before in [*range(60, 72), *range(145, 163)]:
        text = nfc("x" * before + mark + "y" * 200)
        encoded = encode_text(text, options)
        parts = split(encoded.octets, encoded.coding, options, udh=header).parts
        shown = [_shown(payload, encoded.coding) for payload, _ in parts]
        assert "".join(shown) == text
        assert any(nfc(mark) in part for part in shown)


def _shown(payload: bytes, coding: int) -> str:
    return decode_ucs2(payload)[0] if coding == Coding.UCS2 else decode_gsm(payload)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (b"", 403),
        (b"username=&password=foobar&to=1&text=x", 403),
        (b"username=tester&to=1&text=x", 403),
        (b"username=tester&password=&to=1&text=x", 403),
        (b"username=tester&password=foobar&text=x&from=1", 400),
        (b"username=tester&password=foobar&to=&text=x&from=1", 400),
    ],
)
def test_http_01_what_is_missing_or_empty_is_told(query: bytes, status: int) -> None:
    door = Door()
    reply = door.line.ask(b"GET /cgi-bin/sendsms?" + query + HOST + b"\r\n")
    assert reply.status == status
    assert reply.body
    assert not door.gateway.orders


def test_http_01_no_text_is_an_empty_one_as_for_kannel() -> None:
    for text in (b"", b"&text="):
        door = Door()
        assert door.get(b"&to=1&from=1" + text).status == 202
        assert len(door.gateway.orders) == 1


@pytest.mark.parametrize("coding", [b"3", b"9", b"-2", b"255"])
def test_http_07_a_coding_that_is_none_is_refused(coding: bytes) -> None:
    assert Door().get(b"&to=1&from=1&text=x&coding=" + coding).status == 400


@pytest.mark.parametrize("coding", [b"0", b"1", b"2"])
def test_http_07_the_three_codings_are_taken(coding: bytes) -> None:
    door = Door()
    assert door.get(b"&to=1&from=1&text=ab&coding=" + coding).status == 202
    assert [order.coding for order in door.gateway.orders] == [int(coding)]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_http_18_a_head_is_a_get_without_the_body(method: bytes) -> None:
    door = Door()
    asked = method + b" /cgi-bin/sendsms?" + LOGIN + b"&to=1&from=1&text=x" + HOST + b"\r\n"
    assert door.raw(asked) == 202


def test_http_17_who_expects_to_be_told_is_told_and_nobody_waits() -> None:
    door = Door()
    body = LOGIN + b"&to=1&from=1&text=x"
    head = b"POST /cgi-bin/sendsms" + HOST + b"Expect: 100-continue\r\nContent-Length: %d\r\n"
    form = b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"
    door.line.send(head % len(body) + form)
    assert door.line.taken().startswith(b"HTTP/1.1 100 ")
    assert door.line.ask(body).status == 202
    assert door.raw(head.replace(b"100-continue", b"the moon") % len(body) + form + body) == 202


def test_http_21_a_body_that_does_not_come_is_cut_off_like_a_slow_one() -> None:
    door = Door()
    door.line.send(b"POST /cgi-bin/sendsms" + HOST + b"Content-Length: 50\r\n\r\nusername=")
    door.clock.pump([1.0] * 15)
    assert door.line.wire.aborted
    assert not door.gateway.orders


def test_http_24_connections_have_a_limit_per_address_and_in_all() -> None:
    door = Door(HttpConfig(max_connections=20, max_connections_per_address=5))
    lines = [Line(door.intake, "192.0.2.1") for _ in range(10)]
    assert sum(line.refused for line in lines) == 5
    others = [Line(door.intake, f"192.0.2.{n}") for n in range(2, 30)]
    assert door.intake.connections == 20
    assert others[-1].refused
    assert door.intake.counts.notes["refused_connection"] == 5 + len(others) - 14


def test_http_24_300_000_fields_are_refused() -> None:
    door = Door()
    body = b"a&" * 30_000
    form = b"Content-Type: application/x-www-form-urlencoded\r\n"
    head = b"POST /cgi-bin/sendsms" + HOST + form + b"Content-Length: %d\r\n\r\n" % len(body)
    for _ in range(10):
        assert door.line.ask(head + body).status == 400


def test_http_27_a_flood_of_pipelined_requests_is_spread_over_turns() -> None:
    door = Door()
    one = b"GET /cgi-bin/sendsms?" + LOGIN + b"&to=1&from=1&text=x" + HOST + b"\r\n"
    door.line.send(one * 2000)
    assert 0 < len(door.gateway.orders) < 100
    door.clock.pump([0.0] * 100)
    assert len(door.gateway.orders) == 2000


def test_http_28_refusals_are_counted_by_status_and_logged_ever_less_often(
    lines: list[str],
) -> None:
    door = Door()
    for _ in range(100):
        door.get(b"&to=1&text=zebra&from=zebrazebra%0d%0azebra")
        other = Line(door.intake)
        other.send(b"zebra\x1b[2J\r\n\r\n")
        other.connection.connectionLost()
    assert door.intake.counts.answered == {("/cgi-bin/sendsms", 400): 100, ("", 400): 100}
    assert len(lines) == 14  # at 1, 2, 4 ... 64 of each
    refused = "sendsms refused tester at 127.0.0.1: 400 Sender field misformed, rejected"
    assert lines[0] == f"{refused}, 1 so far"
    assert lines[1] == "A request from 127.0.0.1 was answered 400, 1 so far"
    assert not any("zebra" in line for line in lines)


def test_a_kannel_conf_keeps_kannels_one_status() -> None:
    http = replace(HttpConfig(), strict=False, require_host=False)
    for request in (b"TRACE / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 140_000 + b" HTTP/1.1\r\n\r\n"):
        assert Door(http).raw(request) == 400
