"""Checks what a job asks for before it is accepted: the method, its options and what they name.

What a model or a data set must be read for is left to the worker; here only their summaries are
asked, which were made when they were uploaded.
"""

from __future__ import annotations

import dataclasses
import difflib
from fnmatch import fnmatchcase
from typing import Any

from mho.errors import InvalidOption, UnknownLayer
from mho.jobs.admission import check_name
from mho.jobs.blobs import check_digest
from mho.jobs.job import Attachment, DatasetRecord, JobSpec, ModelRecord
from mho.method import GameMethod, Method, Option, build, options_of
from mho.registry import entries, find
from mho.value import Needs, Value, chosen

_UNLABELLED = (
    "needs a label for every input, but data set '{}' has none; upload the inputs with labels "
    "(--labels), or take"
)


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
    build(kind, options)
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


def check_fit(spec: JobSpec, methods: str, model: ModelRecord, dataset: DatasetRecord) -> None:
    """InvalidOption or UnknownLayer where ``checked`` options do not fit the model or the data.

    A record that says nothing on a question, as one of an earlier version may, is no objection.
    """
    kind: type[Any] = find(methods, Method, spec.method, subject="method")
    method = build(kind, spec.options)
    check_names(method, model)
    judges_by_target = "target" in method.uses
    if isinstance(method, GameMethod):
        value = chosen(method)
        _check_value(value, dataset)
        judges_by_target = "target" in value.takes
    if judges_by_target and method.target == "label" and _lacks(dataset, "labels"):
        raise InvalidOption(
            f"target 'label' {_UNLABELLED.format(_called(dataset))} another target",
            subject="target",
        )


def check_names(method: Method[Any, Any], model: ModelRecord) -> None:
    """InvalidOption or UnknownLayer where options name what ``model`` does not have."""
    _check_tensors(method, model)
    _check_output(method, model)
    _check_target(method)


def _check_tensors(method: Method[Any, Any], model: ModelRecord) -> None:
    """Layers are read as by ``graph.units.select``: a tensor's name, or a glob over the layers."""
    if "tensors" not in model.summary or "layers" not in model.summary:
        return
    listed = [entry["name"] for entry in model.summary["layers"]]
    tensors = set(model.summary["tensors"]).union(listed)
    for pattern in method.named_layers:
        if pattern not in tensors and not any(fnmatchcase(name, pattern) for name in listed):
            raise _no_tensor(pattern, _naming(method, pattern), listed, model)
    path = method.path_input
    if path and "path_input" in method.uses and path not in tensors:
        raise _no_tensor(path, "path_input", [], model)


def _naming(method: Method[Any, Any], layer: str) -> str:
    """The option that names ``layer``, or units of it."""
    for entry, _ in options_of(type(method)):
        value = getattr(method, entry.name)
        if isinstance(value, tuple) and any(text.rpartition(":")[0] == layer for text in value):
            return entry.name
    return "layers"


def _no_tensor(name: str, option: str, layers: list[str], model: ModelRecord) -> UnknownLayer:
    known = dict.fromkeys([*layers, *model.summary["tensors"]])
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    if close:
        hint = "did you mean " + " or ".join(f"'{each}'" for each in close) + "?"
    else:
        hint = "the layers are listed with the model, and by 'mho layers'"
    return UnknownLayer(
        f"option '{option}' names '{name}', but model '{_called(model)}' has no layer or "
        f"floating-point tensor of this name; {hint}",
        subject=option,
    )


def _check_output(method: Method[Any, Any], model: ModelRecord) -> None:
    if not method.output or "output" not in method.uses or "outputs" not in model.summary:
        return
    names = [entry["name"] for entry in model.summary["outputs"]]
    if method.output not in names:
        raise UnknownLayer(
            f"model '{_called(model)}' has no output '{method.output}'; its outputs are "
            f"{', '.join(names)}",
            subject="output",
        )


def _check_target(method: Method[Any, Any]) -> None:
    """How many classes there are is known to the worker."""
    if "target" not in method.uses or method.target in ("argmax", "label"):
        return
    try:
        usable = int(method.target) >= 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidOption(
            f"target is '{method.target}'; it must be a class index, argmax or label",
            subject="target",
        )


def _check_value(value: Value, dataset: DatasetRecord) -> None:
    """InvalidOption where ``value`` needs something that ``dataset`` does not carry."""
    if Needs.LABELS in value.needs and _lacks(dataset, "labels"):
        raise InvalidOption(
            f"value '{value.name}' {_UNLABELLED.format(_called(dataset))} value {_others()}",
            subject="value",
        )
    if Needs.TRUTH in value.needs and _lacks(dataset, "truth"):
        raise InvalidOption(
            f"value '{value.name}' needs the targets of every input, but data set "
            f"'{_called(dataset)}' has none; upload the inputs with a .npy of floats as labels, or "
            f"an .npz with 'targets', or take value {_others()}",
            subject="value",
        )
    if Needs.SUBGROUPS in value.needs and "groups" in dataset.summary:
        there = dataset.summary["groups"]
        for name in value.asked.subgroups:
            if name not in there:
                raise InvalidOption(
                    f"data set '{_called(dataset)}' has no subgroup '{name}'; it has "
                    f"{', '.join(there)[:500] or 'none'}: name one of these, or upload an .npz "
                    "with boolean arrays 'groups/<name>'",
                    subject="subgroups",
                )


def _lacks(dataset: DatasetRecord, what: str) -> bool:
    return not dataset.summary.get(what, True)


def _others() -> str:
    """The values that need nothing but the inputs."""
    return " or ".join(
        name for name, kind in entries("mho.values", Value).items() if not kind.needs
    )


def _called(record: ModelRecord | DatasetRecord) -> str:
    return record.display_name or record.id


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
