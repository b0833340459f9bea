"""Model monitoring jobs: what they compute (against scipy), when they run, what they tell, what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from mlparity.apis.vertex.monitoring_runs import MonitoringRuns
from mlparity.engine.events import Event, EventJournal
from mlparity.ids import SeededIds
from mlparity.monitoring.divergence import Distribution, distance, distribution
from tests.vertex_bench import LOCATION, PARENT, Twins, VertexBench

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
DEPLOYED = "7"
RANDOM = np.random.default_rng(4)
WINTER = RANDOM.normal(0.0, 1.0, 400)
SUMMER = RANDOM.normal(3.0, 1.0, 300)
SCHEMA = "type: object\nproperties:\n  temp: {type: number}\n  origin: {type: string}\n"


class World:
    """A bench with a served model, its monitoring runs in the test's thread, and every event."""

    def __init__(self, folder: Path) -> None:
        self.told: list[Event] = []
        self.bench = VertexBench(folder)
        self.journal = EventJournal(self.bench.database, self.bench.clock, SeededIds(5))
        vertex = self.bench.vertex
        object.__setattr__(vertex, "events", self)  # the journal's publish, and what was published
        self.runs = MonitoringRuns(vertex, off=lambda work: work())
        for bucket in ("models", "logs", "data"):
            self.bench.store.ensure_bucket(bucket)
        self.bench.store.put_bytes("models", "m/model.joblib", b"joblib")
        rows = [f"{temp},{'JFK' if n % 2 else 'LGA'},1" for n, temp in enumerate(WINTER)]
        self.bench.store.put_bytes("data", "train.csv", "\n".join(["temp,origin,late", *rows]).encode())
        self.bench.store.put_bytes("data", "schema.yaml", SCHEMA.encode())
        spec: Any = {"imageUri": IMAGE, "predictRoute": "/p", "healthRoute": "/h"}
        model: Any = {"displayName": "m", "containerSpec": spec, "artifactUri": "gs://models/m"}
        self.bench.call("ModelService.UploadModel", parent=PARENT, modelId="m", model=model)

    def publish(self, *args: Any) -> None:
        self.told.append(self.journal.publish(*args))

    def endpoint(self, name: str) -> str:
        made = self.bench.call(
            "EndpointService.CreateEndpoint", parent=PARENT, endpointId=name, endpoint={"displayName": name}
        )
        endpoint = str(made["response"]["name"])
        deployed: Any = {
            "id": DEPLOYED,
            "model": f"{PARENT}/models/m",
            "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1},
        }
        asked: Any = {"endpoint": endpoint, "deployedModel": deployed, "trafficSplit": {"0": 100}}
        operation = self.bench.call("EndpointService.DeployModel", **asked)
        assert self.bench.vertex.operations.wait(operation["name"], 30).done
        return endpoint

    def job(self, endpoint: str, **changes: Any) -> dict[str, Any]:
        given = {
            "displayName": "watch",
            "endpoint": endpoint,
            "modelDeploymentMonitoringObjectiveConfigs": [{"deployedModelId": DEPLOYED, "objectiveConfig": OBJECTIVE}],
            "modelDeploymentMonitoringScheduleConfig": {"monitorInterval": "1800s"},
            "loggingSamplingStrategy": {"randomSampleConfig": {"sampleRate": 1.0}},
            "modelMonitoringAlertConfig": {"emailAlertConfig": {"userEmails": ["ana@example.com"]}},
            "analysisInstanceSchemaUri": "gs://data/schema.yaml",
            "logTtl": "3600s",
            **changes,
        }
        return {"parent": PARENT, "modelDeploymentMonitoringJob": given}

    def create(self, endpoint: str, **changes: Any) -> dict[str, Any]:
        request = self.job(endpoint, **changes)
        return self.bench.call("JobService.CreateModelDeploymentMonitoringJob", **request)

    def get(self, name: str) -> dict[str, Any]:
        return self.bench.call("JobService.GetModelDeploymentMonitoringJob", name=name)

    def log(self, endpoint: str, temps: Any, origins: str) -> None:
        """As the router does: a minute ago."""
        at = self.bench.clock.now() - timedelta(minutes=1)
        instances = [json.dumps([float(temp), origins[n % len(origins)]]) for n, temp in enumerate(temps)]
        record = {"logging_time": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "request_payload": instances}
        folder = f"request-response-logging/{LOCATION}/{endpoint.rpartition('/')[2]}/{DEPLOYED}/{at:%Y/%m/%d/%H}"
        self.bench.store.put_bytes("logs", f"{folder}/{at:%M-%S}.jsonl", json.dumps(record).encode() + b"\n")

    def run_due(self) -> bool:
        """Whether something was due."""
        due = self.runs.next_due()
        if due is None or due > self.bench.clock.now():
            return False
        self.runs.run_due()
        return True

    def search(self, job: str, objective: str, **more: Any) -> dict[str, Any]:
        asked: Any = {
            "modelDeploymentMonitoringJob": job,
            "deployedModelId": DEPLOYED,
            "objectives": [{"type": objective}],
        }
        return self.bench.call("JobService.SearchModelDeploymentMonitoringStatsAnomalies", **asked, **more)


OBJECTIVE = {
    "trainingDataset": {"gcsSource": {"uris": ["gs://data/train.csv"]}, "targetField": "late"},
    "trainingPredictionSkewDetectionConfig": {"skewThresholds": {"temp": {"value": 0.4}, "origin": {"value": 0.6}}},
    "predictionDriftDetectionConfig": {"driftThresholds": {"temp": {"value": 0.2}}},
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.bench:
        yield made


def test_distances_are_those_of_scipy() -> None:
    winter, summer = (distribution(list(one), numerical=True) for one in (WINTER, SUMMER))
    edges = np.union1d(winter.edges, summer.edges)
    # The same histograms, spread over the same edges in another way: by the share of each bucket that an interval has.
    shares = []
    for one in (winter, summer):
        overlap = [
            [max(0.0, min(high, to) - max(low, begin)) / (to - begin) for begin, to in pairwise(one.edges)]
            for low, high in pairwise(edges)
        ]
        shares.append(np.array(overlap) @ np.array(one.counts) / one.present)
    expected = jensenshannon(*shares, base=2) ** 2
    assert distance(winter, summer) == pytest.approx(expected, abs=1e-12)
    assert 0.5 < expected < 1
    assert distance(winter, winter) == pytest.approx(0, abs=1e-12)
    apart = distribution([100.0, 101.0], numerical=True)
    assert distance(winter, apart) == pytest.approx(1, abs=1e-12)

    kinds = [distribution(list(text), numerical=False) for text in ("aab", "abbbc")]
    assert distance(*kinds) == pytest.approx(2 / 3 - 1 / 5)  # the largest difference of a share: of "a"
    assert distance(winter, kinds[0]) is None
    assert distance(winter, distribution([None, "x"], numerical=True)) is None
    for one in (winter, kinds[1]):
        assert Distribution.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_a_job_lives_on_the_clock(world: World) -> None:
    endpoint = world.endpoint("lives")
    job = world.create(endpoint)
    name = job["name"]
    assert job["state"] == "JOB_STATE_PENDING"
    assert job["modelDeploymentMonitoringScheduleConfig"]["monitorInterval"] == "3600s"  # up to the hour
    assert job["logTtl"] == "86400s"
    told = world.bench.call("EndpointService.GetEndpoint", name=endpoint)
    assert told["modelDeploymentMonitoringJob"] == name
    assert told["predictRequestResponseLoggingConfig"] == {"enabled": True, "samplingRate": 1.0}
    assert world.run_due()  # reads the training data
    job = world.get(name)
    assert (job["state"], job["scheduleState"]) == ("JOB_STATE_RUNNING", "OFFLINE")
    assert not world.run_due()

    # A run of a process that died in it is due again with the next one; an empty window is said, and is no anomaly.
    again = MonitoringRuns(world.bench.vertex, off=lambda work: work())
    world.bench.clock.advance(3611)
    assert again.next_due() is not None
    again.run_due()
    assert world.get(name)["latestMonitoringPipelineMetadata"]["status"]["message"].startswith("No prediction requests")
    assert world.told == []

    world.bench.call("JobService.PauseModelDeploymentMonitoringJob", name=name)
    world.bench.clock.advance(7200)
    assert world.runs.next_due() is None
    assert world.bench.refused("JobService.PauseModelDeploymentMonitoringJob", name=name).code == "FAILED_PRECONDITION"
    world.bench.call("JobService.ResumeModelDeploymentMonitoringJob", name=name)
    assert not world.run_due()
    world.runs.run_now(name.rpartition("/")[2])
    assert world.run_due()
    undeployed = world.bench.call("EndpointService.UndeployModel", endpoint=endpoint, deployedModelId=DEPLOYED)
    assert world.bench.vertex.operations.wait(undeployed["name"], 30).done
    changed = {"name": name, "modelDeploymentMonitoringScheduleConfig": {"monitorInterval": "86400s"}}
    world.bench.call(
        "JobService.UpdateModelDeploymentMonitoringJob",
        modelDeploymentMonitoringJob=changed,
        updateMask="modelDeploymentMonitoringScheduleConfig",
    )
    assert world.get(name)["state"] == "JOB_STATE_RUNNING"
    world.bench.call("JobService.DeleteModelDeploymentMonitoringJob", name=name)
    told = world.bench.call("EndpointService.GetEndpoint", name=endpoint)
    assert "modelDeploymentMonitoringJob" not in told
    assert "predictRequestResponseLoggingConfig" not in told
    assert world.bench.refused("JobService.GetModelDeploymentMonitoringJob", name=name).code == "NOT_FOUND"


def test_it_finds_what_has_drifted_and_tells(world: World) -> None:
    endpoint = world.endpoint("found")
    name = world.create(endpoint)["name"]
    assert world.run_due()
    world.bench.clock.advance(3600)
    world.log(endpoint, WINTER, "JL")
    world.bench.clock.advance(11)
    assert world.run_due()
    (skew,) = world.search(name, "RAW_FEATURE_SKEW")["monitoringStats"]
    assert [one["featureDisplayName"] for one in skew["featureStats"]] == ["temp", "origin"]
    temp, origin = skew["featureStats"]
    assert temp["predictionStats"][0].get("distributionDeviation", 0) == pytest.approx(0, abs=1e-12)
    assert origin["predictionStats"][0]["distributionDeviation"] == pytest.approx(0.5)  # J is not JFK, but below 0.6
    assert skew.get("anomalyCount", 0) == 0
    assert world.told == []
    assert "monitoringStats" not in world.search(name, "RAW_FEATURE_DRIFT")  # there is no window before

    world.bench.clock.advance(3600)
    world.log(endpoint, SUMMER, "JL")
    assert world.run_due()
    (skew,) = world.search(name, "RAW_FEATURE_SKEW", featureDisplayName="temp")["monitoringStats"]
    (drift,) = world.search(name, "RAW_FEATURE_DRIFT")["monitoringStats"]
    winter, summer = (distribution(list(one), numerical=True) for one in (WINTER, SUMMER))
    newest = skew["featureStats"][0]["predictionStats"][1]
    assert newest["distributionDeviation"] == pytest.approx(distance(winter, summer))
    assert (skew["anomalyCount"], drift["anomalyCount"]) == (1, 1)
    assert [one["featureDisplayName"] for one in drift["featureStats"]] == ["temp"]
    assert {(event.detail["objective"], event.detail["feature"]) for event in world.told} == {
        ("RAW_FEATURE_SKEW", "temp"),
        ("RAW_FEATURE_DRIFT", "temp"),
    }
    event = world.told[0]
    assert (event.source, event.resources) == ("google.aiplatform", [name, endpoint])
    assert event.detail["value"] > event.detail["threshold"] == 0.4
    bucket, _, key = newest["anomalyUri"].removeprefix("gs://").partition("/")
    assert "temp" in json.loads(world.bench.store.get_bytes(bucket, key))["description"]
    bucket, _, key = newest["statsUri"].removeprefix("gs://").partition("/")
    assert json.loads(world.bench.store.get_bytes(bucket, key))["numStats"]["mean"] == pytest.approx(SUMMER.mean())
    page = world.search(name, "RAW_FEATURE_SKEW", pageSize=1)
    assert len(page["monitoringStats"][0]["featureStats"]) == 1
    rest = world.search(name, "RAW_FEATURE_SKEW", pageSize=1, pageToken=page["nextPageToken"])
    assert rest["monitoringStats"][0]["featureStats"][0]["featureDisplayName"] == "origin"


def test_training_data_that_cannot_be_read_fails_the_job_until_it_is_mended(world: World) -> None:
    missing = {**OBJECTIVE, "trainingDataset": {"gcsSource": {"uris": ["gs://data/none.csv"]}, "targetField": "late"}}
    configs = [{"deployedModelId": DEPLOYED, "objectiveConfig": missing}]
    name = world.create(world.endpoint("mended"), modelDeploymentMonitoringObjectiveConfigs=configs)["name"]
    assert world.run_due()
    job = world.get(name)
    assert job["state"] == "JOB_STATE_FAILED"
    assert "none.csv" in job["error"]["message"]
    assert not world.run_due()
    configs = [{"deployedModelId": DEPLOYED, "objectiveConfig": OBJECTIVE}]
    changed = {"name": name, "modelDeploymentMonitoringObjectiveConfigs": configs}
    world.bench.call(
        "JobService.UpdateModelDeploymentMonitoringJob",
        modelDeploymentMonitoringJob=changed,
        updateMask="modelDeploymentMonitoringObjectiveConfigs",
    )
    assert world.run_due()
    assert world.get(name)["state"] == "JOB_STATE_RUNNING"


def test_what_is_not_served_or_wrong_is_refused(world: World) -> None:
    endpoint = world.endpoint("refused")

    def refused(config: dict[str, Any], deployed: str = DEPLOYED, **more: Any) -> tuple[str, str]:
        configs = [{"deployedModelId": deployed, "objectiveConfig": config}]
        request = world.job(endpoint, modelDeploymentMonitoringObjectiveConfigs=configs, **more)
        answer = world.bench.refused("JobService.CreateModelDeploymentMonitoringJob", **request)
        return answer.code, answer.message

    code, told = refused({**OBJECTIVE, "explanationConfig": {"enableFeatureAttributes": True}})
    assert (code, "explanation_config" in told) == ("UNIMPLEMENTED", True)
    code, told = refused({**OBJECTIVE, "trainingDataset": {"bigquerySource": {"inputUri": "bq://p.d.t"}}})
    assert (code, "bigquery_source" in told) == ("UNIMPLEMENTED", True)
    for config, more in (
        ({}, {}),
        ({"predictionDriftDetectionConfig": {"driftThresholds": {"temp": {"value": 1.5}}}}, {}),
        ({"trainingPredictionSkewDetectionConfig": {}}, {}),
        (OBJECTIVE, {"loggingSamplingStrategy": {"randomSampleConfig": {"sampleRate": 2}}}),
        (OBJECTIVE, {"deployed": "8"}),
    ):
        assert refused(config, **more)[0] == "INVALID_ARGUMENT", (config, more)
    world.create(endpoint)
    assert refused(OBJECTIVE)[0] == "ALREADY_EXISTS"  # one job an endpoint


def test_rest_and_grpc_answer_alike(tmp_path: Path) -> None:
    machine = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}
    spec: Any = {"imageUri": IMAGE, "predictRoute": "/p", "healthRoute": "/h"}
    with Twins(tmp_path) as twins:
        benches = (twins.by_rest, twins.by_grpc)
        for bench in benches:
            bench.store.ensure_bucket("models")
            bench.store.put_bytes("models", "m/model.joblib", b"joblib")
        model = {"displayName": "m", "containerSpec": spec, "artifactUri": "gs://models/m"}
        twins.call("ModelService.UploadModel", parent=PARENT, modelId="m", model=model)
        twins.call("EndpointService.CreateEndpoint", parent=PARENT, endpointId="e", endpoint={"displayName": "e"})
        endpoint = f"{PARENT}/endpoints/e"
        deployed: Any = {"id": DEPLOYED, "model": f"{PARENT}/models/m", "dedicatedResources": machine}
        operation = twins.call(
            "EndpointService.DeployModel", endpoint=endpoint, deployedModel=deployed, trafficSplit={"0": 100}
        )
        for bench in benches:
            assert bench.vertex.operations.wait(operation["name"], 30).done
        objective = {"predictionDriftDetectionConfig": {"driftThresholds": {"temp": {"value": 0.2}}}}
        job: Any = {
            "displayName": "watch",
            "endpoint": endpoint,
            "modelDeploymentMonitoringObjectiveConfigs": [{"deployedModelId": DEPLOYED, "objectiveConfig": objective}],
            "modelDeploymentMonitoringScheduleConfig": {"monitorInterval": "3600s"},
            "loggingSamplingStrategy": {"randomSampleConfig": {"sampleRate": 0.5}},
            "labels": {"team": "a"},
        }
        service = "JobService.{}ModelDeploymentMonitoringJob"
        made = twins.call(service.format("Create"), parent=PARENT, modelDeploymentMonitoringJob=job)
        name = made["name"]
        for bench in benches:
            MonitoringRuns(bench.vertex, off=lambda work: work()).run_due()
        assert twins.call(service.format("Get"), name=name)["state"] == "JOB_STATE_RUNNING"
        wanted = 'state="JOB_STATE_RUNNING" AND labels.team=a'
        listed = twins.call("JobService.ListModelDeploymentMonitoringJobs", parent=PARENT, filter=wanted)
        assert [one["name"] for one in listed["modelDeploymentMonitoringJobs"]] == [name]
        search = "JobService.SearchModelDeploymentMonitoringStatsAnomalies"
        asked: Any = {"modelDeploymentMonitoringJob": name, "deployedModelId": DEPLOYED}
        assert twins.call(search, **asked, objectives=[{"type": "RAW_FEATURE_DRIFT"}]) == {}
        refused = twins.refused(search, **asked, objectives=[{"type": "FEATURE_ATTRIBUTION_DRIFT"}])
        assert refused.code == "UNIMPLEMENTED"
        changed = {"name": name, "displayName": "renamed", "endpoint": f"{PARENT}/endpoints/other"}
        update = service.format("Update")
        told = twins.refused(update, modelDeploymentMonitoringJob=changed, updateMask="endpoint")
        assert told.code == "INVALID_ARGUMENT"
        done = twins.call(update, modelDeploymentMonitoringJob=changed, updateMask="displayName")
        assert (done["response"]["displayName"], done["response"]["endpoint"]) == ("renamed", endpoint)
        for method in ("Pause", "Resume", "Delete"):
            twins.call(service.format(method), name=name)
        assert twins.refused(service.format("Get"), name=name).code == "NOT_FOUND"
