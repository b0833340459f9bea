"""Runs one scenario in a process of its own: ``python -m mlparity.scenarios.runner FOLDER [ARGUMENT ...]``.

Exit code 0 where every check held; 1 with what, why and hint where one did not.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

from mlparity.errors import MlparityError, ScenarioError
from mlparity.scenarios.platform import Platform
from mlparity.scenarios.report import Report


def run(folder: Path, arguments: list[str]) -> int:
    """Import ``scenarios.<name>.scenario``, run it, and print its report."""
    sys.path.insert(0, str(folder.parent.parent))
    try:
        platform = Platform.from_environment(os.environ, folder, arguments)
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


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
