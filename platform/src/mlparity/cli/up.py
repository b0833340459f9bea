"""``mlparity up`` and ``mlparity down``."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.cli.ctrl_c import unwind
from mlparity.errors import DataFolderError
from mlparity.profiles.environment import write_client_files
from mlparity.stack.health import gateway_url, other_urls, running_jobs
from mlparity.stack.packages import extras_of, require_extras
from mlparity.stack.resolve import control_plane_config
from mlparity.stack.running import running_stack_record
from mlparity.stack.spec import StackSpec
from mlparity.stack.start import Started, start
from mlparity.stack.stop import stop

if TYPE_CHECKING:
    from mlparity.profiles.model import Profile
    from mlparity.stack.folder import DataFolder
    from mlparity.stack.record import StackRecord

_WHAT = {
    "control-plane": ("AWS APIs", "SageMaker, S3, STS, IAM, Logs, EventBridge"),
    "gcp": ("Google", "Vertex AI, Cloud Storage"),
    "pipelines": ("Pipelines", "Kubeflow Pipelines: its API and run pages"),
    "mlflow": ("MLflow", "tracking"),
}


def up(choice: Choice, *, foreground: bool, as_json: bool) -> None:
    """Start, wait, print the endpoints; with ``foreground`` stay until it ends."""
    profile = choice.load().profile
    if foreground:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    started = bring_up(profile, foreground=foreground)
    if as_json:
        output.as_json(_document(started))
    else:
        _print_endpoints(started, profile)
    if foreground and started.process is not None:
        _stay(started.process)


def bring_up(profile: Profile, *, foreground: bool = False) -> Started:
    """The stack of a local profile, started if need be. Raises what is in the way."""
    config = control_plane_config(profile)
    require_extras(extras_of(profile))
    unwind()  # what is started now is to be stopped again
    with output.progress(f"starting {profile.name}") as progress:
        started = start(StackSpec(config), progress, foreground=foreground)
    write_client_files(profile)
    return started


def down(choice: Choice) -> None:
    """Stop, and say what was stopped."""
    folder = choice.folder()
    jobs = _jobs_of(folder)
    if jobs:
        output.line(f"{jobs} running job{'s are' if jobs > 1 else ' is'} ended with it")
    stopped = stop(folder)
    if not stopped.parts:
        folder.inspect()  # what is there is perhaps no data folder at all
        output.line(f"nothing was running for {folder.path}")
        return
    killed = f"; {stopped.killed} processes had to be killed" if stopped.killed else ""
    output.line(f"stopped {', '.join(stopped.parts)}{killed}")


def _jobs_of(folder: DataFolder) -> int:
    """How many jobs run; 0 where nobody can tell. ``down`` must work whatever is damaged."""
    try:
        record = running_stack_record(folder)
    except DataFolderError:
        return 0
    return (running_jobs(record) or 0) if record is not None else 0


def _print_endpoints(started: Started, profile: Profile) -> None:
    how = f"in {started.seconds:.1f} s" if started.by_this_call else "already"
    output.line(f"{profile.name} is up ({how})")
    urls = {**{child.name: child.url for child in started.record.children}, **other_urls(started.record)}
    for name, (label, what) in _WHAT.items():
        if name in urls:
            output.line(f"  {label.ljust(9)} {urls[name]}  {what}")
    gateway = gateway_url(started.record)
    if gateway:
        output.line(f"  {'Gateway'.ljust(9)} {gateway}  the clouds' own hosts, for: mlparity exec -- CMD")
    output.line(f"  {'Data'.ljust(9)} {profile.data_dir}")
    output.line('Point your SDKs at it with: eval "$(mlparity env)"')


def _document(started: Started) -> dict[str, Any]:
    record: StackRecord = started.record
    return {
        "profile": record.profile,
        "pid": record.pid,
        "started_by_this_call": started.by_this_call,
        "seconds": round(started.seconds, 3),
        "data_dir": record.settings["data_dir"],
        "endpoints": {child.name: child.url for child in record.children} | other_urls(record) | _gateway(record),
    }


def _gateway(record: StackRecord) -> dict[str, str]:
    url = gateway_url(record)
    return {"gateway": url} if url else {}


def _stay(process: subprocess.Popen[bytes]) -> None:
    """Until the supervisor ends, by itself or because this process was told to."""
    sys.stderr.write("Ctrl-C stops it\n")
    while process.returncode is None:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
    output.line("stopped")
