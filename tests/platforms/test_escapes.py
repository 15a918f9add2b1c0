"""Kannel's escapes: each code, words, encoding, and what is left alone."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_to_bytes

from hypothesis import example, given, settings
from hypothesis import strategies as st

from gatewayd.platforms import escapes
from gatewayd.platforms.escapes import Needs, Values, url_encode, words_needed


def values(text: bytes = b"key one two three", **changes: Any) -> Values:
    fields: dict[str, Any] = {
        "text": text,
        "sender": "+5582999000111",
        "receiver": "28282",
        "smsc": "smsc1",
        "uuid": "u-1",
        "time": 1795300188.9,
        "service": "svc",
    }
    return Values(**(fields | changes))


def expand(template: str, text: bytes = b"key one two three", **changes: Any) -> str:
    return escapes.compile(template).expand(values(text, **changes))


def test_words_are_taken_in_order_and_the_rest_is_what_no_word_escape_took() -> None:
    assert expand("%k|%s|%S|%s|%s|%r|%a") == "key|one|two|three|||key+one+two+three"
    assert expand("%s %r") == "one two+three"
    assert expand("%r %s") == "one+two+three one"


def test_a_bare_word_is_not_encoded_but_stars_and_octets_no_url_may_hold_are() -> None:
    assert expand("%S", b"k a*b&c\xc3\xa9\x01") == "a~b&c%C3%A9%01"


def test_blanks_of_every_kind_part_words_in_ucs2_too() -> None:
    assert expand("%a", b"  a \t b\r\nc\x0b\x0cd ") == "a+b+c+d"
    assert expand("%k|%s", b"\x00h\x00i\x00 \xd8=\xde\x00") == "%00h%00i%00|%D8%3D%DE%00"


def test_a_leading_double_zero_is_written_as_a_plus_by_q_alone() -> None:
    assert expand("%p %q", sender="0055") == "0055 %2B55"
    assert expand("%P %Q", receiver="0028") == "0028 %2B28"


def test_times_are_utc_and_whole_seconds() -> None:
    assert expand("%t %T") == "2026-11-21+22:29:48 1795300188"
    assert expand("%t", time=1e30) == "1970-01-01+00:00:00"


def test_meta_data_gives_single_values_decoded_and_encoded_again() -> None:
    meta = "?orig_msg?dlr_mask=31&?smpp?dlr_err=%03%00%2A&x=a%20b&"
    assert expand("%#smpp#dlr_err#", meta=meta) == "%03%00*"
    assert expand("%#smpp#x#", meta=meta) == "a+b"
    assert expand("%#orig_msg#dlr_mask#", meta=meta) == "31"
    assert expand("[%#smpp#none#%#none#x#]", meta=meta) == "[]"
    assert expand("%D", meta="?smpp?") == "%3Fsmpp%3F"


def test_what_is_no_escape_stays_as_it_is() -> None:
    assert expand("%x %zz %2 %#a# %") == "%x %zz %2 %#a# %"
    assert expand("%%p") == "%p"


def test_half_a_surrogate_pair_does_not_stop_a_message() -> None:
    assert expand("%p", sender="a\ud800b") == "a%3Fb"
    assert expand("%p", sender="a\udce9b") == "a%E9b"  # an octet that was no UTF-8


def test_the_words_a_template_takes_are_counted() -> None:
    assert words_needed("http://x/?a=%s&b=%S") == Needs(2, False)
    assert words_needed("http://x/?a=%s&r=%r") == Needs(1, True)
    assert words_needed("%a") == Needs(0, True)
    assert words_needed("%%s %b") == Needs(0, False)
    assert words_needed("") == Needs(0, False)


@given(st.binary(max_size=60))
@settings(max_examples=150)
def test_what_was_encoded_decodes_to_what_it_was(data: bytes) -> None:
    encoded = url_encode(data)
    assert encoded.isascii()
    assert unquote_to_bytes(encoded.replace("+", " ")) == data


@given(st.text(alphabet=st.sampled_from("%#ksSrabpPIdxz1 é/"), max_size=30), st.binary(max_size=30))
@settings(max_examples=300)
@example("%#%#%##%", b"")
@example("%%%b%d%x%", b"one")
def test_any_template_expands_with_any_text(template: str, text: bytes) -> None:
    once = escapes.compile_once(template).expand(values(text))
    assert once == escapes.compile(template).expand(values(text))
    assert once == escapes.expand(template, values(text))


@given(st.text(max_size=30).filter(lambda text: "%" not in text))
@settings(max_examples=50)
def test_a_template_without_escapes_is_itself(template: str) -> None:
    assert escapes.compile_once(template).expand(values()) == template
