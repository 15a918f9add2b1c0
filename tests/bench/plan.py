"""Which runs are made, in which order, and about how long they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.scenario import SCENARIOS, Scenario

# For the estimate only: messages a second on a small machine, the seconds of a start and a stop.
PACE = {"gatewayd": 10000, "kannel-mem": 3500, "kannel-file": 3200, "kannel-spool": 2000}
AROUND = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    repetition: int
    scenario: str
    peer: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`peers` empty: gatewayd and those that each scenario names."""

    scenarios: Sequence[str]
    peers: Sequence[str]
    repetitions: int
    messages: int
    seconds: int
    backlog: int

    def peers_of(self, scenario: Scenario) -> Sequence[str]:
        return self.peers or ("gatewayd", *scenario.beside)

    def times(self, scenario: Scenario) -> int:
        return min(self.repetitions, scenario.at_most or self.repetitions)

    def runs(self) -> Iterator[Run]:
        """Repetition by repetition; within one, the peers of a scenario one after the other."""
        for repetition in range(1, self.repetitions + 1):
            for name in self.scenarios:
                scenario = SCENARIOS[name]
                if repetition <= self.times(scenario):
                    for peer in self.peers_of(scenario):
                        yield Run(repetition, name, peer)

    def estimate(self, run: Run) -> float:
        """Seconds, roughly."""
        scenario, pace = SCENARIOS[run.scenario], PACE[run.peer]
        if scenario.kind == "idle":
            return self.seconds + AROUND
        if scenario.kind == "backlog":
            return 2 * self.backlog / pace + AROUND
        if scenario.rate:
            return self.seconds + AROUND
        ways = scenario.mt + scenario.reports + scenario.mo
        return self.messages * scenario.share * ways / pace + AROUND

    def lines(self) -> list[str]:
        """The plan, to be read before the runs begin."""
        found = []
        for name in self.scenarios:
            scenario = SCENARIOS[name]
            runs = [run for run in self.runs() if run.scenario == name]
            if scenario.kind == "idle":
                size = f"{self.seconds} s, {scenario.binds} bound"
            elif scenario.kind == "backlog":
                size = f"{self.backlog:,} messages"
            else:
                size = f"{scenario.total(self.messages, self.seconds):,} messages"
            peers = ", ".join(self.peers_of(scenario))
            cost = sum(self.estimate(run) for run in runs) / 60
            found.append(
                f"  {name:9} {self.times(scenario)} x ({peers}), {size} a run, {cost:.1f} min"
            )
        total = sum(self.estimate(run) for run in self.runs()) / 60
        return [*found, f"  {sum(1 for _ in self.runs())} runs, about {total:.0f} minutes"]
