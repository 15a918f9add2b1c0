"""MO on their way to the platforms: one outbox per channel, and the replies that come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from gatewayd.access import AccessLog
from gatewayd.config import ChannelConfig, Config
from gatewayd.flow.journal import Journal, Unsaved
from gatewayd.flow.keys import Keys, stamp_of
from gatewayd.flow.lane import Lane
from gatewayd.flow.limiter import Backoff, exhausted, pause_after
from gatewayd.flow.mo import decode, encode
from gatewayd.flow.mt import MtFlow
from gatewayd.flow.outbox import Budget, Done, Outbox
from gatewayd.model import HttpAnswer, Mo, Outcome
from gatewayd.platforms.contract import HttpCall, PlatformFormat, load
from gatewayd.platforms.replies import command_of, local_reply, reply_to, request_failed
from gatewayd.platforms.signature import signed
from gatewayd.store.contract import Change, Item, Queue, State, Work

LOCAL = HttpAnswer(200)  # a channel that answers by itself: text, file


class MoBoxes:
    """All outboxes of MO, and what becomes of the platform's answers."""

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self,
        config: Config,
        keys: Keys,
        journal: Journal,
        mt: MtFlow,
        clock: IReactorTime,
        wall: Callable[[], float],
        chance: Callable[[], float],
        budget: Budget,
        send: Callable[[HttpCall, Done], None],
        claim: Callable[[str, int, tuple[int, int]], None],
    ) -> None:
        self._keys = keys
        self._journal = journal
        self._mt = mt
        self._clock = clock
        self._wall = wall
        self._chance = chance
        self._send = send
        self._tries: dict[int, int] = {}
        self._channels: dict[str, ChannelConfig] = {}
        self._known: dict[str, ChannelConfig] = {}  # those that are gone as well
        self._formats: dict[str, PlatformFormat] = {}
        self._claim = claim
        self._budget = budget
        self.boxes: dict[str, Outbox[Mo]] = {}
        self.configure(config)
        self.access: AccessLog | None = None
        # runs a channel's command; None: never
        self.execute: Callable[[str, float, Done], None] | None = None
        self.sent = self.failed = self.attempts = self.replies = 0
        self.set_aside = 0  # MO that no channel takes, since the start

    def configure(self, config: Config) -> None:
        """Go by `config` from now on. What waits for a channel that is gone stays, uncalled."""
        self._http = config.http
        self._cap = config.store.memory_items
        before, self._channels = self._channels, {one.name: one for one in config.channels}
        self._known |= self._channels
        for name, box in self.boxes.items():
            box.lane.cap = self._cap
            channel = self._channels.get(name)
            if channel is None:
                box.stop()
                continue
            if channel != before.get(name):
                box.configure(spacing=0.0, **self._rules(channel))
            box.go_on()

    def waiting_for_nobody(self) -> dict[str, int]:
        """How many MO wait for each channel that is not configured any more."""
        return {
            name: len(box)
            for name, box in self.boxes.items()
            if name not in self._channels and len(box)
        }

    def _rules(self, channel: ChannelConfig) -> Any:
        limited = channel.retry.times >= 0
        return {
            "parallel": channel.parallel,
            "chain": attrgetter("source") if channel.ordered else None,
            "probing": None if limited else Backoff(channel.retry, self._chance),
        }

    def __len__(self) -> int:
        return sum(map(len, self.boxes.values()))

    def box(self, name: str) -> Outbox[Mo] | None:
        """The outbox of a channel; None when there was no such channel since the start."""
        box = self.boxes.get(name)
        channel = self._known.get(name)
        if box is None and channel is not None:
            box = self.boxes[name] = Outbox(
                Lane(name, decode, self._claim, self._cap),
                call=self._call,
                settle=self._settle,
                clock=self._clock,
                budget=self._budget,
                unsaved=Unsaved(self._journal),
                **self._rules(channel),
            )
            if name not in self._channels:
                box.stop()
        return box

    def recovered(
        self, name: str, heads: Sequence[Item], waiting: int, now: float, wall: float
    ) -> bool:
        """Start with what the store had for a channel; False when there is no such channel."""
        box = self.box(name)
        if box is None:
            return False
        self._tries.update((item.key, item.tries) for item in heads if item.tries)
        box.lane.recovered(heads, waiting, now, wall)
        return True

    def push(self, mo: Mo) -> None:
        """Take an MO that is on disk towards its channel."""
        box = self.box(mo.channel)
        if box is None:
            work = self._dead_letter(mo, 0, f"channel {mo.channel} is not configured")
            work.ends.append(mo.id)
            self._journal.add(work)
            return
        box.push(mo)
        box.pump()

    def unserved(self, mo: Mo) -> tuple[Work, Callable[[], None]]:
        """No channel takes it: the phone is told so if that is configured, else it is set aside."""
        if not mo.source or not self._http.reply_request_failed:
            self.set_aside += 1
            return self._dead_letter(mo, 0, "no channel takes it"), _nothing
        composed = self._mt.compose(request_failed(mo, self._http))
        return composed.work, partial(self._mt.hand, composed)

    def revived(
        self, item: Item, choose: Callable[[Mo], ChannelConfig | None]
    ) -> tuple[Work, Callable[[], None]] | None:
        """Bring a dead letter back to life: what to keep, and what to do once it is kept.

        It gets a new id, for lanes are read in the order of ids; the platform sees the old one.
        `choose` finds a channel where its own is gone. None when there is none.
        """
        mo = decode(item.body)
        if mo.channel not in self._channels:
            channel = choose(mo)
            if channel is None:
                return None
            mo.channel = channel.name
        mo.known_as, mo.id, mo.failure = mo.known_as or mo.id, self._keys.take(), ""
        kept = Item(Queue.MO, mo.id, mo.channel, encode(mo))
        return Work(puts=[kept], ends=[item.key]), partial(self.push, mo)

    def _dead_letter(self, mo: Mo, tries: int, reason: str) -> Work:
        mo.failure = reason
        item = Item(Queue.DEAD, self._keys.take(), f"mo/{mo.channel}", encode(mo), tries=tries)
        return Work(puts=[item])

    def _call(self, mo: Mo, done: Done) -> None:
        self.attempts += 1
        channel = self._known[mo.channel]
        if channel.exec and self.execute is not None:
            command = command_of(mo, channel, self._uuid(mo))
            self.execute(command, channel.timeout, partial(_executed, done))
            return
        if not (channel.get_url or channel.post_url or channel.post_xml):
            done(LOCAL)
            return
        call = self._format(channel).mo(mo, channel, self._uuid(mo))
        self._send(signed(call, channel, self._wall()), done)

    def _settle(self, mo: Mo, answer: HttpAnswer) -> float | None:
        channel = self._known[mo.channel]
        local = answer is LOCAL
        outcome = Outcome.DONE if local else self._format(channel).mo_verdict(answer)
        if outcome is Outcome.DONE:
            self.sent += 1
            self._end(mo, channel, Work(ends=[mo.id]), None if local else answer)
            return None
        tries = self._tries[mo.id] = self._tries.get(mo.id, 0) + 1
        retry = channel.retry
        # The SMSC's clock does not count, and a second life has its own horizon.
        age = self._wall() - stamp_of(mo.id)
        if outcome is Outcome.DEAD or exhausted(retry, tries, age):
            self.failed += 1
            self.log.warn(
                "MO {message_id} not taken by {channel}: {status} {reason}",
                message_id=self._uuid(mo),
                channel=channel.name,
                status=answer.status,
                reason=answer.error,
            )
            work = self._dead_letter(mo, tries, answer.failure) if retry.dead_letters else Work()
            work.ends.append(mo.id)
            self._end(mo, channel, work, answer)
            return None
        pause = pause_after(retry, tries, self._chance)
        self._journal.add(Work(changes=[Change(mo.id, State.WAITING, self._wall() + pause, tries)]))
        return pause

    def _end(self, mo: Mo, channel: ChannelConfig, work: Work, answer: HttpAnswer | None) -> None:
        """Finish the MO; the reply to the phone, if any, is kept in the same work."""
        self._tries.pop(mo.id, None)
        if answer is None:
            order = local_reply(mo, channel, self._http, self._uuid(mo))
        else:
            order = reply_to(mo, channel, answer, self._http, self._wall())
        if self.access is not None:
            self._note(mo, channel, answer, "" if order is None else order.text)
        if order is None:
            self._journal.add(work)
            return
        self.replies += 1
        order.options = channel.text
        composed = self._mt.compose(order)
        work.add(composed.work)
        self._journal.insist(work, partial(self._mt.hand, composed))

    def _note(self, mo: Mo, channel: ChannelConfig, answer: HttpAnswer | None, text: str) -> None:
        assert self.access is not None
        if channel.get_url or channel.post_url or channel.post_xml:
            if answer is not None:
                call = self._format(channel).mo(mo, channel, self._uuid(mo))
                self.access.called(mo, call.url, text, answer)
        else:
            self.access.answered(mo, "fixed" if channel.text_reply else "file", text)

    def _uuid(self, mo: Mo) -> str:
        return self._keys.uuid(mo.known_as or mo.id)

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


def _executed(done: Done, answer: HttpAnswer) -> None:
    """A command that failed is answered as a call that failed, and not tried again."""
    done(answer if answer.status else LOCAL)


def _nothing() -> None:
    """Nothing to do once it is kept."""
