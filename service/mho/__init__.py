"""mho (℧): finds the neurons responsible for what an ONNX model does."""

__version__ = "0.1.0"
