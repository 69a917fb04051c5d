"""A proxy on loopback that counts requests, and answers some of them with faults."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Fault = Callable[[str, int], str | int | None]
"""A function of a path and how often it was asked for: a status, "reset", "truncate", "stall" (nothing is
answered), "stall in body" (half of it is), or None for the truth."""


class FaultyProxy:
    """Passes requests on to a server; ``with FaultyProxy(port) as proxy: proxy.fault = ...``."""

    def __init__(self, port: int) -> None:
        self.fault: Fault = lambda path, count: None
        self.requests: Counter[tuple[str, str]] = Counter()
        """How often each method and path was asked for."""
        self._ended = threading.Event()
        lock, proxy = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def _pass_on(self) -> None:
                with lock:
                    path = self.path.partition("?")[0]
                    proxy.requests[self.command, path] += 1
                    count = proxy.requests[self.command, path]
                fault = proxy.fault(path, count)
                length = int(self.headers.get("Content-Length") or 0)
                sent = self.rfile.read(length)
                if fault == "reset":
                    self.close_connection = True
                    self.connection.close()
                    return
                if fault == "stall":
                    self.close_connection = True
                    proxy._ended.wait()
                    return
                if isinstance(fault, int):
                    self._answer(fault, {}, b"<Error><Code>Injected</Code></Error>")
                    return
                server = http.client.HTTPConnection("127.0.0.1", port)
                server.request(self.command, self.path, sent, dict(self.headers))
                answer = server.getresponse()
                body = answer.read()
                self._answer(answer.status, dict(answer.headers), body, cut=fault in ("truncate", "stall in body"))
                server.close()
                if fault == "stall in body":
                    self.wfile.flush()
                    proxy._ended.wait()

            def _answer(self, status: int, headers: dict[str, str], body: bytes, cut: bool = False) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "server", "date"):
                        self.send_header(name, value)
                of_head = self.command == "HEAD"
                self.send_header("Content-Length", headers.get("Content-Length", "0") if of_head else str(len(body)))
                self.end_headers()
                if not of_head:
                    self.wfile.write(body[: len(body) // 2] if cut else body)
                if cut:
                    self.close_connection = True

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
