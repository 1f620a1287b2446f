"""Settings: defaults, then a YAML file, then the environment (``MHO_<NAME>``), into one frozen
object."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from mho.errors import InvalidOption

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. Sizes are bytes, times seconds."""

    # where the server listens and keeps its things
    host: str = "127.0.0.1"
    """Address to listen at; loopback only, unless there are both TLS and authentication."""
    port: int = 50061
    """Port to listen at; 0 takes a free one."""
    data_dir: str = "mho-data"
    """Folder of models, data sets, jobs and results; one server at a time, or several that share a
    ``database``."""
    database: str = field(default="", repr=False)
    """Where jobs are recorded: empty for a SQLite file in ``data_dir``, or the URL of a PostgreSQL,
    which several servers may share; see docs/operations.md."""
    lease_seconds: float = 30.0
    """How long a server that shares its database may give no sign of life before others take over
    its jobs."""
    workers: int = 1
    """Worker processes, each with one job at a time."""
    drain_seconds: float = 20.0
    """How long a stopping server waits for calls to end and for running jobs to checkpoint."""
    reflection: bool = True
    """Whether tools such as grpcurl may ask the server what services it has."""

    # what its operator sees
    log_level: str = "INFO"
    """Least level of what is logged: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``."""
    log_format: str = "text"
    """``text`` for people, ``json`` for machines; either way one record a line, on stderr."""

    # encryption
    tls_certificate: str = ""
    """File of the server's certificate and its chain (PEM); like the files below, it is read again
    when it changes."""
    tls_key: str = ""
    """File of the certificate's private key (PEM, without a password)."""
    tls_client_ca: str = ""
    """File of the authorities (PEM) of which every client must then have a certificate."""

    # who may use it
    tenants_file: str = ""
    """YAML file of tenants with their tokens, certificates, quotas and weights, see
    docs/operations.md; read again when it changes."""

    jwt_keys_file: str = ""
    """Public keys (PEM or JWKS) of whom JSON web tokens are taken from; read again when it
    changes."""
    jwt_issuer: str = ""
    """What the claim ``iss`` of such a token must be."""
    jwt_audience: str = ""
    """What the claim ``aud`` of such a token must be or hold."""
    jwt_tenant_claim: str = "tenant"
    """Claim that names the tenant."""
    jwt_role_claim: str = "role"
    """Claim with the role, ``reader``, ``writer`` or ``admin``, or a list that holds some."""

    # what a tenant may use where the tenants file says nothing else; 0 means no limit
    quota_bytes: int = 0
    """Bytes that a tenant may keep, unfinished uploads included."""
    quota_jobs: int = 0
    """Jobs that a tenant may keep, ended ones included."""
    quota_queued_jobs: int = 1000
    """Jobs of a tenant that wait for a worker; further ones are refused."""
    quota_running_jobs: int = 0
    """Jobs of a tenant that run at the same time; others wait."""
    quota_device_seconds_per_day: float = 0.0
    """Seconds a day that workers spend for a tenant; its jobs wait when they are spent."""
    quota_concurrent_calls: int = 0
    """Calls of a tenant under way at the same time, streams apart."""
    quota_concurrent_streams: int = 0
    """Uploads, downloads and watches of a tenant under way at the same time."""

    otel_endpoint: str = ""
    """URL of a collector to which spans are sent by OTLP over gRPC, such as
    ``http://127.0.0.1:4317``; needs the extra ``otel``. Empty for none."""
    metrics_port: int = 0
    """Port at which Prometheus scrapes ``/metrics`` over plain HTTP; 0 for none."""
    metrics_host: str = "127.0.0.1"
    """Address of that port. Whoever reaches it reads the metrics, without being asked who it is."""
    metrics_tenants: bool = False
    """Whether metrics are kept for each tenant by name, which makes a series for each."""

    # how models are run
    provider: str = "auto"
    """``auto`` (CUDA where present, else CPU), ``cuda`` or ``cpu``; what is asked for must be
    there."""
    threads: int = 0
    """Threads of one session; 0 means the cores this process may use, shared among the workers."""
    memory_bytes: int = 1024 * _MIB
    """Budget for the activations of one batch."""
    session_cache: int = 8
    """Sessions kept warm."""

    # synchronous calls
    serving_workers: int = 4
    """Processes reserved for synchronous calls, each of one tenant at a time and started when it is
    needed; with fewer than there are tenants that call at the same time, calls wait for one."""
    serving_sessions: int = 16
    """Combinations of model, method, options and layers that a serving process keeps warm."""
    serving_memory_bytes: int = 2048 * _MIB
    """Budget for the sessions that a serving process keeps warm, as far as it can be told."""
    serving_idle_seconds: float = 600.0
    """How long a serving process without calls is kept."""
    serving_batch: int = 8
    """Most inputs of waiting calls that are run together."""
    serving_queue: int = 64
    """Most synchronous calls of a tenant that wait."""
    serving_seconds: float = 30.0
    """Longest that a synchronous call may take, waiting included; a shorter deadline of the call
    itself holds."""

    # what a run may cost and how it is kept
    cost_limit_seconds: float = 900.0
    """Estimated duration beyond which a run stops, unless its cost was accepted."""
    checkpoint_seconds: float = 5.0
    """How often a running job writes down what it has."""
    job_attempts: int = 3
    """How often in a row a job may lose its worker without a newer checkpoint before it fails."""
    inspect_seconds: float = 120.0
    """Wall clock for parsing and checking an uploaded model or data set."""

    # whose turn it is
    priority_seconds: float = 3600.0
    """How much earlier than submitted a job of high priority counts, and later one of low."""
    turn_seconds: float = 60.0
    """How long a job may run while another tenant waits for its share of the workers; then it keeps
    a checkpoint and waits in turn. 0: a job that runs is never interrupted for another."""
    max_queued_jobs: int = 10_000
    """Jobs that wait for a worker, of all tenants together; further ones are refused."""
    max_calls: int = 1000
    """Calls under way at the same time, of all tenants together, streams apart; 0: no limit."""
    max_streams: int = 1000
    """Uploads, downloads and watches under way at the same time, of all tenants together; 0: no
    limit."""

    # what may come in
    max_model_bytes: int = 4096 * _MIB
    """Largest model, external data included."""
    max_nodes: int = 200_000
    """Most nodes of a model, those of functions and subgraphs included."""
    max_nesting: int = 16
    """Deepest nesting of subgraphs."""
    max_data_bytes: int = 8192 * _MIB
    """Largest data set, unpacked."""
    max_image_pixels: int = 64_000_000
    """Most pixels of one image."""
    stalled_seconds: float = 120.0
    """How long an upload may send nothing before it is ended; what came is kept."""
    max_upload_bytes: int = 8192 * _MIB
    """Largest file of an upload, and most bytes of a tenant's unfinished uploads together."""


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from ``file`` (YAML, optional) and the environment, which wins.

    InvalidOption names an unknown key, or a value that is not of the setting's type.
    """
    environment = os.environ if environment is None else environment
    kinds: dict[str, type[Any]] = {entry.name: type(entry.default) for entry in fields(Settings)}
    values: dict[str, Any] = {}
    if file is not None:
        try:
            written = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InvalidOption(
                f"the settings file {file} cannot be read: {error}", subject=str(file)
            ) from error
        if not isinstance(written, dict):
            raise InvalidOption(f"the settings file {file} must hold 'name: value' lines")
        for name, value in written.items():
            if name not in kinds:
                raise InvalidOption(
                    f"{file}: there is no setting '{name}'; there are {', '.join(kinds)}",
                    subject=str(name),
                )
            values[name] = _converted(name, str(value), kinds[name])
    for name, kind in kinds.items():
        written_as = f"MHO_{name.upper()}"
        if written_as in environment:
            values[name] = _converted(written_as, environment[written_as], kind)
    return Settings(**values)


def _converted(name: str, text: str, kind: type[Any]) -> Any:
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise InvalidOption(f"{name} is '{text}'; write true or false", subject=name)
        return text.lower() in ("true", "1")
    try:
        return kind(text)
    except ValueError as error:
        raise InvalidOption(
            f"{name} is '{text}'; a {'number' if kind is float else 'whole number'} is needed",
            subject=name,
        ) from error
