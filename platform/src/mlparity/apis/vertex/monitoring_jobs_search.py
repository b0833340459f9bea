"""SearchModelDeploymentMonitoringStatsAnomalies: what a job's runs have found.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.modelDeploymentMonitoringJobs/searchModelDeploymentMonitoringStatsAnomalies
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import ParseDict

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid, unimplemented
from mlparity.apis.vertex.monitoring_jobs_spec import DRIFT, SKEW
from mlparity.apis.vertex.monitoring_jobs_stored import JOBS, runs
from mlparity.apis.vertex.operation import Call
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.page_token import make_token, page_size, read_token

_DEFAULT_SIZE, _MOST = 100, 1000


def search(vertex: Vertex, request: Message, call: Call) -> Message:
    """Each objective's features with their history; a page is of so many features."""
    size, start = page_size(request, _DEFAULT_SIZE, _MOST), read_token(request) or 0
    stored = JOBS.load(vertex, call.api, request.model_deployment_monitoring_job)
    wanted = [call.api.enum_name("ModelDeploymentMonitoringObjectiveType", one.type) for one in request.objectives]
    refused = [one for one in wanted if one not in {SKEW, DRIFT}]
    if refused:
        raise unimplemented(f"objectives: {refused[0]} is not served by mlparity. See `mlparity parity vertex`.")
    known = {one.deployed_model_id for one in stored.message.model_deployment_monitoring_objective_configs}
    if request.deployed_model_id not in known:
        told = f"The job does not monitor a DeployedModel with ID {request.deployed_model_id!r}."
        raise invalid({"deployed_model_id": told})
    found = [run for run in runs(vertex, stored.message.name, request.deployed_model_id) if _within(run, request)]
    training = stored.private.get("training", {}).get(request.deployed_model_id, {})
    every = [
        (objective, stats)
        for objective in wanted
        for stats in _features(objective, found, training, request.feature_display_name)
    ]
    page = every[start : start + size]
    listed = [
        {
            "objective": objective,
            "deployedModelId": request.deployed_model_id,
            "anomalyCount": sum("anomalyUri" in one for _, stats in mine for one in stats["predictionStats"]),
            "featureStats": [stats for _, stats in mine],
        }
        for objective in dict.fromkeys(objective for objective, _ in page)
        if (mine := [one for one in page if one[0] == objective])
    ]
    token = make_token(request, start + size) if start + size < len(every) else ""
    document = {"monitoringStats": listed, "nextPageToken": token}
    response: Message = ParseDict(document, call.response(), descriptor_pool=call.api.pool)
    return response


def _features(
    objective: str, found: Sequence[Mapping[str, Any]], training: Mapping[str, Any], only: str
) -> Iterator[dict[str, Any]]:
    """The feature's statistics, one member of the list a run."""
    names = dict.fromkeys(name for run in found for name in run["found"].get(objective, {}))
    for name in names:
        if only and name != only:
            continue
        history = [_stats(run, one) for run in found if (one := run["found"].get(objective, {}).get(name)) is not None]
        told: dict[str, Any] = {
            "featureDisplayName": name,
            "threshold": {"value": history[-1]["anomalyDetectionThreshold"]},
            "predictionStats": history,
        }
        if objective == SKEW and name in training:
            told["trainingStats"] = {"statsUri": training[name]["uri"]}
        yield told


def _stats(run: Mapping[str, Any], one: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "statsUri": one["stats"],
        "distributionDeviation": one["deviation"],
        "anomalyDetectionThreshold": one["threshold"],
        "startTime": run["start"],
        "endTime": run["end"],
    }
    return {**told, **({"anomalyUri": one["anomaly"]} if one["anomaly"] else {})}


def _within(run: Mapping[str, Any], request: Message) -> bool:
    end = datetime.fromisoformat(run["end"])
    return (not request.HasField("start_time") or request.start_time.ToDatetime(tzinfo=UTC) <= end) and (
        not request.HasField("end_time") or end <= request.end_time.ToDatetime(tzinfo=UTC)
    )
