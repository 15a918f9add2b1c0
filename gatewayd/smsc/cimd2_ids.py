"""The ids by which messages and their status reports find each other.

CIMD2 gives no message id: destination and timestamp (parameters 021 and 060) name a message, and
several may share them.
"""

from __future__ import annotations

from collections import OrderedDict

from gatewayd.model import SMSC_ID_KEY

MOST = 10_000  # pairs of destination and timestamp remembered


class MessageIds:
    """Makes ids of what the SMSC says, the same for a submit's answer and for its report.

    An id follows from timestamp and destination alone, so that a report is known after a reconnect
    and on any bind. Only messages that share both need memory: the second gets another id, and
    reports are given to them first in, first out.
    """

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        # How many messages have had this id, and the ids whose final report has not come.
        self._seen: OrderedDict[str, tuple[int, list[str]]] = OrderedDict()

    def submitted(self, destination: str, timestamp: str) -> str:
        """The id of a message that was just accepted and asked for a report."""
        name = id_of(destination, timestamp)
        count, waiting = self._seen.get(name) or (0, [])
        waiting.append(f"{name}/{count + 1}" if count else name)
        self._seen[name] = count + 1, waiting
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return waiting[-1]

    def reported(self, destination: str, timestamp: str, *, final: bool) -> str:
        """The id of the message that a report speaks of; `final`: no other report follows."""
        name = id_of(destination, timestamp)
        _, waiting = self._seen.get(name, (0, None))
        if not waiting:
            return name
        return waiting.pop(0) if final else waiting[0]


def id_of(destination: str, timestamp: str) -> str:
    """The id of a message that is alone; people see only the timestamp.

    The SMSC may put a "+" before a number in one place and not in the other.
    """
    return f"{timestamp}{SMSC_ID_KEY}{destination.removeprefix('+')}"
