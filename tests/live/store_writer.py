"""A process that commits numbered items to a store until it is killed, and says which are safe.

store_writer.py PATH FAILPOINT CALL MANY: item n is put by commit n, made SENT by commit n + 50 and
ended by commit n + 100; MANY commits are under way at once. Each acknowledged number is one line on
standard output. At the CALL-th call of FAILPOINT the process kills itself.
"""

from __future__ import annotations

import os
import signal
import sys
from queue import SimpleQueue
from typing import Any

from gatewayd.store.contract import Change, Item, State, Work
from gatewayd.store.sqlite import SqliteStore


def work(number: int) -> Work:
    """What commit `number` holds."""
    made = Work(puts=[Item(0, number, "one", b"%300d" % number)])
    if number > 50:
        made.changes.append(Change(number - 50, State.SENT, name=f"s/{number - 50}"))
    if number > 100:
        made.ends.append(number - 100)
    return made


def main(path: str, failpoint: str, call: int, many: int) -> None:
    left = call

    def maybe_die(name: str) -> None:
        nonlocal left
        if name == failpoint:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def safe(_: None, number: int) -> None:
        os.write(1, b"%d\n" % number)

    calls: SimpleQueue[Any] = SimpleQueue()
    store = SqliteStore(path, lambda f, *a: calls.put((f, a)), maybe_die)
    number = store.open(10).last_key
    under_way = 0
    while True:
        while under_way < many:
            number += 1
            under_way += 1
            store.commit([work(number)]).addCallback(safe, number)
        run, arguments = calls.get()
        run(*arguments)
        under_way -= len(arguments[0])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
