"""What the parts of a running stack say, over HTTP, and what they use."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mlparity.stack.record import StackRecord
from mlparity.stack.running import same_process

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Response:
    """A response of a part on the loopback address."""

    status: int
    headers: dict[str, str]  # lower case
    body: bytes


@dataclass(frozen=True)
class PartStatus:
    """One part as a person wants to see it."""

    name: str
    state: str
    pid: int
    healthy: bool
    memory_bytes: int
    uptime_seconds: float
    restarts: int
    url: str


def get(url: str, timeout: float = _TIMEOUT_SECONDS) -> Response:
    """GET on a loopback URL, past every proxy. Raises ``OSError`` (also for what is not HTTP)."""
    return request("GET", url, timeout)


def post(url: str, timeout: float = _TIMEOUT_SECONDS) -> Response:
    """POST without a body, as one of mlparity's own commands. Raises ``OSError``."""
    return request("POST", url, timeout)


def request(method: str, url: str, timeout: float = _TIMEOUT_SECONDS, body: bytes = b"") -> Response:
    """Any request, as one of mlparity's own commands. Raises ``OSError``."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        # The header tells the command from a page in a browser, which could not set it without being asked.
        headers = {"X-Mlparity-Command": "1"} if method != "GET" else {}
        connection.request(
            method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body or None, headers
        )
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, headers, response.read())
    except http.client.HTTPException as error:
        raise OSError(f"{url} does not answer in HTTP: {error!r}") from error
    finally:
        connection.close()


def answers(url: str) -> bool:
    """Whether ``url`` answers 200."""
    try:
        return get(url).status == http.client.OK
    except OSError:
        return False


def part_statuses(record: StackRecord) -> tuple[PartStatus, ...]:
    """Every part of the stack, the supervisor first."""
    return (
        _status("supervisor", "ready", record.pid, record.started, 0, "", ""),
        *(
            _status(child.name, child.state, child.pid, child.started, child.restarts, child.url, child.health_url)
            for child in record.children
        ),
    )


def gateway_url(record: StackRecord) -> str:
    """Where the proxy of zero-change mode listens; "" where the stack has none."""
    port = record.settings.get("gateway_port", 0)
    return f"http://127.0.0.1:{port}" if port else ""


def other_urls(record: StackRecord) -> dict[str, str]:
    """What else the control plane's process answers, by the name of the setting without "_port"."""
    ports = {name: record.settings.get(f"{name}_port", 0) for name in ("gcp", "pipelines")}
    return {name: f"http://127.0.0.1:{port}" for name, port in ports.items() if port}


def gateway_answers(record: StackRecord) -> bool:
    """Whether it does. It is a part of the control plane's process."""
    return answers(f"{gateway_url(record)}/_mlparity/health")


def running_jobs(record: StackRecord) -> int | None:
    """How many jobs run, as the control plane says; None where it does not answer."""
    try:
        return int(_told(record)["jobs"]["running"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def endpoints(record: StackRecord) -> list[dict[str, Any]]:
    """Every endpoint: name, phase, workers, wanted. Empty where the control plane does not answer."""
    try:
        return list(_told(record)["endpoints"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _told(record: StackRecord) -> dict[str, Any]:
    urls = [child.url for child in record.children if child.name == "control-plane"]
    answer: dict[str, Any] = json.loads(get(f"{urls[0]}/_mlparity/status").body) if urls else {}
    return answer


def _status(name: str, state: str, pid: int, started: float, restarts: int, url: str, health_url: str) -> PartStatus:
    process = same_process(pid, started)
    healthy = process is not None and (not health_url or (state == "ready" and answers(health_url)))
    memory, uptime = 0, 0.0
    if process is not None:
        uptime = time.time() - started
        memory = sum(_memory(part) for part in [process, *_own_children(name, process)])
    return PartStatus(name, state if process else "gone", pid, healthy, memory, uptime, restarts, url)


def _memory(process: Any) -> int:
    """Bytes that are the process's own share: what forked processes have in common counts once (PSS, on Linux)."""
    import psutil

    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", 0) or full.rss)
    except psutil.Error:
        return 0


def _own_children(name: str, process: Any) -> list[Any]:
    """The processes that count as the part's own: not the other parts, which are the supervisor's children."""
    import psutil

    try:
        return [] if name == "supervisor" else list(process.children(recursive=True))
    except psutil.Error:
        return []
