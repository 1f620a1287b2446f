"""The metrics of a real server, scraped over HTTP, against what really happened."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from prometheus_client.parser import text_string_to_metric_families

import shapes
from api.running import Running
from certificates import Authority
from jobs.server import until
from mho.api import tls
from mho.config import Settings
from mho.errors import InvalidOption
from mho.jobs.control import Control
from mho.jobs.job import JobState
from mho.telemetry import figures, metrics, processes
from mho.telemetry.endpoint import exposed, serving
from mho_client import Client, Dataset, MhoClientError, Model

Scraped = Callable[..., float]
JOBS = {"mho_evaluations_total", "mho_jobs_created_total"}


@pytest.fixture(scope="module", autouse=True)
def no_others() -> Iterator[None]:
    """Workers of servers that other modules keep in this process are not counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "_watched", {})
        yield


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving("127.0.0.1", 0) as found:
        yield found


def scrape(port: int) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if v))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def risen(port: int) -> Scraped:
    """By how much a series has risen since the test began."""
    before = scrape(port)

    def by(name: str, **labels: str) -> float:
        key = (name, tuple(sorted(labels.items())))
        return scrape(port).get(key, 0.0) - before.get(key, 0.0)

    return by


@pytest.fixture
def now(port: int) -> Scraped:
    return lambda name, **labels: scrape(port)[name, tuple(sorted(labels.items()))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A whole server with real workers."""
    settings = Settings(
        data_dir=str(tmp_path_factory.mktemp("metrics") / "data"),
        port=0,
        threads=1,
        provider="cpu",
        checkpoint_seconds=0.05,
        log_level="DEBUG",
    )
    control = Control(settings)
    control.start()
    running = Running(control, settings)
    yield running
    running.channel.close()
    running.stop(0)
    control.close()


@pytest.fixture
def client(server: Running) -> Iterator[Client]:
    with Client(server.address) as connected:
        yield connected


@pytest.fixture
def model(client: Client) -> Model:
    return client.upload_model(shapes.MODEL)


@pytest.fixture
def data(client: Client, model: Model, tmp_path: Path) -> Dataset:
    inputs, labels = shapes.inputs(tmp_path, 6)
    return client.upload_dataset(model, inputs, labels=labels)


def test_the_figures_of_a_job_are_what_happened(
    client: Client, tmp_path: Path, risen: Scraped, now: Scraped
) -> None:
    inputs, labels = shapes.inputs(tmp_path, 6, seed=77)
    model = client.upload_model(shapes.MODEL)
    data = client.upload_dataset(model, inputs, labels=labels)
    sent = inputs.stat().st_size
    assert sent <= risen("mho_uploaded_bytes_total") <= sent + shapes.MODEL.stat().st_size + 9999
    options = {"layers": ["conv1/relu"], "estimator": "permutation", "evaluations": 60}
    result = client.submit("shapley", model, data, **options).result()
    method = {"method": "shapley"}
    assert risen("mho_jobs_created_total", **method) == 1
    assert risen("mho_jobs_ended_total", **method, state="SUCCEEDED") == 1
    assert risen("mho_job_queue_wait_seconds_count") == 1
    assert risen("mho_job_duration_seconds_count", **method, state="SUCCEEDED") == 1
    assert until(lambda: risen("mho_job_attempts_total", ending="succeeded")) == 1
    assert risen("mho_worker_busy_seconds_total") > 0
    spent = result.summary["evaluations"]["coalitions"]
    # Rows under a mask: every coalition is played on all six inputs.
    assert risen("mho_evaluations_total", kind="coalitions") == pytest.approx(6 * spent, rel=0.02)
    errors = result.std_error["conv1/relu"]
    assert now("mho_standard_error", statistic="max") == pytest.approx(errors.max())
    assert now("mho_standard_error", statistic="median") == pytest.approx(np.median(errors))
    assert risen("mho_session_cache_misses_total") > 0
    assert now("mho_session_cache_sessions") > 0
    assert now("mho_queued_jobs") == now("mho_running_jobs") == 0
    assert now("mho_queue_age_seconds") == now("mho_checkpoint_age_seconds") == 0


def test_a_path_counts_its_evaluations(
    client: Client, model: Model, data: Dataset, risen: Scraped
) -> None:
    result = client.submit("conductance", model, data, layers=["conv1/relu"]).result()
    for kind, spent in result.summary["evaluations"].items():
        assert risen("mho_evaluations_total", kind=kind) == spent


def test_a_job_under_way_shows(
    server: Running, client: Client, model: Model, data: Dataset, risen: Scraped, now: Scraped
) -> None:
    options = {"layers": ["conv1/relu"], "estimator": "permutation", "evaluations": 10**7}
    first = client.submit("shapley", model, data, accept_cost=True, **options)
    second = client.submit("shapley", model, data, seed=1, **options)
    until(lambda: now("mho_running_jobs") == 1 and now("mho_queued_jobs") == 1)
    until(lambda: risen("mho_evaluations_total", kind="coalitions") > 0)
    until(lambda: risen("mho_checkpoint_duration_seconds_count") > 0)
    until(lambda: now("mho_queue_age_seconds") > 0)
    assert now("mho_workers", role="job") == 1
    assert now("mho_workers_resident_memory_bytes", role="job") > 10e6
    assert risen("mho_workers_cpu_seconds_total", role="job") > 0
    second.cancel()
    first.cancel()
    cancelled = {"method": "shapley", "state": "CANCELLED"}
    until(lambda: risen("mho_jobs_ended_total", **cancelled) == 2)


def test_calls_are_counted_by_status_and_refusals_by_reason(
    client: Client, risen: Scraped, now: Scraped
) -> None:
    with pytest.raises(MhoClientError):
        client.model("tenants/default/models/none")
    call = "mho.v1.Models/GetModel"
    assert until(lambda: risen("mho_calls_total", call=call, status="NOT_FOUND")) == 1
    assert risen("mho_refused_calls_total", reason="NOT_FOUND") == 1
    assert risen("mho_call_duration_seconds_count", call=call) == 1
    assert now("mho_open_calls", call=call) == 0


def test_a_watch_is_an_open_call(client: Client, model: Model, data: Dataset, now: Scraped) -> None:
    options = {"layers": ["conv1/relu"], "estimator": "permutation", "evaluations": 10**7}
    job = client.submit("shapley", model, data, accept_cost=True, **options)
    watch = iter(job.watch())
    next(watch)
    until(lambda: now("mho_open_calls", call="mho.v1.Jobs/WatchJob") == 1)
    job.cancel()
    until(lambda: now("mho_open_calls", call="mho.v1.Jobs/WatchJob") == 0)


def test_a_synchronous_call_is_counted(
    client: Client, model: Model, tmp_path: Path, risen: Scraped, now: Scraped
) -> None:
    inputs, _ = shapes.inputs(tmp_path, 2)
    client.attribute(model, "activation", np.load(inputs), layers=["conv1/relu"])
    assert risen("mho_attribution_batch_calls_count") == 1
    assert risen("mho_attribution_batch_calls_sum") == 1
    assert risen("mho_attribution_queue_wait_seconds_count") == 1
    assert risen("mho_evaluations_total", kind="activation") == 2
    assert now("mho_workers", role="serving") == 1


def test_a_worker_that_is_killed_is_counted(
    server: Running, client: Client, model: Model, data: Dataset, risen: Scraped
) -> None:
    options = {"layers": ["conv1/relu"], "estimator": "permutation", "evaluations": 10**7}
    job = client.submit("shapley", model, data, accept_cost=True, **options)
    until(lambda: risen("mho_evaluations_total", kind="coalitions") > 0)
    (worker,) = [w for w in processes._watched.values() if w.role == "job"]
    worker.process.kill()
    until(lambda: risen("mho_worker_deaths_total", role="job", reason="signal 9") == 1)
    until(lambda: risen("mho_worker_starts_total", role="job") == 1)
    assert risen("mho_job_attempts_total", ending="lost") == 1
    job.cancel()
    until(lambda: job.status().state in {JobState.CANCELLED.value, "CANCELLED"})


def test_the_service_is_described(now: Scraped) -> None:
    assert now("mho_disk_size_bytes") > now("mho_disk_free_bytes") > 0
    assert now("mho_database_transaction_seconds_count", kind="write") > 0
    assert now("mho_database_transaction_seconds_count", kind="read") > 0
    assert now("process_resident_memory_bytes") > 0
    assert now("mho_scrape_failures_total") == 0


def test_tenants_have_series_only_on_request(port: int, server: Running) -> None:
    metrics.show_tenants(True)
    try:
        server.upload(b"of a tenant")
        assert scrape(port)["mho_uploaded_bytes_total", (("tenant", "default"),)] == 11
    finally:
        metrics.show_tenants(False)


def test_a_figure_that_cannot_be_read_hides_no_other(risen: Scraped, now: Scraped) -> None:
    def broken() -> None:
        raise OSError("the disk is gone")

    remove = metrics.at_scrape(broken)
    try:
        assert now("mho_disk_size_bytes") > 0
        assert risen("mho_scrape_failures_total") >= 1
    finally:
        remove()


def test_no_port_means_no_endpoint_and_a_taken_one_is_refused(port: int) -> None:
    with exposed(Settings()) as found:
        assert found == 0
    with (
        pytest.raises(InvalidOption, match="metrics cannot be served") as caught,
        exposed(Settings(metrics_port=port)),
    ):
        pass
    assert caught.value.subject == "metrics_port"


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        "sessions",
        {"sessions": float("nan")},
        {"sessions": float("inf")},
        {"sessions": -1},
        {"sessions": "3"},
        {"sessions": True, "evaluations/forward": 10**400},
        {"evaluations/anything": 1, "secrets": 1},
    ],
)
def test_what_a_worker_tells_is_believed_only_in_form(told: object) -> None:
    assert not any(figures.checked(told).values())


def test_counts_are_told_once() -> None:
    figures.taken()
    figures.evaluated("forward", 3)
    figures.evaluated("forward", 4)
    figures.level(figures.SESSIONS, 2)
    assert figures.checked(figures.taken()) == {"evaluations/forward": 7, "sessions": 2}
    assert figures.taken() == {}


def test_every_metric_follows_the_conventions() -> None:
    for name, kind, labels, meaning in metrics.described():
        assert name.startswith("mho_")
        assert name.endswith("_total") == (kind == "counter")
        assert meaning.endswith(".")
        assert "le" not in labels
    names = {name for name, *_ in metrics.described()}
    assert names >= JOBS
    assert len(names) == len(metrics.described())


def test_the_expiry_of_the_certificate_is_told(tmp_path: Path, now: Scraped) -> None:
    certificate, key = Authority("metrics").write(tmp_path, "server")
    tls.read(Settings(tls_certificate=str(certificate), tls_key=str(key)))
    (shown,) = x509.load_pem_x509_certificates(certificate.read_bytes())[:1]
    expiry = now("mho_certificate_expiry_timestamp_seconds")
    assert expiry == shown.not_valid_after_utc.timestamp()
