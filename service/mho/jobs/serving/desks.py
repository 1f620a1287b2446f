"""The queues of synchronous calls, and the worker processes reserved for them.

A desk is a thread with a process, which belongs to one tenant at a time. The process keeps its
sessions warm, and when it is free it takes all waiting calls that one run can answer. A tenant
without a desk takes an idle one, the longest unused first; where all are busy, the desk that has
been held longest changes hands (docs/decisions/0013-serving.md).
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mho.config import Settings, cores
from mho.errors import MhoError, ResourceExhausted, Unavailable, WorkerCrashed
from mho.jobs.layout import Layout
from mho.jobs.messages import Message, PipeClosed, error_of, text_of
from mho.jobs.processes import WorkerProcess
from mho.jobs.serving.query import Answer, Query, batch_message
from mho.jobs.serving.turns import Turns
from mho.telemetry import metrics
from mho.telemetry.processes import died

_LOOK_SECONDS = 0.02
_IDLE_LOOK_SECONDS = 1.0
_HELD_SECONDS = 5.0
"""So long a busy desk stays with its tenant while others wait for one."""
_STOP_SECONDS = 5.0
"""So long a worker has to stop a run before it is ended with it."""
_STARTS = 2
"""So often a worker is started before a call is told that none does."""
_MOST_WAITING_BYTES = 64 * 1024 * 1024
"""Inputs of a tenant's waiting calls."""

_log = logging.getLogger("mho.jobs.serving")


@dataclass(frozen=True)
class Answered:
    """waited: seconds between the call and the run that answered it."""

    answer: Answer
    waited: float


@dataclass(eq=False)
class _Call:
    """A query in the queue. alone: not to share a run any more."""

    tenant: str
    model: Path
    query: Query
    alone: bool
    made: float = field(default_factory=time.monotonic)
    future: Future[Answered] = field(default_factory=Future)

    def __post_init__(self) -> None:
        self.kind = self.query.kind

    def fail(self, error: Exception) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(error)

    def succeed(self, answer: Answer, started: float) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(Answered(answer, started - self.made))


@dataclass(eq=False)
class _Desk:
    """tenant: to whom it belongs, since ``held`` (monotonic); it was last busy until ``used``."""

    tenant: str | None = None
    process: WorkerProcess | None = None
    busy: bool = False
    held: float = 0.0
    used: float = 0.0


class Desks:
    """``settings.serving_workers`` desks, each started when it is first needed."""

    def __init__(self, settings: Settings, entry: str) -> None:
        threads = settings.threads or cores()
        # One run at a time has all the cores, so that job workers are not counted here.
        self._settings = dataclasses.replace(settings, threads=threads)
        self._entry = entry
        self._layout = Layout(Path(settings.data_dir))
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[_Call]] = {}
        self._served: dict[str, int] = {}
        self._turn = itertools.count(1)
        self._desks = [_Desk() for _ in range(settings.serving_workers)]
        self._closing = False
        self._turns = Turns(cores() // threads)
        self._threads = [
            threading.Thread(target=self._serve, args=(desk,), name=f"desk-{number}", daemon=True)
            for number, desk in enumerate(self._desks)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the processes; calls that are not answered fail."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._turns.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        with self._changed:
            for call in itertools.chain.from_iterable(self._waiting.values()):
                call.fail(_stopping())
            self._waiting.clear()

    def ask(
        self, tenant: str, model: Path, query: Query, *, alone: bool = False
    ) -> Future[Answered]:
        """Have ``query`` answered; whoever is no longer interested cancels the future, which stops
        the work. alone: not together with other queries.

        ResourceExhausted where too many calls of the tenant are waiting.
        """
        call = _Call(tenant, model, query, alone)
        with self._changed:
            if self._closing:
                raise _stopping()
            queue = self._waiting.setdefault(tenant, deque())
            _drop_cancelled(queue)
            _check_room(queue, query, self._settings)
            queue.append(call)
            self._changed.notify_all()
        return call.future

    def busy(self) -> int:
        """How many desks are at work."""
        with self._changed:
            return sum(desk.busy for desk in self._desks)

    # the threads

    def _serve(self, desk: _Desk) -> None:
        while True:
            batch = self._next(desk)
            if self._closing:
                break
            if batch:
                try:
                    self._answer(desk, batch)
                except Exception:  # noqa: BLE001  # it is logged; the thread serves on
                    _log.exception("a call failed", extra={"tenant": desk.tenant})
                    self._end(desk)
                    for call in batch:
                        if not call.future.done():
                            call.fail(MhoError("the call could not be carried out"))
                with self._changed:
                    desk.busy, desk.used = False, time.monotonic()
                    self._changed.notify_all()
            elif self._idle_for(desk) >= self._settings.serving_idle_seconds:
                self._end(desk)
                desk.tenant = None
        for call in batch:
            call.fail(_stopping())
        self._end(desk)

    def _next(self, desk: _Desk) -> list[_Call]:
        """Calls that one run can answer, and the desk theirs; [] after a while without any."""
        with self._changed:
            for queue in self._waiting.values():
                _drop_cancelled(queue)
            self._waiting = {t: queue for t, queue in self._waiting.items() if queue}
            tenant = self._tenant_for(desk)
            if tenant is None:
                if not self._closing:
                    self._changed.wait(_IDLE_LOOK_SECONDS)
                return []
            if tenant != desk.tenant:
                desk.tenant, desk.held = tenant, time.monotonic()
            desk.busy = True
            self._served = {t: n for t, n in self._served.items() if t in self._waiting}
            self._served[tenant] = next(self._turn)
            batch = _batch(self._waiting[tenant], self._settings.serving_batch)
            self._changed.notify_all()
            return batch

    def _tenant_for(self, desk: _Desk) -> str | None:
        """Whom the desk serves next; None where there is nobody."""
        owned = {other.tenant for other in self._desks}
        homeless = [tenant for tenant in self._waiting if tenant not in owned]
        own = desk.tenant if desk.tenant in self._waiting else None
        if not homeless:
            return own
        # Whoever has waited longest for a turn comes first, then whoever has the oldest call.
        first = min(homeless, key=lambda t: (self._served.get(t, 0), self._waiting[t][0].made))
        free = [d for d in self._desks if not d.busy and d.tenant not in self._waiting]
        if own is None:
            best = min(free, key=lambda d: (d.tenant is not None, d.used))
            return first if best is desk else None
        if not free and time.monotonic() - desk.held >= _HELD_SECONDS:
            return first
        return own

    def _answer(self, desk: _Desk, batch: list[_Call]) -> None:
        process = self._started(desk)
        if process is None:
            for call in batch:
                call.fail(_stopping() if self._closing else _not_started())
            return
        message, frames = batch_message(batch[0].model, [call.query for call in batch])
        started = time.monotonic()
        metrics.BATCH.observe(len(batch))
        for call in batch:
            metrics.ATTRIBUTION_WAIT.observe(started - call.made)
        try:
            with self._turns.turn(process.tenant or "", process.hold):
                process.send(message, frames)
                reply = self._reply(process, batch)
            if reply is None:
                return
            self._deliver(batch, reply, started)
        except PipeClosed as error:
            ending = self._end(desk)
            if self._closing:
                return
            died("serving", ending)
            _log.warning(
                "a worker for synchronous calls was lost: %s, %s",
                ending, error, extra={"tenant": desk.tenant},
            )  # fmt: skip
            self._lost(batch, ending)

    def _reply(self, process: WorkerProcess, batch: list[_Call]) -> Message | None:
        """What the worker says, stopped early where nobody waits for it any more; None on closing.

        PipeClosed where it does not stop in time.
        """
        stop_by = 0.0
        while not process.waiting(_LOOK_SECONDS):
            now = time.monotonic()
            if self._closing:
                for call in batch:
                    call.fail(_stopping())
                return None
            if not stop_by and all(call.future.cancelled() for call in batch):
                process.send({"kind": "stop"})
                stop_by = now + _STOP_SECONDS
            if stop_by and now >= stop_by:
                raise PipeClosed("the run could not be stopped")
        return process.receive()

    def _deliver(self, batch: list[_Call], reply: Message, started: float) -> None:
        if reply["kind"] == "failed":
            self._failed(batch, reply)
            return
        answers = reply.get("answers")
        if reply["kind"] != "attributed" or not isinstance(answers, list):
            raise PipeClosed(f"an answer of the kind {reply['kind']!r}")
        if len(answers) != len(batch):
            raise PipeClosed(f"{len(answers)} answers to {len(batch)} queries")
        for call, answer in zip(batch, answers, strict=True):
            if not isinstance(answer, dict):
                raise PipeClosed("an answer that is no object")
            if "error" in answer:
                self._log_trace(call, answer["error"])
                call.fail(error_of(answer["error"]))
            else:
                call.succeed(Answer.from_json(answer, reply.get("frames", [])), started)

    def _failed(self, batch: list[_Call], reply: Message) -> None:
        """The whole run failed: with several calls in it, each is tried alone."""
        if len(batch) > 1:
            self._again(batch)
            return
        self._log_trace(batch[0], reply)
        batch[0].fail(error_of(reply))

    def _lost(self, batch: list[_Call], ending: str) -> None:
        unanswered = [call for call in batch if not call.future.done()]
        if len(batch) > 1:
            self._again(unanswered)
            return
        for call in unanswered:
            call.fail(
                WorkerCrashed(
                    f"the process that ran {call.query.method} ended ({ending}): it was killed, "
                    "ran out of memory, or the model brought it down; ask again, and where it "
                    "happens again, ask for fewer layers or inputs, or submit a job",
                    subject="worker",
                )
            )

    def _again(self, calls: list[_Call]) -> None:
        with self._changed:
            for call in reversed(calls):
                call.alone = True
                self._waiting.setdefault(call.tenant, deque()).appendleft(call)
            self._changed.notify_all()

    def _started(self, desk: _Desk) -> WorkerProcess | None:
        """The desk's process; None where one is killed while it starts, and so is the next."""
        for _ in range(_STARTS):
            try:
                return self._process(desk)
            except PipeClosed as error:
                ending = self._end(desk)
                _log.warning(
                    "a worker for synchronous calls did not start: %s, %s",
                    ending, error, extra={"tenant": desk.tenant},
                )  # fmt: skip
        return None

    def _process(self, desk: _Desk) -> WorkerProcess:
        """The desk's process: alive, and one that has seen no other tenant's bytes."""
        if desk.process is not None and desk.process.alive and desk.process.tenant == desk.tenant:
            return desk.process
        self._end(desk)
        desk.process = WorkerProcess(self._settings, self._entry, role="serving")
        desk.process.tenant = desk.tenant
        desk.process.ready()
        _log.info("worker for synchronous calls started", extra={"tenant": desk.tenant})
        return desk.process

    def _end(self, desk: _Desk) -> str:
        if desk.process is None:
            return "it did not run"
        ending = desk.process.kill()
        desk.process = None
        return ending

    def _idle_for(self, desk: _Desk) -> float:
        return time.monotonic() - desk.used if desk.process is not None else 0.0

    def _log_trace(self, call: _Call, told: Message) -> None:
        trace = text_of(told, "trace", 100_000)
        if trace:
            named: dict[str, Any] = {"tenant": call.tenant, "method": call.query.method}
            _log.error("a call failed unexpectedly\n%s", trace, extra=named)


def _batch(queue: deque[_Call], most: int) -> list[_Call]:
    """The oldest call, and those behind it that one run can answer too, up to ``most`` inputs."""
    first = queue.popleft()
    batch, rows = [first], first.query.inputs
    if first.alone:
        return batch
    for call in list(queue):
        alike = not call.alone and call.model == first.model and call.kind == first.kind
        if alike and rows + call.query.inputs <= most:
            queue.remove(call)
            batch.append(call)
            rows += call.query.inputs
    return batch


def _drop_cancelled(queue: deque[_Call]) -> None:
    for call in [call for call in queue if call.future.cancelled()]:
        queue.remove(call)


def _check_room(queue: deque[_Call], query: Query, settings: Settings) -> None:
    held = sum(call.query.size for call in queue)
    if len(queue) >= settings.serving_queue or (queue and held + query.size > _MOST_WAITING_BYTES):
        raise ResourceExhausted(
            f"{len(queue)} synchronous calls with {held} bytes of inputs are waiting already, and "
            f"at most {settings.serving_queue} (setting serving_queue) with "
            f"{_MOST_WAITING_BYTES} bytes may; try again after a pause, or submit a job",
            subject="serving",
            retry_seconds=1,
        )


def _not_started() -> MhoError:
    return Unavailable(
        "the workers for synchronous calls do not start; try again soon",
        subject="server",
        retry_seconds=5,
    )


def _stopping() -> MhoError:
    return Unavailable("the server is stopping; try again soon", subject="server", retry_seconds=1)
