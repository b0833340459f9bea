"""What pipeline steps may refer to of what they have made."""

from __future__ import annotations

from typing import Any

from mlparity.apis.sagemaker.context import Response
from mlparity.wire.json_values import jsonable


def step_outputs(described: Response) -> dict[str, Any]:
    """The Describe response as a step keeps it: JSON values alone."""
    value = jsonable(described)
    assert isinstance(value, dict)  # noqa: S101 - jsonable keeps the kind
    return value
