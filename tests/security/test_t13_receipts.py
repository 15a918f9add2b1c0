"""T13: an SMSC can finish only its own messages."""

from __future__ import annotations

from tests.flow.rig import URL, Rig, config, smsc


def test_t13_a_receipt_of_another_smsc_finishes_nothing() -> None:
    rig = Rig(config(smsc("a", preferred_prefixes=("55",)), smsc("b")))
    rig.send(dlr_mask=63, dlr_url=URL)
    rig.take_all("a/0")
    rig.receipt("id0", 2, bind="b/0")
    assert rig.told() == [8]
    rig.receipt("id0", 1, bind="a/0")
    assert rig.told() == [8, 1]
