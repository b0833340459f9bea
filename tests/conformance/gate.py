"""Something that programs of a test wait for, in whatever sandbox: a server that answers only once it is open."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Gate:
    """503 until ``open`` is set. ``url`` and any path below it."""

    def __init__(self) -> None:
        self.open, self._asked = threading.Event(), set[str]()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def until_waiting(self, programs: int) -> None:
        """Until so many have asked."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._asked) >= programs, timeout=30)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(gate) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has the other self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with gate._changed:
                    gate._asked.add(self.path)
                    gate._changed.notify_all()
                self.send_response(200 if gate.open.is_set() else 503)
                self.end_headers()
                self.wfile.write(b"open")

            def log_message(self, *_: object) -> None:
                pass

        return Handler
