"""Segments as CIMD2 submits, and the login."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import Secret, SmppOptions
from gatewayd.errors import UsageError
from gatewayd.model import Segment
from gatewayd.smsc.cimd2_frame import decode
from gatewayd.smsc.cimd2_options import Cimd2Options, parse
from gatewayd.smsc.cimd2_out import Outward, Unsendable, relative_period

NOW = 1_800_000_000.0
DAY = 86400
KANNEL = parse(
    (
        "ids=asked",
        "long-numbers=cut",
        "originator=raw",
        "buffered=",
        "leave-out=053,067",
    )
)[0]


def outward(options: Cimd2Options | None = None, **smpp: object) -> Outward:
    whole = replace(SmppOptions(system_id="user1", password=Secret("pass1")), **smpp)  # type: ignore[arg-type]
    return Outward(whole, options or Cimd2Options(), lambda: NOW)


def segment(**fields: object) -> Segment:
    given = {"id": 1, "source": "12345", "destination": "5582999000111", "payload": b"hello"}
    return Segment(**{**given, **fields})  # type: ignore[arg-type]


def written(how: Outward, **fields: object) -> dict[str, str]:
    packet = decode(how.submit(segment(**fields), 5))
    assert (packet.operation, packet.number) == (3, 5)
    found = {f"{number:03}": value.decode("latin-1") for number, value in packet.parameters}
    assert len(found) == len(packet.parameters)
    return found


def parameters(how: Outward | None = None, **fields: object) -> dict[str, str]:
    """What a submit has beyond the usual."""
    usual = {"021": "5582999000111", "023": "12345", "056": "0", "055": "0", "044": "0"}
    found = written(how or outward(), **fields)
    return {name: value for name, value in found.items() if usual.get(name) != value}


def test_cimd_016_a_text_is_written_as_kannel_writes_it() -> None:
    assert outward(KANNEL).submit(segment(destination="+5582999000111"), 5) == (
        b"\x0203:005\t021:+5582999000111\t023:12345\t056:0\t055:0\t044:0\t033:hello\tCA\x03"
    )
    assert parameters(payload=b"\x00\x01\x02_") == {"033": "_Oa_L-$_so"}


def test_cimd_016_ucs_2_and_octets_are_hex_with_their_coding() -> None:
    assert parameters(payload=b"\x04\x1f", coding=2) == {"034": "041F", "030": "8"}
    assert parameters(payload=b"\0\1\xff", coding=1) == {"034": "0001FF", "030": "4"}


def test_cimd_016_a_header_goes_beside_text_and_octets() -> None:
    udh = bytes.fromhex("06050415820000")
    assert parameters(udh=udh) == {"032": "06050415820000", "033": "hello"}
    assert parameters(udh=udh, payload=b"\xff", coding=1) == {
        "032": "06050415820000",
        "034": "FF",
        "030": "4",
    }


def test_cimd_016_all_parts_but_the_last_announce_another() -> None:
    udh = bytes.fromhex("0500031F0201")
    assert written(outward(), udh=udh, index=0, total=2)["044"] == "1"
    assert written(outward(), udh=udh, index=1, total=2)["044"] == "0"


def test_cimd_016_classes_and_indications_are_in_the_coding_scheme() -> None:
    assert parameters(mclass=0)["030"] == "16"
    assert parameters(mclass=1)["030"] == "17"
    assert parameters(mclass=1, alt_dcs=1)["030"] == "241"
    assert parameters(outward(alt_dcs=True), mclass=1)["030"] == "241"
    assert parameters(mwi=0)["030"] == "216"


def test_cimd_016_an_alphanumeric_originator_has_its_own_parameter() -> None:
    assert parameters(source="gatewayd")["027"] == "gatewayd"
    assert parameters(source="Café & Co à la carte")["027"] == "Caf_e' & Co _a`"
    assert parameters(outward(KANNEL), source="Café")["027"] == "CafÃ©"
    assert parameters(outward(KANNEL), source="Abcdefghijklmn")["027"] == "Abcdefghijk"
    assert "023" not in written(outward(), source="gatewayd")


def test_an_empty_originator_is_left_out() -> None:
    assert "023" not in written(outward(), source="")


@pytest.mark.parametrize(
    ("seconds", "value"),
    [
        (-5, 0),
        (0, 0),
        (1, 0),
        (300, 0),
        (301, 1),
        (3599.5, 11),
        (3600, 11),
        (DAY / 2, 143),
        (DAY / 2 + 1, 144),
        (DAY, 167),
        (DAY + 1, 168),
        (2 * DAY, 168),
        (2 * DAY + 1, 169),
        (30 * DAY, 196),
        (30 * DAY + 1, 197),
        (35 * DAY, 197),
        (35 * DAY + 1, 198),
        (63 * 7 * DAY, 255),
        (1e9, 255),
    ],
)
def test_cimd_016_validity_is_on_the_scale_of_gsm_and_never_shorter(
    seconds: float, value: int
) -> None:
    assert relative_period(seconds) == value
    if seconds > 0:
        assert parameters(validity=NOW + seconds)["050"] == str(value)


@settings(max_examples=200)
@given(st.floats(0, 63 * 7 * DAY))
def test_a_period_on_the_scale_lasts_long_enough(seconds: float) -> None:
    value = relative_period(seconds)
    if value <= 143:
        period = (value + 1) * 300
    elif value <= 167:
        period = DAY // 2 + (value - 143) * 1800
    elif value <= 196:
        period = (value - 166) * DAY
    else:
        period = (value - 192) * 7 * DAY
    assert period >= seconds


def test_a_submit_may_have_the_validity_of_the_smsc() -> None:
    assert parameters(outward(validity=3600.0))["050"] == "11"


def test_first_delivery_priority_pid_reply_path_and_tariff_are_told() -> None:
    assert parameters(deferred=NOW + 600)["053"] == "1"
    assert "053" not in parameters(deferred=NOW - 600)
    assert [parameters(priority=given)["067"] for given in range(4)] == ["7", "5", "3", "1"]
    assert parameters(pid=64)["052"] == "64"
    assert parameters(rpi=1)["055"] == "1"
    assert parameters(binfo="12")["064"] == "12"


def test_kannel_tells_neither_first_delivery_nor_priority() -> None:
    kannel = outward(KANNEL)
    assert parameters(kannel, deferred=NOW + 600, priority=1) == {"033": "hello"}
    assert parameters(kannel, binfo="bill")["064"] == "bi"


@pytest.mark.parametrize(
    ("mask", "ours", "kannel"),
    [
        (0, 0, 0),
        (1, 14, 14),
        (2, 14, 14),
        (4, 1, 0),
        (7, 15, 14),
        (8, 0, 0),
        (16, 0, 0),
        (31, 15, 14),
        (32, 14, 14),
    ],
)
def test_cimd_017_the_report_request_follows_from_the_mask(
    mask: int, ours: int, kannel: int
) -> None:
    assert written(outward(), dlr_mask=mask)["056"] == str(ours)
    assert written(outward(KANNEL), dlr_mask=mask)["056"] == str(kannel)


def test_cimd_017_only_the_first_part_may_ask_for_a_report() -> None:
    first = outward(receipts_for="first")
    assert written(first, dlr_mask=1, index=0, total=2)["056"] == "14"
    assert written(first, dlr_mask=1, index=1, total=2)["056"] == "0"
    none, _ = parse(("leave-out=056",))
    assert "056" not in written(outward(none), dlr_mask=1)
    assert outward(none).report_request(segment(dlr_mask=1)) == 0


def test_cimd_020_the_number_of_the_account_is_taken_off_the_originator() -> None:
    how = outward(my_number="400")
    assert parameters(how, source="400600")["023"] == "600"
    for other in ("400", "600"):
        assert "023" not in written(how, source=other)
    assert parameters(how, source="ACME")["027"] == "ACME"


def test_cimd_020_never_leaves_every_number_out() -> None:
    how = outward(my_number="never")
    assert "023" not in written(how, source="12345")
    assert parameters(how, source="ACME")["027"] == "ACME"


def test_addresses_that_are_too_long_are_refused_or_cut() -> None:
    long = "1" * 25
    for fields in ({"destination": long}, {"source": long}, {"binfo": "123"}):
        with pytest.raises(Unsendable):
            outward().submit(segment(**fields), 5)
    assert parameters(outward(KANNEL), destination=long)["021"] == "1" * 20


@pytest.mark.parametrize(
    "fields",
    [
        {"destination": ""},
        {"destination": "ACME"},
        {"destination": "+"},
        {"destination": "٣٤٥"},
        {"binfo": "\t1"},
        {"payload": b"a" * 481},
        {"payload": b"\0" * 161},
        {"payload": b"a" * 141, "coding": 1},
        {"udh": b"\xff" * 141},
    ],
)
def test_what_cimd2_cannot_carry_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(Unsendable):
        outward().submit(segment(**fields), 5)


def test_control_characters_of_a_sender_never_reach_the_wire() -> None:
    with pytest.raises(Unsendable):
        outward(KANNEL).submit(segment(source="A\x02B"), 5)
    assert parameters(source="A\tB")["027"] == "A?B"


def test_the_login_asks_for_a_window_only_above_one() -> None:
    assert outward().login(1, 1) == b"\x0201:001\t010:user1\t011:pass1\tB8\x03"
    told, _ = parse(("sub-address=3",))
    packet = decode(outward(told).login(1, 10))
    assert packet.parameters == ((10, b"user1"), (11, b"pass1"), (12, b"3"), (19, b"10"))
    with pytest.raises(UsageError):
        outward(system_id="a\tb").login(1, 1)


def test_a_checksum_may_be_left_out() -> None:
    bare, _ = parse(("send-checksum=no",))
    assert outward(bare).packet(40, 3) == b"\x0240:003\t\x03"


def test_options_that_are_wrong_do_not_count() -> None:
    options, wrong = parse(
        (
            "checksum=maybe",
            "retransmit=11",
            "temporary=1,x",
            "send-checksum=perhaps",
            "nonsense=1",
            "ids=asked",
        )
    )
    assert options == Cimd2Options(ids="asked")
    assert [each.split()[0].rstrip(":") for each in wrong] == [
        "checksum",
        "retransmit",
        "temporary",
        "send-checksum",
        "nonsense",
    ]


@settings(max_examples=150)
@given(
    st.builds(
        Segment,
        id=st.just(1),
        source=st.text(max_size=25),
        destination=st.text(max_size=25) | st.from_regex(r"\+?[0-9]{1,22}", fullmatch=True),
        payload=st.binary(max_size=170),
        coding=st.integers(-1, 2),
        udh=st.binary(max_size=20),
        mclass=st.integers(-1, 3),
        mwi=st.integers(-1, 7),
        pid=st.integers(-1, 255),
        rpi=st.integers(-1, 1),
        priority=st.integers(-1, 3),
        validity=st.floats(0, 2 * NOW),
        deferred=st.floats(0, 2 * NOW),
        dlr_mask=st.integers(0, 63),
        binfo=st.text(max_size=5),
    ),
    st.sampled_from([Cimd2Options(), KANNEL]),
)
def test_any_segment_becomes_a_packet_or_is_refused(what: Segment, options: Cimd2Options) -> None:
    try:
        frame = outward(options).submit(what, 7)
    except Unsendable:
        return
    packet = decode(frame, checksum="required")
    assert (packet.operation, packet.number) == (3, 7)
