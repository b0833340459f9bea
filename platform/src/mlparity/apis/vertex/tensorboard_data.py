"""The points of a tensorboard's time series: written and read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC

from mlparity.apis.vertex.context import Vertex
from mlparity.apis.vertex.errors import invalid, unimplemented
from mlparity.apis.vertex.names import id_of
from mlparity.apis.vertex.operation import Call, Operation
from mlparity.apis.vertex.tensorboards import EXPERIMENTS, RUNS, SERIES, TENSORBOARDS
from mlparity.metadata.time_series import Point
from mlparity.wire.aip132 import parse_order_by
from mlparity.wire.aip160 import Language, matches, number, time
from mlparity.wire.google.descriptors import Message
from mlparity.wire.google.page_token import make_token, page_size, read_token

_MOST_WRITTEN = 5000
_MOST_READ = 1000
_PAGE, _LARGEST_PAGE = 1000, 10_000
_ALL = -1
_LANGUAGE = Language({"step": number(), "wall_time": time()})


def write_run(vertex: Vertex, request: Message, call: Call) -> Message:
    """Add points to time series of one run, all or none; a step that is there is overwritten."""
    with vertex.transaction():
        _write(vertex, request, call, "")
    return call.response()


def write_experiment(vertex: Vertex, request: Message, call: Call) -> Message:
    """Add points to time series of runs of one experiment, all or none."""
    with vertex.transaction():
        EXPERIMENTS.get(vertex, call.api, request.tensorboard_experiment)
        for place, one in enumerate(request.write_run_data_requests):
            if not one.tensorboard_run.startswith(f"{request.tensorboard_experiment}/runs/"):
                told = f"The run must be one of {request.tensorboard_experiment}."
                raise invalid({f"write_run_data_requests[{place}].tensorboard_run": told})
            _write(vertex, one, call, f"write_run_data_requests[{place}].")
    return call.response()


def read_batch(vertex: Vertex, request: Message, call: Call) -> Message:
    """The points of several time series; of one with more than 1000, so many, evenly spread."""
    TENSORBOARDS.get(vertex, call.api, request.tensorboard)
    for place, name in enumerate(request.time_series):
        if not name.startswith(f"{request.tensorboard}/"):
            raise invalid({f"time_series[{place}]": f"The time series must be one of {request.tensorboard}."})
    return call.response(time_series_data=[_read(vertex, call, name, _MOST_READ, "") for name in request.time_series])


def read(vertex: Vertex, request: Message, call: Call) -> Message:
    """The points of one time series; of more than ``max_data_points`` (1000, -1 for all), so many, evenly spread."""
    most = request.max_data_points or _MOST_READ
    if most < _ALL:
        raise invalid({"max_data_points": "It must be a positive number, or -1 for all data."})
    found = _read(vertex, call, request.tensorboard_time_series, 0 if most == _ALL else most, request.filter)
    return call.response(time_series_data=found)


def export(vertex: Vertex, request: Message, call: Call) -> Message:
    """A page of the points of one time series, by step."""
    series = SERIES.get(vertex, call.api, request.tensorboard_time_series)
    size = page_size(request, _PAGE, _LARGEST_PAGE)
    after = read_token(request)
    orders = parse_order_by(request.order_by, ("step",))
    if orders and orders[0].descending:
        raise unimplemented("mlparity exports time series by ascending step only.")
    if request.filter:
        points = _filtered(vertex.metadata.time_series.read(series.name), request.filter)
        left = [point for point in points if after is None or point.step > after]
    else:
        left = list(vertex.metadata.time_series.page(series.name, size + 1, after))
    shown = left[:size]
    token = make_token(request, shown[-1].step) if len(left) > size else ""
    return call.response(time_series_data_points=[_told(call, series, point) for point in shown], next_page_token=token)


def _write(vertex: Vertex, request: Message, call: Call, path: str) -> None:
    RUNS.get(vertex, call.api, request.tensorboard_run)
    if sum(len(data.values) for data in request.time_series_data) > _MOST_WRITTEN:
        raise invalid({f"{path}time_series_data": f"At most {_MOST_WRITTEN} data points can be written in a request."})
    for place, data in enumerate(request.time_series_data):
        name = f"{request.tensorboard_run}/timeSeries/{data.tensorboard_time_series_id}"
        series = SERIES.get(vertex, call.api, name)
        here = f"{path}time_series_data[{place}]"
        if data.value_type != series.value_type:
            raise invalid({f"{here}.value_type": f"The value type of {name} is another."})
        points = [_point(vertex, call, series, value, f"{here}.values[{at}]") for at, value in enumerate(data.values)]
        vertex.metadata.time_series.write(name, points)


def _point(vertex: Vertex, call: Call, series: Message, value: Message, path: str) -> Point:
    if value.WhichOneof("value") != _value_type(call, series):
        raise invalid({path: f"It must hold a {_value_type(call, series)}, as its time series does."})
    at = value.wall_time.ToDatetime(UTC) if value.HasField("wall_time") else vertex.clock.now()
    if value.HasField("tensor"):
        return Point(value.step, at, tensor=value.tensor.value, version=value.tensor.version_number)
    return Point(value.step, at, value.scalar.value)


def _read(vertex: Vertex, call: Call, name: str, most: int, filter_text: str) -> Message:
    series = SERIES.get(vertex, call.api, name)
    points = _filtered(vertex.metadata.time_series.read(name, 0 if filter_text else most), filter_text)
    return call.new(
        "TimeSeriesData",
        tensorboard_time_series_id=id_of(name),
        value_type=series.value_type,
        values=[_told(call, series, point) for point in points[: most or None]],
    )


def _filtered(points: Sequence[Point], filter_text: str) -> Sequence[Point]:
    wanted = _LANGUAGE.parse(filter_text)
    if not filter_text:
        return points
    return [point for point in points if matches(wanted, {"step": point.step, "wall_time": point.at}.get)]


def _told(call: Call, series: Message, point: Point) -> Message:
    found = call.new("TimeSeriesDataPoint", step=point.step)
    found.wall_time.FromDatetime(point.at)
    if _value_type(call, series) == "tensor":
        found.tensor.value, found.tensor.version_number = point.tensor or b"", point.version
    else:
        found.scalar.value = point.value
    return found


def _value_type(call: Call, series: Message) -> str:
    return call.api.enum_name(f"{SERIES.message}.ValueType", series.value_type).lower()


OPERATIONS = (
    Operation("TensorboardService.WriteTensorboardRunData", write_run, partial="no blob sequences"),
    Operation("TensorboardService.WriteTensorboardExperimentData", write_experiment, partial="no blob sequences"),
    Operation("TensorboardService.BatchReadTensorboardTimeSeriesData", read_batch),
    Operation("TensorboardService.ReadTensorboardTimeSeriesData", read),
    Operation("TensorboardService.ExportTensorboardTimeSeriesData", export, partial="by ascending step only"),
)
