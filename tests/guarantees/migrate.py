"""A newer gatewayd opens the store at PATH: its schema has one version more. Killed in step CALL.

migrate.py PATH CALL kills itself at the CALL-th step of the change; 0: it comes through.
"""

from __future__ import annotations

import os
import signal
import sys

from gatewayd.store.database import Database
from gatewayd.store.schema import MIGRATIONS

NEXT = (*MIGRATIONS, ("ALTER TABLE item ADD COLUMN extra TEXT", "CREATE INDEX x ON item (extra)"))
STEPS = len(NEXT[-1]) + 1  # before each statement, and before the commit


def main(path: str, call: int) -> None:
    left = call

    def step(name: str) -> None:
        nonlocal left
        if name == "in-migration":
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    database = Database(path, step, NEXT)
    database.open(10)
    database.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
