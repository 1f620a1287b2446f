"""Every metric of the server, by the conventions of Prometheus: base units, counters in ``_total``.

They belong to the process. ``tenant`` is empty, which Prometheus takes for no label at all, unless
``metrics_tenants`` is set: a series for each tenant is more than a large installation wants.
"""

from __future__ import annotations

import logging
import platform
import threading
from collections.abc import Callable, Iterable

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import mho

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

_log = logging.getLogger("mho.telemetry")


class _AtScrape(Collector):
    """Stands first in the registry and has what is measured only when somebody looks measured."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[object, Callable[[], None]] = {}

    def add(self, read: Callable[[], None]) -> Callable[[], None]:
        key = object()
        with self._lock:
            self._readers[key] = read

        def remove() -> None:
            with self._lock:
                self._readers.pop(key, None)

        return remove

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            readers = list(self._readers.values())
        for read in readers:
            try:
                read()
            except Exception:  # noqa: BLE001  # a busy database must not hide the other figures
                _log.exception("some figures could not be read")
                SCRAPE_FAILURES.inc()
        return ()

    def describe(self) -> Iterable[Metric]:
        return ()


_at_scrape = _AtScrape()
REGISTRY = CollectorRegistry(support_collectors_without_names=True)
REGISTRY.register(_at_scrape)

_CALL = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_DATABASE = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10)
_JOB = (0.1, 0.5, 1, 5, 15, 30, 60, 150, 300, 600, 1800, 3600, 7200, 21600, 86400)
_CHECKPOINT = (0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# the service

BUILD = Info("mho_build", "Versions of what runs.", registry=REGISTRY)
BUILD.info({"version": mho.__version__, "python": platform.python_version()})
UPLOADED = Counter(
    "mho_uploaded_bytes", "Bytes received in chunks of uploads.", ["tenant"], registry=REGISTRY
)
TRANSACTIONS = Histogram(
    "mho_database_transaction_seconds",
    "Transactions of the database, from asking for one to its end.",
    ["kind"],
    buckets=_DATABASE,
    registry=REGISTRY,
)
DISK_FREE = Gauge(
    "mho_disk_free_bytes", "Free bytes where the data directory lies.", registry=REGISTRY
)
DISK_SIZE = Gauge(
    "mho_disk_size_bytes", "All bytes of the disk of the data directory.", registry=REGISTRY
)
CERTIFICATE_EXPIRY = Gauge(
    "mho_certificate_expiry_timestamp_seconds",
    "When the server's certificate expires, in seconds since the epoch; 0 without TLS.",
    registry=REGISTRY,
)
SCRAPE_FAILURES = Counter(
    "mho_scrape_failures",
    "Groups of figures that could not be read at a scrape.",
    registry=REGISTRY,
)

# the queue and its jobs

QUEUED = Gauge("mho_queued_jobs", "Jobs that wait.", ["tenant"], registry=REGISTRY)
RUNNING = Gauge("mho_running_jobs", "Jobs that run.", ["tenant"], registry=REGISTRY)
QUEUE_AGE = Gauge(
    "mho_queue_age_seconds", "Since when the longest waiting job waits.", registry=REGISTRY
)
CREATED = Counter(
    "mho_jobs_created", "Jobs accepted, by method.", ["method", "tenant"], registry=REGISTRY
)
ENDED = Counter(
    "mho_jobs_ended",
    "Jobs ended, by method and final state.",
    ["method", "state", "tenant"],
    registry=REGISTRY,
)
QUEUE_WAIT = Histogram(
    "mho_job_queue_wait_seconds",
    "From accepting a job to its first start.",
    buckets=_JOB,
    registry=REGISTRY,
)
JOB_TIME = Histogram(
    "mho_job_duration_seconds",
    "From a job's first start to its end, waits between attempts included.",
    ["method", "state"],
    buckets=_JOB,
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "mho_job_attempts", "Attempts at jobs, by how they ended.", ["ending"], registry=REGISTRY
)
CHECKPOINTS = Histogram(
    "mho_checkpoint_duration_seconds",
    "Writing a checkpoint.",
    buckets=_CHECKPOINT,
    registry=REGISTRY,
)
CHECKPOINT_AGE = Gauge(
    "mho_checkpoint_age_seconds",
    "What a kill would cost: time since the newest checkpoint (or the start) of the running job "
    "for which it is longest.",
    registry=REGISTRY,
)
STANDARD_ERROR = Gauge(
    "mho_standard_error",
    "Standard errors of the scores of the last result that has them, over its units.",
    ["statistic"],
    registry=REGISTRY,
)

# the workers

EVALUATIONS = Counter(
    "mho_evaluations",
    "Evaluations of models at one input, by kind: forward, head, tail, gradient, resolved, "
    "activation, coalitions (under a mask), slopes (in the masks).",
    ["kind"],
    registry=REGISTRY,
)
WORKERS = Gauge("mho_workers", "Worker processes alive, by role.", ["role"], registry=REGISTRY)
STARTS = Counter(
    "mho_worker_starts", "Worker processes started, by role.", ["role"], registry=REGISTRY
)
DEATHS = Counter(
    "mho_worker_deaths",
    "Workers that ended when they should not have, by role and reason.",
    ["role", "reason"],
    registry=REGISTRY,
)
BUSY = Counter(
    "mho_worker_busy_seconds", "Time that workers spent on jobs.", ["tenant"], registry=REGISTRY
)
WORKER_MEMORY = Gauge(
    "mho_workers_resident_memory_bytes",
    "Resident memory of the workers of a role together.",
    ["role"],
    registry=REGISTRY,
)
WORKER_CPU = Counter(
    "mho_workers_cpu_seconds",
    "Processor time of the workers of a role together.",
    ["role"],
    registry=REGISTRY,
)
SESSION_HITS = Counter(
    "mho_session_cache_hits", "Sessions of onnxruntime found warm.", registry=REGISTRY
)
SESSION_MISSES = Counter(
    "mho_session_cache_misses", "Sessions of onnxruntime that had to be made.", registry=REGISTRY
)
SESSIONS = Gauge(
    "mho_session_cache_sessions", "Sessions that living workers keep warm.", registry=REGISTRY
)

# the calls

CALLS = Counter(
    "mho_calls", "Calls ended, by name and status.", ["call", "status", "tenant"], registry=REGISTRY
)
CALL_TIME = Histogram(
    "mho_call_duration_seconds",
    "Calls from their first to their last byte; a watch lasts as long as its job.",
    ["call"],
    buckets=_CALL,
    registry=REGISTRY,
)
OPEN_CALLS = Gauge(
    "mho_open_calls", "Calls under way, watches among them.", ["call"], registry=REGISTRY
)
ATTRIBUTION_WAIT = Histogram(
    "mho_attribution_queue_wait_seconds",
    "Synchronous calls, from their arrival to the run that answers them.",
    buckets=_CALL,
    registry=REGISTRY,
)
BATCH = Histogram(
    "mho_attribution_batch_calls",
    "Synchronous calls that one run answers together.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
    registry=REGISTRY,
)
REFUSED = Counter(
    "mho_refused_calls",
    "Calls refused or failed, by the reason told to the caller.",
    ["reason"],
    registry=REGISTRY,
)

ProcessCollector(registry=REGISTRY)

_shown = False


def show_tenants(shown: bool) -> None:
    """Whether series have the tenant's name."""
    global _shown
    _shown = shown


def of(tenant: str) -> str:
    """The value of the label ``tenant``."""
    return tenant if _shown else ""


def at_scrape(read: Callable[[], None]) -> Callable[[], None]:
    """Call ``read`` before every scrape, in the scraper's thread; what is returned ends that."""
    return _at_scrape.add(read)


def described() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Every metric of mho's own: its name as scraped, its type, its labels, its meaning."""
    found = []
    for entry in globals().values():
        if isinstance(entry, (Counter, Gauge, Histogram, Info)):
            (metric,) = entry.describe()
            suffix = {"counter": "_total", "info": "_info"}.get(metric.type, "")
            labels = ("version", "python") if entry is BUILD else tuple(entry._labelnames)
            found.append((metric.name + suffix, metric.type, labels, metric.documentation))
    return found
