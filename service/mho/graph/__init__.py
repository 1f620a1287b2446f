"""Bytes -> rewritten graph. The only room that knows onnx and onnx_ir."""
