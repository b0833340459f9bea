"""Search and GetSearchSuggestions over what Describe shows of every resource.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_Search.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from mlparity.apis.sagemaker import search_expression
from mlparity.apis.sagemaker.context import Caller, Request, Response, SageMaker
from mlparity.apis.sagemaker.errors import not_served, validation
from mlparity.apis.sagemaker.operation import Operation
from mlparity.apis.sagemaker.search_properties import Property, locate
from mlparity.apis.sagemaker.search_resources import SEARCHABLE, Hints, Searchable
from mlparity.wire.json_values import jsonable

_PAGE = 10
_SUGGESTIONS = 100
_MAPS = ("HyperParameters", "Parameters", "InputArtifacts", "OutputArtifacts")


def search(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """Search."""
    resource = _resource(request)
    if request.get("CrossAccountFilterOption") == "CrossAccount":
        return {"Results": [], "TotalHits": {"Value": 0, "Relation": "EqualTo"}}  # nobody shares anything here
    shapes: Mapping[str, Any] = api.model.document["shapes"]
    expression = _renamed(shapes, resource, _expression(request))
    order = _order(shapes, resource, request)
    tagged = any(name.lower().startswith("tags") for name in {*search_expression.names(expression), *order.names})
    found = list(_records(api, resource, _hints(request), tagged=tagged))
    if expression:
        wanted = search_expression.predicate(shapes, resource.shape, expression)
        found = [record for record in found if wanted(record)]
    found = order.sorted(found)
    items, token = _slice(found, request)
    shown = [{resource.member: record if tagged else _with_tags(api, resource, record)} for record in items]
    response: Response = {"Results": shown, "TotalHits": {"Value": len(found), "Relation": "EqualTo"}}
    return {**response, "NextToken": token} if token else response


def _resource(request: Request) -> Searchable:
    name = request["Resource"]
    if name not in SEARCHABLE:
        raise not_served(f"Search of {name}")
    return SEARCHABLE[name]


def _expression(request: Request) -> Mapping[str, Any]:
    """The request's expression, and what it may see at all."""
    asked = request.get("SearchExpression")
    conditions = request.get("VisibilityConditions", ())
    if any("Key" not in item or "Value" not in item for item in conditions):
        raise validation("Each of VisibilityConditions must have a Key and a Value")
    visible = [{"Name": item["Key"], "Operator": "Equals", "Value": item["Value"]} for item in conditions]
    if not visible:
        return asked or {}
    return {"Filters": visible, "SubExpressions": [asked] if asked else []}


def _renamed(shapes: Mapping[str, Any], resource: Searchable, expression: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of models, a property may be named with or without the record's ``Model.`` before it."""
    if resource.member != "Model" or not expression:
        return expression

    def rename(name: str) -> str:
        head = name.partition(".")[0].lower()
        own = {member.lower() for member in shapes[resource.shape]["members"]}
        return name if head in own or head == "tags" else f"Model.{name}"

    renamed = dict(expression)
    renamed["Filters"] = [{**item, "Name": rename(item["Name"])} for item in expression.get("Filters", ())]
    below = expression.get("SubExpressions", ())
    renamed["SubExpressions"] = [_renamed(shapes, resource, item) for item in below]
    return renamed


class _Order:
    """How results are sorted: by one property, those without it last."""

    def __init__(self, properties: list[Property], names: set[str], *, descending: bool) -> None:
        self.names = names
        self._properties = properties
        self._descending = descending

    def sorted(self, records: list[Response]) -> list[Response]:
        keyed = [(self._key(record), record) for record in records]
        have = [(key, record) for key, record in keyed if key is not None]
        have.sort(key=lambda pair: pair[0], reverse=self._descending)
        return [record for _, record in have] + [record for key, record in keyed if key is None]

    def _key(self, record: Response) -> tuple[int, Any] | None:
        for where in self._properties:
            values = where.values(record)
            if values:
                return _comparable(values[0])
        return None


def _comparable(value: Any) -> tuple[int, Any]:
    """Numbers, times and texts in one list can be sorted: by their sort first."""
    if isinstance(value, datetime):
        return 0, value.timestamp()
    if isinstance(value, bool | int | float):
        return 0, float(value)
    try:
        return 0, float(value)
    except (TypeError, ValueError):
        return 1, str(value)


def _order(shapes: Mapping[str, Any], resource: Searchable, request: Request) -> _Order:
    descending = request.get("SortOrder", "Descending") == "Descending"
    if "SortBy" in request:
        name = request["SortBy"]
        if resource.member == "Model" and not name.lower().startswith(("model.", "tags.")):
            name = f"Model.{name}"
        return _Order([locate(shapes, resource.shape, name)], {name}, descending=descending)
    prefix = "Model." if resource.member == "Model" else ""
    root = shapes["Model" if prefix else resource.shape]["members"]
    usual = [f"{prefix}{name}" for name in ("LastModifiedTime", "CreationTime") if name in root]
    return _Order([locate(shapes, resource.shape, name) for name in usual], set(), descending=descending)


def _hints(request: Request) -> Hints:
    """What the database can sift by itself: times that every result must satisfy."""
    expression = request.get("SearchExpression", {})
    if request["Resource"] != "TrainingJob" or expression.get("Operator") == "Or":
        return {}
    hints: dict[str, Any] = {}
    columns = {"creationtime": "created", "lastmodifiedtime": "modified"}
    for item in expression.get("Filters", ()):
        column = columns.get(item["Name"].lower())
        side = {"Greater": "after", "LessTha": "before"}.get(item.get("Operator", "")[:7])
        if column is None or side is None:
            continue
        try:
            moment = datetime.fromisoformat(item.get("Value", ""))
        except ValueError:
            continue  # the filter itself refuses it
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # A second more than asked: the filter itself is exact about the bound.
        hints[f"{column}_{side}"] = moment + timedelta(seconds=-1 if side == "after" else 1)
    return hints


def _records(api: SageMaker, resource: Searchable, hints: Hints, *, tagged: bool) -> Iterator[Response]:
    members = api.model.members(resource.shape)
    for record in resource.records(api, hints):
        shown = {name: value for name, value in record.items() if name in members}
        yield _with_tags(api, resource, shown) if tagged else shown


def _with_tags(api: SageMaker, resource: Searchable, record: Response) -> Response:
    arn = record.get(resource.arn) or record.get("Model", {}).get(resource.arn)
    found = [{"Key": key, "Value": value} for key, value in api.tags.get(str(arn)).items()]
    if not found:
        return record
    if resource.member == "Model":
        return {**record, "Model": {**record["Model"], "Tags": found}}
    return {**record, "Tags": found}


def _slice(found: list[Response], request: Request) -> tuple[list[Response], str | None]:
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise validation("Invalid pagination token")
    begin = int(token)
    end = begin + request.get("MaxResults", _PAGE)
    return found[begin:end], str(end) if end < len(found) else None


def suggestions(api: SageMaker, request: Request, _caller: Caller) -> Response:
    """GetSearchSuggestions: names of hyperparameters, parameters, artifacts, metrics and tags that are in use."""
    resource = _resource(request)
    hint = request.get("SuggestionQuery", {}).get("PropertyNameQuery", {}).get("PropertyNameHint", "").lower()
    names: set[str] = set()
    for record in _records(api, resource, {}, tagged=True):
        names.update(name for name in _open_names(jsonable(record)) if name.lower().startswith(hint))
    return {"PropertyNameSuggestions": [{"PropertyName": name} for name in sorted(names)[:_SUGGESTIONS]]}


def _open_names(record: Mapping[str, Any]) -> Iterator[str]:
    for member in _MAPS:
        yield from (f"{member}.{key}" for key in record.get(member, ()))
    for member in ("FinalMetricDataList", "Metrics"):
        yield from (f"Metrics.{item['MetricName']}" for item in record.get(member, ()))
    tags = record.get("Tags") or record.get("Model", {}).get("Tags", ())
    yield from (f"Tags.{tag['Key']}" for tag in tags)


OPERATIONS = (
    Operation("Search", search, f"of {', '.join(SEARCHABLE)}"),
    Operation("GetSearchSuggestions", suggestions),
)
