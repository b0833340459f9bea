"""Work on keys by a few threads: a key that is marked is handled soon, never by two threads at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Dispatcher:
    """Calls ``handle(key)`` after every ``mark(key)``; marks that come before it begins are one.

    With no threads, nothing happens before ``run_pending``: tests decide when. ``handle`` must not raise.
    """

    def __init__(self, handle: Callable[[str], None], threads: int) -> None:
        self._handle = handle
        self._pending: dict[str, None] = {}
        self._busy: set[str] = set()
        self._changed = threading.Condition()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"endpoints-{number}", daemon=True) for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def mark(self, key: str) -> None:
        """There may be something to do for ``key``."""
        with self._changed:
            if not self._closing:
                self._pending[key] = None
                self._changed.notify()

    def run_pending(self) -> None:
        """Handle what is marked, in this thread, until nothing is."""
        while (key := self._take(wait=False)) is not None:
            self._do(key)

    def close(self) -> None:
        """Finish what is being handled; nothing else is begun."""
        with self._changed:
            self._closing = True
            self._pending.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (key := self._take(wait=True)) is not None:
            self._do(key)

    def _do(self, key: str) -> None:
        try:
            self._handle(key)
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()

    def _take(self, *, wait: bool) -> str | None:
        with self._changed:
            while not self._closing:
                key = next((one for one in self._pending if one not in self._busy), None)
                if key is not None:
                    del self._pending[key]
                    self._busy.add(key)
                    return key
                if not wait:
                    return None
                self._changed.wait()
        return None
