"""The JSON side of the admin listener: who may ask, in which form, and what is answered."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from gatewayd.config.model import HttpConfig, Secret
from gatewayd.errors import StoreError
from gatewayd.web.ctl import LONGEST_DENIAL, BadRequest, Ctl, Result
from tests.web.http_bench import Line, Reply, make_intake

CONFIG = HttpConfig(admin_password=Secret("admin-pw"), status_password=Secret("status-pw"))
READS = ("status", "queue", "message?id=x", "dead", "held")
ORDERS = ("replay", "release", "fail", "suspend", "resume", "retry", "reload")


class FakeDesk:
    """Answers each question with what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.trouble: Exception | None = None

    def _done(self, *asked: Any) -> Deferred[Any]:
        self.asked.append(asked)
        if self.trouble is not None:
            return fail(self.trouble)
        return succeed({"asked": list(asked)})

    def _said(self, name: str) -> Result:
        self.asked.append((name,))
        return {"asked": [name]}

    def status(self) -> Result:
        return self._said("status")

    def queues(self) -> Deferred[Result]:
        return self._done("queue")

    def message(self, uuid: str) -> Deferred[Result | None]:
        return succeed(None) if uuid == "gone" else self._done("message", uuid)

    def dead(self, after: str, limit: int) -> Deferred[Result]:
        return self._done("dead", after, limit)

    def replay(self, uuid: str, limit: int, before: str) -> Deferred[Result]:
        return self._done("replay", uuid, limit, before)

    def held(self, after: str, limit: int) -> Deferred[Result]:
        return self._done("held", after, limit)

    def decide(self, uuid: str, limit: int, *, send: bool) -> Deferred[Result]:
        return self._done("release" if send else "fail", uuid, limit)

    def suspend(self) -> Result:
        return self._said("suspend")

    def resume(self) -> Result:
        return self._said("resume")

    def retry(self) -> Result:
        return self._said("retry")

    def reload(self) -> Deferred[Result]:
        return succeed(self._said("reload"))


class Bench:
    def __init__(self, config: HttpConfig = CONFIG) -> None:
        self.clock = Clock()
        self.desk = FakeDesk()
        ctl = Ctl(config, self.desk, self.clock)
        self.line = Line(make_intake({}, config, self.clock, default=ctl))

    def send(self, method: str, path: str, password: str = "admin-pw", body: str = "") -> None:
        self.line.send(
            f"{method} /ctl/{path} HTTP/1.1\r\nHost: x\r\nX-Password: {password}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )

    def ask(self, method: str, path: str, password: str = "admin-pw", body: str = "") -> Reply:
        self.send(method, path, password, body)
        [reply] = self.line.replies()
        return reply


def told(reply: Reply) -> Any:
    assert reply.header("Content-Type") == "application/json"
    return json.loads(reply.body)


def test_each_question_is_answered_as_json() -> None:
    bench = Bench()
    for path in READS:
        reply = bench.ask("GET", path)
        assert reply.status == 200
        assert told(reply)["asked"][0] == path.partition("?")[0]


def test_each_order_is_carried_out() -> None:
    bench = Bench()
    for path in ORDERS:
        assert bench.ask("POST", path, body="all=1").status == 200
    assert [asked[0] for asked in bench.desk.asked] == list(ORDERS)


@pytest.mark.parametrize("path", ORDERS)
def test_an_order_by_get_changes_nothing(path: str) -> None:
    bench = Bench()
    reply = bench.ask("GET", f"{path}?all=1")
    assert (reply.status, reply.header("Allow")) == (405, "POST")
    assert bench.desk.asked == []


def test_fields_of_an_order_count_in_its_body_only() -> None:
    bench = Bench()
    assert bench.ask("POST", "replay?all=1").status == 400
    bench.ask("POST", "replay", body="id=abc&limit=5&before=xyz")
    assert bench.desk.asked == [("replay", "abc", 5, "xyz")]


def test_all_dead_letters_are_replayed_only_when_all_is_said() -> None:
    bench = Bench()
    reply = bench.ask("POST", "replay")
    assert (reply.status, told(reply)) == (400, {"error": "id is missing"})
    bench.ask("POST", "replay", body="all=1")
    assert bench.desk.asked == [("replay", "", 1000, "")]


@pytest.mark.parametrize("limit", ["0", "1001", "many"])
def test_a_limit_outside_its_range_is_refused(limit: str) -> None:
    assert Bench().ask("GET", f"dead?limit={limit}").status == 400


def test_pages_of_dead_letters_go_on_behind_an_id() -> None:
    bench = Bench()
    bench.ask("GET", "dead?after=abc&limit=7")
    bench.ask("GET", "dead")
    assert bench.desk.asked == [("dead", "abc", 7), ("dead", "", 100)]


def test_nothing_known_is_404() -> None:
    assert Bench().ask("GET", "message?id=gone").status == 404
    assert Bench().ask("GET", "nothing").status == 404


@pytest.mark.parametrize(
    ("trouble", "status"),
    [(BadRequest("no id"), 400), (StoreError("disk"), 503), (ValueError("ours"), 500)],
)
def test_trouble_is_told_with_its_status(trouble: Exception, status: int) -> None:
    bench = Bench()
    bench.desk.trouble = trouble
    reply = bench.ask("GET", "queue")
    assert reply.status == status
    assert "ours" not in told(reply)["error"]


@pytest.mark.parametrize("password", ["", "wrong", "status-pw"])
@pytest.mark.parametrize("path", ["message?id=x", "dead", "replay", "suspend", "resume", "retry"])
def test_what_shows_numbers_or_changes_something_wants_the_admin_password(
    path: str, password: str
) -> None:
    bench = Bench()
    method = "POST" if path in ORDERS else "GET"
    assert bench.ask(method, path, password, "all=1" if method == "POST" else "").status == 403
    assert bench.desk.asked == []


@pytest.mark.parametrize("path", ["status", "queue"])
def test_status_and_queue_want_the_status_password_if_there_is_one(path: str) -> None:
    assert Bench().ask("GET", path, "status-pw").status == 200
    assert Bench().ask("GET", path, "admin-pw").status == 200
    assert Bench().ask("GET", path, "wrong").status == 403
    assert Bench(replace(CONFIG, status_password=Secret(""))).ask("GET", path, "").status == 200


def test_without_an_admin_password_nobody_may_order_anything() -> None:
    bench = Bench(HttpConfig())
    reply = bench.ask("POST", "suspend", "")
    assert reply.status == 403
    assert "no admin-password" in told(reply)["error"]
    assert bench.desk.asked == []


def test_the_password_does_not_count_in_a_url() -> None:
    assert Bench().ask("GET", "dead?password=admin-pw", "").status == 403


def test_wrong_passwords_in_a_row_are_answered_later_and_later() -> None:
    bench = Bench()
    for number in range(13):
        bench.send("GET", "dead", "wrong")
        bench.clock.advance(max(0.0, min(number, LONGEST_DENIAL) - 0.01))
        if number:
            assert bench.line.replies() == []
        bench.clock.advance(0.02)
        [reply] = bench.line.replies()
        assert reply.status == 403
    bench.ask("GET", "dead")
    assert bench.ask("GET", "dead", "wrong").status == 403
