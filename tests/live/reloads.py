"""SIGHUP under load, again and again: a third of the files broken, a third unchanged, a third new.

Two SMSCs take the load. The first is never touched by a change that concerns its links; of the
second come and go password, window and the whole SMSC. Also changed are the first one's rate, the
users and the channel's URL. Afterwards the ledgers of caller, SMSCs and platform are compared.
"""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

from tests.live.harness import PORTS, Gateway, Rig, Tool, drain, kannel_conf, until
from tests.live.torture import Verdict

BROKEN = "\ngroup = nonsense\nx = y\n"


@dataclass(frozen=True, slots=True)
class Shape:
    """What the file says where it may differ."""

    rate: int = 0  # of the first SMSC; far above the load, so that nothing waits for it
    users: int = 0  # beside the caller's
    url: int = 0  # of the channel
    other: bool = True  # whether the second SMSC is there
    password: str = "p"  # how it is bound
    window: int = 20


SHAPES = (
    Shape(),
    Shape(users=1),
    Shape(users=1, rate=5000),
    Shape(users=1, rate=5000, other=False),
    Shape(users=1, rate=5000, password="q"),  # it comes back
    Shape(users=2, rate=5000, password="r"),  # and is bound anew
    Shape(users=2, rate=5000, password="r", url=1),
    Shape(users=2, rate=9000, password="r", url=1, window=30),
    Shape(users=0, rate=9000, password="r", url=2, window=30),
)


@dataclass(frozen=True, slots=True)
class Load:
    """How much goes through meanwhile; rates are per second."""

    reloads: int
    seconds: float
    mt_rate: int = 200
    mo_rate: int = 50


class Reloads:
    """One run in an empty folder; `run` gives the verdicts."""

    def __init__(self, load: Load, rig: Rig) -> None:
        self.load, self.rig = load, rig
        self._other_port = PORTS.take()
        self.mt_total = round(load.mt_rate * load.seconds)
        self.mo_total = round(load.mo_rate * load.seconds)
        slow = {"dlr-delay-ms": -1, "resp-delay-ms": 15}  # so that a reload finds windows in use
        self.smsc = rig.smsc({**slow, "mo": self.mo_total, "mo-rate": load.mo_rate})
        self.other = rig.smsc({**slow, "port": self._other_port}, tag="other")
        self.platform = rig.platform({"delay-ms": 5})
        self.gateway: Gateway = rig.gateway(self._file(SHAPES[0]))
        self.broken = self.unchanged = self.changed = self.rebinds = 0
        self._made = 1.0  # links to the second SMSC, as the gateway counts them

    def _file(self, shape: Shape) -> str:
        conf = kannel_conf(self.rig)
        conf = conf.replace('text=%a"', f'text=%a&v={shape.url}"')
        if shape.rate:
            conf = conf.replace("smsc-id = live", f"smsc-id = live\nthroughput = {shape.rate}")
        for number in range(shape.users):
            conf += f"\ngroup = sendsms-user\nusername = u{number}\npassword = x{number}\n"
        if shape.other:
            block = re.search(r"group = smsc\n.*?\n\n", conf, re.DOTALL)
            assert block is not None
            again = re.sub(r"throughput = \d+\n", "", block[0])
            for one, two in (
                ("smsc-id = live", "smsc-id = other"),
                (f"port = {self.rig.smsc_port}", f"port = {self._other_port}"),
                ("smsc-password = p", f"smsc-password = {shape.password}"),
                ("max-pending-submits = 50", f"max-pending-submits = {shape.window}"),
            ):
                assert one in again
                again = again.replace(one, two)
            conf += f"\n{again}"
        return conf

    def run(self) -> list[Verdict]:
        self.gateway.start()
        if not until(lambda: self.smsc.binds > 0 and self.other.binds > 0, 20):
            raise RuntimeError(f"not bound within 20 s:\n{self.gateway.tail()}")
        caller = self.rig.caller(
            {"total": self.mt_total, "rate": self.load.mt_rate, "conns": 8, "timeout-s": 20}
        )
        shape, self.changed = SHAPES[0], 0
        for number in range(self.load.reloads):
            share = self.mt_total * (number + 1) // (self.load.reloads + 1)
            until(lambda share=share: caller.done >= share, 60)  # type: ignore[misc]
            if number % 3 == 0:
                self.changed += 1
                shape = SHAPES[self.changed % len(SHAPES)]
            self._reload(self._file(shape), broken=number % 3 == 1)
            self._look_at_the_other(shape)
        until(lambda: not caller.running, self.load.seconds + 60)
        accepted = caller.end()["ok"]
        self._drain(accepted)
        return self._judge(caller, accepted)

    def _reload(self, text: str, *, broken: bool) -> None:
        """SIGHUP, and wait until the gateway has said what came of it."""
        before = self._count()
        if broken:
            self.broken += 1
        elif self.gateway.configuration.read_text() == text:
            self.unchanged += 1
        self.gateway.configuration.write_text(text + BROKEN if broken else text)
        assert self.gateway.process is not None
        self.gateway.process.send_signal(signal.SIGHUP)
        if not until(lambda: self._count() > before, 30):
            raise RuntimeError(f"a reload took more than 30 s:\n{self.gateway.tail()}")

    def _look_at_the_other(self, shape: Shape) -> None:
        """The SMSC that comes and goes is there or not, as the file says; count its new links."""
        if not until(lambda: self.other.binds == int(shape.other), 20):
            raise RuntimeError(f"{self.other.binds} binds under {shape}:\n{self.gateway.tail()}")
        made = self._connects("other")
        self.rebinds += made != self._made
        self._made = made

    def _connects(self, smsc: str) -> float:
        name = f'gatewayd_bind_connects_total{{bind="{smsc}/0",smsc="{smsc}"}}'
        return self.gateway.metrics().get(name, 0.0)

    def _count(self, *results: str) -> float:
        name = "gatewayd_config_reloads_total"
        return sum(
            value
            for series, value in self.gateway.metrics().items()
            if series.startswith(name)
            and (not results or any(f'"{result}"' in series for result in results))
        )

    def _drain(self, accepted: int) -> None:
        drain(lambda: self.smsc.acked + self.other.acked, accepted, stall=12, cap=60)
        drain(lambda: self.smsc.mo_acked, self.mo_total, stall=12, cap=60)
        drain(lambda: self.platform.mo, self.mo_total, stall=12, cap=60)

    def _judge(self, caller: Tool, accepted: int) -> list[Verdict]:
        seen = self.gateway.metrics()
        results = {
            result: self._count(result) for result in ("applied", "unchanged", "refused", "partly")
        }
        losses = seen['gatewayd_bind_losses_total{bind="live/0",smsc="live"}']
        counted = seen['gatewayd_messages_total{direction="mt",result="accepted"}']
        running, links = self.gateway.running, self._connects("live")
        self.gateway.stop()
        mo_twice = self.platform.mo_dup
        for tool in (self.smsc, self.other, self.platform):
            tool.end()
        wanted = _ids(caller.seen("accepted"))
        came = _ids(self.smsc.seen("acked")) | _ids(self.other.seen("acked"))
        lost = len(wanted - came)
        lost_mo = len(_ids(self.smsc.seen("moacked")) - _ids(self.platform.seen("mo")))
        twice = sum(self.smsc.seen("rx")) + sum(self.other.seen("rx")) - len(came)
        refused = self.mt_total - accepted
        fault = f"{self.load.reloads} x SIGHUP: {self.broken} broken, {self.changed} changed"
        right = {"applied": self.changed, "refused": self.broken, "partly": 0}
        right["unchanged"] = self.load.reloads - self.changed - self.broken
        return [
            Verdict(
                "G18 a reload keeps the binds that nothing changes",
                fault,
                self.load.reloads,
                f"{losses:.0f} binds dropped, {links:.0f} link made",
                running and not losses and links == 1,
            ),
            Verdict(
                "G18 no call is refused", fault, self.mt_total, f"{refused} refused", not refused
            ),
            Verdict(
                "G18 nothing is lost",
                fault,
                accepted,
                f"{lost} MT, {lost_mo} MO lost",
                not lost and not lost_mo,
            ),
            Verdict(
                "G18 nothing comes twice",
                fault,
                accepted,
                f"{twice} MT, {mo_twice} MO twice",
                not twice and not mo_twice,
            ),
            Verdict(
                "G18 each file does what it says, and counters go on",
                fault,
                self.load.reloads,
                f"{', '.join(f'{count:.0f} {name}' for name, count in results.items())};"
                f" {self.rebinds} times the other SMSC came, went or was bound anew",
                results == right
                and counted == accepted
                and self.rebinds >= 3 * (self.changed // len(SHAPES)),
            ),
        ]


def _ids(dump: bytes) -> set[int]:
    return {number for number, times in enumerate(dump) if times}
