"""What is measured: the scenarios, and the record that one run of one leaves."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

STORE_OFF, STORE_FILE, SPOOL = "kannel-mem", "kannel-file", "kannel-spool"
PARTS = 3  # of a long text


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is offered. `rate` 0 is a closed loop: as fast as the gateway answers."""

    name: str
    about: str
    kind: str = "load"  # load, idle or backlog
    mt: bool = True
    mo: bool = False
    reports: bool = False  # with dlr-url; each message has a receipt at once and a call-back
    connections: int = 32
    keep_alive: bool = True
    parts: int = 1
    deliver_window: int = 50  # MO and receipts that the SMSC sends before it waits for an answer
    rate: int = 0
    binds: int = 1
    share: float = 1.0  # of the messages of a run
    beside: tuple[str, ...] = (STORE_OFF, SPOOL)  # the peers that gatewayd is measured beside
    at_most: int = 0  # repetitions; 0: as many as are asked for

    def total(self, messages: int, seconds: int) -> int:
        """How many messages (of all their parts) one run offers each way."""
        if self.rate:
            return self.rate * seconds
        return max(1, int(messages * self.share) // self.parts)


def _closed() -> list[Scenario]:
    every = (STORE_OFF, STORE_FILE, SPOOL)
    return [
        Scenario("mt", "sendsms on 32 connections, to the SMSC", beside=every),
        Scenario("mt-close", "the same, each on a connection of its own", keep_alive=False),
        Scenario("mt-long", f"texts of {PARTS} parts, counted as one message each", parts=PARTS),
        Scenario("mt-256", "sendsms on 256 connections", connections=256),
        Scenario("mt-dlr", "sendsms with a receipt and a report each", reports=True, beside=every),
        Scenario(
            "mo", "deliver_sm in a window of 50, to the platform", mt=False, mo=True, beside=every
        ),
        Scenario(
            "mixed",
            "MT with reports and MO at once",
            mo=True,
            reports=True,
            share=0.5,
            beside=every,
        ),
    ]


def _open() -> list[Scenario]:
    found = []
    for way in ("mt", "mo"):
        what = "sendsms" if way == "mt" else "deliver_sm"
        for rate in (100, 500, 1000, 3000):
            found.append(
                Scenario(
                    f"{way}-r{rate}",
                    f"{rate:,} {what} a second, open loop",
                    mt=way == "mt",
                    mo=way == "mo",
                    rate=rate,
                    beside=(STORE_OFF,),
                    at_most=0 if rate == 1000 else 2,  # that one has a target
                )
            )
    return found


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        *_closed(),
        *_open(),
        Scenario("idle1", "one bind, no message", "idle", beside=(STORE_OFF,), at_most=3),
        Scenario(
            "idle50", "50 binds, no message", "idle", binds=50, beside=(STORE_OFF,), at_most=3
        ),
        Scenario(
            "backlog",
            "an SMSC that answers 10 a second while the queue grows, then as fast as it can",
            "backlog",
            beside=(),
            at_most=1,
        ),
    )
}
QUICK = ("mt", "mt-close", "mt-long", "mt-256", "mt-dlr", "mo", "mixed", "mt-r1000")


@dataclass(slots=True)
class Flow:
    """What one way did. `rate` is per second; delays are milliseconds from request to arrival."""

    rate: float
    p50_ms: float
    p99_ms: float
    count: int
    lost: int
    duplicates: int


@dataclass(slots=True)
class Slice:
    """A tenth of the backlog: `waiting` is the queue at its end; drained ones come after filled."""

    phase: str  # fill or drain
    waiting: int
    count: int
    seconds: float
    cpu_us: float  # per message
    rss_mb: float


@dataclass(slots=True)
class Record:
    """One run. `flows` by way (mt, dlr, mo); `error` says why there are none.

    Runs with the same `repetition` were in turns: they are a pair.
    """

    peer: str
    scenario: str
    flows: dict[str, Flow] = field(default_factory=dict)
    repetition: int = 1
    cpu_us: float = 0.0  # CPU of all processes of the gateway, per message or report moved
    rss_mb: float = 0.0  # the most that was resident; idle: what was
    idle_cpu_pct: float = 0.0  # of one core
    queued_bytes: float = 0.0  # resident memory that each message of the backlog took
    slices: list[Slice] = field(default_factory=list)
    backlog: int = 0  # most that was accepted and not yet handed on
    other_cpu_s: float = 0.0  # what else worked on the machine meanwhile
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Record:
        flows = {way: Flow(**flow) for way, flow in row["flows"].items()}
        return cls(**{**row, "flows": flows, "slices": [Slice(**part) for part in row["slices"]]})

    def faults(self) -> list[str]:
        """What must not happen at any speed."""
        found = [self.error] if self.error else []
        for way, flow in self.flows.items():
            if flow.lost or flow.duplicates:
                found.append(f"{way}: {flow.lost} lost, {flow.duplicates} twice")
        return [f"{self.peer} {self.scenario}: {fault}" for fault in found]
