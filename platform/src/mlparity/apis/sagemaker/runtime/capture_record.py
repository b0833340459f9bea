"""One captured request as a line of JSON, in the layout that Model Monitor reads.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from mlparity.serving.routing.capture import Captured


def line(item: Captured) -> bytes:
    """The record of ``item``, ended by a line feed."""
    plan = item.plan
    data: dict[str, Any] = {}
    if plan.input:
        data["endpointInput"] = _side("INPUT", item.input_type, item.input, plan.csv_types, plan.json_types)
    if plan.output:
        data["endpointOutput"] = _side("OUTPUT", item.output_type, item.output, plan.csv_types, plan.json_types)
    metadata: dict[str, Any] = {"eventId": item.event_id}
    if item.custom_attributes:
        metadata["customAttributes"] = [item.custom_attributes]
    if item.inference_id:
        metadata["inferenceId"] = item.inference_id
    metadata["inferenceTime"] = item.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    return orjson.dumps({"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}) + b"\n"


def _side(mode: str, content_type: str, body: bytes, csv: Sequence[str], json: Sequence[str]) -> dict[str, str]:
    encoding, data = _encoded(content_type, body, csv, json)
    return {"observedContentType": content_type, "mode": mode, "data": data, "encoding": encoding}


def _encoded(content_type: str, body: bytes, csv: Sequence[str], json: Sequence[str]) -> tuple[str, str]:
    media = content_type.partition(";")[0].strip().lower()
    for encoding, types in (("CSV", csv), ("JSON", json)):
        if any(media == one.lower() for one in types):
            try:
                return encoding, body.decode()
            except UnicodeDecodeError:
                break
    return "BASE64", b64encode(body).decode()
