"""Which channel takes an MO, beyond what was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from gatewayd.config import ChannelConfig, NumberRules
from gatewayd.errors import UsageError
from gatewayd.flow.services import Services
from gatewayd.model import Mo


def mo(text: bytes | str = b"", **changes: Any) -> Mo:
    payload = text.encode() if isinstance(text, str) else text
    fields: dict[str, Any] = {"id": 1, "smsc": "s1", "source": "+551", "destination": "2020"}
    return Mo(**(fields | {"payload": payload} | changes))


def channel(name: str, **changes: Any) -> ChannelConfig:
    return ChannelConfig(name=name, **changes)


def chosen(message: Mo, *channels: ChannelConfig) -> str | None:
    found = Services(channels).choose(message)
    return found.name if found else None


def test_without_channels_nobody_takes_it() -> None:
    assert chosen(mo("x")) is None


def test_a_channel_without_keyword_takes_everything() -> None:
    for message in (mo(""), mo(b"\xff\x00"), mo(b"\xd8\x00", coding=2)):
        assert chosen(message, channel("all")) == "all"


def test_the_first_that_matches_wins_and_the_default_is_last() -> None:
    channels = (
        channel("d", default=True),
        channel("one", keyword="on"),
        channel("two", keyword="one"),
    )
    assert chosen(mo("ONE x"), *channels) == "one"
    assert chosen(mo("x one"), *channels) == "d"


def test_a_default_channel_is_held_to_its_lists_too() -> None:
    channels = (
        channel("a", default=True, smscs=("s2",)),
        channel("b", default=True, smscs=("s1",)),
    )
    assert chosen(mo("x"), *channels) == "b"
    assert chosen(mo("x", smsc="s3"), *channels) is None


def test_a_refused_channel_leaves_the_mo_to_the_next() -> None:
    channels = (channel("a", keyword="k", smscs=("s2",)), channel("b", keyword="k"))
    assert chosen(mo("k"), *channels) == "b"


def test_aliases_match_and_keywords_are_expressions() -> None:
    keyed = channel("k", keyword="join|ent(rar|ra)", aliases=("2", "[xy]1"))
    for text in ("join", "ENTRAR ja", "  2", "y1"):
        assert chosen(mo(text), keyed) == "k"
    assert chosen(mo("z1"), keyed) is None


def test_an_expression_that_is_none_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="channel bad, keyword"):
        Services([channel("bad", keyword="(a")])
    with pytest.raises(UsageError, match="channel bad, white-list-regex"):
        Services([channel("bad", senders=NumberRules(white_list_regex="[a"))])


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("http://h/", [0]),
        ("http://h/%s", [1]),
        ("http://h/%s%S", [2]),
        ("http://h/%s%r", [1, 2, 3]),
        ("http://h/%a", [0, 1, 2, 3]),
        ("http://h/%%s", [0]),
    ],
)
def test_the_number_of_words_must_fit_the_url(url: str, fits: list[int]) -> None:
    keyed = channel("k", keyword="key", get_url=url, catch_all=False)
    counts = [n for n in range(4) if chosen(mo("key" + " w" * n), keyed)]
    assert counts == fits


def test_a_posted_message_may_have_any_number_of_words() -> None:
    for action in ("post_url", "post_xml"):
        keyed = channel("k", keyword="key", catch_all=False, **{action: "http://h/"})
        assert chosen(mo("key a b c"), keyed) == "k"


def test_a_local_text_counts_its_words() -> None:
    keyed = channel("k", keyword="key", text_reply="hello %s", catch_all=False)
    assert chosen(mo("key a"), keyed) == "k"
    assert chosen(mo("key"), keyed) is None


def test_ucs2_matches_ascii_keywords_without_recoding_and_all_with_it() -> None:
    plain = channel("p", keyword="oi", mo_recode=False)
    text = channel("t", keyword="привет", catch_all=False, get_url="http://h/%s")
    assert chosen(mo("oi!".encode("utf-16-be"), coding=2), plain) == "p"
    # The octet 0x20 within U+0420 is a blank only where the text is not recoded.
    assert chosen(mo("Привет РР".encode("utf-16-be"), coding=2), text) == "t"


def test_a_long_text_is_matched_at_its_beginning_only() -> None:
    late = channel("late", keyword_regex="needle")
    assert chosen(mo("x" * 500 + "needle"), late) == "late"
    assert chosen(mo("x" * 5000 + "needle"), late) is None


@pytest.mark.parametrize(
    ("allowed", "denied", "taken"),
    [
        ((), (), "1 2 3"),
        (("1",), (), "1"),
        ((), ("1",), "2 3"),
        (("1",), ("1", "2"), "1 3"),  # with both only what is denied and not allowed is refused
    ],
)
def test_prefixes_of_senders_and_receivers(
    allowed: tuple[str, ...], denied: tuple[str, ...], taken: str
) -> None:
    rules = NumberRules(allowed_prefixes=allowed, denied_prefixes=denied)
    senders = channel("s", senders=rules)
    receivers = channel("r", allowed_receiver_prefixes=allowed, denied_receiver_prefixes=denied)
    pattern = "|".join(f"^{prefix}" for prefix in allowed)
    refused = "|".join(f"^{prefix}" for prefix in denied)
    by_regex = channel("x", allowed_prefix_regex=pattern, denied_prefix_regex=refused)
    for number in "123":
        expected = number in taken
        assert bool(chosen(mo("", source=number), senders)) is expected
        assert bool(chosen(mo("", destination=number), receivers)) is expected
        assert bool(chosen(mo("", source=number), by_regex)) is expected


def test_receivers_by_expression() -> None:
    tail = channel("t", allowed_receiver_prefix_regex=".*2020$")
    assert chosen(mo("", destination="+552020"), tail) == "t"
    assert chosen(mo("", destination="20201"), tail) is None


def test_smscs_and_accounts_by_name_or_expression() -> None:
    named = channel("n", smscs=("a", "b"), smscs_regex="^c[[:digit:]]")
    for smsc, expected in (("a", "n"), ("c7", "n"), ("c", None)):
        assert chosen(mo("", smsc=smsc), named) == expected
    accounts = channel("n", accounts=("x",), accounts_regex="^y")
    for account, expected in (("x", "n"), ("yes", "n"), ("", None)):
        assert chosen(mo("", account=account), accounts) == expected


def test_white_and_black_lists_of_senders() -> None:
    listed = channel("l", senders=NumberRules(white_list="file", black_list_regex="^\\+55[12]"))
    services = Services([listed])
    services.numbers["l"].set_lists(frozenset({"+551", "+553"}), None)
    assert services.choose(mo("", source="+553")) is listed
    assert services.choose(mo("", source="+551")) is None
    assert services.choose(mo("", source="+554")) is None
