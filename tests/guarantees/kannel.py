"""Kannel's two boxes under the same faults, with their file store, for comparison."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping

from tests.bench.peers.kannel import BEARERBOX, SMSBOX
from tests.live.harness import Gateway, Rig, http_get, kannel_conf, listening, until
from tests.live.torture import Plan, Torture, Verdict


class KannelBoxes(Gateway):
    """bearerbox and smsbox on one kannel.conf, killed and started together."""

    def __init__(self, rig: Rig, plan: Plan) -> None:
        folder = rig.folder
        store = ("store-type = file", f"store-location = {folder}/kannel.store")
        conf = kannel_conf(
            rig, window=plan.window, binds=plan.binds, extra=(*store, "store-dump-freq = 10")
        )
        super().__init__(
            folder,
            conf,
            suffix=".conf",
            admin_port=rig.admin_port,
            sendsms_port=rig.sendsms_port,
        )
        self._box_port = rig.box_port
        self._boxes: list[subprocess.Popen[bytes]] = []
        self.ended = 0  # boxes that ended by themselves

    @property
    def running(self) -> bool:
        return bool(self._boxes)

    def spawn(self, env: Mapping[str, str] | None = None) -> None:
        self._boxes = []
        for program, port in ((BEARERBOX, self._box_port), (SMSBOX, self.sendsms_port)):
            self._boxes.append(self._box(program))
            until(lambda port=port: listening(port), 15)  # type: ignore[misc]

    def _box(self, program: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [program, "-v", "3", str(self.configuration)],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=self.state,
                start_new_session=True,
            )

    def healthy(self) -> bool:
        """Boxes that ended by themselves are started again, as run_kannel_box does.

        smsbox panics when it is called before it has reached bearerbox, which load makes likely.
        """
        for place, program in enumerate((BEARERBOX, SMSBOX)):
            if self._boxes[place].poll() is not None:
                self.ended += 1
                self._boxes[place] = self._box(program)
        try:
            http_get(self.admin_port, "/status.txt?password=live", timeout=2.0)
        except OSError:
            return False
        return listening(self.sendsms_port)

    def kill(self) -> None:
        for box in self._boxes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(box.pid, signal.SIGKILL)
            box.wait()

    def stop(self, timeout: float = 30.0) -> int:
        for box in self._boxes:
            box.terminate()
        for box in self._boxes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                box.wait(timeout)
        self.kill()
        return 0


def compare(plan: Plan, rig: Rig) -> list[Verdict]:
    """What comes of `plan` with Kannel; the verdict of such a line is never demanded."""
    boxes = KannelBoxes(rig, plan)
    rig.adopt(boxes)
    found = [
        Verdict(
            f"{verdict.guarantee.split(' ', 1)[0]} as done by Kannel 1.4.5, store-type file: "
            + verdict.guarantee.split(" ", 1)[1],
            verdict.fault,
            verdict.count,
            verdict.figure.split(" (allowed")[0],
            verdict.holds,
            judged=False,
        )
        for verdict in Torture(plan, rig, boxes).run()
        if verdict.guarantee.startswith("G")
    ]
    figure = f"{boxes.ended} times" + (", and was started again" if boxes.ended else "")
    name = "G1 as done by Kannel 1.4.5, store-type file: a box ended by itself"
    return [
        *found,
        Verdict(name, plan.told, len(plan.faults), figure, not boxes.ended, judged=False),
    ]
