"""The service Jobs: making, reading, cancelling, watching. What jobs found is in findings.py."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from mho.api.convert import event_message, job_message, job_spec, states_from
from mho.api.findings import Findings
from mho.api.names import child_of, tenant_of
from mho.api.paging import page
from mho.api.threads import Threads
from mho.api.watchers import Watchers
from mho.errors import InvalidOption, Unavailable
from mho.jobs.control import Control
from mho.jobs.job import Event, JobState
from mho_client.v1 import jobs_pb2

_MOST_SPEC_BYTES = 1024 * 1024


class Jobs(Findings):
    def __init__(self, control: Control, threads: Threads, watchers: Watchers) -> None:
        super().__init__(control, threads)
        self._watchers = watchers

    async def CreateJob(  # noqa: N802 the names of calls are the proto's
        self, request: jobs_pb2.CreateJobRequest, context: Any
    ) -> jobs_pb2.Job:
        del context
        tenant = tenant_of(request.parent)
        size = request.spec.ByteSize()
        if size > _MOST_SPEC_BYTES:
            raise InvalidOption(
                f"the spec has {size} bytes; at most {_MOST_SPEC_BYTES} are taken: name layers by "
                "globs, and units by an attached file of groups",
                subject="spec",
            )
        record = await self._threads.call(
            self._control.create_job,
            tenant,
            job_spec(request.spec, tenant),
            request_id=request.request_id,
            validate_only=request.validate_only,
        )
        return job_message(record)

    async def GetJob(  # noqa: N802
        self, request: jobs_pb2.GetJobRequest, context: Any
    ) -> jobs_pb2.Job:
        del context
        tenant, job = child_of(request.name, "jobs")
        return job_message(await self._threads.call(self._control.get_job, tenant, job))

    async def ListJobs(  # noqa: N802
        self, request: jobs_pb2.ListJobsRequest, context: Any
    ) -> jobs_pb2.ListJobsResponse:
        del context
        tenant = tenant_of(request.parent)
        states = states_from(request.states)
        jobs, token = await page(
            lambda size: self._threads.call(
                self._control.list_jobs,
                tenant,
                states=states,
                labels=dict(request.labels),
                page_size=size,
                page_token=request.page_token,
            ),
            job_message,
            request.page_size,
        )
        return jobs_pb2.ListJobsResponse(jobs=jobs, next_page_token=token)

    async def CancelJob(  # noqa: N802
        self, request: jobs_pb2.CancelJobRequest, context: Any
    ) -> jobs_pb2.Job:
        del context
        tenant, job = child_of(request.name, "jobs")
        return job_message(await self._threads.call(self._control.cancel_job, tenant, job))

    async def DeleteJob(  # noqa: N802
        self, request: jobs_pb2.DeleteJobRequest, context: Any
    ) -> Empty:
        del context
        tenant, job = child_of(request.name, "jobs")
        await self._threads.call(self._control.delete_job, tenant, job)
        return Empty()

    async def WatchJob(  # noqa: N802
        self, request: jobs_pb2.WatchJobRequest, context: Any
    ) -> None:
        tenant, job = child_of(request.name, "jobs")
        seen = request.resume_sequence
        if seen < 0:
            raise InvalidOption(
                f"resume_sequence is {seen}; give the sequence of the last event seen, or 0",
                subject="resume_sequence",
            )
        with self._watchers.listening(tenant, job) as bell:
            while True:
                # Cleared before looking, so that what happens in between rings again.
                bell.clear()
                # One reading gives both: a job that ends between two would lose its last event.
                events, state = await self._threads.call(self._control.news, tenant, job, seen)
                for event in events:
                    await context.write(await self._event(event, tenant, job))
                    seen = event.sequence
                if state.final:
                    return
                if self._watchers.closed:
                    raise Unavailable(
                        f"the server is stopping; watch again with resume_sequence {seen}",
                        subject="server",
                        retry_seconds=1,
                    )
                await bell.wait()

    async def _event(self, event: Event, tenant: str, job: str) -> jobs_pb2.JobEvent:
        if event.state is not JobState.FAILED:
            return event_message(event, None)
        record = await self._threads.call(self._control.get_job, tenant, job)
        return event_message(event, record.error)
