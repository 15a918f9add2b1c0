"""The three forms of a sendsms POST."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import Config
from gatewayd.model import Order
from tests.web.http_bench import WALL, Gateway, Reply, kannel, sendsms_line


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
