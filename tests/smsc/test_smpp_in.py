"""deliver_sm and data_sm as MO and receipts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import BindConfig, SmppOptions, SmscConfig, TlvConfig
from gatewayd.model import Inbound, Receipt
from gatewayd.sms.receipt_text import normalise_id
from gatewayd.smsc import smpp_pdu as pdus
from gatewayd.smsc.contract import SessionOptions
from gatewayd.smsc.smpp_in import Inward, Refused

GOLDEN = Path(__file__).parents[1] / "golden" / "frames" / "smpp.json"
OCTETS = {
    one["id"].removeprefix("SMPP-"): bytes.fromhex(one["hex"])
    for one in json.loads(GOLDEN.read_text())["frames"]
}
KANNEL: dict[str, Any] = {
    "strict_addresses": True,
    "strict_receipts": True,
    "id_case": True,
    "mwi_ucs2": False,
}
TEXT = b"id:id0001 sub:001 dlvrd:001 submit date:2109241200 done date:2109241201 "


def read(sm: pdus.Sm, tlvs: tuple[TlvConfig, ...] = (), **smpp: Any) -> Inbound | Receipt:
    bind_config = BindConfig("a/0")
    options = SmppOptions(**({"system_id": "user1"} | smpp))
    smsc = SmscConfig("a", "a", binds=(bind_config,), smpp=options)
    return Inward(SessionOptions(smsc, bind_config, tlvs=tlvs)).read(sm)


def deliver(text: bytes = b"hello", **fields: Any) -> pdus.Sm:
    defaults: dict[str, Any] = {
        "command": pdus.DELIVER_SM,
        "sequence": 1,
        "source_ton": 1,
        "source": b"5582999000111",
        "destination": b"28282",
        "short_message": text,
    }
    return pdus.Sm(**(defaults | fields))


def mo(text: bytes = b"hello", *, smpp: dict[str, Any] | None = None, **fields: Any) -> Inbound:
    said = read(deliver(text, **fields), **(smpp or {}))
    assert isinstance(said, Inbound)
    return said


def receipt(text: bytes = b"", *, smpp: dict[str, Any] | None = None, **fields: Any) -> Receipt:
    said = read(deliver(text, **({"esm_class": 4} | fields)), **(smpp or {}))
    assert isinstance(said, Receipt)
    return said


def golden(name: str, **smpp: Any) -> Inbound | Receipt:
    pdu = pdus.decode(OCTETS[name])
    assert isinstance(pdu, pdus.Sm)
    return read(pdu, **smpp)


# ---- text and data_coding


def test_an_mo_has_everything_the_platform_may_ask_for() -> None:
    assert mo(service_type=b"CMT", protocol_id=64, smpp=KANNEL) == Inbound(
        source="+5582999000111",
        destination="28282",
        payload=b"hello",
        pid=64,
        alt_dcs=0,
        compress=0,
        binfo="CMT",
        account="user1",
        meta="?smpp?",
    )


@pytest.mark.parametrize(
    ("data_coding", "octets", "payload", "expected"),
    [
        (0x00, b"\x00\x1be caf\x05", "@€ café".encode(), (0, 0, -1, -1)),
        (0x01, b"plain@ascii", b"plain@ascii", (0, 0, -1, -1)),
        (0x03, b"a\xe7\xe3o", "ação".encode(), (0, 0, -1, -1)),
        (0x05, b"abc", b"abc", (0, 0, -1, -1)),
        (0x06, bytes.fromhex("bfe0d8d2d5e2"), "Привет".encode(), (0, 0, -1, -1)),
        (0x07, b"\xf9\xec", "של".encode(), (0, 0, -1, -1)),
        (0x0E, b"\xb0\xa1", "가".encode(), (0, 0, -1, -1)),
        (0x02, b"\0\1\xff", b"\0\1\xff", (1, 4, -1, -1)),
        (0x04, b"\0\1\xff", b"\0\1\xff", (1, 4, -1, -1)),
        (0x08, b"\x04\x16", b"\x04\x16", (2, 8, -1, -1)),
        (0x10, b"class0", b"class0", (0, 0x10, 0, -1)),
        (0x18, b"\x04\x16", b"\x04\x16", (2, 0x18, 0, -1)),
        (0x20, b"abc", b"abc", (0, 0x20, -1, -1)),
        (0x85, b"abc", b"abc", (0, 0, -1, -1)),
        (0xD9, b"mwi", b"mwi", (0, 0xD9, -1, 1)),
        (0xF0, b"flash", b"flash", (0, 0xF0, 0, -1)),
        (0xF1, b"x", b"x", (0, 0xF1, 1, -1)),
        (0xF5, b"\xff", b"\xff", (1, 0xF5, 1, -1)),
    ],
)
def test_smpp_033_every_data_coding_is_read_as_kannel_reads_it(
    data_coding: int, octets: bytes, payload: bytes, expected: tuple[int, int, int, int]
) -> None:
    for smpp in ({}, KANNEL):
        said = mo(octets, data_coding=data_coding, smpp=smpp)
        assert said.payload == payload
        assert (said.coding, said.dcs, said.mclass, said.mwi) == expected
        assert said.charset == ("UTF-8", "8-BIT", "UTF-16BE")[said.coding]
        assert said.raw == b""


def test_smpp_033_message_waiting_in_ucs2_is_ucs2_except_for_kannel() -> None:
    ours = mo(b"\x04\x16", data_coding=0xE0)
    assert (ours.coding, ours.payload) == (2, b"\x04\x16")
    kannels = mo(b"\x04\x16", data_coding=0xE0, smpp=KANNEL)
    assert (kannels.coding, kannels.payload, kannels.dcs) == (0, "èΠ".encode(), 192)
    assert kannels.mwi == 4


@pytest.mark.parametrize(
    ("charset", "octets", "text"),
    [
        ("", b"\x05", "é"),
        ("gsm", b"\x05", "é"),
        ("latin1", b"\xe9@", "é@"),
        ("utf-8", "é€".encode(), "é€"),
        ("packed", bytes.fromhex("e8329bfd06"), "hello"),
        ("no such charset", b"\x05", "é"),
    ],
)
def test_smpp_033_the_default_alphabet_is_configured(
    charset: str, octets: bytes, text: str
) -> None:
    assert mo(octets, smpp={"mo_charset": charset}).payload == text.encode()
    # Where the octet itself says GSM, it is GSM.
    assert mo(b"\x05", data_coding=0xF1, smpp={"mo_charset": "latin1"}).payload == "é".encode()


def test_smpp_033_the_links_charset_is_also_that_of_mo() -> None:
    assert mo(b"\xe9", smpp={"alt_charset": "latin1"}).payload == "é".encode()
    both = {"alt_charset": "latin1", "mo_charset": "gsm"}
    assert mo(b"\x05", smpp=both).payload == "é".encode()


def test_smpp_033_what_cannot_be_decoded_is_replaced_and_kept() -> None:
    said = mo(b"a\xff")
    assert (said.payload, said.raw) == ("a\ufffd".encode(), b"a\xff")
    said = mo(b"\xff\xfe\xff", smpp={"mo_charset": "utf-8"})
    assert said.raw == b"\xff\xfe\xff"
    for octets in (b"\x04\x16\x04", b"\xd8\x3d"):
        said = mo(octets, data_coding=8)
        assert (said.payload, said.raw) == (octets, octets)


@pytest.mark.parametrize("size", range(1, 20))
def test_smpp_033_packed_septets_are_unpacked_whatever_their_number(size: int) -> None:
    packed = sum(ord("a") << 7 * place for place in range(size))
    octets = packed.to_bytes((7 * size + 7) // 8, "little")
    assert mo(octets, smpp={"mo_charset": "packed"}).payload == b"a" * size


# ---- user data headers and parts


def test_smpp_034_the_header_is_cut_off_and_exposed() -> None:
    said = mo(bytes.fromhex("060504158200000102"), esm_class=0x40, data_coding=4)
    assert (said.udh, said.payload) == (bytes.fromhex("06050415820000"), b"\1\2")


def test_smpp_034_national_language_shifts_are_honoured() -> None:
    assert mo(bytes.fromhex("03240101") + b"\x1bs", esm_class=0x40).payload == "ş".encode()
    assert mo(bytes.fromhex("03250101") + b"\x04", esm_class=0x40).payload == "€".encode()


@pytest.mark.parametrize("smpp", [{}, KANNEL])
def test_a_header_longer_than_the_message_is_refused(smpp: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        mo(bytes.fromhex("500504156162"), esm_class=0x40, smpp=smpp)
    assert caught.value.status == 0x43
    assert mo(b"", esm_class=0x40, smpp=smpp).payload == b""


def test_smpp_035_sar_tlvs_tell_which_part_it_is() -> None:
    said = golden("F46")
    assert isinstance(said, Inbound)
    assert said.sar == (17, 2, 1)
    assert mo().sar is None
    assert mo(tlvs=[(pdus.SAR_MSG_REF_NUM, b"\0\1")]).sar is None


def test_smpp_036_the_text_may_be_in_message_payload() -> None:
    said = golden("F44")
    assert isinstance(said, Inbound)
    assert said.payload == b"long text in payload"
    long = [(pdus.MESSAGE_PAYLOAD, b"0123456789" * 50)]
    assert len(mo(b"", tlvs=long).payload) == 500
    assert mo(b"short", tlvs=long).payload == b"short"


def test_a_data_sm_is_an_mo_without_an_account() -> None:
    tlvs = [(pdus.MESSAGE_PAYLOAD, b"via data")]
    said = mo(b"", command=pdus.DATA_SM, tlvs=tlvs)
    assert (said.payload, said.account) == (b"via data", "")


def test_the_reply_path_is_told() -> None:
    assert (mo(esm_class=0x80).rpi, mo().rpi) == (1, -1)


# ---- addresses


@pytest.mark.parametrize("smpp", [{}, KANNEL])
@pytest.mark.parametrize(
    ("ton", "octets", "source"),
    [
        (1, b"5582999000111", "+5582999000111"),
        (1, b"005582999000111", "+5582999000111"),
        (1, b"+5582999000111", "+5582999000111"),
        (1, b"12345", "+12345"),
        (1, b"", ""),
        (2, b"82999000111", "82999000111"),
        (0, b"0055", "0055"),
        (0, b"1" * 64, "1" * 64),
        (5, b"ACME", "ACME"),
        (5, "Café".encode(), "Café"),
        (5, b"Caf\xe9", "Café"),
        (7, b"odd", "odd"),
    ],
)
def test_a_source_address_becomes_a_number_the_platform_knows(
    ton: int, octets: bytes, source: str, smpp: dict[str, Any]
) -> None:
    assert mo(source_ton=ton, source=octets, smpp=smpp).source == source


def test_strange_addresses_are_refused_only_where_kannel_would() -> None:
    for ton, octets in ((1, b"ABCDEFGH"), (5, b"ABCDEFGHIJKL")):
        assert mo(source_ton=ton, source=octets).source == octets.decode()
        assert mo(dest_ton=ton, destination=octets).destination == octets.decode()
        for which in ("source", "dest"):
            fields: dict[str, Any] = {
                f"{which}_ton": ton,
                "source" if which == "source" else "destination": octets,
            }
            with pytest.raises(Refused) as caught:
                mo(smpp=KANNEL, **fields)
            assert caught.value.status == 0x0A
    assert mo(source_ton=1, source=b"ABC", smpp=KANNEL).source == "+ABC"
    assert mo(source_ton=1, source=b"ABC").source == "ABC"


def test_an_empty_destination_is_refused_only_where_kannel_would() -> None:
    with pytest.raises(Refused) as caught:
        mo(destination=b"", smpp=KANNEL)
    assert caught.value.status == 0x0B
    assert mo(destination=b"").destination == ""


def test_my_number_replaces_the_destination() -> None:
    assert mo(smpp={"my_number": "4321"}).destination == "4321"


def test_alphanumeric_addresses_are_in_the_configured_charset() -> None:
    for charset in ("latin1", "gsm"):
        octets = {"latin1": b"Caf\xe9", "gsm": b"Caf\x05"}[charset]
        smpp = {"alt_addr_charset": charset}
        assert mo(source_ton=5, source=octets, smpp=smpp).source == "Café"
    assert mo(source_ton=5, source=b"Caf\x05", smpp=KANNEL).source == "Caf\x05"


# ---- meta-data


def test_named_tlvs_become_meta_data_and_others_do_not() -> None:
    known = (
        TlvConfig("campaign", 0x1400),
        TlvConfig("num", 0x1401, kind="integer"),
        TlvConfig("nuls", 0x1402, kind="nulterminated"),
        TlvConfig("other", 0x1403, smsc_ids=("b",)),
    )
    tlvs = [
        (0x1401, b"\1\2"),
        (0x1400, b"a b\0"),
        (0x1400, b"again"),
        (0x1402, b"xyz\0"),
        (0x1403, b"x"),
        (0x020A, b"\x12\x34"),
    ]
    said = read(deliver(tlvs=tlvs), tlvs=known)
    assert isinstance(said, Inbound)
    assert said.meta == "?smpp?num=258&campaign=a+b%00&nuls=xyz&"
    assert mo(tlvs=tlvs).meta == "?smpp?"


# ---- receipts


@pytest.mark.parametrize(
    ("name", "status", "stat"),
    [
        ("F50", 1, "DELIVRD"),
        ("F51", 1, "DELIVRD"),
        ("F52", 2, "EXPIRED"),
        ("F53", 2, "DELETED"),
        ("F54", 2, "UNDELIV"),
        ("F55", 4, "ACCEPTD"),
        ("F56", 2, "UNKNOWN"),
        ("F57", 2, "REJECTD"),
        ("F58", 4, "ENROUTE"),
        ("F60", 2, ""),
        ("F61", 1, "DELIVRD"),
        ("F62", 4, "ENROUTE"),
        ("F63", 1, ""),
    ],
)
def test_smpp_043_golden_receipts_give_the_status_of_the_table(
    name: str, status: int, stat: str
) -> None:
    for smpp in ({}, KANNEL):
        said = golden(name, **smpp)
        assert isinstance(said, Receipt)
        assert (said.smsc_id, said.status, said.stat) == ("5f1c2a9b", status, stat)


def test_smpp_002_receipts_of_the_field_are_read() -> None:
    for name, expected in {
        "Q01": ("5f1c2a9b", 1),
        "Q03": ("5f1c2a9b", 1),
        "Q07": ("5f1c2a9b", 2),
        "Q15": ("5f1c2a9b", 1),
        "Q16": ("5f1c2a9b", 2),
        "Q18": ("5f1c2a9b", 1),
    }.items():
        said = golden(name)
        assert isinstance(said, Receipt), name
        assert (said.smsc_id, said.status) == expected, name
    upper = golden("Q16")
    assert isinstance(upper, Receipt)
    assert upper.error == 45


def test_smpp_002_ids_match_across_notations_as_configured() -> None:
    decimal = golden("Q13", message_ids=2)
    assert isinstance(decimal, Receipt)
    assert decimal.smsc_id == "1595681435"
    padded = golden("Q14")
    assert isinstance(padded, Receipt)
    assert padded.smsc_id == "5f1c2a9b"


def test_smpp_002_a_receipt_without_receipt_bits_is_one_only_by_configuration() -> None:
    assert isinstance(golden("Q17"), Inbound)
    said = golden("Q17", receipt_by_text=True)
    assert isinstance(said, Receipt)
    assert said.smsc_id == "5f1c2a9b"
    assert isinstance(read(deliver(b"my id: is 5"), receipt_by_text=True), Inbound)


def test_smpp_002_reserved_esm_bits_are_an_mo_unless_a_receipt_is_in_it() -> None:
    assert isinstance(golden("Q21"), Inbound)
    assert isinstance(golden("Q21", **KANNEL), Receipt)
    assert isinstance(read(deliver(TEXT + b"stat:DELIVRD", esm_class=0x3C)), Receipt)
    for bits in (0x04, 0x08, 0x20):
        assert isinstance(read(deliver(b"hello", esm_class=bits)), Receipt)
    assert isinstance(read(deliver(TEXT, esm_class=0x10)), Inbound)


def test_a_receipt_tells_all_that_the_report_needs() -> None:
    text = TEXT + b"stat:UNDELIV err:042 text:hello"
    assert receipt(text, smpp=KANNEL) == Receipt(
        smsc_id="id0001",
        status=2,
        text=text.decode(),
        error=42,
        stat="UNDELIV",
        meta="?smpp?dlr_err=%03%00*&",
        source="+5582999000111",
        destination="28282",
        account="user1",
    )


@pytest.mark.parametrize(
    ("err", "meta"),
    [
        (b"err:000 ", "?smpp?dlr_err=%03%00%00&"),
        (b"err:12345 ", "?smpp?dlr_err=%03%00%7B&"),
        (b"", "?smpp?"),
    ],
)
def test_the_error_of_a_receipt_becomes_meta_data_as_kannel_writes_it(
    err: bytes, meta: str
) -> None:
    assert receipt(TEXT + b"stat:UNDELIV " + err + b"text:x", smpp=KANNEL).meta == meta


def test_the_network_error_of_a_tlv_wins_over_that_of_the_text() -> None:
    tlvs = [(pdus.NETWORK_ERROR_CODE, b"\x08\x00\x2a")]
    for smpp in ({}, KANNEL):
        said = receipt(TEXT + b"stat:UNDELIV err:001 text:x", tlvs=tlvs, smpp=smpp)
        assert (said.error_type, said.error, said.meta) == (8, 42, "?smpp?dlr_err=%08%00*&")
    short = receipt(TEXT + b"err:001", tlvs=[(pdus.NETWORK_ERROR_CODE, b"\3")])
    assert short.error == 1


def state(number: int, message_id: bytes = b"id0001\0") -> pdus.Tlvs:
    return [(pdus.RECEIPTED_MESSAGE_ID, message_id), (pdus.MESSAGE_STATE, bytes([number]))]


@pytest.mark.parametrize(
    ("number", "status"),
    [(1, 4), (2, 1), (3, 34), (4, 2), (5, 2), (6, 4), (7, 2), (8, 2), (10, 2)],
)
def test_smpp_043_message_state_gives_the_status(number: int, status: int) -> None:
    for smpp in ({}, KANNEL):
        said = receipt(tlvs=state(number), smpp=smpp)
        assert (said.smsc_id, said.status, said.text) == ("id0001", status, "")


def test_smpp_043_states_of_smpp_5_count_unless_kannels_way_is_asked_for() -> None:
    assert (receipt(tlvs=state(0)).status, receipt(tlvs=state(9)).status) == (4, 2)
    assert receipt(tlvs=state(0), smpp=KANNEL).status == 0
    assert receipt(tlvs=state(9), smpp=KANNEL).status == 0
    five = KANNEL | {"interface_version": 0x50}
    assert receipt(tlvs=state(0), smpp=five).status == 4


def test_smpp_043_tlvs_win_over_the_text() -> None:
    text = TEXT + b"stat:DELIVRD err:000"
    for smpp in ({}, KANNEL):
        said = receipt(text, tlvs=state(5, b"other\0"), smpp=smpp)
        assert (said.smsc_id, said.status) == ("other", 2)
        only_id = receipt(text, tlvs=[(pdus.RECEIPTED_MESSAGE_ID, b"other\0")], smpp=smpp)
        assert (only_id.smsc_id, only_id.status) == ("other", 1)
    # Kannel listens to the state only beside the id.
    only_state = [(pdus.MESSAGE_STATE, b"\5")]
    assert receipt(text, tlvs=only_state, smpp=KANNEL).status == 1
    assert receipt(text, tlvs=only_state).status == 2


def test_an_id_tlv_without_its_nul_is_read_except_by_kannel() -> None:
    tlvs = state(2, b"other")
    assert receipt(TEXT + b"stat:UNDELIV", tlvs=tlvs).smsc_id == "other"
    kannels = receipt(TEXT + b"stat:UNDELIV", tlvs=tlvs, smpp=KANNEL)
    assert (kannels.smsc_id, kannels.status) == ("id0001", 2)


def test_version_3_3_knows_no_tlvs_in_receipts() -> None:
    old = {"interface_version": 0x33}
    assert receipt(tlvs=state(2), smpp=old).smsc_id == ""
    assert receipt(TEXT + b"stat:DELIVRD", tlvs=state(5), smpp=old).status == 1


@pytest.mark.parametrize(
    "text",
    [
        b"ID:id0001 SUB:001 DLVRD:001 STAT:DELIVRD ERR:000 TEXT:x",
        b"id:id0001\nsub:001\ndlvrd:001\nstat:DELIVRD\nerr:000\ntext:x",
    ],
)
def test_dialects_of_the_text_are_read_except_by_kannel(text: bytes) -> None:
    ours = receipt(text)
    assert (ours.smsc_id, ours.status) == ("id0001", 1)
    assert receipt(text, smpp=KANNEL).smsc_id != "id0001"


def test_a_receipt_in_ucs2_is_read_except_by_kannel() -> None:
    text = (TEXT + b"stat:DELIVRD").decode().encode("utf-16-be")
    ours = receipt(text, data_coding=8)
    assert (ours.smsc_id, ours.status) == ("id0001", 1)
    assert receipt(text, data_coding=8, smpp=KANNEL).status == 0


def test_a_receipt_that_names_no_message_has_nothing_to_report() -> None:
    for smpp in ({}, KANNEL):
        assert (receipt(b"", smpp=smpp).smsc_id, receipt(b"", smpp=smpp).status) == ("", 0)
        assert receipt(b"thank you", smpp=smpp).status == 0


def test_receipts_are_never_refused_for_their_addresses() -> None:
    text = TEXT + b"stat:DELIVRD"
    said = receipt(text, smpp=KANNEL, source=b"ABCDEFGH", destination=b"")
    assert said.status == 1


@pytest.mark.parametrize(
    ("answer", "told", "matches"),
    [
        ("1595681435", "1595681435", "yes yes no no yes"),
        ("1595681435", "5F1C2A9B", "no yes no yes no"),
        ("5f1c2a9b", "1595681435", "no yes yes no no"),
        ("5f1c2a9b", "5f1c2a9b", "yes yes yes yes yes"),
        ("5f1c2a9b", "5F1C2A9B", "no yes yes yes yes"),
        ("0001234", "1234", "no yes no no yes"),
    ],
)
def test_smpp_043_msg_id_type_decides_which_ids_are_the_same(
    answer: str, told: str, matches: str
) -> None:
    for kind, match in zip((-1, 0, 1, 2, 3), matches.split(), strict=True):
        text = b"id:%b stat:DELIVRD" % told.encode()
        said = receipt(text, smpp=KANNEL | {"message_ids": kind})
        learnt = normalise_id(answer, message_ids=kind, receipt=False, id_case=True)
        assert (said.smsc_id == learnt) is (match == "yes"), (kind, said.smsc_id, learnt)


DELIVERED = st.builds(
    deliver,
    st.binary(max_size=60),
    esm_class=st.integers(0, 255),
    data_coding=st.integers(0, 255),
    source_ton=st.integers(0, 7),
    source=st.binary(max_size=15),
    tlvs=st.lists(
        st.tuples(
            st.sampled_from([0x1E, 0x20C, 0x20E, 0x20F, 0x423, 0x424, 0x427]),
            st.binary(max_size=8),
        ),
        max_size=4,
    ),
)


@settings(max_examples=120)
@given(DELIVERED, st.sampled_from(["", "packed", "utf-8", "latin1", "iso-2022-jp"]))
def test_smpp_008_nothing_delivered_raises_but_a_refusal(sm: pdus.Sm, charset: str) -> None:
    for smpp in ({}, KANNEL):
        try:
            said = read(sm, mo_charset=charset, receipt_by_text=True, **smpp)
        except Refused:
            continue
        if isinstance(said, Inbound) and said.coding == 0:
            said.payload.decode()
