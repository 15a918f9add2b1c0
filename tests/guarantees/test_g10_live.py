"""G10, G11, G24 over real sockets: a platform in all kinds of trouble, an SMSC that repeats."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.guarantees.caller import with_binds
from tests.guarantees.conftest import Record
from tests.guarantees.http_platform import BUSY, CLOSE, ERROR, HALF, HANG, OK, Call, Platform
from tests.guarantees.smsc import Link, Smsc, Submit, Told
from tests.live.harness import Rig, drain, until
from tests.live.torture import Verdict, calls_under_way
from tests.live.yaml_conf import Channel, yaml_conf

pytestmark = pytest.mark.live

REFUSED = "refused"
TROUBLES = (ERROR, BUSY, HANG, HALF, CLOSE, REFUSED)
SENDERS = 10
PARALLEL = 8


@pytest.fixture
def smsc(rig: Rig) -> Iterator[Smsc]:
    with Smsc(rig.smsc_port) as running:
        yield running


@pytest.fixture
def platform(rig: Rig) -> Iterator[Platform]:
    with Platform(rig.platform_port) as running:
        yield running


@dataclass
class Phones:
    """MO in order, each phone's next one once the one before was taken."""

    smsc: Smsc
    taken: list[str] = field(default_factory=list)

    def send(self, first: int, count: int) -> None:
        for phone in range(SENDERS):
            numbers = [n for n in range(first, first + count) if n % SENDERS == phone]
            self.smsc.call(partial(self._next, phone, numbers))

    def _next(self, phone: int, numbers: list[int]) -> None:
        if not numbers:
            return
        text = f"{numbers[0]:06d}"

        def send(link: Link, told: Told) -> None:
            source = b"25884%07d" % phone
            self.smsc.deliver(link, told, source=source, short_message=text.encode())

        def done() -> None:
            self.taken.append(text)
            self._next(phone, numbers[1:])

        self.smsc.insist(send, done)


@pytest.mark.waits
@pytest.mark.parametrize("trouble", TROUBLES)
def test_g10_g24_the_platform_is_in_trouble(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, trouble: str, long: bool
) -> None:
    """In the trouble, and once more in its middle, the gateway is killed."""
    total, kills = (400, 6) if long else (20, 1)
    channel = Channel(timeout="1s", first="200ms", cap="500ms", parallel=PARALLEL)
    gateway = rig.gateway(yaml_conf(rig, channel=channel), suffix=".yaml")
    chance = random.Random(10)
    bad = False

    def choose(path: str, fields: dict[str, str]) -> str:
        return trouble if bad and chance.random() < 0.7 else OK

    platform.choose = choose
    receipts: list[int] = []

    def take(submit: Submit) -> None:
        smsc_id = f"id{len(smsc.submits)}"
        smsc.answer(submit, smsc_id)
        receipt = partial(_receipt, smsc, smsc_id)
        smsc.insist(receipt, partial(receipts.append, submit.mark))

    smsc.on_submit = take
    gateway.start()
    with_binds(gateway, smsc, 1)
    phones = Phones(smsc)
    caller = rig.caller({"total": 2 * total, "rate": 40, "conns": 2, "timeout-s": 10}, reports=True)
    per_kill: list[int] = []
    reports: list[int] = []
    for kill in range(kills):
        share = total // kills
        bad = trouble != REFUSED
        phones.send(kill * share, share if kill < kills - 1 else total - kill * share)
        if trouble == REFUSED:
            platform.down()
        calls = len(platform.calls)
        until(lambda: len(platform.calls) >= calls + 20, 2.0)  # noqa: B023
        before, reports_before = twice(platform), reported_twice(platform)
        gateway.kill()
        until(lambda: not smsc.bound, 10)
        gateway.start()
        bad = False
        platform.up()
        with_binds(gateway, smsc, 1)
        wanted = (kill + 1) * share if kill < kills - 1 else total
        drain(lambda: len(texts(platform)), wanted, stall=15)
        per_kill.append(twice(platform) - before)
        reports.append(reported_twice(platform) - reports_before)
    until(lambda: not caller.running, 60)
    accepted = caller.end()["ok"]
    drain(lambda: len(phones.taken), total, stall=10)
    drain(lambda: len(texts(platform)), total, stall=15)
    drain(lambda: len(set(receipts)), accepted, stall=10)
    drain(lambda: len(reported(platform)), len(set(receipts)), stall=15)
    lost = total - len(texts(platform) & set(phones.taken))
    ids = defaultdict(set)
    for call in platform.calls:
        if call.path == "/mo":
            ids[call.fields["text"]].add(call.fields["id"])
    changed = sum(len(names) > 1 for names in ids.values())
    inversions = out_of_order(platform.taken("/mo"))
    bound = calls_under_way(gateway)
    fault = f"platform: {trouble}; {kills} x kill -9 meanwhile"
    figure = f"{lost} lost, {max(per_kill)} twice after one kill (allowed: {bound}), {changed} with"
    figure += f" another id, {inversions} out of order"
    holds = not (lost or changed or inversions) and max(per_kill) <= bound
    record(Verdict("G10 MO reach a platform in trouble", fault, total, figure, holds))
    silent = len(set(receipts) - reported(platform))
    most = max(reports)
    figure = f"{silent} lost, {most} twice after one kill (allowed: {bound})"
    title = "G24 reports reach a platform in trouble"
    record(Verdict(title, fault, len(set(receipts)), figure, not silent and most <= bound))
    assert accepted > 0


def _receipt(smsc: Smsc, smsc_id: str, link: Link, told: Told) -> None:
    smsc.receipt(link, smsc_id, told)


def reported(platform: Platform) -> set[int]:
    return {int(call.fields["m"][2:10]) for call in platform.taken("/dlr")}


def reported_twice(platform: Platform) -> int:
    return len(platform.taken("/dlr")) - len(reported(platform))


def texts(platform: Platform) -> set[str]:
    return {call.fields["text"] for call in platform.taken("/mo")}


def twice(platform: Platform) -> int:
    return len(platform.taken("/mo")) - len(texts(platform))


def out_of_order(calls: list[Call]) -> int:
    """How often a phone's MO was first taken after a later one of the same phone."""
    last: dict[int, int] = defaultdict(lambda: -1)
    seen: set[int] = set()
    found = 0
    for call in calls:
        number = int(call.fields["text"])
        if number not in seen:
            seen.add(number)
            found += number < last[number % SENDERS]
            last[number % SENDERS] = number
    return found


@pytest.mark.waits
def test_g11_repeated_on_the_next_link(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    """The SMSC loses the link before it has read our answers, and delivers all of it again."""
    losses, batch = (30, 20) if long else (2, 20)
    gateway = rig.gateway(yaml_conf(rig), suffix=".yaml")
    gateway.start()
    done: list[int] = []
    for loss in range(losses):
        with_binds(gateway, smsc, 1)
        numbers = range(loss * batch, (loss + 1) * batch)
        smsc.call(partial(_and_break, smsc, numbers, done))
        assert drain(lambda: len(done), (loss + 1) * batch, stall=20)
    drain(lambda: len(texts(platform)), losses * batch, stall=10)
    calls = platform.taken("/mo")
    figure = f"{len(calls)} posts, {losses * batch - len(texts(platform))} missing"
    fault = f"{losses} x link lost before the answers were read, {batch} MO each, sent again"
    title = "G11 a repeated deliver_sm is posted once, over real links"
    holds = len(calls) == losses * batch == len(texts(platform))
    record(Verdict(title, fault, losses * batch, figure, holds))


def _and_break(smsc: Smsc, numbers: range, done: list[int]) -> None:
    link = smsc.bound[0]
    left = list(numbers)

    def again(number: int, status: int | None) -> None:
        """Answered, or the link went: in both cases the SMSC believes that it was not."""
        if number in left:
            left.remove(number)
        if not left:
            smsc.drop(link)
            for each in numbers:
                smsc.insist(partial(_mo, smsc, each), partial(done.append, each))
            left.append(-1)

    for number in numbers:
        _mo(smsc, number, link, partial(again, number))


def _mo(smsc: Smsc, number: int, link: Link, told: Told) -> None:
    smsc.deliver(link, told, short_message=b"%06d" % number)
