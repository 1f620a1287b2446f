"""The loop around a run in its worker: steps, progress, checkpoints, and stopping between steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from mho.config import Settings
from mho.errors import ResourceExhausted
from mho.jobs import checkpoint
from mho.jobs.checkpoint import Checkpoint
from mho.jobs.layout import full_disk_named, remove_folder
from mho.jobs.messages import Message, send
from mho.jobs.task import Task
from mho.method import Progress
from mho.telemetry import figures
from mho.types import Array

_PROGRESS_SECONDS = 0.2
_CHECKPOINT_SHARE = 0.1
"""At most this part of the time goes into checkpoints, however large they are."""
_ROOM_SECONDS = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
"""Between two attempts to write a result."""


class Run(Protocol):
    """One attribution bound to its model and data; see ``mho.jobs.attribution``."""

    @property
    def state_version(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...
    def progress(self) -> Progress: ...
    def step(self) -> None: ...
    @property
    def done(self) -> bool: ...
    def checkpoint(self) -> dict[str, Array]: ...
    def restore(self, arrays: Mapping[str, Array]) -> None: ...
    def write(self, folder: Path) -> None: ...


class Stopped(Exception):
    """The run was told to stop; ``why`` is ``cancel`` or ``drain``."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class RunLoop:
    """Carries out one ``run`` request.

    stop_asked: ``cancel`` or ``drain`` where that was asked for (job, attempt), "" otherwise.
    """

    def __init__(
        self,
        open_run: Callable[[Task, Settings], Run],
        request: Message,
        settings: Settings,
        connection: Connection,
        stop_asked: Callable[[str, int], str],
    ) -> None:
        self._request = request
        self._settings = settings
        self._connection = connection
        self._stop_asked = stop_asked
        self._file = Path(request["checkpoint"])
        self._earlier = [Path(file) for file in request["earlier"]]
        self._steps = 0
        self._trouble = ""
        self._run = self._opened(open_run)

    def go(self) -> None:
        """Run to the end and write the result; Stopped where that was asked for before."""
        told, told_steps = -math.inf, -1
        kept, interval = time.monotonic(), self._settings.checkpoint_seconds
        while not self._run.done:
            self._check()
            self._run.step()
            self._steps += 1
            now = time.monotonic()
            if now - told >= _PROGRESS_SECONDS:
                told, told_steps = now, self._steps
                self._tell()
            if now - kept >= interval:
                self._keep()
                kept = time.monotonic()
                spent = kept - now
                interval = max(self._settings.checkpoint_seconds, spent / _CHECKPOINT_SHARE)
        self._check()
        if told_steps != self._steps:
            self._tell()
        self._write()

    def _write(self) -> None:
        """Write the result. Where the disk is full, work that is done is not thrown away at once:
        room is waited for, ``_ROOM_SECONDS`` long."""
        output = Path(self._request["output"])
        give_up, pause = time.monotonic() + _ROOM_SECONDS, _FIRST_PAUSE
        while True:
            try:
                with full_disk_named("the result is written"):
                    output.mkdir(mode=0o700)
                    self._run.write(output)
                return
            except ResourceExhausted as error:
                remove_folder(output)
                if error.subject != "disk" or time.monotonic() + pause > give_up:
                    raise
                if pause == _FIRST_PAUSE:
                    self._note("the disk is full; the result waits for room")
            self._wait(pause)
            pause = min(_LONGEST_PAUSE, 2 * pause)

    def _wait(self, seconds: float) -> None:
        """Sleep; Stopped where that is asked for meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._check()
            time.sleep(0.1)

    def _opened(self, open_run: Callable[[Task, Settings], Run]) -> Run:
        """The run, as far as the newest whole checkpoint of an earlier attempt has it."""
        task = Task.from_json(self._request["task"])
        run = open_run(task, self._settings)
        digest = self._request["digest"]
        found, why_not = None, ""
        for file in self._earlier:
            found, why_not = checkpoint.load(file, task=digest, version=run.state_version)
            if found is not None:
                break
        if found is not None:
            try:
                run.restore(found.arrays)
                self._steps = found.steps
                self._note(f"resumed after {found.steps} steps")
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                why_not = (
                    f"the checkpoint does not fit ({type(error).__name__}); the run starts anew"
                )
                run = open_run(task, self._settings)
        for text in (why_not, *(run.notes if found is None else ())):
            if text:
                self._note(text)
        return run

    def _check(self) -> None:
        why = self._stop_asked(self._request["job"], self._request["attempt"])
        if why == "drain":
            self._keep()
        if why:
            raise Stopped(why)

    def _keep(self) -> None:
        """Write a checkpoint; a run goes on without, and says so once."""
        kept = Checkpoint(
            self._request["digest"], self._run.state_version, self._steps, self._run.checkpoint()
        )
        began = time.monotonic()
        try:
            checkpoint.save(self._file, kept)
        except (ResourceExhausted, OSError) as error:
            if not self._trouble:
                self._note(f"no checkpoint could be written, the run goes on without: {error}")
            self._trouble = str(error)
        else:
            self._trouble = ""
            seconds = time.monotonic() - began
            send(
                self._connection,
                {"kind": "checkpoint", "steps": self._steps, "seconds": seconds},
            )

    def _note(self, text: str) -> None:
        send(self._connection, {"kind": "note", "message": text})

    def _tell(self) -> None:
        progress = self._run.progress()
        send(
            self._connection,
            {
                "kind": "progress",
                "done": progress.done,
                "total": progress.total,
                "unit": progress.unit,
                "message": progress.message,
                "figures": figures.taken(),
            },
        )
