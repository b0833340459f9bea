"""``mlparity doctor``: whether this machine can run a profile, line by line. A local profile is checked offline."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator

from mlparity.cli import output
from mlparity.cli.check import Check
from mlparity.cli.choice import Choice
from mlparity.cli.cloud_checks import cloud_checks
from mlparity.cli.google_checks import google_checks, pipelines_checks
from mlparity.errors import MlparityError
from mlparity.profiles.model import Profile
from mlparity.stack.children import ports
from mlparity.stack.folder import DataFolder
from mlparity.stack.listen import check_free
from mlparity.stack.packages import extras_of, missing_packages
from mlparity.stack.resolve import control_plane_config
from mlparity.stack.running import running_stack_record

_MIN_FREE_BYTES = 2_000_000_000


def doctor(choice: Choice, *, online: bool, as_json: bool) -> int:
    """Print every check; 0 where all that must hold do, else 1."""
    profile = choice.load().profile
    checks = list(_checks(profile, online=online))
    failed = [check for check in checks if check.ok is False]
    if as_json:
        document = [{"name": c.name, "ok": c.ok, "detail": c.detail, "hint": c.hint} for c in checks]
        output.as_json({"profile": profile.name, "ok": not failed, "checks": document})
        return 1 if failed else 0
    for check in checks:
        mark = {True: "ok  ", False: "FAIL", None: "info"}[check.ok]
        output.line(f"{mark}  {check.name.ljust(12)} {check.detail}")
        if check.hint and check.ok is not True:
            output.line(f"{' ' * 19}{check.hint}")
    count = f"{len(failed)} thing{'s are' if len(failed) > 1 else ' is'} missing"
    output.line(f"{profile.name}: {count if failed else 'ready'}")
    return 1 if failed else 0


def _checks(profile: Profile, *, online: bool) -> Iterator[Check]:
    yield _python()
    yield _packages(profile)
    yield _data_folder(profile)
    yield _disk(profile)
    if profile.local:
        yield from _ports(profile)
        yield _gateway(profile)
        yield _sandbox()
        yield _docker()
    else:
        yield from cloud_checks(profile, os.environ, online=online)
        yield from google_checks(profile, os.environ, online=online)
        yield from pipelines_checks(profile, online=online)


def _python() -> Check:
    version = platform.python_version()
    ok = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Check("python", ok, f"{version} ({sys.executable})", "mlparity runs on Python 3.11 and 3.12")


def _packages(profile: Profile) -> Check:
    extras = extras_of(profile)
    missing = [name for extra in extras for name in missing_packages(extra)]
    hint = f"pip install 'mlparity[{','.join(extras)}]'"
    detail = f"missing: {', '.join(missing)}" if missing else f"the extras {', '.join(extras)} are installed"
    return Check("packages", not missing, detail, hint)


def _data_folder(profile: Profile) -> Check:
    try:
        DataFolder(profile.data_dir).prepare()
    except MlparityError as error:
        return Check("data folder", False, f"{error.what}: {error.why}", error.hint)
    return Check("data folder", True, str(profile.data_dir))


def _disk(profile: Profile) -> Check:
    folder = next(path for path in (profile.data_dir, *profile.data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    return Check("disk", free > _MIN_FREE_BYTES, f"{free / 1e9:.1f} GB free", "free at least 2 GB")


def _ports(profile: Profile) -> Iterator[Check]:
    try:
        record = running_stack_record(DataFolder(profile.data_dir))
    except MlparityError:
        record = None
    config = control_plane_config(profile)
    for port, part, ways in ports(config):
        if record is not None and (
            port in (record.settings.get(f"{name}_port") for name in ("gateway", "gcp", "pipelines"))
            or any(child.url.endswith(f":{port}") for child in record.children)
        ):
            yield Check("port", True, f"{port} is used by the stack that is up")
            continue
        try:
            check_free(port, part, ways)
        except MlparityError as error:
            yield Check("port", False, f"{error.what}: {error.why}", error.hint)
        else:
            yield Check("port", True, f"{port} is free for {part}")


def _gateway(profile: Profile) -> Check:
    """Whether the local certificate authority is there, and private."""
    from mlparity.stack.gateway import authority_files

    files = authority_files(control_plane_config(profile))
    if profile.gateway is None:
        return Check("gateway", None, "the profile has none", "`mlparity exec` needs one: set MLPARITY_GATEWAY_PORT")
    if not files.key.exists():
        return Check("gateway", True, "its certificate authority is made by the first `mlparity up`")
    if files.key.stat().st_mode & 0o077:
        return Check("gateway", False, f"others may read {files.key}", f"chmod 600 {files.key}")
    return Check("gateway", True, f"its certificate authority is {files.certificate}")


def _sandbox() -> Check:
    from mlparity.engine.sandbox import probe

    report = probe()
    if report.mode is None:
        return Check("sandbox", False, report.why, report.hint)
    return Check("sandbox", True, f"jobs get private paths by {report.mode.value}")


def _docker() -> Check:
    found = shutil.which("docker")
    detail = f"found ({found})" if found else "not found"
    return Check("docker", None, f"{detail}; the embedded profile does not use it")
