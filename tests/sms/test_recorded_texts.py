"""The recorded answers of Kannel to sendsms, compared with what the text layer makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from gatewayd.model import Coding, TextOptions
from gatewayd.sms.charsets import UnknownCharset, decode, decode_utf8_cut, recode
from gatewayd.sms.dcs import to_dcs
from gatewayd.sms.receipt_text import normalise_id, parse, status_of
from gatewayd.sms.segments import encode_text, split

CASES = Path(__file__).parents[1] / "kannel" / "cases"
KANNEL = TextOptions(max_messages=1, too_long="cut", not_gsm="replace", split_look_back=1.0)
USERS = {
    "tester": replace(KANNEL, max_messages=3),
    "nocat": replace(KANNEL, max_messages=3, concatenation=False),
}
OCTETS = {"configs/extra-misc.conf": 100}  # sms-length
MAX_OCTETS = {"configs/smpp-opt-max-sms-octets-280.conf": 280}
# Kannel writes four "?" for a character above U+FFFF; one is right too. In the others data_coding
# or the charset comes from elsewhere: meta-data, or the SMSC's alt-dcs and alt-charset.
LEFT_OUT = {
    "sendsms/a052-text-emoji-7bit",
    "sendsms/a183-meta-dcs",
    "sendsms/g01001-alt-charset-utf8",
    "sendsms/g02001-alt-dcs",
}


def recorded(section: str, pattern: str, wanted: Callable[[dict[str, Any]], bool]) -> list[Any]:
    found = []
    for path in sorted((CASES / section).glob(pattern)):
        case = json.loads(path.read_text("utf-8"))
        if (
            isinstance(case["observed"], dict)
            and isinstance(case["stimulus"], dict)
            and wanted(case)
        ):
            found.append(pytest.param(case, id=path.stem))
    return found


def pdus(case: dict[str, Any], command: str) -> list[dict[str, Any]]:
    return [
        event["decoded"]
        for event in case["observed"].get("events", [])
        if event.get("kind") == "pdu" and event["decoded"].get("command") == command
    ]


def query(url: str) -> dict[str, bytes]:
    """The arguments of a request line, the first of each name."""
    arguments: dict[str, bytes] = {}
    for pair in url.partition("?")[2].split("&"):
        name, _, value = pair.partition("=")
        value = value.removesuffix("%")
        arguments.setdefault(name, unquote_to_bytes(value.replace("+", " ")))
    return arguments


def number(arguments: dict[str, bytes], name: str) -> int:
    found = re.match(rb"\s*(-?\d+)", arguments.get(name, b""))
    return int(found[1]) if found else -1


def compose(
    arguments: dict[str, bytes], options: TextOptions, max_octets: int
) -> tuple[int, list[tuple[bytes, bytes]]]:
    """What gatewayd sends for these arguments: data_coding and (payload, header) of each part."""
    text = arguments.get("text", b"")
    udh = arguments.get("udh", b"")
    charset = arguments.get("charset", b"").decode()
    coding = number(arguments, "coding")
    if coding < 0:
        coding = int(Coding.OCTETS if udh else Coding.GSM)
    if coding == Coding.GSM:
        content = encode_text(
            decode(text, charset) if charset else decode_utf8_cut(text), options
        ).octets
    elif coding == Coding.UCS2 and charset:
        content = recode(text, charset, "UTF-16BE")
    else:
        content = text
    data_coding = to_dcs(
        coding,
        number(arguments, "mclass"),
        number(arguments, "mwi"),
        number(arguments, "compress"),
        number(arguments, "alt-dcs"),
        empty=not content,
    )
    parts = split(content, coding, options, udh=udh, max_octets=max_octets).parts
    return data_coding, parts


def without_reference(message: bytes, esm_class: int) -> bytes:
    if esm_class & 0x40 and b"\x00\x03" in message[: message[0] + 1]:
        place = message.index(b"\x00\x03") + 2
        if place + 3 == message[0] + 1:
            return message[:place] + b"\0" + message[place + 1 :]
    return message


def is_about_text(case: dict[str, Any]) -> bool:
    stimulus = case["stimulus"]
    return (
        stimulus.get("method") == "GET"
        and "text" in query(stimulus["url"])
        and bool(pdus(case, "submit_sm"))
        and case["id"] not in LEFT_OUT
    )


def is_one_receipt_by_text(case: dict[str, Any]) -> bool:
    receipts = pdus(case, "deliver_sm")
    return (
        len(pdus(case, "submit_sm_resp")) == 1
        and len(receipts) == 1
        and bool(receipts[0]["short_message"])
        and not receipts[0].get("tlvs")
        and receipts[0]["esm_class"] & 0x2C != 0
        and ("-m31-" in case["id"] or "/b0" in case["id"])
    )


TEXT_CASES = recorded("sendsms", "*.json", is_about_text)
ID_CASES = recorded("dlr", "e*.json", lambda _: True)
RECEIPT_CASES = recorded("dlr", "[ab]0*.json", is_one_receipt_by_text)


@pytest.mark.parametrize("case", TEXT_CASES)
def test_a_recorded_request_makes_the_recorded_messages(case: dict[str, Any]) -> None:
    arguments = query(case["stimulus"]["url"])
    options = replace(
        USERS.get(arguments.get("username", b"").decode(), KANNEL),
        octets=OCTETS.get(case["config"], 140),
    )
    data_coding, parts = compose(arguments, options, MAX_OCTETS.get(case["config"], 140))
    sent = pdus(case, "submit_sm")
    seen = [
        (
            pdu["data_coding"],
            without_reference(bytes.fromhex(pdu["short_message"] or ""), pdu["esm_class"]),
        )
        for pdu in sent
        if pdu["destination_addr"] == sent[0]["destination_addr"]
    ]
    assert [
        (data_coding, without_reference(udh + payload, 0x40 if udh else 0))
        for payload, udh in parts
    ] == seen


def test_there_are_recordings_to_compare_with() -> None:
    assert len(TEXT_CASES) > 100
    assert len(ID_CASES) > 40
    assert len(RECEIPT_CASES) > 20


def test_a_recorded_unknown_charset_is_refused() -> None:
    case = json.loads((CASES / "sendsms" / "a085-charset-unknown.json").read_text("utf-8"))
    with pytest.raises(UnknownCharset):
        compose(query(case["stimulus"]["url"]), KANNEL, 140)


@pytest.mark.parametrize("case", ID_CASES)
def test_recorded_ids_match_or_not_under_their_msg_id_type(case: dict[str, Any]) -> None:
    kind = re.search(r"msg-id-type=(0x\d\d)", case["title"])
    message_ids = int(kind[1], 16) if kind else -1
    answer = pdus(case, "submit_sm_resp")[0]["message_id"]
    text = parse(bytes.fromhex(pdus(case, "deliver_sm")[0]["short_message"]), lenient=False)
    assert text is not None
    ours = normalise_id(answer, message_ids=message_ids, receipt=False, id_case=True)
    theirs = normalise_id(text.id, message_ids=message_ids, receipt=True, id_case=True)
    reported = [
        event["url"] for event in case["observed"]["events"] if "type=1" in event.get("url", "")
    ]
    assert bool(reported) == (ours == theirs)
    if reported:
        assert f"F={ours}" in reported[0]


@pytest.mark.parametrize("case", RECEIPT_CASES)
def test_recorded_receipt_texts_give_the_recorded_status(case: dict[str, Any]) -> None:
    answers = pdus(case, "submit_sm_resp")
    receipts = pdus(case, "deliver_sm")
    text = parse(bytes.fromhex(receipts[0]["short_message"]), lenient=False)
    expected = ""
    if text is not None and text.id == answers[0]["message_id"]:
        expected = str(status_of(text.stat))
    told = [
        found[1]
        for event in case["observed"]["events"]
        if (found := re.search(r"[?&]type=(\d+)", event.get("url", ""))) and found[1] != "8"
    ]
    assert "".join(told) == expected
