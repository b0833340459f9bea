"""Runs KFP's executor on a lightweight component. The source is put into the job, which may not have mlparity."""

import json
import runpy
import shutil
import sys
from pathlib import Path

_MOUNTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}


def main() -> None:
    """As ``python3 -m kfp.dsl.executor_main``, in a warm worker with what that has imported ahead."""
    kept = sys.modules.get("mlparity.pipeline_ir.kept_kfp")
    if kept is not None:
        kept.show()
    arguments = list(sys.argv)
    sys.path[0] = str(Path.cwd())  # as with -m
    runpy.run_module("kfp.dsl.executor_main", run_name="__main__", alter_sys=True)
    if "--executor_input" in arguments:
        fetch(json.loads(arguments[arguments.index("--executor_input") + 1])["outputs"]["outputFile"])


def fetch(output_file: str) -> None:
    """Put artifacts that the component gave a path of its own (``custom_path``) where their URIs say."""
    if not Path(output_file).is_file():
        return
    made = json.loads(Path(output_file).read_text("utf-8")).get("artifacts", {})
    for artifact in (item for entry in made.values() for item in entry["artifacts"]):
        source, uri = artifact.get("custom_path"), artifact["uri"]
        mount = next((prefix for prefix in _MOUNTS if uri.startswith(prefix)), None)
        if not source or mount is None or not Path(source).exists():
            continue
        target = Path(_MOUNTS[mount] + uri[len(mount) :])
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(source).is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)


if __name__ == "__main__":
    main()
