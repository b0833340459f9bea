"""Vertex models, endpoints and batch predictions through the unmodified google-cloud-aiplatform."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from mlparity.testing.stack import RunningStack

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
MACHINE = "n1-standard-2"
ROWS = np.arange(12.0).reshape(6, 2)
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _pointed_at_the_stack() -> None:
    """In place of that for SageMaker's SDK, which costs seconds."""


@dataclass(frozen=True)
class Cloud:
    """The SDK, a bucket, and two versions of a model: the second's predictions are a hundred times the first's."""

    sdk: Any
    stack: RunningStack
    bucket: Any
    model: Any
    challenger: Any

    def gs(self, key: str) -> str:
        return f"gs://{self.bucket.name}/{key}"

    def workers(self) -> set[str]:
        folder = Path(self.stack.config.data_dir) / "scratch" / "fleet" / "workers"
        return {path.name for path in folder.glob("*")}


@pytest.fixture(scope="module")
def cloud(stack: RunningStack) -> Iterator[Cloud]:
    with stack.environment_applied(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform, storage

        config = stack.config
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        aiplatform.init(
            project=config.gcp_project,
            location=config.gcp_location,
            api_endpoint=stack.gcp_url,
            api_transport="rest",
            staging_bucket=f"gs://{config.gcp_bucket}",
            credentials=nobody,
        )
        bucket = storage.Client(project=config.gcp_project, credentials=nobody).bucket(config.gcp_bucket)
        for name, factor in (("one", 1.0), ("two", 100.0)):
            stream = io.BytesIO()
            joblib.dump(LinearRegression().fit(ROWS, ROWS @ [factor, factor]), stream)
            bucket.blob(f"serving/{name}/model.joblib").upload_from_string(stream.getvalue())
        uri = f"gs://{bucket.name}/serving"
        upload = {"display_name": "flights", "serving_container_image_uri": IMAGE}
        model = aiplatform.Model.upload(artifact_uri=f"{uri}/one", model_id="flights", **upload)
        challenger = aiplatform.Model.upload(
            artifact_uri=f"{uri}/two",
            parent_model=model.resource_name,
            is_default_version=False,
            version_aliases=["challenger"],
            **upload,
        )
        yield Cloud(aiplatform, stack, bucket, model, challenger)
        model.delete()
        aiplatform.initializer.global_config.__init__()


def test_versions_and_aliases(cloud: Cloud) -> None:
    registry = cloud.sdk.models.ModelRegistry("flights")
    listed = {one.version_id: one.version_aliases for one in registry.list_versions()}
    assert listed == {"1": ["default"], "2": ["challenger"]}
    registry.add_version_aliases(["default"], "2")
    assert cloud.sdk.Model("flights").version_id == "2"
    registry.add_version_aliases(["default"], "1")
    assert cloud.sdk.Model("flights").version_id == "1"
    assert cloud.sdk.Model("flights@challenger").version_id == "2"
    registry.update_version("2", version_description="another one", labels={"state": "tried"})
    told = [(one.version_id, one.version_description) for one in registry.list_versions()]
    assert sorted(told)[1] == ("2", "another one")
    assert dict(cloud.sdk.Model("flights").labels) == {}
    (found,) = cloud.sdk.Model.list(filter='display_name="flights"')
    assert found.resource_name == cloud.model.resource_name
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match="default version"):
        registry.delete_version("default")


def test_two_models_share_an_endpoint_and_no_request_is_lost(cloud: Cloud) -> None:
    before = cloud.workers()
    endpoint = cloud.sdk.Endpoint.create(display_name="flights")
    endpoint.deploy(cloud.model, machine_type=MACHINE, min_replica_count=1)
    (first,) = endpoint.traffic_split
    answer = endpoint.predict(instances=[[1, 2], [3, 4]])
    assert np.allclose(answer.predictions, [3, 7])
    assert (answer.deployed_model_id, answer.model_version_id) == (first, "1")
    assert answer.model_resource_name == cloud.model.resource_name
    with _load(cloud, endpoint.resource_name) as load:
        endpoint.deploy(cloud.challenger, machine_type=MACHINE, traffic_percentage=25)
        load.wait_for(400)
        split = dict(endpoint.traffic_split)
        second = next(name for name in split if name != first)
        assert split == {first: 75, second: 25}
        _is_split(endpoint, {first: (3.0, 0.75), second: (300.0, 0.25)}, 300)
        endpoint.update(traffic_split={first: 0, second: 100})
        assert endpoint.predict(instances=[[1, 2]]).deployed_model_id == second
        endpoint.undeploy(first)
        load.wait_for(load.answered + 200)
    assert load.failed == []
    assert set(endpoint.traffic_split) == {second}
    assert len(cloud.workers() - before) == 1
    status, headers, body = _post(cloud, f"{endpoint.resource_name}:rawPredict", b'{"instances": [[1, 2]]}')
    assert (status, headers["x-vertex-ai-deployed-model-id"]) == (200, second)
    assert np.allclose(json.loads(body)["predictions"], [300])
    _one_connection_for_all(cloud, endpoint.resource_name)
    from google.api_core.exceptions import BadRequest

    with pytest.raises(BadRequest, match="Exception during sklearn prediction: X has 1 features"):
        endpoint.predict(instances=[[1]])
    endpoint.delete(force=True)
    assert cloud.workers() == before
    assert _post(cloud, f"{endpoint.resource_name}:predict", b'{"instances": [[1, 2]]}')[0] == 404


def test_a_model_that_does_not_load_leaves_nothing_behind(cloud: Cloud) -> None:
    from google.api_core.exceptions import FailedPrecondition

    cloud.bucket.blob("serving/broken/model.joblib").upload_from_string(b"no model")
    broken = cloud.sdk.Model.upload(
        display_name="broken", artifact_uri=cloud.gs("serving/broken"), serving_container_image_uri=IMAGE
    )
    endpoint = cloud.sdk.Endpoint.create(display_name="broken")
    before = cloud.workers()
    with pytest.raises(FailedPrecondition, match=r"Model server exited unexpectedly.*Could not load the model"):
        endpoint.deploy(broken, machine_type=MACHINE)
    assert endpoint.list_models() == []
    assert cloud.workers() == before
    endpoint.delete()
    broken.delete()


def test_batch_predictions_write_files(cloud: Cloud) -> None:
    """One by the SDK's own class; one whose instances are picked from objects, which only its clients can ask for."""
    cloud.bucket.blob("batch/in.csv").upload_from_string("a,b\n1,2\n3,4\n")
    plain = cloud.sdk.BatchPredictionJob.submit(
        job_display_name="flights",
        model_name=cloud.model.resource_name,
        instances_format="csv",
        gcs_source=cloud.gs("batch/in.csv"),
        gcs_destination_prefix=cloud.gs("batch/out"),
        machine_type=MACHINE,
    )
    lines = [*({"id": number, "a": number, "b": 1} for number in range(100)), {"id": 100}]
    cloud.bucket.blob("batch/in.jsonl").upload_from_string("".join(json.dumps(line) + "\n" for line in lines))
    client = cloud.sdk.initializer.global_config.create_client(client_class=cloud.sdk.utils.JobClientWithOverride)
    created = client.create_batch_prediction_job(
        parent=cloud.sdk.initializer.global_config.common_location_path(),
        batch_prediction_job={
            "display_name": "picked",
            "model": cloud.challenger.versioned_resource_name,
            "input_config": {"instances_format": "jsonl", "gcs_source": {"uris": [cloud.gs("batch/in*.jsonl")]}},
            "instance_config": {"instance_type": "array", "key_field": "id", "included_fields": ["a", "b"]},
            "output_config": {
                "predictions_format": "jsonl",
                "gcs_destination": {"output_uri_prefix": cloud.gs("batch/out")},
            },
            "dedicated_resources": {"machine_spec": {"machine_type": MACHINE}, "starting_replica_count": 2},
        },
    )
    picked = cloud.sdk.BatchPredictionJob(created.name)
    assert _results(plain) == ([{"instance": [1, 2]}, {"instance": [3, 4]}], [3.0, 7.0], [])
    shown, predictions, errors = _results(picked)
    assert shown == [{"key": number} for number in range(100)]
    assert np.allclose(predictions, [100.0 * (number + 1) for number in range(100)])
    (error,) = errors
    assert (error["key"], error["error"]["message"]) == (100, "the instance has no field 'a'")
    assert (picked.completion_stats.successful_count, picked.completion_stats.failed_count) == (100, 1)
    (listed,) = cloud.sdk.BatchPredictionJob.list(filter='display_name="picked" AND state="JOB_STATE_SUCCEEDED"')
    assert listed.resource_name == picked.resource_name
    for job in (plain, picked):
        job.delete()


def test_a_batch_prediction_is_cancelled(cloud: Cloud) -> None:
    from google.api_core.exceptions import BadRequest

    silent = cloud.sdk.Model.upload(
        display_name="silent",
        serving_container_image_uri="python:3.11",
        serving_container_command=["python3", "-c", "import time; time.sleep(600)"],
    )
    cloud.bucket.blob("batch/one.jsonl").upload_from_string("[1]\n")
    job = cloud.sdk.BatchPredictionJob.submit(
        job_display_name="silent",
        model_name=silent.resource_name,
        instances_format="jsonl",
        gcs_source=cloud.gs("batch/one.jsonl"),
        gcs_destination_prefix=cloud.gs("batch/out"),
        machine_type=MACHINE,
    )
    _until(lambda: job.state.name == "JOB_STATE_RUNNING", "the start of the job")
    with pytest.raises(BadRequest, match="only ended jobs"):
        job.api_client.delete_batch_prediction_job(name=job.resource_name)
    job.cancel()
    _until(job.done, "the end of the job")
    assert (job.state.name, job.error.code) == ("JOB_STATE_CANCELLED", 1)
    job.delete()
    silent.delete()


def _results(job: Any) -> tuple[list[Any], list[float], list[Any]]:
    """What the results show of the instances, the predictions, and the errors, of a job that succeeds."""
    _until(job.done, "the end of the job")
    assert job.state.name == "JOB_STATE_SUCCEEDED", job.error
    files = {blob.name.rpartition("/")[2]: blob.download_as_text() for blob in job.iter_outputs()}
    assert set(files) == {"prediction.results-00000-of-00001", "prediction.errors_stats-00000-of-00001"}
    results, errors = (
        [json.loads(line) for line in files[f"prediction.{name}-00000-of-00001"].splitlines()]
        for name in ("results", "errors_stats")
    )
    return results, [round(one.pop("prediction"), 6) for one in results], errors


def _is_split(endpoint: Any, wanted: dict[str, tuple[float, float]], count: int) -> None:
    """Real requests: each answered by the model that it says, and the shares as a chi-square test allows (p > 1e-6)."""
    seen: Counter[str] = Counter()
    for _ in range(count):
        answer = endpoint.predict(instances=[[1, 2]])
        assert np.allclose(answer.predictions, [wanted[answer.deployed_model_id][0]])
        seen[answer.deployed_model_id] += 1
    statistic = sum((seen[name] - count * share) ** 2 / (count * share) for name, (_, share) in wanted.items())
    assert statistic < 24, seen


def _one_connection_for_all(cloud: Cloud, endpoint: str) -> None:
    """The router's process serves a connection that begins with a prediction, and passes on what is none."""
    client = http.client.HTTPConnection("127.0.0.1", cloud.stack.config.gcp_port, timeout=30)
    try:
        client.request("POST", f"/v1/{endpoint}:predict", b'{"instances": [[1, 2]]}')
        assert "predictions" in json.loads(client.getresponse().read())
        client.request("GET", f"/v1/{endpoint}")
        assert json.loads(client.getresponse().read())["name"] == endpoint
        client.request("POST", f"/v1/{endpoint}:predict", b"{}")
        assert json.loads(client.getresponse().read())["error"]["message"] == "Empty instances."
    finally:
        client.close()


class _load:  # noqa: N801 - used as a function
    """Requests from four threads, until the block ends; what was not answered with predictions is in ``failed``."""

    def __init__(self, cloud: Cloud, endpoint: str) -> None:
        self._url = f"{cloud.stack.gcp_url}/v1/{endpoint}:predict"
        self._end = threading.Event()
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]
        self.answered = 0
        self.failed: list[Any] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answered: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.answered >= answered or self.failed, PATIENCE)

    def _run(self) -> None:
        while not self._end.is_set() and not self.failed:
            request = urllib.request.Request(self._url, b'{"instances": [[1, 2]]}', method="POST")
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    found = json.loads(answer.read())["predictions"]
                assert np.allclose(found, 3) or np.allclose(found, 300), found
            except Exception as error:  # noqa: BLE001 - whatever it is, a request was lost
                self.failed.append(error)
            with self._changed:
                self.answered += 1
                self._changed.notify_all()


def _post(cloud: Cloud, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"{cloud.stack.gcp_url}/v1/{path}", body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {}, error.read()


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.1)
