"""Models and data whose bytes are damaged: each is refused or taken, and nothing breaks."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.files import Upload, uploads
from fuzz.models import models
from fuzz.place import Place
from fuzz.test_requests import BOUNDED

METHODS = st.sampled_from(("activation", "conductance", "gradient", "shapley", "edit"))


def test_models_are_refused_or_run(fuzzed: Place) -> None:
    @settings(BOUNDED, max_examples=12)
    @given(models(), METHODS)
    def sent(content: bytes, method: str) -> None:
        fuzzed.try_model({"m.onnx": content}, "m.onnx", method, seconds=2)

    sent()
    fuzzed.healthy()


def test_data_are_refused_or_taken(fuzzed: Place) -> None:
    @settings(BOUNDED, max_examples=30)
    @given(uploads())
    def sent(upload: Upload) -> None:
        send_upload(fuzzed, upload)

    sent()
    fuzzed.healthy()


def send_upload(place: Place, upload: Upload) -> None:
    """Have a dataset of these files checked."""
    name, content = upload.labels
    place.try_dataset(
        place.model.name,
        place.server.file(*upload.inputs),
        place.server.file(name, content) if name else None,
        upload.preprocess,
    )
