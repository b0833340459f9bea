"""CloudWatch's metrics: put, listed and read back by statistic.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html and its sisters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlparity.apis.aws.message import AwsError
from mlparity.apis.aws.metrics_statistics import Period, floored, is_known, is_percentile, periods
from mlparity.apis.aws.metrics_store import Datum, MetricStore, Series
from mlparity.clock import Clock

RETENTION = timedelta(days=15)
_OLDEST, _NEWEST = timedelta(weeks=2), timedelta(hours=2)
_MOST_DATA, _MOST_VALUES, _MOST_DIMENSIONS = 1000, 150, 30
_MOST_POINTS = 1440
_MOST_QUERIES = 500
_MOST_RETURNED = 100_800
_PAGE = 500
_MINUTE = 60
_SHORT_PERIODS = (1, 5, 10, 20, 30)
_LARGEST, _SMALLEST = 2.0**360, 2.0**-360
_SWEEP = timedelta(hours=1)


@dataclass(frozen=True)
class ServiceMetric:
    """A value that a service publishes about itself; or many, as ``samples`` of (value, count)."""

    namespace: str
    name: str
    dimensions: Mapping[str, str]
    value: float
    unit: str
    at: datetime
    samples: Sequence[tuple[float, float]] = ()
    # Or of many whose values nobody knows: how many, their sum, the least and the greatest.
    summary: tuple[float, float, float, float] | None = None

    def datum(self) -> Datum:
        """As it is kept."""
        at = floored(self.at, 1)
        if self.summary is not None:
            return Datum(at, *self.summary, self.unit)
        return Datum.of(at, self.samples or [(self.value, 1.0)], self.unit)


class MetricsService:
    """PutMetricData, ListMetrics, GetMetricStatistics, GetMetricData; and timed work: forgetting."""

    def __init__(self, store: MetricStore, clock: Clock, home_region: str) -> None:
        self._store = store
        self._clock = clock
        self._home_region = home_region
        self._sweep_at = clock.now()

    def handle(self, operation: str, params: Mapping[str, Any], region: str) -> dict[str, Any] | None:
        """The response of one operation; None for what is not about metrics. Raises ``AwsError``."""
        match operation:
            case "PutMetricData":
                return self._put(params, region)
            case "ListMetrics":
                return self._list(params, region)
            case "GetMetricStatistics":
                return self._statistics(params, region)
            case "GetMetricData":
                return self._data(params, region)
        return None

    def publish(self, metrics: Sequence[ServiceMetric]) -> None:
        """Keep what a service of this stack says of itself."""
        data = [
            (Series(self._home_region, each.namespace, each.name, each.dimensions), each.datum())
            for each in metrics
            if math.isfinite(each.value)
        ]
        if data:
            self._store.add(data)

    def next_due(self) -> datetime | None:
        """See ``TimedWork``."""
        return self._sweep_at

    def run_due(self) -> None:
        """See ``TimedWork``."""
        self._sweep_at = self._clock.now() + _SWEEP
        self._store.forget_before(self._clock.now() - RETENTION)

    # -- putting -----------------------------------------------------------------------------------------------

    def _put(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        if "EntityMetricData" in params:
            raise AwsError("InvalidParameterValue", "EntityMetricData is not served by mlparity; use MetricData.")
        given = params.get("MetricData", [])
        if not given:
            raise AwsError("MissingParameter", "The parameter MetricData is required.")
        if len(given) > _MOST_DATA:
            raise _wrong(f"The collection MetricData must not have a size greater than {_MOST_DATA}.")
        namespace = params["Namespace"]
        self._store.add(
            [
                (
                    Series(region, namespace, each["MetricName"], _dimensions(each, f"MetricData.member.{number}")),
                    self._datum(each, f"MetricData.member.{number}"),
                )
                for number, each in enumerate(given, 1)
            ]
        )
        return {}

    def _datum(self, given: Mapping[str, Any], where: str) -> Datum:
        now = self._clock.now()
        at = given.get("Timestamp", now)
        if at < now - _OLDEST:
            raise _wrong(f"The parameter {where}.Timestamp must specify a time no more than two weeks in the past.")
        if at > now + _NEWEST:
            raise _wrong(f"The parameter {where}.Timestamp must specify a time within two hours of the current time.")
        resolution = given.get("StorageResolution", _MINUTE)
        if resolution not in {1, _MINUTE}:
            raise _wrong(f"The parameter {where}.StorageResolution must be 1 or 60.")
        at, unit = floored(at, resolution), given.get("Unit", "None")
        if sum(name in given for name in ("Value", "Values", "StatisticValues")) != 1:
            raise AwsError(
                "InvalidParameterCombination",
                f"The parameters {where}.Value, {where}.Values and {where}.StatisticValues are mutually exclusive, and "
                "one of them must be specified.",
            )
        if "StatisticValues" in given:
            return _summary(given["StatisticValues"], at, unit, where)
        values = given.get("Values", [given.get("Value")])
        counts = given.get("Counts", [1.0] * len(values))
        if not 1 <= len(values) <= _MOST_VALUES or len(counts) != len(values):
            raise _wrong(
                f"The parameters {where}.Values and {where}.Counts must be of the same size, {_MOST_VALUES} at most."
            )
        for value in values:
            _check_value(value, f"{where}.Value")
        if any(not math.isfinite(count) or count <= 0 for count in counts):
            raise _wrong(f"The parameter {where}.Counts must be greater than 0.")
        return Datum.of(at, list(zip(values, counts, strict=True)), unit)

    # -- reading -----------------------------------------------------------------------------------------------

    def _list(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        now = self._clock.now()
        since = now - (timedelta(hours=3) if params.get("RecentlyActive") else RETENTION)
        wanted = {each["Name"]: each.get("Value") for each in params.get("Dimensions", ())}
        after: str = params.get("NextToken", "")
        found: list[Series] = []
        namespace, name = params.get("Namespace"), params.get("MetricName")
        while len(found) <= _PAGE:
            page = self._store.page(region, namespace=namespace, name=name, since=since, after=after, limit=_PAGE + 1)
            found += [each for each in page if _has(each, wanted)]
            if len(page) <= _PAGE:
                break
            after = page[-1].id
        shown = found[:_PAGE]
        response: dict[str, Any] = {"Metrics": [_metric(each) for each in shown]}
        return response | ({"NextToken": shown[-1].id} if len(found) > _PAGE else {})

    def _statistics(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        plain, extended = params.get("Statistics", []), params.get("ExtendedStatistics", [])
        if not plain and not extended:
            raise AwsError("MissingParameter", "Must specify either Statistics or ExtendedStatistics")
        for name in extended:
            if not is_percentile(name):
                raise _wrong(f"The value {name} for parameter ExtendedStatistics is not supported: give a percentile.")
        start, end, seconds = params["StartTime"], params["EndTime"], params["Period"]
        _check_period(seconds)
        if start >= end:
            raise AwsError("InvalidParameterCombination", "The parameter StartTime must be less than EndTime.")
        if (end - start).total_seconds() / seconds > _MOST_POINTS:
            raise AwsError(
                "InvalidParameterCombination",
                f"You have requested more than {_MOST_POINTS} datapoints; reduce the time range or increase Period.",
            )
        series = Series(region, params["Namespace"], params["MetricName"], _dimensions(params, ""))
        found = self._periods(series, start, end, seconds, params.get("Unit"))
        return {"Label": series.name, "Datapoints": [_datapoint(each, plain, extended) for each in found]}

    def _data(self, params: Mapping[str, Any], region: str) -> dict[str, Any]:
        queries = params["MetricDataQueries"]
        if len(queries) > _MOST_QUERIES:
            raise _wrong(f"The collection MetricDataQueries must not have a size greater than {_MOST_QUERIES}.")
        if len({query["Id"] for query in queries}) != len(queries):
            raise AwsError("ValidationError", "The Ids of MetricDataQueries must be unique.")
        if params["StartTime"] >= params["EndTime"]:
            raise AwsError("ValidationError", "The parameter StartTime must be less than the parameter EndTime.")
        for query in queries:
            _check_query(query)
        newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [
            self._result(query, params, region, newest_first=newest_first)
            for query in queries
            if query.get("ReturnData", True)
        ]
        return _cut(results, params.get("MaxDatapoints", _MOST_RETURNED), params.get("NextToken"))

    def _result(
        self, query: Mapping[str, Any], params: Mapping[str, Any], region: str, *, newest_first: bool
    ) -> dict[str, Any]:
        stat = query["MetricStat"]
        metric = stat["Metric"]
        series = Series(region, metric.get("Namespace", ""), metric.get("MetricName", ""), _dimensions(metric, ""))
        found = self._periods(series, params["StartTime"], params["EndTime"], stat["Period"], stat.get("Unit"))
        points = [(each.start, each.statistic(stat["Stat"])) for each in found]
        known = [(start, value) for start, value in points if value is not None]
        if newest_first:
            known.reverse()
        return {
            "Id": query["Id"],
            "Label": query.get("Label", series.name),
            "Timestamps": [start for start, _ in known],
            "Values": [value for _, value in known],
            "StatusCode": "Complete",
        }

    def _periods(self, series: Series, start: datetime, end: datetime, seconds: int, unit: str | None) -> list[Period]:
        origin = floored(start, min(seconds, _MINUTE))
        return periods(self._store.read(series, origin, end, unit), origin, seconds)


def _summary(given: Mapping[str, float], at: datetime, unit: str, where: str) -> Datum:
    for value in given.values():
        _check_value(value, f"{where}.StatisticValues")
    count, low, high = given["SampleCount"], given["Minimum"], given["Maximum"]
    if count <= 0 or low > high:
        raise _wrong(f"The parameter {where}.StatisticValues must have samples, and a Minimum below its Maximum.")
    return Datum(at, count, given["Sum"], low, high, unit)


def _check_value(value: float, where: str) -> None:
    if not math.isfinite(value) or (value != 0 and not _SMALLEST <= abs(value) <= _LARGEST):
        raise _wrong(f"The value {value} for parameter {where} is invalid.")


def _check_period(seconds: int) -> None:
    if seconds not in _SHORT_PERIODS and seconds % _MINUTE:
        raise _wrong("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")


def _check_query(query: Mapping[str, Any]) -> None:
    if "Expression" in query:
        raise AwsError(
            "ValidationError", f"Expression of {query['Id']}: metric math is not served by mlparity; query the metrics."
        )
    if "MetricStat" not in query:
        raise AwsError("ValidationError", f"{query['Id']} must have a MetricStat.")
    _check_period(query["MetricStat"]["Period"])
    if not is_known(query["MetricStat"]["Stat"]):
        raise AwsError(
            "ValidationError", f"Stat {query['MetricStat']['Stat']} is none of the plain statistics and percentiles."
        )


def _cut(results: list[dict[str, Any]], limit: int, token: str | None) -> dict[str, Any]:
    """``limit`` data points of all results together, from the place that the token names."""
    if token is not None and not token.isdecimal():
        raise AwsError("InvalidNextToken", "The next token specified is invalid.")
    begin = int(token or 0)
    passed, shown = 0, []
    for result in results:
        size = len(result["Values"])
        low, high = max(begin - passed, 0), max(min(begin + limit - passed, size), 0)
        status = "Complete" if high >= size else "PartialData"
        if low < high or (size == 0 and begin == 0):
            kept = {name: result[name][low:high] for name in ("Timestamps", "Values")}
            shown.append({**result, **kept, "StatusCode": status})
        passed += size
    response: dict[str, Any] = {"MetricDataResults": shown}
    return response | ({"NextToken": str(begin + limit)} if begin + limit < passed else {})


def _dimensions(given: Mapping[str, Any], where: str) -> dict[str, str]:
    found = given.get("Dimensions", [])
    if len(found) > _MOST_DIMENSIONS:
        raise _wrong(f"The collection {where}.Dimensions must not have a size greater than {_MOST_DIMENSIONS}.")
    return {each["Name"]: each["Value"] for each in found}


def _has(series: Series, wanted: Mapping[str, str | None]) -> bool:
    return all(name in series.dimensions and value in {None, series.dimensions[name]} for name, value in wanted.items())


def _metric(series: Series) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in series.dimensions.items()]
    return {"Namespace": series.namespace, "MetricName": series.name, "Dimensions": dimensions}


def _datapoint(period: Period, plain: Sequence[str], extended: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"Timestamp": period.start, "Unit": period.unit}
    found |= {name: period.statistic(name) for name in plain}
    percentiles = {name: period.statistic(name) for name in extended}
    if percentiles:
        found["ExtendedStatistics"] = {name: value for name, value in percentiles.items() if value is not None}
    return found


def _wrong(message: str) -> AwsError:
    return AwsError("InvalidParameterValue", message)
