"""CIMD2 on the wire: framing, checksum, packets."""

from __future__ import annotations

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.errors import PeerError, UsageError
from gatewayd.smsc import cimd2_frame as wire
from gatewayd.smsc.cimd2_frame import LIMIT, Framer, Packet, decode, encode
from gatewayd.smsc.cimd2_names import describe, operation_name, readable

FRAMES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden/frames/cimd2.json").read_text("utf-8")
)["frames"]
GOOD = [frame for frame in FRAMES if "op" in frame]
FAULTY = {frame["id"]: bytes.fromhex(frame["hex"]) for frame in FRAMES if "op" not in frame}
ALIVE = encode(Packet(wire.ALIVE, 10))

values = st.binary(max_size=40).map(lambda octets: octets.translate(None, b"\0\x02\x03\t"))
packets = st.builds(
    Packet,
    st.integers(0, 99),
    st.integers(0, 999),
    st.lists(st.tuples(st.integers(0, 999), values), max_size=8).map(tuple),
    st.booleans(),
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    chunks = []
    for size in sizes:
        chunks.append(data[:size])
        data = data[size:]
    return [*chunks, data]


def fed(chunks: list[bytes]) -> list[bytes | str]:
    framer = Framer()
    found: list[bytes | str] = []
    for chunk in chunks:
        for each in framer.feed(chunk):
            found.append(str(each) if isinstance(each, PeerError) else each)
    return found


@pytest.mark.parametrize("frame", GOOD, ids=lambda frame: str(frame["id"]))
def test_cimd_001_a_packet_means_what_it_says_and_is_written_as_it_was(
    frame: dict[str, Any],
) -> None:
    octets = bytes.fromhex(frame["hex"])
    packet = decode(octets)
    assert (f"{packet.operation:02}", f"{packet.number:03}") == (frame["op"], frame["seq"])
    expected = [(int(each["id"]), each["value"].encode("latin-1")) for each in frame["params"]]
    assert list(packet.parameters) == expected
    assert packet.checked is (frame["checksum"] is not None)
    assert encode(packet) == octets
    assert not operation_name(packet.operation).startswith("unknown")
    if "text_decoded" in frame:
        assert readable(packet) == frame["text_decoded"]


def test_cimd_002_noise_is_passed_over_and_a_cut_packet_dropped() -> None:
    (only,) = fed([FAULTY["CIMD-X02"]])
    assert isinstance(only, bytes)
    assert decode(only) == Packet(wire.ALIVE, 12)
    dropped, good = fed([FAULTY["CIMD-X03"]])
    assert dropped == "a packet has no end"
    assert isinstance(good, bytes)
    assert decode(good) == Packet(wire.ALIVE, 16)
    (unknown,) = fed([FAULTY["CIMD-X04"]])
    assert isinstance(unknown, bytes)
    assert decode(unknown).get(777) == b"x"
    with pytest.raises(PeerError, match="checksum is wrong"):
        decode(FAULTY["CIMD-X01"])


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(0, 60), max_size=30))
def test_cimd_003_any_split_with_noise_between_gives_the_same_packets(sizes: list[int]) -> None:
    noise = [b"", b"\r\n", b"CIMD2-A ConnectionInfo: SessionId = 1\n", b"\x03\x03", b"\t40:1\t"]
    stream = b"".join(
        noise[place % len(noise)] + bytes.fromhex(frame["hex"])
        for place, frame in enumerate(FRAMES)
    )
    whole = fed([stream])
    assert len(whole) == len(FRAMES) + 1  # X03 is two
    assert fed(cut(stream, sizes)) == whole


def test_cimd_003_byte_by_byte_gives_the_same_packets() -> None:
    stream = b"".join(bytes.fromhex(frame["hex"]) for frame in FRAMES)
    assert fed([bytes([octet]) for octet in stream]) == fed([stream])


def test_cimd_004_the_checksum_counts_stx_and_may_be_in_lower_case() -> None:
    assert encode(Packet(wire.LOGIN_RESP, 1)) == b"\x0251:001\t3C\x03"
    assert decode(b"\x0251:001\t3c\x03") == Packet(wire.LOGIN_RESP, 1)
    for wrong in (b"3A", b"C3", b" 3", b"3", b"03C", b"3C3C", b"xx"):
        with pytest.raises(PeerError, match="checksum is wrong"):
            decode(b"\x0251:001\t%b\x03" % wrong)
        assert decode(b"\x0251:001\t%b\x03" % wrong, checksum="ignored").number == 1


def test_a_packet_without_checksum_passes_unless_one_is_required() -> None:
    bare = b"\x0240:035\t\x03"
    assert decode(bare) == Packet(wire.ALIVE, 35, (), checked=False)
    with pytest.raises(PeerError, match="no checksum") as caught:
        decode(bare, checksum="required")
    assert (caught.value.command, caught.value.sequence) == (wire.ALIVE, 35)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "without operation"),
        (b"40:001", "without operation"),
        (b"4:001\t", "without operation"),
        (b"4O:001\t", "without operation"),
        (b"40:0x1\t", "without operation"),
        (b"40-001\t", "without operation"),
        (b"+4:001\t", "without operation"),
        (b"40:0001\t", "without operation"),
        (b"\xb2\xb3:001\t", "without operation"),
        (b"20:002\t021\t", "no number"),
        (b"20:002\t21:1\t", "no number"),
        (b"20:002\t021 1\t", "no number"),
        (b"20:002\t\t", "no number"),
        (b"20:002\t033:a\0b\t", "NUL"),
    ],
)
def test_a_packet_out_of_shape_is_refused(body: bytes, problem: str) -> None:
    frame = b"\x02" + body
    frame += b"%02X\x03" % (sum(frame) & 0xFF)
    with pytest.raises(PeerError, match=problem) as caught:
        decode(frame)
    assert not caught.value.fatal


@settings(max_examples=200)
@given(packets)
def test_what_is_written_is_read_again(packet: Packet) -> None:
    (frame,) = fed([encode(packet)])
    assert isinstance(frame, bytes)
    assert decode(frame) == packet


@settings(max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(["required", "optional", "ignored"]))
def test_garbage_raises_nothing_but_peer_errors(garbage: bytes, checksum: str) -> None:
    for data in (garbage, b"\x02" + garbage + b"\x03", b"\x0220:002\t" + garbage + b"\t\x03"):
        for frame in Framer().feed(data):
            if isinstance(frame, bytes):
                try:
                    describe(decode(frame, checksum=checksum))
                except PeerError as error:
                    assert not error.fatal


@pytest.mark.parametrize("octet", [b"\0", b"\x02", b"\x03", b"\t"])
def test_what_would_break_a_packet_is_never_written(octet: bytes) -> None:
    with pytest.raises(UsageError):
        encode(Packet(wire.SUBMIT, 1, ((wire.ORIGIN, b"1" + octet + b"2"),)))


@pytest.mark.parametrize(
    "packet",
    [
        Packet(100, 1),
        Packet(3, 1000),
        Packet(3, 1, ((33, b"x" * LIMIT),)),
    ],
)
def test_what_fits_no_packet_is_never_written(packet: Packet) -> None:
    with pytest.raises(UsageError):
        encode(packet)


def test_the_longest_packet_passes_and_a_longer_one_does_not() -> None:
    frame = encode(Packet(wire.DELIVER, 2, ((33, b"x" * (LIMIT - 8 - 5 - 3)),)))
    assert len(frame) == LIMIT
    longer = frame[:20] + b"x" + frame[20:]
    for size in (1, 7, 1000, LIMIT - 1, LIMIT, LIMIT + 1):
        sizes = [size] * (2 * LIMIT // size)
        stream = longer + ALIVE + frame
        assert fed(cut(stream, sizes)) == [f"a packet is longer than {LIMIT} octets", ALIVE, frame]


def test_a_stream_that_never_ends_a_packet_is_held_to_the_limit() -> None:
    framer = Framer()
    broken = 0
    for _ in range(100):
        broken += len(framer.feed(b"\x02" + b"x" * 1000))
        broken += len(framer.feed(b"x" * 5000))
        assert len(framer._buffer) <= LIMIT
    assert broken == 100
    assert framer.partial_since == inf


def test_a_partial_packet_is_timed_from_its_first_octet() -> None:
    framer = Framer()
    framer.feed(b"noise", 1.0)
    assert framer.partial_since == inf
    framer.feed(ALIVE + ALIVE[:3], 2.0)
    framer.feed(ALIVE[3:5], 3.0)
    assert framer.partial_since == 2.0
    assert framer.feed(ALIVE[5:], 4.0) == [ALIVE]
    assert framer.partial_since == inf


def test_cimd_021_a_password_is_not_shown() -> None:
    login = decode(bytes.fromhex(GOOD[0]["hex"]))
    told = describe(login)
    assert "bar" not in json.dumps(told)
    assert told["parameters"][1] == {"id": "011", "name": "password", "value": "***"}


def test_a_packet_is_told_in_words() -> None:
    told = describe(decode(bytes.fromhex(GOOD[19]["hex"])))
    assert (told["name"], told["status"]) == ("deliver status report", "delivery failed")
    told = describe(decode(bytes.fromhex(GOOD[2]["hex"])))
    assert (told["name"], told["error"]) == ("login response", "Invalid login")
    assert describe(Packet(99, 3))["name"] == "nack"
    assert describe(Packet(98, 3))["name"] == "general error response"
    assert describe(Packet(77, 3))["name"] == "unknown response"
    assert describe(Packet(33, 3))["name"] == "unknown operation"
