from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote_from_bytes, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import Config, HttpConfig, Limits, NumberRules, Secret, UserConfig
from gatewayd.errors import ConfigError
from gatewayd.model import Acceptance, Order, TextOptions, Verdict
from tests.web.http_bench import (
    KANNEL,
    OPEN,
    TESTER,
    WALL,
    Gateway,
    Line,
    Reply,
    kannel,
    sendsms_line,
)

Fields = Mapping[str, str | bytes]
NOTHING: Fields = {}

BASE: dict[str, str | bytes] = {
    "username": "tester",
    "password": "foobar",
    "from": "12345",
    "to": "5511",
    "text": "x",
}


def get(line: Line, also: Fields = NOTHING, drop: str = "", **fields: str | bytes) -> Reply:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    asked = {**BASE, **also, **named}
    query = urlencode({name: value for name, value in asked.items() if name != drop})
    return line.ask(f"GET /cgi-bin/sendsms?{query} HTTP/1.1\r\n\r\n".encode())


def order_of(
    config: Config | None = None, also: Fields = NOTHING, drop: str = "", **fields: str | bytes
) -> Order:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config)
    reply = get(line, also, drop, **fields)
    assert reply.status == 202, reply.body
    return gateway.orders[0]


def refusal_of(
    config: Config | None = None, also: Fields = NOTHING, drop: str = "", **fields: str | bytes
) -> str:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config)
    reply = get(line, also, drop, **fields)
    assert reply.status in (400, 403)
    assert not gateway.orders
    return reply.body.decode()


# -- answers


@pytest.mark.parametrize(
    ("verdict", "status", "body"),
    [
        (Verdict.ACCEPTED, 202, "0: Accepted for delivery"),
        (Verdict.QUEUED, 202, "3: Queued for later delivery"),
        (Verdict.UNROUTABLE, 403, "Not routable. Do not try again."),
        (Verdict.OVERLOADED, 503, "Temporal failure, try again later."),
        (Verdict.TOO_LONG, 400, "Text is too long, rejected"),
    ],
)
def test_each_verdict_has_its_answer(verdict: Verdict, status: int, body: str) -> None:
    line, _ = sendsms_line(Gateway(Acceptance(verdict)))
    reply = get(line)
    assert (reply.status, reply.body.decode()) == (status, body)
    assert reply.header("Content-type") == "text/html"


def test_an_overloaded_gateway_says_when_to_come_back() -> None:
    line, _ = sendsms_line(Gateway(Acceptance(Verdict.OVERLOADED)))
    assert get(line).header("Retry-After") == "30"
    line, _ = sendsms_line(Gateway(Acceptance(Verdict.OVERLOADED)), kannel())
    assert get(line).header("Retry-After") == ""


def test_the_answer_comes_when_the_order_is_decided() -> None:
    gateway = Gateway(waiting=[])
    line, _ = sendsms_line(gateway)
    query = urlencode(BASE).encode()
    line.send(b"GET /cgi-bin/sendsms?" + query + b" HTTP/1.1\r\n\r\n")
    assert line.taken() == b""
    assert gateway.waiting
    gateway.waiting[0](Acceptance(Verdict.QUEUED))
    assert line.replies()[0].body == b"3: Queued for later delivery"


@pytest.mark.parametrize(
    ("acceptance", "to", "answer"),
    [
        (Acceptance(Verdict.ACCEPTED), "5511", (202, "Sent.")),
        (Acceptance(Verdict.QUEUED, segments=3), "5511", (202, "Sent. Message splits: 3")),
        (Acceptance(Verdict.UNROUTABLE), "5511", (202, "Sent.")),
        (
            Acceptance(Verdict.ACCEPTED, segments=2),
            "abc 5511 x abc",
            (202, "Sent. Denied receivers are: abc x Message splits: 2"),
        ),
        (Acceptance(Verdict.OVERLOADED), "5511", (503, "Temporal failure, try again later.")),
        (Acceptance(Verdict.TOO_LONG), "5511", (400, "Text is too long, rejected")),
    ],
)
def test_an_immediate_reply_says_sent_and_who_was_denied(
    acceptance: Acceptance, to: str, answer: tuple[int, str]
) -> None:
    config = Config(users=(TESTER,), http=HttpConfig(immediate_reply=True))
    line, _ = sendsms_line(Gateway(acceptance), config)
    reply = get(line, to=to)
    assert (reply.status, reply.body.decode()) == answer


# -- the order of checks


def test_checks_are_made_in_kannels_order() -> None:
    wrong: dict[str, str | bytes] = {
        "password": "wrong",
        "to": "abc",
        "udh": b"\x06\x05",
        "from": "",
        "account": "a[b",
        "dlr-url": "http",
        "dlr-mask": "67",
        "mclass": "4",
        "pid": "256",
        "rpi": "3",
        "alt-dcs": "2",
        "mwi": "8",
        "coding": "3",
        "compress": "2",
        "validity": "-2",
        "deferred": "-2",
        "priority": "4",
        "charset": "nosuch",
    }
    said = []
    for name in [
        "password",
        "udh",
        "to",
        "from",
        "account",
        "dlr-url",
        "dlr-mask",
        "mclass",
        "pid",
        "rpi",
        "alt-dcs",
        "mwi",
        "coding",
        "compress",
        "validity",
        "deferred",
        "priority",
        "charset",
    ]:
        said.append(refusal_of(kannel(), wrong))
        if name in BASE:
            wrong[name] = BASE[name]
        else:
            del wrong[name]
    assert said == [
        "Authorization failed for sendsms",
        "UDH field misformed, rejected",
        "Number(s) has/have been denied by white- and/or black-lists.",
        "Sender missing and no global set, rejected",
        "Account field misformed or too long, rejected",
        "DLR-URL field misformed, rejected",
        "DLR-Mask field misformed, rejected",
        "MClass field misformed, rejected",
        "PID field misformed, rejected",
        "RPI field misformed, rejected",
        "Alt-DCS field misformed, rejected",
        "MWI field misformed, rejected",
        "Coding field misformed, rejected",
        "Compress field misformed, rejected",
        "Validity field misformed, rejected",
        "Deferred field misformed, rejected",
        "Priority field misformed, rejected",
        "Charset or body misformed, rejected",
    ]


def test_receivers_are_looked_at_after_the_credentials() -> None:
    assert refusal_of(drop="to") == "Missing receiver number, rejected"
    assert refusal_of(to="") == "Empty receiver number not allowed, rejected"
    assert refusal_of(drop="to", password="x") == "Authorization failed for sendsms"


@pytest.mark.parametrize("missing", ["username", "password"])
def test_credentials_are_needed(missing: str) -> None:
    assert refusal_of(drop=missing) == "Authorization failed for sendsms"


def test_the_short_names_of_credentials_do_not_replace_the_long_ones() -> None:
    assert order_of(drop="username", user="tester").user == "tester"
    assert order_of(also={"pass": "foobar"}, drop="password").user == "tester"
    assert refusal_of(username="", user="tester") == "Authorization failed for sendsms"


def test_a_user_may_come_from_its_addresses_only() -> None:
    config = Config(users=(replace(TESTER, allow_ip=("10.0.0.1",)),))
    gateway = Gateway()
    outside, _ = sendsms_line(gateway, config, peer="10.0.0.2")
    inside, _ = sendsms_line(gateway, config, peer="10.0.0.1")
    assert get(outside).body == b"Authorization failed for sendsms"
    assert get(inside).status == 202


# -- receivers


def test_receivers_are_separated_by_blanks_and_each_is_sent_once() -> None:
    order = order_of(to=" 5511\t5522\n5511  +5533 ")
    assert order.receivers == ["5511", "5522", "+5533"]


def test_receivers_with_other_characters_are_denied_alone() -> None:
    assert order_of(to="5511 abc 55,22").receivers == ["5511"]
    config = Config(users=(TESTER,), http=HttpConfig(receiver_characters="0123456789*"))
    assert order_of(config, to="*100 +5511").receivers == ["*100"]


def test_too_many_receivers_are_refused() -> None:
    config = Config(users=(TESTER,), limits=Limits(receivers=3))
    assert order_of(config, to="1 2 3 ").receivers == ["1", "2", "3"]
    assert refusal_of(config, to="1 2 3 4") == "Too many receivers, rejected"


def test_a_number_no_smsc_takes_is_denied_in_strict_mode_only() -> None:
    long = "5" * 25
    assert "denied" in refusal_of(to=long)
    assert order_of(kannel(), to=long).receivers == [long]
    assert order_of(to="+" + "5" * 20).receivers == ["+" + "5" * 20]


def test_lists_of_the_user_and_of_sendsms_both_count(tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.write_text("5522\n")
    config = Config(
        users=(replace(TESTER, numbers=NumberRules(white_list_regex="^55")),),
        http=HttpConfig(numbers=NumberRules(black_list=str(black))),
    )
    gateway = Gateway()
    line, sendsms = sendsms_line(gateway, config)
    get(line, to="4411 5522 5533")
    black.write_text("5533\n")
    get(line, to="4411 5522 5533")
    sendsms.reload_lists()
    get(line, to="4411 5522 5533")
    assert [order.receivers for order in gateway.orders] == [["5533"], ["5533"], ["5522"]]
    black.unlink()
    with pytest.raises(ConfigError):
        sendsms.reload_lists()
    get(line, to="5522 5533")
    assert gateway.orders[-1].receivers == ["5522"]


# -- sender and route


def test_the_sender_is_faked_given_default_or_global_in_this_order() -> None:
    everything = replace(TESTER, faked_sender="777", default_sender="888")
    assert order_of(Config(users=(everything,))).source == "777"
    some = replace(TESTER, default_sender="888")
    assert order_of(Config(users=(some,))).source == "12345"
    assert order_of(Config(users=(some,)), drop="from").source == "888"
    config = Config(users=(TESTER,), http=HttpConfig(global_sender="999"))
    assert order_of(config, {"from": ""}).source == "999"
    assert refusal_of(drop="from") == "Sender missing and no global set, rejected"


def test_the_smsc_is_forced_given_or_default_and_empty_is_a_value() -> None:
    forced = Config(users=(replace(TESTER, forced_smsc="f", default_smsc="d"),))
    default = Config(users=(replace(TESTER, default_smsc="d"),))
    assert order_of(forced, smsc="x").smsc == "f"
    assert order_of(default, smsc="x").smsc == "x"
    assert order_of(default, smsc="").smsc == ""
    assert order_of(default).smsc == "d"
    assert order_of(smsc="").smsc == ""
    assert order_of().smsc is None


def test_the_order_carries_what_the_user_is() -> None:
    options = TextOptions(max_messages=2)
    user = replace(TESTER, name="svc", text=options, channel="rapid", dlr_url="http://u/dlr")
    order = order_of(Config(users=(user,)))
    assert (order.user, order.options, order.channel) == ("svc", options, "rapid")
    assert order.dlr_url == "http://u/dlr"
    config = Config(users=(user,), http=OPEN)
    assert order_of(config, dlr_url="http://own/").dlr_url == "http://own/"


def test_all_numbers_arrive_in_the_order() -> None:
    order = order_of(
        dlr_mask="31",
        mclass="1",
        pid="255",
        rpi="2",
        alt_dcs="1",
        mwi="7",
        compress="1",
        validity="60",
        deferred="10",
        priority="3",
        account="acc",
        binfo="b",
        meta_data="?smpp?a=b",
    )
    assert (order.dlr_mask, order.mclass, order.pid, order.rpi) == (31, 1, 255, 2)
    assert (order.alt_dcs, order.mwi, order.compress, order.priority) == (1, 7, 1, 3)
    assert (order.validity, order.deferred) == (WALL + 3600, WALL + 600)
    assert (order.account, order.binfo, order.meta) == ("acc", "b", "?smpp?a=b")


def test_numbers_that_are_none_or_minus_one_count_as_absent() -> None:
    also = {"priority": " -1x"}
    order = order_of(kannel(), also, dlr_mask="-1", mclass="abc", coding="", validity="-1")
    assert (order.dlr_mask, order.mclass, order.coding, order.validity) == (0, -1, 0, 0.0)
    order = order_of(kannel(), also, dlr_mask="x", validity="", deferred="soon", priority="")
    assert (order.dlr_mask, order.validity, order.deferred, order.priority) == (0, 0.0, 0.0, -1)
    order = order_of(kannel(), also, validity="0", deferred="-1")
    assert (order.validity, order.deferred) == (WALL, 0.0)


def test_old_names_of_the_report_fields_still_count() -> None:
    order = order_of(dlrmask="1", dlrurl="http://a/")
    assert (order.dlr_mask, order.dlr_url) == (1, "http://a/")
    order = order_of(dlrmask="1", dlr_mask="2")
    assert order.dlr_mask == 2


def test_an_endless_validity_is_a_long_one() -> None:
    assert order_of(kannel(), validity="9" * 30).validity < WALL + 11 * 366 * 86400


@pytest.mark.parametrize(
    "url",
    [
        "http",
        "ftp://a/bcd",
        "http://",
        "file:///etc/passwd",
        "http://a/\r\nX: y",
        "http://a/\0",
        "http://a/" + "x" * 5000,
    ],
)
def test_a_report_url_must_be_one(url: str) -> None:
    assert refusal_of(dlr_url=url) == "DLR-URL field misformed, rejected"
    assert refusal_of(kannel(), dlr_url=url) == "DLR-URL field misformed, rejected"


@pytest.mark.parametrize("url", ["http://a", "HTTPS://a.b/c?d=%d"])
def test_a_report_url_may_be_short_and_in_capitals(url: str) -> None:
    assert order_of(dlr_url=url).dlr_url == url


# -- text


def test_text_is_utf_8_unless_a_charset_says_otherwise() -> None:
    assert order_of(text="çã€").text == "çã€"
    assert order_of(text=b"\xe9", charset="ISO-8859-1").text == "é"
    order = order_of(text=b"\0a\0b", coding="0", charset="utf-16be")
    assert (order.text, order.coding, order.charset) == ("ab", 0, "utf-16be")


def test_a_missing_text_is_an_empty_one() -> None:
    assert order_of(drop="text").text == ""
    assert order_of(text="", coding="2").data == b""


def test_invalid_utf_8_is_refused_or_cuts_the_text() -> None:
    assert refusal_of(text=b"a\xe9b") == "Charset or body misformed, rejected"
    assert order_of(kannel(), text=b"a\xe9b").text == "a"
    assert refusal_of(text=b"a\xed\xa0\x80b") == "Charset or body misformed, rejected"


def test_coding_2_without_a_charset_is_raw_utf_16() -> None:
    assert order_of(text=b"\x26\x3a\0 \r\n", coding="2").data == b"\x26\x3a\0 \r\n"
    assert refusal_of(text=b"abc", coding="2") == "Charset or body misformed, rejected"
    assert order_of(kannel(), text=b"abc", coding="2").data == b"abc"


@pytest.mark.parametrize("charset", ["utf8", "UTF-8", "Utf-8"])
def test_coding_2_with_a_charset_is_converted(charset: str) -> None:
    data = order_of(text="☺é😀", coding="2", charset=charset).data
    assert data == "☺é😀".encode("utf-16-be")


def test_octets_no_charset_knows_are_refused_or_copied() -> None:
    fields: dict[str, str | bytes] = {"text": b"a\xe9b", "coding": "2", "charset": "UTF-8"}
    assert refusal_of(also=fields) == "Charset or body misformed, rejected"
    assert order_of(kannel(), fields).data == b"\0a\xe9\0b"


def test_octets_are_taken_as_they_are() -> None:
    order = order_of(text=bytes(range(256)), coding="1", charset="nosuch")
    assert (order.coding, order.data, order.charset) == (1, bytes(range(256)), "")


def test_a_udh_makes_octets_of_the_text_and_must_fit_its_length() -> None:
    order = order_of(udh=b"\x02\x00\x01", text=b"\xff")
    assert (order.coding, order.udh, order.data) == (1, b"\x02\x00\x01", b"\xff")
    assert order_of(udh=b"\x02\x00\x01", coding="0").coding == 0
    assert order_of(udh=b"").coding == 0
    assert refusal_of(udh=b"\x8f" + bytes(143)) == "UDH field is too long, rejected"
    assert refusal_of(udh="06050415820000") == "UDH field misformed, rejected"


@pytest.mark.parametrize("name", ["from", "smsc", "account", "binfo", "meta-data"])
@pytest.mark.parametrize("value", [b"a\0b", b"a\x1bm", b"a\x7f", b"a\xe9"])
def test_control_characters_and_bad_utf_8_in_fields_are_refused_in_strict_mode_only(
    name: str, value: bytes
) -> None:
    assert "field misformed" in refusal_of(also={name: value})
    order_of(kannel(), {name: value})


def test_a_sender_no_smsc_takes_is_refused_in_strict_mode_only() -> None:
    assert refusal_of(also={"from": "9" * 22}) == "Sender field misformed, rejected"
    assert order_of(kannel(), {"from": "9" * 22}).source == "9" * 22


# -- garbage


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from([
    "from", "to", "text", "coding", "charset", "udh", "mclass", "mwi", "dlr-mask", "dlr-url",
    "validity", "deferred", "smsc", "account", "binfo", "meta-data", "priority",
]), st.binary(max_size=40)), st.booleans())  # fmt: skip
def test_whatever_the_fields_hold_one_answer_comes(fields: dict[str, bytes], strict: bool) -> None:
    config = Config(users=(TESTER,), http=replace(KANNEL, strict=strict))
    line, _ = sendsms_line(Gateway(), config)
    query = "&".join(f"{name}={quote_from_bytes(value)}" for name, value in fields.items())
    reply = line.ask(
        f"GET /cgi-bin/sendsms?username=tester&password=foobar&{query} HTTP/1.1\r\n\r\n".encode()
    )
    assert reply.status in (202, 400)


def test_a_password_never_shows_in_a_refused_configuration() -> None:
    user = UserConfig("u", Secret("hidden"), numbers=NumberRules(white_list_regex="("))
    with pytest.raises(ConfigError) as error:
        sendsms_line(Gateway(), Config(users=(user,)))
    assert "hidden" not in str(error.value)
    assert "user u white-list-regex" in str(error.value)
