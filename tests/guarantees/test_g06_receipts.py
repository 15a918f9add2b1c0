"""G6, G7, G8, G24: receipts find their message, whenever, wherever and however they come."""

from __future__ import annotations

import random

import pytest

from gatewayd.sms.receipt_text import normalise_id
from gatewayd.smsc.contract import Submitted
from tests.flow.rig import URL, Rig, config, smsc, with_limits
from tests.guarantees.conftest import Record
from tests.live.torture import Verdict

DLR_URL = "http://platform.example/dlr?n="


def calls(rig: Rig) -> list[str]:
    rig.turn()
    while rig.web.open:
        rig.web.answer()
        rig.turn()
    found = rig.web.urls
    rig.web.calls.clear()
    return found


def test_g06_the_id_of_an_answer_is_kept(record: Record, long: bool) -> None:
    """After the commit every receipt is matched; before it, at most a window is parked."""
    total = 1000 if long else 100
    matched = parked = 0
    for kill in range(2 * total):
        rig = Rig(config(smsc(window=1)))
        rig.send("m", dlr_mask=1, dlr_url=URL)
        rig.taken("a/0", rig.ports["a/0"].sent[0], "77")
        if kill % 2:
            rig.turn()
        rig = rig.again()
        ticket = rig.receipt("77")
        rig.turn()
        assert rig.outcome(ticket) == "done"
        if kill % 2:
            matched += rig.told() == [1]
        else:  # it goes out again, and the receipt waits for an answer with its id
            parked += rig.dlr.parked
    name = "G6 the SMSC's id survives"
    figure = f"{matched} matched"
    record(Verdict(f"{name} once it is committed", "crash", total, figure, matched == total))
    figure = f"{parked} parked, none dropped"
    record(
        Verdict(f"{name} or its receipt is parked", "crash before", total, figure, parked == total)
    )


def test_g07_receipts_around_the_answer(record: Record, long: bool) -> None:
    """-500 to +500 ms around the answer, on the other bind, twice, with restarts between."""
    total = 10_000 if long else 1000
    chance = random.Random(7)
    rig = Rig(with_limits(config(smsc(binds=2, window=50)), dedupe_window=0.0))
    done = 0
    urls: list[str] = []
    while done < total:
        batch = min(50, total - done)
        for n in range(batch):
            url = f"{DLR_URL}{done + n}&s=%d"
            rig.accept(f"m{done + n}", to=str(done + n), dlr_mask=9, dlr_url=url)
        rig.turn(0.01)
        events: list[tuple[float, str, Submitted | int]] = []
        for name, port in rig.ports.items():
            other = "a/1" if name == "a/0" else "a/0"
            for segment in port.waiting:
                at = chance.uniform(0, 1)
                events.append((at, name, Submitted(segment, f"id{segment.id}", 0.01)))
                for _ in range(2):
                    bind = chance.choice([name, other])
                    events.append((at + chance.uniform(-0.5, 0.5), bind, segment.id))
        for _, bind, event in sorted(events, key=lambda each: each[0]):
            if isinstance(event, int):
                rig.receipt(f"id{event}", bind=bind)
            else:
                rig.events(bind, event)
            rig.turn(0.002)
        rig.turn()
        done += batch
        urls += calls(rig)
        if chance.random() < 0.2:
            rig = rig.again()
    rig.turn(120)
    urls += calls(rig)
    wanted = {f"{DLR_URL}{n}&s={status}" for n in range(total) for status in (1, 8)}
    right = len(wanted & set(urls)) // 2
    twice = len(urls) - len(set(urls))
    name = "G7 one report of each kind per message"
    fault = "receipts before the answer, on the other bind, twice, restarts"
    figure = f"{right:,} right, {twice} twice"
    record(Verdict(name, fault, total, figure, right == total and not twice))


FORMS = [
    ("1234567890", "499602D2", 2),  # answer decimal, receipt hex
    ("499602D2", "1234567890", 1),  # answer hex, receipt decimal
    ("499602d2", "0499602D2", -1),
    ("0001234", "1234", -1),
    ("AbC-7", "abc-7", -1),
    ("f" * 64, "F" * 64, -1),
]


@pytest.mark.parametrize(("answer", "receipt", "ids"), FORMS)
def test_g08_ids_match_in_any_form(answer: str, receipt: str, ids: int, record: Record) -> None:
    ours = normalise_id(answer, message_ids=ids, receipt=False, id_case=False)
    theirs = normalise_id(receipt, message_ids=ids, receipt=True, id_case=False)
    figure = f"{answer[:12]} and {receipt[:12]}"
    record(Verdict("G8 ids match in any form", f"message-ids {ids}", 1, figure, ours == theirs))


@pytest.mark.parametrize(("answer", "receipt"), [("255", "ff"), ("ff", "255")])
def test_g08_a_receipt_in_another_form_is_explained(answer: str, receipt: str) -> None:
    rig = Rig(config())
    rig.send("m", dlr_mask=1, dlr_url=URL)
    rig.taken("a/0", rig.ports["a/0"].sent[0], answer)
    rig.receipt(receipt)
    rig.turn(100)
    (parked,) = rig.dlr.sweep()
    assert rig.dlr.other_form(parked) == answer
