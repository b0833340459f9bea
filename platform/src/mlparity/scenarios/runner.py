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
from pathlib import Path

from mlparity.errors import MlparityError, ScenarioError
from mlparity.scenarios.catalogue import find_scenario
from mlparity.scenarios.platform import Parts, Platform
from mlparity.scenarios.report import Report


def run(folder: Path, arguments: list[str]) -> int:
    """Import ``scenarios.<name>.scenario``, run it, and print its report."""
    sys.path.insert(0, str(folder.parent.parent))
    try:
        parts, rest = _parts(folder, arguments)
        platform = Platform.from_environment(os.environ, folder, rest, parts)
        try:
            module = importlib.import_module(f"scenarios.{folder.name}.scenario")
            report = module.run(platform)
        except MlparityError:
            raise
        except Exception as error:
            saved = platform.workdir / "traceback.txt"
            saved.write_text(traceback.format_exc(), encoding="utf-8")
            raise ScenarioError(
                f"the scenario {folder.name} failed: {type(error).__name__}",
                str(error),
                f"the traceback is in {saved}",
            ) from error
        if not isinstance(report, Report):
            raise ScenarioError(f"the scenario {folder.name} gave no report", "run(platform) must return a Report")
        platform.say(report.text())
    except MlparityError as error:
        sys.stdout.flush()
        sys.stderr.write("\n".join(error.lines()) + "\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


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
