"""A platform that calls sendsms RATE times a second until SIGTERM, and writes down the answers.

python -m tests.lab.caller PORT RATE LEDGER PREFIX

It calls on some connections at once. One line for each call: when its answer was read, the status,
and the text's word; status 0 is a call that nobody answered.
"""

from __future__ import annotations

import http.client
import signal
import sys
import threading
import time
from types import FrameType

CONNECTIONS = 4


class Caller:
    def __init__(self, port: int, rate: float, path: str, prefix: str) -> None:
        self._port = port
        self._pause = CONNECTIONS / rate
        self._ledger = open(path, "a", buffering=1)  # noqa: SIM115 - for as long as it runs
        self._writing = threading.Lock()
        self._prefix = prefix
        self._began = time.monotonic()
        self.over = threading.Event()

    def call(self, number: int) -> None:
        """Every one of `CONNECTIONS` calls, from the one with this number on."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        due = self._began + number * self._pause / CONNECTIONS
        while not self.over.wait(max(0.0, due - time.monotonic())):
            word, status = f"{self._prefix}{number}", 0
            try:
                connection.request(
                    "GET",
                    f"/cgi-bin/sendsms?username=lab&password=labpass&from=8000"
                    f"&to=25884{number % 10_000_000:07d}&text={word}",
                )
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (OSError, http.client.HTTPException):
                connection.close()
            with self._writing:
                self._ledger.write(f"{time.time():.3f} {status} {word}\n")
            number += CONNECTIONS
            due += self._pause


def main(port: int, rate: float, path: str, prefix: str) -> None:
    caller = Caller(port, rate, path, prefix)

    def stop(number: int, frame: FrameType | None) -> None:
        caller.over.set()

    signal.signal(signal.SIGTERM, stop)
    threads = [threading.Thread(target=caller.call, args=(i,)) for i in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
