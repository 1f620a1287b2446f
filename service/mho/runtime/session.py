"""onnxruntime sessions, kept warm by the content of their graph."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mho.config import Settings
from mho.errors import Cancelled, InvalidModel, ResourceExhausted, Unsupported
from mho.graph.model import Model, save, serialized
from mho.runtime.provider import CPU, Provider, choose, threads
from mho.telemetry import figures
from mho.types import Array, Feeds

_CHUNK = 1 << 22
_OUT_OF_MEMORY = (
    "Failed to allocate memory",
    "bad allocation",
    "bad_alloc",
    "out of memory",
    "Available memory of",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


class OutOfMemory(ResourceExhausted):
    """A batch did not fit; the caller halves it and tries again."""


class Interrupt:
    """Stops what runs through sessions, from another thread; a load can't be stopped."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._options: Any = None

    @property
    def options(self) -> Any:
        """onnxruntime's options of every run that can be stopped."""
        if self._options is None:
            import onnxruntime

            self._options = onnxruntime.RunOptions()
        return self._options

    def ask(self) -> None:
        """Stop what runs now, and what would run next, until ``clear``."""
        self._asked.set()
        if self._options is not None:
            self._options.terminate = True

    def clear(self) -> None:
        """What was asked for is done."""
        self._options = None
        self._asked.clear()

    def check(self) -> None:
        """Cancelled where a stop was asked for."""
        if self._asked.is_set():
            raise Cancelled("the run was stopped")


class Session:
    """One loaded graph. ``run`` takes feeds by input name, of which it uses those that the graph
    has, and returns the outputs by name. ``size``: bytes of the graph with its weights.
    """

    def __init__(self, session: Any, size: int = 0, interrupt: Interrupt | None = None) -> None:
        self._session = session
        self._interrupt = interrupt
        self.size = size
        self.inputs: tuple[str, ...] = tuple(entry.name for entry in session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(entry.name for entry in session.get_outputs())

    def run(self, feeds: Feeds, outputs: Sequence[str] | None = None) -> dict[str, Array]:
        """Outputs by name. Raises OutOfMemory, InvalidModel where the graph fails at run time, or
        Cancelled where it was interrupted."""
        names = list(self.outputs if outputs is None else outputs)
        fed = {name: feeds[name] for name in self.inputs}
        options = None if self._interrupt is None else self._interrupt.options
        if self._interrupt is not None:
            self._interrupt.check()
        try:
            values = self._session.run(names, fed, options)
        except MemoryError as error:
            raise OutOfMemory("a batch does not fit into memory") from error
        except Exception as error:  # onnxruntime's own classes derive from nothing narrower
            if self._interrupt is not None:
                self._interrupt.check()
            if any(text in str(error) for text in _OUT_OF_MEMORY):
                raise OutOfMemory(
                    f"a batch does not fit into memory: {_first_line(error)}"
                ) from error
            raise InvalidModel(f"the model fails when it is run: {_first_line(error)}") from error
        return dict(zip(names, values, strict=True))


class Sessions:
    """Makes sessions and keeps the last ``settings.session_cache`` of them, by graph content.

    interrupt: stops what runs through them.
    """

    def __init__(self, settings: Settings, interrupt: Interrupt | None = None) -> None:
        self._interrupt = interrupt
        self.provider: Provider = choose(settings)
        self.threads = threads(settings)
        self._limit = max(1, settings.session_cache)
        self._kept: OrderedDict[str, Session] = OrderedDict()
        self._known: weakref.WeakKeyDictionary[Model, str] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the graphs of those that are kept, weights included."""
        with self._lock:
            return sum(session.size for session in self._kept.values())

    def get(self, model: Model, *, keep: bool = True) -> Session:
        """A session for ``model``, kept if it is to be; InvalidModel where onnxruntime refuses the
        graph."""
        with self._lock:  # graphs never change, so that one that was seen need not be written again
            key = self._known.get(model)
            if key is not None and key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = serialized(model.ir)
        if data is not None:
            if not keep:
                return self._load(data)
            key = hashlib.sha256(data).hexdigest()
            with self._lock:
                self._known[model] = key
            return self._cached(key, data)
        with tempfile.TemporaryDirectory(prefix="mho-session-") as folder:
            path = Path(folder) / "model.onnx"  # too large for one message
            save(model.ir, path)
            source = str(path)
            return self._cached(_digest(Path(folder)), source) if keep else self._load(source)

    def optimised(self, model: Model) -> bytes | None:
        """The graph that onnxruntime makes of ``model`` for this machine, as ONNX bytes; None where
        it is too large for one message. InvalidModel where onnxruntime refuses the graph."""
        data = serialized(model.ir)
        if data is None:
            return None
        with tempfile.TemporaryDirectory(prefix="mho-session-") as folder:
            path = Path(folder) / "optimised.onnx"
            self._load(data, path)
            return path.read_bytes()

    def of_file(self, path: Path) -> Session:
        """A session for the file at ``path`` as it is, which is not kept; InvalidModel as above."""
        return self._load(str(path))

    def _cached(self, key: str, source: bytes | str) -> Session:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                figures.count(figures.SESSION_HITS)
                return self._kept[key]
        figures.count(figures.SESSION_MISSES)
        session = self._load(source)
        with self._lock:
            session = self._kept.setdefault(key, session)  # another thread may have been faster
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)
            figures.level(figures.SESSIONS, len(self._kept))
        return session

    def _load(self, source: bytes | str, optimised: Path | None = None) -> Session:
        """optimised: where to write the graph that is run."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        # Sessions take turns, and one's threads must not spin while the next is running.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 4  # what goes wrong is raised; the rest is not for our users
        if optimised is not None:
            options.optimized_model_filepath = str(optimised)
        names = [(self.provider.name, dict(self.provider.options))]
        if self.provider.name != CPU:
            names.append((CPU, {}))
        try:
            session = onnxruntime.InferenceSession(
                source, options, providers=names, enable_fallback=0
            )
        except Exception as error:  # as above
            raise InvalidModel(
                f"onnxruntime cannot load the model: {_first_line(error)}"
            ) from error
        if self.provider.name not in session.get_providers():
            raise Unsupported(
                f"{self.provider.name} was lost: onnxruntime loads the model with "
                f"{', '.join(session.get_providers())} only; check the GPU and its driver, or use "
                "provider 'cpu'",
                subject="provider",
            )
        size = len(source) if isinstance(source, bytes) else _bytes_beside(Path(source))
        return Session(session, size, self._interrupt)


def _bytes_beside(path: Path) -> int:
    """What a model's file and those of its external data take."""
    return sum(file.stat().st_size for file in path.parent.iterdir() if file.is_file())


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total.update(chunk)
    return total.hexdigest()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:400] if text else type(error).__name__
