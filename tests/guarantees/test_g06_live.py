"""G6, G7, G8 over real sessions: receipts find their message through kills, stops and forms."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.guarantees.caller import Caller, with_binds
from tests.guarantees.conftest import Record
from tests.guarantees.http_platform import Platform
from tests.guarantees.smsc import Link, Smsc, Submit, Told
from tests.live.harness import PORTS, Gateway, Rig, drain, until
from tests.live.torture import Verdict
from tests.live.yaml_conf import yaml_conf

pytestmark = pytest.mark.live

WINDOW = 10


@pytest.fixture
def smsc(rig: Rig) -> Iterator[Smsc]:
    with Smsc(rig.smsc_port) as running:
        yield running


@pytest.fixture
def platform(rig: Rig) -> Iterator[Platform]:
    with Platform(rig.platform_port) as running:
        yield running


def reports(platform: Platform) -> Counter[tuple[int, int]]:
    """How often each message was reported with each status."""
    told = platform.taken("/dlr")
    return Counter((int(call.fields["n"]), int(call.fields["s"])) for call in told)


def number(submit: Submit) -> int:
    return int(submit.text.split()[-1])


def insist_all(smsc: Smsc, ids: list[str], patience: float) -> bool:
    """Whether every receipt was answered 0 in the end."""
    done: list[str] = []

    def go() -> None:
        for each in ids:
            send = partial(_receipt, smsc, each)
            smsc.insist(send, partial(done.append, each))

    smsc.call(go)
    return until(lambda: len(done) == len(ids), patience)


def _receipt(smsc: Smsc, smsc_id: str, link: Link, told: Told) -> None:
    smsc.receipt(link, smsc_id, told)


def metric(gateway: Gateway, name: str) -> int:
    return round(sum(v for k, v in gateway.metrics().items() if k.split("{")[0] == name))


@pytest.mark.waits
def test_g06_killed_between_answer_and_commit(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    """The answer was read and is lost; its receipt comes all the same, and is parked."""
    kills = 25 if long else 1
    gateway = rig.gateway(yaml_conf(rig, smscs={"live": {"window": WINDOW}}), suffix=".yaml")
    answered: list[list[str]] = [[]]

    def take(submit: Submit) -> None:
        smsc_id = f"id{len(smsc.submits)}"
        if smsc.answer(submit, smsc_id):
            answered[-1].append(smsc_id)

    smsc.on_submit = take
    parked: list[int] = []
    dropped, refused, sent = 0, 0, 0
    for _ in range(kills):
        answered.append([])
        gateway.start({"GATEWAYD_FAILPOINT": "after-resp-before-commit:kill"})
        until(lambda: bool(smsc.bound) or not gateway.running, 20)
        caller = Caller(rig)
        for _ in range(2 * WINDOW):
            caller.send(f"m {sent}", **caller.dlr(rig, sent, 1))
            sent += 1
        assert until(lambda: not gateway.running, 20), gateway.tail()
        until(lambda: not smsc.bound, 10)
        before = answered[-1]
        answered.append([])
        gateway.start()
        with_binds(gateway, smsc, 1)
        refused += not insist_all(smsc, before, 30)
        parked.append(metric(gateway, "gatewayd_dlr_parked") - sum(parked))  # they stay parked
        dropped += metric(gateway, "gatewayd_dlr_unmatched_total")
        until(lambda: len(answered[-1]) >= 1, 10)
        gateway.kill()
    figure = f"{sum(parked)} of {sum(map(len, answered[1::2]))} parked, {max(parked)} at most after"
    figure += f" one kill (allowed: {WINDOW}); {dropped} dropped, {refused} refused"
    holds = max(parked) <= WINDOW and not dropped and not refused and sum(parked) > 0
    name = "G6 receipts that match nothing"
    record(Verdict(name, f"{kills} kills between answer and commit", kills, figure, holds))


@pytest.mark.waits
def test_g06_killed_after_the_commit(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    kills, batch = (25, 40) if long else (1, 20)
    gateway = rig.gateway(yaml_conf(rig, smscs={"live": {"window": WINDOW}}), suffix=".yaml")
    sent = refused = 0
    gateway.start()
    for _ in range(kills):
        with_binds(gateway, smsc, 1)
        ids = len(smsc.answered)
        caller = Caller(rig)
        for _ in range(batch):
            assert caller.send(f"m {sent}", **caller.dlr(rig, sent, 9))
            sent += 1
        # The report of the answer is in the same commit as the SMSC's id.
        assert drain(lambda: sum(s == 8 for _, s in reports(platform)), sent, stall=15)
        gateway.kill()
        until(lambda: not smsc.bound, 10)
        gateway.start()
        refused += not insist_all(smsc, [name for _, name in smsc.answered[ids:]], 30)
    drain(lambda: sum(s == 1 for _, s in reports(platform)), sent, stall=10)
    matched = sum(s == 1 for _, s in reports(platform))
    figure = f"{sent - matched} of {sent} not matched, {refused} refused"
    name = "G6 receipts that match nothing"
    fault = f"{kills} x kill -9 right after the commit"
    record(Verdict(name, fault, sent, figure, matched == sent and not refused))


@pytest.mark.waits
def test_g07_receipts_around_the_answer(
    rig: Rig, smsc: Smsc, platform: Platform, record: Record, long: bool
) -> None:
    """-500 to +500 ms around the answer, on the other bind, each twice, stops between."""
    total, stops = (10_000, 10) if long else (100, 1)
    chance = random.Random(7)
    conf = yaml_conf(rig, smscs={"live": {"window": 100, "binds": 2}})
    gateway = rig.gateway(conf, suffix=".yaml")
    receipts: list[int] = []

    def other(link: Link) -> Link:
        return next((each for each in smsc.bound if each is not link), link)

    def take(submit: Submit) -> None:
        smsc_id, after = f"id{len(smsc.submits)}", 0.5
        smsc.later(after, lambda: smsc.answer(submit, smsc_id))
        for _ in range(2):
            send = partial(_receipt, smsc, smsc_id)

            def once(send: Callable[[Link, Told], None] = send) -> None:
                first = True

                def on(link: Link, told: Told) -> None:
                    nonlocal first
                    send(other(submit.link) if first else link, told)
                    first = False

                smsc.insist(on, lambda: receipts.append(1))

            smsc.later(after + chance.uniform(-0.5, 0.5), once)

    smsc.on_submit = take
    gateway.start()
    caller = Caller(rig)
    accepted = 0
    for n in range(total):
        if n % (total // stops) == total // stops // 2:
            assert gateway.stop() == 0
            gateway.start()
            caller = Caller(rig)  # its connection has ended
        accepted += caller.send(f"m {n}", **caller.dlr(rig, n, 9))
    wanted = {(n, s) for n in range(total) for s in (1, 8)}
    drain(lambda: len(reports(platform)), len(wanted), stall=15)
    drain(lambda: len(receipts), 2 * total, stall=15)
    found = reports(platform)
    right = sum((n, 1) in found and (n, 8) in found for n in range(total))
    twice = sum(times - 1 for times in found.values())
    assert accepted == total
    figure = f"{right:,} right, {twice} twice"
    fault = f"receipts -500 to +500 ms around the answer, on the other bind, twice; {stops} stops"
    holds = right == total and not twice and set(found) == wanted
    name = "G7 one report of each kind per message, over real sessions"
    record(Verdict(name, fault, total, figure, holds))


FORMS = {  # by SMSC: how its answers name a message, how its receipts do, message-ids
    "decimal-hex": ("{:d}", "{:X}", 2),
    "hex-decimal": ("{:x}", "{:d}", 1),
    "hex-hex": ("{:X}", "0{:x}", 3),
    "zeros": ("{:012d}", "{:d}", -1),
    "case": ("aB{:X}z", "Ab{:x}Z", -1),
    "longest": ("f{:063x}", "F{:063X}", -1),
}
WAYS = {"both": (True, True), "tlv": (True, False), "text": (False, True)}


@pytest.mark.waits
def test_g08_ids_match_in_any_form(
    rig: Rig, platform: Platform, record: Record, long: bool
) -> None:
    each = 100 if long else 3
    chance = random.Random(8)
    servers = {name: Smsc(PORTS.take()) for name in FORMS}
    smscs = {
        name: {"port": server.port, "smpp": {"message-ids": FORMS[name][2]}}
        for name, server in servers.items()
    }
    gateway = rig.gateway(yaml_conf(rig, smscs=smscs), suffix=".yaml")
    try:
        for name, server in servers.items():
            server.on_submit = partial(_named, server, *FORMS[name][:2], chance)
        gateway.start()
        for server in servers.values():
            with_binds(gateway, server, 1)
        caller, sent = Caller(rig), 0
        for name in FORMS:
            for _ in range(each * len(WAYS)):
                given = caller.dlr(rig, sent, 1)
                assert caller.send(f"m {sent}", smsc=name, **given)
                sent += 1
        drain(lambda: len(reports(platform)), sent, stall=10)
        found = set(reports(platform))
        for place, (name, (answer, receipt, ids)) in enumerate(FORMS.items()):
            first = place * each * len(WAYS)
            numbers = range(first, first + each * len(WAYS))
            matched = sum((n, 1) in found for n in numbers)
            fault = f"message-ids {ids}, {answer} and {receipt}; TLV, text or both"
            title = f"G8 ids match in any form, over a real session: {name}"
            total = len(numbers)
            record(Verdict(title, fault, total, f"{matched} matched", matched == total))
    finally:
        for server in servers.values():
            server.close()


def _named(smsc: Smsc, answer: str, receipt: str, chance: random.Random, submit: Submit) -> None:
    value = chance.randrange(1 << 33, 1 << 40)
    smsc.answer(submit, answer.format(value))
    tlv, text = list(WAYS.values())[number(submit) % len(WAYS)]
    send = partial(smsc.receipt, tlv=tlv, text=text)
    smsc.insist(lambda link, told: send(link, receipt.format(value), told), lambda: None)


@pytest.mark.parametrize(("answer", "receipt"), [("{:d}", "{:x}"), ("{:X}", "{:d}")])
@pytest.mark.waits
def test_g08_a_wrong_form_is_named(
    rig: Rig, smsc: Smsc, record: Record, answer: str, receipt: str
) -> None:
    """It is parked as long as it is set, then counted, and the log names both forms."""
    conf = yaml_conf(rig, limits={"parked-receipt": "1s"})
    gateway = rig.gateway(conf, suffix=".yaml")
    value = 0x1F2E3D4C
    smsc.on_submit = lambda submit: _told(smsc, submit, answer.format(value))
    gateway.start()
    with_binds(gateway, smsc, 1)
    caller = Caller(rig)
    assert caller.send("m 1", **caller.dlr(rig, 1, 1))
    assert until(lambda: bool(smsc.answered), 10)
    assert insist_all(smsc, [receipt.format(value)], 10)
    parked = metric(gateway, "gatewayd_dlr_parked")
    ours, theirs = answer.format(value), receipt.format(value)
    words = f"answered a submit with id {ours} and calls it {theirs}".lower()
    named = until(lambda: words in gateway.log.read_text().lower(), 30)
    unmatched = metric(gateway, "gatewayd_dlr_unmatched_total")
    figure = f"{parked} parked, then {unmatched} counted; both forms "
    figure += "in the log" if named else "NOT in the log"
    fault = f"{ours} answered, {theirs} in the receipt"
    holds = named and (parked, unmatched) == (1, 1)
    record(Verdict("G8 a wrong form is warned of", fault, 1, figure, holds))


def _told(smsc: Smsc, submit: Submit, smsc_id: str) -> None:
    smsc.answer(submit, smsc_id)
