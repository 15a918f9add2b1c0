"""What a platform format must offer: pure functions from our nouns to HTTP calls and back."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from msgspec import Struct

from gatewayd.config import ChannelConfig
from gatewayd.errors import UsageError
from gatewayd.model import HttpAnswer, Mo, Outcome, Report


class HttpCall(Struct, frozen=True):
    """One HTTP request to make. `headers` keep their order; Host and Content-Length are added."""

    method: str
    url: str  # absolute, already escaped
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout: float = 35.0


class PlatformFormat(Protocol):
    """`uuid` is our message id as the platform shall see it: the same in every attempt."""

    def mo(self, mo: Mo, channel: ChannelConfig, uuid: str) -> HttpCall:
        """The call that tells the platform of an MO."""

    def report(self, report: Report, channel: ChannelConfig | None, uuid: str) -> HttpCall:
        """The call that tells the platform how a message fared."""

    def mo_verdict(self, answer: HttpAnswer) -> Outcome:
        """DONE, RETRY (keep and try again) or DEAD (no use in trying again)."""

    def report_verdict(self, answer: HttpAnswer) -> Outcome: ...


def load(name: str) -> PlatformFormat:
    """The format in `gatewayd/platforms/<name>.py`: the file's name is the config keyword."""
    path = f"gatewayd.platforms.{name}"
    try:
        found = import_module(path).FORMAT if name.isidentifier() else None
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        found = None
    except AttributeError:
        found = None
    if found is None:
        raise UsageError(f"no such platform format: {name}")
    format_: PlatformFormat = found
    return format_
