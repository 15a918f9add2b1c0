"""What came of reading the configuration again, and how often. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

APPLIED: Final = "applied"  # everything that differed is as the file says
UNCHANGED: Final = "unchanged"  # the file says what it said before
REFUSED: Final = "refused"  # nothing was changed
PARTLY: Final = "partly"  # something failed on the way; the text says what stands
RESULTS: Final = (APPLIED, UNCHANGED, REFUSED, PARTLY)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One reading; `text` is a line for people."""

    result: str
    text: str

    @property
    def error(self) -> str | None:
        """What went wrong; None: nothing did."""
        return self.text if self.result in (REFUSED, PARTLY) else None


class Reloads:
    """All readings since the start, which counts as the first. `when` is wall time."""

    def __init__(self, when: float) -> None:
        self.counts: Counter[str] = Counter()
        self.last = Outcome(APPLIED, "as at the start")
        self.when = when

    def note(self, outcome: Outcome, when: float) -> None:
        self.counts[outcome.result] += 1
        self.last, self.when = outcome, when
