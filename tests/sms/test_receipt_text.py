from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gatewayd.sms.receipt_text import (
    ReceiptText,
    normalise_id,
    parse,
    status_of,
    status_of_state,
)

FULL = (
    b"id:id0001 sub:001 dlvrd:001 submit date:2109241200 done date:2109241201"
    b" stat:DELIVRD err:000 text:hello you"
)
WHOLE = ReceiptText(
    id="id0001",
    stat="DELIVRD",
    err="000",
    error=0,
    sub="001",
    dlvrd="001",
    submit_date="2109241200",
    done_date="2109241201",
    text="hello you",
)


def test_a_whole_receipt() -> None:
    assert parse(FULL, lenient=True) == WHOLE
    decisive = ReceiptText(WHOLE.id, WHOLE.stat, WHOLE.err, WHOLE.error)
    assert parse(FULL, lenient=False) == decisive


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize(
    ("text", "smsc_id", "stat", "error"),
    [
        (b"id:a1 stat:DELIVRD", "a1", "DELIVRD", -1),
        (b"stat:DELIVRD id:a1", "a1", "DELIVRD", -1),
        (b"id:a1 submit date:2109241200 done date:2109241201 stat:UNDELIV text:x",
         "a1", "UNDELIV", -1),
        (b"id:a1 sub:001 dlvrd:001 submit date:210924120000 done date:210924120100"
         b" stat:DELIVRD err:042 text:x", "a1", "DELIVRD", 42),
        (b"id:a1 sub:001 dlvrd:001 submit date:21-09-24 12:00 done date:21-09-24 12:01"
         b" stat:DELIVRD err:000 vendor:zz Text:x", "a1", "DELIVRD", 0),
        (b"id:a1 stat:DELIVERED err:7", "a1", "DELIVERED", 7),
        (b"id:a1 stat:DELIVRD\0 id:b2", "a1", "DELIVRD", -1),
        (b"id:a1 err:0x1F stat:UNDELIV", "a1", "UNDELIV", 0),
        (b"id:a1 err:zz stat:UNDELIV", "a1", "UNDELIV", -1),
    ],
)  # fmt: skip
def test_missing_moved_and_odd_fields(
    text: bytes, smsc_id: str, stat: str, error: int, lenient: bool
) -> None:
    found = parse(text, lenient=lenient)
    assert found is not None
    assert (found.id, found.stat, found.error) == (smsc_id, stat, error)


def test_dates_with_blanks_in_them_are_kept_whole() -> None:
    text = b"id:a1 submit date:21-09-24 12:00 done date:21-09-24 12:01 stat:DELIVRD"
    found = parse(text, lenient=True)
    assert found is not None
    assert (found.submit_date, found.done_date) == ("21-09-24 12:00", "21-09-24 12:01")


@pytest.mark.parametrize(
    "text",
    [
        FULL.upper(),
        b"",
        b"id:",
        b"hello you",
        FULL.decode().encode("utf-16-be"),
        b"\0" + FULL,
    ],
)
def test_the_strict_reader_finds_nothing_in_other_labels(text: bytes) -> None:
    assert parse(text, lenient=False) is None


def test_the_strict_reader_matches_no_id_behind_a_blank_or_before_a_newline() -> None:
    found = parse(FULL.replace(b"id:", b"id: ", 1), lenient=False)
    assert found is not None
    assert (found.id, found.stat) == ("", "DELIVRD")
    found = parse(FULL.replace(b" ", b"\n"), lenient=False)
    assert found is not None
    assert found.id != "id0001"


def test_the_strict_reader_takes_three_digits_of_an_error_and_the_lenient_one_all() -> None:
    text = b"id:a1 stat:UNDELIV err:12345 text:x"
    assert [getattr(parse(text, lenient=lenient), "error", None) for lenient in (False, True)] == [
        123,
        12345,
    ]


@pytest.mark.parametrize(
    "text",
    [
        FULL.replace(b"text:", b"TEXT:").replace(b"id:", b"ID:", 1).replace(b"stat:", b"Stat:"),
        FULL.replace(b" ", b"\n").replace(b"hello\nyou", b"hello you"),
        FULL.replace(b" ", b"\r\n").replace(b"hello\r\nyou", b"hello you"),
        FULL.replace(b"id:", b"id: ", 1).replace(b"stat:", b"stat: "),
        FULL.replace(b"id:id0001 ", b"").replace(b" text:", b" id:id0001 text:"),
        b"  " + FULL,
    ],
)
def test_the_lenient_reader_takes_any_case_order_and_blanks(text: bytes) -> None:
    found = parse(text, lenient=True)
    assert found is not None
    assert replace(found, submit_date="", done_date="") == replace(
        WHOLE, submit_date="", done_date=""
    )


def test_the_lenient_reader_takes_upper_case_labels_without_text_and_four_digits() -> None:
    text = b"ID:5f1c2a9b SUB:001 DLVRD:001 SUBMIT DATE:2611221215 DONE DATE:2611221216"
    found = parse(text + b" STAT:UNDELIV ERR:0045", lenient=True)
    assert found == ReceiptText(
        "5f1c2a9b", "UNDELIV", "0045", 45, "001", "001", "2611221215", "2611221216", ""
    )


def test_the_lenient_reader_looks_for_nothing_inside_the_messages_own_text() -> None:
    found = parse(b"stat:DELIVRD text:my id:77 stat:UNDELIV", lenient=True)
    assert found is not None
    assert (found.id, found.stat, found.text) == ("", "DELIVRD", "my id:77 stat:UNDELIV")


def test_the_lenient_reader_is_not_misled_by_words_that_end_in_a_label() -> None:
    found = parse(b"grid:9 paid:2 id:a1,stat:DELIVRD", lenient=True)
    assert found is not None
    assert (found.id, found.stat) == ("a1", "DELIVRD")


def test_an_id_has_no_more_than_64_characters() -> None:
    found = parse(b"id:" + b"9" * 500 + b" stat:DELIVRD", lenient=True)
    assert found is not None
    assert found.id == "9" * 64


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=200)
def test_any_octets_are_a_receipt_or_none(text: bytes, lenient: bool) -> None:
    for octets in (text, b"id:" + text, b"id:1 stat:" + text + b" err:" + text):
        parse(octets, lenient=lenient)


def test_a_huge_text_is_read_only_at_its_beginning() -> None:
    assert parse(b"x" * 100_000 + FULL, lenient=True) is None
    assert parse(b"aid:" * 1_000_000, lenient=True) is None


@pytest.mark.parametrize(
    ("stat", "status"),
    [
        ("DELIVRD", 1),
        ("ACCEPTD", 4),
        ("ACKED", 4),
        ("BUFFRED", 4),
        ("BUFFERD", 4),
        ("ENROUTE", 4),
        ("EXPIRED", 2),
        ("UNDELIV", 2),
        ("REJECTD", 2),
        ("DELETED", 2),
        ("UNKNOWN", 2),
        ("delivrd", 2),
        ("DELIVERED", 2),
        ("", 2),
    ],
)
def test_the_status_of_each_word(stat: str, status: int) -> None:
    assert status_of(stat) == status


def test_the_status_of_words_read_leniently() -> None:
    words = ["delivrd", "Delivered", "ACCEPTED", "buffered", "expired", "nonsense", ""]
    assert [status_of(word, lenient=True) for word in words] == [1, 1, 4, 4, 2, 2, 2]


def test_the_status_of_each_state() -> None:
    assert [status_of_state(state) for state in range(12)] == [
        None, 4, 1, 34, 2, 2, 4, 2, 2, None, 2, 2,
    ]  # fmt: skip
    assert [status_of_state(state, smpp5=True) for state in (0, 9, 2)] == [4, 2, 1]


def matches(answer: str, receipt: str, message_ids: int, *, id_case: bool = True) -> bool:
    return normalise_id(
        answer, message_ids=message_ids, receipt=False, id_case=id_case
    ) == normalise_id(receipt, message_ids=message_ids, receipt=True, id_case=id_case)


@pytest.mark.parametrize(
    ("answer", "receipt", "expected"),
    # expected: msg-id-type unset, 0x00, 0x01, 0x02, 0x03
    [
        ("10596874", "10596874", (True, True, False, False, True)),
        ("10597147", "A1B31B", (False, True, False, True, False)),
        ("536875568", "20001230", (False, False, False, True, False)),
        ("A1B42C", "10597420", (False, True, True, False, False)),
        ("20001330", "536875824", (False, False, True, False, False)),
        ("A1B53D", "A1B53D", (True, True, True, True, True)),
        ("20001430", "20001430", (True, True, False, False, True)),
        ("a1b64e", "A1B64E", (False, True, True, True, True)),
        ("000010598239", "10598239", (False, True, False, False, True)),
        ("000000A1B870", "A1B870", (False, True, True, True, True)),
        ("xy-zt9", "xy-zt9", (True, True, True, True, True)),
    ],
)
def test_which_ids_match_under_each_msg_id_type(
    answer: str, receipt: str, expected: tuple[bool, ...]
) -> None:
    assert tuple(matches(answer, receipt, kind) for kind in (-1, 0, 1, 2, 3)) == expected


@pytest.mark.parametrize(
    ("text", "kind", "number"),
    [
        ("10596874", 0, "10596874"),
        ("10596874", 3, "274294900"),
        ("xy-zt9", 0, "0"),
        ("6f1c2d3e-aaaa-bbbb-cccc-0123456789ab", 1, "1864117566"),
        ("0x1f", 0, "31"),
        ("0xg", 0, "0"),
        (" -1F", 0, "-31"),
        ("+12", 0, "18"),  # a sign is no digit, so it is hexadecimal
        ("9" * 40, 0, "9223372036854775807"),
        ("-" + "f" * 5000, 0, "-9223372036854775808"),
        ("", 0, ""),
    ],
)
def test_ids_become_numbers_as_strtoll_reads_them(text: str, kind: int, number: str) -> None:
    assert normalise_id(text, message_ids=kind, receipt=False, id_case=True) == number


def test_ids_compared_as_text_keep_case_and_zeros_only_if_told() -> None:
    assert normalise_id("00aB", message_ids=-1, receipt=True, id_case=True) == "00aB"
    assert normalise_id("00aB", message_ids=-1, receipt=True, id_case=False) == "ab"
    assert normalise_id("000", message_ids=-1, receipt=True, id_case=False) == "0"
    assert normalise_id("", message_ids=-1, receipt=True, id_case=False) == ""


def test_without_kannels_way_ids_that_are_no_numbers_stay_apart() -> None:
    assert matches("5F1C2A9B", "1595681435", 1, id_case=False)
    assert matches("000A1B31B", "a1b31b", 3, id_case=False)
    assert not matches("xy-zt9", "ab-zt9", 0, id_case=False)
    assert not matches("9" * 30, "9" * 31, 0, id_case=False)
    assert matches("9" * 30, "0" + "9" * 30, 0, id_case=False)


@given(st.text(max_size=80), st.integers(-1, 3), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_any_id_can_be_normalised(text: str, kind: int, receipt: bool, id_case: bool) -> None:
    normalise_id(text, message_ids=kind, receipt=receipt, id_case=id_case)
