"""The rate of a lane, and pauses."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd.config import Retry
from gatewayd.flow.limiter import Backoff, Limiter, exhausted, jittered, pause_after

MIDDLE = 0.5  # a throw that changes nothing


def test_without_a_rate_everything_may_go() -> None:
    limiter = Limiter(0)
    assert limiter.available(5.0) == inf
    limiter.spend(1_000_000)
    assert limiter.available(5.0) == inf
    assert limiter.wait() == 0.0


def test_only_whole_units_may_go() -> None:
    limiter = Limiter(50)
    assert limiter.available(0.0) == 1
    limiter.spend(1)
    assert limiter.available(0.0) == 0
    assert limiter.wait() == pytest.approx(0.02)
    assert limiter.available(0.02) == 1


def test_an_idle_limiter_saves_up_no_more_than_fifty_milliseconds_worth() -> None:
    limiter = Limiter(1000)
    limiter.available(0.0)
    assert limiter.available(3600.0) == 50
    fifty = Limiter(50)
    fifty.available(0.0)
    assert fifty.available(3600.0) == 2, "only whole ones"
    slow = Limiter(2)
    slow.available(0.0)
    assert slow.available(3600.0) == 1


def test_a_timer_that_fires_a_rounding_error_early_does_not_spin() -> None:
    limiter = Limiter(3)
    now = 1e9 + 0.1
    for _ in range(1000):
        if limiter.available(now) >= 1:
            limiter.spend(1)
        assert limiter.wait() > 1e-6
        now += limiter.wait()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([1, 3, 7, 10, 20, 50, 100, 333, 1000]),
    st.lists(st.sampled_from([0.0, 0.001, 0.013, 0.2, 1.0]), max_size=400),
)
def test_the_rate_is_kept_in_every_second(rate: int, pauses: list[float]) -> None:
    """At most 105 % in any second, and never one more than that is whole."""
    limiter = Limiter(rate)
    now = 0.0
    sent: list[float] = []
    for pause in pauses:
        now += pause
        units = int(min(limiter.available(now), 10_000))
        limiter.spend(units)
        sent += [now] * units
    for start in sent:
        within = bisect_left(sent, start + 1.0 - 1e-6) - bisect_left(sent, start)
        assert within <= max(rate, rate * 1.05)
        ten = bisect_right(sent, start + 10.0 - 1e-6) - bisect_left(sent, start)
        assert ten <= max(10 * rate, 10 * rate * 1.01)


def test_a_backoff_doubles_up_to_its_cap_and_a_success_halves_it() -> None:
    backoff = Backoff(Retry(first=1.0, factor=2.0, cap=5.0, jitter=0.0), lambda: MIDDLE)
    assert [backoff.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 5.0]
    backoff.eased()
    assert backoff.pause == 2.5
    assert backoff.failed() == 5.0
    for _ in range(10):
        backoff.eased()
    assert backoff.pause == 0.0
    assert backoff.failed() == 1.0
    backoff.failed()
    backoff.reset()
    assert backoff.failed() == 1.0


def test_pauses_grow_with_the_tries_and_stay_below_the_cap() -> None:
    retry = Retry(first=1.0, factor=2.0, cap=300.0, jitter=0.0)
    assert [pause_after(retry, n, lambda: 0.0) for n in (1, 2, 3, 9, 10, 10**9)] == [
        1.0,
        2.0,
        4.0,
        256.0,
        300.0,
        300.0,
    ]
    steady = Retry(first=60.0, factor=1.0, cap=300.0, jitter=0.0)
    assert pause_after(steady, 1000, lambda: 0.0) == 60.0
    assert pause_after(Retry(first=400.0, cap=300.0, jitter=0.0), 2, lambda: 0.0) == 400.0


def test_jitter_spreads_a_pause_by_its_share_either_way() -> None:
    assert jittered(10.0, 0.2, lambda: 0.0) == 8.0
    assert jittered(10.0, 0.2, lambda: MIDDLE) == 10.0
    assert jittered(10.0, 0.2, lambda: 1.0) == 12.0
    assert jittered(10.0, 0.0, lambda: 1.0) == 10.0


def test_an_item_is_given_up_by_tries_or_by_age() -> None:
    assert not exhausted(Retry(times=-1), 10**6, 10**9)
    assert not exhausted(Retry(times=5), 5, 0)
    assert exhausted(Retry(times=5), 6, 0)
    assert exhausted(Retry(times=0), 1, 0)
    assert not exhausted(Retry(horizon=3600), 1, 3599)
    assert exhausted(Retry(horizon=3600), 1, 3600)
