"""The JSON of Predict: what a request may hold, and what is made of a container's answer.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/predict
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from mlparity.apis.vertex.runtime.errors import Refusal, invalid, without_predictions

MAX_BODY = 1_572_864  # bytes of a request: 1.5 MB
_MEMBERS = {"instances", "parameters", "labels"}
_OWN = {"instances", "parameters"}  # what the container gets


class RefusedError(Exception):
    """The request or the answer is not what it must be."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def request(body: bytes) -> bytes:
    """The container's body for a request's. Raises ``RefusedError``."""
    try:
        document = orjson.loads(body)
    except ValueError as error:
        raise RefusedError(invalid(f"Invalid JSON payload received. {error}")) from error
    if not isinstance(document, dict):
        raise RefusedError(invalid("Invalid JSON payload received. Unknown name: Root element must be a message."))
    unknown = [name for name in document if name not in _MEMBERS]
    if unknown:
        raise RefusedError(invalid(f'Invalid JSON payload received. Unknown name "{unknown[0]}": Cannot find field.'))
    instances = document.get("instances")
    if instances is not None and not isinstance(instances, list):
        raise RefusedError(invalid('Invalid value at "instances": it must be a list.'))
    if not instances:
        raise RefusedError(invalid("Empty instances."))
    if document.keys() <= _OWN and document.get("parameters", ...) is not None:
        return body
    return orjson.dumps({name: document[name] for name in _OWN if document.get(name) is not None})


def response(body: bytes, labels: Mapping[str, str]) -> bytes:
    """Predict's answer of the container's. ``labels`` tell of the deployed model. Raises ``RefusedError``."""
    document: Any
    try:
        document = orjson.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("predictions"), list):
        raise RefusedError(without_predictions(body.decode("utf-8", "replace")))
    answer = {"predictions": document["predictions"], **labels}
    if document.get("metadata") is not None:
        answer["metadata"] = document["metadata"]
    return orjson.dumps(answer)
