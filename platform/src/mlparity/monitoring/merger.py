"""SageMaker's ``sagemaker-model-monitor-groundtruth-merger`` image as a local program.

Joins captured invocations (``dataset_source``) with ground truth (``ground_truth_source``) and writes what it could
join to ``output_path`` as JSON lines.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-merge.html
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from mlparity.monitoring import captured, container, datasets, ground_truth
from mlparity.monitoring.errors import CustomerError

__all__ = ["main", "run"]


def main() -> None:
    """Run as the container would, and exit."""
    sys.exit(run(os.environ, Path("/opt/ml")))


def run(environment: Mapping[str, str], root: Path) -> int:
    """Merge what ``environment`` names; ``root`` stands for /opt/ml where the exit message goes."""
    return container.run(lambda: _work(environment), root)


def _work(environment: Mapping[str, str]) -> str:
    count, seen = _merge(environment)
    return f"Completed: {count} of {seen} captured records were merged with ground truth."


def _merge(environment: Mapping[str, str]) -> tuple[int, int]:
    container.required(environment, "dataset_source", "ground_truth_source", "output_path")
    captures = datasets.in_window(captured.read(Path(environment["dataset_source"])), container.window(environment))
    truth = ground_truth.read(Path(environment["ground_truth_source"]))
    merged = list(ground_truth.merge(captures, truth))
    if not merged:
        raise CustomerError(
            f"None of {len(captures)} captured records was merged: no eventId of {len(truth)} lines of ground truth is "
            "their inferenceId or eventId"
        )
    folder = Path(environment["output_path"])
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(record) + "\n" for record in merged)
    with (folder / "merged.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(lines)
    return len(merged), len(captures)


if __name__ == "__main__":
    main()
