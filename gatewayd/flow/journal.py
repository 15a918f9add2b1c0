"""What the flows want kept, gathered and committed in batches: one commit serves a whole turn.

The strategy: works gather while a commit runs; when it ends, all of them go into the next one. So
the slower the disk, the larger the batches, and a busy gateway pays for a sync once per hundreds of
messages. A work that nobody waits for (`then` is None) may gather a little longer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from gatewayd.store.contract import Work

Then = Callable[[bool], None]

# Seconds that a work somebody waits for may gather others, while each turn still brings some. A
# commit takes the interpreter from the reactor several times, so a few large ones cost much less
# than many small ones; and who is alone waits for nobody.
_GATHERING = 0.002


class Log(Protocol):
    """What most flows need of a journal."""

    def add(self, work: Work, then: Then | None = None) -> None: ...

    def insist(self, work: Work, then: Callable[[], None]) -> None: ...


class Commits(Protocol):
    """The part of the store a journal needs."""

    def commit(self, works: list[Work]) -> Deferred[None]: ...


class Journal:
    """Gathers works and tells each `then` whether its work is on disk.

    A work whose commit failed and that has a `then` is dropped: its owner was told and decides. One
    without is tried again, after `pause` seconds, before anything newer.
    """

    log: ClassVar[Logger] = Logger(namespace=__name__)

    def __init__(
        self, store: Commits, clock: IReactorTime, *, lazy: float = 0.002, pause: float = 1.0
    ) -> None:
        self._store = store
        self._clock = clock
        self._lazy = lazy
        self._pause = pause
        self._works: list[Work] = []
        self._thens: list[tuple[Work, Then | None]] = []
        self._busy = False
        self._timer: IDelayedCall | None = None
        self._soon = False
        self._gathered = 0  # works, when the turn began
        self._until = 0.0
        self._after: list[Callable[[], None]] = []
        self._idle: list[Deferred[None]] = []
        self.failing = False
        self.batch = 1  # the number of the batch that gathers
        self.on_disk = 0  # everything of batches up to this one is
        self.commits = 0
        self.commit_seconds = 0.0

    def add(self, work: Work, then: Then | None = None) -> None:
        """Keep `work`; `then(True)` once it would survive a power cut, `then(False)` if not."""
        self._thens.append((work, then))
        if self._busy:
            return
        if then is None:
            if self._timer is None:
                self._timer = self._clock.callLater(self._lazy, self._flush)
        elif not self._soon:
            self._flush_soon()

    def insist(self, work: Work, then: Callable[[], None]) -> None:
        """Keep `work`, however often the store fails: nobody else would try again. Then call."""
        # No function that names itself: that is a cycle, which only the collector frees.
        self.add(work, partial(self._insisted, work, then))

    def _insisted(self, work: Work, then: Callable[[], None], ok: bool) -> None:
        if ok:
            then()
        else:
            self.insist(work, then)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call once after all `then`s of the commit that is being reported now, or of the next."""
        self._after.append(call)

    def urge(self) -> None:
        """Somebody waits for what has gathered, though its works have no `then`."""
        if self._thens and not self._busy and not self._soon:
            self._flush_soon()

    def _flush_soon(self) -> None:
        self._soon = True
        if self._timer is not None:
            self._timer.cancel()
        self._gathered = len(self._thens)
        self._until = self._clock.seconds() + _GATHERING
        self._timer = self._clock.callLater(0, self._gather)

    def _gather(self) -> None:
        """Commit, unless the last turn brought more: then perhaps the next one does."""
        if self._gathered < len(self._thens) and self._clock.seconds() < self._until:
            self._gathered = len(self._thens)
            self._timer = self._clock.callLater(0, self._gather)
        else:
            self._flush()

    def settled(self) -> Deferred[None]:
        """Fires when nothing waits to be committed."""
        done: Deferred[None] = Deferred()
        if not self._busy and not self._thens:
            done.callback(None)
        else:
            self._idle.append(done)
            if not self._busy and not self._soon:
                self._flush_soon()
        return done

    def _flush(self) -> None:
        self._timer = None
        self._soon = False
        if self._busy or not self._thens:
            return
        batch, self._thens = self._thens, []
        self._busy = True
        self.batch += 1
        started = self._clock.seconds()
        self._store.commit([work for work, _ in batch]).addCallbacks(
            self._done, self._failed, callbackArgs=(batch, started), errbackArgs=(batch,)
        ).addErrback(self._broken)

    def _done(self, _: object, batch: list[tuple[Work, Then | None]], started: float) -> None:
        self.commits += 1
        self.on_disk = self.batch - 1  # one commit at a time, and what failed is in the next
        self.commit_seconds = self._clock.seconds() - started
        if self.failing:
            self.failing = False
            self.log.info("The store takes messages again")
        self._report(batch, ok=True)

    def _failed(self, failure: Failure, batch: list[tuple[Work, Then | None]]) -> None:
        if not self.failing:
            self.failing = True
            self.log.error("The store failed: {reason}", reason=failure.getErrorMessage())
        self._thens[:0] = [entry for entry in batch if entry[1] is None]
        self._report([entry for entry in batch if entry[1] is not None], ok=False)

    def _report(self, batch: list[tuple[Work, Then | None]], *, ok: bool) -> None:
        self._busy = False
        for _, then in batch:
            if then is not None:
                try:
                    then(ok)
                except Exception:  # noqa: BLE001 - one owner's mistake must not cost the others' answers
                    self.log.failure("After a commit")
        after, self._after = self._after, []
        for call in after:
            try:
                call()
            except Exception:  # noqa: BLE001 - as above
                self.log.failure("After a commit")
        if not self._thens:
            idle, self._idle = self._idle, []
            for done in idle:
                done.callback(None)
        elif not ok:  # also what was added a moment ago: a store in trouble is not run against
            if self._timer is not None:
                self._timer.cancel()
            self._soon = True
            self._timer = self._clock.callLater(self._pause, self._flush)
        elif self._timer is None or not self._soon:
            if self._idle or any(then is not None for _, then in self._thens):
                self._flush_soon()
                self._gathered = 0  # those who are answered now may bring more in the next turn
                return
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._clock.callLater(self._lazy, self._flush)

    def _broken(self, failure: Failure) -> None:
        self._busy = False
        self.log.failure("The journal broke", failure)


class Unsaved:
    """What was done elsewhere (a submit answered, a call made) and is not on disk as done.

    A kill undoes the record of it, and it is done again. So it keeps its place in the window, or
    among the calls under way, until it is on disk: that bounds what comes twice.
    """

    __slots__ = ("_count", "_journal", "_notes", "_waiting")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._notes: deque[list[int]] = deque()  # batch, how many
        self._count = 0
        self._waiting = False

    def note(self) -> None:
        """One more; its work is given to the journal in this turn."""
        batch = self._journal.batch
        if self._notes and self._notes[-1][0] == batch:
            self._notes[-1][1] += 1
        else:
            self._notes.append([batch, 1])
        self._count += 1

    @property
    def count(self) -> int:
        """How many there are."""
        if self._count:
            on_disk, notes = self._journal.on_disk, self._notes
            while notes and notes[0][0] <= on_disk:
                self._count -= notes.popleft()[1]
        return self._count

    def wait(self, call: Callable[[], None], urgent: bool = True) -> None:
        """Call after the next commit, which comes at once if it is `urgent`.

        Who asks twice is called once.
        """
        if not self._waiting:
            self._waiting = True

            def committed() -> None:
                self._waiting = False
                call()

            self._journal.after_commit(committed)
        if urgent:
            self._journal.urge()
