"""The facade of the service: all that the API may ask. Thread-safe and synchronous."""

from __future__ import annotations

import base64
import dataclasses
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from mho.config import Settings
from mho.data import preprocess as preprocessing
from mho.errors import InvalidData, InvalidModel, InvalidOption, MhoError, NotFound
from mho.jobs import accounting, standing
from mho.jobs.admission import (
    check_deadline,
    check_display_name,
    check_labels,
    check_names,
    check_request_id,
    check_suffix,
    check_tenant,
)
from mho.jobs.assembly import Assembly, dataset_content, source_of
from mho.jobs.blobs import Blobs, check_digest
from mho.jobs.catalogue import Catalogue, digest_of
from mho.jobs.collection import Collector, Known, Leftovers, clear_job
from mho.jobs.database import Database
from mho.jobs.directory_lock import DirectoryLock
from mho.jobs.feed import Feed
from mho.jobs.inspection import Inspectors
from mho.jobs.job import (
    Artifact,
    DatasetRecord,
    Event,
    FileRef,
    JobRecord,
    JobSpec,
    JobState,
    ModelRecord,
)
from mho.jobs.job_queue import JobQueue
from mho.jobs.keeper import Keeper
from mho.jobs.layout import Layout, placed, remove_folder, size_of
from mho.jobs.leases import Leases
from mho.jobs.meter import Meter
from mho.jobs.notices import Notice, Notices
from mho.jobs.paging import PageTokens, load_key
from mho.jobs.quotas import Quotas
from mho.jobs.serving.admission import admitted
from mho.jobs.serving.desks import Answered, Desks
from mho.jobs.serving.query import Query
from mho.jobs.shares import Shares
from mho.jobs.specification import check_fit, checked
from mho.jobs.store import JobStore, datasets_of
from mho.jobs.supervisor import Supervisor
from mho.telemetry import spans
from mho.tenants import Quota, Tenants
from mho.tenants_file import TenantsFile

_INPUTS = (".npy", ".npz", ".zip")
_LABELS = (".npy", ".tsv")

_log = logging.getLogger("mho.jobs.control")


class Control:
    """One server's models, data sets, jobs and workers, on one data directory.

    entry: the module that does the work, see ``worker.Entry``. methods: the package of the methods.

    Every call names the tenant; what belongs to another tenant is NotFound, as if it did not exist.
    All errors are ``mho.errors``. FailedPrecondition at once where another server holds the
    directory.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        entry: str = "mho.jobs.attribution",
        methods: str = "mho.methods",
    ) -> None:
        layout = Layout(Path(settings.data_dir).resolve())
        layout.create()
        settings = dataclasses.replace(settings, data_dir=str(layout.root))
        self._lock = DirectoryLock(layout, shared=bool(settings.database))
        try:
            self._tenants = TenantsFile(settings)
            database = Database(layout, settings.database)
            tokens = self.page_tokens = PageTokens(load_key(layout.page_key))
        except BaseException:
            self._lock.release()
            raise
        self._settings = settings
        self._methods = methods
        self._layout = layout
        self._database = database
        self._feed = Feed()
        quotas = Quotas(self.tenants, most_queued=settings.max_queued_jobs)
        self._blobs = Blobs(layout, database, quotas, largest=settings.max_upload_bytes)
        self._catalogue = Catalogue(database, quotas, tokens)
        self._store = JobStore(database, quotas, tokens, self._feed.publish)
        self._queue = JobQueue(database, quotas, self._feed.publish)
        self._leases = Leases(database, settings.lease_seconds, self._feed.publish)
        self._assembly = Assembly(layout, self._blobs, self._catalogue, database.server)
        self._inspectors = Inspectors(settings, entry)
        self._supervisor = Supervisor(
            settings,
            entry,
            self._queue,
            layout,
            Meter(database),
            Shares(quotas.weight, settings.turn_seconds),
            self._assembly.request_of,
        )
        self._desks = Desks(settings, entry)
        self._untold = standing.told(self._queue, self._supervisor, layout.root)
        self._keeper = Keeper(self._leases, self._supervisor, settings.lease_seconds)
        self._notices = Notices(database, self._heard, self._missed)
        self._leftovers = Leftovers(layout, self._known)
        self._collector = Collector(self._leftovers, self._blobs, self._catalogue)
        self._closed = False

    # life

    def start(self) -> None:
        """Take up what an earlier server left, and start the workers."""
        self._leases.renew()
        found = self._leases.take_over()
        if found:
            _log.info("%d jobs of an earlier server go on", found)
        if not self._database.shared:  # nobody else makes anything; otherwise the collector looks
            self._leftovers.collect(alone=True)
        for job, (state, attempts) in self._queue.ids().items():
            if state.final or not self._database.shared:  # what others run is theirs to clear
                clear_job(self._layout, job, state, attempts)
        self._notices.start()
        self._keeper.start()
        self._inspectors.start()
        self._supervisor.start()
        self._desks.start()
        self._collector.start()

    def drain(self, seconds: float) -> None:
        """Start no more jobs; those that run keep a checkpoint and go back into the queue."""
        self._supervisor.drain(seconds)

    def close(self) -> None:
        """Stop everything at once and let go of the directory; running jobs wait for a restart."""
        if self._closed:
            return
        self._closed = True
        self._untold()
        self._feed.close()
        self._notices.close()
        self._desks.close()
        self._supervisor.close()
        self._inspectors.close()
        self._collector.close()
        self._keeper.close()
        with suppress(MhoError):  # without a database the lease runs out by itself
            self._leases.leave()
        self._database.close()
        self._lock.release()

    def running(self) -> int:
        """How many jobs run now."""
        return self._supervisor.running()

    # blobs

    def missing_blobs(self, tenant: str, digests: Sequence[str]) -> list[str]:
        """Those of ``digests`` that the tenant has yet to upload."""
        return self._blobs.missing(check_tenant(tenant), digests)

    def upload_status(self, tenant: str, digest: str) -> int:
        """The offset of the next byte wanted; the size where the blob is complete."""
        return self._blobs.offset(check_tenant(tenant), digest)

    def upload_chunk(self, tenant: str, digest: str, size: int, offset: int, chunk: bytes) -> int:
        """Take up to 1 MiB of a blob of ``size`` bytes; the offset of the next byte wanted."""
        return self._blobs.receive(check_tenant(tenant), digest, size, offset, chunk)

    # models

    def create_model(
        self,
        tenant: str,
        *,
        display_name: str,
        files: Mapping[str, str],
        main: str,
        validate_only: bool = False,
    ) -> ModelRecord:
        """Put uploaded files together to a model and check it.

        files: relative name -> SHA-256 of its blob. The same files again are the same model. An
        error leaves nothing behind.
        """
        check_tenant(tenant)
        check_display_name(display_name)
        check_names(files)
        for digest in files.values():
            check_digest(digest)
        if main not in files:
            raise InvalidOption(
                f"main is {main[:80]!r}, which is none of the files; name the one with the graph",
                subject="main",
            )
        content = digest_of({"files": dict(files), "main": main})
        found = self._catalogue.model_of_content(tenant, content)
        if found is not None:
            return found
        held = self._blobs.held(tenant, files.values())
        size = sum(held.get(digest, 0) for digest in files.values())
        if size > self._settings.max_model_bytes:
            raise InvalidModel(
                f"'{main}' and its files have {size} bytes; at most "
                f"{self._settings.max_model_bytes} are taken (setting max_model_bytes)",
                subject=main,
            )
        with self._assembly.staged(tenant, files) as folder:
            message = {"kind": "inspect_model", "path": str(folder / main)}
            summary = self._inspectors.ask(tenant, message, name=main, error=InvalidModel)
            record = ModelRecord(
                tenant=tenant,
                id="" if validate_only else _new_id(),
                display_name=display_name,
                digest=str(summary.get("digest", "")),
                files=dict(files),
                main=main,
                summary=summary,
                created=time.time(),
            )
            if validate_only:
                return record
            with placed(folder, self._layout.model(record.id)) as place:
                size = size_of(self._layout.model(record.id))
                kept = self._catalogue.add_model(record, content, size)
                place.keep = kept.id == record.id
        return kept

    def get_model(self, tenant: str, id: str) -> ModelRecord:
        return self._catalogue.model(tenant, id)

    def list_models(
        self, tenant: str, *, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[ModelRecord], str]:
        """A page, newest first, and the token of the next page ("" after the last)."""
        return self._catalogue.list_models(tenant, page_size, page_token)

    def delete_model(self, tenant: str, id: str) -> None:
        """FailedPrecondition while a job that has not ended uses it."""
        self._blobs.release(tenant, self._catalogue.remove_model(tenant, id))
        remove_folder(self._layout.model(id))

    # data sets

    def create_dataset(
        self,
        tenant: str,
        *,
        display_name: str,
        model: str,
        inputs: FileRef,
        labels: FileRef | None = None,
        preprocess: str | None = None,
        validate_only: bool = False,
    ) -> DatasetRecord:
        """Put uploaded files together to a data set and check it against the model (an id).

        preprocess: a spec as JSON or YAML text, or the name of a preset. The same files again are
        the same data set. An error leaves nothing behind.
        """
        check_tenant(tenant)
        check_display_name(display_name)
        check_suffix(inputs.name, "inputs", _INPUTS)
        if labels is not None:
            check_suffix(labels.name, "labels", _LABELS)
        refs = [inputs] if labels is None or labels == inputs else [inputs, labels]
        check_names([ref.name for ref in refs], nested=False)
        files = {ref.name: check_digest(ref.sha256) for ref in refs}
        if not preprocess:
            preprocess = None
        else:
            preprocessing.parse(preprocess, files=False)
        checked_against = self._catalogue.model(tenant, model)
        content = digest_of(dataset_content(model, inputs, labels, preprocess))
        found = self._catalogue.dataset_of_content(tenant, content)
        if found is not None:
            return found
        record = DatasetRecord(
            tenant=tenant,
            id="" if validate_only else _new_id(),
            display_name=display_name,
            digest="",
            inputs=inputs,
            labels=labels,
            preprocess=preprocess,
            model=model,
            summary={},
            created=time.time(),
        )
        with self._assembly.staged(tenant, files) as folder:
            message = {
                "kind": "inspect_data",
                "model": str(self._layout.model(model) / checked_against.main),
                "source": source_of(folder, record).to_json(),
            }
            summary = self._inspectors.ask(tenant, message, name=inputs.name, error=InvalidData)
            digest = str(summary.get("digest", ""))
            record = dataclasses.replace(record, digest=digest, summary=summary)
            if validate_only:
                return record
            with placed(folder, self._layout.dataset(record.id)) as place:
                size = size_of(self._layout.dataset(record.id))
                kept = self._catalogue.add_dataset(record, content, size)
                place.keep = kept.id == record.id
        return kept

    def get_dataset(self, tenant: str, id: str) -> DatasetRecord:
        return self._catalogue.dataset(tenant, id)

    def list_datasets(
        self, tenant: str, *, page_size: int = 0, page_token: str = ""
    ) -> tuple[list[DatasetRecord], str]:
        """A page, newest first, and the token of the next page ("" after the last)."""
        return self._catalogue.list_datasets(tenant, page_size, page_token)

    def delete_dataset(self, tenant: str, id: str) -> None:
        """FailedPrecondition while a job that has not ended uses it."""
        self._blobs.release(tenant, self._catalogue.remove_dataset(tenant, id))
        remove_folder(self._layout.dataset(id))

    # synchronous calls

    def attribute(self, tenant: str, model: str, query: Query) -> Future[Answered]:
        """Have ``query`` answered by a serving worker. The future is cancelled by whoever does not
        want the answer any more, and that stops the work.

        What can be told without reading the model is refused here; ResourceExhausted where too
        many calls of the tenant are waiting.
        """
        record = self._catalogue.model(check_tenant(tenant), model)
        wanted, alone = admitted(query, record, self._methods)
        return self._desks.ask(
            tenant, self._layout.model(record.id) / record.main, wanted, alone=alone
        )

    # jobs

    def create_job(
        self, tenant: str, spec: JobSpec, *, request_id: str = "", validate_only: bool = False
    ) -> JobRecord:
        """Accept a job. Once this returns, the job survives whatever happens to the server.

        What does not fit the method, the model or the data set is refused here as far as it can be
        told without reading them again; an error leaves nothing behind. The same ``request_id``
        again is the same job; AlreadyExists where it comes with another spec.
        """
        check_tenant(tenant)
        found = self._store.requested(tenant, check_request_id(request_id), spec)
        if found is not None and not validate_only:
            return found
        now = time.time()
        check_deadline(spec.deadline, now)
        check_labels(spec.labels)
        wanted = checked(spec, self._methods)
        model = self._catalogue.model(tenant, spec.model)
        for dataset in datasets_of(spec):
            self._catalogue.dataset(tenant, dataset)
        check_fit(wanted, self._methods, model, self._catalogue.dataset(tenant, spec.dataset))
        record = JobRecord(
            tenant=tenant,
            id="" if validate_only else _new_id(),
            state=JobState.QUEUED,
            spec=wanted,
            request_id=request_id,
            created=now,
            trace=spans.current(),
        )
        due = now - spec.priority.lead * self._settings.priority_seconds
        with self._assembly.staged_job(tenant, wanted) as folder:
            if validate_only:
                return record
            with placed(folder, self._layout.job(record.id)) as place:
                kept = self._store.add(
                    record, requested=spec, due=due, size=size_of(self._layout.job(record.id))
                )
                place.keep = kept.id == record.id
        if kept.id == record.id:
            accounting.created(kept)
        self._supervisor.wake()
        return kept

    def get_job(self, tenant: str, id: str) -> JobRecord:
        return self._store.get(tenant, id)

    def list_jobs(
        self,
        tenant: str,
        *,
        states: Sequence[JobState] = (),
        labels: Mapping[str, str] = MappingProxyType({}),
        page_size: int = 0,
        page_token: str = "",
    ) -> tuple[list[JobRecord], str]:
        """A page of the jobs that are in one of ``states`` (default all) and have all of
        ``labels``, newest first."""
        check_labels(labels)
        return self._store.list_jobs(tenant, states, labels, page_size, page_token)

    def cancel_job(self, tenant: str, id: str) -> JobRecord:
        """Cancel a queued job at once, a running one between two steps; asking again is no error.

        FailedPrecondition where the job has ended by itself.
        """
        record = self._store.cancel(tenant, id)
        if record.state is JobState.CANCELLED:
            clear_job(self._layout, id, record.state, record.attempts)
        else:
            self._supervisor.cancel(id)
        return record

    def delete_job(self, tenant: str, id: str) -> None:
        """Delete a job that has ended, with its result; FailedPrecondition for another."""
        self._store.remove(tenant, id)
        remove_folder(self._layout.job(id))

    def news(self, tenant: str, job: str, after: int) -> tuple[list[Event], JobState]:
        """Events newer than ``after``, oldest first, and the job's state, both of one moment: where
        the state is final, the events are the last."""
        return self._store.events(tenant, job, after)

    def events(self, tenant: str, job: str, after: int, timeout: float) -> list[Event]:
        """Events newer than ``after``, oldest first; waits up to ``timeout`` seconds for the first.

        [] after the time, at once where the job has ended and nothing newer can come, and when the
        server closes.
        """
        deadline = time.monotonic() + timeout
        with self._feed.listening(job) as bell:
            while True:
                bell.clear()
                found, state = self.news(tenant, job, after)
                left = deadline - time.monotonic()
                if found or state.final or left <= 0 or self._feed.closed:
                    return found
                bell.wait(left)

    def tenants(self) -> Tenants:
        """What is known of the tenants now."""
        return self._tenants.tenants

    def quota(self, tenant: str) -> Quota:
        """What the tenant may use, as the tenants file and the settings have it now."""
        return self.tenants()[tenant].quota

    def subscribe(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call ``callback(tenant, job id)`` at every event, from any thread; returns what ends it.

        The callback must be quick and must not call the server back.
        """
        return self._feed.subscribe(callback)

    def artifacts(self, tenant: str, job: str) -> list[Artifact]:
        """The files of a job that SUCCEEDED; FailedPrecondition for another."""
        return self._store.artifacts(tenant, job)

    def artifact_path(self, tenant: str, job: str, name: str) -> Path:
        """Where one of the job's artifacts lies; NotFound where it has none of this name."""
        names = [artifact.name for artifact in self._store.artifacts(tenant, job)]
        attempt = self._store.get(tenant, job).attempts
        if name not in names:
            raise NotFound(
                f"job '{job}' has no artifact {name[:80]!r}; it has {', '.join(names[:20])}",
                subject="artifact",
            )
        return self._layout.result(job, attempt) / name

    # what other servers did

    def _heard(self, notice: Notice) -> None:
        self._feed.publish(notice.tenant, notice.job)
        self._supervisor.heard(notice)

    def _missed(self, seconds: float) -> None:
        for tenant, job in self._store.recent(seconds):
            self._feed.publish(tenant, job)
        self._supervisor.verify()
        self._supervisor.wake()

    def _known(self) -> Known:
        models, datasets = self._catalogue.ids()
        return Known(self._leases.living(), models | datasets | self._queue.ids().keys())


def _new_id() -> str:
    """80 random bits, as 16 lower-case letters and digits."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()
