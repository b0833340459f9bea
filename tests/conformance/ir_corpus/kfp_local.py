"""``python kfp_local.py FOLDER``: run compiled pipelines in kfp.local, and print what they give as JSON.

FOLDER has ``NAME.yaml`` files, and ``arguments.json``: NAME -> arguments. A process of its own, as kfp.local's settings
belong to the whole process. Of a pipeline that fails there is "error" only.
"""

import contextlib
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")


def main(folder: Path) -> None:
    """Run every pipeline that has arguments, one after the other."""
    from kfp import components, local

    logging.disable(logging.CRITICAL)
    os.environ["PYTHONWARNINGS"] = "ignore"
    runner = local.SubprocessRunner(use_venv=False)  # nothing is installed: the components say so
    local.init(runner, pipeline_root=str(folder / "outputs"), raise_on_error=True)
    results = {}
    for name, arguments in json.loads((folder / "arguments.json").read_text("utf-8")).items():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                pipeline: Any = components.load_component_from_file(str(folder / f"{name}.yaml"))
                results[name] = _outputs(pipeline(**arguments).outputs)
            except Exception as error:  # noqa: BLE001 - what fails there is told as it is
                results[name] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(results))


def _outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    from kfp import dsl

    artifacts = {name: item for name, item in outputs.items() if isinstance(item, dsl.Artifact)}
    return {
        "parameters": {name: value for name, value in outputs.items() if name not in artifacts},
        "artifacts": {name: [_text(item), item.metadata] for name, item in artifacts.items()},
    }


def _text(artifact: Any) -> str | None:
    path = Path(artifact.path)
    return path.read_text("utf-8") if path.is_file() else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
