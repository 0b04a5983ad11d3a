"""An HTTP server that answers as a test tells it: a double of the wire, for what a real endpoint does too rarely."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """`body`: bytes, or what is sent as JSON. With `events` they are sent instead, as server-sent events; after them
    the connection stays open while `hold` is not set."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    events: tuple[Any, ...] = ()
    hold: threading.Event | None = None


class Endpoint:
    def __init__(self) -> None:
        self.reply = Reply()
        self.refuses: Callable[[Any], bool] = lambda _: False
        """Of a request's JSON: answered with 400 instead."""
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.hung_up = threading.Event()
        self.url = ""

    def tells(self, *events: Any, hold: threading.Event | None = None) -> None:
        self.reply = Reply(events=events, hold=hold)

    @property
    def last(self) -> tuple[str, dict[str, str], Any]:
        """Path, headers and JSON of the last request."""
        return self.seen[-1]


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    told = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

        def _answer(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length") or 0))
            asked = json.loads(content) if content else None
            told.seen.append((self.path, dict(self.headers), asked))
            reply = Reply(400, {"error": {"message": "refused"}}) if told.refuses(asked) else told.reply
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.events or reply.hold:
                self._stream(reply)
                return
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, reply: Reply) -> None:
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for event in reply.events:
                data = event if isinstance(event, str) else json.dumps(event)
                self.wfile.write(f"data: {data}\n\n".encode())
                self.wfile.flush()
            if reply.hold is not None:
                self.connection.settimeout(0.05)
                while not reply.hold.is_set():
                    try:
                        if not self.connection.recv(1):
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break
                else:
                    return
                told.hung_up.set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
