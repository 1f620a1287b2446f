"""A job on the server, as a handle: watch it, wait for it, get what it found."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike
from pathlib import Path

import grpc

from mho_client.connection import Connection
from mho_client.downloads import Downloader, DownloadProgress
from mho_client.errors import MhoClientError, code_of, invalid
from mho_client.resources import Artifact, Event, JobError, JobStatus, Progress
from mho_client.results import FetchedArray, Result, fetched_arrays, result_of
from mho_client.v1 import jobs_pb2, jobs_pb2_grpc

_SUMMARY = "result.json"
_MODEL, _WEIGHTS = "model.onnx", "model.onnx.data"


class JobFailed(MhoClientError):
    """The job ended without a result; ``reason`` says why, ``CANCELLED`` among the reasons."""


class Job:
    """A handle; the job itself lives on the server, also when the client is gone."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.name = name
        self._connection = connection
        self._jobs = jobs_pb2_grpc.JobsStub(connection.channel)

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    @property
    def id(self) -> str:
        """The last part of the name."""
        return self.name.rsplit("/", 1)[1]

    def status(self) -> JobStatus:
        """The job as it stands now."""
        request = jobs_pb2.GetJobRequest(name=self.name)
        return JobStatus.of(self._connection.call(self._jobs.GetJob, request))

    def watch(self, *, resume_sequence: int = 0, timeout: float | None = None) -> Iterator[Event]:
        """What happened to the job and what happens, until it has ended.

        resume_sequence: the last event that was seen; 0 for everything. Survives the loss of the
        connection and a restart of the server. TimeoutError after ``timeout`` seconds.
        """
        seen = resume_sequence
        end = None if timeout is None else time.monotonic() + timeout
        for attempt in self._connection.attempts():
            call = self._connection.stream(
                self._jobs.WatchJob,
                jobs_pb2.WatchJobRequest(name=self.name, resume_sequence=seen),
                seconds=None if end is None else max(0.0, end - time.monotonic()),
            )
            try:
                for message in call:
                    attempt.advanced()
                    seen = message.sequence
                    yield Event.of(message)
                return
            except grpc.RpcError as error:
                if end is not None and code_of(error) == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise TimeoutError(
                        f"the job {self.id} has not ended within {timeout:g} s; it goes on"
                    ) from None
                attempt.failed(error)
            finally:
                call.cancel()

    def wait(
        self,
        progress: Callable[[Progress], None] | None = None,
        *,
        timeout: float | None = None,
    ) -> JobStatus:
        """The job once it has succeeded; JobFailed where it failed or was cancelled.

        timeout: seconds after which TimeoutError is raised; the job goes on.
        """
        for event in self.watch(timeout=timeout):
            if progress is not None and event.progress is not None:
                progress(event.progress)
        status = self.status()
        if status.state == "SUCCEEDED":
            return status
        if status.state == "CANCELLED":
            raise JobFailed(
                f"the job {self.id} was cancelled", code="CANCELLED", reason="CANCELLED"
            )
        error = status.error or JobError("INTERNAL", f"the job {self.id} is {status.state}", "")
        raise JobFailed(error.message, code="ABORTED", reason=error.reason, subject=error.subject)

    def result(self, progress: Callable[[Progress], None] | None = None) -> Result:
        """What the job found, after waiting for its end; JobFailed where it has no result."""
        if self.status().state != "SUCCEEDED":
            self.wait(progress)
        message = self._connection.call(
            self._jobs.GetResult, jobs_pb2.GetResultRequest(name=self.name)
        )
        summary = message.summary_json or Downloader(self._connection).text(
            f"{self.name}/artifacts/{_SUMMARY}"
        )
        return result_of(message, summary, self._arrays(list(message.keys)))

    def artifacts(self) -> list[Artifact]:
        """The files that the job has written."""
        found: list[Artifact] = []
        token = ""
        while True:
            answer = self._connection.call(
                self._jobs.ListArtifacts,
                jobs_pb2.ListArtifactsRequest(parent=self.name, page_token=token),
            )
            found += [Artifact.of(message) for message in answer.artifacts]
            token = answer.next_page_token
            if not token:
                return found

    def fetch(
        self, folder: str | PathLike[str], progress: DownloadProgress | None = None
    ) -> list[Path]:
        """All artifacts as files of ``folder``: verified, and resumed where it broke off before."""
        return Downloader(self._connection).fetch(self.artifacts(), Path(folder), progress)

    def model_bytes(self) -> bytes:
        """The ONNX model that the job has made, as of ``edit``; FAILED_PRECONDITION for a job that
        has made none, or one whose weights lie in a file of their own (see ``save_model``)."""
        made = self._model()
        if len(made) > 1:
            raise MhoClientError(
                f"the weights of the job's model lie in {made[1].path} beside it; call save_model",
                code="FAILED_PRECONDITION",
                reason="UNSUPPORTED",
                subject=made[1].path,
            )
        content = Downloader(self._connection).content(made[0].name)
        if hashlib.sha256(content).hexdigest() != made[0].sha256:
            raise MhoClientError(
                f"the bytes of '{made[0].path}' that arrived do not have the digest that the "
                "server gave; ask again",
                code="DATA_LOSS",
                reason="INVALID_DATA",
                subject=made[0].path,
            )
        return content

    def save_model(
        self, path: str | PathLike[str], progress: DownloadProgress | None = None
    ) -> list[Path]:
        """The ONNX model that the job has made as the file ``path``, and, where its weights lie in
        a file of their own, that one beside it, under the name by which the model knows it.

        FAILED_PRECONDITION for a job that has made none.
        """
        target = Path(path)
        model, *weights = self._model()
        files = [replace(model, path=target.name), *weights]
        if target.name in {artifact.path for artifact in weights}:
            raise invalid(
                f"'{target.name}' is what the model's weights are called; take another name", "path"
            )
        return Downloader(self._connection).fetch(files, target.parent, progress)

    def cancel(self) -> JobStatus:
        """Ask the job to stop; it ends as CANCELLED soon after."""
        request = jobs_pb2.CancelJobRequest(name=self.name)
        return JobStatus.of(self._connection.call(self._jobs.CancelJob, request))

    def delete(self) -> None:
        """Forget a job that has ended, and what it found."""
        self._connection.call(self._jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=self.name))

    def _model(self) -> list[Artifact]:
        """The files of the model that the job has made, the ONNX file first."""
        found = {artifact.path: artifact for artifact in self.artifacts()}
        made = [found[name] for name in (_MODEL, _WEIGHTS) if name in found]
        if not made or made[0].path != _MODEL:
            raise MhoClientError(
                f"the job {self.id} has made no model; only methods such as edit make one",
                code="FAILED_PRECONDITION",
                reason="FAILED_PRECONDITION",
                subject=self.name,
            )
        return made

    def _arrays(self, keys: list[str]) -> list[FetchedArray]:
        """The arrays; after a lost connection, those that are still missing."""
        found: dict[str, FetchedArray] = {}
        for attempt in self._connection.attempts():
            wanted = [key for key in keys if key not in found]
            if not wanted:
                break
            call = self._connection.stream(
                self._jobs.FetchScores, jobs_pb2.FetchScoresRequest(name=self.name, keys=wanted)
            )
            try:
                for fetched in fetched_arrays(call):
                    attempt.advanced()
                    found[fetched.key] = fetched
            except grpc.RpcError as error:
                attempt.failed(error)
            except ValueError as error:
                raise MhoClientError(str(error), code="DATA_LOSS") from error
            finally:
                call.cancel()
        return [found[key] for key in keys]
