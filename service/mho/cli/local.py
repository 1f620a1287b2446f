"""Commands that work in this process.

What reads and runs models (``mho.jobs.attribution``) is imported by the commands that need it, so
that the others and ``--help`` answer at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mho import config
from mho.artifacts.write import check_folder
from mho.cli import flags, show
from mho.data.source import Source
from mho.errors import InvalidOption, TooExpensive
from mho.jobs.task import Task
from mho.method import Method, options_of
from mho.registry import entries
from mho.types import JSON


def layers(arguments: argparse.Namespace) -> None:
    """Print the layers of a model."""
    from mho.jobs.attribution import inspect_model

    found = inspect_model(arguments.model, config.load())
    if arguments.json:
        show.json_text({"layers": found["layers"]})
    else:
        show.layers(found)


def methods(arguments: argparse.Namespace) -> None:
    """Print what methods there are, with their options."""
    found = described_methods()
    if arguments.json:
        show.json_text({"methods": found})
    else:
        show.methods(found)


def run(arguments: argparse.Namespace) -> None:
    """Run one method in this process, with a progress bar, and write its result."""
    from mho.jobs.attribution import open_run

    settings = config.load()
    if arguments.provider is not None:
        settings = replace(settings, provider=arguments.provider)
    if arguments.threads is not None:
        if arguments.threads < 1:
            raise InvalidOption("--threads must be 1 or more", subject="threads")
        settings = replace(settings, threads=arguments.threads)
    kind = entries("mho.methods", Method)[arguments.method]
    check_folder(arguments.out, model=kind.makes_model)
    options, files = chosen(arguments)
    task = Task(
        method=arguments.method,
        options=options,
        model=arguments.model,
        data=Source(arguments.inputs, arguments.labels, arguments.preprocess),
        attachments=files,
        cost_accepted=arguments.yes,
    )
    with show.progress(arguments.method) as bar:
        opened = open_run(task, settings, say=bar.message)
        for note in opened.notes:
            bar.note(note)
        while not opened.done:
            try:
                opened.step()
            except TooExpensive as error:
                if not bar.ask(f"{error.message}. Go on?"):
                    raise
                opened.accept_cost()
            bar.update(opened.progress())
        bar.message("writing the result")
        opened.write(arguments.out)
    show.result(arguments.out, said=opened.notes)


def chosen(arguments: argparse.Namespace) -> tuple[dict[str, JSON], dict[str, Path]]:
    """The method's options that were written, and the files that some of them name.

    InvalidOption where a value is neither a keyword nor a file that exists.
    """
    kind = entries("mho.methods", Method)[arguments.method]
    written: Mapping[str, Any] = vars(arguments)
    options: dict[str, JSON] = {}
    files: dict[str, Path] = {}
    for entry, described in options_of(kind):
        key = f"option_{entry.name}"
        if key not in written:
            continue
        value = written[key]
        if described.file and value not in described.choices:
            path = Path(value)
            if not path.exists():
                words = ", ".join(described.choices)
                raise InvalidOption(
                    f"{flags.flag(entry.name)} is '{value}', which is "
                    + (
                        f"neither one of {words} nor a file that exists"
                        if words
                        else "no file that exists"
                    ),
                    subject=entry.name,
                )
            files[entry.name] = path
        else:
            options[entry.name] = value
    return options, files


def described_methods() -> list[dict[str, Any]]:
    """Name, summary and options of every method, as JSON."""
    found = []
    for name, kind in entries("mho.methods", Method).items():
        options = [
            {
                "name": entry.name,
                "flag": flags.flag(entry.name),
                "metavar": flags.metavar(entry, described),
                "help": described.help,
                "explained": flags.explained(entry, described),
                "default": list(entry.default)
                if isinstance(entry.default, tuple)
                else entry.default,
                "choices": list(described.choices),
                "file": described.file,
                "used": entry.name in kind.uses,
            }
            for entry, described in options_of(kind)
        ]
        found.append({"name": name, "summary": kind.summary, "options": options})
    return found
