from __future__ import annotations

import pytest

from gatewayd.config.model import Secret, UserConfig
from gatewayd.web.users import AddressRules, Users


def test_the_first_of_two_users_with_one_name_counts() -> None:
    users = Users(
        [UserConfig("u", Secret("one"), name="a"), UserConfig("u", Secret("two"))],
        only_allowed=False,
    )
    found = users.find(b"u", b"one", "127.0.0.1")
    assert found is not None
    assert found.name == "a"
    assert users.find(b"u", b"two", "127.0.0.1") is None


def test_names_and_passwords_are_compared_with_their_case() -> None:
    users = Users([UserConfig("u", Secret("pé"))], only_allowed=False)
    assert users.find(b"u", "pé".encode(), "") is not None
    for name, password in [(b"U", "pé"), (b"u", "PÉ"), (b"u", ""), (b"", "pé"), (b"\xff", "pé")]:
        assert users.find(name, password.encode(), "") is None


@pytest.mark.parametrize(
    ("allow", "deny", "address", "admitted"),
    [
        ((), (), "1.2.3.4", True),
        ((), ("1.2.3.4",), "1.2.3.4", False),
        ((), ("1.2.3.4",), "1.2.3.5", True),
        (("1.2.3.4",), ("*.*.*.*",), "1.2.3.4", True),
        (("1.2.3.4",), ("*.*.*.*",), "1.2.3.5", False),
        (("10.0.*.*",), ("*.*.*.*",), "10.0.7.8", True),
        (("10.0.*.*",), ("*.*.*.*",), "10.1.7.8", False),
        ((), ("*.*.*.*",), "2001:db8::1", False),
        (("2001:db8::/32",), ("*",), "2001:db8::1", True),
        (("10.0.0.0/8",), ("*",), "10.200.0.1", True),
        (("10.0.0.0/8",), ("*",), "", False),
        (("10.0.0.1",), ("10.0.0.1",), "10.0.0.1", True),
    ],
)
def test_the_address_rules_are_kannels(
    allow: tuple[str, ...], deny: tuple[str, ...], address: str, admitted: bool
) -> None:
    assert AddressRules(allow, deny).admit(address) is admitted


def test_an_allow_list_alone_denies_the_rest_only_when_told_so() -> None:
    assert AddressRules(("10.0.0.1",), ()).admit("10.0.0.2")
    assert not AddressRules(("10.0.0.1",), (), only_allowed=True).admit("10.0.0.2")
    assert AddressRules(("10.0.0.1",), (), only_allowed=True).admit("10.0.0.1")
