"""Deliveries and status reports as MO and receipts; the ids that bind reports to messages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import SmppOptions
from gatewayd.model import SMSC_ID_KEY, Inbound, Receipt
from gatewayd.sms import alphabets
from gatewayd.smsc import cimd2_status as statuses
from gatewayd.smsc.cimd2_frame import Packet
from gatewayd.smsc.cimd2_ids import MOST, MessageIds
from gatewayd.smsc.cimd2_in import Inward
from gatewayd.smsc.cimd2_options import Cimd2Options, parse
from gatewayd.smsc.contract import Noted

KANNEL, _ = parse(("incomplete=drop", "buffered="))
ADDRESSES = ((21, b"4545"), (23, b"+250788123456"), (60, b"261121221502"))


def read(
    *parameters: tuple[int, bytes], options: Cimd2Options | None = None, **smpp: object
) -> tuple[Inbound | None, list[Noted]]:
    notes: list[Noted] = []
    how = Inward(SmppOptions(**smpp), options or Cimd2Options(), MessageIds())  # type: ignore[arg-type]
    return how.message(Packet(20, 2, parameters), notes), notes


def inbound(*parameters: tuple[int, bytes], **smpp: object) -> Inbound:
    found, _ = read(*ADDRESSES, *parameters, **smpp)  # type: ignore[arg-type]
    assert found is not None
    return found


def report(
    *parameters: tuple[int, bytes],
    options: Cimd2Options | None = None,
    ids: MessageIds | None = None,
) -> Receipt:
    how = Inward(SmppOptions(), options or Cimd2Options(), ids or MessageIds())
    return how.report(Packet(23, 2, parameters))


def test_a_text_comes_as_utf_8() -> None:
    found = inbound((33, b"caf\xe9 _Oa _XXe"))
    assert (found.payload.decode(), found.coding, found.charset) == ("café @ €", 0, "UTF-8")
    assert (found.source, found.destination) == ("+250788123456", "4545")
    assert (found.dcs, found.mclass, found.mwi, found.raw) == (0, -1, -1, b"")


def test_cimd_014_octets_and_ucs_2_by_the_coding_scheme() -> None:
    found = inbound((30, b"4"), (34, b"0001fF"))
    assert (found.payload, found.coding, found.dcs) == (b"\0\1\xff", 1, 4)
    found = inbound((30, b"245"), (34, b"0102"))
    assert (found.payload, found.coding, found.mclass, found.dcs) == (b"\1\2", 1, 1, 245)
    found = inbound((30, b"8"), (34, b"041F0440"))
    assert (found.payload.decode("utf-16-be"), found.coding, found.dcs) == ("Пр", 2, 8)


def test_cimd_014_gsm_text_in_octets_may_be_packed() -> None:
    septets = alphabets.encode_gsm("Hellö wörld é")
    assert septets is not None
    packed = alphabets.pack7(septets).hex().encode()
    assert inbound((30, b"0"), (34, packed)).payload.decode() == "Hellö wörld é"
    assert inbound((30, b"0"), (34, b"hello".hex().encode())).payload == b"hello"
    short = alphabets.pack7(b"a").hex().encode()
    assert inbound((30, b"0"), (34, short), mo_charset="packed").payload == b"a"
    udh = b"050003070201"
    behind = alphabets.pack7(septets, 1).hex().encode()
    assert inbound((32, udh), (34, behind)).payload.decode() == "Hellö wörld é"


@pytest.mark.parametrize(("code", "coding"), [(b"1", 0), (b"2", 0), (b"3", 0), (b"999", 0)])
def test_coding_schemes_are_those_of_gsm_not_of_smpp(code: bytes, coding: int) -> None:
    found = inbound((30, code), (34, b"6869"))
    assert (found.coding, found.payload) == (coding, b"hi")


def test_cimd_015_a_header_comes_whole() -> None:
    found = inbound((32, b"050003070201"), (33, b"first "))
    assert (found.udh, found.payload) == (bytes.fromhex("050003070201"), b"first ")
    found = inbound((30, b"4"), (32, b"06050415820000"), (34, b"0102"))
    assert (found.udh, found.coding) == (bytes.fromhex("06050415820000"), 1)


def test_a_language_in_the_header_counts() -> None:
    assert inbound((32, b"03240101"), (33, b"_XXG")).payload.decode() == "Ğ"


def test_what_is_no_hex_is_handed_on_as_it_came() -> None:
    found, notes = read(*ADDRESSES, (34, b"01x2"))
    assert found is not None
    assert (found.payload, found.coding, found.raw) == (b"01x2", 1, b"01x2")
    assert [note.what for note in notes] == ["lossy_text"]
    found, notes = read(*ADDRESSES, (32, b"0"), (33, b"x"))
    assert found is not None
    assert (found.payload, found.udh) == (b"x", b"")
    assert [note.what for note in notes] == ["lossy_text"]


def test_an_unknown_sequence_is_counted_and_kept_raw() -> None:
    found, notes = read(*ADDRESSES, (33, b"a_zzb"))
    assert found is not None
    assert (found.payload, found.raw) == (b"a_zzb", b"a_zzb")
    assert [note.what for note in notes] == ["unknown_sequence", "lossy_text"]


def test_the_first_of_two_parameters_counts_and_unknown_ones_do_not() -> None:
    found = inbound((33, b"one"), (33, b"two"), (777, b"x"))
    assert found.payload == b"one"


def test_classes_pid_and_reply_path_are_told() -> None:
    found = inbound((30, b"240"), (33, b"flash"), (52, b"64"), (55, b"1"))
    assert (found.mclass, found.pid, found.rpi) == (0, 64, 1)


def test_an_incomplete_message_is_delivered_or_dropped_as_configured() -> None:
    alphanumeric = ((21, b"4545"), (27, b"Caf_e'"), (33, b"x"))
    nobody = ((21, b"4545"), (33, b"x"))
    for parameters, source in ((alphanumeric, "Café"), (nobody, ""), (ADDRESSES, "+250788123456")):
        found, _ = read(*parameters)
        assert found is not None
        assert found.source == source
        dropped, notes = read(*parameters, options=KANNEL)
        assert dropped is None
        assert [note.what for note in notes] == ["dropped_incomplete"]


@pytest.mark.parametrize(
    ("code", "ours", "kannel"),
    [
        (b"1", 4, 0),
        (b"2", 34, 34),
        (b"3", 2, 2),
        (b"4", 1, 1),
        (b"5", 4, 0),
        (b"6", 2, 2),
        (b"7", 2, 2),
        (b"8", 2, 2),
        (b"9", 2, 2),
        (b"14", 0, 0),
        (b"x", 0, 0),
        (b"", 0, 0),
    ],
)
def test_a_status_code_is_a_dlr_status(code: bytes, ours: int, kannel: int) -> None:
    told = ((21, b"250788123456"), (60, b"261121221500"), (61, code), (62, b"029"))
    found = report(*told)
    assert (found.status, found.text, found.error) == (ours, code.decode(), 29)
    assert report(*told, options=KANNEL).status == kannel


def test_a_report_without_timestamp_is_of_nothing() -> None:
    found = report((21, b"250788123456"), (61, b"4"))
    assert (found.smsc_id, found.status) == ("", 0)


def test_cimd_018_a_report_is_matched_by_destination_and_timestamp() -> None:
    ids = MessageIds()
    one = ids.submitted("+250788000001", "261121221500")
    two = ids.submitted("250788000002", "261121221500")
    assert one != two
    assert [name.partition(SMSC_ID_KEY)[0] for name in (one, two)] == ["261121221500"] * 2
    for number, name in ((b"250788000002", two), (b"250788000001", one)):
        found = report((21, number), (60, b"261121221500"), (61, b"4"), ids=ids)
        assert (found.smsc_id, found.source) == (name, number.decode())


def test_cimd_018_messages_that_share_both_get_their_reports_in_order() -> None:
    ids = MessageIds()
    names = [ids.submitted("250788000001", "261121221500") for _ in range(3)]
    assert len(set(names)) == 3
    told = (21, b"250788000001"), (60, b"261121221500")
    assert report(*told, (61, b"1"), ids=ids).smsc_id == names[0]
    found = [report(*told, (61, code), ids=ids).smsc_id for code in (b"4", b"3", b"2")]
    assert found == names


def test_cimd_018_an_early_report_and_one_after_a_reconnect_have_the_same_id() -> None:
    ids = MessageIds()
    told = (21, b"250788000001"), (60, b"261121221500"), (61, b"4")
    early = report(*told, ids=ids).smsc_id
    assert ids.submitted("250788000001", "261121221500") == early
    assert report(*told, ids=MessageIds()).smsc_id == early


def test_the_memory_of_ids_is_bounded() -> None:
    ids = MessageIds()
    for number in range(MOST + 10):
        ids.submitted(str(number), "261121221500")
    assert len(ids._seen) == MOST


def test_cimd_019_every_error_has_a_text_and_a_class() -> None:
    kannel, _ = parse(("temporary=", "throttling=", "refused="))
    for code in statuses.TEXTS:
        ours = statuses.outcome_of(code, Cimd2Options()).value
        expected = (
            "throttled" if code == 10 else "retry" if code in (4, 5, 6, 9, 102, 103) else "dead"
        )
        assert ours == expected
        assert statuses.outcome_of(code, kannel).value == "dead"
        login = statuses.login_outcome_of(code, Cimd2Options()).value
        assert login == ("dead" if code in (100, 101, 107, 108) else "retry")
        assert statuses.login_outcome_of(code, kannel).value == "retry"
    reason = statuses.reason_of(Packet(53, 3, ((900, b"300"),)), 300)
    assert reason == "300/Incorrect destination address"
    assert statuses.reason_of(Packet(53, 3, ((901, b"no\xe9"),)), 7) == "007/noé"
    assert statuses.outcome_of(299, Cimd2Options()).value == "dead"


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([21, 23, 27, 30, 32, 33, 34, 52, 60, 61, 62]), st.binary()),
        max_size=8,
    )
)
def test_whatever_an_smsc_sends_can_be_read(parameters: list[tuple[int, bytes]]) -> None:
    found, _ = read(*parameters)
    assert found is not None
    if found.coding == 0:
        found.payload.decode()
    report(*parameters)
