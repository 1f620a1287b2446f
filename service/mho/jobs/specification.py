"""Checks what a job asks for before it is accepted: the method, its options and what they name."""

from __future__ import annotations

import dataclasses
from typing import Any

from mho.errors import InvalidOption
from mho.jobs.admission import check_name
from mho.jobs.blobs import check_digest
from mho.jobs.job import Attachment, JobSpec
from mho.method import Method, Option, build, options_of
from mho.registry import find


def checked(spec: JobSpec, methods: str) -> JobSpec:
    """``spec`` where it can be run, with each option that names a file holding the file's name.

    methods: the package in which the methods are. InvalidOption names the option at fault.
    """
    kind: type[Any] = find(methods, Method, spec.method, subject="method")
    described = {entry.name: (option, entry.default) for entry, option in options_of(kind)}
    options = dict(spec.options)
    for name, attachment in spec.attachments.items():
        if name not in described or not described[name][0].file:
            takers = [key for key, (option, _) in described.items() if option.file]
            raise InvalidOption(
                f"nothing can be attached to '{name}' of {spec.method}; "
                f"files are taken by {', '.join(takers) or 'no option'}",
                subject=name,
            )
        option, default = described[name]
        _check_attachment(name, option, attachment)
        written = options.get(name, default)
        if written in option.choices and written != default:
            raise InvalidOption(
                f"option '{name}' is '{written}' and has an attachment too; give one of them",
                subject=name,
            )
        options[name] = attachment.name or attachment.dataset
    try:
        build(kind, options)
    except (ValueError, OverflowError) as error:  # figures that are no finite numbers
        raise InvalidOption(f"an option of {spec.method} has no usable number: {error}") from error
    for name, value in options.items():
        option, default = described[name]
        if not option.file or option.free or name in spec.attachments:
            continue
        if value not in (*option.choices, default):
            raise InvalidOption(
                f"option '{name}' is '{value}', but no file is attached under this name; attach it"
                + (f", or choose one of {', '.join(option.choices)}" if option.choices else ""),
                subject=name,
            )
    return dataclasses.replace(spec, options=options)


def _check_attachment(name: str, option: Option, attachment: Attachment) -> None:
    if option.file == "data":
        if not attachment.dataset or attachment.sha256:
            raise InvalidOption(
                f"option '{name}' names data: attach a data set by its id, not a file", subject=name
            )
        return
    if attachment.dataset or not attachment.sha256:
        raise InvalidOption(
            f"option '{name}' names a file: attach an uploaded file by name and SHA-256, "
            "not a data set",
            subject=name,
        )
    check_digest(attachment.sha256)
    if check_name(attachment.name) in option.choices:
        raise InvalidOption(
            f"the file attached to '{name}' is called '{attachment.name}', which is a keyword of "
            "this option; rename the file",
            subject=name,
        )
