"""Looks at a machine and the settings as ``mho serve`` would meet them, and changes nothing.

``checks`` holds one file for each subject; what a check needs of gRPC, the database or onnxruntime
is asked of the room that knows it.
"""
