"""A caller that asks one message after another, and the wait for binds."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

from tests.guarantees.smsc import Smsc
from tests.live.harness import Gateway, Rig, until


def with_binds(gateway: Gateway, smsc: Smsc, binds: int) -> None:
    """Wait for the binds; raises RuntimeError with the log's end if they do not come."""
    if not until(lambda: len(smsc.bound) >= binds, 30):
        raise RuntimeError(f"{len(smsc.bound)} of {binds} binds:\n{gateway.tail()}")


class Caller:
    """Calls sendsms one after another on a connection that is kept."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._line: http.client.HTTPConnection | None = None

    def send(self, text: str, to: str = "258840000001", **fields: str) -> bool:
        """Whether it was accepted: the whole answer 202 was read."""
        return self.status(text, to, **fields) == 202

    def status(self, text: str, to: str = "258840000001", **fields: str) -> int:
        """The status of the whole answer; 0: there was none."""
        given = {"username": "u", "password": "p", "from": "8000", "to": to, "text": text, **fields}
        line = self._line
        if line is None:
            line = http.client.HTTPConnection("127.0.0.1", self._rig.sendsms_port, timeout=20)
            self._line = line
        try:
            line.request("GET", f"/cgi-bin/sendsms?{urlencode(given)}")
            answer = line.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            line.close()
            self._line = None
            return 0
        return answer.status

    def dlr(self, rig: Rig, number: int, mask: int) -> dict[str, str]:
        """The fields that ask for reports on message `number`."""
        url = f"http://127.0.0.1:{rig.platform_port}/dlr?n={number}&s=%d"
        return {"dlr-mask": str(mask), "dlr-url": url}
