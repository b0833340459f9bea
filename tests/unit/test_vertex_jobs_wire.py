"""Jobs, training pipelines and tuning jobs: the same over REST and gRPC; what is refused before anything starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mlparity.apis.vertex import job_listeners
from mlparity.apis.vertex.context import API
from mlparity.apis.vertex.gcs_paths import mounted
from mlparity.apis.vertex.tuning_jobs import KIND as TUNING_JOB
from mlparity.apis.vertex.tuning_jobs import TuningTrials
from mlparity.engine.job_repository import JobRepository
from mlparity.engine.job_service import JobHost, JobService, Means
from mlparity.engine.logs import JobLogStore
from mlparity.engine.process import ProcessExit, ProcessSpec
from mlparity.engine.tracking import Tracking
from mlparity.engine.tuning.repository import TuningRepository
from mlparity.engine.tuning.service import TuningService
from tests.vertex_bench import PARENT, Twins, VertexBench
from tests.vertex_jobs_bench import IMAGE, OneRuntime, Recorded, container

CUSTOM = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
INPUTS = {"workerPoolSpecs": [container("true")]}


class Program:
    """A process that runs until it is killed, or ends with a code."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._exit: ProcessExit | None = None

    def end(self, code: int | None) -> None:
        self._exit = ProcessExit(code, None if code is not None else 15)
        self._ended.set()

    def wait(self, timeout: float | None = None) -> ProcessExit | None:
        return self._exit if self._ended.wait(timeout) else None

    def terminate(self) -> None:
        self.end(None)

    def kill(self) -> None:
        if not self._ended.is_set():
            self.end(None)


class Programs:
    """An executor without processes; ``end`` ends what runs, the oldest first."""

    def __init__(self) -> None:
        self.running: list[Program] = []

    def start(self, _spec: ProcessSpec) -> Program:
        self.running.append(Program())
        return self.running[-1]

    def close(self) -> None:
        """Nothing is left."""


class Served:
    """What runs the jobs of one bench, by its own clock and ids."""

    def __init__(self, bench: VertexBench, folder: Path) -> None:
        bench.store.ensure_bucket("staging")
        clock, ids, database = bench.clock, bench.ids, bench.database
        self.repository = JobRepository(database, clock, ids)
        self.programs = Programs()
        self.changed = threading.Condition()
        means = Means(
            bench.store,
            self.programs,
            OneRuntime(),
            Recorded(),
            JobLogStore(folder / "logs", clock),
            Tracking("", self.repository, clock),
            JobHost(folder / "jobs", {}, 2),
        )
        self.jobs = JobService(self.repository, means, clock)
        trial_jobs = {(API, TUNING_JOB): TuningTrials(lambda: bench.vertex)}
        self.tunings = TuningService(TuningRepository(database, clock, ids), self.jobs, trial_jobs, clock, ids)
        for part in ("jobs", "tunings"):
            object.__setattr__(bench.vertex, part, getattr(self, part))
        job_listeners.listen(bench.vertex)
        self.jobs.listen(lambda _job: self._notify())

    def settle(self, reached: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(reached, timeout=30)

    def _notify(self) -> None:
        with self.changed:
            self.changed.notify_all()


class Pair:
    """Twins with jobs."""

    def __init__(self, twins: Twins, folder: Path) -> None:
        self.twins = twins
        benches = (twins.by_rest, twins.by_grpc)
        self.served = [Served(bench, folder / str(number)) for number, bench in enumerate(benches)]

    def settle(self, name: str, resource: str, *states: str) -> dict[str, Any]:
        """What both answer once both are in one of the states."""
        for bench, served in zip((self.twins.by_rest, self.twins.by_grpc), self.served, strict=True):
            ask = partial(bench.call, name, name=resource)
            served.settle(lambda ask=ask: ask()["state"] in states)
        return self.twins.call(name, name=resource)

    def end(self, code: int) -> None:
        for served in self.served:
            served.programs.running[-1].end(code)


@contextmanager
def served_pair(folder: Path) -> Iterator[Pair]:
    with Twins(folder) as twins:
        made = Pair(twins, folder)
        yield made
        for served in made.served:
            served.tunings.close()
            served.jobs.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with served_pair(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """For tests that make nothing."""
    with served_pair(tmp_path_factory.mktemp("refusing")) as made:
        yield made


def test_custom_jobs_are_the_same_over_rest_and_grpc(pair: Pair) -> None:
    job = {"displayName": "one", "jobSpec": INPUTS, "labels": {"team": "a"}}
    made = pair.twins.call("JobService.CreateCustomJob", parent=PARENT, customJob=job)
    assert made["state"] == "JOB_STATE_QUEUED"
    pair.settle("JobService.GetCustomJob", made["name"], "JOB_STATE_RUNNING")
    assert pair.twins.refused("JobService.DeleteCustomJob", name=made["name"]).code == "FAILED_PRECONDITION"
    pair.end(4)
    done = pair.settle("JobService.GetCustomJob", made["name"], "JOB_STATE_FAILED")
    assert "non-zero status of 4" in done["error"]["message"]
    for wanted, found in (("labels.team=a", 1), ('display_name="o*"', 1), ('state!="JOB_STATE_FAILED"', 0)):
        listed = pair.twins.call("JobService.ListCustomJobs", parent=PARENT, filter=wanted, readMask="name,state")
        assert listed.get("customJobs", []) == [{"name": made["name"], "state": "JOB_STATE_FAILED"}] * found
    assert pair.twins.refused("JobService.CancelCustomJob", name=made["name"]).code == "FAILED_PRECONDITION"
    assert pair.twins.call("JobService.DeleteCustomJob", name=made["name"])["done"]
    assert pair.twins.refused("JobService.GetCustomJob", name=made["name"]).code == "NOT_FOUND"


def test_pipelines_and_tuning_jobs_are_the_same_over_rest_and_grpc(pair: Pair) -> None:
    call = pair.twins.call
    given = {"displayName": "train", "trainingTaskDefinition": CUSTOM, "trainingTaskInputs": INPUTS}
    made = call("PipelineService.CreateTrainingPipeline", parent=PARENT, trainingPipeline=given)
    assert made["state"] == "PIPELINE_STATE_PENDING"
    pair.settle("PipelineService.GetTrainingPipeline", made["name"], "PIPELINE_STATE_RUNNING")
    assert call("PipelineService.CancelTrainingPipeline", name=made["name"]) == {}
    pair.settle("PipelineService.GetTrainingPipeline", made["name"], "PIPELINE_STATE_CANCELLED")
    listed = call("PipelineService.ListTrainingPipelines", parent=PARENT, filter='state="PIPELINE_STATE_CANCELLED"')
    assert len(listed["trainingPipelines"]) == 1
    assert call("PipelineService.DeleteTrainingPipeline", name=made["name"])["done"]
    study = {
        "metrics": [{"metricId": "score", "goal": "MINIMIZE"}],
        "parameters": [{"parameterId": "a", "categoricalValueSpec": {"values": ["x"]}}],
    }
    tuning = {"displayName": "t", "studySpec": study, "maxTrialCount": 1, "parallelTrialCount": 1}
    made = call(
        "JobService.CreateHyperparameterTuningJob",
        parent=PARENT,
        hyperparameterTuningJob={**tuning, "trialJobSpec": INPUTS},
    )
    assert (made["state"], "trials" in made) == ("JOB_STATE_PENDING", False)
    assert (
        pair.twins.refused("JobService.DeleteHyperparameterTuningJob", name=made["name"]).code == "FAILED_PRECONDITION"
    )
    assert call("JobService.CancelHyperparameterTuningJob", name=made["name"]) == {}
    assert call("JobService.GetHyperparameterTuningJob", name=made["name"])["state"] == "JOB_STATE_CANCELLING"
    assert len(call("JobService.ListHyperparameterTuningJobs", parent=PARENT)["hyperparameterTuningJobs"]) == 1


GPU: dict[str, Any] = {
    "machineSpec": {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
}
MACHINE = {"machineSpec": {"machineType": "n1-standard-4"}}
SMALL = {**container("true"), "machineSpec": {"machineType": "n1-standard-2"}}  # for predictions only
PACKAGE = {"executorImageUri": IMAGE, "packageUris": ["gs://staging/a.txt"], "pythonModule": "a.b"}


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        ({"workerPoolSpecs": [{**container("true"), **GPU}]}, "UNIMPLEMENTED", "no accelerators (NVIDIA_TESLA_T4)"),
        ({**INPUTS, "enableWebAccess": True}, "UNIMPLEMENTED", "job_spec.enable_web_access"),
        ({**INPUTS, "tensorboard": f"{PARENT}/tensorboards/1"}, "UNIMPLEMENTED", "job_spec.tensorboard"),
        ({**INPUTS, "baseOutputDirectory": {"outputUriPrefix": "gs://none/x"}}, "INVALID_ARGUMENT", "gs://none"),
        ({**INPUTS, "baseOutputDirectory": {"outputUriPrefix": "/tmp/x"}}, "INVALID_ARGUMENT", "Storage URI"),
        (
            {"workerPoolSpecs": [{**container("true"), "machineSpec": {"machineType": "ml.m5.large"}}]},
            "INVALID_ARGUMENT",
            'job_spec.worker_pool_specs[0].machine_spec.machine_type; Message: Machine type "ml.m5.large" is not supp',
        ),
        ({"workerPoolSpecs": [container("true"), SMALL]}, "INVALID_ARGUMENT", 'Machine type "n1-standard-2" is not'),
        (
            {"workerPoolSpecs": [{**container("true"), "machineSpec": {"machineType": "a2-highgpu-1g"}}]},
            "UNIMPLEMENTED",
            "no accelerators (a2-highgpu-1g)",
        ),
        ({"workerPoolSpecs": [{**container("true"), "replicaCount": "0"}]}, "INVALID_ARGUMENT", "exactly one replica"),
        (
            {"workerPoolSpecs": [container("true"), {**container("true"), "replicaCount": "0"}]},
            "INVALID_ARGUMENT",
            "worker_pool_specs[1].replica_count",
        ),
        ({"workerPoolSpecs": [{}]}, "INVALID_ARGUMENT", "worker_pool_specs[0]"),
        ({"workerPoolSpecs": [{**container("true"), "replicaCount": "2"}]}, "INVALID_ARGUMENT", "exactly one replica"),
        (
            {"workerPoolSpecs": [container("true"), {**container("true"), "replicaCount": "8"}]},
            "UNIMPLEMENTED",
            "at most 8 replicas",
        ),
        ({"workerPoolSpecs": [{**container("true"), "machineSpec": {}}]}, "INVALID_ARGUMENT", "machine_type"),
        (
            {"workerPoolSpecs": [{**MACHINE, "replicaCount": "1", "pythonPackageSpec": PACKAGE}]},
            "INVALID_ARGUMENT",
            "package_uris[0]",
        ),
        (
            {"workerPoolSpecs": [{**container("true"), "containerSpec": {"imageUri": "unknown"}}]},
            "FAILED_PRECONDITION",
            "no local runtime stands for the image unknown",
        ),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(refusing: Pair, spec: Any, code: str, said: str) -> None:
    job = {"displayName": "refused", "jobSpec": spec}
    refused = refusing.twins.refused("JobService.CreateCustomJob", parent=PARENT, customJob=job)
    assert refused.code == code, refused
    assert said in f"{refused.message} {refused.details}"
    assert refusing.twins.call("JobService.ListCustomJobs", parent=PARENT) == {}


def test_batch_predictions_have_machines_of_prediction_and_no_accelerators(refusing: Pair) -> None:
    def refused(**machine: Any) -> str:
        job = {
            "displayName": "b",
            "model": f"{PARENT}/models/none",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://staging/a.jsonl"]}},
            "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": "gs://staging/b"}},
            **({"dedicatedResources": {"machineSpec": machine}} if machine else {}),
        }
        answer = refusing.twins.refused("JobService.CreateBatchPredictionJob", parent=PARENT, batchPredictionJob=job)
        return f"{answer.code} {answer.message}"

    unknown = refused(machineType="n1-standard-64")  # for training only
    assert unknown.startswith("INVALID_ARGUMENT")
    assert 'machine_spec.machine_type; Message: Machine type "n1-standard-64" is not supported.' in unknown
    assert refused(**GPU["machineSpec"]).startswith("UNIMPLEMENTED batch_prediction_job.dedicated_resources")
    for well in ({}, {"machineType": "n1-standard-2"}):  # the next thing wrong is told
        assert refused(**well) == "NOT_FOUND The Model does not exist."


def test_automl_datasets_and_unserved_searches_are_refused_by_name(refusing: Pair) -> None:
    def pipeline(**changes: Any) -> str:
        given = {"displayName": "p", "trainingTaskDefinition": CUSTOM, "trainingTaskInputs": INPUTS, **changes}
        answer = refusing.twins.refused("PipelineService.CreateTrainingPipeline", parent=PARENT, trainingPipeline=given)
        return f"{answer.code} {answer.message} {answer.details}"

    automl = CUSTOM.replace("custom_task", "automl_tabular")
    assert "UNIMPLEMENTED" in pipeline(trainingTaskDefinition=automl)
    assert "automl_tabular_1.0.0.yaml" in pipeline(trainingTaskDefinition=automl)
    pools = [{**container("true"), "machineSpec": {"machineType": "n1-standard-3"}}]
    unknown = (
        'training_task_inputs.worker_pool_specs[0].machine_spec.machine_type; Message: Machine type "n1-standard-3"'
    )
    assert unknown in pipeline(trainingTaskInputs={"workerPoolSpecs": pools})
    assert "managed datasets" in pipeline(inputDataConfig={"datasetId": "1"})
    assert "no_such_field" in pipeline(trainingTaskInputs={**INPUTS, "no_such_field": 1})
    model = {"displayName": "m", "containerSpec": {"imageUri": "x"}}
    assert "base_output_directory" in pipeline(modelToUpload=model)
    output = {**INPUTS, "baseOutputDirectory": {"outputUriPrefix": "gs://staging/x"}}
    assert "NOT_FOUND" in pipeline(trainingTaskInputs=output, modelToUpload=model, parentModel=f"{PARENT}/models/none")

    def tuning(parameter: dict[str, Any], trial: Any = INPUTS, **study: Any) -> str:
        metrics = [{"metricId": "score", "goal": "MINIMIZE"}]
        spec = {"metrics": metrics, "parameters": [{"parameterId": "a", **parameter}], **study}
        job = {"displayName": "t", "studySpec": spec, "maxTrialCount": 1, "parallelTrialCount": 1}
        job["trialJobSpec"] = trial
        answer = refusing.twins.refused(
            "JobService.CreateHyperparameterTuningJob", parent=PARENT, hyperparameterTuningJob=job
        )
        return f"{answer.code} {answer.message} {answer.details}"

    double = {"doubleValueSpec": {"minValue": 0.0, "maxValue": 1.0}}
    assert 'Machine type "n1-standard-3" is not supported.' in tuning(double, {"workerPoolSpecs": pools})
    assert "above 0" in tuning({**double, "scaleType": "UNIT_LOG_SCALE"})
    assert "double_value_spec" in tuning(double, algorithm="GRID_SEARCH")
    child = {"parameterSpec": {"parameterId": "b", **double}, "parentDiscreteValues": {"values": [1]}}
    conditional = {**double, "conditionalParameterSpecs": [child]}
    assert "conditional_parameter_specs" in tuning(conditional)
    assert "median_automated_stopping_spec" in tuning(double, medianAutomatedStoppingSpec={})
    two = [{"metricId": name, "goal": "MINIMIZE"} for name in ("a", "b")]
    assert "one metric" in tuning(double, metrics=two)


@pytest.mark.parametrize(
    ("texts", "placed"),
    [
        (["gs://a-b/x/y.csv", "/gcs/a-b/x"], ["gs://a-b/x"]),
        (["--in=gs://a-b/x/*/y.csv"], ["gs://a-b/x"]),
        (["gs://a-b"], ["gs://a-b"]),
        (["--bucket=a-b", "gs://a-b/x"], ["gs://a-b"]),
        (["open('/gcs/a-b/x'); open(f'/gcs/c_d/{name}/z')"], ["gs://a-b/x", "gs://c_d"]),
        (['{"in": "gs://a-b/x/", "out": "gs://none/y"}', "a-b is a bucket"], ["gs://a-b/x"]),
        (["gs://a-b/x1", "gs://a-b/x"], ["gs://a-b/x", "gs://a-b/x1"]),
        (["gs://a-b/../c_d/x"], ["gs://a-b/c_d/x"]),
    ],
)
def test_what_a_job_names_is_placed_below_gcs(texts: list[str], placed: list[str]) -> None:
    inputs, outputs = mounted(texts, {"a-b", "c_d"})
    assert [item.uri for item in inputs] == placed
    assert [item.path for item in inputs] == [uri.replace("gs://", "/gcs/") for uri in placed]
    assert [(item.path, item.uri) for item in outputs] == [("/gcs/a-b", "gs://a-b"), ("/gcs/c_d", "gs://c_d")]
