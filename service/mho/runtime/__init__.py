"""Running models. The only room that knows onnxruntime."""

import os

# onnxruntime tells its maker of the machine and of each session unless this is set before it loads.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
