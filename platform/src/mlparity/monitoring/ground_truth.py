"""Captured invocations with the truth that became known of them later, found by their ids.

A line of ground truth: {"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "..."},
"eventVersion": "0"}. Its eventId is the InferenceId that the caller gave, or else the id of the captured event.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-model-quality-merge.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlparity.monitoring.captured import Capture
from mlparity.monitoring.errors import CustomerError


def read(folder: Path) -> dict[str, Mapping[str, Any]]:
    """Event id -> its line; of several, the last by file name. Raises ``CustomerError`` naming the line."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    record["groundTruthData"]["data"]
                    found[record["eventMetadata"]["eventId"]] = record
                except (ValueError, KeyError, TypeError) as error:
                    raise CustomerError(f"{path.name}, line {number} is no ground truth: {error!r}") from error
    return found


def merge(captures: Iterable[Capture], truth: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The captured records whose truth is known, each with its ``groundTruthData``."""
    for capture in captures:
        ids = [str(capture.metadata.get(name)) for name in ("inferenceId", "eventId")]
        known = next((truth[key] for key in ids if key in truth), None)
        if known is not None:
            yield {**capture.record, "groundTruthData": known["groundTruthData"]}
