"""``mlparity status``."""

from __future__ import annotations

from dataclasses import asdict

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.errors import DataFolderError
from mlparity.stack.folder import DataFolder
from mlparity.stack.health import (
    PartStatus,
    endpoints,
    gateway_answers,
    gateway_url,
    other_urls,
    part_statuses,
    running_jobs,
)
from mlparity.stack.running import running_stack_record

_OTHERS = {"gcp": "Google APIs", "pipelines": "Kubeflow Pipelines"}


def status(choice: Choice, *, as_json: bool) -> int:
    """Print each part; 0 where all are healthy, else 1."""
    folder = choice.folder()
    record = running_stack_record(folder)
    if record is None:
        folder.inspect()  # what is there is perhaps no data folder at all
        if as_json:
            output.as_json({"up": False, "data_dir": str(folder.path), "parts": []})
        else:
            output.line(f"not up (data folder {folder.path}); start it with: mlparity up")
        return 1
    parts = part_statuses(record)
    jobs = running_jobs(record)
    serving = endpoints(record)
    gateway = gateway_url(record)
    gateway_healthy = bool(gateway) and gateway_answers(record)
    damage = _damage(folder)
    healthy = all(part.healthy for part in parts) and (gateway_healthy or not gateway) and not damage
    if as_json:
        output.as_json(
            {
                "up": True,
                "healthy": healthy,
                "profile": record.profile,
                "data_dir": str(folder.path),
                "damage": damage,
                "running_jobs": jobs,
                "endpoints": serving,
                "urls": other_urls(record),
                "gateway": {"url": gateway, "healthy": gateway_healthy} if gateway else None,
                "parts": [asdict(part) for part in parts],
            }
        )
        return 0 if healthy else 1
    output.line(f"{record.profile}, mlparity {record.version}, data folder {folder.path}")
    output.table(("part", "state", "pid", "memory", "up", "restarts", "url"), [_row(part) for part in parts])
    for name, url in other_urls(record).items():
        output.line(f"{_OTHERS[name]}: {url} (in the control plane)")
    if gateway:
        state = "healthy" if gateway_healthy else "does not answer"
        output.line(f"gateway: {state}, {gateway} (in the control plane), for `mlparity exec -- CMD`")
    total = sum(part.memory_bytes for part in parts)
    shown = "unknown (the control plane does not answer)" if jobs is None else str(jobs)
    output.line(f"running jobs: {shown}; memory of all parts: {_megabytes(total)}")
    for one in serving:
        phase = one["phase"].replace("_", " ")
        output.line(f"endpoint {one['name']}: {phase}, {one['workers']} of {one['wanted']} workers answer")
    if damage:
        output.line(f"the data folder needs care, or the next `mlparity up` will refuse it: {damage}")
    return 0 if healthy else 1


def _damage(folder: DataFolder) -> str:
    """What is wrong with the folder of a stack that runs nevertheless; "" where nothing is."""
    try:
        folder.inspect()
    except DataFolderError as error:
        return f"{error.what}: {error.why}"
    return ""


def _row(part: PartStatus) -> tuple[str, ...]:
    state = "healthy" if part.healthy else part.state if part.state != "ready" else "does not answer"
    up = output.duration(part.uptime_seconds) if part.uptime_seconds else ""
    return (part.name, state, str(part.pid or ""), _megabytes(part.memory_bytes), up, str(part.restarts), part.url)


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.0f} MB"
