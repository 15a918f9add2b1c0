"""The SMPP codec: golden frames, the other codec as oracle, and broken octets."""

from __future__ import annotations

import io
import json
import random
import struct
from contextlib import redirect_stdout
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smpp.pdu import constants
from smpp.pdu.pdu_encoding import PDUEncoder

from gatewayd.errors import PeerError, UsageError
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.smpp_frame import Framer
from gatewayd.smsc.smpp_names import command_name, describe, status_name, tag_name, tag_number

GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "smpp.json"
FRAMES: dict[str, dict[str, Any]] = {
    one["id"].removeprefix("SMPP-"): one for one in json.loads(GOLDEN.read_text())["frames"]
}
OCTETS = {name: bytes.fromhex(one["hex"]) for name, one in FRAMES.items()}
VALID = [name for name in FRAMES if name[0] in "FQ"]
WITH_BODY_ON_AN_ERROR = {"F05", "F18"}


def text_of(sm: pdus.Pdu) -> bytes:
    assert isinstance(sm, pdus.Sm)
    return sm.short_message


# ---- golden frames


@pytest.mark.parametrize("name", VALID)
def test_smpp_001_002_a_golden_frame_decodes_to_its_command_status_and_sequence(name: str) -> None:
    frame, pdu = FRAMES[name], pdus.decode(OCTETS[name])
    assert command_name(pdu.command) == frame["command"]
    assert pdu.sequence == frame["sequence"]
    assert getattr(pdu, "status", 0) == int(frame["status"], 16)


@pytest.mark.parametrize("name", [n for n in VALID if n[0] == "F"])
def test_smpp_001_a_valid_frame_encodes_to_the_same_octets(name: str) -> None:
    again = pdus.encode(pdus.decode(OCTETS[name]))
    if name in WITH_BODY_ON_AN_ERROR:
        assert again == OCTETS[name][:3] + b"\x10" + OCTETS[name][4:16]
    else:
        assert again == OCTETS[name]


def test_smpp_001_the_fields_of_a_submit_sm_are_where_the_specification_says() -> None:
    assert pdus.decode(OCTETS["F15"]) == pdus.Sm(
        command=pdus.SUBMIT_SM,
        sequence=10,
        source_ton=1,
        source_npi=1,
        source=b"2507000",
        dest_ton=1,
        dest_npi=1,
        destination=b"250788123456",
        registered_delivery=1,
        short_message=b"Hello",
    )


def test_smpp_001_the_fields_of_the_other_pdus_are_where_the_specification_says() -> None:
    assert pdus.decode(OCTETS["F07"]) == pdus.Bind(
        command=pdus.BIND_RECEIVER,
        sequence=1,
        system_id=b"esme1",
        password=b"secret",
        interface_version=0x34,
        addr_ton=1,
        addr_npi=1,
        address_range=b"^2507",
    )
    bound = pdus.decode(OCTETS["F02"])
    assert isinstance(bound, pdus.BindResp)
    assert bound.system_id == b"SMSC"
    assert pdus.first(bound.tlvs, pdus.SC_INTERFACE_VERSION) == b"\x34"
    assert pdus.decode(OCTETS["F14"]) == pdus.Outbind(1, b"SMSC", b"pw")
    assert pdus.decode(OCTETS["F64"]) == pdus.Alert(
        1, 1, 1, b"2507000", 1, 1, b"esme", [(pdus.MS_AVAILABILITY_STATUS, b"\0")]
    )
    timed = pdus.decode(OCTETS["F26"])
    assert isinstance(timed, pdus.Sm)
    assert (timed.schedule, timed.validity) == (b"261122080000004+", b"261123080000004+")
    data = pdus.decode(OCTETS["F63"])
    assert isinstance(data, pdus.Sm)
    assert (data.esm_class, pdus.first(data.tlvs, pdus.MESSAGE_STATE)) == (4, b"\2")


def test_smpp_002_what_operators_do_differently_is_kept_as_numbers_and_octets() -> None:
    def sm(name: str) -> pdus.Sm:
        pdu = pdus.decode(OCTETS[name])
        assert isinstance(pdu, pdus.Sm)
        return pdu

    assert pdus.first(sm("Q01").tlvs, pdus.RECEIPTED_MESSAGE_ID) == b"5f1c2a9b"
    assert (sm("Q02").short_message, sm("Q02").trailing) == (b"hello", 1)
    assert sm("Q04").tlvs == [(0x0500, b"x")]
    assert sm("Q05").tlvs == [(0x1403, b"abc"), (0x1454, bytes(4))]
    assert sm("Q06").tlvs == [(0x0005, b"\1")]
    assert pdus.first(sm("Q07").tlvs, pdus.MESSAGE_STATE) == b"\x09"
    assert sm("Q08").validity == b"261231235900"
    assert sm("Q09").schedule == b"261231235900000+"
    assert (sm("Q10").source_ton, sm("Q10").source_npi) == (7, 2)
    assert sm("Q11").source == b"1" * 21
    assert sm("Q12").source == "Café".encode()
    assert len(sm("Q19").short_message) == 255
    assert sm("Q20").short_message == b""
    assert sm("Q21").esm_class == 0x3C
    assert pdus.decode(OCTETS["Q30"]) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, 10)
    assert pdus.decode(OCTETS["Q31"]) == pdus.SmResp(
        pdus.SUBMIT_SM_RESP, 0, 10, b"5f1c2a9b", [(0x1D, b"ok\0")]
    )
    assert pdus.decode(OCTETS["Q32"]) == pdus.BindResp(0x80000009, 0, 1)
    assert pdus.decode(OCTETS["Q33"]) == pdus.SmResp(pdus.DELIVER_SM_RESP, 0, 1)


@pytest.mark.parametrize(
    ("name", "status"), [("X05", pdus.RINVOPTPARSTREAM), ("X06", 0x01), ("X07", 0x01)]
)
def test_smpp_003_a_broken_body_names_the_answer_it_needs(name: str, status: int) -> None:
    with pytest.raises(PeerError) as caught:
        pdus.decode(OCTETS[name])
    error = caught.value
    assert not error.fatal
    assert (error.command, error.status) == (pdus.DELIVER_SM, status)
    assert error.sequence == int.from_bytes(OCTETS[name][12:16], "big")


def test_smpp_003_an_unknown_command_comes_with_its_body_as_it_is() -> None:
    assert pdus.decode(OCTETS["X03"]) == pdus.Other(0x00010203, 0, 0x21, b"")
    assert pdus.decode(OCTETS["X04"]) == pdus.Other(0x80000333, 0, 0x21, b"")


@pytest.mark.parametrize("id_length", [65, 200, 255])
def test_an_answer_may_carry_an_id_longer_than_the_specification_allows(id_length: int) -> None:
    frame = pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, 0, 5, b"x" * id_length)
    assert pdus.decode(frame) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, 5, b"x" * id_length)
    unterminated = struct.pack(">4L", 16 + id_length, pdus.SUBMIT_SM_RESP, 0, 5) + b"x" * id_length
    assert pdus.decode(unterminated) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, 5, b"x" * id_length)


def test_an_answer_with_an_endless_id_is_broken_unless_it_says_an_error_anyway() -> None:
    body = b"x" * 300
    with pytest.raises(PeerError) as caught:
        pdus.decode(struct.pack(">4L", 316, pdus.SUBMIT_SM_RESP, 0, 5) + body)
    assert caught.value.command == pdus.SUBMIT_SM_RESP
    refused = pdus.decode(struct.pack(">4L", 316, pdus.SUBMIT_SM_RESP, 0x58, 5) + body)
    assert refused == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0x58, 5)


def test_broken_tlvs_do_not_make_a_success_doubtful() -> None:
    body = b"id1\0\x14\0\xff\xffab"
    frame = struct.pack(">4L", 16 + len(body), pdus.SUBMIT_SM_RESP, 0, 5) + body
    assert pdus.decode(frame) == pdus.SmResp(pdus.SUBMIT_SM_RESP, 0, 5, b"id1")


def test_the_first_of_repeated_tlvs_counts() -> None:
    assert pdus.first([(1, b"a"), (2, b"b"), (1, b"c")], 1) == b"a"
    assert pdus.first([], 1) is None


def test_a_vendor_status_survives() -> None:
    pdu = pdus.decode(OCTETS["F19"])
    assert isinstance(pdu, pdus.SmResp)
    assert pdu.status == 0x481


def test_what_does_not_fit_into_its_octets_is_our_own_mistake() -> None:
    with pytest.raises(UsageError):
        pdus.encode_sm(pdus.Sm(command=pdus.SUBMIT_SM, sequence=1, esm_class=256))
    with pytest.raises(UsageError):
        pdus.encode_sm(pdus.Sm(command=pdus.SUBMIT_SM, sequence=1, short_message=bytes(256)))
    with pytest.raises(UsageError):
        pdus.encode_tlvs([(1, bytes(65536))])


# ---- framing


def feed_all(framer: Framer, chunks: list[bytes]) -> list[bytes]:
    return [frame for chunk in chunks for frame in framer.feed(chunk)]


def test_smpp_004_a_stream_cut_anywhere_gives_the_same_frames() -> None:
    frames = [OCTETS[name] for name in VALID]
    stream = b"".join(frames)
    assert feed_all(Framer(), [stream]) == frames
    assert feed_all(Framer(), [stream[i : i + 1] for i in range(len(stream))]) == frames
    for cut in range(len(stream)):
        assert feed_all(Framer(), [stream[:cut], stream[cut:]]) == frames


@settings(max_examples=50)
@given(st.lists(st.integers(1, 400), max_size=60))
def test_smpp_004_any_chunking_gives_the_same_frames(sizes: list[int]) -> None:
    frames = [OCTETS[name] for name in VALID]
    stream = b"".join(frames)
    chunks = []
    for size in sizes:
        chunks.append(stream[:size])
        stream = stream[size:]
    assert feed_all(Framer(), [*chunks, stream]) == frames


def test_smpp_005_a_thousand_pdus_in_one_read_come_in_order() -> None:
    stream = b"".join(
        pdus.encode_sm(pdus.Sm(command=pdus.DELIVER_SM, sequence=n, short_message=b"hello" * 20))
        for n in range(1, 1001)
    )
    frames = Framer().feed(stream)
    assert [int.from_bytes(frame[12:16], "big") for frame in frames] == list(range(1, 1001))


def test_smpp_005_a_large_pdu_in_small_pieces_is_one() -> None:
    frame = struct.pack(">4L", 60_000, pdus.DATA_SM, 0, 1) + bytes(59_984)
    framer = Framer()
    assert feed_all(framer, [frame[i : i + 1] for i in range(len(frame))]) == [frame]


@pytest.mark.parametrize("length", [0, 4, 15, 65537, 0x80000000, 0xFFFFFFFF])
def test_smpp_006_an_impossible_length_breaks_the_stream_at_once(length: int) -> None:
    framer = Framer(65536)
    good = OCTETS["F08"]
    assert framer.feed(good + struct.pack(">L", length) + b"more") == [good]
    assert framer.broken is not None
    assert framer.broken.fatal
    assert framer.broken.status == 0x02
    assert framer.feed(good * 1000) == []
    assert len(framer._buffer) == 0


def test_smpp_003_the_framer_refuses_x01_and_x02() -> None:
    for name in ("X01", "X02"):
        framer = Framer()
        assert framer.feed(OCTETS[name]) == []
        assert framer.broken is not None


def test_smpp_049_the_framer_knows_since_when_a_pdu_is_not_whole() -> None:
    framer = Framer()
    frame = OCTETS["F15"]
    assert framer.partial_since == inf
    framer.feed(frame[:3], 10.0)
    assert framer.partial_since == 10.0
    framer.feed(frame[3:30], 20.0)
    assert framer.partial_since == 10.0
    framer.feed(frame[30:] + frame[:5], 30.0)
    assert framer.partial_since == 30.0
    framer.feed(frame[5:], 40.0)
    assert framer.partial_since == inf


# ---- broken octets


def mutations(count: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    made = []
    originals = [OCTETS[name] for name in FRAMES]
    for _ in range(count):
        frame = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 4)):
            kind = chance.randrange(4)
            place = chance.randrange(len(frame)) if frame else 0
            if kind == 0 and frame:
                frame[place] = chance.randrange(256)
            elif kind == 1:
                del frame[place : place + chance.randint(1, 20)]
            elif kind == 2:
                frame[place:place] = chance.randbytes(chance.randint(1, 20))
            else:
                frame = frame[:place]
        if chance.random() < 0.9:  # most with a length that lets the body be read
            frame[:4] = struct.pack(">L", max(len(frame), 4))
        made.append(bytes(frame))
    return made


def test_smpp_008_mutated_frames_raise_only_peer_errors() -> None:
    for frame in mutations(10_000, seed=34):
        try:
            again = pdus.encode(pdus.decode(frame))
        except PeerError:
            continue
        pdus.decode(again)


@settings(max_examples=120)
@given(st.binary(max_size=120), st.sampled_from(sorted(pdus._DECODERS)))
def test_smpp_008_any_body_of_any_command_raises_only_peer_errors(
    body: bytes, command: int
) -> None:
    frame = struct.pack(">4L", 16 + len(body), command, 0, 7) + body
    try:
        pdus.decode(frame)
    except PeerError as error:
        assert not error.fatal
        assert (error.command, error.sequence) == (command, 7)


@pytest.mark.parametrize("name", [n for n in VALID if n[0] == "F"])
def test_smpp_008_every_truncation_is_read_or_refused_as_a_peer_error(name: str) -> None:
    frame = OCTETS[name]
    for size in range(16, len(frame)):
        try:
            pdus.decode(struct.pack(">L", size) + frame[4:size])
        except PeerError as error:
            assert not error.fatal


def test_a_frame_that_is_no_frame_is_fatal() -> None:
    for frame in (b"", b"\0\0\0\x10", OCTETS["F15"][:-1], OCTETS["F15"] + b"x"):
        with pytest.raises(PeerError) as caught:
            pdus.decode(frame)
        assert caught.value.fatal


# ---- the other codec as oracle

TONS = st.sampled_from(sorted(constants.addr_ton_value_map))
NPIS = st.sampled_from(sorted(constants.addr_npi_value_map))


def c_octets(most: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=most).map(lambda octets: octets.replace(b"\0", b"x"))


TLVS = st.lists(
    st.one_of(
        st.tuples(st.just(pdus.MESSAGE_PAYLOAD), st.binary(max_size=60)),
        st.tuples(st.just(pdus.SAR_MSG_REF_NUM), st.binary(min_size=2, max_size=2)),
        st.tuples(st.just(0x020A), st.binary(min_size=2, max_size=2)),
    ),
    max_size=3,
    unique_by=lambda tlv: tlv[0],
)

SUBMITS = st.builds(
    pdus.Sm,
    command=st.just(pdus.SUBMIT_SM),
    sequence=st.integers(1, 0x7FFFFFFF),
    service_type=c_octets(5),
    source_ton=TONS,
    source_npi=NPIS,
    source=c_octets(20),
    dest_ton=TONS,
    dest_npi=NPIS,
    destination=c_octets(20),
    esm_class=st.sampled_from([0, 1, 2, 3, 0x40, 0x43, 0x80, 0xC3]),
    protocol_id=st.integers(0, 255),
    priority=st.integers(0, 3),
    registered_delivery=st.sampled_from([0, 1, 2, 0x10, 0x11, 0x12]),
    replace_if_present=st.integers(0, 1),
    data_coding=st.integers(0, 0xF7),
    default_msg_id=st.integers(0, 254),
    short_message=st.binary(max_size=254),
    tlvs=TLVS,
)


def oracle_decode(frame: bytes) -> Any:
    with redirect_stdout(io.StringIO()):
        return PDUEncoder().decode(io.BytesIO(frame))


@settings(max_examples=50, deadline=None)
@given(SUBMITS)
def test_a_submit_sm_of_ours_is_the_same_for_smpp_pdu(sm: pdus.Sm) -> None:
    frame = pdus.encode_sm(sm)
    assert pdus.decode(frame) == sm
    read = oracle_decode(frame)
    params = read.params
    assert read.seqNum == sm.sequence
    assert params["service_type"] == sm.service_type
    assert params["source_addr"] == sm.source
    assert params["destination_addr"] == sm.destination
    assert params["source_addr_ton"].name == constants.addr_ton_value_map[sm.source_ton]
    assert params["dest_addr_npi"].name == constants.addr_npi_value_map[sm.dest_npi]
    assert params["protocol_id"] == sm.protocol_id
    assert params["short_message"] == sm.short_message
    assert params.get("message_payload") == pdus.first(sm.tlvs, pdus.MESSAGE_PAYLOAD)


@settings(max_examples=50, deadline=None)
@given(SUBMITS.map(lambda sm: pdus.Sm(*[getattr(sm, n) for n in sm.__struct_fields__[:-2]])))
def test_what_smpp_pdu_encodes_is_read_by_us(sm: pdus.Sm) -> None:
    frame = PDUEncoder().encode(oracle_decode(pdus.encode_sm(sm)))
    assert pdus.decode(frame) == sm


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 0x7FFFFFFF), c_octets(64).filter(bool))
def test_an_answer_of_ours_is_the_same_for_smpp_pdu(sequence: int, message_id: bytes) -> None:
    frame = pdus.encode_sm_resp(pdus.SUBMIT_SM_RESP, 0, sequence, message_id)
    read = oracle_decode(frame)
    assert (read.seqNum, read.params["message_id"]) == (sequence, message_id)
    assert PDUEncoder().encode(read) == frame


def test_our_numbers_are_those_of_smpp_pdu() -> None:
    for name in ("submit_sm", "deliver_sm", "data_sm", "enquire_link", "unbind", "outbind"):
        number: int = getattr(pdus, name.upper())
        assert number == constants.command_id_name_map[name]
    for name in ("message_payload", "receipted_message_id", "message_state", "sar_msg_ref_num"):
        assert getattr(pdus, name.upper()) == constants.tag_name_map[name] == tag_number(name)


# ---- in words


@pytest.mark.parametrize("name", VALID)
def test_every_valid_frame_can_be_described(name: str) -> None:
    told = describe(OCTETS[name])
    assert told["command"] == FRAMES[name]["command"]
    json.dumps(told)


def test_smpp_050_a_description_masks_passwords() -> None:
    for name in ("F01", "F06", "F07"):
        assert describe(OCTETS[name])["password"] == "<secret>"
        assert "secret'" not in str(describe(OCTETS[name])).replace("<secret>", "")
        assert "b'secret'" not in repr(pdus.decode(OCTETS[name]))
    assert "pw" not in str(describe(OCTETS["F14"]))
    assert "pw" not in repr(pdus.decode(OCTETS["F14"])).replace("password", "")


def test_all_05_rare_pdus_are_described_by_smpp_pdu_and_without_noise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = b"id7\0\1\x01250788\0"
    told = describe(struct.pack(">4L", 16 + len(body), 0x03, 0, 9) + body)
    assert (told["command"], told["message_id"], told["source_addr"]) == (
        "query_sm",
        "id7",
        "250788",
    )
    body = b"id7\0" + b"261122080000004+\0" + b"\2\0"
    told = describe(struct.pack(">4L", 16 + len(body), 0x80000003, 0, 9) + body)
    assert told["message_id"] == "id7"
    assert capsys.readouterr().out == ""


def test_what_nobody_can_read_is_described_in_hex() -> None:
    body = b"\1\2\3"
    told = describe(struct.pack(">4L", 19, 0x21, 0, 9) + body)  # submit_multi
    assert (told["command"], told["body"]) == ("submit_multi", "010203")
    told = describe(struct.pack(">4L", 19, 0x0999, 0x481, 9) + body)
    assert (told["command"], told["status_name"]) == ("0x00000999", "0x00000481")
    assert (status_name(0x58), tag_name(0x1403)) == ("ESME_RTHROTTLED", "0x1403")
