"""A thread that does a store's jobs in their order, and commits that meet in its queue as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gatewayd.store.rows import Batch

GROUP_ROWS = 1000  # a group takes no further commit beyond this: bounds what each of them waits


class Commit:
    """Make `batch` durable, perhaps together with those of the next commits."""

    __slots__ = ("answer", "batch")

    def __init__(self, batch: Batch, answer: Deferred[None]) -> None:
        self.batch = batch
        self.answer = answer


class Call:
    """Anything else; `last` ends the thread."""

    __slots__ = ("answer", "last", "run")

    def __init__(
        self, run: Callable[[], object], answer: Deferred[Any], last: bool = False
    ) -> None:
        self.run = run
        self.answer = answer
        self.last = last


Answer = tuple[Deferred[Any], object]  # a Failure as the object fails it


class Engine(Protocol):
    """What does the jobs; nothing here may raise."""

    def commit(self, group: Sequence[Commit]) -> Sequence[Answer]: ...

    def call(self, call: Call) -> Answer: ...

    def rest(self, quiet: bool) -> float | None:
        """Called after the answers went out, and, when the seconds that come back have passed
        without a job, again with `quiet`; None: a job has to come first."""


class Worker(Protocol):
    """Takes jobs; the Deferreds fire on the reactor's thread."""

    def start(self) -> None: ...

    def put(self, job: Commit | Call) -> None: ...


class ThreadWorker:
    """Does the jobs in a thread of its own.

    The thread is a daemon thread: whatever was answered is on disk, so an exit need not wait.
    """

    def __init__(self, engine: Engine, call_from_thread: Callable[..., object]) -> None:
        self._engine = engine
        self._call_from_thread = call_from_thread
        self._jobs: SimpleQueue[Commit | Call] = SimpleQueue()

    def start(self) -> None:
        Thread(target=self._work, name="store", daemon=True).start()

    def put(self, job: Commit | Call) -> None:
        self._jobs.put(job)

    def _work(self) -> None:
        jobs, engine, tell = self._jobs, self._engine, self._call_from_thread
        job: Commit | Call | None = None
        patience: float | None = None
        while True:
            if job is None:
                try:
                    job = jobs.get(timeout=patience)
                except Empty:
                    patience = engine.rest(True)
                    continue
            if isinstance(job, Call):
                tell(fire, [engine.call(job)])
                if job.last:
                    return
                job = None
            else:
                group, job = self._group(job)
                tell(fire, engine.commit(group))
            patience = engine.rest(False)

    def _group(self, first: Commit) -> tuple[Sequence[Commit], Call | None]:
        """`first` with the commits that wait behind it, and the other job behind those, if any."""
        group, rows = [first], first.batch.rows
        while rows < GROUP_ROWS:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if isinstance(job, Call):
                return group, job
            group.append(job)
            rows += job.batch.rows
        return group, None


class InlineWorker:
    """Does each job within `put`: the real store in a test's own turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(self) -> None:
        """Nothing to start."""

    def put(self, job: Commit | Call) -> None:
        if isinstance(job, Call):
            fire([self._engine.call(job)])
        else:
            fire(self._engine.commit([job]))
        self._engine.rest(True)


def fire(answers: Sequence[Answer]) -> None:
    for deferred, result in answers:
        if isinstance(result, Failure):
            deferred.errback(result)
        else:
            deferred.callback(result)
