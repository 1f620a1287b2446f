"""Which role each call needs. A call that is not listed is refused to everybody."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mho.tenants import Role

_READER = {
    "Models": ("GetModel", "ListModels", "ListLayers"),
    "Datasets": ("GetDataset", "ListDatasets"),
    "Jobs": (
        "GetJob",
        "ListJobs",
        "WatchJob",
        "GetResult",
        "FetchScores",
        "ListArtifacts",
        "FetchArtifact",
    ),
    "Methods": ("ListMethods",),
}
_WRITER = {
    # Asking for blobs prolongs their life, so it is part of uploading.
    "Blobs": ("QueryMissingBlobs", "GetUpload", "UploadBlob"),
    "Models": ("CreateModel", "DeleteModel"),
    "Datasets": ("CreateDataset", "DeleteDataset"),
    "Jobs": ("CreateJob", "CancelJob", "DeleteJob"),
    # It keeps nothing, but it spends what a job spends.
    "Attributions": ("Attribute",),
}

NEEDED: Mapping[str, Role] = MappingProxyType(
    {
        f"/mho.v1.{service}/{call}": role
        for role, services in ((Role.READER, _READER), (Role.WRITER, _WRITER))
        for service, calls in services.items()
        for call in calls
    }
)
