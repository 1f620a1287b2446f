"""HTTP/2 frames as no gRPC client sends them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hpack import Encoder
from hyperframe.frame import (
    DataFrame,
    Frame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Connection:
    """One connection, on which frames are written as they come and answers may be left unread."""

    def __init__(self, plug: socket.socket, token: str, window: int | None) -> None:
        self._plug = plug
        self._encoder = Encoder()
        self._token = token
        settings = {} if window is None else {SettingsFrame.INITIAL_WINDOW_SIZE: window}
        plug.sendall(_PREFACE + SettingsFrame(0, settings).serialize())

    def headers(self, stream: int, path: str, *more: tuple[str, str]) -> Frame:
        """The beginning of a call."""
        fields: Sequence[tuple[str, str]] = (
            *((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")),
            *(("te", "trailers"), ("content-type", "application/grpc")),
            *(("authorization", f"Bearer {self._token}"), *more),
        )
        frame = HeadersFrame(stream, self._encoder.encode(fields))
        frame.flags.add("END_HEADERS")
        return frame

    def message(self, stream: int, content: bytes) -> Frame:
        """The one request of a call."""
        frame = DataFrame(stream, b"\0" + len(content).to_bytes(4, "big") + content)
        frame.flags.add("END_STREAM")
        return frame

    def reset(self, stream: int) -> Frame:
        return RstStreamFrame(stream, error_code=8)  # CANCEL

    def send(self, *frames: Frame) -> bool:
        """Whether the server still takes them; it may hang up on who floods it."""
        try:
            self._plug.sendall(b"".join(frame.serialize() for frame in frames))
        except OSError:
            return False
        return True

    def hung_up(self, seconds: float) -> bool:
        """Whether the server ends the connection within ``seconds`` of silence."""
        self._plug.settimeout(seconds)
        try:
            while self._plug.recv(2**16):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True


@contextmanager
def connected(address: str, token: str, *, window: int | None = None) -> Iterator[Connection]:
    """window: bytes of each answer that the server may send before it is asked for more."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plug:
        yield Connection(plug, token, window)
