"""``mlparity up`` and ``mlparity down``."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from mlparity.cli import output
from mlparity.cli.choice import Choice
from mlparity.profiles.environment import write_client_files
from mlparity.stack.health import gateway_url
from mlparity.stack.packages import extras_of, require_extras
from mlparity.stack.resolve import control_plane_config
from mlparity.stack.spec import StackSpec
from mlparity.stack.start import Started, start
from mlparity.stack.stop import stop

if TYPE_CHECKING:
    from mlparity.profiles.model import Profile
    from mlparity.stack.record import StackRecord

_WHAT = {"control-plane": ("AWS APIs", "SageMaker, S3, STS, IAM, Logs, EventBridge"), "mlflow": ("MLflow", "tracking")}


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
    with output.progress(f"starting {profile.name}") as progress:
        started = start(StackSpec(config), progress, foreground=foreground)
    write_client_files(profile)
    return started


def down(choice: Choice) -> None:
    """Stop, and say what was stopped."""
    folder = choice.folder()
    stopped = stop(folder)
    if not stopped.parts:
        output.line(f"nothing was running for {folder.path}")
        return
    killed = f"; {stopped.killed} processes had to be killed" if stopped.killed else ""
    output.line(f"stopped {', '.join(stopped.parts)}{killed}")


def _print_endpoints(started: Started, profile: Profile) -> None:
    how = f"in {started.seconds:.1f} s" if started.by_this_call else "already"
    output.line(f"{profile.name} is up ({how})")
    for child in started.record.children:
        label, what = _WHAT[child.name]
        output.line(f"  {label.ljust(9)} {child.url}  {what}")
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
        "endpoints": {child.name: child.url for child in record.children} | _gateway(record),
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
