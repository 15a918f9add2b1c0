"""Kannel's three forms of a sendsms POST, and our two."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import Config
from gatewayd.model import Order
from tests.web.http_bench import OPEN, TESTER, WALL, Gateway, Reply, kannel, sendsms_line


def post(
    content_type: str | None, body: bytes, config: Config | None = None, **headers: str
) -> tuple[Reply, list[Order]]:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config or kannel())
    fields = {"Username": "tester", "Password": "foobar", "From": "1", "To": "5511", **headers}
    lines = [f"X-Kannel-{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    head = "\r\n".join(["POST /cgi-bin/sendsms?to=1 HTTP/1.1", *lines])
    request = f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
    return line.ask(request), gateway.orders


def test_a_post_in_text_carries_the_fields_as_headers() -> None:
    reply, [order] = post(
        'TEXT/Plain;charset="UTF-8"',
        "é€".encode(),
        DLR_Mask="31",
        DLR_Url="http://a/b%20c",
        UDH="050003aa0201",
        Coding="0",
        Validity="5",
    )
    assert reply.status == 202
    assert (order.text, order.udh) == ("é€", bytes.fromhex("050003aa0201"))
    assert (order.dlr_mask, order.dlr_url) == (31, "http://a/b%20c")
    assert order.validity == WALL + 300


def test_a_udh_in_a_header_may_be_percent_encoded() -> None:
    _, [order] = post("text/plain", b"x", UDH="%05%00%03%aa%02%01")
    assert order.udh == bytes.fromhex("050003aa0201")
    reply, _ = post("text/plain", b"x", UDH="zz")
    assert reply.body == b"UDH field misformed, rejected"


def test_a_post_in_text_without_a_charset_is_latin_1() -> None:
    _, [order] = post("text/plain", "é".encode())
    assert order.text == "Ã©"


@pytest.mark.parametrize("content_type", [None, "application/octet-stream"])
def test_a_post_of_octets_is_octets(content_type: str | None) -> None:
    _, [order] = post(content_type, b"\0\x01\xff")
    assert (order.coding, order.data) == (1, b"\0\x01\xff")


@pytest.mark.parametrize(
    ("content_type", "headers", "status", "body"),
    [
        ("application/json", {}, 400, "Invalid content-type"),
        ("application/x-www-form-urlencoded", {"Password": "x"}, 400, "Invalid content-type"),
        ("text/html", {}, 415, "Unsupported content-type, rejected"),
        ("text/html", {"Password": "x"}, 403, "Authorization failed for sendsms"),
        ("text/html", {"To": ""}, 400, "Empty receiver number not allowed, rejected"),
        ("text/plain", {"To": "%2B5511"}, 400, "Number(s) has/have been denied by white- and/or "
         "black-lists."),
        ("text/plain", {"MClass": "9"}, 400, "MClass field misformed, rejected"),
        ("text/plain; charset=nosuch", {}, 400, "Charset or body misformed, rejected"),
    ],
)  # fmt: skip
def test_a_post_is_checked_like_a_get(
    content_type: str, headers: dict[str, str], status: int, body: str
) -> None:
    reply, orders = post(content_type, b"x", None, **headers)
    assert (reply.status, reply.body.decode()) == (status, body)
    assert not orders


def test_a_post_without_a_receiver_is_told_so_in_the_plural() -> None:
    line, _ = sendsms_line(Gateway())
    reply = line.ask(
        b"POST /cgi-bin/sendsms HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n"
        b"X-Kannel-Username: tester\r\nX-Kannel-Password: foobar\r\n\r\n"
    )
    assert reply.body == b"Missing receiver(s) number(s), rejected"


def xml(inner: str, head: str = '<?xml version="1.0"?>') -> str:
    return (
        f"{head}<message><submit>{inner}<oa><number>123</number></oa>"
        "<from><username>tester</username><password>foobar</password></from></submit></message>"
    )


RECEIVER = "<da><number> 5511 </number></da>"


def test_an_xml_text_is_stripped_and_unescaped() -> None:
    _, [order] = post("text/xml", xml(RECEIVER + "<ud> a&amp;b%41+c \n</ud>").encode())
    assert (order.text, order.receivers) == ("a&bA c", ["5511"])
    _, [order] = post("text/xml", xml(RECEIVER + "<ud><![CDATA[x<>]]></ud>").encode())
    assert order.text == "x<>"


def test_an_xml_document_may_name_its_encoding() -> None:
    head = '<?xml version="1.0" encoding="ISO-8859-1"?>'
    _, [order] = post("text/xml", xml(RECEIVER + "<ud>é</ud>", head).encode("latin-1"))
    assert order.text == "é"


BOMB = '<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>' + xml(
    RECEIVER + "<ud>&b;</ud>", ""
)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "not xml",
        xml(RECEIVER + "<ud>\xe9"),
        BOMB,
        xml(RECEIVER, '<?xml encoding="zip"?>'),
        xml(RECEIVER).replace("submit", "deliver"),
        xml(RECEIVER + "<ud>" * 40 + "</ud>" * 40),  # each costs its whole path
    ],
)
def test_what_is_no_xml_message_has_no_credentials(document: str) -> None:
    reply, orders = post("text/xml", document.encode("latin-1"))
    assert reply.body == b"Authorization failed for sendsms"
    assert not orders


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_whatever_an_xml_body_holds_one_answer_comes(body: bytes) -> None:
    reply, _ = post("text/xml", body)
    assert reply.status == 403


# -- our extensions: forms and JSON


def post_plain(
    content_type: str, body: str | bytes, query: str = "", config: Config | None = None
) -> tuple[Reply, list[Order]]:
    gateway = Gateway()
    line, _ = sendsms_line(gateway, config or Config(users=(TESTER,), http=OPEN))
    octets = body.encode() if isinstance(body, str) else body
    head = f"POST /cgi-bin/sendsms?{query} HTTP/1.1\r\nContent-Type: {content_type}\r\n"
    return line.ask(
        f"{head}Content-Length: {len(octets)}\r\n\r\n".encode() + octets
    ), gateway.orders


FORM = "application/x-www-form-urlencoded"
LOGIN = "username=tester&password=foobar"


@pytest.mark.parametrize("config", [kannel(), Config(users=(TESTER,), http=OPEN)])
def test_a_form_is_taken_like_a_query(config: Config) -> None:
    body = f"{LOGIN}&from=1&to=%2B5511&text=ol%C3%A1+%26&dlr-mask=3&dlr-url=http%3A%2F%2Fa%2Fb"
    reply, [order] = post_plain(f"{FORM}; charset=UTF-8", body, config=config)
    assert (reply.status, reply.body) == (202, b"0: Accepted for delivery")
    assert (order.text, order.receivers) == ("olá &", ["+5511"])
    assert (order.dlr_mask, order.dlr_url) == (3, "http://a/b")


def test_what_a_form_lacks_may_stand_in_the_query() -> None:
    reply, [order] = post_plain(FORM, "text=body&from=2", f"{LOGIN}&to=5511&from=1&text=x")
    assert (reply.status, order.text, order.source) == (202, "body", "2")
    _, [order] = post_plain(FORM, "", f"{LOGIN}&to=5511&from=1&text=x")
    assert order.text == "x"


def test_a_form_is_checked_like_a_query() -> None:
    reply, _ = post_plain(FORM, f"{LOGIN}&from=1&text=x")
    assert (reply.status, reply.body) == (400, b"Missing receiver number, rejected")
    reply, _ = post_plain(FORM, "username=tester&password=no&from=1&to=1&text=x")
    assert reply.status == 403


def test_a_form_without_a_login_is_what_it_is_for_kannel() -> None:
    reply, _ = post_plain(FORM, "from=1&to=1&text=x")
    assert (reply.status, reply.body) == (400, b"Invalid content-type")


def json_of(**fields: object) -> str:
    login = {"username": "tester", "password": "foobar", "from": "1", "to": "5511", "text": "x"}
    return json.dumps({**login, **fields})


def test_json_is_taken_where_it_is_allowed() -> None:
    reply, [order] = post_plain("application/json", json_of(text="olá ☺", priority=1))
    assert (reply.status, order.text, order.priority) == (202, "olá ☺", 1)
    _, [order] = post_plain("application/json", json_of(to=["5511", 5522]))
    assert order.receivers == ["5511", "5522"]
    reply, orders = post_plain("application/json", json_of(), config=kannel())
    assert (reply.status, reply.body, orders) == (400, b"Invalid content-type", [])


def test_json_is_text_whatever_the_coding_and_octets_are_hex() -> None:
    _, [order] = post_plain("application/json", json_of(text="☺", coding=2, udh="050003aa0201"))
    assert (order.data, order.udh) == ("☺".encode("utf-16-be"), bytes.fromhex("050003aa0201"))


def test_broken_json_is_told_in_a_line() -> None:
    reply, _ = post_plain("application/json", '{"to": ')
    assert reply.status == 400
    assert reply.body.startswith(b"Body is not JSON: ")
    assert b"\n" not in reply.body
