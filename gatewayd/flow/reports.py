"""Reports on their way to the platforms: one outbox per channel or host, in order per message."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gatewayd.config import ChannelConfig, Config, ReportPolicy
from gatewayd.flow.dlr import decode_report, encode_report
from gatewayd.flow.journal import Journal, Unsaved
from gatewayd.flow.keys import Keys, stamp_of
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff, exhausted, pause_after
from gatewayd.flow.outbox import Budget, Done, Outbox
from gatewayd.model import HttpAnswer, Outcome, Report
from gatewayd.platforms.contract import HttpCall, PlatformFormat, load
from gatewayd.platforms.signature import signed
from gatewayd.store.contract import Change, Item, Queue, State, Work

_DONE: Final = Outcome.DONE  # as in `mt`

FINALS = 1 | 2 | 16 | 32
TOLD = 10_000  # messages whose final report was told, remembered for what comes too late
ORIGINS = 1000  # hosts with an outbox of their own; beyond, they share one


class ReportBoxes:
    """All outboxes of reports; made as the dlr-urls of messages need them."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        config: Config,
        keys: Keys,
        journal: Journal,
        clock: IReactorTime,
        wall: Callable[[], float],
        chance: Callable[[], float],
        budget: Budget,
        send: Callable[[HttpCall, Done], None],
        claim: Callable[[str, int, tuple[int, int]], None],
        defaults: ChannelConfig,
    ) -> None:
        self._keys = keys
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._budget = budget
        self._send = send
        self._claim = claim
        self._formats: dict[str, PlatformFormat] = {}
        self._tries: dict[int, int] = {}
        self._finals: dict[int, int] = {}  # messages with a final report on its way: how many
        self._told: OrderedDict[int, None] = OrderedDict()
        self._channels: dict[str, ChannelConfig] = {}
        self._defaults = defaults
        self.boxes: dict[str, Outbox[Report]] = {}
        self.configure(config, defaults)
        self.sent = self.failed = self.dropped = self.attempts = 0

    def configure(self, config: Config, defaults: ChannelConfig) -> None:
        """Go by `config` from now on, and without a channel by `defaults`.

        What waits in the lane of a channel that is gone is called all the same: reports name their
        URL themselves.
        """
        before, before_defaults = self._channels, self._defaults
        self._defaults = defaults
        self._cap = config.store.memory_items
        self._channels = {channel.name: channel for channel in config.channels}
        self._by_origin: dict[str, ChannelConfig] = {}
        for channel in config.channels:
            if channel.reports != ReportPolicy() or channel.format != "kannel":
                url = channel.post_url or channel.get_url
                self._by_origin.setdefault(origin_of(url), channel)
        for name, box in self.boxes.items():
            box.lane.cap = self._cap
            channel = self._channels.get(name, defaults)
            if channel != before.get(name, before_defaults):
                box.configure(**self._rules(channel))
            box.pump()

    def _rules(self, channel: ChannelConfig) -> Any:
        limited = channel.retry.times >= 0
        return {
            "parallel": channel.parallel,
            "chain": attrgetter("message"),
            "spacing": channel.reports.spacing,
            "probing": None if limited else Backoff(channel.retry, self._chance),
        }

    def __len__(self) -> int:
        return sum(map(len, self.boxes.values()))

    def channel_of(self, report: Report) -> ChannelConfig:
        """The channel whose policy rules the report; a neutral one when none does."""
        return (
            self._channels.get(report.channel)
            or self._by_origin.get(origin_of(report.url))
            or self._defaults
        )

    def lane_of(self, report: Report) -> str:
        channel = self.channel_of(report)
        return channel.name if channel is not self._defaults else origin_of(report.url)

    def push(self, report: Report) -> None:
        """Take a report that is on disk."""
        channel = self.channel_of(report)
        policy = channel.reports
        if report.status in policy.withhold:
            self.dropped += 1
            self._journal.add(Work(ends=[report.id]))
            return
        if policy.drop_late and report.status & FINALS:
            self._finals[report.message] = self._finals.get(report.message, 0) + 1
        box = self.box(self.lane_of(report), channel)
        box.push(report)
        box.pump()

    def box(self, name: str, channel: ChannelConfig | None = None) -> Outbox[Report]:
        """The outbox of a lane, made when it is first needed."""
        box = self.boxes.get(name)
        if box is None:
            channel = channel or self._channels.get(name, self._defaults)
            if len(self.boxes) >= ORIGINS:
                name = "other"
                if name in self.boxes:
                    return self.boxes[name]
            box = self.boxes[name] = Outbox(
                Lane(name, decode_report, self._claim, self._cap),
                call=self._call,
                settle=self._settle,
                clock=self._clock,
                budget=self._budget,
                unsaved=Unsaved(self._journal),
                **self._rules(channel),
            )
        return box

    def recovered(
        self, name: str, heads: Sequence[Item], waiting: int, now: float, wall: float
    ) -> None:
        """Start with what the store had for lane `name`."""
        for item in heads:
            report = decode_report(item.body)
            self._tries[report.id] = item.tries
            if self.channel_of(report).reports.drop_late and report.status & FINALS:
                self._finals[report.message] = self._finals.get(report.message, 0) + 1
        self.box(name).lane.recovered(heads, waiting, now, wall)

    def revived(self, item: Item) -> tuple[Work, Callable[[], None]]:
        """Bring a dead letter back to life: what to keep, and what to do once it is kept."""
        report = decode_report(item.body)
        report.known_as, report.id = report.known_as or report.id, self._keys.take()
        report.failure = ""
        kept = Item(Queue.DLR, report.id, self.lane_of(report), encode_report(report))
        return Work(puts=[kept], ends=[item.key]), partial(self.push, report)

    def _call(self, report: Report, done: Done) -> None:
        channel = self.channel_of(report)
        late = channel.reports.drop_late and not report.status & FINALS
        if late and (report.message in self._finals or report.message in self._told):
            done(HttpAnswer(200, error="late"))
            return
        self.attempts += 1
        uuid = self._keys.uuid(report.known_as or report.id)
        call = self._format(channel).report(report, channel, uuid)
        self._send(signed(call, channel, self._wall()), done)

    def _settle(self, report: Report, answer: HttpAnswer) -> float | None:
        channel = self.channel_of(report)
        outcome: Outcome = _DONE
        if answer.error == "late":
            self.dropped += 1
        else:
            outcome = self._format(channel).report_verdict(answer)
        if outcome is _DONE:
            self.sent += answer.error != "late"
            self._end(report, channel, Work(ends=[report.id]))
            return None
        tries = self._tries[report.id] = self._tries.get(report.id, 0) + 1
        retry = channel.retry
        since = stamp_of(report.id) if report.known_as else report.time
        given_up = exhausted(retry, tries, self._wall() - since)
        if outcome is Outcome.DEAD or given_up:
            self.failed += 1
            self._tries.pop(report.id, None)
            self.log.warn(
                "Report on message {message_id} not taken: {status} {reason}",
                message_id=self._keys.uuid(report.message),
                status=answer.status,
                reason=answer.error,
            )
            work = Work(ends=[report.id])
            if retry.dead_letters:
                report.failure = answer.failure
                work.puts.append(
                    Item(
                        Queue.DEAD,
                        self._keys.take(),
                        f"dlr/{self.lane_of(report)}",
                        encode_report(report),
                        tries=tries,
                    )
                )
            self._end(report, channel, work)
            return None
        pause = pause_after(retry, tries, self._chance)
        self._journal.add(
            Work(changes=[Change(report.id, State.WAITING, self._wall() + pause, tries)])
        )
        return pause

    def _end(self, report: Report, channel: ChannelConfig, work: Work) -> None:
        self._tries.pop(report.id, None)
        if channel.reports.drop_late and report.status & FINALS:
            left = self._finals.get(report.message, 1) - 1
            if left > 0:
                self._finals[report.message] = left
            else:
                self._finals.pop(report.message, None)
                self._told[report.message] = None
                if len(self._told) > TOLD:
                    self._told.popitem(last=False)
        self._journal.add(work)

    def _format(self, channel: ChannelConfig) -> PlatformFormat:
        found = self._formats.get(channel.format)
        if found is None:
            found = self._formats[channel.format] = load(channel.format)
        return found

    def pump(self) -> None:
        """Begin with what was recovered."""
        for box in self.boxes.values():
            box.pump()

    def stop(self) -> None:
        for box in self.boxes.values():
            box.stop()


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL: what shares connections, and trouble."""
    end = url.find("/", 8)
    head = url if end < 0 else url[:end]
    if "@" in head or "?" in head:
        parts = urlsplit(url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port or ''}"
    return head
