"""The answer to a submit that was given up comes after all: it tells which segment it was."""

from __future__ import annotations

from gatewayd.smsc.contract import Noted, SubmitFailed, Submitted
from tests.smsc.test_smpp_session import bound, resp, segment


def test_a_late_answer_tells_the_segment_and_the_smscs_id() -> None:
    peer = bound(window=2, response_timeout=60.0, enquire_interval=0.0)
    peer.submit(1, now=5.0)
    peer.submit(2, now=5.0)
    peer.session.tick(65.0)
    note, told = peer.hear(resp(3, message_id=b"77"), now=70.0)
    assert isinstance(note, Noted)
    assert told == Submitted(segment(2), "77", 0.0, "?smpp_resp?", late=True)
    note, failed = peer.hear(resp(2, status=0x0B), now=70.0)
    assert isinstance(failed, SubmitFailed)
    assert (failed.segment, failed.status, failed.late) == (segment(1), 0x0B, True)
    assert [type(event) for event in peer.hear(resp(2), now=71.0)] == [Noted], "only once"
