"""Vertex's TensorBoard API, the same over REST and gRPC: resources by level, and the points of time series."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.vertex_bench import PARENT, Twins


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[Twins]:
    with Twins(tmp_path) as found:
        yield found


@pytest.fixture
def run(twins: Twins) -> str:
    """A run in an experiment of a tensorboard."""
    board = service(twins, "CreateTensorboard", parent=PARENT, tensorboard={"displayName": "board"})["response"]["name"]
    service(twins, "CreateTensorboardExperiment", parent=board, tensorboardExperimentId="exp")
    experiment = f"{board}/experiments/exp"
    made = service(
        twins, "CreateTensorboardRun", parent=experiment, tensorboardRunId="run", tensorboardRun={"displayName": "run"}
    )
    return str(made["name"])


def service(twins: Twins, method: str, **request: Any) -> dict[str, Any]:
    return twins.call(f"TensorboardService.{method}", **request)


def refused(twins: Twins, method: str, **request: Any) -> tuple[str, str]:
    answer = twins.refused(f"TensorboardService.{method}", **request)
    return answer.code, answer.message


def series(twins: Twins, run: str, name: str, kind: str = "SCALAR") -> str:
    wanted = {"displayName": name, "valueType": kind}
    made = service(twins, "CreateTensorboardTimeSeries", parent=run, tensorboardTimeSeries=wanted)
    return str(made["name"])


def data(name: str, *points: dict[str, Any], kind: str = "SCALAR") -> dict[str, Any]:
    return {"tensorboardTimeSeriesId": name.rpartition("/")[2], "valueType": kind, "values": list(points)}


def point(step: int, value: float) -> dict[str, Any]:
    return {"step": str(step), "scalar": {"value": value}, "wallTime": f"2026-01-01T00:00:{step % 60:02}Z"}


def steps(found: dict[str, Any]) -> list[int]:
    return [int(item.get("step", 0)) for item in found.get("values", [])]


def test_one_tensorboard_is_the_default(twins: Twins) -> None:
    made = [
        service(twins, "CreateTensorboard", parent=PARENT, tensorboard={"displayName": f"b{number}", "isDefault": True})
        for number in range(2)
    ]
    first, second = (item["response"]["name"] for item in made)
    found = service(twins, "ListTensorboards", parent=PARENT, filter="is_default=true")["tensorboards"]
    assert [item["name"] for item in found] == [second]
    service(twins, "UpdateTensorboard", tensorboard={"name": first, "isDefault": True}, updateMask="isDefault")
    assert "isDefault" not in service(twins, "GetTensorboard", name=second)
    assert refused(twins, "CreateTensorboard", parent=PARENT, tensorboard={})[0] == "INVALID_ARGUMENT"


def test_points_are_written_by_step_and_read_again(twins: Twins, run: str) -> None:
    loss, accuracy = series(twins, run, "loss"), series(twins, run, "accuracy")
    service(
        twins,
        "WriteTensorboardRunData",
        tensorboardRun=run,
        timeSeriesData=[data(loss, point(2, 0.5), point(1, 0.9)), data(accuracy, point(1, 0.1))],
    )
    service(twins, "WriteTensorboardRunData", tensorboardRun=run, timeSeriesData=[data(loss, point(2, "NaN"))])
    board = run.split("/experiments/", maxsplit=1)[0]
    read = service(twins, "BatchReadTensorboardTimeSeriesData", tensorboard=board, timeSeries=[loss, accuracy])
    first, second = read["timeSeriesData"]
    assert [(item["step"], item["scalar"]["value"]) for item in first["values"]] == [("1", 0.9), ("2", "NaN")]
    assert second == data(accuracy, point(1, 0.1))
    told = service(twins, "GetTensorboardTimeSeries", name=loss)
    assert told["metadata"] == {"maxStep": "2", "maxWallTime": "2026-01-01T00:00:02Z"}
    found = service(twins, "ListTensorboardTimeSeries", parent=run, filter='display_name = "accuracy"')
    assert [item["name"] for item in found["tensorboardTimeSeries"]] == [accuracy]
    assert service(twins, "GetTensorboard", name=board)["runCount"] == 1
    service(
        twins,
        "WriteTensorboardExperimentData",
        tensorboardExperiment=f"{board}/experiments/exp",
        writeRunDataRequests=[{"tensorboardRun": run, "timeSeriesData": [data(loss, point(3, 0.2))]}],
    )
    assert steps(service(twins, "ReadTensorboardTimeSeriesData", tensorboardTimeSeries=loss)["timeSeriesData"]) == [
        1,
        2,
        3,
    ]


def test_many_points_are_thinned_filtered_and_exported(twins: Twins, run: str) -> None:
    loss = series(twins, run, "loss")
    points = [point(step, step / 10) for step in range(1, 1201)]
    service(twins, "WriteTensorboardRunData", tensorboardRun=run, timeSeriesData=[data(loss, *points)])

    def read(**request: Any) -> list[int]:
        answer = service(twins, "ReadTensorboardTimeSeriesData", tensorboardTimeSeries=loss, **request)
        return steps(answer["timeSeriesData"])

    assert (len(read()), read()[0], read()[-1]) == (1000, 1, 1200)
    assert len(read(maxDataPoints=-1)) == 1200
    assert read(maxDataPoints=3) == [1, 601, 1200]
    assert read(filter="step > 1197") == [1198, 1199, 1200]
    exported = service(twins, "ExportTensorboardTimeSeriesData", tensorboardTimeSeries=loss, pageSize=700)
    token = exported["nextPageToken"]
    rest = service(twins, "ExportTensorboardTimeSeriesData", tensorboardTimeSeries=loss, pageSize=700, pageToken=token)
    both = [*exported["timeSeriesDataPoints"], *rest["timeSeriesDataPoints"]]
    assert ([int(item["step"]) for item in both], "nextPageToken" in rest) == (list(range(1, 1201)), False)
    assert (
        refused(twins, "ReadTensorboardTimeSeriesData", tensorboardTimeSeries=loss, maxDataPoints=-2)[0]
        == "INVALID_ARGUMENT"
    )


def test_tensors_and_no_blobs(twins: Twins, run: str) -> None:
    weights = series(twins, run, "weights", "TENSOR")
    value = {"step": "1", "tensor": {"value": "AAEC", "versionNumber": 7}, "wallTime": "2026-01-01T00:00:00Z"}
    written = data(weights, value, kind="TENSOR")
    service(twins, "WriteTensorboardRunData", tensorboardRun=run, timeSeriesData=[written])
    read = service(twins, "ReadTensorboardTimeSeriesData", tensorboardTimeSeries=weights)
    assert read["timeSeriesData"] == written
    blobs = {"displayName": "images", "valueType": "BLOB_SEQUENCE"}
    code, message = refused(twins, "CreateTensorboardTimeSeries", parent=run, tensorboardTimeSeries=blobs)
    assert (code, "blob sequences" in message) == ("UNIMPLEMENTED", True)
    assert refused(twins, "ReadTensorboardBlobData", timeSeries=weights)[0] == "UNIMPLEMENTED"


def test_what_does_not_fit_is_refused_whole(twins: Twins, run: str) -> None:
    loss = series(twins, run, "loss")
    good = data(loss, point(1, 1.0))
    tensor = {"step": 1, "tensor": {"value": "AA=="}}
    for wrong, code in (
        (data(f"{run}/timeSeries/none", point(1, 1.0)), "NOT_FOUND"),
        (data(loss, tensor), "INVALID_ARGUMENT"),
        (data(loss, point(1, 1.0), kind="TENSOR"), "INVALID_ARGUMENT"),
        (data(loss, *[point(1, 1.0)] * 5001), "INVALID_ARGUMENT"),
    ):
        request = {"tensorboardRun": run, "timeSeriesData": [good, wrong]}
        assert refused(twins, "WriteTensorboardRunData", **request)[0] == code
    read = service(twins, "ReadTensorboardTimeSeriesData", tensorboardTimeSeries=loss)
    assert "values" not in read["timeSeriesData"]
    twice = {"displayName": "loss", "valueType": "SCALAR"}
    assert refused(twins, "CreateTensorboardTimeSeries", parent=run, tensorboardTimeSeries=twice)[0] == "ALREADY_EXISTS"
    other = f"{PARENT}/tensorboards/1"
    assert refused(twins, "BatchReadTensorboardTimeSeriesData", tensorboard=other, timeSeries=[loss])[0] == "NOT_FOUND"
    assert refused(twins, "GetTensorboard", name=other)[0] == "NOT_FOUND"


def test_batches_and_deleting_with_all_that_is_below(twins: Twins, run: str) -> None:
    experiment = run.split("/runs/", maxsplit=1)[0]
    requests = [
        {"parent": experiment, "tensorboardRunId": name, "tensorboardRun": {"displayName": name}} for name in ("a", "b")
    ]
    made = service(twins, "BatchCreateTensorboardRuns", parent=experiment, requests=requests)
    assert [item["displayName"] for item in made["tensorboardRuns"]] == ["a", "b"]
    assert (
        refused(
            twins,
            "BatchCreateTensorboardRuns",
            parent=experiment,
            requests=[{**requests[0], "tensorboardRunId": "c", "tensorboardRun": {"displayName": "c"}}, requests[1]],
        )[0]
        == "ALREADY_EXISTS"
    )
    found = service(twins, "ListTensorboardRuns", parent=experiment, orderBy="display_name")["tensorboardRuns"]
    assert [item["displayName"] for item in found] == ["a", "b", "run"]
    wanted = {"parent": f"{experiment}/runs/a", "tensorboardTimeSeries": {"displayName": "loss", "valueType": "SCALAR"}}
    (loss,) = service(twins, "BatchCreateTensorboardTimeSeries", parent=experiment, requests=[wanted])[
        "tensorboardTimeSeries"
    ]
    write = {"tensorboardRun": f"{experiment}/runs/a", "timeSeriesData": [data(loss["name"], point(1, 1.0))]}
    service(twins, "WriteTensorboardRunData", **write)
    assert service(twins, "DeleteTensorboardRun", name=f"{experiment}/runs/a")["done"]
    assert refused(twins, "GetTensorboardTimeSeries", name=loss["name"])[0] == "NOT_FOUND"
    assert twins.by_grpc.vertex.metadata.time_series.read(loss["name"]) == []
    service(twins, "DeleteTensorboard", name=experiment.split("/experiments/")[0])
    assert refused(twins, "ListTensorboardRuns", parent=experiment)[0] == "NOT_FOUND"
