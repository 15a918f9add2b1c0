"""What each command_status means."""

from __future__ import annotations

import pytest

from gatewayd.config.model import SmppOptions
from gatewayd.model import Outcome
from gatewayd.smsc.smpp_status import bind_outcome_of, outcome_of, reason_of, text_of

RECORDED = {  # what Kannel 1.4.5 put behind "NACK/"
    0x01: "0x00000001/Message Length is invalid",
    0x03: "0x00000003/Invalid Command ID",
    0x04: "0x00000004/Incorrect BIND Status for given command",
    0x0A: "0x0000000a/Invalid Source Address",
    0x0B: "0x0000000b/Invalid Destination Address",
    0x0C: "0x0000000c/Unknown/Reserved",
    0x0D: "0x0000000d/Bind Failed",
    0x15: "0x00000015/Invalid Service Type",
    0x33: "0x00000033/Invalid number of destinations",
    0x34: "0x00000034/Invalid Distribution List Name",
    0x42: "0x00000042/Submit w/replace not supported/allowed",
    0x44: "0x00000044/Cannot Submit to Distribution List",
    0x48: "0x00000048/Invalid Source address TON",
    0x49: "0x00000049/Invalid Source address NPI",
    0x50: "0x00000050/Invalid Destination address TON",
    0x51: "0x00000051/Invalid Destination address NPI",
    0x53: "0x00000053/Invalid system_type field",
    0x54: "0x00000054/Invalid replace_if_present flag",
    0x61: "0x00000061/Invalid Scheduled Delivery Time",
    0x62: "0x00000062/Invalid message validity period",
    0x63: "0x00000063/Predefined Message ID is Invalid"
    " or specific predefined message was not found",
    0x65: "0x00000065/ESME Receiver Permanent App Error Code",
    0x67: "0x00000067/query_sm request failed",
    0xC0: "0x000000c0/Error in optional part of the PDU Body",
    0xFE: "0x000000fe/Transaction Delivery Failure",
    0xFF: "0x000000ff/Unknown Error",
    0x1234: "0x00001234/Unknown/Reserved",
}


@pytest.mark.parametrize("status", RECORDED)
def test_a_reason_reads_as_kannel_recorded_it(status: int) -> None:
    assert reason_of(status) == RECORDED[status]


def test_smpp_025_a_vendor_status_keeps_its_number_and_points_to_the_provider() -> None:
    assert reason_of(0x481).startswith("0x00000481/Vendor-specific error, please refer to your")
    assert text_of(0x3FF) == text_of(0x500) == "Unknown/Reserved"


def test_smpp_025_the_configuration_changes_the_class_of_a_vendor_status() -> None:
    assert outcome_of(0x481, SmppOptions()) is Outcome.DEAD
    assert outcome_of(0x481, SmppOptions(temporary=frozenset({0x481}))) is Outcome.RETRY
    assert outcome_of(0x481, SmppOptions(throttling=frozenset({0x481}))) is Outcome.THROTTLED


def test_smpp_021_022_023_024_each_status_has_the_outcome_of_its_class() -> None:
    options = SmppOptions()
    assert outcome_of(0, options) is Outcome.DONE
    for status in (0x58, 0x14):
        assert outcome_of(status, options) is Outcome.THROTTLED
    for status in (0x08, 0x64, 0x45, 0xFE, 0xFF, 0x67, 0x102):
        assert outcome_of(status, options) is Outcome.RETRY
    for status in (0x01, 0x0A, 0x0B, 0x33, 0x42, 0x61, 0x65, 0xC0, 0x100, 0x112, 0xFFFFFFFF):
        assert outcome_of(status, options) is Outcome.DEAD


def test_not_bound_is_a_fault_of_the_session_unless_configured_otherwise() -> None:
    assert outcome_of(0x04, SmppOptions()) is Outcome.RETRY
    assert outcome_of(0x04, SmppOptions(not_bound=frozenset())) is Outcome.DEAD


def test_smpp_012_only_wrong_credentials_end_a_bind_for_good() -> None:
    options = SmppOptions()
    for status in (0x0E, 0x0F, 0x53):
        assert bind_outcome_of(status, options) is Outcome.DEAD
    for status in (0x0D, 0x05, 0x08, 0x14, 0x58, 0x481):
        assert bind_outcome_of(status, options) is Outcome.RETRY
    assert bind_outcome_of(0, options) is Outcome.DONE
    assert bind_outcome_of(0x05, SmppOptions(already_bound_is_bound=True)) is Outcome.DONE
