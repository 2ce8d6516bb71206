"""OpenAI's three endpoints that a conversation needs, scripted: what was said, what to answer, and a tone as a voice.

Pipecat's own services speak with it; only the provider is a fake. No Django in here.
"""

import json
import math
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RATE = 24_000
TONE_SECONDS = 0.6  # how long each sentence is


class FakeOpenAI(ThreadingHTTPServer):
    """`transcript` is heard in whatever the caller says; `replies` are given one after the other, the last for ever.

    A reply is a text, or the name and the arguments of a function call. With a `certificate` (for localhost) it speaks
    TLS. `requests` has the path of each, and the port that its connection comes from.
    """

    def __init__(
        self, transcript: str, replies: list[str | tuple[str, dict[str, Any]]], certificate: str | None = None
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._tls is not None and certificate:
            self._tls.load_cert_chain(certificate)
        self._connections: list[socket.socket] = []
        self.requests: list[tuple[str, int]] = []
        self.transcript = transcript
        self.replies = replies
        self.tone_seconds = TONE_SECONDS
        self.asked: list[dict[str, Any]] = []  # bodies of chat completions
        self.spoken: list[str] = []
        self.voices: list[str] = []

    @property
    def url(self) -> str:
        where = "https://localhost" if self._tls else "http://127.0.0.1"
        return f"{where}:{self.server_address[1]}/v1"

    def hang_up(self) -> None:
        """Close all connections, as a provider does with those that are silent."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls is not None:  # the handshake is the handler's, in a thread of its own
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._connections.append(connection)
        return connection, address

    def next_reply(self) -> str | tuple[str, dict[str, Any]]:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Handler(BaseHTTPRequestHandler):
    server: FakeOpenAI
    protocol_version = "HTTP/1.1"  # connections are kept

    def do_GET(self) -> None:
        self._answer(b'{"object": "list", "data": []}', "application/json")
        self._note()

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/audio/transcriptions"):
            self._answer(json.dumps({"text": self.server.transcript}).encode(), "application/json")
        elif self.path.endswith("/audio/speech"):
            wanted = json.loads(body)
            self.server.spoken.append(wanted["input"])
            self.server.voices.append(wanted["voice"])
            self._answer(_tone(self.server.tone_seconds), "audio/pcm")
        else:
            self.server.asked.append(json.loads(body))
            self._answer(_stream(self.server.next_reply()), "text/event-stream")

    def _note(self) -> None:
        self.server.requests.append((self.path.rpartition("/")[2], self.client_address[1]))

    def _answer(self, content: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


def _stream(reply: str | tuple[str, dict[str, Any]]) -> bytes:
    if isinstance(reply, str):
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": word} for word in reply.split(" ")]
        deltas = [{**d, "content": d["content"] + " "} for d in deltas]
        finish = "stop"
    else:
        call = {"index": 0, "id": "call_1", "type": "function"}
        function = {"name": reply[0], "arguments": json.dumps(reply[1])}
        deltas, finish = [{"role": "assistant", "tool_calls": [{**call, "function": function}]}], "tool_calls"
    choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    chunks = [
        {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [c]} for c in choices
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"


def _tone(seconds: float) -> bytes:
    samples = (int(8000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(int(RATE * seconds)))
    return b"".join(struct.pack("<h", sample) for sample in samples)


@contextmanager
def running_openai(
    transcript: str, replies: list[str | tuple[str, dict[str, Any]]], certificate: str | None = None
) -> Iterator[FakeOpenAI]:
    fake = FakeOpenAI(transcript, replies, certificate)
    thread = threading.Thread(target=fake.serve_forever, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.shutdown()
        fake.hang_up()
        fake.server_close()
        thread.join()
