"""RapidPro's External API channel: MO to /receive, reports to /sent, /delivered and /failed.

It knows no id of an MO: a second attempt after an answer that was lost may be stored twice there.
Where that matters the Kannel channel (format rapidpro) is the better one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from gatewayd.config import ChannelConfig
from gatewayd.model import Coding, HttpAnswer, Mo, Outcome, Report
from gatewayd.platforms.contract import HttpCall
from gatewayd.platforms.kannel import FORMAT as KANNEL
from gatewayd.platforms.kannel import USER_AGENT, locate

_ENDINGS: Final = ("receive", "sent", "delivered", "failed")
_FORM: Final = ("Content-Type", "application/x-www-form-urlencoded")
_FAILED: Final = 2 | 16 | 32
# In the body of a 400: no later attempt can mend these. Every other 400 may be passing trouble.
_NO_USE: Final = (
    b"must have one of",
    b"not a possible number",
    b"phone number supplied is not a number",
    b"invalid date format",
)


class External:
    """Forms, as the channel reads no JSON. What failed is final there: nothing is sent again."""

    def mo(self, mo: Mo, channel: ChannelConfig, uuid: str) -> HttpCall:
        """A POST with from, text and date."""
        form = {"from": mo.source, "text": _text(mo), "date": _date(mo.time)}
        return _post(channel, "receive", form)

    def report(self, report: Report, channel: ChannelConfig | None, uuid: str) -> HttpCall:
        """A POST with the id that the platform gave the message.

        A message that came without one has a dlr-url, and that is called as Kannel does.
        """
        if channel is None or not report.external_id:
            return KANNEL.report(report, channel, uuid)
        ending = "sent"
        if report.status & 1:
            ending = "delivered"
        elif report.status & _FAILED:
            ending = "failed"
        return _post(channel, ending, {"id": report.external_id})

    def mo_verdict(self, answer: HttpAnswer) -> Outcome:
        """2xx is success, a 400 for a fault of the message is final; all else is tried again."""
        if 200 <= answer.status < 300:
            return Outcome.DONE
        if answer.status == 400 and any(words in answer.body for words in _NO_USE):
            return Outcome.DEAD
        return Outcome.RETRY

    def report_verdict(self, answer: HttpAnswer) -> Outcome:
        """2xx is success; a 400 says that this report will never be taken."""
        if 200 <= answer.status < 300:
            return Outcome.DONE
        return Outcome.DEAD if answer.status == 400 else Outcome.RETRY


def _post(channel: ChannelConfig, ending: str, form: dict[str, str]) -> HttpCall:
    base, authorization = locate(channel.post_url)
    path, mark, query = base.partition("?")
    path = path.rstrip("/")
    before, _, last = path.rpartition("/")
    if last in _ENDINGS:  # the page of the channel shows such URLs
        path = before
    headers = [USER_AGENT, _FORM]
    if authorization:
        headers.append(("Authorization", authorization))
    body = urlencode(form, errors="replace").encode("ascii")
    url = f"{path}/{ending}{mark}{query}"
    return HttpCall("POST", url, tuple(headers), body, channel.timeout)


def _text(mo: Mo) -> str:
    charset = "utf-16-be" if mo.coding == Coding.UCS2 else "utf-8"
    return mo.payload.decode(charset, "replace")


def _date(time: float) -> str:
    """ISO 8601 with zone, to the millisecond."""
    when = datetime.fromtimestamp(time, UTC)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


FORMAT: Final = External()
