"""Running models. The only room that knows onnxruntime."""
