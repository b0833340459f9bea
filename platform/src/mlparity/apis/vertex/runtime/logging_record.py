"""One captured request as a line of JSON: the columns of the BigQuery table of request-response logging.

https://cloud.google.com/vertex-ai/docs/predictions/online-prediction-logging
"""

from __future__ import annotations

import orjson

from mlparity.serving.routing.capture import Captured


def line(item: Captured) -> bytes:
    """The record of ``item``, ended by a line feed. Payloads are lists of JSON texts, one an instance."""
    record = {
        "endpoint": item.endpoint.rpartition("/")[2],
        "deployed_model_id": item.variant,
        "logging_time": item.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "request_id": int(item.event_id.replace("-", "")[:15], 16),
        "request_payload": _items(item.input, "instances") if item.plan.input else [],
        "response_payload": _items(item.output, "predictions") if item.plan.output else [],
    }
    return orjson.dumps(record) + b"\n"


def _items(body: bytes, member: str) -> list[str]:
    """The entries of the body's list, or the body itself where it has none (a raw prediction)."""
    try:
        document = orjson.loads(body)
    except ValueError:
        return [body.decode("utf-8", "replace")]
    found = document.get(member) if isinstance(document, dict) else None
    if not isinstance(found, list):
        return [body.decode("utf-8", "replace")]
    return [orjson.dumps(one).decode() for one in found]
