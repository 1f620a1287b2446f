"""Client of the mho server, which finds the neurons responsible for what an ONNX model does.

>>> from mho_client import Client
>>> with Client("localhost:50061") as client:                               # doctest: +SKIP
...     model = client.upload_model("model.onnx")
...     data = client.upload_dataset(model, "inputs.npy", labels="labels.npy")
...     for unit in client.submit("shapley", model, data).result().ranked(5):
...         print(unit.layer, unit.unit, unit.score)
"""

from mho_client.attributions import Attribution, Completeness, Prediction
from mho_client.client import Client
from mho_client.errors import FieldViolation, MhoClientError
from mho_client.jobs import Job, JobFailed
from mho_client.resources import (
    Artifact,
    Dataset,
    Event,
    JobError,
    JobStatus,
    Layer,
    Method,
    Model,
    Option,
    Progress,
    TensorSpec,
)
from mho_client.results import Result, UnitScore

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "Attribution",
    "Client",
    "Completeness",
    "Dataset",
    "Event",
    "FieldViolation",
    "Job",
    "JobError",
    "JobFailed",
    "JobStatus",
    "Layer",
    "Method",
    "MhoClientError",
    "Model",
    "Option",
    "Prediction",
    "Progress",
    "Result",
    "TensorSpec",
    "UnitScore",
]
