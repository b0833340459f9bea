"""Traffic splits of endpoints: what is allowed, and what the substrate is to serve by them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from mlparity.apis.vertex.errors import invalid, invalid_argument
from mlparity.serving.endpoints.endpoints import Endpoint
from mlparity.serving.endpoints.plans import CapturePlan, Revision, VariantPlan
from mlparity.wire.google.descriptors import Message

NEW = "0"  # stands for the model that is being deployed
_WHOLE = 100


def check_split(split: Mapping[str, int], known: Collection[str]) -> None:
    """An empty split takes no traffic. Raises ``GoogleError`` INVALID_ARGUMENT."""
    unknown = sorted(set(split) - set(known))
    if unknown:
        raise invalid_argument(
            f"The traffic split names deployed models that the Endpoint does not have: {', '.join(unknown)}."
        )
    if any(not 0 <= percent <= _WHOLE for percent in split.values()):
        raise invalid({"traffic_split": "Traffic percentages must be between 0 and 100."})
    if split and sum(split.values()) != _WHOLE:
        total = sum(split.values())
        raise invalid({"traffic_split": f"The traffic percentages must add up to 100, not {total}."})


def revision(
    serving: Endpoint,
    split: Mapping[str, int],
    capture: CapturePlan | None,
    *,
    add: VariantPlan | None = None,
    remove: str = "",
) -> Revision:
    """What is to be served: the deployed models that are there, one more or one less, with the split's weights."""
    kept = [one.plan for one in serving.variants if one.name != remove]
    plans = [replace(plan, weight=float(split.get(plan.name, 0))) for plan in (*kept, *([add] if add else []))]
    return Revision(f"{len(plans)} deployed models", tuple(plans), capture)


def logged(endpoint: Message, bucket: str) -> CapturePlan | None:
    """Which requests are kept, by the endpoint's request-response logging; None where it is off.

    There is no BigQuery: the table's rows are lines of JSON below gs://BUCKET/request-response-logging.
    """
    config = endpoint.predict_request_response_logging_config
    if not endpoint.HasField("predict_request_response_logging_config") or not config.enabled:
        return None
    rate = config.sampling_rate
    if not 0 < rate <= 1:
        path = "endpoint.predict_request_response_logging_config.sampling_rate"
        raise invalid({path: f"The sampling rate must be in (0, 1], not {rate:g}."})
    return CapturePlan(max(1, round(rate * _WHOLE)), f"gs://{bucket}/request-response-logging")
