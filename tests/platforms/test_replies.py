"""Replies beyond the recordings: headers obeyed one by one, texts, local services."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import ChannelConfig, HttpConfig, TextOptions
from gatewayd.model import HttpAnswer, Mo, Order
from gatewayd.platforms.replies import local_reply, reply_to, request_failed

MO = Mo(id=1, smsc="s1", source="+551", destination="28", payload=b"key one+two")
HTTP = HttpConfig(
    reply_could_not_fetch="CNF",
    reply_could_not_represent="CNR",
    reply_request_failed="RF",
    reply_empty="EM",
)


def channel(**changes: Any) -> ChannelConfig:
    fields: dict[str, Any] = {"name": "svc", "get_url": "http://h/", "replies": True}
    return ChannelConfig(**(fields | changes))


def reply(
    body: bytes = b"hi", kind: str = "text/plain", *headers: tuple[str, str], **changes: Any
) -> Order:
    answer = HttpAnswer(200, (("Content-Type", kind), *headers), body)
    order = reply_to(MO, channel(**changes), answer, HTTP, now=1000.0)
    assert order is not None
    return order


def test_a_channel_that_does_not_reply_stays_silent_even_on_failure() -> None:
    for silent in (channel(replies=False), channel(text=TextOptions(max_messages=0))):
        for answer in (None, HttpAnswer(500), HttpAnswer(200, body=b"x")):
            assert reply_to(MO, silent, answer, HTTP, now=0.0) is None
        assert local_reply(MO, silent, HTTP, "id") is None


def test_the_texts_for_failures_are_those_of_the_configuration() -> None:
    for answer in (None, HttpAnswer(0, error="timeout"), HttpAnswer(204), HttpAnswer(500)):
        order = reply_to(MO, channel(), answer, HTTP, now=0.0)
        assert order is not None
        assert (order.text, order.source, order.receivers) == ("CNF", "28", ["+551"])
    assert reply(b"{}", "application/json").text == "CNR"
    assert reply(b"<x/>", "text/xml").text == "CNR"
    assert request_failed(MO, HTTP).text == "RF"


def test_an_empty_answer_becomes_the_text_for_it_unless_it_is_left_out() -> None:
    assert reply(b"").text == "EM"
    assert reply(b"<p> </p>", "text/html").text == "EM"
    empty = HttpAnswer(200, (("Content-Type", "text/plain"),))
    assert reply_to(MO, channel(omit_empty=True), empty, HTTP, now=0.0) is None


def test_the_sender_is_faked_or_global_or_whom_the_phone_wrote_to() -> None:
    answer = HttpAnswer(200, body=b"x")
    everywhere = HttpConfig(global_sender="77")
    for conf, http, source in (
        (channel(), HTTP, "28"),
        (channel(), everywhere, "77"),
        (channel(faked_sender="9"), everywhere, "9"),
    ):
        order = reply_to(MO, conf, answer, http, now=0.0)
        assert order is not None
        assert order.source == source


def test_a_reply_goes_back_the_way_the_mo_came_unless_told_otherwise() -> None:
    assert reply().smsc == "s1"
    assert reply(forced_smsc="f", default_smsc="d").smsc == "f"
    asked = ("X-Kannel-SMSC", "x")
    assert reply(b"a", "text/plain", asked, accept_headers=True).smsc == "x"
    assert reply(b"a", "text/plain", asked, accept_headers=True, forced_smsc="f").smsc == "f"


def test_the_reports_of_a_reply_are_the_services() -> None:
    order = reply(dlr_url="http://h/d", dlr_mask=31)
    assert (order.dlr_url, order.dlr_mask) == ("http://h/d", 31)
    assert reply(dlr_mask=31).dlr_mask == 0


def test_every_header_is_obeyed() -> None:
    order = reply(
        b"x",
        "text/plain",
        ("x-kannel-from", "9"),
        ("X-Kannel-To", "4"),
        ("X-Kannel-Validity", "60"),
        ("X-Kannel-Deferred", "10"),
        ("X-Kannel-MClass", "0"),
        ("X-Kannel-MWI", "2"),
        ("X-Kannel-PID", "64"),
        ("X-Kannel-RPI", "1"),
        ("X-Kannel-Alt-DCS", "1"),
        ("X-Kannel-Compress", "1"),
        ("X-Kannel-Priority", "3"),
        ("X-Kannel-DLR-Mask", "31"),
        ("X-Kannel-DLR-Url", "https://h/d"),
        ("X-Kannel-Account", "acc"),
        ("X-Kannel-BInfo", "b"),
        ("X-Kannel-Meta-Data", "?smpp?a=b&"),
        ("X-Kannel-UDH", "0400010203"),
        accept_headers=True,
    )
    assert (order.source, order.receivers) == ("9", ["4"])
    assert (order.validity, order.deferred) == (4600.0, 1600.0)
    assert (order.mclass, order.mwi, order.pid, order.rpi) == (0, 2, 64, 1)
    assert (order.alt_dcs, order.compress, order.priority) == (1, 1, 3)
    assert (order.dlr_mask, order.dlr_url) == (31, "https://h/d")
    assert (order.account, order.binfo, order.meta) == ("acc", "b", "?smpp?a=b&")
    assert order.udh == b"\x04\x00\x01\x02\x03"


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("X-Kannel-MClass", "4", "mclass"),
        ("X-Kannel-PID", "-1", "pid"),
        ("X-Kannel-PID", "1" * 5000, "pid"),
        ("X-Kannel-Priority", "x", "priority"),
        ("X-Kannel-Validity", "9" * 11, "validity"),
        ("X-Kannel-Account", "a" * 65, "account"),
        ("X-Kannel-Account", "a]b", "account"),
        ("X-Kannel-DLR-Url", "file:///etc/passwd", "dlr_url"),
        ("X-Kannel-UDH", "0500", "udh"),
        ("X-Kannel-UDH", "zz", "udh"),
        ("X-Kannel-UDH", "c8" + "00" * 200, "udh"),
        ("X-Kannel-Coding", "3", "coding"),
    ],
)
def test_a_header_that_makes_no_sense_is_ignored(name: str, value: str, field: str) -> None:
    order = reply(b"x", "text/plain", (name, value), accept_headers=True)
    assert getattr(order, field) == getattr(reply(), field)


def test_the_coding_asked_for_decides_what_the_body_becomes() -> None:
    two = reply(
        "ã".encode(), "text/plain; charset=utf-8", ("X-Kannel-Coding", "2"), accept_headers=True
    )
    assert (two.coding, two.data, two.text) == (2, b"\x00\xe3", "")
    one = reply(b"\x01\xff", "text/plain", ("X-Kannel-Coding", "1"), accept_headers=True)
    assert (one.coding, one.data) == (1, b"\x01\xff")


def test_octets_are_octets_only_where_headers_are_accepted_and_no_text_is_assumed() -> None:
    assert reply(b"\x01", "application/octet-stream", accept_headers=True).coding == 1
    assert reply(b"\x01", "application/octet-stream").coding == 0
    plain = reply(b"a", "application/octet-stream", accept_headers=True, assume_plain_text=True)
    assert (plain.coding, plain.text) == (0, "a")


def test_an_unknown_charset_counts_as_latin_1() -> None:
    assert reply(b"\xe9", "text/plain; charset=idna").text == "é"
    assert reply(b"\xc3\xa9", "text/plain", alt_charset="utf-8").text == "é"
    assert reply(b"\xc3\xa9", 'TEXT/PLAIN;x=1; Charset="UTF-8"').text == "é"


def test_markup_is_taken_away_in_one_pass() -> None:
    page = b"<!-- <b>x</b> -->a<br/>&lt;b&gt;&nbsp;<unclosed"
    assert reply(page, "text/html").text == "a<b>\xa0"
    assert reply(b"x<<y", "text/html", prefix="<<", suffix=">>").text == "x"


@given(st.binary(max_size=80), st.sampled_from(["text/html", "text/plain", "text/vnd.wap.wml", ""]))
@settings(max_examples=100)
def test_no_body_breaks_a_reply(body: bytes, kind: str) -> None:
    order = reply(body, kind, ("X-Kannel-UDH", "%ZZ"), accept_headers=True)
    assert order.text or order.data


def test_a_fixed_text_expands_its_escapes_url_encoded() -> None:
    order = local_reply(MO, channel(get_url="", text_reply="%s for %p"), HTTP, "id")
    assert order is not None
    assert order.text == "one%2Btwo for %2B551"


def test_a_file_is_the_text_and_a_missing_one_a_failure() -> None:
    def missing(path: str) -> bytes:
        raise FileNotFoundError(path)

    conf = channel(get_url="", file="/r/%k.txt")
    order = local_reply(MO, conf, HTTP, "id", lambda path: f"{path} é".encode())
    assert order is not None
    assert order.text == "/r/key.txt é"
    failed = local_reply(MO, conf, HTTP, "id", missing)
    assert failed is not None
    assert failed.text == "CNF"


def test_a_command_is_never_run() -> None:
    order = local_reply(MO, channel(get_url="", exec="echo %s"), HTTP, "id")
    assert order is not None
    assert order.text == "CNF"
