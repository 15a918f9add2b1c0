"""Segments as UCP operations, beside the golden frames and what Kannel was seen to do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gatewayd.config.model import BindConfig, Secret, SmppOptions, SmscConfig
from gatewayd.model import Coding, Segment
from gatewayd.sms import alphabets
from gatewayd.sms.udh import part_of
from gatewayd.smsc import ucp_frame as ucp
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.ucp_in import extra_services, unpacked
from gatewayd.smsc.ucp_options import UcpOptions, read
from gatewayd.smsc.ucp_out import Outward, Unsendable, add_to_list, alert, login, packed

GOLDEN = Path(__file__).parent.parent / "golden" / "frames" / "ucp.json"
FRAMES: dict[str, dict[str, Any]] = {
    each["id"]: each for each in json.loads(GOLDEN.read_text("utf-8"))["frames"]
}
KANNEL = ("long-numbers=cut", "mcls=binary")
NOW = datetime(2026, 11, 21, 22, 15, tzinfo=UTC).timestamp()
PLAIN = Segment(1, "4545", "250788123456", b"Hello")


def outward(*options: str, **smpp: Any) -> Outward:
    bind = BindConfig("a/0")
    smsc = SmscConfig(
        "a",
        "a",
        protocol="ucp",
        binds=(bind,),
        options=("utc-offset=+00:00", *options),
        smpp=SmppOptions(**smpp),
    )
    own = read(smsc.options)
    assert not own.unknown
    return Outward(SessionOptions(smsc, bind, wall=lambda: NOW), own)


def kannel(**smpp: Any) -> Outward:
    return outward(*KANNEL, ton_rule="kannel", receipts_for="first", **smpp)


def fields(made: bytes) -> dict[str, str]:
    (body,) = ucp.Framer().feed(made)
    return dict(ucp.named(ucp.decode(body)))


def shown(segment: Segment, out: Outward | None = None) -> dict[str, str]:
    return fields((out or outward()).submit(segment, 1))


def golden(name: str) -> bytes:
    return bytes.fromhex(FRAMES[name]["hex"])


def gsm(text: str) -> bytes:
    octets = alphabets.encode_gsm(text)
    assert octets is not None
    return octets


@pytest.mark.parametrize(
    ("name", "number", "segment"),
    [
        ("UCP-F05", 1, structs.replace(PLAIN, dlr_mask=3)),
        (
            "UCP-F08",
            2,
            structs.replace(PLAIN, source="gatewayd", payload=gsm("Code [12] costs 5€ @ é")),
        ),
        ("UCP-F09", 3, structs.replace(PLAIN, source="ABCDEFGHIJK", payload=b"x")),
        ("UCP-F10", 4, structs.replace(PLAIN, source="+250788000001", payload=b"intl")),
        (
            "UCP-F11",
            5,
            structs.replace(PLAIN, payload="سلام 😀".encode("utf-16-be"), coding=Coding.UCS2),
        ),
        (
            "UCP-F12",
            6,
            structs.replace(
                PLAIN, payload=b"Part one of two. ", udh=bytes.fromhex("050003A70201"), total=2
            ),
        ),
        (
            "UCP-F13",
            7,
            structs.replace(
                PLAIN,
                payload=b"part two",
                udh=bytes.fromhex("050003A70202"),
                total=2,
                index=1,
            ),
        ),
        (
            "UCP-F14",
            8,
            structs.replace(
                PLAIN,
                payload=b"\0\1\2\xff",
                coding=Coding.OCTETS,
                udh=bytes.fromhex("050415820000"),
                mclass=1,
                alt_dcs=1,
            ),
        ),
        (
            "UCP-F15",
            9,
            structs.replace(
                PLAIN,
                payload=b"later",
                deferred=datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp(),
                validity=datetime(2026, 11, 23, 8, tzinfo=UTC).timestamp(),
            ),
        ),
    ],
)
def test_ucp_016_a_segment_is_written_as_in_the_golden_frame(
    name: str, number: int, segment: Segment
) -> None:
    assert outward("more-messages=yes").submit(segment, number) == golden(name)


def test_the_other_operations_are_written_as_in_the_golden_frames() -> None:
    smpp = SmppOptions(system_id="4545", password=Secret("secret"))
    own = UcpOptions()
    assert login(smpp, own, 0) == golden("UCP-F01")
    assert alert(smpp, 16) == golden("UCP-F25")
    assert add_to_list(smpp, own, 22, "250788000001") == golden("UCP-F35")
    late = datetime(2026, 11, 22, 8, tzinfo=UTC).timestamp()
    thirty = structs.replace(PLAIN, payload=b"thirty", deferred=late)
    assert outward("submit=30").submit(thirty, 18) == golden("UCP-F30")
    first = structs.replace(PLAIN, payload=b"Short Message")
    assert outward("submit=01").submit(first, 17) == golden("UCP-F28")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"destination": "+5582999000111"}, {"AdC": "005582999000111"}),
        ({"source": "ACME"}, {"OAdC": "07C161B308", "OTOA": "5039"}),
        ({"source": "ACMECORPORATION"}, {"OAdC": "14C161B3387C4AA14F6910", "OTOA": "5039"}),
        ({"source": "Café"}, {"OAdC": "07C3B0B900", "OTOA": "5039"}),
        ({"destination": "1" * 25}, {"AdC": "1" * 16}),
        ({"source": "12345678901"}, {"OAdC": "12345678901"}),
        (
            {"coding": 2, "mclass": 0, "payload": b"\x04\x16"},
            {"MT": "4", "NB": "0016", "Msg": "0416", "MCLs": "1", "XSer": "020118"},
        ),
        (
            {"coding": 1, "payload": b"\x00\x01\xff"},
            {"MT": "4", "NB": "0024", "Msg": "0001FF", "MCLs": "1"},
        ),
        ({"udh": bytes.fromhex("06050415820000")}, {"MT": "3", "XSer": "010706050415820000"}),
        ({"mclass": 0}, {"MT": "3", "XSer": "020110"}),
        ({"mwi": 0}, {"XSer": "0201D8"}),
        ({"pid": 64}, {"RPID": "0064"}),
        ({"rpi": 1}, {"RPI": "1"}),
        ({"alt_dcs": 1, "mclass": 1}, {"XSer": "0201F1"}),
        ({"binfo": "bill"}, {"XSer": "0C0462696C6C"}),
        ({"validity": NOW + 3600}, {"VP": "2111262315"}),
        ({"deferred": NOW + 1800}, {"DD": "1", "DDT": "2111262245"}),
        ({"dlr_mask": 1}, {"NRq": "1", "NT": "3"}),
        ({"dlr_mask": 4}, {"NRq": "1", "NT": "7"}),
        ({"dlr_mask": 31}, {"NRq": "1", "NT": "7"}),
        ({"dlr_mask": 24}, {}),
        ({"dlr_mask": 1, "index": 1, "total": 2}, {}),
    ],
)
def test_ucp_016_kannels_way_is_kept(changes: dict[str, Any], expected: dict[str, str]) -> None:
    plain = {"AdC": "5582999000111", "OAdC": "12345", "MT": "3", "Msg": "68656C6C6F"}
    segment = Segment(1, "12345", "5582999000111", b"hello")
    made = shown(structs.replace(segment, **changes), kannel())
    if made.get("MT") == "4":
        del plain["Msg"]
    assert made == plain | expected


def test_ucp_016_our_own_way_is_safe() -> None:
    long = structs.replace(PLAIN, destination="1" * 17)
    with pytest.raises(Unsendable):
        outward().submit(long, 1)
    assert shown(structs.replace(PLAIN, source="250788000001"))["OTOA"] == "1139"
    octets = structs.replace(PLAIN, coding=Coding.OCTETS)
    assert "MCLs" not in shown(octets)
    assert shown(structs.replace(octets, mclass=2))["MCLs"] == "2"
    every = structs.replace(PLAIN, dlr_mask=1, index=1, total=2)
    assert shown(every)["NRq"] == "1"


def test_notifications_go_where_the_options_say() -> None:
    out = outward("notification-pid=0539", "notification-addr=999", "notification-type=5")
    asked = shown(structs.replace(PLAIN, dlr_mask=31), out)
    assert (asked["NRq"], asked["NAdC"], asked["NT"], asked["NPID"]) == ("1", "999", "5", "0539")
    assert not {"NRq", "NAdC", "NT", "NPID"} & set(shown(PLAIN, out))


def test_the_prefix_of_international_recipients_can_be_set() -> None:
    segment = structs.replace(PLAIN, destination="+250788-123 456")
    assert shown(segment, outward("international-prefix="))["AdC"] == "250788123456"


def test_times_are_told_by_the_smscs_clock() -> None:
    later = structs.replace(PLAIN, validity=NOW)
    assert shown(later, outward("utc-offset=+03:00"))["VP"] == "2211260115"
    assert shown(later, outward("utc-offset=-04:30"))["VP"] == "2111261745"
    assert shown(PLAIN, outward(validity=60.0))["VP"] == "2111262216"
    with pytest.raises(Unsendable):
        outward().submit(structs.replace(PLAIN, validity=1e18), 1)


def test_another_charset_of_the_link_is_used_for_text_alone() -> None:
    out = outward(alt_charset="ISO-8859-1")
    text = structs.replace(PLAIN, payload=gsm("é@"))
    assert shown(text, out)["Msg"] == "E940"
    assert shown(structs.replace(text, coding=Coding.OCTETS), out)["Msg"] == "0500"
    assert shown(text, outward(alt_charset="21"))["Msg"] == "0500"


@pytest.mark.parametrize("length", range(1, 12))
def test_ucp_017_an_alphanumeric_originator_counts_its_useful_semi_octets(length: int) -> None:
    name = "ABCDEFGHIJK"[:length]
    semi_octets = (2, 4, 6, 7, 9, 11, 13, 14, 16, 18, 20)[length - 1]
    made = bytes.fromhex(packed(name))
    assert made[0] == semi_octets
    assert len(made) == 1 + (semi_octets + 1) // 2
    assert unpacked(packed(name)) == name


def test_an_escape_pair_at_the_end_of_an_originator_is_never_cut_in_two() -> None:
    assert unpacked(packed("ABCDEFGHIJ€")) == "ABCDEFGHIJ"
    assert unpacked(packed("ABCDEFGHI€")) == "ABCDEFGHI€"


@pytest.mark.parametrize("operation", ["01", "30"])
@pytest.mark.parametrize(
    "changes",
    [
        {"source": "ACME"},
        {"udh": b"\x05\x00\x03\x01\x02\x01"},
        {"coding": Coding.UCS2, "payload": b"\x04\x16"},
        {"source": "1" * 17},
    ],
)
def test_what_an_older_operation_cannot_carry_is_not_sent(
    operation: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(Unsendable):
        outward(f"submit={operation}").submit(structs.replace(PLAIN, **changes), 1)


def test_the_older_operations_carry_what_they_can() -> None:
    plus = structs.replace(PLAIN, source="+250788000001", dlr_mask=1, validity=NOW)
    made = shown(plus, outward("submit=30", "notification-addr=9"))
    assert (made["OAdC"], made["NRq"], made["NAdC"]) == ("250788000001", "1", "9")
    assert made["VP"] == "2111262215"
    octets = structs.replace(PLAIN, coding=Coding.OCTETS, payload=b"\xff")
    made = shown(octets, outward("submit=01"))
    assert (made["MT"], made["NB"], made["Msg"]) == ("4", "0008", "FF")
    assert not outward("submit=01").asks(structs.replace(PLAIN, dlr_mask=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": ""},
        {"destination": "12/34"},
        {"destination": "١٢٣"},
        {"destination": "abc"},
        {"source": "1" * 23},
        {"binfo": "x" * 300},
        {"udh": b"\xff" * 300},
        {"udh": b"\x8b" * 140, "binfo": "x" * 120},
        {"payload": b"x" * 60_000},
    ],
)
def test_what_no_operation_can_carry_is_not_sent(changes: dict[str, Any]) -> None:
    with pytest.raises(Unsendable):
        outward().submit(structs.replace(PLAIN, **changes), 1)


@settings(max_examples=150)
@given(
    source=st.text(max_size=25),
    destination=st.text(st.sampled_from("+0123456789/-\x02é"), max_size=20),
    payload=st.binary(max_size=160),
    coding=st.integers(0, 2),
    udh=st.sampled_from([b"", b"\x05\x00\x03\x07\x02\x01"]),
    binfo=st.text(max_size=10),
    mclass=st.integers(-1, 3),
    pid=st.integers(-1, 255),
)
def test_any_segment_makes_a_readable_frame_or_none(
    source: str,
    destination: str,
    payload: bytes,
    coding: int,
    udh: bytes,
    binfo: str,
    mclass: int,
    pid: int,
) -> None:
    segment = Segment(
        1, source, destination, payload, coding, udh=udh, binfo=binfo, mclass=mclass, pid=pid
    )
    try:
        made = outward().submit(segment, 42)
    except Unsendable:
        return
    (body,) = ucp.Framer().feed(made)
    frame = ucp.decode(body)
    assert (frame.number, frame.operation, len(frame.fields)) == (42, 51, 33)
    assert bytes.fromhex(frame.fields[ucp.MSG]) == payload
    assert frame.fields[ucp.MT] == ("3" if coding == 0 else "4")
    services = extra_services(frame.fields[ucp.XSER])
    assert services.udh == udh
    assert (part_of(services.udh) is None) is not bool(udh)
    assert services.binfo == binfo


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense=1",
        "submit=52",
        "temporary=x",
        "temporary=100",
        "mcls=2",
        "utc-offset=3",
        "utc-offset=+15:00",
        "utc-offset=+03:60",
        "notification-type=8",
        "login-ton=66",
        "smsc-time=maybe",
        "mo-list=",
    ],
)
def test_an_option_that_nobody_understands_is_told(wrong: str) -> None:
    own = read((wrong, "mcls=binary"))
    assert own.unknown == (wrong.partition("=")[0],)
    assert own.mcls == "binary"


def test_options_are_read() -> None:
    own = read(("temporary=", "throttling=4, 36", "mo-list=1", "mo-list=2", "alert-first=yes"))
    assert (own.temporary, own.throttling) == (frozenset(), frozenset({4, 36}))
    assert (own.mo_list, own.alert_first) == (("1", "2"), True)
    assert read(("login-version=0110", "login-opid=39")).login_opid == "39"
