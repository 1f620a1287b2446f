"""The commands and their flags; those of a method are derived from the method's own fields."""

from __future__ import annotations

import argparse
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from mho import __version__
from mho.cli import doctor, flags, local, remote, token
from mho.method import Method, options_of
from mho.registry import entries
from mho.tenants import Role

_SERVER = "localhost:50061"
_MODEL = "MODEL"


class _Parser(argparse.ArgumentParser):
    """Errors in one line that says where the help is: that of the command at fault."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse here what is unknown; argparse would leave it to the outermost parser."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        greedy = [a.option_strings[0] for a in self._actions if a.option_strings and a.nargs == "+"]
        if greedy and _MODEL in message.split(": ", 1)[-1].split(", "):
            message += (
                f"; write {_MODEL} before {' and '.join(greedy)}, which takes all that follows it"
            )
        self.exit(2, f"mho: error: {message}; '{self.prog} --help' tells what can be written\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line. ``namespace.command`` is the function that runs what was asked
    for."""
    top = _Parser(
        prog="mho", description="Finds the neurons responsible for what an ONNX model does."
    )
    top.add_argument("--version", action="version", version=f"mho {__version__}")
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    layers = _command(commands, "layers", local.layers, "list the layers and units of a model")
    layers.add_argument("model", type=Path, metavar=_MODEL, help=".onnx file")
    layers.add_argument("--json", action="store_true", help="print JSON")

    methods = _command(commands, "methods", local.methods, "list the methods and their options")
    methods.add_argument("--json", action="store_true", help="print JSON")

    run = commands.add_parser("run", help="score units on this machine")
    for name, one in _for_each_method(run, local.run):
        _add_task(one)
        one.add_argument(
            "--out", type=Path, required=True, metavar="DIR", help="folder of the result"
        )
        one.add_argument(
            "--provider", choices=("auto", "cuda", "cpu"), help="where models run (default auto)"
        )
        one.add_argument("--threads", type=int, metavar="N", help="threads (default: all cores)")
        _add_options(one, name)

    serve = _command(commands, "serve", remote.serve, "serve attribution jobs over gRPC")
    _add_settings(serve)

    examined = _command(
        commands, "doctor", doctor.examine, "check whether 'mho serve' can run on this machine"
    )
    _add_settings(examined)
    examined.add_argument("--json", action="store_true", help="print JSON")

    made = _command(commands, "token", token.make, "make a token for a tenant of a server")
    made.add_argument(
        "--role", choices=[role.word for role in Role], default="writer", help="default writer"
    )
    made.add_argument(
        "--expires", metavar="TIME", help="a day, 2027-01-31, or a time, 2027-01-31T18:00:00Z"
    )

    submit = commands.add_parser("submit", help="score units on a server")
    for name, one in _for_each_method(submit, remote.submit):
        _add_task(one)
        _add_server(one)
        one.add_argument(
            "--out", type=Path, metavar="DIR", help="wait for the job and put its result here"
        )
        one.add_argument("--wait", action="store_true", help="wait for the job to end")
        one.add_argument(
            "--request-id", default="", metavar="ID", help="the same id is the same job"
        )
        one.add_argument(
            "--priority",
            choices=("low", "normal", "high"),
            default="normal",
            help="among the tenant's own jobs (default normal)",
        )
        one.add_argument(
            "--deadline",
            type=flags.deadline,
            metavar="WHEN",
            help="fail the job if it has not ended in 30m, 2h, 1d, or by 2030-01-31T18:00",
        )
        _add_labels(one, "what to find the job by")
        _add_options(one, name)

    for name, command, text in (
        ("watch", remote.watch, "follow a job until it ends"),
        ("fetch", remote.fetch, "put the result of a job into a folder"),
        ("cancel", remote.cancel, "stop a job"),
    ):
        one = _command(commands, name, command, text)
        one.add_argument("job", metavar="JOB", help="the job's name, as submit and list print it")
        _add_server(one)
        if name == "fetch":
            one.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder")
    listing = _command(commands, "list", remote.list_jobs, "list the jobs of a server")
    listing.add_argument("--json", action="store_true", help="print JSON")
    _add_labels(listing, "only jobs that have this label")
    _add_server(listing)
    return top


def _command(
    commands: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str
) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    one.set_defaults(command=run)
    return one


def _for_each_method(
    under: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int | None]
) -> list[tuple[str, argparse.ArgumentParser]]:
    choices = under.add_subparsers(metavar="METHOD", required=True, dest="method")
    made = []
    for name, kind in _methods().items():
        text = inspect.cleandoc(kind.__doc__ or "")
        one = choices.add_parser(
            name,
            help=kind.summary,
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        one.set_defaults(command=run)
        made.append((name, one))
    return made


def _methods() -> dict[str, type[Method[Any, Any]]]:
    return entries("mho.methods", Method)


def _add_settings(one: argparse.ArgumentParser) -> None:
    one.add_argument("--config", type=Path, metavar="FILE", help="settings as YAML")
    one.add_argument("--port", type=int, metavar="N", help="port; 0 takes a free one")
    one.add_argument("--data-dir", type=Path, metavar="DIR", help="where models, jobs, results lie")


def _add_task(one: argparse.ArgumentParser) -> None:
    one.add_argument("model", type=Path, metavar=_MODEL, help=".onnx file")
    one.add_argument(
        "--inputs",
        type=Path,
        required=True,
        metavar="FILE|DIR|ZIP",
        help=".npy, .npz keyed by graph input, or a folder or ZIP of images",
    )
    one.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="class of each input: .npy or .tsv; or the targets of a regressor: .npy of floats",
    )
    one.add_argument(
        "--preprocess",
        metavar="SPEC",
        help="how images become inputs: a YAML or JSON file, the text itself, or a preset's name",
    )
    one.add_argument("--yes", action="store_true", help="accept any estimated cost")


def _add_server(one: argparse.ArgumentParser) -> None:
    one.add_argument("--server", default=_SERVER, metavar="HOST:PORT", help=f"default {_SERVER}")
    one.add_argument(
        "--tenant",
        default=os.environ.get("MHO_TENANT", "default"),
        metavar="NAME",
        help="default MHO_TENANT, or 'default'",
    )
    access = one.add_argument_group("how the server is known, and how it knows you")
    access.add_argument(
        "--ca", metavar="FILE", help="authorities of the server's certificate; default MHO_CA"
    )
    access.add_argument("--cert", metavar="FILE", help="your certificate; default MHO_CERT")
    access.add_argument("--key", metavar="FILE", help="its key; default MHO_KEY")
    access.add_argument(
        "--token",
        metavar="TOKEN",
        help="default MHO_TOKEN; others on this machine can see it here, unlike in --token-file",
    )
    access.add_argument(
        "--token-file", metavar="FILE", help="file that holds the token; default MHO_TOKEN_FILE"
    )


def _add_labels(one: argparse.ArgumentParser, text: str) -> None:
    one.add_argument(
        "--label",
        type=flags.label,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help=f"{text}; may be given again",
    )


def _add_options(one: argparse.ArgumentParser, method: str) -> None:
    kind = _methods()[method]
    group = one.add_argument_group("options of the method")
    for entry, described in options_of(kind):
        text = flags.explained(entry, described)
        if entry.name not in kind.uses:
            text += f" [no meaning for {method}]"
        settings: dict[str, Any] = {
            "dest": f"option_{entry.name}",
            "default": argparse.SUPPRESS,
            "help": text.replace("%", "%%"),
            "metavar": flags.metavar(entry, described),
        }
        if isinstance(entry.default, tuple):
            settings |= {"nargs": "+", "action": "extend"}
        elif isinstance(entry.default, (int, float)):
            settings["type"] = _number(type(entry.default))
        group.add_argument(flags.flag(entry.name), **settings)


def _number(kind: type[Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"'{text}' is not {wanted}") from None

    return convert
