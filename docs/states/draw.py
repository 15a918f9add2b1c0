"""Draws the life of a link from the table that the program itself obeys.

`python docs/states/draw.py` writes `link.md` beside this file; a test fails while they differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gatewayd.smsc.link import TRANSITIONS, LinkState, Step

FILE = Path(__file__).with_name("link.md")

# What each state and step is, in the words of the glossary. A new one without a word is an error.
STATES = {
    LinkState.OPEN: "connected, nothing said yet",
    LinkState.BINDING: "our bind waits for its answer",
    LinkState.BOUND: "messages go both ways; the only state with credit",
    LinkState.DRAINING: "no new submits; answers under way are waited for",
    LinkState.UNBINDING: "our unbind waits for its answer",
    LinkState.CLOSED: "the end; a reconnect begins with a new link",
}
STEPS = {
    Step.BIND: "we ask to bind",
    Step.BOUND: "the SMSC accepts the bind",
    Step.REFUSED: "the SMSC refuses it",
    Step.STOP: "the gateway stops, or `stop-smsc` was said",
    Step.UNBIND: "we send unbind: all answers are there, or `unbind-timeout` is over",
    Step.LOST: "the TCP connection is gone or must go: the SMSC unbound, is silent or broke SMPP",
}

TEXT = """\
# The life of a link

Drawn by `docs/states/draw.py` from `TRANSITIONS` in `gatewayd/smsc/link.py`. Do not edit.
A step that is not in the picture cannot happen in that state: the program would stop it as its
own mistake (`UsageError`).

```mermaid
stateDiagram-v2
{arrows}
```

| state | meaning | step: next state |
| --- | --- | --- |
{states}

| step | meaning |
| --- | --- |
{steps}

What was in the window when a link ended comes back as uncertain; see
[guarantees](../guarantees.md) and `on-uncertain`. The pause before the next link is the bind's
affair: `reconnect` in the configuration, `refused-pause` after wrong credentials.
"""


def _arrows() -> Iterator[str]:
    yield f"    [*] --> {LinkState.OPEN.value}"
    for state, steps in TRANSITIONS.items():
        for step, target in steps.items():
            yield f"    {state.value} --> {target.value}: {step.value}"
    yield f"    {LinkState.CLOSED.value} --> [*]"


def _state(state: LinkState) -> str:
    steps = ", ".join(f"{step.value}: {to.value}" for step, to in TRANSITIONS[state].items())
    return f"| {state.value} | {STATES[state]} | {steps} |"


def draw() -> str:
    """The page, as it should be."""
    return TEXT.format(
        arrows="\n".join(_arrows()),
        states="\n".join(map(_state, LinkState)),
        steps="\n".join(f"| {step.value} | {STEPS[step]} |" for step in Step),
    )


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
