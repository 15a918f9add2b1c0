"""The platform's part in the trial of the package: sends messages, and counts what arrived.

Runs in the trial's own root with that system's python3 and nothing else:

    traffic.py send PORT FIRST COUNT FILE [END]  each text is its number; FILE gets what was
                                                 accepted; with END, in even paces until it exists
    traffic.py count SMSC-LOG FILE...            what the simulated SMSC took of what was accepted
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

PAUSE = 0.05  # seconds before a call that was not taken is made again
PACE = 0.02  # seconds between messages that are sent until something has happened
PATIENCE = 120.0  # seconds for one message, then something is broken


def send(port: int, first: int, count: int, kept: Path, end: Path | None) -> dict[str, float]:
    """Call sendsms once a message, and again until it is accepted, as platforms do."""
    sent = refused = 0
    longest = 0.0
    with kept.open("w", encoding="ascii") as file:
        for number in range(first, first + count):
            if end is not None:
                if end.exists():
                    break
                time.sleep(PACE)
            text = f"message-{number:06}"
            query = urlencode(
                {"username": "trial", "password": "trial-password", "from": "2020"}
                | {"to": f"2557{number:08}", "text": text}
            )
            began = time.monotonic()
            while True:
                try:
                    url = f"http://127.0.0.1:{port}/cgi-bin/sendsms?{query}"
                    with urlopen(url, timeout=30) as answer:
                        accepted = answer.status == 202
                except HTTPError as error:
                    if error.code != 503:
                        raise
                    accepted = False
                except (OSError, HTTPException):
                    accepted = False
                if accepted:
                    break
                refused += 1
                if time.monotonic() - began > PATIENCE:
                    raise SystemExit(f"{text} is not accepted")
                time.sleep(PAUSE)
            longest = max(longest, time.monotonic() - began)
            file.write(f"{text}\n")
            file.flush()
            sent += 1
    return {"accepted": sent, "refused": refused, "longest_wait": round(longest, 2)}


def arrived(log: str) -> Counter[str]:
    """How often each text was accepted by the simulated SMSC."""
    return Counter(re.findall(r'submit .*"(message-\d+)".*: accepted', log))


def count(log: Path, files: Sequence[Path]) -> dict[str, int]:
    accepted = {line for file in files for line in file.read_text(encoding="ascii").split()}
    taken = arrived(log.read_text(encoding="utf-8"))
    return {
        "accepted": len(accepted),
        "arrived": len(accepted & set(taken)),
        "lost": len(accepted - set(taken)),
        "twice": sum(times - 1 for times in taken.values()),
    }


def main(words: Sequence[str]) -> int:
    if words[0] == "send":
        end = Path(words[5]) if len(words) > 5 else None
        found: object = send(int(words[1]), int(words[2]), int(words[3]), Path(words[4]), end)
    else:
        found = count(Path(words[1]), [Path(word) for word in words[2:]])
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
