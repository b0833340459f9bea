"""SageMaker Metrics: what ``Run.log_metric`` of the SDK sends for a trial component, and what is made of it.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Operations_Amazon_SageMaker_Metrics_Service.html
Each call's points are one document, so that a long run costs no more per call than a short one.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlparity.apis.sagemaker import lineage_entities as entities
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import SageMakerError
from mlparity.apis.sagemaker.lineage_entities import TRIAL_COMPONENT
from mlparity.apis.sagemaker.operation import Operation
from mlparity.engine.lineage import Entity
from mlparity.state.documents import Document, DocumentFilter
from mlparity.state.paging import PageRequest

KIND = "TrialComponentMetrics"
_PAGE = 500
_PERIODS = {"OneMinute": 60, "FiveMinute": 300, "OneHour": 3600}
_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Min": min,
    "Max": max,
    "Avg": statistics.fmean,
    "Count": len,
    "StdDev": statistics.pstdev,
    "Last": lambda values: values[-1],
}


@dataclass(frozen=True)
class Point:
    """One value of a metric; ``at`` in seconds since 1970."""

    metric: str
    at: float
    value: float
    step: int | None


def put(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """BatchPutMetrics. A value that is no finite number is refused, by its place in the call."""
    entity = entities.find(api, TRIAL_COMPONENT, request["TrialComponentName"])
    given = request["MetricData"]
    wrong = [index for index, item in enumerate(given) if not math.isfinite(item["Value"])]
    points = [
        [item["MetricName"], item["Timestamp"].timestamp(), item["Value"], item.get("Step")]
        for index, item in enumerate(given)
        if index not in wrong
    ]
    if points:
        api.documents.create(KIND, f"{entity.id}/{api.ids.uuid()}", {"points": points})
    return {"Errors": [{"Code": "VALIDATION_ERROR", "MetricIndex": index} for index in wrong]} if wrong else {}


def get(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """BatchGetMetrics: one series for each query, in the order of the queries."""
    return {"MetricQueryResults": [_series(api, query) for query in request["MetricQueries"]]}


def _series(api: SageMaker, query: Mapping[str, Any]) -> Response:
    empty: Response = {"XAxisValues": [], "MetricValues": []}
    by_iteration = query["XAxisType"] == "IterationNumber"
    if by_iteration is not (query["Period"] == "IterationNumber"):
        return {"Status": "ValidationError", "Message": "XAxisType and Period do not go together", **empty}
    try:
        entity = entities.find(api, TRIAL_COMPONENT, query["ResourceArn"])
    except SageMakerError as error:
        return {"Status": "ValidationError", "Message": error.message, **empty}
    bins: dict[int, list[float]] = {}
    for point in _points(_documents(api, f"{entity.id}/")):
        place = point.step if by_iteration else _start(point.at, _PERIODS.get(query["Period"], 1))
        if point.metric != query["MetricName"] or place is None:
            continue
        if query.get("Start", -math.inf) <= place <= query.get("End", math.inf):
            bins.setdefault(place, []).append(point.value)
    places = sorted(bins)
    values = [float(_STATISTICS[query["MetricStat"]](bins[place])) for place in places]
    return {"Status": "Complete", "XAxisValues": places, "MetricValues": values}


def _start(at: float, seconds: int) -> int:
    """The start of the period, in milliseconds since 1970, as the SDK takes it."""
    return int(at // seconds) * seconds * 1000


def summarised(api: SageMaker, entity: Entity) -> list[Response]:
    """``Metrics`` of one component: those that its job has reported, and those that were put."""
    return [*entity.body.get("Metrics", ()), *_summaries(entity, _points(_documents(api, f"{entity.id}/")))]


def all_summarised(api: SageMaker) -> Callable[[Entity], list[Response]]:
    """``summarised`` for many components, with one look at the documents."""
    found: dict[str, list[Document]] = {}
    for document in _documents(api, None):
        found.setdefault(document.name.rpartition("/")[0], []).append(document)
    return lambda entity: [
        *entity.body.get("Metrics", ()),
        *_summaries(entity, _points(found.get(entity.id, ()))),
    ]


def forget(api: SageMaker, entity: Entity) -> None:
    """Delete what was put for a component that goes."""
    for document in list(_documents(api, f"{entity.id}/")):
        api.documents.delete(KIND, document.name)


def _summaries(entity: Entity, points: Iterable[Point]) -> list[Response]:
    series: dict[str, list[Point]] = {}
    for point in points:
        series.setdefault(point.metric, []).append(point)
    source = entity.body.get("Source", {}).get("SourceArn", entity.id)
    return [_summary(source, name, found) for name, found in sorted(series.items())]


def _summary(source: str, name: str, points: Sequence[Point]) -> Response:
    values = [point.value for point in points]
    return {
        "MetricName": name,
        "SourceArn": source,
        "TimeStamp": datetime.fromtimestamp(points[-1].at, UTC),
        **{statistic: compute(values) for statistic, compute in _STATISTICS.items()},
    }


def _points(documents: Iterable[Document]) -> Iterator[Point]:
    """In the order of their times; those of one time in the order in which they came."""
    found = [
        Point(metric, at, value, step)
        for document in documents
        for metric, at, value, step in document.body["points"]
    ]  # fmt: skip
    return iter(sorted(found, key=lambda point: point.at))


def _documents(api: SageMaker, prefix: str | None) -> Iterator[Document]:
    token: str | None = None
    while True:
        page = PageRequest("created_at", descending=False, limit=_PAGE, token=token)
        found = api.documents.list(KIND, DocumentFilter(name_prefix=prefix), page)
        yield from found.items
        token = found.next_token
        if token is None:
            return


OPERATIONS = (
    Operation("BatchPutMetrics", put),
    Operation("BatchGetMetrics", get, "the series of trial components; a training job's are in CloudWatch"),
)
BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}
# The service's paths: it speaks rest-json, and shares SageMaker's signing name.
PATHS = {("PUT", "/BatchPutMetrics"): "BatchPutMetrics", ("POST", "/BatchGetMetrics"): "BatchGetMetrics"}
