"""A platform that calls sendsms RATE times a second until SIGTERM, and writes down what was taken.

python -m tests.lab.caller PORT RATE LEDGER PREFIX
"""

from __future__ import annotations

import http.client
import signal
import sys
import time
from types import FrameType


def main(port: int, rate: float, path: str, prefix: str) -> None:
    over = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, stop)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    count, began = 0, time.monotonic()
    with open(path, "a", buffering=1) as ledger:
        while not over:
            word = f"{prefix}{count}"
            try:
                connection.request(
                    "GET",
                    f"/cgi-bin/sendsms?username=lab&password=labpass&from=8000"
                    f"&to=25884{count % 10_000_000:07d}&text={word}",
                )
                answer = connection.getresponse()
                answer.read()
                if answer.status == 202:
                    ledger.write(f"{word}\n")
            except (OSError, http.client.HTTPException):
                connection.close()
            count += 1
            wait = began + count / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], sys.argv[4])
