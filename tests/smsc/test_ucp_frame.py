"""UCP frames: the golden ones, streams cut anywhere, and what is broken."""

from __future__ import annotations

import json
import random
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.errors import PeerError, UsageError
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.ucp_frame import Frame, Framer

GOLDEN = Path(__file__).parent.parent / "golden" / "frames" / "ucp.json"
FRAMES: list[dict[str, Any]] = json.loads(GOLDEN.read_text("utf-8"))["frames"]
GOOD = [each for each in FRAMES if "-X" not in each["id"]]
BAD = {each["id"]: bytes.fromhex(each["hex"]) for each in FRAMES if "-X" in each["id"]}

# printable ASCII but for "/"
TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="/"))
ANY_FRAME = st.builds(
    Frame,
    st.integers(0, 99),
    st.booleans(),
    st.integers(0, 99),
    st.lists(TEXTS, max_size=40).map(tuple),
)


def body_of(octets: bytes) -> bytes:
    (body,) = Framer().feed(octets)
    return body


@pytest.mark.parametrize("each", GOOD, ids=lambda each: each["id"])
def test_ucp_001_a_good_frame_parses_and_encodes_back(each: dict[str, Any]) -> None:
    octets = bytes.fromhex(each["hex"])
    frame = ucp.decode(body_of(octets))
    assert ucp.encode(frame) == octets
    shown = dict(ucp.named(frame))
    for name, value in each["decoded"].items():
        if name in shown and name not in ("PWD", "NPWD"):
            assert value.startswith(shown[name]), name


def test_ucp_001_every_named_field_of_the_golden_frames_is_found() -> None:
    seen = 0
    for each in GOOD:
        shown = dict(ucp.named(ucp.decode(body_of(bytes.fromhex(each["hex"])))))
        known = set(each["decoded"]) & {*ucp.FIELDS_5X, "OTON", "ONPI", "STYP", "VERS", "EC"}
        if "/R/" in each["text"] or "/O/02/" in each["text"]:
            continue  # AdC and SCTS stand in one field, or fields have no fixed places
        missing = {name for name in known if each["decoded"][name] and name not in shown}
        assert not missing, each["id"]
        seen += len(known)
    assert seen > 60


@pytest.mark.parametrize(
    ("name", "status", "command"),
    [("UCP-X01", ucp.CHECKSUM, 51), ("UCP-X02", ucp.SYNTAX, 51)],
)
def test_ucp_002_a_broken_frame_says_how_to_answer_it(name: str, status: int, command: int) -> None:
    with pytest.raises(PeerError) as caught:
        ucp.decode(body_of(BAD[name]))
    assert (caught.value.status, caught.value.command) == (status, command)
    assert (caught.value.sequence, caught.value.fatal) == (1, False)


def test_a_broken_result_is_told_from_a_broken_operation() -> None:
    with pytest.raises(PeerError) as caught:
        ucp.decode(b"01/00020/R/52/A///97")
    assert caught.value.command & ucp.RESULT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"/" * 20,
        b"01/00017/X/51//05",
        b"0x/00017/O/51//05",
        b"01/00017/O/5x//05",
        b"01-00017/O/51//05",
        b"01/00017/O/51\xff/05",
        b"01/00016/O/51/",
        b"01/00017/O/51//5",
    ],
)
def test_what_has_no_header_cannot_be_answered(body: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        ucp.decode(body)
    assert caught.value.command & ucp.RESULT or caught.value.status == ucp.CHECKSUM


def test_a_lower_case_checksum_is_accepted() -> None:
    octets = bytes.fromhex(FRAMES[0]["hex"])
    assert ucp.decode(body_of(octets.replace(b"A7\x03", b"a7\x03"))) == ucp.decode(body_of(octets))


def test_an_octet_that_is_not_printable_breaks_the_frame() -> None:
    text = b"01/00018/O/31/\t//"
    with pytest.raises(PeerError) as caught:
        ucp.decode(text[:3] + b"00019" + text[8:] + b"%02X" % (sum(text) + 1 & 0xFF))
    assert caught.value.status == ucp.SYNTAX


@settings(max_examples=100)
@given(ANY_FRAME)
def test_what_was_encoded_is_decoded_the_same(frame: Frame) -> None:
    assert ucp.decode(body_of(ucp.encode(frame))) == frame


@pytest.mark.parametrize("text", ["a/b", "\x02", "\x03", "é", "\n", "\x00"])
def test_a_field_that_ucp_cannot_carry_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        ucp.encode(Frame(1, False, 51, (text,)))
    assert ucp.encode(Frame(1, False, 51, (ucp.as_field(text),)))


def test_a_length_above_five_digits_is_refused() -> None:
    with pytest.raises(UsageError):
        ucp.encode(Frame(1, False, 51, ("x" * 100_000,)))


@settings(max_examples=100)
@given(st.binary(max_size=300))
def test_garbage_gives_only_a_peer_error(data: bytes) -> None:
    for body in Framer().feed(b"\x02" + data + b"\x03"):
        try:
            ucp.decode(body)
        except PeerError as error:
            assert not error.fatal


def test_ucp_003_cut_at_every_octet_with_noise_between_frames_all_come() -> None:
    frames = [bytes.fromhex(each["hex"]) for each in FRAMES]
    stream = b"\r\nnoise".join(frames) + b"\n"
    bodies = [frame[1:-1] for frame in frames]
    assert Framer().feed(stream) == bodies
    framer = Framer()
    assert [b for i in range(len(stream)) for b in framer.feed(stream[i : i + 1])] == bodies
    assert framer.noise == 7 * (len(frames) - 1) + 1
    assert framer.partial_since == inf
    for cut in range(0, len(stream), 7):
        framer = Framer()
        assert framer.feed(stream[:cut]) + framer.feed(stream[cut:]) == bodies


@settings(max_examples=50)
@given(st.lists(st.integers(1, 90)), st.integers(0, 5))
def test_ucp_003_any_chunking_gives_the_same_frames(cuts: list[int], first: int) -> None:
    stream = b"".join(bytes.fromhex(each["hex"]) for each in FRAMES[first : first + 4]) + b"\x02x"
    framer, found = Framer(), []
    place = 0
    for size in [*cuts, len(stream)]:
        found += framer.feed(stream[place : place + size], 5.0)
        place += size
    assert found == Framer().feed(stream)
    assert framer.partial_since == 5.0


def test_an_stx_inside_a_frame_begins_it_anew() -> None:
    whole = bytes.fromhex(FRAMES[0]["hex"])
    for stream in (whole[:20] + whole, whole[:20] + b"\x02" + whole, b"\x02\x02" + whole):
        assert Framer().feed(stream) == [whole[1:-1]]
        framer = Framer()
        cut = [b for i in range(len(stream)) for b in framer.feed(stream[i : i + 1])]
        assert cut == [whole[1:-1]]
        assert framer.noise == len(stream) - len(whole)


@pytest.mark.parametrize("chunk", [1, 100, 5000])
def test_ucp_004_a_frame_above_the_limit_breaks_the_stream(chunk: int) -> None:
    framer = Framer(1000)
    good = bytes.fromhex(FRAMES[0]["hex"])
    assert framer.feed(b"\x02" + b"x" * 998 + b"\x03" + good) == [b"x" * 998, good[1:-1]]
    stream = b"\x02" + b"x" * 999 + b"\x03" + good
    found = []
    for i in range(0, len(stream), chunk):
        found += framer.feed(stream[i : i + chunk])
    assert found == []
    assert framer.broken is not None
    assert framer.broken.fatal


def test_memory_is_bounded_whatever_comes() -> None:
    framer = Framer(4096)
    chance = random.Random(7)
    for _ in range(300):
        framer.feed(chance.choice((b"\x02", b"", b"\x02" * 9)) + b"y" * 1000)
        assert len(framer._buffer) <= 4096
        if framer.broken is not None:
            framer = Framer(4096)
    outside = Framer()
    for _ in range(100):
        assert outside.feed(b"GET / HTTP/1.1\r\n" * 100) == []
    assert not outside._buffer


def test_a_long_frame_in_single_octets_takes_linear_time() -> None:
    framer = Framer()
    stream = b"\x02" + b"x" * 60_000 + b"\x03"
    found = [b for i in range(len(stream)) for b in framer.feed(stream[i : i + 1])]
    assert found == [b"x" * 60_000]


def test_ucp_021_passwords_are_masked_for_people() -> None:
    for each in FRAMES:
        secrets = [each["decoded"][name] for name in ("PWD", "NPWD") if name in each["decoded"]]
        if secrets:
            shown = ucp.named(ucp.decode(body_of(bytes.fromhex(each["hex"]))))
            assert [value for name, value in shown if name in ("PWD", "NPWD")] == [
                "********" for _ in secrets
            ]
            assert not any(secret in str(shown) for secret in secrets)


def test_ucp_020_results_of_any_length_have_names() -> None:
    frame = Frame(1, True, 51, ("A",))
    assert ucp.named(frame) == [("ack", "A")]
    assert ucp.named(Frame(1, True, 51, ("N", "06"))) == [("ack", "N"), ("EC", "06")]
    assert ucp.named(Frame(1, True, 31, ("A", "0000")))[1] == ("SM", "0000")
    assert ucp.named(Frame(1, True, 51, ("A", "", "x:1", "more")))[-1] == ("field 4", "more")
