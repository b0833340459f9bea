"""Tags of alarms: the only CloudWatch resource here that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.state.documents import TagRepository


def handle(
    tags: TagRepository, exists: Callable[[str], bool], operation: str, params: Mapping[str, Any]
) -> dict[str, Any] | None:
    """TagResource, UntagResource, ListTagsForResource; None for anything else. Raises ``AwsError``."""
    if operation not in {"TagResource", "UntagResource", "ListTagsForResource"}:
        return None
    arn = params["ResourceARN"]
    if not exists(arn):
        raise AwsError("ResourceNotFoundException", "Unknown", 404)
    match operation:
        case "TagResource":
            tags.add(arn, {tag["Key"]: tag["Value"] for tag in params["Tags"]})
        case "UntagResource":
            tags.remove(arn, params["TagKeys"])
        case _:
            return {"Tags": [{"Key": key, "Value": value} for key, value in tags.get(arn).items()]}
    return {}
