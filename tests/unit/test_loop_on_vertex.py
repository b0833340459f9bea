"""The retraining loop over Vertex's own operations: a pipeline job, a version, its aliases, the canary ladder."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from mlparity.apis.vertex import loop_events
from mlparity.apis.vertex.loop_traffic import TrafficMeter
from mlparity.engine.events import Event
from mlparity.engine.runs import RunStatus
from mlparity.errors import InvalidRequestError
from mlparity.gateway import admin_loops
from mlparity.monitoring.loop.cycles import Cycle, CycleState
from mlparity.monitoring.loop.definition import LoopDefinition
from mlparity.monitoring.loop.repository import LoopRepository
from mlparity.monitoring.loop.service import LoopService
from mlparity.serving.routing.measuring import VariantMetrics
from mlparity.stack.retraining import vertex_loop
from tests.vertex_bench import LOCATION, PARENT, VertexBench

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
ENDPOINT = f"{PARENT}/endpoints/prod"
MODEL = f"{PARENT}/models/flights"
# A pipeline whose one task is an importer: it tells the version that it is given as its parameter.
TEMPLATE = {
    "pipelineInfo": {"name": "retrain"},
    "schemaVersion": "2.1.0",
    "sdkVersion": "kfp-2.17.0",
    "components": {
        "comp-importer": {
            "executorLabel": "exec-importer",
            "inputDefinitions": {"parameters": {"uri": {"parameterType": "STRING"}}},
            "outputDefinitions": {
                "artifacts": {
                    "artifact": {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}
                }
            },
        }
    },
    "deploymentSpec": {
        "executors": {
            "exec-importer": {
                "importer": {
                    "artifactUri": {"constant": "gs://models/made/model.joblib"},
                    "metadata": {"resourceName": f"{MODEL}@2"},
                    "typeSchema": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
                }
            }
        }
    },
    "root": {
        "dag": {
            "tasks": {
                "importer": {
                    "componentRef": {"name": "comp-importer"},
                    "inputs": {"parameters": {"uri": {"runtimeValue": {"constant": "gs://models/made/model.joblib"}}}},
                    "taskInfo": {"name": "importer"},
                }
            }
        },
        "inputDefinitions": {"parameters": {"months": {"parameterType": "LIST"}}},
    },
}
LOOP: dict[str, Any] = {
    "name": "flights",
    "vendor": "vertex",
    "endpoint": "prod",
    "model_group": "flights",
    "trigger": {"monitoring_job": "77"},
    "retrain": {"pipeline": "gs://models/pipeline.yaml", "parameters": {"months": "[7]"}},
    "gate": {"metric": "roc_auc", "better": "higher", "threshold": 0.6},
    "rollout": {"deployment": {"steps": [10, 100], "step_seconds": 30, "min_requests": 5, "max_error_rate": 0.1}},
}


class World:
    """A served first version, and a loop over it."""

    def __init__(self, folder: Path) -> None:
        self.bench = VertexBench(folder)
        self.restarted()
        for bucket in ("models", "staging"):
            self.bench.store.ensure_bucket(bucket)
        self.bench.store.put_bytes("models", "made/model.joblib", b"joblib")
        self.bench.store.put_bytes("models", "pipeline.yaml", json.dumps(TEMPLATE).encode())
        self.upload(0.65, model_id="flights")
        self.bench.call(
            "EndpointService.CreateEndpoint", parent=PARENT, endpointId="prod", endpoint={"displayName": "prod"}
        )
        machine: Any = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 2}
        deployed: Any = {"id": "1", "model": f"{MODEL}@1", "dedicatedResources": machine}
        self.done(
            self.bench.call(
                "EndpointService.DeployModel", endpoint=ENDPOINT, deployedModel=deployed, trafficSplit={"0": 100}
            )
        )

    def restarted(self) -> None:
        """As after a restart: nothing but the database knows of loops."""
        self.meter = TrafficMeter(self.bench.clock)
        self.loops = vertex_loop(self.bench.vertex, self.bench.dispatch, self.bench.database, self.meter, "staging")

    def upload(self, roc_auc: float, aliases: tuple[str, ...] = (), model_id: str = "") -> None:
        spec: Any = {"imageUri": IMAGE, "predictRoute": "/p", "healthRoute": "/h"}
        given = {
            "displayName": "m",
            "containerSpec": spec,
            "artifactUri": "gs://models/made",
            "versionAliases": aliases,
        }
        where: Any = {"modelId": model_id} if model_id else {"parentModel": MODEL}
        made = self.bench.call("ModelService.UploadModel", parent=PARENT, model=given, **where)
        version = f"{MODEL}@{made['response']['modelVersionId']}"
        evaluation: Any = {"displayName": "e", "metricsSchemaUri": "gs://x/y.yaml", "metrics": {"roc_auc": roc_auc}}
        self.bench.call("ModelService.ImportModelEvaluation", parent=version, modelEvaluation=evaluation)

    def done(self, operation: dict[str, Any]) -> None:
        assert self.bench.vertex.operations.wait(operation["name"], 30).done

    def settled(self) -> None:
        """No operation at the endpoint is under way."""
        self.bench.vertex.hosting.settle(LOCATION, "prod", 30)

    def endpoint(self) -> dict[str, Any]:
        return self.bench.call("EndpointService.GetEndpoint", name=ENDPOINT)

    def cycle(self) -> Cycle:
        return self.loops.show("flights")[1][0]

    def tick(self, seconds: float = 1) -> CycleState:
        self.bench.clock.advance(seconds)
        self.settled()
        self.loops.run_due()
        return self.cycle().state

    def retrained(self) -> None:
        """From the anomaly to the decision: the pipeline has run."""
        self.anomaly()
        assert self.tick() is CycleState.RETRAINING
        job = self.cycle().facts["execution"]
        run = job.rpartition("/")[2]
        self.bench.piped.until(lambda: self.bench.piped.engine.repository.get(run).status is RunStatus.SUCCEEDED)
        assert self.tick() is CycleState.GATING
        self.tick()

    def anomaly(self) -> None:
        detail = {"monitoringJob": f"{PARENT}/modelDeploymentMonitoringJobs/77", "reason": "skew of month: 1"}
        at = self.bench.clock.now()
        take = loop_events.subscriber(self.loops.on_event)
        take(Event(1, "e", at, "aws.sagemaker", "Model Monitoring Anomaly", (), detail))  # none of Google's
        assert self.loops.show("flights")[1] == []
        take(Event(2, "e", at, "google.aiplatform", "Model Monitoring Anomaly", (), detail))

    def approve(self) -> None:
        model = {"name": f"{MODEL}@2", "labels": {"decided-by": "ana"}}
        self.bench.call("ModelService.UpdateModel", model=model, updateMask="labels")
        self.bench.call("ModelService.MergeVersionAliases", name=f"{MODEL}@2", versionAliases=["approved"])

    def traffic(self, deployed_model: str, requests: int, errors: int) -> None:
        latency = ((2000, requests),)
        name = f"vertex/{LOCATION}/prod"
        self.meter.report([VariantMetrics(name, deployed_model, requests, 0, errors, latency, (), 0, 0)])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    with made.bench:
        made.loops.put(LoopDefinition.read(LOOP))
        yield made


def test_an_anomaly_ends_in_a_promotion_up_the_ladder(world: World) -> None:
    world.upload(0.7)
    world.restarted()
    world.retrained()
    assert world.cycle().state is CycleState.AWAITING_APPROVAL
    assert world.cycle().facts["package"] == f"{MODEL}@2"
    assert world.cycle().facts["champion_metric"] == 0.65
    job = world.bench.call("PipelineService.GetPipelineJob", name=world.cycle().facts["execution"])
    assert job["runtimeConfig"]["parameterValues"] == {"months": [7.0]}
    world.approve()
    world.restarted()
    assert world.tick() is CycleState.ROLLING_OUT
    assert "approved by ana" in world.cycle().history[-1].reason
    world.tick()  # deploys
    world.settled()
    new = next(one for one in world.endpoint()["deployedModels"] if one["id"] != "1")
    assert (new["modelVersionId"], new["dedicatedResources"]["minReplicaCount"]) == ("2", 2)
    assert world.endpoint()["trafficSplit"] == {"1": 100, new["id"]: 0} or world.endpoint()["trafficSplit"] == {
        "1": 100
    }
    world.tick()
    assert world.endpoint()["trafficSplit"] == {"1": 90, new["id"]: 10}
    world.tick(31)
    assert world.endpoint()["trafficSplit"][new["id"]] == 10  # nobody has asked it yet
    world.restarted()
    world.traffic(new["id"], 20, 1)
    world.tick()
    assert world.endpoint()["trafficSplit"][new["id"]] == 100
    world.traffic(new["id"], 20, 0)
    world.tick(31)
    world.settled()
    assert world.tick() is CycleState.PROMOTED
    assert [one["id"] for one in world.endpoint()["deployedModels"]] == [new["id"]]


def test_a_version_that_fails_goes_back(world: World) -> None:
    world.upload(0.7)
    world.retrained()
    world.approve()
    for _ in range(3):
        world.tick()
    new = next(one["id"] for one in world.endpoint()["deployedModels"] if one["id"] != "1")
    world.traffic("1", 40, 4)  # requests that no model can answer
    world.traffic(new, 10, 2)
    assert world.tick() is CycleState.ROLLING_OUT
    world.traffic(new, 10, 6)
    assert world.tick() is CycleState.ROLLED_BACK
    assert "40.0% failed (10.0% of the old one's; at most 10.0% more)" in world.cycle().history[-1].reason
    world.settled()
    assert world.endpoint()["trafficSplit"] == {"1": 100}
    assert [one["id"] for one in world.endpoint()["deployedModels"]] == ["1"]


def test_what_the_run_approves_itself_does_not_count_and_the_gate_rejects(world: World) -> None:
    world.upload(0.7, ("approved",))
    world.retrained()
    assert world.tick() is CycleState.DECLINED
    assert "the pipeline" in world.cycle().history[-1].reason


def test_the_gate_rejects_what_does_not_beat_the_champion(world: World) -> None:
    world.upload(0.62)
    world.retrained()
    assert world.cycle().state is CycleState.REJECTED
    model = world.bench.call("ModelService.GetModel", name=f"{MODEL}@2")
    assert "rejected" in model["versionAliases"]
    assert model["labels"]["decided-by"] == "mlparity-loop"
    assert "does not beat the champion 0.65" in model["versionDescription"]


def test_a_loop_that_cannot_work_is_refused(world: World) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"endpoint": "none"}, "is not there"),
        ({"retrain": {"pipeline": "gs://models/none.yaml"}}, "cannot be read"),
        ({"retrain": {"pipeline": "gs://models/pipeline.yaml", "parameters": {"moths": "1"}}}, "no parameter moths"),
        ({"retrain": {"pipeline": "gs://models/pipeline.yaml"}}, "needs a value of months"),
        ({"rollout": {"deployment": {"steps": [5, 50]}}}, "steps must rise and end with 100"),
        ({"trigger": {"alarm": "a"}}, "is none of vertex's"),
    ]
    for change, told in wrong:
        with pytest.raises(InvalidRequestError) as refused:
            world.loops.put(LoopDefinition.read(LOOP | change))
        assert told in str(refused.value)


def test_the_commands_find_a_loop_whichever_vendor_has_it(world: World) -> None:
    amazon = LoopService(
        LoopRepository(world.bench.database, world.bench.clock, "sagemaker"),
        _Anything(),  # type: ignore[arg-type]
        lambda _pattern, _event: False,
        world.bench.clock,
        lambda: None,
    )
    app = Starlette(routes=admin_loops.routes("/", {"sagemaker": lambda: amazon, "vertex": lambda: world.loops}))
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", headers={"x-mlparity-command": "1"}
    )

    async def ask(method: str, path: str, document: Any = None) -> tuple[int, Any]:
        found = await client.request(method, path, content=json.dumps(document))
        return found.status_code, found.json()

    async def story() -> None:
        theirs = {**LOOP, "vendor": "sagemaker", "trigger": {"alarm": "a"}, "rollout": {}}
        assert await ask("PUT", "/loops", theirs) == (
            409,
            {"what": "there is a loop flights already", "why": "it is one of vertex", "hint": "choose another name"},
        )
        assert (await ask("PUT", "/loops", {**theirs, "name": "theirs"}))[0] == 200
        _, listed = await ask("GET", "/loops")
        assert {(one["name"], one["definition"]["vendor"]) for one in listed["loops"]} == {
            ("theirs", "sagemaker"),
            ("flights", "vertex"),
        }
        assert (await ask("POST", "/loops/flights/pause"))[1]["paused"] is True
        assert world.loops.show("flights")[0].paused
        assert (await ask("GET", "/loops/none"))[0] == 404
        assert (await ask("DELETE", "/loops/theirs"))[0] == 200
        assert [loop.definition.name for loop in amazon.repository.all()] == []
        await client.aclose()

    asyncio.run(story())


class _Anything:
    """Actions of a vendor where everything is there."""

    def check(self, definition: LoopDefinition) -> None:
        """It is."""
