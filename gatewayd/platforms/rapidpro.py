"""RapidPro's Kannel channel (TextIt, Weni): MO as a POST of its receive URL, reports as a GET.

Both generations are served alike: whether the dlr-url carries `uuid=` or `id=` is the platform's
affair, it comes back as it was given.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gatewayd.config import ChannelConfig
from gatewayd.model import HttpAnswer, Mo, Outcome, Report
from gatewayd.platforms.contract import HttpCall
from gatewayd.platforms.kannel import FORMAT as KANNEL

# The query of the snippet that RapidPro shows, for a receive URL that was pasted without it.
QUERY: Final = "backend=%i&sender=%p&message=%b&ts=%T&id=%I&to=%P"
# In the body of a 400: no later attempt can mend these. Every other 400 may be passing trouble of
# the platform: a failing look-up in its database comes out as one.
_NO_USE: Final = (b"required", b"not a possible number", b"phone number supplied is not a number")


class RapidPro:
    """Verdicts that lose nothing while the platform is down, and stop where it is no use."""

    def mo(self, mo: Mo, channel: ChannelConfig, uuid: str) -> HttpCall:
        """A POST of post_url, the values in its query, the text again as the body."""
        if channel.post_url and "?" not in channel.post_url:
            channel = replace(channel, post_url=f"{channel.post_url}?{QUERY}")
        return KANNEL.mo(mo, channel, uuid)

    def report(self, report: Report, channel: ChannelConfig | None, uuid: str) -> HttpCall:
        """A GET of the dlr-url, `%d` and all other escapes replaced."""
        return KANNEL.report(report, channel, uuid)

    def mo_verdict(self, answer: HttpAnswer) -> Outcome:
        """2xx is success, a 400 for a fault of the message is final; all else is tried again.

        That holds for 404 and 405 too: a wrong URL is mended by people, and the MO is still there.
        """
        if 200 <= answer.status < 300:
            return Outcome.DONE
        if answer.status == 400 and any(words in answer.body for words in _NO_USE):
            return Outcome.DEAD
        return Outcome.RETRY

    def report_verdict(self, answer: HttpAnswer) -> Outcome:
        """200 also means "no such message"; a 400 says that this report will never be taken."""
        if answer.status == 200:
            return Outcome.DONE
        return Outcome.DEAD if answer.status == 400 else Outcome.RETRY


FORMAT: Final = RapidPro()
