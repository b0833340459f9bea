"""Runs one scenario in a process of its own.

``python -m mlparity.scenarios.runner FOLDER [--parts NAME,NAME | --all] [ARGUMENT ...]``: with ``--parts`` those parts
alone, with ``--all`` the story and every part; the arguments are the scenario's own.

Exit code 0 where every check held; 1 with what, why and hint where one did not.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mlparity.errors import ConflictError, MlparityError, ScenarioError
from mlparity.scenarios.catalogue import find_scenario
from mlparity.scenarios.platform import Parts, Platform
from mlparity.scenarios.report import Report


def run(folder: Path, arguments: list[str]) -> int:
    """Import ``scenarios.<name>.scenario``, run it, and print its report."""
    sys.path.insert(0, str(folder.parent.parent))
    try:
        parts, rest = _parts(folder, arguments)
        platform = Platform.from_environment(os.environ, folder, rest, parts)
        with _alone(platform):
            report = _report(platform)
        platform.say(report.text())
    except MlparityError as error:
        sys.stdout.flush()
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextmanager
def _alone(platform: Platform) -> Iterator[None]:
    """Hold the scenario's lock; the kernel lets go of it when this process dies. Raises ``ConflictError``.

    What a scenario makes has the same names in every run: two at a time would take each other's away.
    """
    name = platform.folder.name
    lock = FileLock(platform.workdir.with_name(f"{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConflictError(
            f"the scenario {name} is running already",
            f"another run of it works with the data folder {platform.data_dir}, and both would use the same names",
            "wait until that one has ended, or use another data folder (--data-dir) with a stack of its own",
        ) from None
    try:
        yield
    finally:
        lock.release()


def _report(platform: Platform) -> Report:
    """The scenario's own run. Raises ``MlparityError``, whatever it raises."""
    name = platform.folder.name
    try:
        module = importlib.import_module(f"scenarios.{name}.scenario")
        report = module.run(platform)
    except MlparityError:
        raise
    except Exception as error:
        saved = platform.workdir / "traceback.txt"
        saved.write_text(traceback.format_exc(), encoding="utf-8")
        raise ScenarioError(
            f"the scenario {name} failed: {type(error).__name__}", str(error), f"the traceback is in {saved}"
        ) from error
    if not isinstance(report, Report):
        raise ScenarioError(f"the scenario {name} gave no report", "run(platform) must return a Report")
    return report


def _parts(folder: Path, arguments: list[str]) -> tuple[Parts, list[str]]:
    """What is to run, and the scenario's own arguments. Raises ``NotFoundError`` for a part that it has not."""
    if arguments[:1] == ["--all"]:
        return Parts(tuple(find_scenario(folder.parent, folder.name).parts)), arguments[1:]
    if arguments[:1] == ["--parts"]:
        names = "".join(arguments[1:2]).split(",")
        return Parts(find_scenario(folder.parent, folder.name).chosen_parts(names), story=False), arguments[2:]
    return Parts(), arguments


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
