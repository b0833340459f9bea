"""Vertex endpoints over the real state machine: what deploys, what is refused, what is left when it fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from mlparity.serving.upstream import Answer as ModelAnswer
from tests.vertex_bench import LOCATION, PARENT, Answer, Twins, VertexBench

IMAGE = "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest"
ROUTES = {"predictRoute": "/p", "healthRoute": "/h", "env": [{"name": "A", "value": "x-$(AIP_ENDPOINT_ID)"}]}
DEDICATED: dict[str, Any] = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}
GPU = {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with Twins(tmp_path_factory.mktemp("endpoints")) as both:
        for bench in (both.by_rest, both.by_grpc):
            bench.store.ensure_bucket("models")
            for name in ("good", "bad"):
                bench.store.put_bytes("models", f"{name}/model.joblib", b"joblib")
            bench.hosted.fleet.failing["gs://models/bad/"] = "Model server exited unexpectedly."
        for name in ("good", "bad"):
            spec = {"imageUri": IMAGE, **ROUTES}
            model = {"displayName": name, "containerSpec": spec, "artifactUri": f"gs://models/{name}"}
            both.call("ModelService.UploadModel", parent=PARENT, modelId=name, model=model)
        yield both


def benches(twins: Twins) -> Sequence[VertexBench]:
    return twins.by_rest, twins.by_grpc


def create(twins: Twins, endpoint_id: str, **endpoint: Any) -> str:
    given = {"displayName": endpoint_id, **endpoint}
    made = twins.call("EndpointService.CreateEndpoint", parent=PARENT, endpointId=endpoint_id, endpoint=given)
    return str(made["response"]["name"])


def ended(twins: Twins, operation: dict[str, Any]) -> dict[str, Any]:
    for bench in benches(twins):
        bench.vertex.operations.wait(operation["name"], 30)
    found = twins.call("Operations.GetOperation", name=operation["name"])
    assert found["done"]
    return found


def deploy(twins: Twins, endpoint: str, model: str = "good", split: dict[str, int] | None = None, **more: Any) -> Any:
    given = {"model": f"{PARENT}/models/{model}", "dedicatedResources": DEDICATED, **more}
    request = {"endpoint": endpoint, "deployedModel": given, **({"trafficSplit": split} if split else {})}
    return ended(twins, twins.call("EndpointService.DeployModel", **request))


def refused(twins: Twins, endpoint: str, split: dict[str, int] | None = None, **more: Any) -> Answer:
    given = {"model": f"{PARENT}/models/good", "dedicatedResources": DEDICATED, **more}
    given = {field: value for field, value in given.items() if value is not None}
    request = {"endpoint": endpoint, "deployedModel": given, **({"trafficSplit": split} if split else {})}
    return twins.refused("EndpointService.DeployModel", **request)


def machine(kind: str, **accelerators: Any) -> dict[str, Any]:
    return {"dedicatedResources": {**DEDICATED, "machineSpec": {"machineType": kind, **accelerators}}}


def serving(twins: Twins, endpoint: str) -> list[str]:
    """What GetModel tells of the good model at an endpoint."""
    told = twins.call("ModelService.GetModel", name=f"{PARENT}/models/good").get("deployedModels", [])
    return [one["deployedModelId"] for one in told if one["endpoint"] == endpoint]


def shares(bench: VertexBench, endpoint_id: str) -> dict[str, float]:
    table = bench.hosted.router.tables[f"vertex/{LOCATION}/{endpoint_id}"]
    return {one.variant: round(one.weight, 4) for one in table.deployments}


def test_two_models_share_traffic_and_one_goes(twins: Twins) -> None:
    name = create(twins, "two")
    limited = {"name": name, "clientConnectionConfig": {"inferenceTimeout": "7s"}}
    assert twins.call("EndpointService.UpdateEndpointLongRunning", endpoint=limited)["done"]
    model = twins.call("ModelService.GetModel", name=f"{PARENT}/models/good")
    done = deploy(twins, name, split={"0": 100}, id="11")
    made = done["response"]["deployedModel"]
    assert (made["id"], made["modelVersionId"], made["displayName"]) == ("11", "1", "good")
    assert made["model"] == f"{PARENT}/models/good"
    assert done["metadata"]["deploymentStage"] == "SUCCESSFULLY_DEPLOYED"
    deploy(twins, name, split={"11": 80, "0": 20}, id="22", model="good@default", displayName="second")
    found = twins.call("EndpointService.GetEndpoint", name=name)
    assert (found["trafficSplit"], len(found["deployedModels"])) == ({"11": 80, "22": 20}, 2)
    again = twins.call("ModelService.GetModel", name=f"{PARENT}/models/good")
    assert again["etag"] == model["etag"]  # who has the model from before may still update it
    for bench in benches(twins):
        assert shares(bench, "two") == {"11": 0.8, "22": 0.2}
        (plan,) = [one.plan for one in bench.hosted.hosting.find(LOCATION, "two").variants if one.name == "22"]
        (container,) = plan.containers
        assert (container.predict_route, container.health_route, container.port) == ("/p", "/h", 8080)
        environment = container.environment
        assert (environment["AIP_STORAGE_URI"], environment["A"]) == ("gs://models/good", "x-two")
        assert (environment["AIP_DEPLOYED_MODEL_ID"], environment["AIP_FRAMEWORK"]) == ("22", "SCIKIT_LEARN")
        assert (plan.labels["modelDisplayName"], plan.invocation_seconds) == ("good", 7.0)
    assert serving(twins, name) == ["11", "22"]
    assert twins.refused("ModelService.DeleteModel", name=f"{PARENT}/models/good").code == "FAILED_PRECONDITION"
    assert twins.refused("EndpointService.DeleteEndpoint", name=name).code == "FAILED_PRECONDITION"
    with_traffic = twins.refused("EndpointService.UndeployModel", endpoint=name, deployedModelId="22")
    assert (with_traffic.code, "traffic" in with_traffic.message) == ("FAILED_PRECONDITION", True)
    changed = {"name": name, "trafficSplit": {"11": 100}}
    twins.call("EndpointService.UpdateEndpoint", endpoint=changed, updateMask="trafficSplit")
    for bench in benches(twins):
        assert shares(bench, "two") == {"11": 1.0, "22": 0.0}
    ended(twins, twins.call("EndpointService.UndeployModel", endpoint=name, deployedModelId="22"))
    for bench in benches(twins):
        assert shares(bench, "two") == {"11": 1.0}
    ended(twins, twins.call("EndpointService.UndeployModel", endpoint=name, deployedModelId="11"))  # the last
    left = twins.call("EndpointService.GetEndpoint", name=name)
    assert not {"deployedModels", "trafficSplit"} & left.keys()
    assert serving(twins, name) == []
    twins.call("EndpointService.DeleteEndpoint", name=name)
    for bench in benches(twins):
        assert f"vertex/{LOCATION}/two" not in bench.hosted.router.tables


def test_a_deployment_that_fails_leaves_nothing(twins: Twins) -> None:
    name = create(twins, "fails")
    deploy(twins, name, split={"0": 100}, id="1")
    done = deploy(twins, name, model="bad", split={"1": 50, "0": 50}, id="2")
    assert done["error"] == {"code": 9, "message": "Model server exited unexpectedly."}
    assert done["metadata"]["deploymentStage"] == "FAILED_TO_DEPLOY"
    found = twins.call("EndpointService.GetEndpoint", name=name)
    assert ([one["id"] for one in found["deployedModels"]], found["trafficSplit"]) == (["1"], {"1": 100})
    assert "deployedModels" not in twins.call("ModelService.GetModel", name=f"{PARENT}/models/bad")
    for bench in benches(twins):
        assert shares(bench, "fails") == {"1": 1.0}


def test_replicas_are_mutated_and_nothing_else(twins: Twins) -> None:
    name = create(twins, "mutates")
    unspecified = {**DEDICATED, "machineSpec": {}}  # then it is n1-standard-2
    deploy(twins, name, split={"0": 100}, id="1", dedicatedResources=unspecified)

    def mutate(mask: str, **resources: Any) -> dict[str, Any]:
        deployed = {"id": "1", "dedicatedResources": resources}
        return {"endpoint": name, "deployedModel": deployed, "updateMask": mask}

    counts = "dedicatedResources.minReplicaCount,dedicatedResources.maxReplicaCount"
    request = mutate(counts, minReplicaCount=3, maxReplicaCount=4)
    done = ended(twins, twins.call("EndpointService.MutateDeployedModel", **request))
    resources = done["response"]["deployedModel"]["dedicatedResources"]
    assert (resources["minReplicaCount"], resources["machineSpec"]["machineType"]) == (3, "n1-standard-2")
    for bench in benches(twins):
        (variant,) = bench.hosted.hosting.find(LOCATION, "mutates").variants
        assert variant.current_instances == 3
    (stored,) = twins.call("EndpointService.GetEndpoint", name=name)["deployedModels"]
    assert stored["dedicatedResources"]["maxReplicaCount"] == 4
    wrong = twins.refused("EndpointService.MutateDeployedModel", **mutate("model"))
    assert (wrong.code, "can be mutated" in wrong.message) == ("INVALID_ARGUMENT", True)
    fewer = mutate("dedicatedResources.maxReplicaCount", maxReplicaCount=1)
    assert twins.refused("EndpointService.MutateDeployedModel", **fewer).code == "INVALID_ARGUMENT"


def test_what_cannot_be_deployed(twins: Twins) -> None:
    name = create(twins, "strict")
    deploy(twins, name, split={"0": 100}, id="1")
    for more, code, said in (
        ({"dedicatedResources": None}, "INVALID_ARGUMENT", "prediction_resources"),
        ({"dedicatedResources": None, "automaticResources": {"minReplicaCount": 1}}, "INVALID_ARGUMENT", "automatic"),
        ({"dedicatedResources": None, "sharedResources": f"{PARENT}/x/1"}, "UNIMPLEMENTED", "shared_resources"),
        ({"dedicatedResources": {**DEDICATED, "minReplicaCount": 0}}, "INVALID_ARGUMENT", "min_replica_count"),
        (machine("n1-standard-3"), "INVALID_ARGUMENT", 'Machine type "n1-standard-3" is not supported.'),
        (machine("n1-standard-64"), "INVALID_ARGUMENT", "dedicated_resources.machine_spec.machine_type"),
        (machine("n1-standard-4", **GPU), "UNIMPLEMENTED", "machine_spec.accelerator_type: mlparity has no accel"),
        (machine("n1-standard-3", **GPU), "INVALID_ARGUMENT", "n1-standard-3"),
        (machine("g2-standard-8"), "UNIMPLEMENTED", "no accelerators (g2-standard-8)"),
        ({"id": "1"}, "INVALID_ARGUMENT", "already used"),
        ({"id": "abc"}, "INVALID_ARGUMENT", "1 to 10 digits"),
        ({"model": f"{PARENT}/models/none"}, "NOT_FOUND", "The Model does not exist."),
        ({"model": f"{PARENT}/models/good@7"}, "NOT_FOUND", "The Model does not exist."),
        ({"split": {"0": 90}}, "INVALID_ARGUMENT", "add up to 100, not 90"),
        ({"split": {"0": 50, "7": 50}}, "INVALID_ARGUMENT", "does not have: 7"),
        ({"split": {"0": 150, "1": -50}}, "INVALID_ARGUMENT", "between 0 and 100"),
    ):
        answer = refused(twins, name, **more)  # type: ignore[arg-type]
        assert (answer.code, said in answer.message) == (code, True), answer
    missing = f"{PARENT}/endpoints/none"
    assert refused(twins, missing).code == "NOT_FOUND"
    assert twins.refused("EndpointService.UndeployModel", endpoint=name, deployedModelId="9").code == "INVALID_ARGUMENT"
    taken = {"parent": PARENT, "endpointId": "strict", "endpoint": {"displayName": "x"}}
    assert twins.refused("EndpointService.CreateEndpoint", **taken).code == "ALREADY_EXISTS"
    for wrong, code in (({"network": "n"}, "UNIMPLEMENTED"), ({"trafficSplit": {"1": 100}}, "INVALID_ARGUMENT")):
        given = {"displayName": "x", **wrong}
        assert twins.refused("EndpointService.CreateEndpoint", parent=PARENT, endpoint=given).code == code
    for split in ({"1": 60}, {"2": 100}):
        changed = {"name": name, "trafficSplit": split}
        answer = twins.refused("EndpointService.UpdateEndpoint", endpoint=changed, updateMask="trafficSplit")
        assert answer.code == "INVALID_ARGUMENT"


def test_one_operation_of_an_endpoint_at_a_time_also_through_a_restart(twins: Twins) -> None:
    name = create(twins, "slow")
    for bench in benches(twins):
        bench.hosted.fleet.automatic = False
    given = {"model": f"{PARENT}/models/good", "dedicatedResources": DEDICATED, "id": "1"}
    started = twins.call("EndpointService.DeployModel", endpoint=name, deployedModel=given, trafficSplit={"0": 100})
    assert "done" not in started
    assert started["metadata"]["deploymentStage"] == "STARTING_MODEL_SERVER"
    answer = refused(twins, name)
    assert (answer.code, "other operations running" in answer.message) == ("FAILED_PRECONDITION", True)
    assert twins.refused("EndpointService.DeleteEndpoint", name=name).code == "FAILED_PRECONDITION"
    assert twins.refused("ModelService.DeleteModel", name=f"{PARENT}/models/good").code == "FAILED_PRECONDITION"
    assert "deployedModels" not in twins.call("EndpointService.GetEndpoint", name=name)
    for bench in benches(twins):
        bench.hosted.fleet.automatic = True
        bench.hosted.fleet.ready_all()
        bench.hosted.service.recover()
    assert ended(twins, started)["response"]["deployedModel"]["id"] == "1"


def test_logging_is_capture_and_predictions_go_to_the_router(twins: Twins) -> None:
    config = {"enabled": True, "samplingRate": 0.25}
    name = create(twins, "logged", predictRequestResponseLoggingConfig=config)
    deploy(twins, name, split={"0": 100}, id="1")
    for bench in benches(twins):
        capture = bench.hosted.router.tables[f"vertex/{LOCATION}/logged"].capture
        assert capture is not None
        assert (capture.percentage, capture.destination) == (25, "gs://logs/request-response-logging")
    off = {"name": name, "predictRequestResponseLoggingConfig": {"enabled": False}}
    twins.call("EndpointService.UpdateEndpoint", endpoint=off, updateMask="predictRequestResponseLoggingConfig")
    for bench in benches(twins):
        assert bench.hosted.router.tables[f"vertex/{LOCATION}/logged"].capture is None
        bench.hosted.answer = ModelAnswer(200, "application/json", b'{"predictions": [1.5], "deployedModelId": "1"}')
    answer = twins.call("PredictionService.Predict", endpoint=name, instances=[[1, "a"]], parameters={"k": 2})
    assert answer == {"predictions": [1.5], "deployedModelId": "1"}
    for bench in benches(twins):
        path, body, _ = bench.hosted.asked[-1]
        assert path == f"/v1/{name}:predict"
        assert body.replace(b" ", b"").replace(b".0", b"") == b'{"instances":[[1,"a"]],"parameters":{"k":2}}'
        bench.hosted.answer = ModelAnswer(200, "a/b", b"\x00raw")
    raw = {"endpoint": name, "httpBody": {"contentType": "c/d", "data": "AAE="}}
    found = twins.by_grpc.call("PredictionService.RawPredict", **raw)
    assert (found["contentType"], found["data"]) == ("a/b", "AHJhdw==")
    assert twins.by_grpc.hosted.asked[-1] == (f"/v1/{name}:rawPredict", b"\x00\x01", "c/d")
    for answered, code in (
        (b'{"error": {"code": 400, "status": "FAILED_PRECONDITION", "message": "no"}}', "FAILED_PRECONDITION"),
        (b"no", "FAILED_PRECONDITION"),
    ):
        twins.by_grpc.hosted.answer = ModelAnswer(400, "text/plain", answered)
        refused_ = twins.by_grpc.refused("PredictionService.RawPredict", **raw)
        assert (refused_.code, refused_.message) == (code, "no")
    twins.by_grpc.hosted.answer = None
    assert twins.by_grpc.refused("PredictionService.RawPredict", **raw).code == "UNAVAILABLE"
    assert twins.refused("PredictionService.Explain", endpoint=name, instances=[1]).code == "UNIMPLEMENTED"
