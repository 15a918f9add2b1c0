"""The door for RapidPro's External API: whatever its templates make, and who may send it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config.model import ChannelConfig, Config, Secret, UserConfig
from gatewayd.model import Acceptance, Order, Verdict
from gatewayd.web.external import External
from gatewayd.web.request import Handler
from gatewayd.web.sendsms import SendSms
from tests.web.http_bench import GOLDEN, OPEN, WALL, Gateway, Line, Reply, make_intake

SEEDS: dict[str, Any] = json.loads((GOLDEN / "platform" / "seed_ex_payloads.json").read_text())
SENT: dict[str, Any] = json.loads((GOLDEN / "platform" / "ex_mt.json").read_text())
UUID = "8eb23e93-5ecb-45ba-b726-3b064e0c56ab"
BASE = f"https://platform.example/c/ex/{UUID}"
USER = UserConfig("ext", Secret("ABCDEF"))
LOGIN = {"Authorization": "Basic " + b64encode(b"ext:ABCDEF").decode()}
CHANNEL = ChannelConfig("ex", "external", post_url=f"{BASE}/receive")
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def external_line(gateway: Gateway, config: Config | None = None) -> Line:
    config = config or Config(users=(USER,), channels=(CHANNEL,), http=OPEN)
    sendsms = SendSms(config, gateway.accept, lambda: WALL)
    handler = External(config, sendsms, gateway.accept, lambda key: f"uuid-{key}")
    routes: dict[str, Handler] = {config.http.sendsms_path: sendsms}
    routes[config.http.external_path] = handler
    intake = make_intake(routes, config.http)
    intake.puts = frozenset({config.http.external_path})
    return Line(intake)


def ask(
    body: str | bytes = b"",
    kind: str = "",
    query: str = "",
    method: str = "POST",
    headers: Mapping[str, str] = LOGIN,
    config: Config | None = None,
    gateway: Gateway | None = None,
) -> tuple[Reply, list[Order]]:
    gateway = gateway or Gateway(Acceptance(Verdict.ACCEPTED, message=7))
    octets = body.encode() if isinstance(body, str) else body
    fields = dict(headers)
    if kind:
        fields["Content-Type"] = kind
    if octets:
        fields["Content-Length"] = str(len(octets))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    target = f"/external?{query}" if query else "/external"
    line = external_line(gateway, config)
    reply = line.ask(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + octets)
    return reply, gateway.orders


def ask_json(**fields: object) -> tuple[Reply, list[Order]]:
    return ask(json.dumps({"id": "7", "text": "x", "to": "5511", "from": "2020", **fields}), JSON)


# -- what platforms send


@pytest.mark.parametrize("variant", SEEDS["variants"], ids=lambda variant: str(variant["id"]))
def test_what_the_guides_print_is_taken_or_refused(variant: dict[str, Any]) -> None:
    reply, orders = ask(variant["body"], variant["content_type"])
    if not variant["accept"]:
        assert reply.status == variant["expect_status"]
        assert reply.body.count(b"\n") == 0
        assert b"accepted" not in reply.body
        assert not orders
        return
    assert reply.status == 200
    [order] = orders
    given = {name.lower(): value for name, value in json.loads(variant["body"]).items()}
    assert order.text == given.get("text", given.get("texto"))
    assert order.external_id == str(given.get("id", given.get("uuid")))
    to = given.get("to", given.get("para", given.get("to_no_plus")))
    assert order.receivers == [to]
    assert order.source == given.get("from", given.get("from_no_plus"))


def test_the_seeds_first_payload_means_its_canonical_form() -> None:
    _, [order] = ask(SEEDS["variants"][0]["body"], JSON)
    meant = SEEDS["canonical"]
    assert (order.external_id, order.text) == (meant["id"], meant["text"])
    assert (order.receivers, order.source) == ([meant["to"]], meant["from"])


@pytest.mark.parametrize("name", [(k, a) for k, all_ in SEEDS["aliases"].items() for a in all_])
def test_every_alias_is_understood_in_any_case(name: tuple[str, str]) -> None:
    what, alias = name
    fields = {"id": "9", "text": "hello", "to": "5511", "from": "2020", "channel": "ex"}
    value = fields.pop(what)
    for spelled in (alias, alias.upper()):
        _, [order] = ask(json.dumps({**fields, spelled: value}), JSON)
        assert (order.external_id, order.text) == ("9", "hello")
        assert (order.receivers, order.source, order.channel) == (["5511"], "2020", "ex")


def _oracle(request: dict[str, Any]) -> dict[str, str]:
    """The fields of a request by other parsers than ours."""
    body = request["body"]
    if not body:
        found = parse_qs(urlsplit(request["target"]).query, keep_blank_values=True)
        return {name: values[0] for name, values in found.items()}
    kind = request["headers"]["Content-Type"]
    if kind == JSON:
        return {k: v for k, v in json.loads(body).items() if isinstance(v, str)}
    if kind.startswith("text/xml"):
        return {element.tag: element.text or "" for element in ElementTree.fromstring(body)}
    return {name: values[0] for name, values in parse_qs(body).items()}


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(request, id=f"{case['id']}-{index}")
        for case in SENT["cases"]
        for index, request in enumerate(case["requests"])
    ],
)
def test_what_the_platform_sends_becomes_an_order(request_: dict[str, Any]) -> None:
    meant = _oracle(request_)
    headers = dict(request_["headers"])
    query = urlsplit(request_["target"]).query
    if "Authorization" not in headers:
        query += "&username=ext&password=ABCDEF"
    reply, [order] = ask(request_["body"], "", query, request_["method"], headers)
    assert (reply.status, json.loads(reply.body)) == (200, {"status": "accepted", "id": "uuid-7"})
    assert order.text == meant["text"]
    assert order.receivers == [meant.get("to", meant.get("to_no_plus"))]
    assert order.source == meant["from"]
    assert order.external_id == meant.get("uuid", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_method_and_place_of_the_fields_are_free(method: str) -> None:
    query = "to=5511&from=2020&text=ol%C3%A1&id=3"
    reply, [order] = ask("", FORM, query, method)
    assert (reply.status, order.text, order.external_id) == (200, "olá", "3")
    if method != "GET":
        _, [order] = ask("text=body&id=4", FORM, query, method)
        assert (order.text, order.external_id, order.receivers) == ("body", "4", ["5511"])


def test_a_body_without_a_known_type_is_known_by_its_first_octet() -> None:
    for body in (
        '{"to": "5511", "text": "x", "from": "2020"}',
        "<m><to>5511</to><text>x</text><from>2020</from></m>",
        "to=5511&text=x&from=2020",
    ):
        for kind in ("", "text/plain", "application/octet-stream"):
            _, [order] = ask(body, kind)
            assert (order.receivers, order.text, order.source) == (["5511"], "x", "2020")


def test_a_soap_envelope_has_fields_too() -> None:
    body = (
        '<s:Envelope xmlns:s="a" xmlns:c="b"><s:Body><c:send><c:to>5511</c:to>'
        "<c:text>a &lt; b</c:text><c:from>2020</c:from></c:send></s:Body></s:Envelope>"
    )
    _, [order] = ask(body, "application/soap+xml")
    assert (order.receivers, order.text) == (["5511"], "a < b")


def test_a_form_in_another_charset_is_recoded() -> None:
    body = "to=5511&from=1&text=ol%E1"
    _, [order] = ask(body, f"{FORM}; charset=ISO-8859-1")
    assert order.text == "olá"
    reply, _ = ask(body, f"{FORM}; charset=nosuch")
    assert (reply.status, reply.body) == (400, b"Unknown charset")


def test_sendsms_fields_of_a_template_count_and_its_charset_does_not() -> None:
    reply, [order] = ask_json(smsc="gold", priority=2, validity=5, coding=2, charset="latin1")
    assert reply.status == 200
    assert (order.smsc, order.priority, order.validity) == ("gold", 2, WALL + 300)
    assert (order.coding, order.text) == (0, "x")


# -- refusals


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ('{"to": ', JSON, b"Body is not JSON: "),
        ("[1]", JSON, b"Body is not a JSON object"),
        ("[" * 50_000, JSON, b"Body is not JSON: "),
        ("<a><b></a>", "text/xml", b"Body is not XML: "),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "text/xml", b"Body is not XML: "),
        ("<a>" * 100 + "</a>" * 100, "text/xml", b"Body is not XML: "),
        ('{"text": "x", "from": "1"}', JSON, b"to is missing, rejected"),
        ('{"to": "", "to_no_plus": " ", "text": "x", "from": "1"}', JSON, b"to is missing"),
        ('{"to": "5511", "test": "x", "from": "1"}', JSON, b"text is missing, rejected"),
        ('{"to": "5511", "text": "x"}', JSON, b"Sender missing and no global set, rejected"),
        ('{"to": "abc", "text": "x", "from": "1"}', JSON, b"Number(s) has/have been denied"),
        ('{"to": "1", "text": "x", "from": "1", "priority": 9}', JSON, b"Priority field misf"),
        ('{"to": "1", "text": "x", "from": "1", "id": "a\\u0000"}', JSON, b"ID field misformed"),
        (json.dumps({"to": "1", "text": "x", "from": "1", "id": "a" * 256}), JSON, b"id is too"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(body: str, kind: str, said: bytes) -> None:
    reply, orders = ask(body, kind)
    assert (reply.status, orders) == (400, [])
    assert reply.body.startswith(said)
    assert b"\n" not in reply.body
    assert reply.header("Content-Type").startswith("text/plain")


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Verdict.UNROUTABLE, 403), (Verdict.OVERLOADED, 503), (Verdict.TOO_LONG, 400)],
)
def test_each_verdict_has_its_answer(verdict: Verdict, status: int) -> None:
    gateway = Gateway(Acceptance(verdict))
    reply, _ = ask('{"to": "1", "text": "x", "from": "1"}', JSON, gateway=gateway)
    assert reply.status == status
    assert b"accepted" not in reply.body
    assert (reply.header("Retry-After") == "30") == (status == 503)


def test_queued_is_accepted_too() -> None:
    gateway = Gateway(Acceptance(Verdict.QUEUED, message=9))
    reply, _ = ask('{"to": "1", "text": "x", "from": "1"}', JSON, gateway=gateway)
    assert (reply.status, reply.body) == (200, b'{"status":"accepted","id":"uuid-9"}')


def test_a_head_sends_nothing() -> None:
    gateway = Gateway()
    line = external_line(gateway)
    reply = line.ask(
        b"HEAD /external?to=1&text=x&from=1&username=ext&password=ABCDEF HTTP/1.1\r\n\r\n",
        head=True,
    )
    assert (reply.status, gateway.orders) == (405, [])


def test_a_put_is_only_for_this_door() -> None:
    gateway = Gateway()
    line = external_line(gateway)
    line.send(b"PUT /cgi-bin/sendsms?username=ext&password=ABCDEF&to=1&from=1 HTTP/1.1\r\n\r\n")
    assert line.replies()[0].status == 405
    assert not gateway.orders


@settings(max_examples=60)
@given(body=st.binary(max_size=60), kind=st.sampled_from(["", JSON, FORM, "text/xml"]))
def test_whatever_a_body_holds_one_answer_comes(body: bytes, kind: str) -> None:
    reply, _ = ask(body, kind, "to=5511")
    assert reply.status in (200, 400)


# -- who may


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


QUERY = "to=5511&from=1&text=x"


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (_basic("ext:ABCDEF"), ""),
        ({"Authorization": "Token ABCDEF"}, ""),
        ({"Authorization": "Bearer ABCDEF"}, ""),
        ({"Authorization": "ABCDEF"}, ""),
        ({"Authorization": "Token ext:ABCDEF"}, ""),
        ({"Authorization": "Token ABCDEF"}, "&username=ext"),
        ({}, "&username=ext&password=ABCDEF"),
        ({}, "&user=ext&pass=ABCDEF"),
    ],
)
def test_a_user_may_say_who_it_is_in_many_ways(headers: dict[str, str], query: str) -> None:
    reply, [order] = ask("", "", QUERY + query, "GET", headers)
    assert (reply.status, order.user) == (200, "ext")


def test_the_login_may_stand_in_the_body() -> None:
    login = {"to": "5511", "from": "1", "text": "x", "username": "ext", "password": "ABCDEF"}
    assert ask(json.dumps(login), JSON, headers={})[0].status == 200
    assert ask(urlencode(login), FORM, headers={})[0].status == 200


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, ""),
        ({}, "&username=ext&password=no"),
        (_basic("ext:no"), "&username=ext&password=ABCDEF"),
        ({"Authorization": "Basic !!"}, ""),
        ({"Authorization": "Basic"}, ""),
        ({"Authorization": "Token no"}, ""),
        ({"Authorization": "Token "}, ""),
        ({"Authorization": "Token ABCDEF"}, "&username=other"),
    ],
)
def test_nobody_else_may(headers: dict[str, str], query: str) -> None:
    reply, orders = ask("", "", QUERY + query, "GET", headers)
    assert (reply.status, orders) == (403, [])
    assert reply.body == b"Authorization failed for external"


def test_the_users_addresses_count_for_a_token_too() -> None:
    config = Config(users=(replace(USER, allow_ip=("10.0.0.1",), deny_ip=("*",)),))
    for headers in (LOGIN, {"Authorization": "Token ABCDEF"}):
        assert ask("", "", QUERY, "GET", headers, config)[0].status == 403


def test_an_empty_password_is_no_token() -> None:
    config = Config(users=(UserConfig("ext", Secret("")),))
    assert ask("", "", QUERY, "GET", {"Authorization": "Token"}, config)[0].status == 403


# -- reports and repetition


def test_reports_go_to_the_only_external_channel() -> None:
    _, [order] = ask_json()
    assert (order.channel, order.dlr_url, order.dlr_mask) == ("ex", CHANNEL.post_url, 27)


@pytest.mark.parametrize("word", ["two", "0191e180-7d60-7000-aded-7d8b151cbd5b"])
def test_of_several_the_request_names_one(word: str) -> None:
    two = ChannelConfig(
        "two", "external", post_url="https://p/c/ex/0191e180-7d60-7000-aded-7d8b151cbd5b"
    )
    config = Config(users=(USER,), channels=(CHANNEL, two))
    body = {"id": "7", "text": "x", "to": "5511", "from": "2020", "channel": word}
    _, [order] = ask(json.dumps(body), JSON, config=config)
    assert (order.channel, order.dlr_url) == ("two", two.post_url)
    _, [order] = ask(json.dumps({**body, "channel": "346"}), JSON, config=config)
    assert (order.channel, order.dlr_url, order.dlr_mask) == ("", "", 0)


def test_the_users_channel_wins() -> None:
    two = ChannelConfig("two", "external", post_url="https://p/c/ex/2")
    config = Config(users=(replace(USER, channel="two"),), channels=(CHANNEL, two))
    body = {"id": "7", "text": "x", "to": "5511", "from": "2020", "channel": UUID}
    _, [order] = ask(json.dumps(body), JSON, config=config)
    assert order.channel == "two"


def test_without_an_id_there_is_nothing_to_report_on() -> None:
    _, [order] = ask("", "", QUERY, "GET")
    assert (order.dlr_mask, order.dlr_url, order.once) == (0, "", b"")


def test_a_dlr_url_of_the_request_is_kept() -> None:
    url = "http://other.example/dlr?s=%d"
    _, [order] = ask("", "", f"{QUERY}&id=3&dlr-mask=3&dlr-url={quote(url)}", "GET")
    assert (order.dlr_url, order.dlr_mask) == (url, 3)


def test_id_and_text_make_a_request_one() -> None:
    def once(**fields: object) -> bytes:
        return ask_json(**fields)[1][0].once

    assert len(once()) == 16
    assert once() == once(priority=1)
    parts = {once(), once(text="y"), once(id="8"), once(to="5522")}
    assert len(parts) == 4


def test_a_key_in_a_header_goes_before_the_id() -> None:
    keyed = {**LOGIN, "Idempotency-Key": "k"}
    _, [one] = ask("", "", f"{QUERY}&id=1", "GET", keyed)
    _, [other] = ask("", "", f"{QUERY}&id=2", "GET", keyed)
    assert one.once == other.once != b""
