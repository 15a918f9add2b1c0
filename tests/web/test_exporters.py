"""The rules by which monitors read status.xml; each breaks one of them when it is broken."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.web.status import (
    Page,
    SmscEntry,
    Snapshot,
    StoredMessage,
    Traffic,
    banner,
    render_status,
    render_store,
)

SMSCS = (
    SmscEntry("SMPP:10.0.0.1:2775/2775:gw:VMA", "a", "a1", "online 15356s", Traffic(3)),
    SmscEntry("SMPP:10.0.0.2:2775/2775:gw:VMA", "b", "b1", "re-connecting"),
    SmscEntry("EMI2:10.0.0.3:2775:gw", "c", "c1", "connecting"),
    SmscEntry("CIMD2:10.0.0.4:2775:gw", "d", "d1", "disconnected"),
    SmscEntry("SMPP:10.0.0.5:2775/0:gw:VMA", "e", "e1", "dead"),
)
RUNNING = Snapshot(uptime=93784.6, smscs=SMSCS, store_size=-1)


def tree(snapshot: Snapshot = RUNNING) -> ElementTree.Element:
    text = Page.XML.wrap(render_status(snapshot, Page.XML, banner()))
    return ElementTree.fromstring(text)


def text_of(element: ElementTree.Element, path: str) -> str:
    found = element.findtext(path)
    assert found is not None, path
    return found


@pytest.mark.parametrize("state", ["running", "suspended", "isolated", "full", "going down"])
def test_the_gateways_status_holds_exactly_four_integers(state: str) -> None:
    status = text_of(tree(replace(RUNNING, state=state)), "status")
    assert status.split(",")[0] == state
    assert re.findall(r"\d+", status) == ["1", "2", "3", "4"]


def test_the_boxes_status_holds_exactly_four_integers_and_is_on_line() -> None:
    status = text_of(tree(), "boxes/box/status")
    assert status.startswith("on-line ")
    assert len(re.findall(r"\d+", status)) == 4


def test_only_a_link_that_is_online_has_digits_in_its_status() -> None:
    words = [text_of(smsc, "status") for smsc in tree().iterfind("smscs/smsc")]
    assert words == [smsc.status for smsc in SMSCS]
    for word in words:
        digits = re.findall(r"\d+", word)
        assert bool(digits) == word.startswith("online")
        assert not digits or re.fullmatch(r"online \d+s", word)


def test_there_is_at_least_one_smsc_even_where_none_is_configured() -> None:
    found = tree(Snapshot())
    (smsc,) = found.iterfind("smscs/smsc")
    assert text_of(smsc, "status") == "dead"
    assert text_of(found, "smscs/count") == "1"


def test_wdp_is_there_with_noughts() -> None:
    found = tree()
    for path in ("received/total", "received/queued", "sent/total", "sent/queued"):
        assert text_of(found, f"wdp/{path}") == "0"


def test_there_is_one_box_of_our_own() -> None:
    (box,) = tree().iterfind("boxes/box")
    assert [(each.tag, each.text) for each in box if each.tag != "status"] == [
        ("type", "smsbox"),
        ("id", "gatewayd"),
        ("IP", "127.0.0.1"),
        ("queue", "0"),
        ("ssl", "no"),
    ]


def test_the_first_line_of_the_version_is_one_that_exporters_cut_apart() -> None:
    lines = text_of(tree(), "version").splitlines()
    assert re.fullmatch(r"gatewayd bearerbox version `[^']+'\.", lines[0])
    assert re.search(r"System Linux, release [^,]+,", "\n".join(lines))
    assert re.search(r"Hostname [^,]+, IP [^ ]+\.$", "\n".join(lines), re.MULTILINE)


def test_the_elements_stand_in_kannels_order_and_no_others() -> None:
    found = tree()
    assert [each.tag for each in found] == [
        *("version", "status", "wdp", "sms", "dlr", "boxes", "smscs")
    ]
    assert [each.tag for each in found.iterfind("sms/*")] == [
        *("received", "sent", "storesize", "inbound", "outbound")
    ]
    smsc = found.find("smscs/smsc")
    assert smsc is not None
    assert [each.tag for each in smsc] == [
        *("name", "admin-id", "id", "status", "failed", "queued", "sms", "dlr")
    ]


def test_rates_are_three_numbers_of_two_decimals() -> None:
    found = tree()
    for path in ("sms/inbound", "sms/outbound", "dlr/inbound", "dlr/outbound"):
        assert re.fullmatch(r"\d+\.\d\d,\d+\.\d\d,\d+\.\d\d", text_of(found, path))


@given(st.text(max_size=30))
@settings(max_examples=100)
def test_whatever_a_name_holds_the_page_stays_xml(name: str) -> None:
    name = name.encode("utf-8", "replace").decode()
    entry = SmscEntry(name, f"{name}<&>", name, "dead")
    (smsc,) = tree(Snapshot(smscs=(entry,))).iterfind("smscs/smsc")
    assert "<&>" in text_of(smsc, "id")
    message = StoredMessage(name, "MO", name, name, name, name, name, name, name)
    page = Page.XML.wrap(render_store([message], Page.XML))
    assert ElementTree.fromstring(page).find("message") is not None
