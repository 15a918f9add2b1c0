"""What sendsms answers, in Kannel's words where Kannel has some."""

from __future__ import annotations

from typing import Final

from gatewayd.web.logins import LoginBlocked
from gatewayd.web.request import KANNEL_HEADERS, Answer


def answer_of(status: int, text: str) -> Answer:
    """An answer in Kannel's manner."""
    return Answer(status, text.encode(), KANNEL_HEADERS)


def misformed(field: str) -> Answer:
    """What a field is refused with."""
    return answer_of(400, f"{field} field misformed, rejected")


ACCEPTED: Final = answer_of(202, "0: Accepted for delivery")
QUEUED: Final = answer_of(202, "3: Queued for later delivery")
UNROUTABLE: Final = answer_of(403, "Not routable. Do not try again.")
TOO_LONG: Final = answer_of(400, "Text is too long, rejected")
UNAUTHORIZED: Final = answer_of(403, "Authorization failed for sendsms")
NO_RECEIVER: Final = answer_of(400, "Missing receiver number, rejected")
NO_RECEIVERS: Final = answer_of(400, "Missing receiver(s) number(s), rejected")
EMPTY_RECEIVER: Final = answer_of(400, "Empty receiver number not allowed, rejected")
TOO_MANY: Final = answer_of(400, "Too many receivers, rejected")
DENIED: Final = answer_of(400, "Number(s) has/have been denied by white- and/or black-lists.")
NO_SENDER: Final = answer_of(400, "Sender missing and no global set, rejected")
LONG_UDH: Final = answer_of(400, "UDH field is too long, rejected")
BAD_ACCOUNT: Final = answer_of(400, "Account field misformed or too long, rejected")
FORBIDDEN_SMSC: Final = answer_of(403, "SMSC not allowed for this user, rejected")
FORBIDDEN_SENDER: Final = answer_of(403, "Sender not allowed for this user, rejected")
BAD_URL: Final = answer_of(400, "DLR-URL not allowed, rejected")
BAD_TEXT: Final = answer_of(400, "Charset or body misformed, rejected")
BAD_TYPE: Final = answer_of(400, "Invalid content-type")
UNSUPPORTED: Final = answer_of(415, "Unsupported content-type, rejected")


def too_many_failures(blocked: LoginBlocked) -> Answer:
    """What a caller is answered whose login is not even checked."""
    wait = ("Retry-After", str(blocked.seconds))
    return Answer(503, b"Too many failed logins, try again later.", (*KANNEL_HEADERS, wait))


class Refused(Exception):
    """A check failed; `answer` says which."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer
