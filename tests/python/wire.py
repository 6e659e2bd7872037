"""HTTP/2 frames over a socket, for what no gRPC library would send."""

from __future__ import annotations

import base64
import socket
import struct
from dataclasses import dataclass, field

import grpc
import h2.config
import h2.connection
import h2.events
from google.rpc import error_details_pb2, status_pb2

OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED = (
    code.value[0]
    for code in (
        grpc.StatusCode.OK,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
)


@dataclass
class Status:
    """How a call ended, as the frames say it."""

    headers: dict[str, str] = field(default_factory=dict)
    messages: bytes = b""
    reset: int | None = None

    @property
    def code(self) -> int:
        """The gRPC status; -1 where the stream ended without one."""
        return int(self.headers.get("grpc-status", -1))

    def reason(self) -> str:
        """Returns the reason of the status's ErrorInfo."""
        packed = self.headers["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
        info = error_details_pb2.ErrorInfo()
        assert any(detail.Unpack(info) for detail in status.details), status
        reason: str = info.reason
        return reason


class Connection:
    """One HTTP/2 connection."""

    def __init__(self, port: int) -> None:
        """Connects and sends the preface."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Sends what is waiting."""
        self.socket.sendall(self.h2.data_to_send())

    def open(self, path: str, timeout: str | None = None) -> int:
        """Sends the headers of a call and returns its stream; the body is left open."""
        stream: int = self.h2.get_next_available_stream_id()
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "podium")]
        headers += [("te", "trailers"), ("content-type", "application/grpc")]
        if timeout is not None:
            headers.append(("grpc-timeout", timeout))
        self.h2.send_headers(stream, headers)
        self.flush()
        return stream

    def send(self, stream: int, body: bytes, end: bool = True) -> None:
        """Sends one message."""
        self.h2.send_data(stream, struct.pack(">BI", 0, len(body)) + body, end_stream=end)
        self.flush()

    def finish(self, stream: int) -> Status:
        """Reads until the call or the connection ends."""
        status = Status()
        while data := self.socket.recv(65_536):
            for event in self.h2.receive_data(data):
                match event:
                    case h2.events.ResponseReceived() | h2.events.TrailersReceived() if event.stream_id == stream:
                        status.headers |= {str(name): str(value) for name, value in event.headers or []}
                    case h2.events.DataReceived() if event.stream_id == stream:
                        status.messages += event.data or b""
                        self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                    case h2.events.StreamReset() if event.stream_id == stream:
                        status.reset = int(event.error_code or 0)
                        return status
                    case h2.events.StreamEnded() if event.stream_id == stream:
                        self.flush()
                        return status
                    case _:
                        pass
            self.flush()
        return status

    def close(self) -> None:
        """Leaves without a word."""
        self.socket.close()


def call(port: int, path: str, body: bytes, timeout: str | None = None) -> Status:
    """Makes one call with these bytes and returns how it ended."""
    connection = Connection(port)
    try:
        stream = connection.open(path, timeout)
        connection.send(stream, body)
        return connection.finish(stream)
    finally:
        connection.close()
