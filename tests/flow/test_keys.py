"""Keys and their UUIDs."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.flow.keys import COUNTER_BITS, Keys, key_at, stamp_of

NOW = 1_800_000_000.123
INSTANCE = bytes(range(8))


def keys(last: int = 0, wall: float = NOW, instance: bytes = INSTANCE) -> Keys:
    return Keys(last, instance, lambda: wall)


def test_keys_grow_and_tell_when_they_were_made() -> None:
    made = keys()
    first = made.take()
    assert stamp_of(first) == pytest.approx(NOW, abs=0.001)
    assert [made.take() for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_the_segments_of_a_message_get_consecutive_keys() -> None:
    made = keys()
    first = made.take(5)
    assert made.take() == first + 5


def test_after_a_restart_keys_go_on_above_the_last_one() -> None:
    last = key_at(NOW + 3600)  # the clock was set back by an hour
    made = keys(last)
    assert made.take(3) == last + 1
    assert made.take() == last + 4


def test_keys_fit_sqlites_row_id_for_a_very_long_time() -> None:
    assert keys(wall=4e9).take().bit_length() <= 63


def test_key_at_is_the_lowest_key_of_its_moment() -> None:
    assert key_at(NOW) == keys().take()
    assert key_at(NOW) & ((1 << COUNTER_BITS) - 1) == 0


@given(st.integers(0, (1 << 63) - 1), st.binary(min_size=8, max_size=8))
def test_a_uuid_is_a_version_7_uuid_and_leads_back_to_its_key(key: int, instance: bytes) -> None:
    made = keys(instance=instance)
    uuid = made.uuid(key)
    assert str(UUID(uuid)) == uuid
    assert UUID(uuid).version == 7
    assert UUID(uuid).variant == "specified in RFC 4122"
    assert made.key(uuid) == key
    assert made.key(uuid.upper()) == key


def test_the_form_of_a_uuid_stays_as_platforms_know_it() -> None:
    key = 0x1_89AB_CDEF << COUNTER_BITS | 0xFED_CB
    assert keys(instance=b"\xff" * 8).uuid(key) == "000189ab-cdef-7fed-b2ff-ffffffffffff"
    assert keys(instance=bytes(range(8))).uuid(key) == "000189ab-cdef-7fed-b2c1-020304050607"


@given(st.integers(0, (1 << 63) - 2))
def test_uuids_sort_as_their_keys_do(key: int) -> None:
    made = keys()
    assert made.uuid(key) < made.uuid(key + 1)


def test_two_stores_make_different_uuids() -> None:
    one, other = keys(), keys(instance=b"otherone")
    assert one.uuid(5) != other.uuid(5)
    assert one.key(other.uuid(5)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 36,
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "0x000000-0000-7000-8000-000000000000",
        "١" * 36,
        "-" * 36,
    ],
)
def test_what_is_not_one_of_our_uuids_has_no_key(text: str) -> None:
    assert keys().key(text) is None
