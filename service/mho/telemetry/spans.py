"""Spans for OpenTelemetry: collected where ``otel_endpoint`` is set, otherwise nothing at all.

OpenTelemetry is an extra, and is imported only where spans are collected. Its instrumentation of
gRPC is not used: it knows streaming servicers as generators only, and ours write to their context.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import mho
from mho.config import Settings
from mho.errors import InvalidOption
from mho.telemetry import trace
from mho.telemetry.about import note

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_SERVER_ERRORS = {"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED"}
"""Statuses that are the server's fault, by OpenTelemetry's conventions for gRPC."""

_current: ContextVar[str] = ContextVar("current", default="")
_wanted: ContextVar[int] = ContextVar("wanted", default=0)
"""The id that the next span is to have; 0 for any."""


class Span:
    """A span that has begun. ``context`` is what its children are given; where none are collected,
    that of its parent."""

    def __init__(self, context: str, end: Callable[[float, str], None] | None = None) -> None:
        self.context = context
        self._end = end

    def end(self, at: float | None = None, *, error: str = "") -> None:
        """End it, at ``at`` (seconds since the epoch) or now; ``error`` says why it failed."""
        if self._end is not None:
            self._end(time.time() if at is None else at, error)
            self._end = None


_Begin = Callable[[str, str, float, bool, Mapping[str, Any]], Span]

_begin: _Begin | None = None


def begin(
    name: str,
    parent: str,
    *,
    at: float | None = None,
    id: str = "",
    serves: bool = False,
    **facts: str | int | float,
) -> Span:
    """Begin a span. parent: a context, or "" for a trace of its own. at: seconds since the epoch.
    id: of the span, in hexadecimal. serves: whether it answers a call. facts: become attributes
    under ``mho.``."""
    if _begin is None:
        return Span(parent)
    _wanted.set(int(id or "0", 16))
    named = {f"mho.{key}": value for key, value in facts.items()}
    return _begin(name, parent, time.time() if at is None else at, serves, named)


def record(
    name: str, parent: str, start: float, end: float, *, error: str = "", id: str = "", **facts: Any
) -> None:
    """A span that is over, from ``start`` to ``end`` (seconds since the epoch)."""
    if _begin is not None:
        begin(name, parent, at=start, id=id, **facts).end(end, error=error)


def begin_call(name: str, traceparent: str) -> Span:
    """Begin the span of a call in the trace that the caller names, or in one of its own; records of
    the log carry the trace from now on."""
    span = begin(name, trace.accepted(traceparent), serves=True)
    context = span.context or trace.fresh()
    _current.set(context)
    note(trace=trace.trace_of(context))
    return span


def end_call(span: Span, status: str) -> None:
    """End the span of a call with its status."""
    span.end(error=status if status in _SERVER_ERRORS else "")


def current() -> str:
    """The context of the call that is being answered; "" outside of one."""
    return _current.get()


@contextmanager
def exported(settings: Settings) -> Iterator[None]:
    """Send spans to ``otel_endpoint`` inside the block, unless that is empty.

    InvalidOption where it is no URL of http or https, or where OpenTelemetry is not installed.
    """
    if not settings.otel_endpoint:
        yield
        return
    scheme = urlsplit(settings.otel_endpoint).scheme
    if scheme not in ("http", "https"):
        raise InvalidOption(
            f"otel_endpoint is '{settings.otel_endpoint}'; give the URL of a collector that "
            "speaks OTLP over gRPC, such as http://127.0.0.1:4317",
            subject="otel_endpoint",
        )
    try:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise InvalidOption(
            "otel_endpoint is set and OpenTelemetry is not installed; pip install 'mho[otel]', or "
            "unset it",
            subject="otel_endpoint",
        ) from error
    exporter = OTLPSpanExporter(endpoint=settings.otel_endpoint, insecure=scheme == "http")
    with collected(BatchSpanProcessor(exporter)):
        yield


@contextmanager
def collected(processor: SpanProcessor) -> Iterator[None]:
    """Give spans to ``processor`` inside the block."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    class Ids(RandomIdGenerator):
        def generate_span_id(self) -> int:
            wanted = _wanted.get()
            _wanted.set(0)
            return wanted or super().generate_span_id()

    about_us = Resource.create({"service.name": "mho", "service.version": mho.__version__})
    provider = TracerProvider(resource=about_us, id_generator=Ids(), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    tracer = provider.get_tracer("mho", mho.__version__)
    propagator = TraceContextTextMapPropagator()

    def begun(name: str, parent: str, at: float, serves: bool, facts: Mapping[str, Any]) -> Span:
        span = tracer.start_span(
            name,
            context=propagator.extract({"traceparent": parent}),
            kind=SpanKind.SERVER if serves else SpanKind.INTERNAL,
            attributes=facts,
            start_time=_nanoseconds(at),
        )
        written: dict[str, str] = {}
        propagator.inject(written, set_span_in_context(span))

        def end(at: float, error: str) -> None:
            if error:
                span.set_status(StatusCode.ERROR, error)
            span.end(_nanoseconds(at))

        return Span(written["traceparent"], end)

    global _begin
    _begin = begun
    try:
        yield
    finally:
        _begin = None
        provider.shutdown()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
