"""Trace contexts in the form of W3C's ``traceparent``: ``00-TRACE-SPAN-FLAGS`` in hexadecimal.

A context is kept as its text. So a job can carry the one of the call that made it, and the log can
name the trace, whether or not anybody collects spans.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")


def accepted(text: str) -> str:
    """``text`` where it is a trace context; "" otherwise."""
    return text if _FORM.fullmatch(text) else ""


def fresh() -> str:
    """A new trace, which nobody collects."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def trace_of(context: str) -> str:
    """The trace's id; "" where there is no context."""
    return context.split("-")[1] if context else ""


def span_of(job: str) -> str:
    """The id of a job's span, which follows from the job's: so every server that works on it knows
    the span before it has ended."""
    return hashlib.sha256(f"job {job}".encode()).hexdigest()[:16]


def inside(context: str, job: str) -> str:
    """The context of the job's span in the trace of ``context``; "" where there is none."""
    if not context:
        return ""
    version, trace, _, flags = context.split("-")
    return "-".join((version, trace, span_of(job), flags))
