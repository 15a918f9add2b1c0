from __future__ import annotations

from urllib.parse import quote_from_bytes, quote_plus, unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.web.arguments import MOST_FIELDS, decode_query, read_integer, unescape


def test_plus_is_a_space_and_escapes_are_octets() -> None:
    assert decode_query(b"text=a+b%2Bc%00&to=%2B55") == {"text": b"a b+c\0", "to": b"+55"}


def test_malformed_escapes_stay() -> None:
    assert unescape(b"100%zz%2") == b"100%zz"
    assert unescape(b"%%41") == b"%A"


def test_an_escape_cut_short_by_the_end_is_dropped() -> None:
    assert unescape(b"100%") == b"100"
    assert unescape(b"x%4") == b"x"
    assert unescape(b"x%41") == b"xA"
    assert unescape(b"%25%") == b"%"
    assert unescape(b"%2%") == b"%2"


def test_the_first_of_repeated_fields_wins() -> None:
    assert decode_query(b"to=1&to=2&to=") == {"to": b"1"}


def test_names_are_decoded_and_fields_without_a_value_are_empty() -> None:
    assert decode_query(b"dlr%2Dmask=1&udh&&x+y=") == {
        "dlr-mask": b"1",
        "udh": b"",
        "": b"",
        "x y": b"",
    }


def test_a_query_with_endless_fields_is_read_only_so_far() -> None:
    query = b"&".join(b"f%d=1" % number for number in range(MOST_FIELDS * 3))
    assert len(decode_query(query)) == MOST_FIELDS


@settings(max_examples=100)
@given(st.dictionaries(st.text(st.characters(codec="ascii")), st.binary()))
def test_what_was_escaped_comes_back(fields: dict[str, bytes]) -> None:
    query = "&".join(f"{quote_plus(k)}={quote_from_bytes(v)}" for k, v in fields.items())
    decoded = decode_query(query.encode())
    assert {k: v for k, v in decoded.items() if k or "" in fields} == fields


PIECES = [b"%41", b"%e9", b"%", b"%%", b"%4", b"%zz", b"=", b"=41", b"+", b"\n", b"\r", b"a", b"_"]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES)).map(b"".join))
def test_escapes_are_decoded_as_the_library_does_it(value: bytes) -> None:
    value += b"end"  # what the end cuts short is another rule
    assert unescape(value) == unquote_to_bytes(value.replace(b"+", b" "))


@settings(max_examples=200)
@given(st.binary())
def test_garbage_is_decoded_without_an_error(query: bytes) -> None:
    for value in decode_query(query).values():
        assert len(value) <= len(query)
        read_integer(value)


def test_integers_are_read_as_scanf_reads_them() -> None:
    readings = {
        b"1": 1,
        b"1x": 1,
        b" \t-1": -1,
        b"+7": 7,
        b"007": 7,
        b"": None,
        b"abc": None,
        b"-": None,
        b"--1": None,
        b"1e3": 1,
        "١".encode(): None,  # an Arabic digit is no digit
        b"9" * 1000: 2**31 - 1,
        b"-" + b"9" * 1000: 1 - 2**31,
    }
    assert {value: read_integer(value) for value in readings} == readings
