"""What the analyses of monitoring schedules say in CloudWatch: drift, completeness and quality, a metric each.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-interpreting-cloudwatch.html
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from mlparity.apis.aws.metrics import ServiceMetric
from mlparity.apis.sagemaker.context import API
from mlparity.apis.sagemaker.monitoring_jobs import EXECUTION
from mlparity.engine.jobs import Job, Phase

_ENDPOINTS, _BATCHES = "aws/sagemaker/Endpoints", "aws/sagemaker/ModelMonitoring"
_LOG = logging.getLogger(__name__)


def monitoring(publish: Callable[[Sequence[ServiceMetric]], None]) -> Callable[[Job], None]:
    """A JobService listener: publishes the file that the container left, once its job has completed."""

    def on_job(job: Job) -> None:
        if job.api == API and EXECUTION in job.request and job.phase is Phase.COMPLETED:
            publish(list(_metrics(job)))

    return on_job


def _metrics(job: Job) -> Iterator[ServiceMetric]:
    environment = job.request.get("Environment", {})
    source = _ENDPOINTS if environment.get("sagemaker_endpoint_name") else _BATCHES
    namespace = f"{source}/{'model' if environment.get('analysis_type') == 'MODEL_QUALITY' else 'data'}-metrics"
    for line in (job.results.get("result") or "").splitlines():
        try:
            yield _metric(namespace, json.loads(line))
        except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:  # of a container of the user's own
            _LOG.warning("%s: a line of its metrics is no metric: %r", job.name, error)


def _metric(namespace: str, given: dict[str, Any]) -> ServiceMetric:
    at = datetime.fromisoformat(given["Timestamp"])
    dimensions = {item["Name"]: item["Value"] for item in given.get("Dimensions", ())}
    unit = given.get("Unit", "None")
    if "StatisticValues" not in given:
        return ServiceMetric(namespace, given["MetricName"], dimensions, float(given["Value"]), unit, at)
    count, total, low, high = (
        float(given["StatisticValues"][name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")
    )
    summary = (count, total, low, high)
    return ServiceMetric(namespace, given["MetricName"], dimensions, total / count, unit, at, summary=summary)
