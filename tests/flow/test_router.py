"""Which lane a message takes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.config import SmscConfig
from gatewayd.flow.router import LaneState, Route, Router, unified_prefix

BOUND, WAITING, DEAD = LaneState.BOUND, LaneState.WAITING, LaneState.DEAD


def smsc(name: str, **fields: Any) -> SmscConfig:
    return SmscConfig(name=name, id=name, **fields)


@dataclass
class Lane:
    state: LaneState = BOUND
    load: int = 0


class Net:
    def __init__(self, *smscs: SmscConfig, chance: float = 0.0) -> None:
        self.lanes = {each.name: Lane() for each in smscs}
        self.router = Router(smscs, self.lanes, lambda: chance)

    def lane(self, tag: str | None = None, number: str = "5511") -> str:
        found = self.router.lane_for(tag, number)
        return "" if found is None else found[0]


def test_the_only_smsc_takes_everything_unless_it_is_dead() -> None:
    net = Net(smsc("a"))
    assert net.router.lane_for("whatever", "1") == ("a", BOUND)
    net.lanes["a"].state = WAITING
    assert net.router.lane_for(None, "1") == ("a", WAITING)
    net.lanes["a"].state = DEAD
    assert net.router.lane_for(None, "1") is None


def test_without_any_smsc_nobody_takes_it() -> None:
    assert Net().router.lane_for(None, "1") is None


def test_an_allowed_list_takes_only_what_names_it() -> None:
    route = Route(smsc("a", allowed_ids=("x", "y")))
    assert route.matches("x", "1")
    assert not route.matches("z", "1")
    assert not route.matches(None, "1")


def test_an_empty_allowed_list_takes_nothing() -> None:
    assert not Route(smsc("a", allowed_ids=())).matches(None, "1")
    assert not Route(smsc("a", allowed_ids=())).matches("a", "1")


def test_a_denied_list_counts_only_without_an_allowed_one() -> None:
    assert not Route(smsc("a", denied_ids=("x",))).matches("x", "1")
    assert Route(smsc("a", denied_ids=("x",))).matches("y", "1")
    assert Route(smsc("a", denied_ids=("x",))).matches(None, "1")
    assert Route(smsc("a", allowed_ids=("x",), denied_ids=("x",))).matches("x", "1")


@pytest.mark.parametrize(
    ("allowed", "denied", "number", "taken"),
    [
        ((), (), "55", True),
        (("55",), (), "5511", True),
        (("55",), (), "4411", False),
        ((), ("55",), "5511", False),
        ((), ("55",), "4411", True),
        (("55",), ("5511",), "5511", True),  # with both, what is allowed wins
        (("55",), ("44",), "4411", False),
        (("55",), ("44",), "3311", True),  # neither: taken, as Kannel does
    ],
)
def test_prefixes_allow_and_deny_as_in_kannel(
    allowed: tuple[str, ...], denied: tuple[str, ...], number: str, taken: bool
) -> None:
    by_list = Route(smsc("a", allowed_prefixes=allowed, denied_prefixes=denied))
    by_regex = Route(
        smsc(
            "a",
            allowed_prefix_regex="|".join(f"^{each}" for each in allowed),
            denied_prefix_regex="|".join(f"^{each}" for each in denied),
        )
    )
    assert by_list.matches(None, number) is taken
    assert by_regex.matches(None, number) is taken


def test_tags_may_match_by_expression() -> None:
    assert Route(smsc("a", allowed_ids_regex="^x")).matches("xyz", "1")
    assert not Route(smsc("a", allowed_ids_regex="^x")).matches(None, "1")
    assert not Route(smsc("a", denied_ids_regex="^x")).matches("xyz", "1")
    assert Route(smsc("a", preferred_ids_regex="^x")).prefers("xyz", "1")
    assert Route(smsc("a", preferred_prefix_regex="^55")).prefers(None, "5511")
    assert not Route(smsc("a", preferred_prefix_regex="^55")).prefers(None, "4411")


def test_bound_comes_before_preferred_and_preferred_before_the_rest() -> None:
    net = Net(smsc("a"), smsc("b", preferred_prefixes=("55",)), smsc("c"))
    assert net.lane(number="5511") == "b"
    net.lanes["b"].state = WAITING
    assert net.lane(number="5511") in {"a", "c"}
    net.lanes["a"].state = net.lanes["c"].state = WAITING
    assert net.lane(number="5511") == "b"
    net.lanes["b"].state = DEAD
    assert net.lane(number="5511") in {"a", "c"}


def test_among_equals_the_one_with_the_least_waiting_wins() -> None:
    net = Net(smsc("a"), smsc("b"), smsc("c"))
    for name, load in {"a": 5, "b": 2, "c": 9}.items():
        net.lanes[name].load = load
    assert net.lane() == "b"


def test_among_the_wholly_equal_chance_decides() -> None:
    smscs = [smsc("a"), smsc("b"), smsc("c")]
    assert {Net(*smscs, chance=n / 3).lane() for n in range(3)} == {"a", "b", "c"}


def test_any_bound_asks_every_lane() -> None:
    net = Net(smsc("a"), smsc("b"))
    assert net.router.any_bound()
    net.lanes["a"].state, net.lanes["b"].state = WAITING, DEAD
    assert not net.router.any_bound()


@given(
    st.lists(st.sampled_from([BOUND, WAITING, DEAD]), min_size=3, max_size=3),
    st.floats(0, 1, exclude_max=True),
)
def test_a_living_lane_is_always_found_and_a_bound_one_first(
    states: list[LaneState], chance: float
) -> None:
    net = Net(smsc("a"), smsc("b", preferred_ids=("x",)), smsc("c"), chance=chance)
    for name, state in zip("abc", states, strict=True):
        net.lanes[name].state = state
    for tag, number in product((None, "x"), ("1", "2")):
        found = net.router.lane_for(tag, number)
        best = min(states, key=[BOUND, WAITING, DEAD].index)
        if best is DEAD:
            assert found is None
        else:
            assert found is not None
            assert found[1] is best
            assert net.lanes[found[0]].state is best


def test_unified_prefix_turns_spellings_into_the_first_one() -> None:
    normalise = unified_prefix("+55,0055,055,0;+,00")
    assert normalise("00551199") == "+551199"
    assert normalise("0551199") == "+551199"
    assert normalise("01199") == "+551199"
    assert normalise("+551199") == "+551199"
    assert normalise("+441199") == "+441199"
    assert normalise("1199") == "1199"
    assert unified_prefix("+,00")("00441") == "+441"


def test_no_unified_prefix_changes_nothing() -> None:
    assert unified_prefix("")("0055") == "0055"
    assert unified_prefix(" ; ")("0055") == "0055"
