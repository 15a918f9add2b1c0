"""Which lane an MT takes: allowed, denied and preferred SMSC tags and prefixes. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Final, Protocol

from gatewayd.config import SmscConfig


class LaneState(Enum):
    """What a lane's binds can do just now."""

    BOUND = "bound"  # at least one bind transmits
    WAITING = "waiting"  # connecting, or between two attempts
    DEAD = "dead"  # stopped, or refused for good: takes no messages


_DEAD: Final = LaneState.DEAD  # as in `mt`


class Routed(Protocol):
    """What a lane says for the choice."""

    @property
    def state(self) -> LaneState: ...

    @property
    def load(self) -> int:
        """How much waits in it."""


class Route:
    """One SMSC's rules; `matches` and `prefers` as Kannel decides them."""

    __slots__ = ("_any", "_config", "_regexes", "name", "prefers_any")

    def __init__(self, config: SmscConfig) -> None:
        self._config = config
        self.name = config.name
        self._regexes = {
            field: re.compile(pattern)
            for field in (
                "allowed_ids_regex",
                "denied_ids_regex",
                "preferred_ids_regex",
                "allowed_prefix_regex",
                "denied_prefix_regex",
                "preferred_prefix_regex",
            )
            if (pattern := getattr(config, field))
        }
        self._any = (
            config.allowed_ids is None
            and not config.denied_ids
            and not config.allowed_prefixes
            and not config.denied_prefixes
            and not self._regexes
        )
        self.prefers_any = bool(
            config.preferred_ids
            or config.preferred_prefixes
            or "preferred_ids_regex" in self._regexes
            or "preferred_prefix_regex" in self._regexes
        )

    def matches(self, smsc: str | None, destination: str) -> bool:
        """Whether the SMSC takes a message with this tag (None: none given) for this number.

        With an allowed list a message without a tag is refused; a denied list counts only where
        there is no allowed one.
        """
        if self._any:
            return True
        config, regexes = self._config, self._regexes
        if config.allowed_ids is not None or "allowed_ids_regex" in regexes:
            listed = smsc is not None and smsc in (config.allowed_ids or ())
            if not listed and not self._found("allowed_ids_regex", smsc):
                return False
        elif smsc is not None and (
            smsc in config.denied_ids or self._found("denied_ids_regex", smsc)
        ):
            return False
        allowed = config.allowed_prefixes or "allowed_prefix_regex" in regexes
        denied = config.denied_prefixes or "denied_prefix_regex" in regexes
        fits = destination.startswith(config.allowed_prefixes) or self._found(
            "allowed_prefix_regex", destination
        )
        barred = destination.startswith(config.denied_prefixes) or self._found(
            "denied_prefix_regex", destination
        )
        if allowed and denied:
            return fits or not barred
        return fits if allowed else not barred

    def prefers(self, smsc: str | None, destination: str) -> bool:
        config = self._config
        return bool(
            (smsc is not None and smsc in config.preferred_ids)
            or self._found("preferred_ids_regex", smsc)
            or (config.preferred_prefixes and destination.startswith(config.preferred_prefixes))
            or self._found("preferred_prefix_regex", destination)
        )

    def _found(self, field: str, text: str | None) -> bool:
        regex = self._regexes.get(field)
        return regex is not None and text is not None and regex.search(text) is not None


class Router:
    """Chooses among the routes: preferred and bound, then bound, then preferred, then any alive.

    Among equals the one with the least waiting wins, scanned from a random start.
    """

    def __init__(
        self,
        smscs: Sequence[SmscConfig],
        lanes: Mapping[str, Routed],
        chance: Callable[[], float],
    ) -> None:
        self._lanes = lanes
        self._chance = chance
        self.configure(smscs)

    def configure(self, smscs: Sequence[SmscConfig]) -> None:
        """Route by these from now on."""
        self._routes = [Route(config) for config in smscs]
        self._simple = (
            len(self._routes) == 1 and self._routes[0]._any and not self._routes[0].prefers_any
        )

    def any_bound(self) -> bool:
        """Whether any lane transmits just now."""
        return any(self._lanes[route.name].state is LaneState.BOUND for route in self._routes)

    def lane_for(self, smsc: str | None, destination: str) -> tuple[str, LaneState] | None:
        """The lane's name and its state; None when nobody takes the message."""
        if self._simple:
            name = self._routes[0].name
            state = self._lanes[name].state
            return None if state is _DEAD else (name, state)
        best: tuple[tuple[bool, bool, int], str, LaneState] | None = None
        routes = self._routes
        start = int(self._chance() * len(routes)) if routes else 0
        for route in routes[start:] + routes[:start]:
            lane = self._lanes[route.name]
            state = lane.state
            if state is _DEAD or not route.matches(smsc, destination):
                continue
            rank = (
                state is LaneState.BOUND,
                route.prefers_any and route.prefers(smsc, destination),
                -lane.load,
            )
            if best is None or rank > best[0]:
                best = rank, route.name, state
        return None if best is None else (best[1], best[2])


def unified_prefix(rules: str) -> Callable[[str], str]:
    """Kannel's unified-prefix: "+55,0055,0;+,00" turns each later spelling into the first.

    Rules are tried in order; the first whose spelling begins the number is used. A number that
    already begins with a rule's first spelling is left alone.
    """
    table = [
        tuple(part.strip() for part in rule.split(",")) for rule in rules.split(";") if rule.strip()
    ]

    def normalise(number: str) -> str:
        for wanted, *spellings in table:
            if number.startswith(wanted):
                return number
            for spelling in spellings:
                if spelling and number.startswith(spelling):
                    return wanted + number[len(spelling) :]
        return number

    return normalise if table else lambda number: number
