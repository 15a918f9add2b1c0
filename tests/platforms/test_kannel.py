"""The Kannel format beyond the recordings: credentials, hostile values, verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import ChannelConfig
from gatewayd.model import HttpAnswer, Mo, Outcome, Report
from gatewayd.platforms.contract import load
from gatewayd.platforms.kannel import FORMAT, locate, without_keyword

MO = Mo(id=1, smsc="s1", source="+551", destination="28", payload=b"key hello", time=1795300188.0)


def test_credentials_leave_the_url_and_are_used_undecoded() -> None:
    assert locate("http://us%40er:pw@host:8/a?b=c@d") == (
        "http://host:8/a?b=c@d",
        "Basic dXMlNDBlcjpwdw==",
    )
    assert locate("http://host/a@b") == ("http://host/a@b", "")
    assert locate("http://u:p@host?x=/@") == ("http://host?x=/@", "Basic dTpw")


def test_credentials_come_first_after_the_user_agent_in_a_post() -> None:
    call = FORMAT.mo(MO, ChannelConfig(name="c", post_url="http://u:p@h/x"), "id")
    assert call.headers[1] == ("Authorization", "Basic dTpw")
    assert call.url == "http://h/x"


def test_a_report_carries_the_credentials_of_its_url() -> None:
    report = Report(id=1, message=1, status=8, url="http://u:p@h/x?%d")
    call = FORMAT.report(report, None, "id")
    assert (call.url, call.headers[1]) == ("http://h/x?8", ("Authorization", "Basic dTpw"))


def test_a_channel_gives_its_timeout() -> None:
    slow = ChannelConfig(name="c", get_url="http://h/", timeout=240.0)
    assert FORMAT.mo(MO, slow, "id").timeout == 240.0
    assert (
        FORMAT.report(Report(id=1, message=1, status=8, url="http://h/"), slow, "").timeout == 240
    )


def test_what_no_request_line_may_hold_is_escaped() -> None:
    assert locate("http://h/a b\r\né") == ("http://h/a%20b%0D%0A%C3%A9", "")


@given(st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=60)
def test_nothing_from_outside_ends_a_header_or_a_request_line(source: str, meta: str) -> None:
    mo = Mo(id=1, smsc=source, source=source, destination=meta, payload=b"x", binfo=meta, meta=meta)
    channel = ChannelConfig(name="c", post_url="http://h/?p=%p&P=%P&D=%D&S=%S", send_sender=True)
    call = FORMAT.mo(mo, channel, "id")
    assert call.url.isascii()
    assert call.url.isprintable()
    assert not any(set("\r\n\0") & set(value) for _, value in call.headers)


def test_recoding_makes_utf8_of_any_ucs2_octets() -> None:
    channel = ChannelConfig(name="c", get_url="http://h/?%b&%c&%C")
    odd = Mo(
        id=1, smsc="", source="1", destination="2", payload=b"\x00a\xd8\x00\x00b\x01", coding=2
    )
    call = FORMAT.mo(odd, channel, "id")
    assert call.url == "http://h/?a%EF%BF%BDb%EF%BF%BD&0&UTF-8"


def test_recoding_may_be_off() -> None:
    channel = ChannelConfig(name="c", get_url="http://h/?%b&%c", mo_recode=False)
    mo = Mo(id=1, smsc="", source="1", destination="2", payload=b"\x00a", coding=2)
    assert FORMAT.mo(mo, channel, "id").url == "http://h/?%00a&2"


def test_an_unknown_alt_charset_changes_nothing() -> None:
    channel = ChannelConfig(name="c", get_url="http://h/?%b", alt_charset="x-none")
    mo = Mo(id=1, smsc="", source="1", destination="2", payload="é".encode())
    assert FORMAT.mo(mo, channel, "id").url == "http://h/?%C3%A9"


def test_a_posted_text_names_the_charset_it_is_in() -> None:
    channel = ChannelConfig(name="c", post_url="http://h/", alt_charset="ISO-8859-1")
    mo = Mo(id=1, smsc="", source="1", destination="2", payload="é".encode())
    call = FORMAT.mo(mo, channel, "id")
    assert call.body == b"\xe9"
    assert ("Content-Type", 'text/plain; charset="ISO-8859-1"') in call.headers


@pytest.mark.parametrize(
    ("text", "rest"),
    [(b"key a b", b"a b"), (b"  key  a  ", b"a  "), (b"key", b""), (b"", b""), (b"k\na", b"a")],
)
def test_the_keyword_is_the_first_word(text: bytes, rest: bytes) -> None:
    assert without_keyword(text) == rest


def test_the_xml_document_escapes_what_it_must() -> None:
    mo = Mo(id=1, smsc="a&b", source="<1>", destination="2", payload=b"x", meta="?g?a=1&b=2")
    channel = ChannelConfig(name="ção \N{SNOWMAN}", post_xml="http://h/", send_sender=True)
    body = FORMAT.mo(mo, channel, "id").body
    assert b"<number>&lt;1&gt;</number>" in body
    assert b"<account>a&amp;b</account>" in body
    assert b"<meta-data>?g?a=1&amp;b=2</meta-data>" in body
    assert b"<service>\xe7\xe3o &#9731;</service>" in body


@pytest.mark.parametrize("status", [0, 100, 201, 204, 301, 302, 400, 403, 404, 429, 500, 503])
def test_all_but_200_and_202_is_tried_again(status: int) -> None:
    assert FORMAT.mo_verdict(HttpAnswer(status)) is Outcome.RETRY
    assert FORMAT.report_verdict(HttpAnswer(status)) is Outcome.RETRY


@pytest.mark.parametrize("status", [200, 202])
def test_200_and_202_are_success(status: int) -> None:
    assert FORMAT.mo_verdict(HttpAnswer(status)) is Outcome.DONE
    assert FORMAT.report_verdict(HttpAnswer(status)) is Outcome.DONE


def test_both_formats_are_found_by_their_names() -> None:
    assert load("kannel") is FORMAT
    assert load("rapidpro").mo_verdict(HttpAnswer(204)) is Outcome.DONE
