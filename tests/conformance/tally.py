"""Something that programs of a test count themselves with, in whatever sandbox: a server that answers how often."""

from __future__ import annotations

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Tally:
    """Answers a GET with how often that path has been asked for until now, this time included."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(tally) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has the other self
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with tally._lock:
                    tally.counts[self.path] += 1
                    count = tally.counts[self.path]
                self.send_response(200)
                self.end_headers()
                self.wfile.write(str(count).encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler
