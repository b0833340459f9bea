"""A user's scripts around the analysis: ``preprocess_handler`` for each record, ``postprocess_handler`` at the end.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-pre-and-post-processing.html
"""

from __future__ import annotations

import importlib.util
import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mlparity.monitoring.captured import Capture
from mlparity.monitoring.errors import CustomerError

_log = logging.getLogger(__name__)


def handler(path: Path, name: str) -> Callable[..., Any]:
    """The function ``name`` of a script. Raises ``CustomerError``."""
    spec = importlib.util.spec_from_file_location(f"monitoring_script_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise CustomerError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise CustomerError(f"{path.name} cannot be imported: {error!r}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise CustomerError(f"{path.name} has no function {name}")
    return found  # type: ignore[no-any-return]


def preprocess(function: Callable[..., Any], capture: Capture) -> list[dict[str, Any]]:
    """The rows that ``preprocess_handler`` makes of a record: none, one or several. Raises ``CustomerError``."""
    arguments: list[Any] = [_inference_record(capture)]
    if len(inspect.signature(function).parameters) > 1:
        arguments.append(_log)
    try:
        made = function(*arguments)
    except Exception as error:
        raise CustomerError(f"preprocess_handler failed: {error!r}") from error
    made = [made] if isinstance(made, dict) else made
    if not isinstance(made, list) or not all(isinstance(row, dict) for row in made):
        raise CustomerError(f"preprocess_handler must return a dict or a list of them, not {type(made).__name__}")
    return [{str(name): value for name, value in row.items()} for row in made]


def postprocess(path: Path) -> None:
    """Call ``postprocess_handler()``. Raises ``CustomerError``."""
    try:
        handler(path, "postprocess_handler")()
    except CustomerError:
        raise
    except Exception as error:
        raise CustomerError(f"postprocess_handler failed: {error!r}") from error


def _inference_record(capture: Capture) -> SimpleNamespace:
    """Members by both of their names: as in the record (camel case), and as the documentation's examples have them."""
    sides = {
        name: _namespace({"data": "", "encoding": "", **data})
        for name in ("endpointInput", "endpointOutput")
        for data in [capture.record["captureData"].get(name) or {}]
    }
    metadata = _namespace(capture.metadata)
    return SimpleNamespace(
        event_data=SimpleNamespace(**sides),
        endpoint_input=sides["endpointInput"],
        endpoint_output=sides["endpointOutput"],
        event_metadata=metadata,
        eventMetadata=metadata,
        event_version=capture.record.get("eventVersion", "0"),
        user_attributes=capture.metadata.get("customAttributes", []),
    )


def _namespace(members: Mapping[str, Any]) -> SimpleNamespace:
    snake = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): value for name, value in members.items()}
    return SimpleNamespace(**snake, **{name: value for name, value in members.items() if name not in snake})
