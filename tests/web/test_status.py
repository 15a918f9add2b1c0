from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from gatewayd.web.status import (
    BindEntry,
    LoadMeter,
    Loads,
    Page,
    PathEntry,
    SmscEntry,
    Snapshot,
    StoredMessage,
    Traffic,
    banner,
    render_health,
    render_ready,
    render_status,
    render_store,
)
from tests.web.http_bench import GOLDEN

PAGES: dict[str, str] = json.loads((GOLDEN / "status_pages.json").read_text())["pages"]

LINKS = Snapshot(
    uptime=4.2,
    store_size=0,
    smscs=(
        SmscEntry("FAKE:22104", "FAKE1", "fk1", "connecting"),
        SmscEntry("SMPP:127.0.0.1:22105/22105:esme1:VMA", "OPA", "opa1", "re-connecting"),
        SmscEntry("SMPP:127.0.0.1:22106/0:esme2:smpp", "OPA", "opa1", "re-connecting"),
        SmscEntry("SMPP:127.0.0.1:22106/0:esme2:smpp", "OPA", "opa1", "re-connecting"),
    ),
)


def same(rate: float) -> Loads:
    return rate, rate, rate


TRAFFIC = Snapshot(
    uptime=47,
    received=Traffic(1, same(0.02)),
    received_queued=1,
    sent=Traffic(5, same(0.11)),
    smscs=(
        SmscEntry(
            "SMPP:127.0.0.1:22101/22101:user1:VMA",
            "smsc1",
            "smsc1",
            "online 47s",
            received_sms=Traffic(1, same(0.02)),
            sent_sms=Traffic(4, same(0.09)),
        ),
        SmscEntry(
            "SMPP:127.0.0.1:22102/22102:user1:VMA",
            "smsc2",
            "smsc2",
            "online 10s",
            sent_sms=Traffic(1, same(0.10)),
        ),
    ),
)


def comparable(text: str) -> str:
    """Without the banner and the name and age of the box, which are ours."""
    text = re.sub(r"(?s)Kannel bearerbox version .*?malloc\.\n", "BANNER", text)
    text = text.replace("smsbox:box1", "smsbox:gatewayd").replace("<id>box1<", "<id>gatewayd<")
    return re.sub(r"on-line \d+d \d+h \d+m \d+s", "on-line", text)


@pytest.mark.parametrize(
    ("name", "snapshot", "page"),
    [
        ("links.txt", LINKS, Page.TEXT),
        ("links.html", LINKS, Page.HTML),
        ("links.xml", LINKS, Page.XML),
        ("links.wml", LINKS, Page.WML),
        ("traffic.xml", TRAFFIC, Page.XML),
        ("traffic.html", TRAFFIC, Page.HTML),
    ],
)
def test_a_status_page_is_written_as_kannel_writes_it(
    name: str, snapshot: Snapshot, page: Page
) -> None:
    ours = page.wrap(render_status(snapshot, page, "BANNER")).decode()
    assert comparable(ours) == comparable(PAGES[name])


STORED = tuple(
    StoredMessage(id, "MT-PUSH", time, "1", receiver, "", "-1:0:-1:-1:31", "", "hello")
    for id, time, receiver in (
        ("62dbd151-ac70-4b77-9c66-01ffac5b867b", "2026-11-21 22:35:45", "550"),
        ("683e7b73-6cec-4cf5-a3d9-643911087eff", "2026-11-21 22:35:46", "551"),
    )
)


@pytest.mark.parametrize(("name", "page"), [("store.txt", Page.TEXT), ("store.html", Page.HTML)])
def test_the_store_is_listed_as_kannel_lists_it(name: str, page: Page) -> None:
    assert page.wrap(render_store(STORED, page)).decode() == PAGES[name]


def test_the_store_in_xml_has_an_element_per_message() -> None:
    tree = ElementTree.fromstring(Page.XML.wrap(render_store(STORED, Page.XML)))
    assert [each.findtext("receiver") for each in tree.findall("message")] == ["550", "551"]
    assert Page.XML.wrap(render_store((), Page.XML)) == (
        b'<?xml version="1.0"?>\n<gateway>\n</gateway>\n'
    )


def test_the_banner_can_be_read_by_exporters() -> None:
    first, *rest = banner().splitlines()
    assert re.fullmatch(r"gatewayd bearerbox version `[^']+'\.", first)
    text = "\n".join(rest)
    assert re.search(r"Hostname [^,]+, IP \d+(\.\d+){3}\.", text)
    assert re.search(r"release [^,]+,", text)


def hostile(page: Page) -> str:
    smsc = SmscEntry("a<b>&\x00\x1b\x85", "x<script>", "]]>&", "online 1s")
    return page.wrap(render_status(Snapshot(smscs=(smsc,)), page, "v<1>&\x07")).decode()


def test_the_xml_page_is_xml_whatever_names_hold() -> None:
    tree = ElementTree.fromstring(hostile(Page.XML))
    assert tree.findtext("smscs/smsc/id") == "x<script>"
    assert "<script>" not in hostile(Page.HTML)


def test_monitors_find_what_they_insist_on() -> None:
    tree = ElementTree.fromstring(Page.XML.wrap(render_status(Snapshot(), Page.XML, banner())))
    assert len(re.findall(r"\d+", tree.findtext("status") or "")) == 4
    assert len(re.findall(r"\d+", tree.findtext("boxes/box/status") or "")) == 4
    assert tree.findtext("boxes/box/type") == "smsbox"
    assert (tree.findtext("boxes/box/status") or "").startswith("on-line ")
    assert tree.findtext("wdp/received/total") == "0"
    assert tree.findtext("smscs/smsc/status") == "dead"  # a list without any stops them
    assert tree.findtext("sms/inbound") == "0.00,0.00,0.00"


def test_uptime_is_split_into_days_hours_minutes_and_seconds() -> None:
    text = render_status(Snapshot(uptime=2 * 86400 + 3 * 3600 + 4 * 60 + 5.9), Page.TEXT, "")
    assert "Status: running, uptime 2d 3h 4m 5s\n" in text
    assert "No SMSC connections\n" in text


# -- loads


def test_before_the_first_interval_is_over_a_rate_is_what_came_by_the_time() -> None:
    meter = LoadMeter(0.0)
    for second in range(10):
        meter.add(float(second))
    assert meter.loads(20.0) == (0.5, 0.5, 0.5)
    assert LoadMeter(0.0).loads(0.0) == (0.0, 0.0, 0.0)


def test_later_a_rate_is_one_of_whole_intervals() -> None:
    meter = LoadMeter(0.0)
    meter.add(1.0, 120)
    short, long, overall = meter.loads(80.0)
    assert (short, long, overall) == (2.0, 1.5, 1.5)
    meter.add(100.0, 30)
    assert meter.loads(121.0)[0] == pytest.approx((2 * 0.5 + 2.0) / 3)


def test_a_rate_falls_to_nothing_when_nothing_comes() -> None:
    meter = LoadMeter(0.0)
    meter.add(1.0, 600)
    assert meter.loads(1000.0)[:2] == (0.0, 0.0)
    assert meter.loads(1000.0)[2] == pytest.approx(0.6)
    assert meter.total == 600


# -- health and readiness


def test_health_says_that_the_process_answers() -> None:
    assert json.loads(render_health(LINKS)) == {
        "status": "ok",
        "state": "running",
        "uptime": 4,
        "reload": "applied",
    }


UP = BindEntry("a/0", True)
DOWN = BindEntry("b/0", False, "connection refused")


@pytest.mark.parametrize(
    ("snapshot", "ready", "reasons"),
    [
        (Snapshot(binds=(UP, DOWN)), True, []),
        (Snapshot(), True, []),
        (Snapshot(binds=(DOWN,)), False, ["no bind is up"]),
        (Snapshot(state="suspended", binds=(UP,)), False, ["the gateway is suspended"]),
        (Snapshot(problem="disk full", binds=(UP,)), False, ["disk full"]),
    ],
)
def test_readiness_says_why_not(snapshot: Snapshot, ready: bool, reasons: list[str]) -> None:
    is_ready, body = render_ready(snapshot)
    told = json.loads(body)
    assert (is_ready, told["ready"], told["reasons"]) == (ready, ready, reasons)


def test_readiness_names_every_bind() -> None:
    told = json.loads(render_ready(Snapshot(binds=(UP, DOWN)))[1])
    assert told["binds"] == {
        "a/0": {"ready": True},
        "b/0": {"ready": False, "reason": "connection refused"},
    }


def test_readiness_names_the_tunnel_and_what_is_wrong_with_it() -> None:
    paths = (
        PathEntry("a", "tun0", up=True, address="10.66.0.2", since=5.0, changes=2),
        PathEntry("b", "tun1", up=False, reason="tun1 does not exist"),
    )
    ready, body = render_ready(Snapshot(binds=(DOWN,), paths=paths))
    told = json.loads(body)
    assert not ready
    assert told["reasons"] == ["no bind is up", "b: path down: tun1 does not exist"]
    assert told["paths"]["a"]["up"] is True
    assert told["paths"]["b"] == {
        **{"smsc": "b", "device": "tun1", "up": False, "address": ""},
        **{"reason": "tun1 does not exist", "since": 0.0, "changes": 0},
    }
    ready, _ = render_ready(Snapshot(binds=(UP, DOWN), paths=paths))
    assert ready, "another SMSC works"
