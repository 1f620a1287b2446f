"""Keeps secrets out of the log: credentials are blanked wherever they stand in a text."""

from __future__ import annotations

import re

BLANK = "[redacted]"

_PATTERNS = (
    # scheme://user:password@host; greedy, for passwords that hold an unescaped @ or /
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@'\"]*:)[^\s'\"]+@", re.I), rf"\1{BLANK}@"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.I), rf"\1 {BLANK}"),
    # JSON web tokens
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)?"), BLANK),
    (
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.S),
        BLANK,
    ),
    # password=…, "api-key": …, authorization: …
    (
        re.compile(
            r"(?<![A-Za-z0-9])(authorization|password|passwd|secret|token|api[_-]?key)"
            r"(['\"]?\s*[=:]\s*|['\"]?\s*,\s*(?=['\"]))(?!\[redacted|bearer |basic )"
            r"(['\"]?)[^\s'\",;&)\]}]+",
            re.I,
        ),
        rf"\1\2\3{BLANK}",
    ),
)


def redacted(text: str) -> str:
    """``text`` with ``[redacted]`` for passwords, tokens and keys."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
